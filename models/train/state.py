"""Everything a training needs to go on after it was stopped."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from .checkpoint import check_same_shapes, read_tensors, write_tensors


@dataclass(frozen=True, kw_only=True)
class EpochRecord:
    """Figures of one epoch.

    Attributes:
        epoch: 1 for the first.
        loss: Mean training loss.
        val_accuracy: Share of validation images classified right after it.
    """

    epoch: int
    loss: float
    val_accuracy: float


@dataclass(frozen=True, kw_only=True, eq=False)
class TrainState:
    """What is known after an epoch; the epochs' random numbers follow from seed and epoch.

    Attributes:
        history: Figures of the epochs done.
        best_epoch: Epoch of the best validation accuracy, the last one among equals, as the
            learning rate is lower then; 0 before the first.
        best_weights: State dict after ``best_epoch``.
        seconds: Time spent.
    """

    history: tuple[EpochRecord, ...]
    best_epoch: int
    best_weights: Mapping[str, Tensor]
    seconds: float

    @property
    def epoch(self) -> int:
        """Epochs done."""
        return len(self.history)

    def after(
        self, record: EpochRecord, net: nn.Module, seconds: float, *, settled: int = 1
    ) -> TrainState:
        """Return the state after one more epoch, of which ``record`` tells.

        Args:
            record: Figures of the epoch.
            net: Network after it.
            seconds: Time spent.
            settled: The best epoch is one from this on, as soon as there is one.
        """
        state = replace(self, history=(*self.history, record), seconds=seconds)
        counts = self.best_epoch >= min(settled, record.epoch)
        best = self.history[self.best_epoch - 1].val_accuracy if counts else -1.0
        if record.val_accuracy < best:
            return state
        return replace(state, best_epoch=record.epoch, best_weights=copy_weights(net))


def copy_weights(net: nn.Module) -> dict[str, Tensor]:
    """Return a copy of the state dict."""
    return {name: tensor.detach().clone() for name, tensor in net.state_dict().items()}


def config_hash(config: Mapping[str, Any]) -> str:
    """Return 16 hexadecimal digits that stand for a configuration of JSON values."""
    return hashlib.sha256(json.dumps(config, sort_keys=True).encode()).hexdigest()[:16]


def state_path(checkpoint: Path) -> Path:
    """Return where the state of the training that writes ``checkpoint`` lies."""
    return checkpoint.with_name(f"{checkpoint.stem}.state.safetensors")


def write_state(
    path: Path,
    state: TrainState,
    net: nn.Module,
    optimizer: torch.optim.Optimizer,
    config: Mapping[str, Any],
) -> None:
    """Write ``state`` with the weights of ``net`` and the moments of ``optimizer``."""
    tensors = {f"net/{name}": tensor for name, tensor in net.state_dict().items()}
    tensors |= {f"best/{name}": tensor for name, tensor in state.best_weights.items()}
    for index, moments in optimizer.state_dict()["state"].items():
        tensors |= {
            f"optimizer/{index}/{name}": tensor
            for name, tensor in moments.items()
            if tensor is not None  # SGD without momentum
        }
    note = {
        "config": config,
        "history": [asdict(record) for record in state.history],
        "best_epoch": state.best_epoch,
        "seconds": state.seconds,
    }
    write_tensors(path, tensors, note)


def read_state(
    path: Path, net: nn.Module, optimizer: torch.optim.Optimizer, config: Mapping[str, Any]
) -> TrainState:
    """Load a state into ``net`` and ``optimizer`` and return it.

    Raises:
        ValueError: The file is damaged, or belongs to a training with another configuration.
    """
    tensors, note = read_tensors(path)
    where = f"state {path}"
    _check_config(note["config"], config, where)
    parts: dict[str, dict[str, Tensor]] = {"net": {}, "best": {}, "optimizer": {}}
    for key, tensor in tensors.items():
        part, name = key.split("/", 1)
        parts[part][name] = tensor
    for part in ("net", "best"):
        check_same_shapes(net.state_dict(), parts[part], where)
    net.load_state_dict(parts["net"])
    moments: dict[int, dict[str, Tensor]] = {}
    for key, tensor in parts["optimizer"].items():
        index, name = key.split("/")
        moments.setdefault(int(index), {})[name] = tensor
    optimizer.load_state_dict(
        {"state": moments, "param_groups": optimizer.state_dict()["param_groups"]}
    )
    return TrainState(
        history=tuple(EpochRecord(**record) for record in note["history"]),
        best_epoch=note["best_epoch"],
        best_weights=parts["best"],
        seconds=note["seconds"],
    )


def _check_config(have: Mapping[str, Any], want: Mapping[str, Any], where: str) -> None:
    """Compare two configurations of JSON values, section by section."""
    want = json.loads(json.dumps(want))
    for section in want:
        for key, value in want[section].items():
            stored = have.get(section, {}).get(key)
            if stored != value:
                raise ValueError(
                    f"{where}: was trained with {section}.{key}={stored!r}, not {value!r}; "
                    "use the same settings, or resume=False to start over"
                )
