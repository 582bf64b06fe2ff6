"""A dataflow ready to run: segments of compiled stages, and ``Stage.execute`` for all others."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

import numpy as np

from ..dtypes import IntArray
from ..errors import GraphError, PopshiftError
from ..graph import Dataflow, Stage
from .lower import is_lowered
from .segment import AnyArray, RejectedError, Segment


class Reference:
    """The integers of a dataflow, bit for bit those of ``Dataflow.execute``, but fast.

    Arrays of int8, uint8 and int64 are read as they are, others are converted first. The kernel for
    a combination of element types is compiled, or loaded from the cache, in the first call with it.

    Attributes:
        dataflow: What is executed.
    """

    def __init__(self, dataflow: Dataflow) -> None:
        self.dataflow = dataflow
        self._steps = _steps(dataflow)
        # No stages: checks the inputs and gives them back.
        self._gate = Dataflow(
            name=dataflow.name, inputs=dataflow.inputs, outputs=tuple(dataflow.inputs), stages=()
        )
        self._arity = len(dataflow.inputs)
        # One segment for all stages: nothing to look up by name in a call.
        self._whole: Segment | None = None
        if len(self._steps) == 1 and isinstance(segment := self._steps[0], Segment):
            names = (segment.inputs, segment.outputs, segment.input_shapes)
            shapes = tuple(kind.shape for kind in dataflow.inputs.values())
            if names == (tuple(dataflow.inputs), dataflow.outputs, shapes):
                self._whole = segment

    def __call__(self, *images: AnyArray) -> tuple[IntArray, ...]:
        """Return the integers of each output, ``(images, *shape)``, for those of each input.

        Raises:
            DatatypeError: An input holds a value outside its datatype.
            GraphError: The number or a shape of the inputs is wrong.
        """
        if self._whole is not None and len(images) == self._arity:
            try:
                return self._whole.run(images)
            except RejectedError:
                raise self._complaint(images) from None
        values = self._values(images, every=False)
        return tuple(values[name] for name in self.dataflow.outputs)

    def streams(self, *images: AnyArray) -> dict[str, IntArray]:
        """Return the integers of every stream, each ``(images, *shape)``, by name.

        Raises:
            DatatypeError: An input holds a value outside its datatype.
            GraphError: The number or a shape of the inputs is wrong.
        """
        values = self._values(images, every=True)
        return {
            name: values[name].reshape(len(values[name]), *kind.shape)
            for name, kind in self.dataflow.streams.items()
        }

    def _values(self, images: Sequence[AnyArray], *, every: bool) -> dict[str, IntArray]:
        """Return the streams between the steps, or every stream."""
        values = self._gate.execute(*(np.asarray(array) for array in images))
        for step in self._steps:
            inputs = [
                values[name].reshape(len(values[name]), *shape)
                for name, shape in zip(step.inputs, _input_shapes(step), strict=True)
            ]
            if not isinstance(step, Segment):
                values.update(zip(step.outputs, step.execute(*inputs), strict=True))
                continue
            try:
                if every:
                    values.update(step.streams(inputs))
                else:
                    values.update(zip(step.outputs, step.run(inputs), strict=True))
            except RejectedError:
                raise self._complaint(images) from None
        return values

    def _complaint(self, images: Sequence[AnyArray]) -> Exception:
        """Return why a segment refused the inputs."""
        arrays = [np.asarray(array) for array in images]
        try:
            self._gate.execute(*arrays)
        except PopshiftError as error:
            return error
        counts = sorted({len(array) for array in arrays})
        what = f"inputs have {counts} images" if len(counts) > 1 else "a stage left its datatype"
        return GraphError(f"{self.dataflow.name}: {what}")


def compile_reference(dataflow: Dataflow) -> Reference:
    """Return a fast function equal to ``dataflow.execute``."""
    return Reference(dataflow)


def _input_shapes(step: Segment | Stage) -> Sequence[tuple[int, ...]]:
    """Return the shape in which a step sees each of its inputs."""
    if isinstance(step, Segment):
        return step.input_shapes
    return [kind.shape for kind in step.input_types]


def _steps(dataflow: Dataflow) -> list[Segment | Stage]:
    """Cut the stages, in their order, into segments and single stages."""
    steps: list[Segment | Stage] = []
    for is_compiled, run in groupby(dataflow.stages, is_lowered):
        stages = list(run)
        steps += [Segment(stages, dataflow.streams)] if is_compiled else stages
    return steps
