"""Training of the network and of its float twin."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING, Any

from ..config import Config
from .step import Step, Workspace

if TYPE_CHECKING:
    from torch import nn

    from ...models.data import DataSplit
    from ...models.train import TrainResult

_FLOAT_RECIPE = "float"


class Train(Step):
    """Trains the network of the zoo, and the same network in float for comparison."""

    name = "train"
    summary = "train the network and its float twin"

    def is_part_of(self, config: Config) -> bool:
        """Return whether there is something to train: not for an ONNX file of one's own."""
        return config.model.zoo is not None

    def settings(self, config: Config) -> Any:
        """Return the data, model and train sections and the seed."""
        sections = (config.data, config.model, config.train)
        return [config.seed, *(section.model_dump(mode="json") for section in sections)]

    def reads(self, config: Config) -> tuple[str, ...]:
        """Return nothing."""
        return ()

    def writes(self, config: Config) -> tuple[str, ...]:
        """Return the trained weights and what is known about them."""
        return ("network.safetensors", "training.json")

    def run(self, work: Workspace) -> None:
        """Train both; each goes on from its checkpoint after an interruption.

        One thread: sums over a batch are split by threads, so their number would change the
        weights, and layers this small gain nothing from a second one.
        """
        import torch  # noqa: PLC0415 (slow to load)

        from ...models import data  # noqa: PLC0415 (loads torch)
        from ..networks import create_network  # noqa: PLC0415

        torch.set_num_threads(1)
        train = work.config.train
        split = data.load(work.config.data.name, folder=work.config.data.folder)
        given = {"epochs": train.epochs, "batch_size": train.batch_size, "lr": train.lr}
        net = create_network(work.config.model, seed=work.config.seed)
        result = _fit(work, net, split, "network", train.recipe, **given)
        training = {"accuracy_float": None, "accuracy_quantized": result.test_accuracy}
        shutil.copyfile(work.scratch / "network.safetensors", work.output("network.safetensors"))
        if train.float_epochs != 0:
            twin = create_network(
                work.config.model, seed=work.config.seed, weight="float", act="float"
            )
            result = _fit(work, twin, split, "float", _FLOAT_RECIPE, epochs=train.float_epochs)
            training["accuracy_float"] = result.test_accuracy
        work.output("training.json").write_text(json.dumps(training, indent=1) + "\n", "utf-8")


def _fit(
    work: Workspace, net: nn.Module, split: DataSplit, name: str, recipe: str, **given: Any
) -> TrainResult:
    from ...models.train import RECIPES, EpochRecord, fit  # noqa: PLC0415 (loads torch)

    whole = given["epochs"] or RECIPES[recipe].epochs

    def on_epoch(record: EpochRecord) -> None:
        accuracy = f"{100 * record.val_accuracy:.1f} % of the validation images right"
        work.progress(record.epoch, whole, f"{name}, {accuracy}")
        work.note(f"{name}, epoch {record.epoch}: loss {record.loss:.4f}, {accuracy}")

    return fit(
        net,
        split,
        recipe=recipe,
        seed=work.config.seed,
        checkpoint=work.scratch / f"{name}.safetensors",
        resume=True,
        progress=False,
        on_epoch=on_epoch,
        **given,
    )
