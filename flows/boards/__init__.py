"""Boards: one file each, which puts its variants into ``BOARDS``."""

from __future__ import annotations

import importlib
import pkgutil

from .board import Board, BoardError, Pin

__all__ = ["Board", "BoardError", "Pin", "all_boards", "find_board"]


def all_boards() -> dict[str, Board]:
    """Return every board by name: the ``BOARDS`` of each file in this folder."""
    boards: dict[str, Board] = {}
    for entry in sorted(pkgutil.iter_modules(__path__), key=lambda entry: entry.name):
        module = importlib.import_module(f".{entry.name}", __name__)
        for board in getattr(module, "BOARDS", ()):
            boards[board.name] = board
    return boards


def find_board(name: str) -> Board:
    """Return the board called ``name``.

    Raises:
        BoardError: There is none; lists the known ones.
    """
    boards = all_boards()
    if name not in boards:
        raise BoardError(f"board {name!r} is unknown; known boards are {', '.join(boards)}")
    return boards[name]
