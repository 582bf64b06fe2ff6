"""Tensors and a JSON note in one safetensors file, whole or not at all.

Weights and training states are both stored so. Nothing is unpickled: reading a file runs no code.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from .. import zoo

_NOTE = "popshift"
_DIGEST = "sha256"


def write_tensors(path: Path, tensors: Mapping[str, Tensor], note: Mapping[str, Any]) -> None:
    """Write ``tensors`` and ``note`` (JSON values) to ``path``, replacing it in one step."""
    plain = {name: tensor.detach().contiguous() for name, tensor in tensors.items()}
    metadata = {_NOTE: json.dumps(note, sort_keys=True), _DIGEST: _digest(plain)}
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        temporary.write_bytes(save(plain, metadata))
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def read_tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Return the tensors and the note of ``path``.

    Raises:
        ValueError: The file is missing, damaged, or was not written by popshift.
    """
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except FileNotFoundError as error:
        raise ValueError(f"checkpoint {path}: there is no such file; train first") from error
    except (SafetensorError, OSError, KeyError, ValueError) as error:
        raise _damaged(path, error) from error
    if _NOTE not in metadata or _DIGEST not in metadata:
        raise ValueError(f"checkpoint {path}: not written by popshift, it lacks a note")
    if metadata[_DIGEST] != _digest(tensors):
        raise _damaged(path, "checksum")
    try:
        note: dict[str, Any] = json.loads(metadata[_NOTE])
    except json.JSONDecodeError as error:
        raise _damaged(path, error) from error
    return tensors, note


def _damaged(path: Path, reason: object) -> ValueError:
    return ValueError(f"checkpoint {path}: damaged ({reason}); delete it and train again")


def _digest(tensors: Mapping[str, Tensor]) -> str:
    digest = hashlib.sha256()
    for name in sorted(tensors):
        tensor = tensors[name]
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def load_weights(net: nn.Module, path: str | Path) -> dict[str, Any]:
    """Copy the weights of a checkpoint into ``net`` and return its note.

    Returns:
        ``epoch``, ``seed``, ``val_accuracy``, ``config_hash`` and ``config`` of the training.

    Raises:
        ValueError: The file is missing or damaged, or holds another network.
    """
    tensors, note = read_tensors(Path(path))
    check_same_shapes(net.state_dict(), tensors, f"checkpoint {path}")
    net.load_state_dict(tensors)
    return note


def load(path: str | Path) -> nn.Module:
    """Return the zoo network of a checkpoint, with its weights, in evaluation mode.

    Raises:
        ValueError: The file is missing or damaged, or its network is not in the zoo.
    """
    _, note = read_tensors(Path(path))
    options = dict(note.get("config", {}).get("net", {}))
    if "name" not in options:
        raise ValueError(f"checkpoint {path}: its network is not of the zoo; use load_weights")
    net = zoo.create(options.pop("name"), **options)
    load_weights(net, path)
    return net.eval()


def check_same_shapes(want: Mapping[str, Tensor], have: Mapping[str, Tensor], where: str) -> None:
    """Check that two state dicts have the same names and shapes.

    Raises:
        ValueError: They do not; names the first difference.
    """
    for name in sorted(want.keys() | have.keys()):
        if name not in have:
            raise ValueError(f"{where}: lacks {name!r}; it holds another network")
        if name not in want:
            raise ValueError(f"{where}: holds {name!r}, which the network has not")
        if want[name].shape != have[name].shape:
            raise ValueError(
                f"{where}: {name!r} has shape {tuple(have[name].shape)}, "
                f"the network {tuple(want[name].shape)}"
            )
