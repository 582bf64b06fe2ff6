"""A node of a FINN graph: its op by the present name, its attributes, errors that name it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from onnx import NodeProto, helper

from ...errors import UnsupportedOpError

_ALIASES = MappingProxyType(
    {
        "MatrixVectorActivation": "MVAU",
        "StreamingFCLayer": "MVAU",
        "VectorVectorActivation": "VVAU",
        "Vector_Vector_Activate": "VVAU",
    }
)


def op_of(node: NodeProto) -> str:
    """Return FINN's op without its suffixes, by its present name.

    >>> op_of(NodeProto(op_type="MatrixVectorActivation")), op_of(NodeProto(op_type="Pool_hls"))
    ('MVAU', 'Pool')
    """
    name = re.sub(r"(_Batch|_hls|_rtl)+$", "", node.op_type)
    return _ALIASES.get(name, name)


@dataclass(frozen=True)
class Node:
    """A node of the FINN graph with its attributes, and errors that name it."""

    proto: NodeProto
    values: Mapping[str, Any]

    @classmethod
    def of(cls, proto: NodeProto) -> Node:
        """Return ``proto`` with its attributes read."""
        values = {item.name: helper.get_attribute_value(item) for item in proto.attribute}
        return cls(proto, {k: v.decode() if isinstance(v, bytes) else v for k, v in values.items()})

    @property
    def op(self) -> str:
        """Its op, by the present name."""
        return op_of(self.proto)

    def number(self, name: str, default: int | None = None) -> int:
        """Return an integer attribute.

        Raises:
            UnsupportedOpError: It is not there.
        """
        value = self.values.get(name, default)
        if not isinstance(value, int):
            raise self.refused(f"attribute {name} is {value!r}, not an integer")
        return value

    def pair(self, name: str, default: tuple[int, int] | None = None) -> tuple[int, int]:
        """Return an attribute of rows and columns; one number stands for both.

        Raises:
            UnsupportedOpError: It is not there.
        """
        value = self.values.get(name, default)
        if isinstance(value, int):
            value = (value, value)
        if value is None or len(value) != 2:
            raise self.refused(f"attribute {name} is {value!r}, not rows and columns")
        return int(value[0]), int(value[1])

    def refused(self, why: str) -> UnsupportedOpError:
        """Return the error that says why the node cannot be expressed."""
        return UnsupportedOpError(f"node {self.proto.name}: {self.op}: {why}")


def is_xnor(node: Node) -> bool:
    """Return whether a layer reads 0 and 1 as -1 and +1."""
    if node.op not in ("MVAU", "VVAU"):
        return False
    types = {node.values.get("inputDataType"), node.values.get("weightDataType")}
    return bool(node.values.get("binaryXnorMode")) or types == {"BIPOLAR"}
