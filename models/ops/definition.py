"""Meanings of operators as model-local functions."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import onnx
from onnx import parser
from onnx.inliner import inline_selected_functions
from onnx.shape_inference import infer_shapes
from qonnx.core.modelwrapper import ModelWrapper

DOMAIN = "popshift.ops"
VERSION = 1
OPSET = 14
"""The first version of ONNX whose shapes follow through the functions."""
_IR_VERSION = 8  # the first with functions


@dataclass(frozen=True, kw_only=True)
class Definition:
    """What an operator computes, in ONNX' own text form.

    Attributes:
        domain: Domain of the operator.
        op: Its name.
        signature: ``<attributes> (inputs) => (outputs)``.
        body: Statements for the nodes of a file, which are all nodes of the operator in it.
        imports: Versions of further domains that the body needs for these nodes.
    """

    op: str
    signature: str
    body: Callable[[Sequence[onnx.NodeProto]], str]
    domain: str = DOMAIN
    imports: Callable[[Sequence[onnx.NodeProto]], Mapping[str, int]] = field(
        default=lambda nodes: {}
    )

    def function(self, nodes: Sequence[onnx.NodeProto], opset: int) -> onnx.FunctionProto:
        """Return the function that defines ``nodes`` in a file of the version ``opset``."""
        versions = {"": opset, **self.imports(nodes)}
        listed = ", ".join(f'"{domain}" : {version}' for domain, version in versions.items())
        return parser.parse_function(
            f'<domain: "{self.domain}", opset_import: [{listed}]>'
            f"{self.op} {self.signature} {{ {self.body(nodes)} }}"
        )


def add_definitions(model: onnx.ModelProto, definitions: Sequence[Definition]) -> None:
    """Add to ``model`` the function of each operator that it uses, in the order given.

    Raises:
        ValueError: An operator of our own domain has no definition.
    """
    model.ir_version = max(model.ir_version, _IR_VERSION)
    opsets = {entry.domain: entry.version for entry in model.opset_import}
    defined = set()
    for definition in definitions:
        key = (definition.domain, definition.op)
        nodes = [node for node in model.graph.node if (node.domain, node.op_type) == key]
        if not nodes:
            continue
        defined.add(key)
        model.functions.append(definition.function(nodes, opsets[""]))
        for domain, version in definition.imports(nodes).items():
            if domain not in opsets:
                opsets[domain] = version
                model.opset_import.append(onnx.helper.make_opsetid(domain, version))
    for node in model.graph.node:
        if node.domain == DOMAIN and (node.domain, node.op_type) not in defined:
            raise ValueError(f"export: operator {node.op_type} has no definition; add one")


def without_own_ops(model: ModelWrapper) -> ModelWrapper:
    """Return ``model`` with the nodes of our own domain replaced by what they stand for.

    Every tensor of ``model`` keeps its name. qonnx executes the result, of which it wants all
    shapes.
    """
    own = [(f.domain, f.name) for f in model.model.functions if f.domain == DOMAIN]
    if not own:
        return model
    plain = inline_selected_functions(model.model, own)
    return ModelWrapper(infer_shapes(plain, data_prop=True))
