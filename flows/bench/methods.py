"""Every method without multipliers on the same network: accuracy, kernel, LUTs, and the proof."""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import track
from rich.table import Table

from ...hw import storage
from ...hw.stages import Layer
from ..build import build
from ..config import Config, validate
from .measure import Row, machine

FPS = 20_000
HIDDEN = (32, 32)
EPOCHS = 30
IMAGES = 20
CYCLE_IMAGES = 2
SEED = 1
_PEER = "int8"


@dataclass(frozen=True)
class Method:
    """Weights, activations, and how such a network is trained.

    Attributes:
        weight: Key of ``popshift.models.precision.WEIGHTS``.
        act: Name of the activations.
        recipe: Name of the recipe.
    """

    weight: str
    act: str = "uint4"
    recipe: str = "bnn"

    @property
    def name(self) -> str:
        """How it is called in the table."""
        return f"{self.weight} x {self.act}"


METHODS = (
    Method("binary", "binary"),
    Method("binary"),
    Method("ternary"),
    Method("int4"),
    Method("int8", recipe="shift-q"),
    Method("wrpn3", "wrpn3"),
    Method("shift-q3", recipe="shift-q"),
    Method("shift-q5", recipe="shift-q"),
    Method("shift-ps3", recipe="shift-ps"),
    Method("shift-ps5", recipe="shift-ps"),
    Method("shift-q3", "fixed3.5", recipe="shift-q"),
    Method("s3", recipe="s3"),
    Method("adder4", recipe="adder"),
    Method("planes2", "planes2"),
    Method("planes3-pot"),
    Method("abc3", "abc3"),
    Method("odd3", "log3"),
    Method("interval3", "interval3"),
    Method("nested4"),
)
"""One of each family; all have the same layers, data, seed and epochs."""


@dataclass(frozen=True, kw_only=True)
class Measured:
    """What became of one method.

    Attributes:
        method: The method.
        accuracy: Share of the test images that the integers classify rightly.
        kernels: Of the layers, in order.
        weight_bits: Of all weights as they are stored.
        lut: Estimated LUTs of the whole accelerator.
        bram: Its estimated block RAMs.
        checks: Comparisons of the proof, RTL included.
        elements: Integers and beats compared.
        mismatches: Those that differ.
    """

    method: Method
    accuracy: float
    kernels: tuple[str, ...]
    weight_bits: int
    lut: float
    bram: float
    checks: int
    elements: int
    mismatches: int


def config_of(
    method: Method, folder: Path, *, epochs: int = EPOCHS, images: int = IMAGES, **model: Any
) -> Config:
    """Return the configuration of a build that proves one method.

    Args:
        method: The method.
        folder: To build in.
        epochs: Passes over the training images.
        images: Images that are compared on every stream.
        model: The network and its options; by default a multilayer perceptron on the digits.

    Raises:
        ConfigError: A name or an option is unknown.
    """
    network = model or {"zoo": "mlp", "hidden": list(HIDDEN)}
    is_map = network["zoo"] != "mlp"
    data = {
        "name": "methods",
        "output": str(folder.absolute()),
        "seed": SEED,
        "data": {"name": "digits-8" if is_map else "digits"},
        "model": {**network, "weight": method.weight, "act": method.act},
        "train": {"recipe": method.recipe, "epochs": epochs, "float_epochs": 0},
        "hardware": {"fps": FPS, "clock_mhz": 25.0},
        "verify": {"images": images, "cycle_images": CYCLE_IMAGES},
        "synth": {"enabled": False},
    }
    return validate(data, method.name, folder)


def measure(config: Config, method: Method) -> Measured:
    """Train, export, compile and verify one method, up to its RTL.

    Raises:
        CheckFailedError: Hardware and software differ.
        BuildError: Verilator failed.
        ToolNotFoundError: Verilator is missing.
    """
    folder = build(config, until="verify").folder
    dataflow = storage.load(folder)
    layers = [stage for stage in dataflow.stages if isinstance(stage, Layer)]
    cost = dataflow.cost()
    training = json.loads((folder / "training.json").read_text("utf-8"))
    stages = json.loads((folder / "verify.json").read_text("utf-8"))["stages"]
    return Measured(
        method=method,
        accuracy=training["accuracy_quantized"],
        kernels=tuple(layer.kernel for layer in layers),
        weight_bits=sum(layer.weights.size * layer.weight_code.bits for layer in layers),
        lut=cost.lut,
        bram=cost.bram,
        checks=len(stages),
        elements=sum(stage["elements"] for stage in stages),
        mismatches=sum(stage["mismatches"] + stage["cycle_mismatches"] for stage in stages),
    )


def float_accuracy() -> float:
    """Return the accuracy of the same network in floats, trained for as long."""
    from ...models import data, train, zoo  # noqa: PLC0415 (loads torch)

    net = zoo.create("mlp", hidden=HIDDEN, weight="float", act="float", seed=SEED)
    split = data.load("digits")
    result = train.fit(net, split, recipe="float", epochs=EPOCHS, seed=SEED, progress=False)
    return result.test_accuracy


def main(as_json: bool, methods: Sequence[Method] = METHODS) -> int:
    """Print the table, or the JSON object, and return the exit status."""
    console = Console(stderr=True)
    found = []
    with tempfile.TemporaryDirectory() as folder:
        for number, method in enumerate(
            track(methods, "methods", console=console, disable=as_json)
        ):
            found.append(measure(config_of(method, Path(folder, str(number))), method))
    accuracy = float_accuracy()
    if as_json:
        report = {
            "unit": "LUTs, estimated",
            "machine": machine(),
            "accuracy_float": accuracy,
            "rows": [row.as_json() for row in rows(found)],
            "methods": [asdict(one) for one in found],
        }
        sys.stdout.write(json.dumps(report, indent=1) + "\n")
    else:
        Console().print(_table(found, accuracy))
    return int(any(one.mismatches for one in found))


def rows(found: Sequence[Measured]) -> list[Row]:
    """Return the LUTs of each method beside those of weights of 8 bits."""
    peers = [one.lut for one in found if one.method.weight == _PEER]
    return [Row(one.method.name, one.lut, peer, _PEER) for peer in peers for one in found]


def _table(found: Sequence[Measured], accuracy: float) -> Table:
    """Return the methods for the terminal."""
    sizes = "-".join(map(str, (64, *HIDDEN, 10)))
    table = Table(title=f"{sizes} on the digits, {EPOCHS} epochs, {FPS:,} images/s at 25 MHz")
    headings = (
        "weight",
        "act",
        "accuracy",
        "kernels",
        "weight bits",
        "LUTs",
        "BRAMs",
        "compared",
        "differ",
    )
    for heading in headings:
        left = heading in {"weight", "act", "kernels"}
        table.add_column(heading, justify="left" if left else "right")
    table.add_row("float", "float", f"{100 * accuracy:.2f} %", *[""] * 6)
    for one in found:
        kernels = ", ".join(dict.fromkeys(one.kernels))
        table.add_row(
            one.method.weight, one.method.act, f"{100 * one.accuracy:.2f} %", kernels,
            f"{one.weight_bits:,}", f"{one.lut:,.0f}", f"{one.bram:,.0f}",
            f"{one.elements:,}", f"{one.mismatches}",
        )  # fmt: skip
    return table
