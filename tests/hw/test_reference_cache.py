"""Compiled kernels on disk: shared, rebuilt when damaged, not needed."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from popshift.hw.reference import cache

from .reference_cases import (
    assert_equal,
    bipolar,
    chain,
    matvec,
    signs,
)


def small_network():
    rng = np.random.default_rng(5)
    first = matvec(bipolar(rng, 9, 33), thresholds=signs(rng, 9, 10, 22), ends=("x", "h"))
    return chain(first, matvec(bipolar(rng, 4, 9), ends=("h", "y"))), bipolar(rng, 3, 33)


def other_network():
    """Return a network whose kernel takes the same types of arguments."""
    rng = np.random.default_rng(6)
    first = matvec(bipolar(rng, 8, 33), thresholds=signs(rng, 8, 10, 22), ends=("x", "h"))
    return chain(first, matvec(bipolar(rng, 4, 8), ends=("h", "y"))), bipolar(rng, 3, 33)


def test_networks_of_one_shape_share_a_kernel(tmp_path, monkeypatch, rng):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    for _ in range(2):
        first = matvec(bipolar(rng, 9, 33), thresholds=signs(rng, 9, 10, 22), ends=("x", "h"))
        dataflow = chain(first, matvec(bipolar(rng, 4, 9), ends=("h", "y")))
        assert_equal(dataflow, bipolar(rng, 3, 33))
    assert len(list(cache.folder().iterdir())) == 1


@pytest.mark.parametrize(
    ("pattern", "damage"),
    [
        ("*.nbc", "flip"),
        ("*.nbc", "cut"),
        ("*.nbi", "flip"),
        ("*.nbi", "remove"),
        ("kernel.py", "cut"),
        ("checksums.json", "cut"),
        ("checksums.json", "remove"),
    ],
)
def test_a_damaged_cache_entry_is_rebuilt(pattern, damage, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    dataflow, x = small_network()
    assert_equal(dataflow, x)
    (file,) = cache.folder().rglob(pattern)
    content = bytearray(file.read_bytes())
    middle = len(content) // 2
    if damage == "remove":
        file.unlink()
    elif damage == "cut":
        file.write_bytes(content[:middle])
    else:
        content[middle] ^= 0xFF
        file.write_bytes(content)
    assert_equal(dataflow, x)
    (entry,) = cache.folder().iterdir()
    assert cache.is_sound(entry)


SCRIPT = f"""
import sys
sys.path.insert(0, {str(Path(__file__).parents[2])!r})
from tests.hw import test_reference_cache as tests
tests.assert_equal(*tests.other_network())
tests.assert_equal(*tests.small_network())
"""


def start_process(cache_home):
    environment = {**os.environ, "XDG_CACHE_HOME": str(cache_home)}
    return subprocess.Popen([sys.executable, "-c", SCRIPT], env=environment)


def test_another_process_takes_the_compiled_kernels(tmp_path, monkeypatch):
    """It also compiles one more first, whose machine code must not be taken for the other's."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert_equal(*small_network())
    (code,) = cache.folder().rglob("*.nbc")
    before = code.stat().st_mtime_ns
    assert start_process(tmp_path).wait(timeout=120) == 0
    assert start_process(tmp_path).wait(timeout=120) == 0
    assert code.stat().st_mtime_ns == before
    assert len(list(cache.folder().iterdir())) == 2


@pytest.mark.parametrize("obstacle", ["file", "read-only"])
def test_kernels_stay_in_memory_where_the_cache_cannot_be_written(obstacle, tmp_path, monkeypatch):
    place = tmp_path / "cache"
    if obstacle == "file":
        place.write_text("in the way")
    else:
        # Like a full or read-only disk, also for a user who may write everywhere.
        monkeypatch.setattr(cache.tempfile, "mkstemp", _refuse)
    monkeypatch.setenv("XDG_CACHE_HOME", str(place))
    assert_equal(*small_network())


def _refuse(*_arguments, **_keywords):
    raise OSError(28, "No space left on device")


def test_two_processes_compile_at_once(tmp_path):
    processes = [start_process(tmp_path) for _ in range(2)]
    assert [process.wait(timeout=120) for process in processes] == [0, 0]
    entries = list((tmp_path / "popshift" / "reference").iterdir())
    assert len(entries) == 2
    assert all(cache.is_sound(entry) for entry in entries)
