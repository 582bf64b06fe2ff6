"""Distances that a file spells out: ``ReduceSum(Abs(Sub(columns, W)))`` becomes one operator.

The columns are ``Unsqueeze`` of a matrix, or of windows that ``Im2Col`` took from a map with its
channels last, as qonnx writes a convolution.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from .nodes import Node

_DOMAIN = "popshift.ops"
_CHANNELS_LAST, _CHANNELS_FIRST = [0, 2, 3, 1], [0, 3, 1, 2]


def spelled_out(nodes: Sequence[Node], tensors: Mapping[str, NDArray[np.generic]]) -> list[Node]:
    """Return nodes in which each distance of data to weights is one node; see docs/ops.md.

    What a distance does not need any more stays, for others that take it.

    Args:
        nodes: Of a graph, in order.
        tensors: Its constants by name.
    """
    return _Distances(nodes, tensors).rewritten()


class _Distances:
    def __init__(self, nodes: Sequence[Node], tensors: Mapping[str, NDArray[np.generic]]) -> None:
        self.nodes = nodes
        self.tensors = dict(tensors)
        self.maker = {name: node for node in nodes for name in node.outputs}
        self.users: dict[str, list[Node]] = {}
        for node in nodes:
            for name in node.inputs:
                self.users.setdefault(name, []).append(node)
        for node in nodes:
            if node.op == "Constant" and "value" in node.attributes:
                self.tensors[node.outputs[0]] = numpy_helper.to_array(node.attributes["value"])

    def rewritten(self) -> list[Node]:
        """Return the nodes, with one or some in place of each sum of distances."""
        result: list[Node] = []
        made: set[str] = set()
        for node in self.nodes:
            if not made.intersection(node.outputs):
                result += self._at(node) if node.op == "ReduceSum" else [node]
                made.update(name for other in result[-1:] for name in other.outputs)
        return result

    def _at(self, total: Node) -> list[Node]:
        """Return what takes the place of a sum: itself, where it is none of distances.

        A Neg behind it, as the operators have it, is part of them.
        """
        found = self._operands(total)
        if found is None:
            return [total]
        columns, weights, is_transposed = found
        windows = self.maker.get(columns.inputs[0])
        name = f"{total.outputs[0]}_"
        users = self.users.get(total.outputs[0], [])
        is_negated = len(users) == 1 and users[0].op == "Neg"
        distances = users[0].outputs[0] if is_negated else f"{name}distances"
        is_map = windows is not None and windows.op == "Im2Col"
        made = []
        if is_map != is_transposed:
            made.append(helper.make_node("Transpose", [weights], [f"{name}w"], perm=[1, 0]))
            weights = f"{name}w"
        if windows is None or not is_map:
            data = columns.inputs[0]
            made.append(_l1("L1MatMul", [data, weights], distances, total))
        elif (conv := self._conv(windows, weights, distances, total)) is not None:
            made += conv
        else:
            return [total]
        if not is_negated:
            made.append(helper.make_node("Neg", [distances], [total.outputs[0]]))
        return [Node(proto, total.opset) for proto in made]

    def _operands(self, total: Node) -> tuple[Node, str, bool] | None:
        """Return the Unsqueeze of the data, the weights, and whether outputs come first in them."""
        absolute = self.maker.get(total.inputs[0])
        if absolute is None or absolute.op != "Abs" or total.number("keepdims", 1):
            return None
        difference = self.maker.get(absolute.inputs[0])
        if difference is None or difference.op != "Sub":
            return None
        makers = [self.maker.get(name) for name in difference.inputs]
        for columns, weights in zip(makers, reversed(difference.inputs), strict=True):
            if columns is None or columns.op != "Unsqueeze":
                continue
            source = self.maker.get(columns.inputs[0])
            rank = 5 if source is not None and source.op == "Im2Col" else 3
            # One place is the new one, and the sum runs over the other.
            ends = (self._axis(columns, rank), self._axis(total, rank))
            if ends in ((-1, -2), (-2, -1)):
                return columns, weights, ends == (-2, -1)
        return None

    def _axis(self, node: Node, rank: int) -> int | None:
        """Return the one axis of a node, counted from the end; None where it is not known."""
        given = node.attributes.get("axes")
        if len(node.inputs) > 1:
            given = self.tensors.get(node.inputs[1])
        axes = [] if given is None else [int(axis) for axis in np.ravel(given)]
        if len(axes) != 1:
            return None
        return axes[0] if axes[0] < 0 else axes[0] - rank

    def _conv(
        self, windows: Node, weights: str, output: str, total: Node
    ) -> list[onnx.NodeProto] | None:
        """Return an ``L1Conv`` on a map with its channels first, and its result with them last.

        The weights have shape ``(outputs, taps)``.
        """
        moved = self.maker.get(windows.inputs[0])
        is_map = moved is not None and moved.op == "Transpose"
        if not is_map or moved is None or moved.attributes.get("perm") != _CHANNELS_LAST:
            return None
        if windows.attributes.get("depthwise", 0) or windows.attributes.get("pad_value", 0):
            return None
        rows, columns = (int(n) for n in windows.attributes["kernel_size"])
        name = f"{output}_"
        shape = numpy_helper.from_array(np.array([0, rows, columns, -1], np.int64))
        stride = windows.attributes["stride"]
        pads = windows.attributes.get("pad_amount", [0, 0, 0, 0])
        return [
            helper.make_node("Constant", [], [f"{name}shape"], value=shape),
            helper.make_node("Reshape", [weights, f"{name}shape"], [f"{name}taps"]),
            helper.make_node("Transpose", [f"{name}taps"], [f"{name}w"], perm=_CHANNELS_FIRST),
            _l1(
                "L1Conv",
                [moved.inputs[0], f"{name}w"],
                f"{name}map",
                total,
                kernel_shape=[rows, columns],
                strides=stride,
                pads=pads,
                dilations=windows.attributes.get("dilations", [1, 1]),
                group=1,
            ),
            helper.make_node("Transpose", [f"{name}map"], [output], perm=_CHANNELS_LAST),
        ]


def _l1(
    op: str, inputs: list[str], output: str, total: Node, **attributes: object
) -> onnx.NodeProto:
    return helper.make_node(
        op, inputs, [output], name=total.proto.name, domain=_DOMAIN, **attributes
    )
