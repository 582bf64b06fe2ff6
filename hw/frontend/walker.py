"""The walk over a QONNX graph, and the table of handlers: one function per operator."""

from __future__ import annotations

import os
from pathlib import Path
from types import MappingProxyType

import numpy as np
import onnx
from qonnx.core.modelwrapper import ModelWrapper

from ..errors import GraphError, ModelFileError
from ..graph import Dataflow, HostAffine
from ..passes.connect import assemble
from . import (
    activations,
    concats,
    constants,
    convolutions,
    elementwise,
    ends,
    layers,
    paddings,
    pools,
    selections,
    shapes,
    sums,
    truncations,
)
from .branches import give, merge_branches, users_of
from .constants import fold_constant
from .distance_patterns import spelled_out
from .graph_inputs import add_inputs
from .islands import Constant, Undeclared
from .model_file import read_model
from .names import identifier, is_identifier
from .nodes import Node
from .refusals import refuse_operator
from .report import FrontendReport
from .walk import Handlers, Walk, refuse_file

HANDLERS: Handlers = MappingProxyType(
    {
        **activations.HANDLERS,
        **concats.HANDLERS,
        **constants.HANDLERS,
        **convolutions.HANDLERS,
        **elementwise.HANDLERS,
        **ends.HANDLERS,
        **layers.HANDLERS,
        **paddings.HANDLERS,
        **pools.HANDLERS,
        **selections.HANDLERS,
        **shapes.HANDLERS,
        **sums.HANDLERS,
        **truncations.HANDLERS,
    }
)

_DOMAINS = frozenset(
    {
        "",
        "ai.onnx",
        "finn.custom_op.general",
        "onnx.brevitas",
        "popshift.ops",
        "qonnx.custom_op.general",
    }
)
_MAP_OPS = frozenset({*convolutions.HANDLERS, *paddings.HANDLERS, *pools.HANDLERS})
# Their parameters are per channel, and do not broadcast as operands do.
_PARAMETER_OPS = frozenset({"BatchNormalization", "Clip", "Dropout", "PRelu"})
_QUANTIZERS = frozenset({*activations.HANDLERS, *truncations.HANDLERS})


def load(
    path: str | os.PathLike[str],
    *,
    name: str | None = None,
    input_dtype: str | None = None,
    argmax: bool = True,
) -> Dataflow:
    """Return the unfolded dataflow of a QONNX file; see :func:`load_with_report`."""
    return load_with_report(path, name=name, input_dtype=input_dtype, argmax=argmax)[0]


def load_with_report(
    path: str | os.PathLike[str],
    *,
    name: str | None = None,
    input_dtype: str | None = None,
    argmax: bool = True,
) -> tuple[Dataflow, FrontendReport]:
    """Return the unfolded dataflow of a QONNX file, and what was found out on the way.

    Args:
        path: ONNX file, its external data beside it.
        name: Name of the top level, a SystemVerilog identifier; by default from the file name.
        input_dtype: Datatype of the graph inputs (e.g. "UINT8") where the file does not say it.
        argmax: Append an argmax stage where it commutes with the affine rest of an output.

    Returns:
        Integers only: every stage with ``pe = simd = 1``, and FIFOs where branches meet. Images
        are vectors in row-major order; with convolutions or pools in the graph, ``(N, C, H, W)``
        enters pixel by pixel, channels last, and every ``Origin`` says how a stream and its tensor
        are ordered.
        ``host`` maps the integers of an output stream to the graph output.

    Raises:
        ModelFileError: The file cannot be read.
        UnsupportedOpError: A node has no exact integer form.
        DatatypeError: ``input_dtype`` is no datatype or contradicts the file.
        GraphError: ``name`` is no identifier.
    """
    file = Path(path)
    if name is not None and not is_identifier(name):
        raise GraphError(f"name {name!r} is no SystemVerilog identifier; use letters, digits, _")
    model = read_model(file)
    graph = model.graph
    nodes = _live_nodes(model, file)
    outputs = [output.name for output in graph.output]
    walk = Walk(uses=users_of(nodes, outputs), has_maps=any(node.op in _MAP_OPS for node in nodes))
    for tensor in graph.initializer:
        walk.values[tensor.name] = Constant(values=onnx.numpy_helper.to_array(tensor))
    add_inputs(walk, model, input_dtype)
    for node in nodes:
        _visit(walk, node)
    if not walk.stages:
        raise refuse_file(str(file), "the graph has no layer", "export a model with a layer")
    host: dict[str, HostAffine] = {}
    streams = []
    for tensor in outputs:
        stream, affine = ends.finish(walk, tensor, with_argmax=argmax)
        streams.append(stream)
        if affine is not None:
            host[stream] = affine
    merge_branches(walk)
    # Operators in place of several nodes have tensors that the file does not have.
    known = {name for node in graph.node for name in node.output}
    known.update(info.name for info in graph.input)
    origins = {name: origin for name, origin in walk.origins.items() if origin.tensor in known}
    dataflow = assemble(
        name=name or identifier(file.stem),
        inputs=walk.inputs,
        outputs=streams,
        stages=tuple(walk.stages.values()),
        origins=origins,
        accumulators=walk.accumulators,
        host=host,
    )
    layer_notes = tuple(walk.layers[name] for name in walk.stages)
    return dataflow, FrontendReport(layers=layer_notes, notes=tuple(walk.notes))


def _live_nodes(model: ModelWrapper, file: Path) -> list[Node]:
    """Return the nodes that an output depends on, in the order of the file."""
    versions = {o.domain: o.version for o in model.model.opset_import}
    opset = versions.get("", versions.get("ai.onnx", 0))
    nodes = [Node(proto, opset) for proto in model.graph.node]
    if not nodes:
        raise ModelFileError(f"{file}: the graph has no node; export the model again")
    tensors = {t.name: onnx.numpy_helper.to_array(t) for t in model.graph.initializer}
    nodes = spelled_out(nodes, tensors)
    needed = {output.name for output in model.graph.output}
    live = []
    for node in reversed(nodes):
        if needed.intersection(node.outputs):
            needed.update(node.inputs)
            live.append(node)
    return live[::-1]


def _visit(walk: Walk, node: Node) -> None:
    """Compute the values of the outputs of ``node``."""
    if node.proto.domain not in _DOMAINS:
        raise node.refuse(
            f"domain {node.proto.domain!r} is unknown", "use ONNX and QONNX operators"
        )
    known = [walk.values.get(name) for name in node.inputs if name]
    constants = [value for value in known if isinstance(value, Constant)]
    if node.inputs and len(constants) == len(known) and node.op not in _QUANTIZERS:
        walk.values.update(zip(node.outputs, fold_constant(node, constants), strict=True))
        return
    handler = HANDLERS.get(node.op)
    if handler is None:
        raise refuse_operator(node)
    waiting = _in_software(walk, node)
    value = handler(walk, node) if waiting is None else waiting
    if not isinstance(value, tuple):
        # Of the two outputs of TopK only the index has an integer form.
        tensor = node.proto.output[1] if node.op == "TopK" else node.outputs[0]
        give(walk, node.label, tensor, value)
        return
    for tensor, part in zip(node.outputs, value, strict=True):
        if tensor in walk.uses:
            give(walk, node.label, tensor, part)


def _in_software(walk: Walk, node: Node) -> Undeclared | None:
    """Return the graph input behind an elementwise node that comes before the first quantizer.

    What a model does to floats before it quantizes them stays in software.
    """
    if node.op not in elementwise.HANDLERS:
        return None
    values = [walk.values.get(name) for name in node.inputs if name]
    waiting = [value for value in values if isinstance(value, Undeclared)]
    shapes = [value.values.shape for value in values if isinstance(value, Constant)]
    if len(waiting) != 1 or len(shapes) != len(values) - 1:
        return None
    shape = waiting[0].shape
    if node.op not in _PARAMETER_OPS and np.broadcast_shapes(shape, *shapes) != shape:
        return None
    return waiting[0]
