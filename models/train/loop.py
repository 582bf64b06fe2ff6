"""The training loop."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from .. import zoo
from ..data import DataSplit, Subset
from .checkpoint import write_tensors
from .hooks import Hooks, make_optimizer
from .progress import progress_bar
from .recipes import RECIPES, Recipe
from .state import (
    EpochRecord,
    TrainState,
    config_hash,
    copy_weights,
    read_state,
    state_path,
    write_state,
)

_EVAL_BATCH = 256  # more images of large networks do not fit in the processor's caches


@dataclass(frozen=True, kw_only=True)
class TrainResult:
    """Outcome of a training; the network holds the weights of the best epoch.

    Attributes:
        best_epoch: Epoch of the best validation accuracy, the last one among equals.
        val_accuracy: Share of validation images classified right by the best epoch.
        test_accuracy: Share of test images; the test images had no part in any choice.
        seconds: Wall time of all epochs, before and after a resume.
        history: Figures of every epoch.
        recipe: Settings used.
        seed: Seed used.
        config_hash: Stands for network, data, recipe and seed.
    """

    best_epoch: int
    val_accuracy: float
    test_accuracy: float
    seconds: float
    history: tuple[EpochRecord, ...]
    recipe: Recipe
    seed: int
    config_hash: str


def fit(
    net: nn.Module,
    data: DataSplit,
    *,
    recipe: str | Recipe = "bnn",
    epochs: int | None = None,
    batch_size: int | None = None,
    lr: float | None = None,
    seed: int = 0,
    checkpoint: str | Path | None = None,
    resume: bool = False,
    progress: bool | None = None,
    on_epoch: Callable[[EpochRecord], None] | None = None,
) -> TrainResult:
    """Train ``net`` and leave the weights of the best validation epoch in it.

    Equal arguments and first weights give equal weights on one machine and thread count. With a
    ``checkpoint``, the best weights go there and a state that can be resumed goes beside it after
    every epoch, so that Ctrl-C costs one epoch at most; a resumed training ends with the weights
    of an uninterrupted one.

    Args:
        net: Network; what its modules ask for besides gradients is in :mod:`.hooks`.
        data: Images; those to train fit in memory.
        recipe: A key of ``RECIPES`` or a recipe.
        epochs: Instead of the recipe's.
        batch_size: Instead of the recipe's.
        lr: Instead of the recipe's.
        seed: Seed of the order of images and of dropout.
        checkpoint: Safetensors file for the best weights.
        resume: Go on from the state beside ``checkpoint``, if there is one.
        progress: Whether to draw a bar; by default, if standard error is a terminal.
        on_epoch: Called after every epoch, once its state is stored.

    Raises:
        ValueError: An argument is wrong, data and network do not fit, the stored state is damaged
            or of another training, or the loss is no longer finite.
    """
    settings = _settings(recipe, epochs=epochs, batch_size=batch_size, lr=lr)
    checkpoint = None if checkpoint is None else Path(checkpoint)
    _check(net, data, settings, checkpoint, resume)
    config = {
        "net": zoo.describe(net),
        "data": {"name": data.name, "train": len(data.train), "dtype": data.input_dtype},
        "recipe": asdict(settings),
        "run": {"seed": seed},
    }
    config["net"] = config["net"] or {"parameters": sum(p.numel() for p in net.parameters())}
    optimizer, hooks = make_optimizer(net, settings), Hooks(net, settings)
    state = TrainState(history=(), best_epoch=0, best_weights=copy_weights(net), seconds=0.0)
    if checkpoint is not None:
        if resume and state_path(checkpoint).exists():
            state = read_state(state_path(checkpoint), net, optimizer, config)
        else:
            write_state(state_path(checkpoint), state, net, optimizer, config)

    started = time.perf_counter() - state.seconds
    with progress_bar(progress, settings.epochs, state.epoch) as show:
        for epoch in range(state.epoch + 1, settings.epochs + 1):
            loss = _train_epoch(net, data.train, optimizer, hooks, settings, seed, epoch)
            record = EpochRecord(epoch=epoch, loss=loss, val_accuracy=evaluate(net, data.val))
            seconds = time.perf_counter() - started
            state = state.after(record, net, seconds, settled=hooks.settled_epoch)
            if checkpoint is not None:
                if state.best_epoch == epoch:
                    _write_best(checkpoint, state, config)
                write_state(state_path(checkpoint), state, net, optimizer, config)
            show(record)
            if on_epoch is not None:
                on_epoch(record)

    net.load_state_dict(dict(state.best_weights))
    net.eval()
    if checkpoint is not None:
        _write_best(checkpoint, state, config)
    return TrainResult(
        best_epoch=state.best_epoch,
        val_accuracy=state.history[state.best_epoch - 1].val_accuracy,
        test_accuracy=evaluate(net, data.test),
        seconds=state.seconds,
        history=state.history,
        recipe=settings,
        seed=seed,
        config_hash=config_hash(config),
    )


@torch.no_grad()
def evaluate(net: nn.Module, subset: Subset) -> float:
    """Return the share of images whose largest logit is at their class; ``net`` is left in eval."""
    net.eval()
    right = 0
    for images, labels in zip(
        subset.images.split(_EVAL_BATCH), subset.labels.split(_EVAL_BATCH), strict=True
    ):
        right += int((net(images.float()).argmax(dim=1) == labels).sum())
    return right / len(subset)


def _settings(recipe: str | Recipe, **changes: float | None) -> Recipe:
    if isinstance(recipe, str):
        if recipe not in RECIPES:
            raise ValueError(f"train: no recipe {recipe!r}; known: {', '.join(RECIPES)}")
        recipe = RECIPES[recipe]
    given: dict[str, Any] = {name: value for name, value in changes.items() if value is not None}
    return replace(recipe, **given)


def _check(
    net: nn.Module, data: DataSplit, recipe: Recipe, checkpoint: Path | None, resume: bool
) -> None:
    shape = getattr(net, "input_shape", data.image_shape)
    if shape != data.image_shape:
        raise ValueError(
            f"train: the network takes {shape}, images of {data.name} are {data.image_shape}"
        )
    dtype = getattr(net, "input_dtype", data.input_dtype)
    if dtype != data.input_dtype:
        raise ValueError(
            f"train: the network takes {dtype}, images of {data.name} are {data.input_dtype}; "
            "create it with that input_dtype, or binarize the data"
        )
    if recipe.batch_size > len(data.train):
        raise ValueError(
            f"train: batch_size={recipe.batch_size} exceeds the {len(data.train)} images to train"
        )
    if resume and checkpoint is None:
        raise ValueError("train: resume=True needs checkpoint=, the file of that training")
    if checkpoint is not None and not checkpoint.parent.is_dir():
        raise ValueError(f"train: checkpoint {checkpoint}: its folder does not exist; create it")


def _train_epoch(
    net: nn.Module,
    data: Subset,
    optimizer: torch.optim.Optimizer,
    hooks: Hooks,
    recipe: Recipe,
    seed: int,
    epoch: int,
) -> float:
    """Run one epoch and return its mean loss; all its random numbers follow from seed and epoch."""
    net.train()
    hooks.before_epoch(epoch)
    steps = len(data) // recipe.batch_size
    total = 0.0
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(int(np.random.SeedSequence([seed, epoch]).generate_state(1)[0]))
        batches = torch.randperm(len(data)).split(recipe.batch_size)[:steps]
        for step, batch in enumerate(batches):
            done = ((epoch - 1) * steps + step) / (recipe.epochs * steps)
            for group in optimizer.param_groups:
                group["lr"] = recipe.learning_rate(done)
            loss = hooks.loss(data.images[batch].float(), data.labels[batch])
            optimizer.zero_grad()
            loss.backward()
            hooks.before_step()
            optimizer.step()
            hooks.after_step()
            total += float(loss.detach())
    if not math.isfinite(total):
        raise ValueError(f"train: the loss is {total} in epoch {epoch}; lower lr={recipe.lr}")
    return total / steps


def _write_best(checkpoint: Path, state: TrainState, config: dict[str, Any]) -> None:
    note = {
        "epoch": state.best_epoch,
        "seed": config["run"]["seed"],
        "val_accuracy": state.history[state.best_epoch - 1].val_accuracy,
        "config": config,
        "config_hash": config_hash(config),
    }
    write_tensors(checkpoint, state.best_weights, note)
