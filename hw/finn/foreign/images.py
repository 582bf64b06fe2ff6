"""Images of FINN: padding, sliding windows, pools."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType

from ...dtypes import BIPOLAR
from ...stages import Pool, Window
from .node import Node
from .reader import Handler, Point, Reader, Taps


def _padding(reader: Reader, node: Node) -> None:
    point = reader.plain(node)
    top, left, bottom, right = (int(n) for n in node.values["Padding"])
    reader.alias(node, replace(point, padding=(top, left, bottom, right)))


def _generator(reader: Reader, node: Node) -> None:
    point = reader.points[node.proto.input[0]]
    taps = Taps(
        kernel=node.pair("ConvKernelDim"),
        stride=node.pair("Stride", (1, 1)),
        dilation=node.pair("Dilation", (1, 1)),
    )
    if point.taps is not None or point.is_float:
        raise node.refused("its input is windowed or scaled already")
    consumers = {
        other.op_type: Node.of(other).op
        for other in reader.model.graph.node
        if node.proto.output[0] in other.input
    }
    if set(consumers.values()) == {"Pool"}:
        reader.alias(node, replace(point, taps=taps))
        return
    name = reader.name(node)
    height, width = _unpadded(node, point)
    reader.add(
        node,
        Window(
            name=name,
            inputs=(point.stream,),
            outputs=(f"{name}_out",),
            input_dtype=point.kind.dtype,
            height=height,
            width=width,
            channels=node.number("IFMChannels"),
            kernel=taps.kernel,
            stride=taps.stride,
            dilation=taps.dilation,
            padding=point.padding,
            # FINN pads with zero bits.
            pad_value=-1 if point.kind.dtype == BIPOLAR else 0,
        ),
        simd=node.number("SIMD"),
    )


def _unpadded(node: Node, point: Point) -> tuple[int, int]:
    """Return rows and columns of the image under the padding."""
    top, left, bottom, right = point.padding
    height, width = node.pair("IFMDim")
    return height - top - bottom, width - left - right


_OPERATIONS = MappingProxyType({"MaxPool": "max", "AccPool": "sum"})


def _pool(reader: Reader, node: Node) -> None:
    point = reader.points[node.proto.input[0]]
    operation = _OPERATIONS.get(str(node.values.get("Function")))
    if operation is None:
        raise node.refused(f"{node.values.get('Function')} divides, which no stage does")
    if point.taps is None or point.taps.dilation != (1, 1) or point.is_float:
        raise node.refused("it needs a sliding window without dilation before it")
    rows, columns, channels = point.kind.shape
    name = reader.name(node)
    if any(point.padding) and point.kind.dtype.min < 0 and point.kind.dtype != BIPOLAR:
        raise node.refused("a padded 0 may be the greatest of negative integers")
    reader.add(
        node,
        Pool(
            name=name,
            inputs=(point.stream,),
            outputs=(f"{name}_out",),
            input_dtype=point.kind.dtype,
            height=rows,
            width=columns,
            channels=channels,
            kernel=point.taps.kernel,
            stride=point.taps.stride,
            padding=point.padding,
            operation=operation,
        ),
        pe=node.number("PE"),
    )


def _max_pool(reader: Reader, node: Node) -> None:
    """FINN's older pool, which makes its own windows."""
    size = node.pair("PoolDim")
    if node.number("CeilMode", 0):
        raise node.refused("CeilMode pools over a part of a window")
    _whole_pool(reader, node, size, "max", node.number("PE", 1))


def _sum_of_image(reader: Reader, node: Node) -> None:
    rows, columns, _ = reader.plain(node).kind.shape
    _whole_pool(reader, node, (rows, columns), "sum", node.number("PE"))


def _whole_pool(reader: Reader, node: Node, size: tuple[int, int], operation: str, pe: int) -> None:
    """Add a pool of windows that do not overlap."""
    point = reader.plain(node)
    rows, columns, channels = point.kind.shape
    name = reader.name(node)
    reader.add(
        node,
        Pool(
            name=name,
            inputs=(point.stream,),
            outputs=(f"{name}_out",),
            input_dtype=point.kind.dtype,
            height=rows,
            width=columns,
            channels=channels,
            kernel=size,
            stride=size,
            operation=operation,
        ),
        pe=pe,
    )


HANDLERS: Mapping[str, Handler] = MappingProxyType(
    {
        "ConvolutionInputGenerator": _generator,
        "FMPadding": _padding,
        "GlobalAccPool": _sum_of_image,
        "Pool": _pool,
        "StreamingMaxPool": _max_pool,
    }
)
