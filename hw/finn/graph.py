"""A dataflow as a graph of FINN ops, one node a stage, and back."""

from __future__ import annotations

from typing import Any

from onnx import NodeProto, TensorProto, helper
from qonnx.core.datatype import DataType as QonnxType
from qonnx.core.modelwrapper import ModelWrapper

from ..dtypes import DataType
from ..errors import GraphError
from ..graph import Dataflow, Stage, StreamType
from .attributes import DOMAIN, from_attributes, kind_of, op_type, to_attributes

_OPSET = 13
_IR_VERSION = 8


def to_finn(dataflow: Dataflow) -> ModelWrapper:
    """Return a FINN graph of ``dataflow``: nodes as FINN has them before it specialises layers.

    A tensor has the name of its stream and the shape ``(1, *shape)``; what the host applies to an
    output is not part of it.

    Args:
        dataflow: Folded and connected: the beats of every stream fit both its ends.

    Raises:
        GraphError: An input is an output as well.
    """
    if through := sorted(set(dataflow.inputs) & set(dataflow.outputs)):
        raise GraphError(f"{dataflow.name}: {through[0]!r} enters and leaves without a stage")
    nodes = [_node(stage) for stage in dataflow.stages]
    infos = {name: _value_info(name, kind) for name, kind in dataflow.streams.items()}
    graph = helper.make_graph(
        nodes,
        dataflow.name,
        [infos[name] for name in dataflow.inputs],
        [infos[name] for name in dataflow.outputs],
        value_info=[
            info
            for name, info in infos.items()
            if name not in dataflow.inputs and name not in dataflow.outputs
        ],
    )
    opsets = [helper.make_opsetid("", _OPSET), helper.make_opsetid(DOMAIN, 1)]
    proto = helper.make_model(graph, opset_imports=opsets, ir_version=_IR_VERSION)
    model = ModelWrapper(proto)
    for name, kind in dataflow.streams.items():
        model.set_tensor_datatype(name, QonnxType[kind.dtype.name])
    return model


def from_finn(model: ModelWrapper, *, name: str) -> Dataflow:
    """Return the dataflow of a graph of our ops, as FINN has left it.

    Streams are called as the stages know them, whatever FINN calls their tensors. Origins and host
    metadata are not in the graph.

    Args:
        model: General or specialised ops.
        name: Name of the dataflow.

    Raises:
        GraphError: A node is none of ours, FINN has joined nodes in another way than the stages
            were, or the folds of neighbours do not fit any more.
    """
    stages = []
    streams: dict[str, str] = {}
    for node in model.graph.node:
        stage = from_attributes(node)
        stages.append(stage)
        for tensor, stream in (
            *zip(node.input, stage.inputs, strict=True),
            *zip(node.output, stage.outputs, strict=True),
        ):
            if streams.setdefault(tensor, stream) != stream:
                raise GraphError(
                    f"node {node.name}: tensor {tensor!r} is stream {stream!r} here and "
                    f"{streams[tensor]!r} at its other end; the graph was changed"
                )
    consumed = {
        stream: kind
        for stage in stages
        for stream, kind in zip(stage.inputs, stage.input_types, strict=True)
    }
    inputs = {}
    for info in model.graph.input:
        if info.name not in streams:
            raise GraphError(f"input {info.name!r}: no node takes it")
        stream = streams[info.name]
        inputs[stream] = _entering(model, info.name, consumed[stream])
    return Dataflow(
        name=name,
        inputs=inputs,
        outputs=tuple(streams.get(info.name, info.name) for info in model.graph.output),
        stages=tuple(stages),
    )


def foreign_nodes(model: ModelWrapper) -> list[NodeProto]:
    """Return the nodes that are no stages of ours."""
    return [node for node in model.graph.node if kind_of(node) is None]


def _node(stage: Stage) -> NodeProto:
    node = helper.make_node(
        op_type(stage.kind),
        list(stage.inputs),
        list(stage.outputs),
        name=stage.name,
        domain=DOMAIN,
        backend="fpgadataflow",
        # What waits between stages is stages of ours; FINN must not add FIFOs of its own.
        inFIFODepths=[0] * len(stage.inputs),
        outFIFODepths=[0] * len(stage.outputs),
    )
    node.attribute.extend(to_attributes(stage))
    return node


def _value_info(name: str, kind: StreamType) -> Any:
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, *kind.shape])


def _entering(model: ModelWrapper, tensor: str, wanted: StreamType) -> StreamType:
    """Return the type of an input: its own shape, the beats that its consumer takes."""
    shape = tuple(model.get_tensor_shape(tensor)[1:])
    dtype = DataType.parse(model.get_tensor_datatype(tensor).name)
    fits = shape[-1] % wanted.lanes == 0
    return StreamType(dtype=dtype, shape=shape if fits else wanted.shape, lanes=wanted.lanes)
