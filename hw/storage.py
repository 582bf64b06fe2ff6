"""A dataflow on disk: ``dataflow.json`` for structure, ``dataflow.npz`` for arrays; no pickle."""

from __future__ import annotations

import dataclasses
import json
import os
import zipfile
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .dtypes import DataType
from .errors import GraphError, PopshiftError
from .graph import Dataflow, HostAffine, Origin, Stage, StreamType
from .stages import STAGES, Border, Thresholds

JSON_FILE = "dataflow.json"
NPZ_FILE = "dataflow.npz"
FORMAT = 1
SIZE_LIMIT_BYTES = 2 << 30

_RECORDS = MappingProxyType(
    {cls.__name__: cls for cls in (Border, HostAffine, Origin, StreamType, Thresholds)}
)


def save(dataflow: Dataflow, folder: Path) -> None:
    """Write ``dataflow.json`` and ``dataflow.npz`` into ``folder``, each whole or not at all.

    Raises:
        OSError: The folder cannot be written.
    """
    arrays: dict[str, NDArray[np.generic]] = {}
    document = {
        "format": FORMAT,
        "name": dataflow.name,
        "inputs": {name: _encode(kind, name, arrays) for name, kind in dataflow.inputs.items()},
        "outputs": list(dataflow.outputs),
        "stages": [encode_stage(stage, stage.name, arrays) for stage in dataflow.stages],
        "origins": {name: _encode(item, name, arrays) for name, item in dataflow.origins.items()},
        "accumulators": {
            name: _encode(item, f"{name}.accumulator", arrays)
            for name, item in dataflow.accumulators.items()
        },
        "host": {name: _encode(item, name, arrays) for name, item in dataflow.host.items()},
    }
    folder.mkdir(parents=True, exist_ok=True)
    for file, write in (
        (NPZ_FILE, lambda path: np.savez_compressed(path, **_keywords(arrays))),
        (JSON_FILE, lambda path: path.write_text(json.dumps(document, indent=1) + "\n")),
    ):
        part = folder / f".{os.getpid()}.{file}"
        try:
            write(part)
            part.replace(folder / file)
        finally:
            part.unlink(missing_ok=True)


def load(folder: Path) -> Dataflow:
    """Return the dataflow that ``save`` wrote into ``folder``.

    Raises:
        GraphError: A file is missing, damaged, too large or of another format.
    """
    json_file, npz_file = folder / JSON_FILE, folder / NPZ_FILE
    try:
        for file in (json_file, npz_file):
            if file.stat().st_size > SIZE_LIMIT_BYTES:
                raise GraphError(f"{file}: larger than {SIZE_LIMIT_BYTES} bytes")
        document = json.loads(json_file.read_text())
        if document["format"] != FORMAT:
            found = document["format"]
            raise GraphError(f"{json_file}: format {found}, this popshift reads {FORMAT}")
        with np.load(npz_file, allow_pickle=False) as stored:
            arrays = {name: stored[name] for name in stored.files}
        return Dataflow(
            name=document["name"],
            inputs={name: _decode(item, arrays) for name, item in document["inputs"].items()},
            outputs=tuple(document["outputs"]),
            stages=tuple(decode_stage(item, arrays) for item in document["stages"]),
            origins={name: _decode(item, arrays) for name, item in document["origins"].items()},
            accumulators={
                name: _decode(item, arrays) for name, item in document["accumulators"].items()
            },
            host={name: _decode(item, arrays) for name, item in document["host"].items()},
        )
    except PopshiftError:
        raise
    except (OSError, ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile) as error:
        raise GraphError(
            f"{folder}: not a stored dataflow ({type(error).__name__}: {error}); compile it again"
        ) from error


def _keywords(arrays: dict[str, NDArray[np.generic]]) -> dict[str, Any]:
    """Return the arrays, loosely typed: NumPy's own keywords would shadow their type."""
    return dict(arrays)


def stage_arrays(stage: Stage) -> dict[str, NDArray[np.generic]]:
    """Return the arrays of a stage by field, nested fields joined by dots."""
    arrays: dict[str, NDArray[np.generic]] = {}
    _fields(stage, stage.name, arrays)
    return {key.removeprefix(f"{stage.name}."): array for key, array in arrays.items()}


def encode_stage(stage: Stage, key: str, arrays: dict[str, NDArray[np.generic]]) -> dict[str, Any]:
    """Return the JSON form of a stage; its arrays go to ``arrays``, their names begin with key."""
    return {"kind": stage.kind, **_fields(stage, key, arrays)}


def decode_stage(item: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> Stage:
    """Return the stage that :func:`encode_stage` turned into ``item`` and ``arrays``.

    Raises:
        GraphError: Its kind is unknown, or its parameters contradict each other.
    """
    fields = dict(item)
    kind = fields.pop("kind")
    if kind not in STAGES:
        raise GraphError(f"stage kind {kind!r} is none of {sorted(STAGES)}")
    return STAGES[kind](**{name: _decode(value, arrays) for name, value in fields.items()})


def _fields(record: Any, key: str, arrays: dict[str, NDArray[np.generic]]) -> dict[str, Any]:
    return {
        field.name: _encode(getattr(record, field.name), f"{key}.{field.name}", arrays)
        for field in dataclasses.fields(record)
        if field.init
    }


def _encode(value: Any, key: str, arrays: dict[str, NDArray[np.generic]]) -> Any:
    """Return the JSON form of a field; arrays go to ``arrays`` under ``key``."""
    if isinstance(value, np.ndarray):
        arrays[key] = value
        return {"array": key}
    if isinstance(value, DataType):
        return {"dtype": value.name}
    if type(value).__name__ in _RECORDS:
        return {"record": type(value).__name__, **_fields(value, key, arrays)}
    if isinstance(value, tuple):
        return [_encode(item, f"{key}.{i}", arrays) for i, item in enumerate(value)]
    return value


def _decode(value: Any, arrays: Mapping[str, NDArray[Any]]) -> Any:
    if isinstance(value, list):
        return tuple(_decode(item, arrays) for item in value)
    if not isinstance(value, dict):
        return value
    if "array" in value:
        return arrays[value["array"]]
    if "dtype" in value and "record" not in value:
        return DataType.parse(value["dtype"])
    fields = {name: _decode(item, arrays) for name, item in value.items() if name != "record"}
    return _RECORDS[value["record"]](**fields)
