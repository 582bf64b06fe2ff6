"""How each op of FINN that a stage expresses becomes that stage; see ``foreign``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType

import numpy as np

from ..dtypes import BIPOLAR, DataType, IntArray
from ..errors import DatatypeError
from ..stages import Argmax, Depthwise, MatVec, Pool, Threshold, Thresholds, Window
from ..stages.kernels import KERNELS
from .foreign import FloatArray, Handler, Node, Point, Reader, Taps, is_xnor


def _integers(node: Node, values: FloatArray, what: str) -> IntArray:
    integers = values.astype(np.int64)
    if (integers != values).any():
        raise node.refused(f"{what} must be integers, got {values[integers != values].flat[0]}")
    return integers


def _layer(
    reader: Reader, node: Node, point: Point, weights: FloatArray
) -> tuple[DataType, str, IntArray]:
    """Return the input datatype, the kernel and the weights ``(neurons, synapses)`` of a layer."""
    integers = _integers(node, weights, "weights")
    if is_xnor(node):
        if set(np.unique(integers)) <= {0, 1}:
            integers = 2 * integers - 1
        return BIPOLAR, "xnor", integers
    dtype = point.kind.dtype
    if dtype == BIPOLAR and node.proto.input[0] in reader.bits:
        raise node.refused("its input is bits to an XNOR layer as well, whose 0 is -1")
    for name, kernel in KERNELS.items():
        try:
            kernel.check_input(dtype)
            kernel.weight_dtype(integers)
        except DatatypeError:
            continue
        if name != "xnor":  # its accumulator is another one
            return dtype, name, integers
    raise node.refused(
        f"no kernel takes weights {integers.min()} to {integers.max()} and {dtype.name} inputs"
    )


def _staircase(reader: Reader, node: Node, index: int, channels: int) -> Thresholds:
    """Return the thresholds of a node: ``ActVal`` and one for each level reached."""
    levels = np.ceil(reader.constant(node, index)).astype(np.int64)
    if levels.ndim != 2 or levels.shape[0] not in (1, channels):
        raise node.refused(f"thresholds {levels.shape} must be (1 or {channels}, steps)")
    (output,) = node.proto.output
    dtype = reader.dtype_of(output)
    base = node.number("ActVal", 0)
    if dtype == BIPOLAR and base in (0, -1):
        base = 0  # FINN's -1 is the value of bit 0
    return Thresholds(
        levels=np.sort(np.broadcast_to(levels, (channels, levels.shape[1])), axis=1),
        is_rising=np.ones(channels, np.bool_),
        base=base,
        dtype=dtype,
    )


def _vectors(node: Node) -> tuple[int, ...]:
    """Return the dimensions of an image before its channels."""
    return tuple(int(n) for n in node.values.get("numInputVectors", (1,)))[1:]


def _mvau(reader: Reader, node: Node) -> None:
    point = reader.plain(node)
    dtype, kernel, weights = _layer(reader, node, point, reader.constant(node, 1).T)
    name = reader.name(node)
    reader.add(
        node,
        MatVec(
            name=name,
            inputs=(point.stream,),
            outputs=(f"{name}_out",),
            weights=weights,
            input_dtype=dtype,
            kernel=kernel,
            thresholds=_activation(reader, node, len(weights)),
            leading=_vectors(node),
        ),
        simd=node.number("SIMD"),
        pe=node.number("PE"),
    )


def _activation(reader: Reader, node: Node, channels: int) -> Thresholds | None:
    """Return the thresholds inside a layer, if it has some."""
    return None if node.number("noActivation", 0) else _staircase(reader, node, 2, channels)


def _vvau(reader: Reader, node: Node) -> None:
    point = reader.plain(node)
    channels = node.number("Channels")
    weights = reader.constant(node, 1).reshape(channels, -1)
    dtype, kernel, integers = _layer(reader, node, point, weights)
    name = reader.name(node)
    reader.add(
        node,
        Depthwise(
            name=name,
            inputs=(point.stream,),
            outputs=(f"{name}_out",),
            weights=integers,
            input_dtype=dtype,
            kernel=kernel,
            thresholds=_activation(reader, node, channels),
            leading=node.pair("Dim"),
        ),
        # Taps take their turn here, whatever FINN's SIMD.
        pe=node.number("PE"),
    )


def _thresholding(reader: Reader, node: Node) -> None:
    point = reader.plain(node)
    channels = node.number("NumChannels")
    dtype = point.kind.dtype
    thresholds = _staircase(reader, node, 1, channels)
    if dtype == BIPOLAR:
        bits = np.tile(np.array([[-1], [1]], np.int64), channels)
        if thresholds.dtype != BIPOLAR or (thresholds.execute(bits) != bits).any():
            raise node.refused("thresholds on bits that change them have no stage")
        reader.alias(node, point)
        return
    name = reader.name(node)
    reader.add(
        node,
        Threshold(
            name=name,
            inputs=(point.stream,),
            outputs=(f"{name}_out",),
            thresholds=thresholds,
            input_dtype=dtype,
            leading=_vectors(node),
        ),
        pe=node.number("PE"),
    )


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


def _label_select(reader: Reader, node: Node) -> None:
    point = reader.plain(node)
    if node.number("K", 1) != 1:
        raise node.refused(f"K={node.number('K')}, but only the greatest element has a stage")
    name = reader.name(node)
    reader.add(
        node,
        Argmax(
            name=name,
            inputs=(point.stream,),
            outputs=(f"{name}_out",),
            classes=node.number("Labels"),
            input_dtype=point.kind.dtype,
            leading=_vectors(node),
        ),
        pe=node.number("PE"),
    )


def _fifo(reader: Reader, node: Node) -> None:
    point = reader.points[node.proto.input[0]]
    lanes = int(node.values["folded_shape"][-1])
    stored = node.number("depth") * lanes
    reader.depths[point.stream] = reader.depths.get(point.stream, 0) + stored
    reader.alias(node, point)


def _converter(reader: Reader, node: Node) -> None:
    reader.alias(node, reader.points[node.proto.input[0]])


def _host_factor(reader: Reader, node: Node) -> None:
    point, factor = _before_host(reader, node)
    if node.op == "ElementwiseDiv":
        factor = 1 / factor
    reader.alias(node, replace(point, scale=point.scale * factor, bias=point.bias * factor))


def _host_term(reader: Reader, node: Node) -> None:
    point, term = _before_host(reader, node)
    if node.op == "ElementwiseSub":
        term = -term
    reader.alias(node, replace(point, bias=point.bias + term))


def _before_host(reader: Reader, node: Node) -> tuple[Point, FloatArray]:
    """Return what a constant is put on, and the constant, one value or one per channel."""
    if len(node.proto.input) != 2 or reader.model.get_initializer(node.proto.input[1]) is None:
        raise node.refused("a sum or product of two streams has no stage")
    point = reader.points[node.proto.input[0]]
    constant = reader.constant(node, 1).reshape(-1)
    if constant.size not in (1, point.kind.shape[-1]):
        raise node.refused(f"constant of {constant.size} values; there are {point.kind.shape[-1]}")
    return point, constant


HANDLERS: Mapping[str, Handler] = MappingProxyType(
    {
        "ConvolutionInputGenerator": _generator,
        "ElementwiseAdd": _host_term,
        "ElementwiseDiv": _host_factor,
        "ElementwiseMul": _host_factor,
        "ElementwiseSub": _host_term,
        "FMPadding": _padding,
        "GlobalAccPool": _sum_of_image,
        "LabelSelect": _label_select,
        "MVAU": _mvau,
        "Pool": _pool,
        "StreamingDataWidthConverter": _converter,
        "StreamingFIFO": _fifo,
        "StreamingMaxPool": _max_pool,
        "Thresholding": _thresholding,
        "VVAU": _vvau,
    }
)
