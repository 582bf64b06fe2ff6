"""The dataflows whose cycles and FIFOs are measured, with random bits as weights."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import MappingProxyType

from ...hw.frontend import load
from ...hw.graph import Dataflow
from ...hw.passes import apply_folding, fold
from ...hw.stages import Window

# PE and SIMD of the layers of CNV, by the cycles that an image then takes: the folding that FINN's
# repository publishes, and one with four times the lanes.
CNV_FOLDINGS = {
    32_768: ((16, 3), (32, 32), (16, 32), (16, 32), (4, 32), (1, 32), (1, 4), (1, 8), (5, 1)),
    8_192: ((64, 3), (64, 64), (32, 64), (32, 64), (16, 32), (4, 32), (4, 4), (4, 8), (5, 1)),
}


def cnv(cycles: int) -> Dataflow:
    """Return FINN's CNV, folded to take so many cycles an image.

    Args:
        cycles: A key of ``CNV_FOLDINGS``.
    """
    folding = {
        f"MVAU_{layer}": {"PE": pe, "SIMD": simd}
        for layer, (pe, simd) in enumerate(CNV_FOLDINGS[cycles])
    }
    return apply_folding(_exported("cnv", act="binary"), folding)


def resnet18(fps: float) -> Dataflow:
    """Return ResNet-18 for images of 3 x 32 x 32, folded for a rate at 100 MHz."""
    return fold(_exported("resnet18", act="uint4"), fps=fps, clock_mhz=100)


def with_tight_line_buffers(dataflow: Dataflow) -> Dataflow:
    """Return ``dataflow`` with the fewest words in its line buffers, so that layers wait."""
    stages = tuple(
        stage.with_(depth=stage.lines.least_capacity) if isinstance(stage, Window) else stage
        for stage in dataflow.stages
    )
    return replace(dataflow, stages=stages)


DATAFLOWS: Mapping[str, Callable[[], Dataflow]] = MappingProxyType(
    {
        "CNV 3 k FPS": partial(cnv, 32_768),
        "CNV 12 k FPS": partial(cnv, 8_192),
        "ResNet-18 3 k FPS": partial(resnet18, 3_000),
    }
)
"""By name; the rates are those at 100 MHz."""


def _exported(name: str, *, act: str) -> Dataflow:
    """Return a network of the zoo on images of 3 x 32 x 32 bytes, with binary weights."""
    import torch  # noqa: PLC0415 (slow to load)

    from ...models import export, zoo  # noqa: PLC0415

    torch.manual_seed(0)
    net = zoo.create(name, weight="binary", act=act).eval()
    images = torch.randint(0, 256, (1, 3, 32, 32), dtype=torch.uint8)
    with tempfile.TemporaryDirectory() as folder:
        return load(export(net, Path(folder) / f"{name}.onnx", inputs=images).model)
