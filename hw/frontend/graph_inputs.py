"""The inputs of a graph: streams of integers, or floats that the first quantizer decides about."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
from qonnx.core.modelwrapper import ModelWrapper

from ..dtypes import DataType
from ..errors import DatatypeError, UnsupportedOpError
from .branches import give
from .islands import Undeclared
from .walk import Walk


def add_inputs(walk: Walk, model: ModelWrapper, input_dtype: str | None) -> None:
    """Add the value of every graph input that is no initializer."""
    wanted = DataType.parse(input_dtype) if input_dtype is not None else None
    for info in model.graph.input:
        if info.name in walk.values:
            continue
        if info.name not in walk.uses:
            walk.notes.append(f"input '{info.name}' is not used")
            continue
        shape = _input_shape(info)
        dtype = _declared(model, info, wanted)
        value = (
            Undeclared(tensor=info.name, shape=shape)
            if dtype is None
            else walk.add_input(info.name, dtype, shape, np.ones(1))
        )
        give(walk, f"input '{info.name}'", info.name, value)


def _input_shape(info: Any) -> tuple[int, ...]:
    """Return the shape of a graph input, a symbolic batch as 1.

    Raises:
        UnsupportedOpError: A dimension is unknown, or there is no batch dimension.
    """
    dims = info.type.tensor_type.shape.dim
    shape = [int(dim.dim_value) for dim in dims]
    if len(shape) < 2 or min(shape[1:]) < 1:
        shown = [dim.dim_param or dim.dim_value for dim in dims]
        raise UnsupportedOpError(
            f"input '{info.name}': shape {shown} must be (batch, channels ...) with known "
            "dimensions; export with an input of fixed shape"
        )
    return (max(shape[0], 1), *shape[1:])


def _declared(model: ModelWrapper, info: Any, wanted: DataType | None) -> DataType | None:
    """Return the datatype of a graph input by annotation, element type or ``wanted``.

    Raises:
        DatatypeError: ``wanted`` contradicts the annotation.
    """
    annotation = next(
        (
            entry.value
            for item in model.graph.quantization_annotation
            for entry in item.quant_parameter_tensor_names
            if item.tensor_name == info.name and entry.key == "finn_datatype"
        ),
        "FLOAT32",
    )
    elements = {
        onnx.TensorProto.UINT8: "UINT8",
        onnx.TensorProto.INT8: "INT8",
        onnx.TensorProto.UINT16: "UINT16",
        onnx.TensorProto.INT16: "INT16",
    }
    try:
        stated = DataType.parse(annotation)
    except DatatypeError:
        # FLOAT32, or scaled and fixed-point types, which say less than a quantizer does.
        name = elements.get(info.type.tensor_type.elem_type)
        return wanted or (DataType.parse(name) if name else None)
    if wanted is not None and wanted != stated:
        raise DatatypeError(
            f"input '{info.name}': the file says {stated.name}, input_dtype says {wanted.name}; "
            "leave input_dtype out"
        )
    return stated
