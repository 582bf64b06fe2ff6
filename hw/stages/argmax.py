"""Stage ``argmax``: the index of the greatest element of a vector."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from .. import cost
from ..cost import Cost
from ..dtypes import DataType, Encoding, IntArray, signed, smallest_for, unsigned
from ..errors import GraphError
from ..graph import Stage, StreamType
from ..module import Module
from ..schedule import Pipe, Schedule, Thread, table
from .checks import check_ends, check_fold

LATENCY = 3


@dataclass(frozen=True, kw_only=True, eq=False)
class Argmax(Stage):
    """Index of the greatest of ``classes`` integers; of equal ones, the first.

    Attributes:
        classes: Elements of the vector.
        input_dtype: Datatype of an element.
        leading: Dimensions before the vector.
        pe: Elements per cycle; divides ``classes``.

    Raises:
        FoldingError: ``pe`` does not divide ``classes``.
    """

    kind: ClassVar[str] = "argmax"

    classes: int
    input_dtype: DataType
    leading: tuple[int, ...] = ()
    pe: int = 1

    def __post_init__(self) -> None:
        check_ends(self)
        if self.input_dtype.encoding is Encoding.BIPOLAR:
            raise GraphError(f"{self.name}: argmax takes integers, not BIPOLAR")
        check_fold(self, "pe", "classes", self.classes)

    @property
    def fold_sizes(self) -> Mapping[str, int]:
        """Classes."""
        return {"pe": self.classes}

    @property
    def input_types(self) -> tuple[StreamType, ...]:
        """Vectors, ``pe`` lanes."""
        shape = (*self.leading, self.classes)
        return (StreamType(dtype=self.input_dtype, shape=shape, lanes=self.pe),)

    @property
    def output_types(self) -> tuple[StreamType, ...]:
        """One index per vector."""
        dtype = smallest_for(0, self.classes - 1)
        return (StreamType(dtype=dtype, shape=(*self.leading, 1), lanes=1),)

    def execute(self, *inputs: IntArray) -> tuple[IntArray, ...]:
        """Return the first index of the maximum."""
        (x,) = inputs
        return (x.argmax(axis=-1, keepdims=True),)

    def schedule(self) -> Schedule:
        """``classes / pe`` beats in, one beat out with the last."""
        folds = self.classes // self.pe
        thread = Thread(
            consumes={"s_axis": table(folds, slice(None))}, produces={"m_axis": table(folds, -1)}
        )
        pipe = Pipe(latency=LATENCY, capacity=-(-(LATENCY + 1) // folds))
        return Schedule(threads=(thread,), pipes={"m_axis": pipe})

    @classmethod
    def random(cls, name: str, rng: np.random.Generator) -> Argmax:
        """1 to 20 classes; few bits, so that equal elements are common."""
        pe = int(rng.integers(1, 5))
        bits = int(rng.integers(1, 6))
        return cls(
            name=name,
            inputs=(f"{name}_x0",),
            outputs=(f"{name}_y0",),
            classes=pe * int(rng.integers(1, 6)),
            input_dtype=(unsigned, signed)[rng.integers(0, 2)](bits),
            leading=((), (2,))[rng.integers(0, 2)],
            pe=pe,
        )

    def cost(self) -> Cost:
        """A comparator for each lane but the first, one with the best so far, the output buffer."""
        index_bits = self.output_types[0].dtype.bits
        value_bits = self.input_dtype.bits
        folds = self.classes // self.pe
        pair = cost.adder(value_bits) + cost.multiplexer(2, value_bits + index_bits)
        total = cost.register((self.pe + 1) * value_bits + 2) + pair.times(self.pe - 1)
        if folds > 1:
            # First and last twice, the best so far, the index of three values.
            total += cost.counter(folds) + cost.register(4 + value_bits + 3 * index_bits)
            total += cost.adder(value_bits) + Cost(lut=index_bits + 4)
        elif self.pe > 1:
            total += cost.register(index_bits)
        capacity = self.schedule().pipes["m_axis"].capacity
        return total + cost.credit_buffer(capacity, index_bits) + Cost(lut=2)

    def module(self) -> Module:
        """``argmax.sv``."""
        return Module(
            name="argmax",
            parameters={
                "CLASSES": self.classes,
                "PE": self.pe,
                "X_BITS": self.input_dtype.bits,
                "X_SIGNED": int(self.input_dtype.encoding is Encoding.SIGNED),
                "CAPACITY": self.schedule().pipes["m_axis"].capacity,
            },
            sources=("counter", "credit_buffer"),
        )
