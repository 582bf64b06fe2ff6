"""The configuration of a build: one YAML file, one frozen model."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
    model_validator,
)

from .config_errors import ConfigError, describe
from .fifo_choice import FifoChoice, read_fifos
from .networks import check_names
from .yaml_file import parse_yaml, read_yaml


def _option(value: Any) -> Any:
    """Return a network option after checking that it is a plain value or a list of such."""
    for item in value if isinstance(value, list) else [value]:
        if not isinstance(item, bool | int | float | str | None):
            raise ValueError(f"must be a number, text, or a list of these, got {value!r}")
    return value


def _absolute(path: Path, info: ValidationInfo) -> Path:
    base = (info.context or {}).get("base", Path.cwd())
    return Path(base / path.expanduser()).absolute()


def _existing(path: Path) -> Path:
    if not path.is_file():
        raise ValueError(f"no such file: {path}")
    return path


def _folder(path: Path) -> Path:
    if not path.is_dir():
        raise ValueError(f"no such folder: {path}")
    return path


def _plain_name(name: str) -> str:
    if re.fullmatch(r"[A-Za-z][A-Za-z0-9_-]{0,63}", name) is None:
        raise ValueError(f"must start with a letter and hold only A-Z a-z 0-9 _ -, got {name!r}")
    return name


def _folding_file(value: Any, info: ValidationInfo) -> Any:
    """Return the mapping in a folding file when ``value`` names one, else ``value``."""
    if not isinstance(value, str):
        return value
    from ..hw.passes.finn_folding import without_attributes  # noqa: PLC0415 (loads numpy)

    # JSON is YAML.
    entries = read_yaml(_existing(_absolute(Path(value), info)))
    return without_attributes(entries) if isinstance(entries, dict) else entries


def _fifos(value: Any, info: ValidationInfo) -> Any:
    """Return the choice of FIFOs, read from a file where ``value`` names one."""
    return read_fifos(value, (info.context or {}).get("base", Path.cwd()))


Name = Annotated[str, AfterValidator(_plain_name)]
Option = Annotated[Any, AfterValidator(_option)]
Names = Annotated[tuple[Name, ...], Field(strict=False)]
OutputPath = Annotated[Path, Field(strict=False), AfterValidator(_absolute)]
InputPath = Annotated[OutputPath, AfterValidator(_existing)]
InputFolder = Annotated[OutputPath, AfterValidator(_folder)]
Count = Annotated[int, Field(ge=1, le=10**9)]
Seed = Annotated[int, Field(ge=0, lt=2**31)]
Positive = Annotated[float, Field(gt=0, le=1e9, allow_inf_nan=False)]


class Section(BaseModel):
    """A part of the configuration: frozen, no unknown keys, no silent conversions."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class DataSection(Section):
    """Which images.

    Attributes:
        name: One of the loaders of ``popshift.models.data``.
        folder: Folder with the published files, of a data set that is not shipped.
    """

    name: Name = "digits"
    folder: InputFolder | None = None


class ModelSection(Section):
    """Which network: one of the zoo with its options, or an ONNX file with its golden values.

    Attributes:
        zoo: Name in ``popshift.models.zoo``; every key of the section that is not listed here is
            an option of that network.
        options: Options of the network, ``hidden: [256, 256]`` for one.
        onnx: QONNX file of one's own.
        golden: Its inputs and integers, as ``popshift.models.export`` writes them.
        input_datatype: Datatype of its inputs, ``UINT8`` for one, where the file does not say it.
    """

    zoo: Name | None = None
    options: dict[str, Option] = Field(default_factory=dict)
    onnx: InputPath | None = None
    golden: InputPath | None = None
    input_datatype: Name | None = None

    @model_validator(mode="before")
    @classmethod
    def _gather_options(cls, data: Any) -> Any:
        if not isinstance(data, Mapping) or "zoo" not in data:
            return data
        known = {key: value for key, value in data.items() if key in cls.model_fields}
        rest = {key: value for key, value in data.items() if key not in cls.model_fields}
        return {**known, "options": {**known.get("options", {}), **rest}} if rest else data

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        if self.zoo is not None and (self.onnx is not None or self.golden is not None):
            raise ValueError("give either zoo, or onnx and golden, not both")
        if self.zoo is None and (self.onnx is None or self.golden is None):
            raise ValueError("give either zoo (a network to train), or both onnx and golden")
        return self


class TrainSection(Section):
    """How the network and its float twin are trained; None leaves a value to the recipe.

    Attributes:
        recipe: Name in ``popshift.models.train.RECIPES``.
        epochs: Passes over the training images.
        batch_size: Images a step.
        lr: Learning rate of the first step.
        float_epochs: Epochs of the float twin that gives ``accuracy_float``, by the recipe
            ``float``; 0 leaves the twin out.
    """

    recipe: Name = "bnn"
    epochs: Count | None = None
    batch_size: Annotated[int, Field(ge=2, le=2**20)] | None = None
    lr: Positive | None = None
    float_epochs: Annotated[int, Field(ge=0, le=10**9)] | None = None


class StageFolding(Section):
    """Folding of one stage: ``pe`` neurons and ``simd`` synapses a cycle.

    Attributes:
        pe: Neurons or channels a cycle.
        simd: Synapses a cycle.
        kernel: Arithmetic of a layer, ``shift`` for one, instead of the cheapest that is exact.
    """

    pe: Count = 1
    simd: Count = 1
    kernel: Name | None = None


class HardwareSection(Section):
    """Clock, and either a frame rate to reach or the folding of each stage.

    Attributes:
        clock_mhz: Clock of the accelerator.
        fps: Images per second that the folding must reach.
        folding: By stage name, ``{pe: .., simd: .., kernel: ..}``; or the path of a YAML file that
            holds it, or of a folding file of FINN.
        fifos: The FIFOs between the layers. ``throughput`` sizes them so that the slowest layer
            never waits, ``minimal`` as well, with a proof that none are cheaper, which may take
            minutes. Or the beats of all of them, or by stream, 0 for none; or the path of a YAML or
            JSON file that holds them by stream, such as the ``fifos.json`` of a build.
    """

    clock_mhz: Annotated[Positive, Field(le=2000)] = 25.0
    fps: Positive | None = None
    folding: Annotated[dict[str, StageFolding] | None, BeforeValidator(_folding_file)] = None
    fifos: Annotated[FifoChoice, BeforeValidator(_fifos)] = "throughput"

    @model_validator(mode="after")
    def _one_folding(self) -> Self:
        if (self.fps is None) == (self.folding is None):
            raise ValueError("give either fps or folding, and not both")
        return self


class VerifySection(Section):
    """What is compared.

    Attributes:
        images: Images whose integers are compared on every stream; None is all of them.
        cycle_images: Images whose beats are compared cycle by cycle.
        gap_seed: Seed of the random gaps of the source.
        stall_seed: Seed of the random stalls of the sink.
    """

    images: Count | None = None
    cycle_images: Count = 50
    gap_seed: Seed = 1
    stall_seed: Seed = 2


class SynthSection(Section):
    """Which board, and what must fit too.

    Attributes:
        enabled: False stops the chain at the verified RTL.
        board: Board of the bitstream, as ``popshift boards`` lists them.
        baud: Bits per second of the UART.
        seed: Seed of the placer.
        min_fmax_mhz: Frequency that the routed design must reach, and that place and route works
            for; None for the board's clock, which is always the least.
        also_fits: Boards that the same netlist must also fit.
        netlist_images: Images that the synthesized netlist must classify through its UART.
    """

    enabled: bool = True
    board: Name = "ulx3s-85f"
    baud: Annotated[int, Field(ge=300, le=12_000_000)] = 1_000_000
    seed: Seed = 1
    min_fmax_mhz: Annotated[Positive, Field(le=2000)] | None = None
    also_fits: Names = ()
    netlist_images: Count = 50


class FinnSection(Section):
    """FINN's builder, where ``backend`` is ``finn``.

    Attributes:
        board: One of FINN's Zynq boards, as FINN spells it.
        product: ``hdl`` ends with the verified code of every node, which needs no Vivado; ``ip``
            goes on to the stitched IP, ``bitfile`` to the bitfile and its driver. By default
            ``bitfile`` where Vivado is found, ``hdl`` where it is not.
    """

    board: Name = "Pynq-Z1"
    product: Literal["hdl", "ip", "bitfile"] | None = None


class Config(Section):
    """Everything that determines a build.

    Attributes:
        name: Name of the accelerator.
        output: Folder that the build writes.
        seed: Seed of the data split and of the training.
        backend: ``yosys`` synthesizes for a board of ``synth``, with tools from pip; ``finn`` hands
            the same accelerator to FINN's builder.
    """

    name: Name
    output: OutputPath
    seed: Seed = 1
    backend: Literal["yosys", "finn"] = "yosys"
    data: DataSection = DataSection()
    model: ModelSection
    train: TrainSection = TrainSection()
    hardware: HardwareSection
    verify: VerifySection = VerifySection()
    synth: SynthSection = SynthSection()
    finn: FinnSection = FinnSection()

    @property
    def is_synthesized(self) -> bool:
        """Whether Yosys and nextpnr make a bitstream."""
        return self.backend == "yosys" and self.synth.enabled


def examples() -> list[str]:
    """Return the names of the packaged examples, sorted."""
    folder = resources.files(__package__) / "examples"
    return sorted(item.name[:-5] for item in folder.iterdir() if item.name.endswith(".yaml"))


def load_config(
    source: str | Path, overrides: Sequence[str] = (), *, output: Path | None = None
) -> Config:
    """Return the configuration in a YAML file or a packaged example.

    Args:
        source: Path of a YAML file, or the name of an example, ``digits-mlp`` for one. Paths in a
            file are relative to the file, those in an example to the working folder.
        overrides: ``key=value`` with a dotted key and a YAML value: ``train.epochs=3``. Paths in
            overrides are relative to the working folder.
        output: Folder to use instead of the one that the file names.

    Raises:
        ConfigError: The file, an override or a value is wrong; one line for each problem.
    """
    path, base = _locate(source)
    data = read_yaml(path)
    if not isinstance(data, dict):
        raise ConfigError(f"{path.name}: must hold keys and values, got {type(data).__name__}")
    data.setdefault("name", path.stem)
    data.setdefault("output", f"build/{data['name']}")
    changed = [override(data, text) for text in overrides]
    if output is not None:
        data["output"] = str(output.absolute())
    elif ("output",) in changed:
        data["output"] = str(Path(str(data["output"])).absolute())
    config = validate(data, path.name, base, changed)
    check_names(config, path.name, changed)
    return config


def validate(
    data: Mapping[str, Any], where: str, base: Path, overrides: Iterable[tuple[str, ...]] = ()
) -> Config:
    """Return the configuration that plain ``data`` describes.

    Args:
        data: Nested mappings as read from YAML or JSON.
        where: Name of the source in errors.
        base: Folder that relative paths start from.
        overrides: Places that the command line set; errors there name ``--set``.

    Raises:
        ConfigError: One line for each unknown key, missing key or wrong value.
    """
    try:
        return Config.model_validate(data, context={"base": base})
    except ValidationError as error:
        raise ConfigError(describe(error, Config, where, tuple(overrides))) from error


def override(data: dict[str, Any], text: str) -> tuple[str, ...]:
    """Put ``key=value`` into ``data`` and return the place of the key.

    Raises:
        ConfigError: ``text`` has no key, or its value is not YAML.
    """
    key, equals, value = text.partition("=")
    place = tuple(key.strip().split("."))
    if not equals or not all(place):
        raise ConfigError(f"--set {text}: must be key=value, for example train.epochs=3")
    inner = data
    for part in place[:-1]:
        inner = inner.setdefault(part, {})
        if not isinstance(inner, dict):
            raise ConfigError(f"--set {text}: {part} is a value, it has no keys")
    inner[place[-1]] = parse_yaml(value, f"--set {key}")
    return place


def _locate(source: str | Path) -> tuple[Path, Path]:
    """Return the YAML file that ``source`` names and the folder its paths are relative to."""
    path = Path(source)
    if path.is_file():
        return path, path.absolute().parent
    name = str(source)
    if name in examples():
        return Path(str(resources.files(__package__) / "examples" / f"{name}.yaml")), Path.cwd()
    near = difflib.get_close_matches(name, examples(), n=1)
    hint = f"did you mean {near[0]!r}?" if near else f"examples: {', '.join(examples())}"
    raise ConfigError(f"{name}: no such file or packaged example; {hint}")
