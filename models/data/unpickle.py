"""Pickles of plain values and byte arrays, read without running what they ask for."""

from __future__ import annotations

import io
import pickle
from collections.abc import Callable
from typing import Any, NoReturn

import numpy as np


class _ByteArray:
    """Stands for an array while the pickle builds it."""

    def __init__(self) -> None:
        self.array = np.zeros(0, np.uint8)

    def __setstate__(self, state: Any) -> None:
        """Take NumPy's state: version, shape, datatype, Fortran order, content."""
        _, shape, dtype, is_fortran, content = state
        if not isinstance(dtype, _ByteType):
            raise pickle.UnpicklingError("an array without a datatype")
        flat = np.frombuffer(content, np.uint8)
        self.array = flat.reshape(shape, order="F" if is_fortran else "C")


class _ByteType:
    """Stands for the datatype of bytes."""

    def __setstate__(self, state: Any) -> None:
        """Ignore byte order and fields, which single bytes have not."""


class _StandIn:
    """Stands for a name of NumPy; the pickle can call it, but neither build nor change it."""

    __slots__ = ("_make",)

    def __init__(self, make: Callable[..., Any]) -> None:
        self._make = make

    def __call__(self, *args: Any) -> Any:
        return self._make(*args)

    def __setstate__(self, state: Any) -> None:
        raise pickle.UnpicklingError("it changes a function")


def _make_array(*_args: Any) -> _ByteArray:
    return _ByteArray()


def _make_type(code: Any, *_args: Any) -> _ByteType:
    if code not in (b"u1", "u1"):
        raise pickle.UnpicklingError(f"it holds an array of {code!r}")
    return _ByteType()


def _refuse(*_args: Any) -> NoReturn:
    raise pickle.UnpicklingError("it makes an array in an unknown way")


_ALLOWED = {
    ("numpy.core.multiarray", "_reconstruct"): _StandIn(_make_array),
    ("numpy._core.multiarray", "_reconstruct"): _StandIn(_make_array),
    ("numpy", "dtype"): _StandIn(_make_type),
    ("numpy", "ndarray"): _StandIn(_refuse),  # named as an argument, never called
}


class _PlainUnpickler(pickle.Unpickler):
    """Builds dictionaries, lists, numbers, strings and byte arrays; refuses every other name."""

    def find_class(self, module_name: str, global_name: str) -> Any:
        """Return our stand-in of an allowed name."""
        if (module_name, global_name) not in _ALLOWED:
            raise pickle.UnpicklingError(f"it asks for {module_name}.{global_name}")
        return _ALLOWED[module_name, global_name]

    def persistent_load(self, pid: Any) -> NoReturn:
        """Refuse objects that live elsewhere."""
        raise pickle.UnpicklingError(f"it asks for the outside object {pid!r}")


def load_plain(content: bytes, where: str) -> Any:
    """Return the value of a pickle of dictionaries, lists, numbers, strings and byte arrays.

    Only names that a byte array needs are looked up, and they stand for functions of this module:
    nothing of a pickle is imported or run. Strings of Python 2 come back as bytes.

    Args:
        content: The pickle.
        where: Begins a message.

    Raises:
        ValueError: The pickle is damaged, or asks for anything else.
    """
    try:
        value = _PlainUnpickler(io.BytesIO(content), encoding="bytes").load()
    except (
        pickle.UnpicklingError,
        AttributeError,
        EOFError,
        LookupError,
        MemoryError,
        OverflowError,
        RecursionError,
        TypeError,
        ValueError,
    ) as error:
        reason = str(error) or type(error).__name__
        raise ValueError(
            f"{where} is no pickle of plain values and byte arrays: {reason}"
        ) from error
    if isinstance(value, dict):
        return {key: _unwrapped(entry) for key, entry in value.items()}
    return _unwrapped(value)


def _unwrapped(value: Any) -> Any:
    return value.array if isinstance(value, _ByteArray) else value
