"""Folding files of FINN: entries by node name, mapped to stages by kind and order.

The rule: ``<op>_<n>``, with any of FINN's suffixes (``_Batch``, ``_hls``, ``_rtl``) before the
number, is the n-th stage of the kind that computes ``<op>``, in the order of the dataflow.

- ``MVAU``, ``MatrixVectorActivation``, ``StreamingFCLayer``: matvec. ``VVAU``,
  ``VectorVectorActivation``, ``Vector_Vector_Activate``: depthwise.
- ``Thresholding``, ``StreamingMaxPool``, ``Pool``, ``LabelSelect``: threshold, pool, argmax. FINN
  may have more of them, or fold them in other ways; an entry without a stage, or whose value does
  not divide, is left out.
- ``ConvolutionInputGenerator``, ``FMPadding``, ``StreamingDataWidthConverter``, ``StreamingFIFO``,
  ``DuplicateStreams``, ``AddStreams``, ``ChannelwiseOp``: left out. Windows follow their layers.
- Of an entry only ``PE`` and ``SIMD`` are read; memories and FIFOs are chosen here in other ways.
  So is everything under ``Defaults``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

from ..errors import FoldingError
from ..graph import Stage
from ..stages import Argmax, Depthwise, MatVec, Pool, Threshold

_LAYERS: Mapping[str, type[Stage]] = MappingProxyType(
    {
        "MVAU": MatVec,
        "MatrixVectorActivation": MatVec,
        "StreamingFCLayer": MatVec,
        "VVAU": Depthwise,
        "VectorVectorActivation": Depthwise,
        "Vector_Vector_Activate": Depthwise,
    }
)
_OTHERS: Mapping[str, type[Stage]] = MappingProxyType(
    {
        "LabelSelect": Argmax,
        "Pool": Pool,
        "StreamingMaxPool": Pool,
        "Thresholding": Threshold,
    }
)
_LEFT_OUT = frozenset(
    {
        "AddStreams",
        "ChannelwiseOp",
        "ConvolutionInputGenerator",
        "DownSampler",
        "DuplicateStreams",
        "FMPadding",
        "FMPadding_Pixel",
        "IODMA",
        "StreamingDataWidthConverter",
        "StreamingFIFO",
    }
)
_ENTRY = re.compile(r"(?P<op>[A-Za-z_]+?)(_Batch|_hls|_rtl)*_(?P<number>\d+)")


def from_finn(
    folding: Mapping[str, Mapping[str, Any]], stages: Sequence[Stage]
) -> dict[str, dict[str, Any]]:
    """Return a folding by the names of ``stages``; entries that name a stage stay as they are.

    Args:
        folding: By stage name, or by FINN's node names.
        stages: Logical stages, in the order of the dataflow.

    Raises:
        FoldingError: An entry names neither a stage nor a node of FINN, there are fewer layers than
            it counts, or two entries are of one stage.
    """
    names = {stage.name for stage in stages}
    found: dict[str, dict[str, Any]] = {}
    for entry, given in folding.items():
        if entry in names:
            name, values = entry, dict(given)
        elif entry == "Defaults":
            continue
        else:
            stage = _stage(entry, stages)
            if stage is None:
                continue
            name, values = stage.name, _folds_of(stage, given)
        if name in found:
            raise FoldingError(f"folding: {entry!r} is a second entry for stage {name!r}")
        found[name] = values
    return found


def without_attributes(folding: Mapping[str, Any]) -> dict[str, Any]:
    """Return a folding file without ``Defaults`` and all but PE and SIMD of FINN's entries."""
    found: dict[str, Any] = {}
    for entry, given in folding.items():
        if entry == "Defaults":
            continue
        match = _ENTRY.fullmatch(entry)
        is_finn = match is not None and match["op"] in {*_LAYERS, *_OTHERS, *_LEFT_OUT}
        if is_finn and isinstance(given, Mapping):
            found[entry] = {key.lower(): given[key] for key in ("PE", "SIMD") if key in given}
        else:
            found[entry] = given
    return found


def _stage(entry: str, stages: Sequence[Stage]) -> Stage | None:
    """Return the stage that FINN calls ``entry``; None for what has none here."""
    match = _ENTRY.fullmatch(entry)
    op = match["op"] if match else ""
    if match is None or op not in {*_LAYERS, *_OTHERS, *_LEFT_OUT}:
        raise FoldingError(
            f"folding: no stage {entry!r}; the stages are {[stage.name for stage in stages]} "
            "(FINN's names, such as MVAU_0, are taken as well)"
        )
    if op in _LEFT_OUT:
        return None
    kind = _LAYERS.get(op) or _OTHERS[op]
    candidates = [stage for stage in stages if isinstance(stage, kind)]
    number = int(match["number"])
    if number < len(candidates):
        return candidates[number]
    if op in _OTHERS:
        return None
    raise FoldingError(
        f"folding: {entry!r} is layer {number} of kind {kind.kind}, but the dataflow has "
        f"{len(candidates)}: {[stage.name for stage in candidates]}"
    )


def _folds_of(stage: Stage, given: Mapping[str, Any]) -> dict[str, Any]:
    """Return PE and SIMD of an entry, without those that the stage has not."""
    folds = {key.lower(): given[key] for key in given if key.upper() in ("PE", "SIMD")}
    if isinstance(stage, MatVec):
        return folds
    if isinstance(stage, Depthwise):
        # FINN's SIMD folds the taps, which take their turn here.
        return {"pe": folds["pe"]} if "pe" in folds else {}
    channels = stage.input_types[0].shape[-1]
    lanes = folds.get("pe")
    return {"pe": lanes} if isinstance(lanes, int) and lanes > 0 and channels % lanes == 0 else {}
