"""The board's top level in simulation, driven through its serial pins like the real one.

Two models of the same board can be built: of the RTL, and of the netlist after synthesis with the
vendor's cells. Both answer to the same call, so their answers can be compared byte by byte.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
from numpy.typing import NDArray

from ...hw.errors import SimulationError
from ...hw.packing import Bytes
from ..tools import BuildError, run_tool, yosys_share
from ..verilated_runtime import compile_objects, runtime_objects
from .ecp5 import SynthResult

HARNESS_FOLDER = Path(__file__).resolve().parents[1] / "harness"
MODEL = "Vboard"
OVERRUN_LED = 1
FRAME_ERROR_LED = 2

_START_CYCLES = 64  # reset ends after 16
_SILENCE_CYCLES = 10_000_000
_BATCH_BYTES = 4096  # between two of these, Ctrl-C is heard


class BoardModel:
    """A simulated board; a context manager that frees the simulation at its end.

    Args:
        library: Shared library of the compiled model.
        data_folder: Holds the memory images that the RTL reads when it starts.
        clocks_per_bit: Clock cycles of one bit on the serial line.
        window: Images that may be on their way at once; 0 for no limit.
        seed: Of the contents that no reset and no initial value sets.
        silence_cycles: Cycles without a byte in either direction that end a wait for answers.
    """

    def __init__(
        self,
        library: Path,
        data_folder: Path,
        *,
        clocks_per_bit: int,
        window: int = 0,
        seed: int = 1,
        silence_cycles: int = _SILENCE_CYCLES,
    ) -> None:
        self._clocks_per_bit = clocks_per_bit
        self._window = window
        self._silence_cycles = silence_cycles
        self._library = _load(library)
        with contextlib.chdir(data_folder):
            self._board = self._library.board_new(seed)
        self.idle(_START_CYCLES)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Free the simulation."""
        if self._board:
            self._library.board_delete(self._board)
            self._board = None

    @property
    def cycles(self) -> int:
        """Clock cycles since power-on."""
        return int(self._library.board_cycles(self._board))

    @property
    def leds(self) -> int:
        """The LEDs as an integer, LED 0 in bit 0."""
        return int(self._library.board_leds(self._board))

    def idle(self, cycles: int, *, is_button_pressed: bool = False) -> None:
        """Let cycles pass while the host is silent."""
        self._library.board_idle(self._board, cycles, int(is_button_pressed))

    def press_reset(self) -> None:
        """Press and release the reset button; all bytes on their way are forgotten."""
        self.idle(8, is_button_pressed=True)
        self.idle(_START_CYCLES)

    def drive(self, rxd: Bytes, button: Bytes | None = None) -> tuple[Bytes, NDArray[np.uint32]]:
        """Drive the pins cycle by cycle and return what they show after each clock edge.

        Args:
            rxd: Level of the line to the board in each cycle, shape ``(cycles,)``, in {0, 1}.
            button: 1 where the reset button is pressed, shape ``(cycles,)``; None for never.

        Returns:
            Levels of the line from the board and the LEDs, both of shape ``(cycles,)``.
        """
        rxd = np.ascontiguousarray(rxd, np.uint8)
        pressed = np.zeros_like(rxd) if button is None else np.ascontiguousarray(button, np.uint8)
        if pressed.shape != rxd.shape:
            raise ValueError(f"uart: button has shape {pressed.shape}, but rxd {rxd.shape}")
        txd = np.empty_like(rxd)
        leds = np.empty(len(rxd), np.uint32)
        arrays = (rxd, pressed, txd, leds)
        addresses = (array.ctypes.data for array in arrays)
        self._library.board_drive(self._board, *addresses, len(rxd))
        return txd, leds

    def send(self, images: Bytes, answer_bytes: int) -> Bytes:
        """Send images and return the received bytes, which may be fewer than expected.

        Args:
            images: Shape ``(images, bytes)``.
            answer_bytes: Bytes that the board should send for each image.

        Raises:
            SimulationError: The board sent a frame without a stop bit.
        """
        images = np.ascontiguousarray(images, np.uint8)
        answers = np.zeros(len(images) * answer_bytes + 1, np.uint8)
        count = self._library.board_uart(
            self._board,
            self._clocks_per_bit,
            images.ctypes.data,
            len(images),
            images.shape[1],
            answers.ctypes.data,
            answer_bytes,
            self._window,
            self._silence_cycles,
        )
        if count < 0:
            raise SimulationError("uart: the board sent a frame without a stop bit")
        return answers[:count]

    def run_uart(self, images: Bytes, answer_bytes: int) -> Bytes:
        """Send images over the serial line and return what the board answers.

        Args:
            images: Bytes as :func:`popshift.flows.boards.uart.to_uart_bytes` gives them, shape
                ``(images, bytes)``.
            answer_bytes: Bytes of one answer.

        Returns:
            Shape ``(images, answer_bytes)``.

        Raises:
            SimulationError: The board fell silent, lost bytes or saw or sent a wrong frame.
        """
        step = max(1, _BATCH_BYTES // images.shape[1])
        batches = [images[at : at + step] for at in range(0, len(images), step)]
        parts = []
        for batch in batches:
            parts.append(self.send(batch, answer_bytes))
            if len(parts[-1]) != len(batch) * answer_bytes:
                break
        answers = np.concatenate([np.zeros(0, np.uint8), *parts])
        leds = self.leds
        state = (
            f"overrun LED {'on' if leds & OVERRUN_LED else 'off'}, "
            f"frame error LED {'on' if leds & FRAME_ERROR_LED else 'off'}"
        )
        if len(answers) != len(images) * answer_bytes:
            raise SimulationError(
                f"uart: {len(answers)} of {len(images) * answer_bytes} bytes were answered, "
                f"then the board was silent ({state})"
            )
        if leds & (OVERRUN_LED | FRAME_ERROR_LED):
            raise SimulationError(f"uart: the board reports an error ({state})")
        return answers.reshape(len(images), answer_bytes)


def rtl_model(result: SynthResult, folder: Path) -> BoardModel:
    """Return a simulation of the RTL that went into synthesis, built in ``folder``."""
    library = compile_board(result.sources, result.top, folder)
    return BoardModel(
        library,
        result.netlist.parent,
        clocks_per_bit=result.clocks_per_bit,
        window=result.window,
    )


def netlist_model(result: SynthResult, folder: Path) -> BoardModel:
    """Return a simulation of the netlist after synthesis, built in ``folder``."""
    cells = yosys_share() / "ecp5"
    library = compile_board(
        # Yosys' own entry for the block RAM is an empty box.
        (HARNESS_FOLDER / "DP16KD.sv", result.netlist),
        result.top,
        folder,
        "-v",
        str(cells / "cells_sim.v"),
        f"-I{cells}",
    )
    return BoardModel(
        library,
        result.netlist.parent,
        clocks_per_bit=result.clocks_per_bit,
        window=result.window,
    )


def compile_board(
    sources: Sequence[Path], top: str, folder: Path, *args: str, optimise: str = "-O1"
) -> Path:
    """Compile a board's top level with the serial harness and return the shared library.

    Args:
        sources: Verilog files in dependency order.
        top: Name of the top-level module.
        folder: Receives the generated C++, the logs and the library.
        args: Further arguments of Verilator.
        optimise: Optimisation of the C++ compiler.

    Raises:
        BuildError: Verilator or the compiler failed.
        ToolNotFoundError: One of them is missing.
    """
    folder = folder.resolve()
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise BuildError(f"{folder}: cannot write: {error}") from error
    options = ("--cc", "-O3", "--no-timing", "--x-assign", "unique", "--x-initial", "unique")
    # Without the last option, -Wno-fatal would also forgive an elaboration $error of the RTL.
    quiet = ("-Wno-fatal", "-Wno-lint", "-Wno-style", "-Werror-USERERROR")
    names = ("--top-module", top, "--prefix", MODEL, "--Mdir", "verilated")
    files = tuple(str(path.resolve()) for path in sources)
    run_tool(
        "verilator", (*options, *quiet, *names, *args, *files), folder, folder / "verilator.log"
    )
    generated = folder / "verilated"
    flags = (optimise, "-fPIC", f"-I{generated}", f"-DMODEL={MODEL}", f'-DMODEL_HEADER="{MODEL}.h"')
    units = (HARNESS_FOLDER / "uart_harness.cpp", *sorted(generated.glob(f"{MODEL}*.cpp")))
    # One unit: the compiler reads Verilator's headers once instead of once a file.
    whole = folder / "board.cpp"
    whole.write_text("".join(f'#include "{unit}"\n' for unit in units))
    objects = compile_objects((whole,), folder, flags, is_traced=False)
    objects += runtime_objects(is_traced=False)
    library = folder / f"{MODEL}.so"
    linked = (*map(str, objects), "-shared", "-pthread", "-o", library.name)
    run_tool("c++", linked, folder, folder / "link.log")
    return library


def _load(path: Path) -> ctypes.CDLL:
    try:
        library = ctypes.CDLL(os.fspath(path))
    except OSError as error:
        raise BuildError(f"{path}: cannot be loaded: {error}") from error
    handle, number, address = ctypes.c_void_p, ctypes.c_uint64, ctypes.c_void_p
    library.board_new.restype = handle
    library.board_new.argtypes = [ctypes.c_int]
    library.board_delete.argtypes = [handle]
    library.board_delete.restype = None
    library.board_cycles.argtypes = [handle]
    library.board_cycles.restype = number
    library.board_leds.argtypes = [handle]
    library.board_leds.restype = ctypes.c_uint
    library.board_idle.argtypes = [handle, number, ctypes.c_int]
    library.board_idle.restype = None
    library.board_drive.argtypes = [handle, *[address] * 4, number]
    library.board_drive.restype = None
    library.board_uart.argtypes = [
        handle,
        ctypes.c_uint,
        *(address, number, number),
        *(address, number, number, number),
    ]
    library.board_uart.restype = ctypes.c_int64
    return library
