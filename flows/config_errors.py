"""What pydantic found wrong with a configuration, in one line a problem."""

from __future__ import annotations

import difflib
import types
import typing
from collections.abc import Sequence

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from ..hw.errors import PopshiftError

_KINDS = {
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "string_type": "text",
    "bool_type": "true or false",
    "path_type": "a path",
    "tuple_type": "a list",
    "list_type": "a list",
    "dict_type": "keys and values",
    "model_type": "keys and values",
    "model_attributes_type": "keys and values",
    "finite_number": "a finite number",
}
_LIMITS = {
    "greater_than": ("gt", "more than"),
    "greater_than_equal": ("ge", "at least"),
    "less_than": ("lt", "less than"),
    "less_than_equal": ("le", "at most"),
}


class ConfigError(PopshiftError, ValueError):
    """A configuration is not readable or breaks a rule; one line says file, place, rule, value."""


def describe(
    error: ValidationError,
    model: type[BaseModel],
    where: str,
    overrides: Sequence[tuple[str, ...]] = (),
) -> str:
    """Return one line for each problem: source, dotted place, rule, value.

    Args:
        error: What pydantic raised.
        model: The model that was validated; gives the known keys.
        where: Name of the file.
        overrides: Places that ``--set`` gave; a problem there names ``--set`` and not the file.
    """
    lines: dict[str, None] = {}
    for problem in error.errors():
        place = _place(problem)
        source = source_of(place, where, overrides)
        dotted = ".".join(place)
        lines[f"{source}: {dotted}: {_rule(problem, model, place)}"] = None
    return "\n".join(lines)


def nearest(key: str, known: Sequence[str]) -> str:
    """Return what to say about an unknown key: the nearest known one, or all of them.

    >>> nearest("hiden", ["act", "hidden"])
    "unknown key; did you mean 'hidden'?"
    """
    near = difflib.get_close_matches(key, known, n=1)
    if near:
        return f"unknown key; did you mean {near[0]!r}?"
    return f"unknown key; known keys: {', '.join(sorted(known))}"


def unknown_name(name: str, known: Sequence[str]) -> str:
    """Return what to say about a value that names nothing known.

    >>> unknown_name("mpl", ["mlp", "cnv"])
    "'mpl' is unknown; did you mean 'mlp'?"
    """
    near = difflib.get_close_matches(name, known, n=1)
    hint = f"did you mean {near[0]!r}?" if near else f"known: {', '.join(sorted(known))}"
    return f"{name!r} is unknown; {hint}"


def source_of(place: tuple[str, ...], where: str, overrides: Sequence[tuple[str, ...]]) -> str:
    """Return who gave the value at ``place``: ``--set``, or the file called ``where``."""
    for given in overrides:
        shorter = min(len(place), len(given))
        if place[:shorter] == given[:shorter]:
            return "--set"
    return where


def _place(problem: ErrorDetails) -> tuple[str, ...]:
    """Return the keys that lead to the problem, as the user wrote them."""
    # The options of a network stand beside ``zoo`` in the file, in their own mapping in the model.
    return tuple(str(part) for part in problem["loc"] if part != "options")


def _model_of(model: type[BaseModel], key: str) -> type[BaseModel] | None:
    field = model.model_fields.get(key)
    if field is None:
        return None
    members = [field.annotation]
    while members:
        member = members.pop()
        if isinstance(member, type) and issubclass(member, BaseModel):
            return member
        if isinstance(typing.get_origin(member), type | types.UnionType):
            members.extend(a for a in typing.get_args(member) if not isinstance(a, str))
    return None


def _rule(problem: ErrorDetails, model: type[BaseModel], place: tuple[str, ...]) -> str:
    kind, value, context = problem["type"], problem["input"], problem.get("ctx", {})
    if kind == "extra_forbidden":
        inner: type[BaseModel] | None = model
        for key in place[:-1]:
            inner = _model_of(inner, key) if inner and key in inner.model_fields else inner
        return nearest(place[-1], list(inner.model_fields) if inner else [])
    if kind == "missing":
        return "missing; this key must be given"
    if kind == "value_error":
        return str(context.get("error", problem["msg"]))
    if kind in _LIMITS:
        name, words = _LIMITS[kind]
        return f"must be {words} {context[name]:g}, got {value!r}"
    if kind in _KINDS:
        shown = repr(value)
        return f"must be {_KINDS[kind]}, got {shown if len(shown) < 60 else type(value).__name__}"
    return f"{problem['msg']}, got {value!r}"
