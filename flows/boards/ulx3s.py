"""Radiona ULX3S: Lattice ECP5 in three sizes, 25 MHz oscillator, FTDI serial port over USB.

Pins: constraint file of the board's revisions 2.x and 3.0, https://github.com/emard/ulx3s.
Device sizes: Lattice FPGA-DS-02012, table 1.1.
"""

from __future__ import annotations

from .board import Board, Pin


def _ulx3s(size: str, *, lut: int, bram: int, dsp: int) -> Board:
    return Board(
        name=f"ulx3s-{size}",
        family="ecp5",
        device=f"LFE5U-{size.upper()}",
        device_flag=f"--{size.rstrip('f')}k",
        package="CABGA381",
        clock_mhz=25.0,
        clock=Pin(site="G2"),
        # The FTDI chip names its pins from its own side: the FPGA receives on ftdi_txd.
        rxd=Pin(site="M1", pull="UP"),
        txd=Pin(site="L4", pull="UP", drive_ma=4),
        button=Pin(site="R1", pull="DOWN"),  # FIRE1
        leds=tuple(
            Pin(site=site, drive_ma=4) for site in ("B2", "C2", "C1", "D2", "D1", "E2", "E1", "H3")
        ),
        # Boot pin of the ESP32 beside the FPGA; at 0 it may reboot the board.
        tied_high={"wifi_gpio0": Pin(site="L2", drive_ma=4)},
        io_type="LVCMOS33",
        system=(
            "CONFIG_IOVOLTAGE=3.3 COMPRESS_CONFIG=ON MCCLK_FREQ=62 MASTER_SPI_PORT=ENABLE "
            "SLAVE_SPI_PORT=DISABLE SLAVE_PARALLEL_PORT=DISABLE"
        ),
        lut=lut,
        bram=bram,
        dsp=dsp,
    )


# nextpnr offers all of the 25F's silicon for the 12F, which is the same die: the vendor's numbers
# stand here, and a design must keep to them.
BOARDS = (
    _ulx3s("85f", lut=83_640, bram=208, dsp=156),
    _ulx3s("25f", lut=24_288, bram=56, dsp=28),
    _ulx3s("12f", lut=12_000, bram=32, dsp=28),
)
