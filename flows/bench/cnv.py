"""FINN's CNV with the foldings of its benchmarks."""

from __future__ import annotations

import tempfile
from pathlib import Path

from ...hw.frontend import load
from ...hw.graph import Dataflow
from ...hw.passes import apply_folding

# PE and SIMD of the layers of CNV, by the cycles that an image then takes: the folding that FINN's
# repository publishes, and one with four times the lanes.
CNV_FOLDINGS = {
    32_768: ((16, 3), (32, 32), (16, 32), (16, 32), (4, 32), (1, 32), (1, 4), (1, 8), (5, 1)),
    8_192: ((64, 3), (64, 64), (32, 64), (32, 64), (16, 32), (4, 32), (4, 4), (4, 8), (5, 1)),
}


def cnv(cycles: int) -> Dataflow:
    """Return FINN's CNV with random bits as weights, folded to take so many cycles an image.

    Args:
        cycles: A key of ``CNV_FOLDINGS``.
    """
    import torch  # noqa: PLC0415 (slow to load)

    from ...models import export, zoo  # noqa: PLC0415

    torch.manual_seed(0)
    net = zoo.create("cnv", weight="binary", act="binary").eval()
    images = torch.randint(0, 256, (1, 3, 32, 32), dtype=torch.uint8)
    with tempfile.TemporaryDirectory() as folder:
        dataflow = load(export(net, Path(folder) / "cnv.onnx", inputs=images).model)
    folding = {
        f"MVAU_{layer}": {"PE": pe, "SIMD": simd}
        for layer, (pe, simd) in enumerate(CNV_FOLDINGS[cycles])
    }
    return apply_folding(dataflow, folding)
