"""A run of stages compiled into one kernel."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numba import types
from numpy.typing import NDArray

from ..dtypes import IntArray
from ..graph import Stage, StreamType
from .builder import CHUNK, Builder, Form
from .cache import compile_kernel
from .lower import LOWERINGS, Identity

# Element types that a kernel reads as they are; every other array is converted to int64 first.
_ELEMENTS = {"int8": types.int8, "uint8": types.uint8, "int64": types.int64}

# A call with one image takes about a microsecond: every look-up counts.
_empty = np.empty
_INT64 = np.dtype(np.int64)

AnyArray = NDArray[Any]


class RejectedError(Exception):
    """An input has a wrong shape or a value outside its datatype."""


class Segment:
    """Stages that run as one compiled function.

    A kernel is compiled for each combination of element types the first time that it is met. The
    memory of the streams belongs to the segment; Python's lock lets one call in at a time.

    Attributes:
        inputs: Names of the streams that come in, in the order of the dataflow.
        outputs: Names of the streams that leave, in the order of the dataflow.
        input_shapes: Shape of an image of each input.
    """

    def __init__(self, stages: Sequence[Stage], streams: Mapping[str, StreamType]) -> None:
        consumed = {name for stage in stages for name in stage.inputs}
        produced = {name for stage in stages for name in stage.outputs}
        self.inputs = tuple(name for name in streams if name in consumed - produced)
        self.outputs = tuple(name for name in streams if name in produced - consumed)
        self._stages = tuple(stages)
        self._types = {name: streams[name] for name in streams if name in consumed | produced}
        # What comes in is seen in the shape of its consumer.
        wanted = {n: t for s in stages for n, t in zip(s.inputs, s.input_types, strict=True)}
        self._types |= {name: wanted[name] for name in self.inputs}
        self.input_shapes = tuple(self._types[name].shape for name in self.inputs)
        self._shapes = [streams[name].shape for name in self.outputs]
        self._resize(1)
        builder = self._build(("int64",) * len(self.inputs))
        self._memory = builder.memory()
        self._streams = self._memory[builder.constant_words :]
        self._slots = builder.slots
        self._kernels: dict[tuple[str, ...], Callable[..., int]] = {}
        self._kernel: Callable[..., int] = _nothing_compiled

    def run(self, inputs: Sequence[AnyArray]) -> tuple[IntArray, ...]:
        """Return the output streams for input streams ``(images, *shape)``.

        Raises:
            RejectedError: A shape is wrong or a value is outside its datatype.
        """
        try:
            if len(inputs[0]) != self._images:
                self._resize(len(inputs[0]))
            outputs = [_empty(shape, _INT64) for shape in self._output_shapes]
            status = self._kernel(*inputs, *outputs, self._memory)
        except TypeError:  # element types not met in the last call, not contiguous, read-only
            native = [self._native(name, x) for name, x in zip(self.inputs, inputs, strict=True)]
            self._kernel = self._kernel_for(tuple(x.dtype.name for x in native))
            self._resize(len(native[0]))
            outputs = [_empty(shape, _INT64) for shape in self._output_shapes]
            status = self._kernel(*native, *outputs, self._memory)
        if status:
            raise RejectedError
        return tuple(outputs)

    def streams(self, inputs: Sequence[AnyArray]) -> dict[str, IntArray]:
        """Return every stream of the stages, decoded from where the kernel left it.

        Raises:
            RejectedError: A shape is wrong or a value is outside its datatype.
        """
        found: dict[str, list[IntArray]] = {name: [] for name in self._types}
        for first in range(0, max(len(inputs[0]), 1), CHUNK):
            part = [np.asarray(x)[first : first + CHUNK] for x in inputs]
            self.run(part)
            for name, parts in found.items():
                parts.append(self._slots[name].decode(self._streams, len(part[0])))
        return {
            name: np.concatenate(parts).reshape(-1, *self._types[name].shape)
            for name, parts in found.items()
        }

    def _resize(self, images: int) -> None:
        """Prepare for calls with so many images."""
        self._images = images
        self._output_shapes = [(images, *shape) for shape in self._shapes]

    def _native(self, name: str, x: AnyArray) -> AnyArray:
        """Return ``x`` as an array that a kernel takes: known elements, contiguous, writable."""
        array = np.asarray(x)
        if array.shape[1:] != self._types[name].shape or not array.ndim:
            raise RejectedError
        if array.dtype.name not in _ELEMENTS:
            integers = array.astype(np.int64)
            if (integers != array).any():
                raise RejectedError
            array = integers
        return np.require(array, array.dtype.newbyteorder("="), ["C", "A", "W"])

    def _kernel_for(self, elements: tuple[str, ...]) -> Callable[..., int]:
        """Return the kernel for inputs of these element types."""
        if elements not in self._kernels:
            ranks = [1 + len(self._types[name].shape) for name in self.inputs]
            arrays = [
                types.Array(_ELEMENTS[e], n, "C") for e, n in zip(elements, ranks, strict=True)
            ]
            arrays += [types.Array(types.int64, 1 + len(shape), "C") for shape in self._shapes]
            signature = (*arrays, types.Array(types.int64, 1, "C"))
            source = self._build(elements).source(self.inputs, self.outputs)
            self._kernels[elements] = compile_kernel(source, signature)
        return self._kernels[elements]

    def _build(self, elements: Sequence[str]) -> Builder:
        """Return the text, the constants and the memory plan for these element types."""
        builder = Builder(stream_forms(self._stages, self.outputs))
        for index, (name, element) in enumerate(zip(self.inputs, elements, strict=True)):
            builder.slot(name, self._types[name])
            builder.read(name, index, element)
        for stage in self._stages:
            LOWERINGS[type(stage)].lower(stage, builder)
        for index, name in enumerate(self.outputs):
            builder.write(name, index)
        return builder


def stream_forms(stages: Sequence[Stage], outputs: Sequence[str]) -> dict[str, Form]:
    """Return the form of each stream: as its consumer takes it, integers where it leaves."""
    forms = dict.fromkeys(outputs, Form.INTS)
    for stage in reversed(stages):
        lowering = LOWERINGS[type(stage)]
        is_identity = isinstance(lowering, Identity)
        form = forms[stage.outputs[0]] if is_identity else lowering.takes
        forms.update(dict.fromkeys(stage.inputs, form))
    return forms


def is_compiled(stage: Stage) -> bool:
    """Return whether a kernel can hold the stage."""
    lowering = LOWERINGS.get(type(stage))
    return lowering is not None and lowering.supports(stage)


def may_join(stages: Sequence[Stage], stage: Stage) -> bool:
    """Return whether ``stage`` can follow ``stages`` in a kernel.

    Each must give the form that the next one takes, and images of the same shape.
    """
    together = [*stages, stage]
    given = {n: t for one in stages for n, t in zip(one.outputs, one.output_types, strict=True)}
    for name, wanted in zip(stage.inputs, stage.input_types, strict=True):
        if name in given and given[name] != wanted:
            return False
    consumed = {name for one in together for name in one.inputs}
    outputs = [name for one in together for name in one.outputs if name not in consumed]
    forms = stream_forms(together, outputs)
    return all(
        forms[name] in LOWERINGS[type(one)].gives for one in together for name in one.outputs
    )


def _nothing_compiled(*_arguments: object) -> int:
    """Stand in for the kernel before the first call."""
    raise TypeError
