"""Waveforms of a simulation, with the names of the SystemVerilog top level."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np

from .handshakes import Changes, Handshakes

_FIRST_CODE, _CODES = 33, 94  # printable characters


def write_vcd(path: Path, name: str, streams: Mapping[str, Handshakes], total_cycles: int) -> None:
    """Write ``tvalid``, ``tready``, ``transfer`` and ``held`` of each stream as VCD.

    Cycle c lasts from time ``2 c`` to ``2 c + 1``; ``clk`` rises in its middle, and what is
    transferred in it is seen before that.

    Args:
        path: File to write.
        name: Name of the top level.
        streams: By name.
        total_cycles: Cycles to write.
    """
    signals: list[tuple[str, int, Changes]] = [("clk", 1, _clock(total_cycles))]
    for stream, signal in streams.items():
        most = int(signal.held[1].max(initial=1))
        for suffix, width, changes in (
            ("tvalid", 1, signal.valid),
            ("tready", 1, signal.ready),
            ("transfer", 1, signal.transfer),
            ("held", most.bit_length(), signal.held),
        ):
            signals.append((f"{stream}_{suffix}", width, (2 * changes[0], changes[1])))
    with path.open("w", encoding="ascii") as file:
        file.write(f"$timescale 1ns $end\n$scope module {name} $end\n")
        for number, (signal_name, width, _) in enumerate(signals):
            file.write(f"$var wire {width} {_code(number)} {signal_name} $end\n")
        file.write("$upscope $end\n$enddefinitions $end\n#0\n$dumpvars\n")
        for number, (_, width, _) in enumerate(signals):
            file.write(_value(0, width, _code(number)))
        file.write("$end\n")
        file.writelines(_lines(signals, 2 * total_cycles))


def _clock(cycles: int) -> Changes:
    return np.arange(2 * cycles), np.arange(2 * cycles) % 2


def _lines(signals: list[tuple[str, int, Changes]], end: int) -> Iterator[str]:
    """Yield the value changes in order of time."""
    times = np.concatenate([at for _, _, (at, _) in signals])
    values = np.concatenate([values for _, _, (_, values) in signals])
    numbers = np.repeat(np.arange(len(signals)), [len(at) for _, _, (at, _) in signals])
    order = np.argsort(times, kind="stable")
    order = order[times[order] < end]
    now = 0
    codes = [_code(number) for number in range(len(signals))]
    for time, value, number in zip(
        times[order].tolist(), values[order].tolist(), numbers[order].tolist(), strict=True
    ):
        if time != now:
            yield f"#{time}\n"
            now = time
        yield _value(value, signals[number][1], codes[number])
    yield f"#{end}\n"


def _value(value: int, width: int, code: str) -> str:
    return f"{value}{code}\n" if width == 1 else f"b{value:b} {code}\n"


def _code(number: int) -> str:
    """Return the short name of a signal."""
    text = ""
    while True:
        number, digit = divmod(number, _CODES)
        text += chr(_FIRST_CODE + digit)
        if number == 0:
            return text
        number -= 1
