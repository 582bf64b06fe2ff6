"""Lowering of ``fifo`` and ``width``, which change no element."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from ...graph import Stage
from ..builder import Builder
from ..layout import Layout, View
from .lowering import Lowering


class LowerStream(Lowering[Stage]):
    """Stages that only store or cut beats: the output is the input."""

    def takes(self, stage: Stage, outputs: Sequence[Layout]) -> Sequence[Layout]:
        """What the next stage wants."""
        return outputs

    def lower(
        self,
        stage: Stage,
        sources: Sequence[View],
        outputs: Sequence[Layout],
        builder: Builder,
    ) -> Sequence[View]:
        """Add nothing."""
        return (replace(sources[0], type=stage.output_types[0]),)
