"""What a step of a build is: a name, the files it reads, the files it writes, what it runs."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, TextIO

from ...hw.errors import PopshiftError
from ..config import Config

Progress = Callable[[int, int, str], None]
"""Called with the work done, the whole work (0 if unknown) and a word on what is being done."""


class CheckFailedError(PopshiftError):
    """A check of a step failed: the hardware and the software differ.

    Attributes:
        lines: One line for each difference: stage, image, element or cycle, both values.
    """

    def __init__(self, summary: str, lines: tuple[str, ...] = ()) -> None:
        super().__init__(summary)
        self.lines = lines


@dataclass(frozen=True, kw_only=True)
class Workspace:
    """Where a running step finds and puts its files.

    Attributes:
        config: The configuration of the build.
        folder: The build folder; a step reads there and never writes.
        staging: Empty folder; what the step writes here is moved into the build folder when it
            has succeeded.
        scratch: Folder that survives interruption, for checkpoints and compiled models; it is a
            new one when the settings of the step change.
        log: Log of the step.
        progress: Receives the progress.
    """

    config: Config
    folder: Path
    staging: Path
    scratch: Path
    log: TextIO
    progress: Progress = field(default=lambda done, whole, what: None)

    def input(self, name: str) -> Path:
        """Return the path of the file or folder ``name`` of the build."""
        return self.folder / name

    def output(self, name: str) -> Path:
        """Return the path at which the step writes what will be ``name`` of the build."""
        path = self.staging / name
        path.parent.mkdir(parents=True, exist_ok=True)
        return path

    def note(self, line: str) -> None:
        """Write a line into the log."""
        self.log.write(line.rstrip() + "\n")
        self.log.flush()


class Step(ABC):
    """One step: files in, files out, settings that determine the result.

    A step is skipped when its settings, the files it reads and the files it wrote are unchanged.
    It names only paths relative to the build folder, files or whole folders.
    """

    name: ClassVar[str]
    summary: ClassVar[str]

    def is_part_of(self, config: Config) -> bool:
        """Return whether a build with this configuration has this step."""
        return True

    @abstractmethod
    def settings(self, config: Config) -> Any:
        """Return the part of the configuration that the result depends on, JSON values only."""

    @abstractmethod
    def reads(self, config: Config) -> tuple[str, ...]:
        """Return the files and folders of the build that the step reads."""

    @abstractmethod
    def writes(self, config: Config) -> tuple[str, ...]:
        """Return the files and folders of the build that the step writes."""

    def sources(self, config: Config) -> tuple[Path, ...]:
        """Return the user's own files that the step reads, absolute paths."""
        return ()

    def check(self, config: Config) -> None:  # noqa: B027 (most steps have nothing to check)
        """Raise what a look at the configuration and the tools shows to be wrong.

        Runs before the first step of a build, so that nobody trains for minutes to hear that a
        tool is missing.
        """

    @abstractmethod
    def run(self, work: Workspace) -> None:
        """Write every file of :meth:`writes` into the staging folder."""
