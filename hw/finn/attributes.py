"""A stage as attributes of an ONNX node, and back: integers, texts, JSON and tensors.

Every field of the stage is an attribute of its name; folds have FINN's names, ``PE`` and ``SIMD``.
Integers and texts are stored as such, everything else as JSON. Arrays are tensor attributes
``stage.<field>``; JSON refers to them by that name. Nothing is pickled.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import fields
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import AttributeProto, NodeProto, helper, numpy_helper

from ..errors import GraphError, PopshiftError
from ..graph import Stage
from ..stages import STAGES
from ..storage import decode_stage, encode_stage

DOMAIN = "finn.custom_op.fpgadataflow"
RTL_DOMAIN = f"{DOMAIN}.rtl"
OP_PREFIX = "Popshift"
RTL_SUFFIX = "_rtl"

_KEY = "stage"
_FINN_NAMES: Mapping[str, str] = MappingProxyType({"pe": "PE", "simd": "SIMD"})
# The members of onnx.AttributeProto that hold an attribute, as FINN calls their types.
_NATIVE: Mapping[str, str] = MappingProxyType({"int": "i", "str": "s"})
_JSON = "s"


def op_type(kind: str) -> str:
    """Return the FINN op of a kind of stage.

    >>> op_type("matvec")
    'PopshiftMatvec'
    """
    return OP_PREFIX + "".join(part.title() for part in kind.split("_"))


def kind_of(node: NodeProto) -> str | None:
    """Return the kind of stage that a node is, or None if it is not one of ours."""
    name = node.op_type.removesuffix(RTL_SUFFIX)
    return next((kind for kind in STAGES if op_type(kind) == name), None)


def attribute_types(kind: str) -> dict[str, str]:
    """Return FINN's type of each attribute of a kind, in the order of the fields; no tensors."""
    return {
        _FINN_NAMES.get(field.name, field.name): _NATIVE.get(str(field.type), _JSON)
        for field in fields(STAGES[kind])
        if field.init
    }


def stage_part(node: NodeProto) -> NodeProto:
    """Return a node of ours without what FINN keeps in it: its stage alone."""
    kind = kind_of(node)
    names = attribute_types(kind) if kind else {}
    part = NodeProto(name=node.name, op_type=node.op_type)
    part.attribute.extend(
        item for item in node.attribute if item.name in names or item.name.startswith(f"{_KEY}.")
    )
    return part


def to_attributes(stage: Stage) -> list[AttributeProto]:
    """Return the attributes of a stage: integers, texts, JSON texts and tensors."""
    arrays: dict[str, NDArray[np.generic]] = {}
    encoded = encode_stage(stage, _KEY, arrays)
    types = attribute_types(stage.kind)
    values: dict[str, Any] = {}
    for field in fields(stage):
        name = _FINN_NAMES.get(field.name, field.name)
        if name in types:
            is_native = str(field.type) in _NATIVE
            values[name] = encoded[field.name] if is_native else json.dumps(encoded[field.name])
    values |= {name: numpy_helper.from_array(_narrow(array)) for name, array in arrays.items()}
    return [helper.make_attribute(name, value) for name, value in values.items()]


def from_attributes(node: NodeProto) -> Stage:
    """Return the stage that a node of ours is.

    Raises:
        GraphError: The node is none of ours, or its attributes are damaged or contradict each
            other, as folds do that do not divide.
    """
    kind = kind_of(node)
    if kind is None:
        raise GraphError(f"node {node.name}: {node.op_type} is no op of popshift")
    given = {item.name: item for item in node.attribute}
    try:
        item: dict[str, Any] = {"kind": kind}
        for field in fields(STAGES[kind]):
            attribute = given.get(_FINN_NAMES.get(field.name, field.name))
            if attribute is None:
                continue
            value = helper.get_attribute_value(attribute)
            text = value.decode() if isinstance(value, bytes) else value
            item[field.name] = text if str(field.type) in _NATIVE else json.loads(text)
        arrays = {
            name: _widen(numpy_helper.to_array(attribute.t))
            for name, attribute in given.items()
            if name.startswith(f"{_KEY}.")
        }
        return decode_stage(item, arrays)
    except PopshiftError as error:
        raise GraphError(f"node {node.name}: {error}") from error
    except (ValueError, KeyError, TypeError) as error:
        raise GraphError(
            f"node {node.name}: attributes of {node.op_type} are damaged "
            f"({type(error).__name__}: {error}); write the graph again"
        ) from error


def _narrow(array: NDArray[np.generic]) -> NDArray[np.generic]:
    """Return integers in the smallest type that holds them; a graph is saved after every step."""
    if array.dtype != np.int64 or not array.size:
        return array
    least = (np.min_scalar_type(end) for end in (array.min(), -1, array.max()))
    return array.astype(np.result_type(*least))


def _widen(array: NDArray[Any]) -> NDArray[Any]:
    return array.astype(np.int64) if np.issubdtype(array.dtype, np.signedinteger) else array
