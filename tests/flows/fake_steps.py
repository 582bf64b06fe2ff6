"""Small real steps for the tests of the build engine and the command line."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from popshift.flows.config import Config
from popshift.flows.steps import Step, Workspace


@dataclass
class FakeStep(Step):
    """Writes ``<name>.txt``: the text of what it reads, then its own name and settings.

    Attributes:
        setting: Dotted key of the configuration that the result depends on.
        before: Called at the start of a run, to fail or to interrupt.
        after: Called when everything is in the staging folder.
        runs: How often it has run.
    """

    name: str
    inputs: tuple[str, ...] = ()
    setting: str = "seed"
    before: Any = None
    after: Any = None
    summary: str = "write a text"
    runs: int = 0
    refuses: Exception | None = None
    user_files: tuple[Path, ...] = field(default=())

    def settings(self, config: Config) -> Any:
        value: Any = config
        for part in self.setting.split("."):
            value = getattr(value, part)
        return value

    def reads(self, config: Config) -> tuple[str, ...]:
        return self.inputs

    def sources(self, config: Config) -> tuple[Path, ...]:
        return self.user_files

    def writes(self, config: Config) -> tuple[str, ...]:
        return (f"{self.name}.txt", f"{self.name}.d")

    def check(self, config: Config) -> None:
        if self.refuses is not None:
            raise self.refuses

    def run(self, work: Workspace) -> None:
        self.runs += 1
        if self.before is not None:
            self.before(work)
        text = "".join(work.input(name).read_text() for name in self.inputs)
        work.output(f"{self.name}.txt").write_text(
            f"{text}{self.name}={self.settings(work.config)};"
        )
        (work.output(f"{self.name}.d") / "part").parent.mkdir()
        (work.output(f"{self.name}.d") / "part").write_text(self.name)
        work.note(f"{self.name} was here")
        if self.after is not None:
            self.after(work)


def three_steps() -> tuple[FakeStep, FakeStep, FakeStep]:
    """Return a chain: first -> second -> third."""
    return (
        FakeStep("first"),
        FakeStep("second", ("first.txt",), "train.epochs"),
        FakeStep("third", ("second.txt",), "hardware.fps"),
    )


def config_in(folder: Path, seed: int = 1, epochs: int = 5, fps: float = 10.0) -> Config:
    return Config.model_validate(
        {
            "name": "fake",
            "output": str(folder),
            "seed": seed,
            "model": {"zoo": "mlp"},
            "train": {"epochs": epochs},
            "hardware": {"fps": fps},
        }
    )


def ran(result) -> list[str]:
    return [run.name for run in result.steps if run.status == "ran"]


def files(folder: Path) -> dict[str, str]:
    """Everything in a folder except logs and scratch folders."""
    return {
        str(path.relative_to(folder)): path.read_text()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.relative_to(folder).parts[0] not in {"logs", "scratch"}
    }
