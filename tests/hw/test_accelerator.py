from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import popshift
from popshift.hw.accelerator import Accelerator
from popshift.hw.emit import emit
from popshift.hw.errors import FoldingError, GraphError

from .networks import images, small_network


def test_the_public_names_are_there() -> None:
    assert popshift.hw.Accelerator is Accelerator
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        popshift.hw.nothing  # noqa: B018


def test_run_is_what_execute_says() -> None:
    acc = Accelerator(small_network())
    want = acc.dataflow.execute(images(30))
    assert np.array_equal(acc.run(images(30)), want["y"])
    have = acc.streams(images(30))
    assert all(np.array_equal(have[name], want[name]) for name in want)


def test_folding_changes_cycles_and_no_integer() -> None:
    acc = Accelerator(small_network())
    folded = acc.fold({"fc0": {"simd": 8, "pe": 12}, "fc1": {"PE": 6}})
    assert np.array_equal(folded.run(images(9)), acc.run(images(9)))
    assert folded.simulate(images=9).total_cycles < acc.simulate(images=9).total_cycles
    assert folded.report(clock_mhz=25).bottleneck.stage == "fc2"


def test_fold_wants_one_way_to_fold() -> None:
    acc = Accelerator(small_network())
    for arguments in ({}, {"fps": 10.0}, {"folding": {}, "fps": 10.0, "clock_mhz": 1.0}):
        with pytest.raises(FoldingError, match="give either a folding, or both"):
            acc.fold(**arguments)  # type: ignore[arg-type]


def test_save_and_load_and_write(tmp_path: Path) -> None:
    acc = Accelerator(small_network()).with_fifos(3)
    acc.save(tmp_path)
    again = popshift.hw.load(tmp_path)
    assert np.array_equal(again.run(images(5)), acc.run(images(5)))
    files = acc.write_rtl(tmp_path / "rtl")
    assert files.sources[-1] == "small.sv"
    assert all((tmp_path / "rtl" / name).is_file() for name in (*files.sources, *files.images))


def test_the_top_level_may_not_hide_a_module(tmp_path: Path) -> None:
    with pytest.raises(GraphError, match="matvec: a module has this name"):
        emit(replace(small_network(), name="matvec"), tmp_path)
