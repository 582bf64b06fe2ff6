"""Maps ``(N, channels, height, width)``: what Conv and the pools have in common."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from .islands import Island
from .nodes import Node

Pair = tuple[int, int]
Sides = tuple[int, int, int, int]


@dataclass(frozen=True, kw_only=True)
class Geometry:
    """How a kernel moves over a map.

    Attributes:
        kernel: Rows and columns.
        stride: Rows and columns.
        dilation: Rows and columns.
        padding: Rows above, columns on the left, rows below, columns on the right.
        height: Rows of the map.
        width: Columns of the map.
    """

    kernel: Pair
    stride: Pair
    dilation: Pair
    padding: Sides
    height: int
    width: int

    @property
    def out_shape(self) -> Pair:
        """Places of the kernel in a column and in a row."""
        rows, columns = self._room
        return rows // self.stride[0] + 1, columns // self.stride[1] + 1

    @property
    def is_partial(self) -> bool:
        """Whether rows or columns at the end are in no place of the kernel."""
        rows, columns = self._room
        return rows % self.stride[0] > 0 or columns % self.stride[1] > 0

    @property
    def _room(self) -> Pair:
        """Rows and columns by which the kernel can move."""
        top, left, bottom, right = self.padding
        return (
            self.height + top + bottom - (self.kernel[0] - 1) * self.dilation[0] - 1,
            self.width + left + right - (self.kernel[1] - 1) * self.dilation[1] - 1,
        )


def geometry(node: Node, island: Island, kernel: Sequence[int]) -> Geometry:
    """Return how the kernel of ``node`` moves, from its attributes.

    Raises:
        UnsupportedOpError: They are not those of a map.
    """
    given = {
        name: tuple(int(n) for n in node.attributes.get(name, default))
        for name, default in (
            ("kernel_shape", tuple(kernel)),
            ("strides", (1, 1)),
            ("dilations", (1, 1)),
            ("pads", (0, 0, 0, 0)),
        )
    }
    rows, columns, high, wide = (*given["kernel_shape"], *given["strides"])
    down, across = given["dilations"]
    if given["kernel_shape"] != tuple(kernel):
        raise node.refuse(
            f"kernel_shape {given['kernel_shape']} contradicts its weights {tuple(kernel)}",
            "export the model again",
        )
    top, left, bottom, right = given["pads"]
    above, before, below, behind = island.padding.sides if island.padding else (0, 0, 0, 0)
    auto = str(node.attributes.get("auto_pad", "NOTSET"))
    if auto in ("SAME_UPPER", "SAME_LOWER"):
        top, bottom = _same(above + island.shape[2] + below, (rows - 1) * down + 1, high, auto)
        left, right = _same(
            before + island.shape[3] + behind, (columns - 1) * across + 1, wide, auto
        )
    elif auto == "VALID":
        top = left = bottom = right = 0
    if min(top, left, bottom, right) < 0:
        raise node.refuse(f"its pads {given['pads']} crop the map", "use pads >= 0")
    return Geometry(
        kernel=(rows, columns),
        stride=(high, wide),
        dilation=(down, across),
        padding=(top, left, bottom, right),
        height=island.shape[2],
        width=island.shape[3],
    )


def check_room(node: Node, moves: Geometry) -> None:
    """Raise if the kernel is larger than the padded map.

    Raises:
        UnsupportedOpError: It is.
    """
    if min(moves.out_shape) < 1:
        raise node.refuse(
            f"its kernel {moves.kernel} is larger than the map {moves.height} x {moves.width}",
            "use a larger image or fewer layers that shrink it",
        )


def _same(size: int, extent: int, stride: int, auto: str) -> Pair:
    """Return the padding on both ends that makes ``ceil(size / stride)`` places."""
    total = max((-(-size // stride) - 1) * stride + extent - size, 0)
    less, more = total // 2, total - total // 2
    return (less, more) if auto == "SAME_UPPER" else (more, less)
