"""Interleaved measurements in CPU time, and what the machine is."""

from __future__ import annotations

import platform
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path


@dataclass(frozen=True)
class Row:
    """One comparison.

    Attributes:
        work: What was done, e.g. ``SFC batch 256``.
        popshift: Rate of popshift, per CPU-second.
        peer: Rate of the peer, same unit.
        peer_name: Name and version of the peer.
    """

    work: str
    popshift: float
    peer: float
    peer_name: str

    @property
    def ratio(self) -> float:
        """How many times faster popshift is."""
        return self.popshift / self.peer

    def as_json(self) -> dict[str, str | float]:
        """Return the row as the JSON object that every benchmark prints."""
        return {**asdict(self), "ratio": self.ratio}


def interleaved_rates(
    engines: Mapping[str, Callable[[], object]], *, work: int, block_seconds: float, rounds: int
) -> dict[str, float]:
    """Return the median rate of each engine, measured in turns A B C, A B C, ...

    Turns spread what else the machine does over all engines; CPU time and the median leave most of
    it out.

    Args:
        engines: A call of each engine that does ``work`` units.
        work: Units of one call.
        block_seconds: CPU time of one turn; at least one call.
        rounds: Turns of each engine; a third of them where one call takes much longer than a turn.

    Returns:
        Units per CPU-second of this process, by engine.
    """
    plans = {name: _plan(engine, block_seconds) for name, engine in engines.items()}
    rates: dict[str, list[float]] = {name: [] for name in engines}
    for turn in range(rounds):
        for name, engine in engines.items():
            calls, every = plans[name]
            if turn % every == 0:
                seconds = _cpu_seconds(engine, calls)
                rates[name].append(work * calls / seconds)
    return {name: statistics.median(found) for name, found in rates.items()}


def _plan(engine: Callable[[], object], seconds: float) -> tuple[int, int]:
    """Return how many calls take about ``seconds``, and in every how many-th round; warms up too.

    An engine whose single call takes more than twice as long takes every third turn.
    """
    engine()
    calls = 1
    while (taken := _cpu_seconds(engine, calls)) < seconds / 4:
        calls *= 4
    is_slow = calls == 1 and taken > 2 * seconds
    return max(1, round(calls * seconds / taken)), 3 if is_slow else 1


def _cpu_seconds(engine: Callable[[], object], calls: int) -> float:
    """Return the CPU time of ``calls`` calls, of all threads."""
    repeat = range(calls)
    start = time.process_time()
    for _ in repeat:
        engine()
    return max(time.process_time() - start, 1e-9)


def machine() -> dict[str, str]:
    """Return what the figures depend on; nothing that names the machine."""
    return {"cpu": _cpu_model(), "system": platform.system(), "python": platform.python_version()}


def _cpu_model() -> str:
    """Return the model name of the processor."""
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
    except OSError:
        lines = []
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.processor() or platform.machine())
