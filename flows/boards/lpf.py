"""Pin and clock constraints in Lattice's LPF, as nextpnr-ecp5 reads it."""

from __future__ import annotations

from .board import Board, Pin


def lpf(board: Board, clock_mhz: float) -> str:
    """Return the constraint file of the board's top level.

    Args:
        board: The board.
        clock_mhz: Frequency that place and route works for.
    """
    lines = [
        f"SYSCONFIG {board.system};",
        f'FREQUENCY PORT "clk" {clock_mhz:g} MHZ;',
    ]
    for port, pin in board.ports.items():
        lines.append(f'LOCATE COMP "{port}" SITE "{pin.site}";')
        lines.append(f'IOBUF PORT "{port}" {_buffer(board, pin)};')
    return "".join(f"{line}\n" for line in lines)


def _buffer(board: Board, pin: Pin) -> str:
    drive = "" if pin.drive_ma is None else f" DRIVE={pin.drive_ma}"
    return f"PULLMODE={pin.pull} IO_TYPE={board.io_type}{drive}"
