"""A run of stages compiled into one kernel."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numba import types
from numpy.typing import NDArray

from ..dtypes import IntArray
from ..graph import Stage, StreamType
from .arguments import read_argument, write_argument
from .builder import Builder
from .cache import compile_kernel
from .convert import fetch
from .layout import Form, Layout, View
from .lower import LOWERINGS
from .memory import decode

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
        builder, self._views = self._build(("int64",) * len(self.inputs))
        self._memory, self._chunk = builder.memory(), builder.chunk
        self._bases = dict(zip((slot.name for slot in builder.slots), builder.bases, strict=False))
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
        for first in range(0, max(len(inputs[0]), 1), self._chunk):
            part = [np.asarray(x)[first : first + self._chunk] for x in inputs]
            self.run(part)
            for name, parts in found.items():
                view = self._views[name]
                words = self._memory[self._bases[view.slot.name] :]
                parts.append(decode(view, words, len(part[0])))
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
            builder, _ = self._build(elements)
            source = builder.source(self.input_shapes, len(self.outputs))
            self._kernels[elements] = compile_kernel(source, signature)
        return self._kernels[elements]

    def _build(self, elements: Sequence[str]) -> tuple[Builder, dict[str, View]]:
        """Return the kernel for these element types and where it leaves each stream."""
        builder, layouts = Builder(), _layouts(self._stages, self.outputs)
        views: dict[str, View] = {}
        for index, (name, element) in enumerate(zip(self.inputs, elements, strict=True)):
            layout = layouts[name]
            slot = builder.slot(self._types[name], layout, is_tight=layout.form is Form.INTS)
            read_argument(slot, index, element, builder)
            views[name] = slot.view
        for stage in self._stages:
            sources = [
                fetch(views[name], kind, layouts[name], builder)
                for name, kind in zip(stage.inputs, stage.input_types, strict=True)
            ]
            outputs = [layouts[name] for name in stage.outputs]
            results = LOWERINGS[type(stage)].lower(stage, sources, outputs, builder)
            views.update(zip(stage.outputs, results, strict=True))
        for index, name in enumerate(self.outputs):
            view = fetch(views[name], self._types[name], layouts[name], builder)
            write_argument(view, index, builder)
        return builder, views


def _layouts(stages: Sequence[Stage], outputs: Sequence[str]) -> dict[str, Layout]:
    """Return what the consumer of each stream asks for: integers where it leaves."""
    layouts = dict.fromkeys(outputs, Layout(Form.INTS))
    for stage in reversed(stages):
        wanted = LOWERINGS[type(stage)].takes(stage, [layouts[name] for name in stage.outputs])
        layouts.update(zip(stage.inputs, wanted, strict=True))
    return layouts


def _nothing_compiled(*_arguments: object) -> int:
    """Stand in for the kernel before the first call."""
    raise TypeError
