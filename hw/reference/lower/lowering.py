"""What a stage must say to become kernel text."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Generic, TypeVar

from ...graph import Stage
from ..builder import Builder
from ..layout import Layout, View

AnyStage = TypeVar("AnyStage", bound=Stage)


class Lowering(ABC, Generic[AnyStage]):
    """How a class of stages becomes kernel text.

    The vector lane is the channel: a *tile* is up to 64 channels, whose weights lie together. The
    tile is the outer loop and the position the inner one, so that the weights of a tile stay in the
    first-level cache. The results of a tile are one word of each plane of the output.
    """

    def supports(self, stage: AnyStage) -> bool:
        """Return whether this very stage can be lowered."""
        return True

    @abstractmethod
    def takes(self, stage: AnyStage, outputs: Sequence[Layout]) -> Sequence[Layout]:
        """Return the layout wanted of each input, for those that the consumers want."""

    @abstractmethod
    def lower(
        self,
        stage: AnyStage,
        sources: Sequence[View],
        outputs: Sequence[Layout],
        builder: Builder,
    ) -> Sequence[View]:
        """Add the stage to the kernel and return where its outputs are.

        Args:
            stage: The stage.
            sources: Its inputs, in the layouts that it takes.
            outputs: What the consumers of its outputs want; another layout will be converted.
            builder: Kernel to add to.
        """
