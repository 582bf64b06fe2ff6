"""A node of the model file: its attributes, its label in messages, its refusals."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx.reference import ReferenceEvaluator

from ..errors import UnsupportedOpError


@dataclass(frozen=True, eq=False)
class Node:
    """A node of an ONNX graph.

    Attributes:
        proto: The node as stored.
        opset: Version of the default operator set.
    """

    proto: Any
    opset: int

    @property
    def op(self) -> str:
        """Operator name."""
        return str(self.proto.op_type)

    @cached_property
    def label(self) -> str:
        """Name and operator for messages; the first output where the node has no name."""
        name = self.proto.name or (f"-> {self.outputs[0]}" if self.outputs else "")
        return f"node '{name}' ({self.op})"

    @cached_property
    def inputs(self) -> tuple[str, ...]:
        """Tensor names, trailing empty ones cut off."""
        names = list(self.proto.input)
        while names and not names[-1]:
            names.pop()
        return tuple(names)

    @cached_property
    def outputs(self) -> tuple[str, ...]:
        """Tensor names."""
        return tuple(name for name in self.proto.output if name)

    @cached_property
    def attributes(self) -> dict[str, Any]:
        """Values by name; strings decoded."""
        values = {a.name: onnx.helper.get_attribute_value(a) for a in self.proto.attribute}
        return {
            k: v.decode(errors="replace") if isinstance(v, bytes) else v for k, v in values.items()
        }

    def number(self, name: str, default: float) -> float:
        """Return a numeric attribute.

        Raises:
            UnsupportedOpError: It is no number, or infinite where the default is not.
        """
        value = self.attributes.get(name, default)
        is_number = isinstance(value, int | float) and not math.isnan(value)
        if not is_number or (math.isinf(value) and not math.isinf(default)):
            raise self.refuse(f"attribute {name} is {value!r}", "export the model again")
        return float(value)

    def refuse(self, reason: str, cure: str) -> UnsupportedOpError:
        """Return the error that names this node, why it has no integer form, what to change."""
        return UnsupportedOpError(f"{self.label}: {reason}; {cure}")

    def run(self, *inputs: NDArray[np.generic]) -> NDArray[np.generic]:
        """Return the first output for constant inputs; see :meth:`run_all`."""
        return self.run_all(*inputs)[0]

    def run_all(self, *inputs: NDArray[np.generic]) -> list[NDArray[np.generic]]:
        """Return the outputs for constant inputs, by ONNX' own reference.

        Raises:
            UnsupportedOpError: The reference cannot evaluate the node.
        """
        names = [f"x{i}" for i in range(len(inputs))]
        proto = onnx.NodeProto()
        proto.CopyFrom(self.proto)
        given = iter(names)
        for i, name in enumerate(proto.input):
            proto.input[i] = next(given, "") if name else ""
        try:
            element = onnx.helper.np_dtype_to_tensor_dtype
            graph = onnx.helper.make_graph(
                [proto],
                "constant",
                [
                    onnx.helper.make_tensor_value_info(name, element(array.dtype), array.shape)
                    for name, array in zip(names, inputs, strict=True)
                ],
                [onnx.ValueInfoProto(name=name) for name in self.outputs],
            )
            versions = [onnx.helper.make_opsetid("", self.opset)]
            model = onnx.helper.make_model(graph, opset_imports=versions)
            feeds = dict(zip(names, inputs, strict=True))
            return [np.asarray(array) for array in ReferenceEvaluator(model).run(None, feeds)]
        except (ValueError, TypeError, KeyError, IndexError, RuntimeError, ArithmeticError) as e:
            first_line = (str(e).splitlines() or [type(e).__name__])[0]
            raise self.refuse(
                f"its constant inputs cannot be evaluated ({first_line})",
                "fold the constants when you export the model",
            ) from e
