"""How a build shows on a terminal: a line for each step, a bar for the running one."""

from __future__ import annotations

import sys
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from ..build import StepRun
from ..steps import Step


class Terminal:
    """An observer that draws on standard error when that is a terminal, and else says nothing.

    Standard output stays free for results.
    """

    def __init__(self, *, quiet: bool = False) -> None:
        # The stream itself: while a step runs, sys.stderr is its log.
        self._console = Console(file=sys.stderr, quiet=quiet or not sys.stderr.isatty())
        self._progress = Progress(
            TextColumn("{task.fields[name]:9}"),
            BarColumn(bar_width=30),
            TimeElapsedColumn(),
            TextColumn("{task.description}"),
            console=self._console,
            transient=True,
            disable=self._console.quiet,
            redirect_stdout=False,
            redirect_stderr=False,
        )
        self._task: TaskID | None = None

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._progress.stop()

    def started(self, step: Step, reason: str) -> None:
        """Show a bar for the step."""
        self._task = self._progress.add_task(step.summary, name=step.name, total=None)

    def progressed(self, done: int, whole: int, what: str) -> None:
        """Move the bar; it swings where the whole is 0, unknown."""
        if self._task is not None:
            self._progress.update(self._task, completed=done, total=whole or None, description=what)

    def finished(self, run: StepRun) -> None:
        """Replace the bar by a line that stays."""
        if self._task is not None:
            self._progress.remove_task(self._task)
            self._task = None
        did = f"{run.seconds:6.1f} s" if run.status == "ran" else "unchanged"
        self._console.print(f"{run.name:9} {did}", highlight=False)
