"""The group ``popshift finn``: graphs that FINN made."""

from __future__ import annotations

import click


@click.group()
def finn() -> None:
    """Build by FINN, and read what FINN has built.

    FINN is added to the environment by `make finn`; `import` works without it.
    """
