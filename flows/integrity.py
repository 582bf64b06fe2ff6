"""Compares the parameters and the RTL files of a build with what they were made from."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..hw.emit import SOURCES_FILE, emit, image_files
from ..hw.graph import Dataflow, Stage
from ..hw.passes import logical_stages
from ..hw.storage import stage_arrays
from .compare import NOTHING, Comparison


def compare_parameters(dataflow: Dataflow, fresh: Dataflow) -> Comparison:
    """Compare weights and thresholds with those of a dataflow compiled afresh from the model.

    Args:
        dataflow: The stored one, folded.
        fresh: The one that the frontend makes, unfolded; folding changes no parameter.
    """
    stored = {stage.name: stage for stage in dataflow.stages}
    total = NOTHING
    for stage in logical_stages(fresh):
        if stage.name not in stored:
            line = f"layer {stage.name}: is in the model but not in the dataflow"
            total += Comparison(elements=1, mismatches=1, first=(line,))
            continue
        have = stage_arrays(stored[stage.name])
        for field, want in stage_arrays(stage).items():
            total += _compare_array(f"layer {stage.name}, {field}", want, have.get(field))
    return total


def _compare_array(
    where: str, want: NDArray[np.generic], have: NDArray[np.generic] | None
) -> Comparison:
    if have is None or have.shape != want.shape:
        shape = None if have is None else have.shape
        line = f"{where}: expected shape {want.shape}, got {shape}"
        return Comparison(elements=want.size, mismatches=want.size, first=(line,))
    wrong = np.argwhere(want != have)
    first: tuple[str, ...] = ()
    if len(wrong):
        at = tuple(int(i) for i in wrong[0])
        element = "" if len(at) < 2 else f", element {at[1]}"
        first = (f"{where}: channel {at[0]}{element}: expected {want[at]}, got {have[at]}",)
    return Comparison(elements=want.size, mismatches=len(wrong), first=first)


def compare_rtl_files(dataflow: Dataflow, folder: Path) -> Comparison:
    """Compare every RTL file of a build with the one that ``emit`` writes for its dataflow."""
    total = NOTHING
    owners = {name: owner for stage in dataflow.stages for name, owner in image_owners(stage)}
    with tempfile.TemporaryDirectory(prefix="popshift-") as scratch:
        files = emit(dataflow, Path(scratch))
        for name in (*files.sources, *files.images, SOURCES_FILE):
            want = (Path(scratch) / name).read_text().splitlines()
            path = folder / name
            have = path.read_text(errors="replace").splitlines() if path.is_file() else []
            total += compare_lines(f"rtl/{name}", want, have, owners.get(name))
    return total


def image_owners(stage: Stage) -> Iterator[tuple[str, tuple[Stage, str, int]]]:
    """Yield the memory image files of a stage, each with its owner, see :func:`compare_lines`."""
    for parameter, image in stage.module().memories.items():
        for index, name in enumerate(image_files(stage.name, parameter, len(image.slices()))):
            yield name, (stage, parameter, index * (image.slice_bits or 0))


def compare_lines(
    file: str, want: list[str], have: list[str], owner: tuple[Stage, str, int] | None
) -> Comparison:
    """Compare the lines of a file.

    Args:
        file: Its name in messages.
        want: Lines that it should have.
        have: Lines that it has.
        owner: Stage and parameter of a memory image, which say what a differing bit stands for, and
            the bit of a word that the file begins with.
    """
    wrong = [i for i, (a, b) in enumerate(zip(want, have, strict=False)) if a != b]
    mismatches = len(wrong) + abs(len(want) - len(have))
    if not mismatches:
        return Comparison(elements=len(want), mismatches=0, first=())
    if not wrong:
        line = f"{file}: expected {len(want)} lines, got {len(have)}"
    else:
        at = wrong[0]
        place = f"{file} line {at + 1}"
        if owner is not None:
            stage, parameter, start = owner
            place += (
                f": layer {stage.name}, {_place(stage, parameter, start, at, want[at], have[at])}"
            )
        line = f"{place}: expected {want[at].strip()!r}, got {have[at].strip()!r}"
    return Comparison(elements=len(want), mismatches=mismatches, first=(line,))


def _place(stage: Stage, parameter: str, start: int, word: int, want: str, have: str) -> str:
    """Return what the lowest differing bit of a memory word stands for.

    Args:
        stage: Owner of the memory.
        parameter: Which memory of the stage.
        start: Bit of the word that the slice in the file begins with.
        word: Which word.
        want: Its expected digits.
        have: Its digits.
    """
    try:
        difference = int(want, 16) ^ int(have, 16)
    except ValueError:
        return f"word {word} is no hexadecimal number"
    bit = start + (difference & -difference).bit_length() - 1
    return stage.locate(parameter, word, bit)
