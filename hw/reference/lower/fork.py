"""Lowering of ``fork``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from ...stages import Fork
from ..builder import Builder
from ..layout import Layout, View
from .lowering import Lowering


class LowerFork(Lowering[Fork]):
    """Several readers of one memory."""

    def takes(self, stage: Fork, outputs: Sequence[Layout]) -> Sequence[Layout]:
        """What the first consumer wants; the others convert."""
        return outputs[:1]

    def lower(
        self,
        stage: Fork,
        sources: Sequence[View],
        outputs: Sequence[Layout],
        builder: Builder,
    ) -> Sequence[View]:
        """Add nothing."""
        return [replace(sources[0], type=kind) for kind in stage.output_types]
