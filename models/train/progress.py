"""The bar that a training draws on a terminal."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from .state import EpochRecord


@contextmanager
def progress_bar(
    is_drawn: bool | None, epochs: int, done: int
) -> Iterator[Callable[[EpochRecord], None]]:
    """Yield a function that shows a finished epoch.

    Args:
        is_drawn: Whether anything is drawn; None: if standard error is a terminal.
        epochs: Epochs of the whole training.
        done: Epochs done before.
    """
    if is_drawn is None:
        is_drawn = sys.stderr.isatty()
    if not is_drawn:
        yield lambda record: None
        return
    columns = (
        TextColumn("training"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[figures]}"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task("training", total=epochs, completed=done, figures="")

        def show(record: EpochRecord) -> None:
            figures = f"loss {record.loss:.3f}  validation {100 * record.val_accuracy:.1f} %"
            bar.update(task, advance=1, figures=figures)

        yield show
