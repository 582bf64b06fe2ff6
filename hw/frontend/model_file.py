"""Opening an ONNX file, with an error of one line for everything that can be wrong with it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import onnx
from google.protobuf.message import DecodeError
from onnx.external_data_helper import load_external_data_for_model
from qonnx.core.modelwrapper import ModelWrapper

from ..errors import ModelFileError

MAX_BYTES = 2 << 30  # what protobuf can read


def read_model(path: Path) -> ModelWrapper:
    """Return the model in ``path``, its external data loaded, its tensor names as in the file.

    Raises:
        ModelFileError: The file is missing, empty, truncated, not ONNX, larger than 2 GB, or its
            external data is missing, too short or outside the folder of the file.
    """
    content = _read(path)
    proto = onnx.ModelProto()
    try:
        proto.ParseFromString(content)
    except DecodeError as e:
        raise ModelFileError(f"{path}: truncated or not ONNX; export the model again") from e
    is_onnx = proto.ir_version > 0 and proto.opset_import and proto.graph.output
    if not is_onnx:
        raise ModelFileError(f"{path}: truncated or not ONNX (no graph); export the model again")
    # Protobuf hands out bytes where text is no UTF-8.
    if not all(isinstance(text, str) for text in _texts(proto)):
        raise ModelFileError(f"{path}: damaged (a name is no text); export the model again")
    for tensor in _tensors(proto):
        _check_external(path, tensor)
    try:
        load_external_data_for_model(proto, str(path.parent))
    except (OSError, ValueError, onnx.checker.ValidationError) as e:
        raise ModelFileError(
            f"{path}: external data cannot be read ({_first_line(e)}); export the model again"
        ) from e
    for tensor in _tensors(proto):
        _check_size(path, tensor)
    return ModelWrapper(proto)


def _read(path: Path) -> bytes:
    """Return the bytes of ``path``."""
    try:
        if not path.is_file():
            what = "is a folder" if path.is_dir() else "does not exist"
            raise ModelFileError(f"{path}: the model file {what}; give the path of an .onnx file")
        size = path.stat().st_size
        if size > MAX_BYTES:
            raise ModelFileError(
                f"{path}: {size} bytes, but an ONNX file holds at most {MAX_BYTES}; "
                "export the weights as external data"
            )
        content = path.read_bytes()
    except OSError as e:
        raise ModelFileError(f"{path}: cannot be read ({e.strerror})") from e
    if not content:
        raise ModelFileError(f"{path}: the model file is empty; export the model again")
    return content


def _tensors(proto: Any) -> Iterator[Any]:
    """Yield every stored tensor: initializers and node attributes."""
    yield from proto.graph.initializer
    for node in proto.graph.node:
        for attribute in node.attribute:
            if attribute.HasField("t"):
                yield attribute.t
            yield from attribute.tensors


def _texts(proto: Any) -> Iterator[object]:
    """Yield every name and annotation of the graph."""
    graph = proto.graph
    for item in (*graph.input, *graph.output, *graph.initializer):
        yield item.name
    for node in graph.node:
        yield from (node.name, node.op_type, node.domain, *node.input, *node.output)
        yield from (attribute.name for attribute in node.attribute)
    for annotation in graph.quantization_annotation:
        yield annotation.tensor_name
        for entry in annotation.quant_parameter_tensor_names:
            yield from (entry.key, entry.value)


def _check_external(path: Path, tensor: Any) -> None:
    """Check that external data of ``tensor`` lies in the folder of ``path`` and is small enough."""
    if tensor.data_location != onnx.TensorProto.EXTERNAL:
        return
    entries = {entry.key: entry.value for entry in tensor.external_data}
    location = entries.get("location", "")
    folder = path.parent.resolve()
    target = (folder / location).resolve()
    if not location or Path(location).is_absolute() or not target.is_relative_to(folder):
        raise ModelFileError(
            f"{path}: tensor '{tensor.name}' has external data at {location!r}, outside the folder "
            "of the model; put both files into one folder and export again"
        )
    if not target.is_file():
        raise ModelFileError(
            f"{path}: external data {location!r} of tensor '{tensor.name}' does not exist; "
            "copy it beside the model"
        )
    if target.stat().st_size > MAX_BYTES:
        raise ModelFileError(
            f"{path}: external data {location!r} is larger than {MAX_BYTES} bytes; "
            "export one file per tensor"
        )


def _check_size(path: Path, tensor: Any) -> None:
    """Check that ``tensor`` holds as many elements as its shape says."""
    try:
        onnx.numpy_helper.to_array(tensor)
    except (ValueError, TypeError, KeyError) as e:
        raise ModelFileError(
            f"{path}: tensor '{tensor.name}' is damaged ({_first_line(e)}); export the model again"
        ) from e


def _first_line(error: Exception) -> str:
    """Return the first line of a message."""
    return (str(error).splitlines() or [type(error).__name__])[0]
