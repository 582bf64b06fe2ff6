"""How the layers of a network are made: one object instead of five arguments of every block."""

from __future__ import annotations

from dataclasses import dataclass

from torch import nn

from ..grid import Grid
from ..precision import act_grid, activation, conv2d, normalization


@dataclass(frozen=True, kw_only=True)
class Style:
    """Precisions of a network whose values have a sign in some places.

    Attributes:
        weight: Precision of the weights.
        act: Precision of activations, which are a ReLU where they are floats.
        signed_act: Precision of values that no ReLU follows: in front of sums and of layers that
            follow a BatchNorm. Floats stay as they are.
        clip: Clip of the straight-through estimators of signs.
        bn_momentum: Share of a new batch in BatchNorm's running statistics.
    """

    weight: str = "float"
    act: str = "float"
    signed_act: str = "float"
    clip: float = 1.0
    bn_momentum: float = 0.1

    def check(self, where: str) -> None:
        """Check that the activations go together.

        Raises:
            ValueError: One is float and the other is not, or ``signed_act`` has no sign.
        """
        signed = act_grid(self.signed_act)
        if (self.act == "float") != (signed is None):
            raise ValueError(
                f"{where}: act={self.act!r} and signed_act={self.signed_act!r}: "
                "both must be floats or neither"
            )
        if signed is not None and signed.low >= 0:
            raise ValueError(
                f"{where}: signed_act={self.signed_act!r} has no sign; use int8 or such"
            )

    @property
    def grid(self) -> Grid | None:
        """Values of the activations; None for floats."""
        return act_grid(self.act)

    @property
    def signed_grid(self) -> Grid | None:
        """Values of the signed activations; None for floats."""
        return act_grid(self.signed_act)

    @property
    def sum_grid(self) -> Grid | None:
        """Values of the sum of two signed activations; None for floats."""
        grid = self.signed_grid
        if grid is None:
            return None
        return Grid(step=grid.step, low=2 * grid.low, high=2 * grid.high)

    def make_act(self) -> nn.Module:
        """Return an activation."""
        return activation(self.act, clip=self.clip)

    def make_signed(self) -> nn.Module:
        """Return a rounding of values with a sign; floats pass."""
        if self.signed_act == "float":
            return nn.Identity()
        return activation(self.signed_act, clip=self.clip)

    def make_conv(
        self,
        in_channels: int,
        out_channels: int,
        kernel: int,
        *,
        inputs: Grid | None,
        stride: int = 1,
        groups: int = 1,
    ) -> list[nn.Module]:
        """Return a convolution that keeps the size of maps, but for its stride, and its BatchNorm.

        Args:
            in_channels: Channels of the input.
            out_channels: Channels of the output.
            kernel: Odd height and width of the window.
            inputs: Values that it takes; None for floats.
            stride: Steps of the window.
            groups: Groups of channels that are convolved apart.
        """
        conv = conv2d(
            in_channels,
            out_channels,
            kernel,
            weight=self.weight,
            clip=self.clip,
            inputs=inputs,
            padding=kernel // 2,
            stride=stride,
            groups=groups,
        )
        norm = nn.BatchNorm2d(out_channels, momentum=self.bn_momentum)
        return [conv, normalization(norm, weight=self.weight)]
