"""The conformance suite catches a fault in every module: each one is broken on purpose."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from popshift.flows.conformance import bench, check, random_bench, random_layers
from popshift.hw.emit import RTL_FOLDER

from .mutants import MUTANTS, Mutant, directed

_FIRST = {mutant.module: mutant for mutant in reversed(MUTANTS)}.values()
_CASES = [
    pytest.param(
        mutant,
        id=f"{mutant.module}-{mutant.fault}",
        marks=() if mutant in _FIRST else pytest.mark.long,
    )
    for mutant in MUTANTS
]


@pytest.mark.slow
@pytest.mark.parametrize("mutant", _CASES)
def test_the_suite_catches(mutant: Mutant, tmp_path: Path) -> None:
    modules = tmp_path / "modules"
    shutil.copytree(RTL_FOLDER, modules)
    source = modules / f"{mutant.module}.sv"
    text = source.read_text()
    squeezed = " ".join(text.split())
    assert text.count(mutant.before) == 1, f"{mutant.before!r} stands there once: {squeezed[:80]}"
    source.write_text(text.replace(mutant.before, mutant.after))
    if mutant.kernel:
        images = 24
        dataflow = bench((*random_layers(mutant.kernel, 8, 0).stages, *directed(mutant.kernel)))
    else:
        count, images = (4, 12) if mutant.kind in ("window", "pool") else (8, 24)
        dataflow = bench((*random_bench(mutant.kind, count, 0).stages, *directed(mutant.kind)))
    result = check(dataflow, tmp_path, images=images, runs=4, rtl_folder=modules)
    assert result.mismatches > 0
    assert result.first
