"""Lowering of ``window``: where the pixels under the kernel are found."""

from __future__ import annotations

from collections.abc import Sequence

from ...graph import StreamType
from ...stages import Window
from ...stages.line_buffer import LineBuffer
from ..builder import Builder
from ..index import Index
from ..layout import Axis, Form, Layout, View
from .lowering import Lowering


def windows(image: View, lines: LineBuffer, kind: StreamType) -> View:
    """Return the view of the windows of an image, whose padding is its margin."""
    top, left, _, _ = lines.padding
    (down, along), (height, width) = lines.out_shape, lines.kernel
    (row, column), (dy, dx), (sy, sx) = (
        (image.rows.stride, image.columns.stride),
        lines.dilation,
        lines.stride,
    )
    return View(
        slot=image.slot,
        type=kind,
        start=image.start - top * row - left * column,
        rows=Axis(down, sy * row),
        columns=Axis(along, sx * column),
        parts=(Axis(height, dy * row), Axis(width, dx * column), *image.parts),
    )


class LowerWindow(Lowering[Window]):
    """Windows read where the image lies; they are copied only for a consumer that cannot gather.

    Those of groups of channels, whose elements are not strides of pixels, are always copied.
    """

    def takes(self, stage: Window, outputs: Sequence[Layout]) -> Sequence[Layout]:
        """The form of the output, or integers for groups, with the padding around it."""
        form = outputs[0].form if stage.groups == 1 else Form.INTS
        return (Layout(form, stage.padding, stage.pad_value),)

    def lower(
        self,
        stage: Window,
        sources: Sequence[View],
        outputs: Sequence[Layout],
        builder: Builder,
    ) -> Sequence[View]:
        """Add nothing, or a copy of the windows of groups."""
        view = windows(sources[0], stage.lines, stage.output_types[0])
        return (view if stage.groups == 1 else _grouped(view, stage.groups, builder),)


def _grouped(view: View, groups: int, builder: Builder) -> View:
    """Emit a copy of windows whose elements go in the order (group, ky, kx, channel)."""
    target = builder.slot(view.type, Layout(Form.INTS), view.slot.limits).view
    bits, channels = target.slot.unit_bits, view.slot.channels // groups
    taps = [Axis(axis.extent, axis.stride * view.slot.pixel) for axis in view.parts]
    builder.emit(f"# windows of {groups} groups")
    axes = (Axis(groups, channels), *taps)
    with builder.vectors(x=view, y=target), builder.units(axes, channels) as (at, number):
        element = f"item(s, {Index.of('x') + at}, {bits})"
        builder.emit(f"set_item(s, {Index.of('y') + number}, {bits}, {element})")
    return target
