"""The conformance suite catches a fault in every module: each one is broken on purpose."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from popshift.flows.conformance import bench, check, random_bench, random_layers
from popshift.flows.lint_rtl import libraries_of, lint
from popshift.hw.emit import RTL_FOLDER

from .mutants import MUTANTS, Mutant, directed

# A fault of every fourth module and of every kernel; `make test-long` has all faults.
_OF_MODULES = {mutant.module: mutant for mutant in reversed(MUTANTS) if not mutant.kernel}
_OF_KERNELS = {mutant.kernel: mutant for mutant in reversed(MUTANTS) if mutant.kernel}
_SOME = [*list(_OF_MODULES.values())[::4], *_OF_KERNELS.values()]
_CASES = [
    pytest.param(
        mutant,
        id=f"{mutant.module}-{mutant.fault}",
        marks=() if mutant in _SOME else pytest.mark.long,
    )
    for mutant in MUTANTS
]


def test_every_fault_is_in_its_module_once() -> None:
    for mutant in MUTANTS:
        text = (RTL_FOLDER / f"{mutant.module}.sv").read_text()
        assert text.count(mutant.before) == 1, f"{mutant.module}: {mutant.fault}"


@pytest.mark.slow
def test_every_fault_is_systemverilog(tmp_path: Path) -> None:
    """Also those that only `make test-long` simulates stay with the modules."""
    for mutant in MUTANTS:
        module = RTL_FOLDER / f"{mutant.module}.sv"
        broken = tmp_path / module.name
        broken.write_text(module.read_text().replace(mutant.before, mutant.after))
        said = lint(broken, *libraries_of(module))
        errors = [line for line in said if line.startswith("%Error") and "Exiting" not in line]
        assert errors == [], mutant.fault


@pytest.mark.slow
@pytest.mark.parametrize("mutant", _CASES)
def test_the_suite_catches(mutant: Mutant, tmp_path: Path) -> None:
    modules = tmp_path / "modules"
    shutil.copytree(RTL_FOLDER, modules)
    source = modules / f"{mutant.module}.sv"
    text = source.read_text()
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
