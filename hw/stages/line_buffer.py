"""The line buffer of a sliding window: which words it holds, and when they come and go."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from .. import cost
from ..cost import Cost
from ..dtypes import IntArray, smallest_for
from ..errors import GraphError
from ..schedule import Buffer

# Modules of a line buffer.
SOURCES = ("line_buffer", "ram", "counter", "carried_sum")

# A word is there in the cycle after it was written.
WRITE_LATENCY = 1


@dataclass(frozen=True, kw_only=True)
class LineBuffer:
    """Image in raster order in, windows out, in words of some channels of one pixel.

    A pixel is ``folds`` words, some for each group of channels. Words are read in the order (oy,
    ox, group, ky, kx, fold); one that lies in the padding takes its turn but is not read; an image
    is begun when its first word is there.
    After each window the words before the next window of the row are freed, after each row those of
    the rows above the next one.

    Attributes:
        height: Rows of the image.
        width: Columns of the image.
        folds: Words of a pixel.
        kernel: Rows and columns of a window.
        stride: Rows and columns between windows.
        dilation: Rows and columns between taps of a window.
        padding: Rows and columns around the image: top, left, bottom, right.
        groups: Groups of channels, each of as many words of a pixel.
        depth: Words held; None for enough for the full rate, and as many more as the memory has.
        word_bits: Bits of a word.

    Raises:
        GraphError: ``depth`` is too small, a number is out of range, the groups do not divide the
            words of a pixel, a window is larger than the padded image, or one may lie in the
            padding altogether.
    """

    height: int
    width: int
    folds: int
    kernel: tuple[int, int]
    stride: tuple[int, int] = (1, 1)
    dilation: tuple[int, int] = (1, 1)
    padding: tuple[int, int, int, int] = (0, 0, 0, 0)
    groups: int = 1
    depth: int | None = None
    word_bits: int = 1

    def __post_init__(self) -> None:
        sizes = (self.height, self.width, self.folds, *self.kernel, *self.stride, *self.dilation)
        if min(sizes) < 1 or min(self.padding) < 0:
            raise GraphError(f"sizes must be >= 1 and padding >= 0, got {self}")
        if self.groups < 1 or self.folds % self.groups:
            raise GraphError(f"groups={self.groups} must divide folds={self.folds}")
        top, left, bottom, right = self.padding
        rows, columns = self.extent
        if rows > self.height + top + bottom or columns > self.width + left + right:
            raise GraphError(
                f"a window of {rows} x {columns} is larger than the padded image of "
                f"{self.height + top + bottom} x {self.width + left + right}"
            )
        if max(top, bottom) >= rows or max(left, right) >= columns:
            raise GraphError(
                f"padding {self.padding} must be smaller than the window of {rows} x {columns}"
            )
        if self.depth is not None and self.depth < self.least_capacity:
            raise GraphError(f"depth={self.depth} must be >= {self.least_capacity} words")

    @property
    def extent(self) -> tuple[int, int]:
        """Rows and columns that a window spans."""
        rows, columns = self.kernel
        return (rows - 1) * self.dilation[0] + 1, (columns - 1) * self.dilation[1] + 1

    @property
    def out_shape(self) -> tuple[int, int]:
        """Windows of a column and of a row."""
        top, left, bottom, right = self.padding
        rows, columns = self.extent
        return (
            (self.height + top + bottom - rows) // self.stride[0] + 1,
            (self.width + left + right - columns) // self.stride[1] + 1,
        )

    @property
    def words(self) -> int:
        """Words of an image."""
        return self.height * self.width * self.folds

    @cached_property
    def positions(self) -> IntArray:
        """Word of each read, shape ``(OH, OW, groups, KH, KW, folds / groups)``.

        Outside the image it is no word.
        """
        iy, ix, fold = self._coordinates()
        return (iy * self.width + ix) * self.folds + fold

    @cached_property
    def is_padding(self) -> IntArray:
        """1 where a read lies in the padding, shape ``(OH, OW, 1, KH, KW, 1)``."""
        iy, ix, _ = self._coordinates()
        outside = (iy < 0) | (iy >= self.height) | (ix < 0) | (ix >= self.width)
        return outside.astype(np.int64)

    def _coordinates(self) -> tuple[IntArray, IntArray, IntArray]:
        """Return row, column and fold of each read, to be broadcast."""
        (rows, columns), (high, wide) = self.out_shape, self.kernel
        size = self.folds // self.groups
        oy, ox, group, ky, kx, fold = np.ogrid[:rows, :columns, : self.groups, :high, :wide, :size]
        iy = oy * self.stride[0] - self.padding[0] + ky * self.dilation[0]
        ix = ox * self.stride[1] - self.padding[1] + kx * self.dilation[1]
        return iy, ix, group * size + fold

    @cached_property
    def needs(self) -> IntArray:
        """Words that must be there for each read, cumulative; see ``schedule.Buffer``."""
        last = np.where(self.is_padding == 1, 1, self.positions + 1).reshape(-1)
        return np.maximum.accumulate(last)

    @cached_property
    def releases(self) -> IntArray:
        """Words free after each read, cumulative; see ``schedule.Buffer``."""
        rows, columns = self.out_shape
        top, left = self.padding[:2]
        row_start = np.maximum(np.arange(rows + 1) * self.stride[0] - top, 0) * self.width
        is_inside = (np.arange(rows) * self.stride[0] >= top)[:, None]
        skipped = -(-left // self.stride[1])
        column = np.maximum(np.arange(1, columns + 1) - skipped, 0) * self.stride[1]
        after = (row_start[:-1, None] + np.where(is_inside, column, 0)) * self.folds
        after[:, -1] = row_start[1:] * self.folds
        after[-1, -1] = self.words
        reads = self.kernel[0] * self.kernel[1] * self.folds
        before = np.concatenate([[0], after.reshape(-1)[:-1]])
        table = np.repeat(before, reads)
        table[reads - 1 :: reads] = after.reshape(-1)
        return table

    @property
    def least_capacity(self) -> int:
        """Least words with which every read happens at all, one image after the other."""
        freed = np.concatenate([[0], self.releases[:-1]])
        return int((self.needs - freed).max())

    @cached_property
    def full_rate_capacity(self) -> int:
        """Least words with which neither side waits for the other but for the slower one's rate.

        With a window of ``E x F`` pixels that is about ``(E - 1) * width + F`` pixels, more where
        rows are skipped, and at most a row more to begin the next image while this one is read.
        """
        writes, reads = self.words, len(self.needs)
        if reads >= writes:
            # Reads go on without a pause; each word is written as late as that allows.
            words = np.arange(writes)
            first_use = np.searchsorted(self.needs, words + 1)
            later = reads + np.searchsorted(self.needs, words + 1 - writes)
            slack = np.where(first_use < reads, first_use, later) - 1 - words
            slack = np.concatenate([slack, slack + reads - writes])
            written = words + np.minimum.accumulate(slack[::-1])[::-1][:writes]
            period, operation = np.divmod(written - 1, reads)
            freed = period * writes + self.releases[operation]
        else:
            # Words are written without a pause; each read happens as early as that allows.
            operations = np.arange(2 * reads)
            needs = np.concatenate([self.needs, self.needs + writes])
            done = operations + np.maximum.accumulate(needs - operations)
            words = np.arange(writes, 2 * writes)
            last = np.searchsorted(done, words - 1, side="right") - 1
            period, operation = np.divmod(last, reads)
            freed = period * writes + self.releases[operation]
        return int((words + 1 - freed).max())

    @cached_property
    def capacity(self) -> int:
        """Words held."""
        if self.depth is not None:
            return self.depth
        return cost.filled_ram(self.full_rate_capacity, self.word_bits)

    @property
    def ahead_bits(self) -> int:
        """Bits of the counter of words there beyond the one to be read; negative if it is not."""
        positions = self.positions.reshape(-1)
        least = np.concatenate([[self.needs[-1] - self.words], self.needs[:-1]]) - positions - 1
        freed = np.concatenate([[0], self.releases[:-1]])
        most = freed + self.capacity - positions - 1
        bits = smallest_for(min(-1, int(least.min())), max(0, int(most.max()))).bits
        # The read address takes the same steps.
        return max(bits, (self.capacity - 1).bit_length())

    @property
    def held_bits(self) -> int:
        """Bits of the counter of words held, less the capacity; 0 if no more may come."""
        surplus = int((self.releases - self.needs).max())
        return smallest_for(-max(self.capacity, self.capacity + surplus), 0).bits

    def schedule(self, *, writer: int, reader: int) -> Buffer:
        """Return the buffer between two threads."""
        return Buffer(
            writer=writer,
            reader=reader,
            capacity=self.capacity,
            latency=WRITE_LATENCY,
            needs=self.needs.astype(np.int32),
            releases=self.releases.astype(np.int32),
        )

    def windows(self, x: IntArray) -> IntArray:
        """Return views ``(images, OH, OW, KH, KW, C)`` of padded images ``(images, H', W', C)``.

        Groups make no difference: the channels are the last axis.
        """
        view = np.lib.stride_tricks.sliding_window_view(x, self.extent, axis=(1, 2))
        view = view[:, :: self.stride[0], :: self.stride[1], :, :: self.dilation[0], :]
        return view[..., :: self.dilation[1]].transpose(0, 1, 2, 4, 5, 3)

    @classmethod
    def random(cls, rng: np.random.Generator, *, is_pool: bool = False) -> LineBuffer:
        """Return a small random geometry: images up to 8 x 8, kernels up to 4 x 4.

        Args:
            rng: Source of randomness.
            is_pool: Whether there are neither dilation nor groups.
        """
        while True:
            extras = rng.random(3) < (0.5, 0.0 if is_pool else 0.3, 0.5)
            kernel = rng.integers(1, 5, 2)
            stride = rng.integers(1, 4, 2) if extras[0] else np.ones(2, np.int64)
            dilation = rng.integers(1, 4, 2) if extras[1] else np.ones(2, np.int64)
            extent = (kernel - 1) * dilation + 1
            padding = rng.integers(0, np.tile(extent, 2)) if extras[2] else np.zeros(4, np.int64)
            height, width = rng.integers(1, 9, 2)
            high, wide = np.array([height, width]) + padding[:2] + padding[2:]
            if extent[0] <= high and extent[1] <= wide:
                break
        groups = 1 if is_pool else int(rng.choice([1, 1, 2, 3]))
        lines = cls(
            height=int(height),
            width=int(width),
            folds=groups * int(rng.choice([1, 1, 2, 3])),
            groups=groups,
            kernel=(int(kernel[0]), int(kernel[1])),
            stride=(int(stride[0]), int(stride[1])),
            dilation=(int(dilation[0]), int(dilation[1])),
            padding=(int(padding[0]), int(padding[1]), int(padding[2]), int(padding[3])),
        )
        if rng.random() < 1 / 2:
            return lines
        return replace(lines, depth=int(rng.integers(lines.least_capacity, lines.capacity + 1)))

    def cost(self) -> Cost:
        """Return the cost of the memory, the loops and the counters of words."""
        total = cost.ram(self.capacity, self.word_bits) + cost.register(self.word_bits + 2)
        for turns in self._counted:
            # The loop inside it ends with the step that it takes.
            total += cost.counter(turns) + Cost(lut=1)
        if any(self.padding):
            total += self._padding_cost()
        address_bits = (self.capacity - 1).bit_length()
        steps = [step for step, _ in self._moves.values()]
        total += cost.constants(steps, self.ahead_bits) + cost.carried_sum(self.ahead_bits)
        total += cost.constants(self._drops, self.held_bits) + cost.carried_sum(self.held_bits)
        # The write address counts, the read address takes the steps.
        total += cost.counter(self.capacity) + cost.adder(address_bits)
        total += cost.register(self.ahead_bits + self.held_bits + address_bits)
        if self.capacity.bit_count() > 1:
            total += cost.constants([-s % self.capacity for s in steps], address_bits)
            total += cost.adder(address_bits + 1) + Cost(lut=address_bits)
        return total + Cost(lut=6)

    @property
    def _moves(self) -> dict[int, tuple[int, int]]:
        """Words from a read to the next one, and words dropped, by the loop that goes on.

        Loops are axes of ``positions``, the inner one first; -1 goes on to the next image.
        """
        shape = self.positions.shape
        last = tuple(size - 1 for size in shape)
        drops = np.diff(self.releases, prepend=0).reshape(shape)
        moves = {}
        for axis in reversed(range(len(shape))):
            if shape[axis] > 1:
                # The loops inside are at their ends, those outside stand still.
                before = (0,) * (axis + 1) + last[axis + 1 :]
                after = (*(0,) * axis, 1, *(0,) * (len(shape) - 1 - axis))
                step = int(self.positions[after] - self.positions[before])
                moves[axis] = step, int(drops[before])
        step = int(self.words + self.positions[(0,) * len(shape)] - self.positions[last])
        moves[-1] = step, int(drops[last])
        return moves

    @property
    def _counted(self) -> list[int]:
        """Turns of the loops that are counted: not the outer ones after which all goes on alike."""
        moves = list(self._moves.items())
        if not any(self.padding):
            while len(moves) > 1 and moves[-1][1] == moves[-2][1]:
                moves.pop()
        return [self.positions.shape[axis] for axis, _ in moves if axis >= 0][: len(moves) - 1]

    @property
    def _drops(self) -> list[int]:
        """Words that a read drops, each different number once."""
        freed = np.concatenate([[0], self.releases])
        return [int(drop) for drop in np.unique(np.diff(freed)) if drop]

    def _padding_cost(self) -> Cost:
        """Return the cost of the position of a read and whether it is outside the image."""
        total = Cost(lut=2)
        for axis, size in enumerate((self.height, self.width)):
            span = size + self.kernel[axis] * self.dilation[axis]
            bits = (span + self.stride[axis] + self.padding[axis]).bit_length() + 1
            # It goes on, back, or to the first one.
            total += cost.adder(bits) + Cost(lut=2 * bits, ff=bits) + cost.is_equal(bits)
        if self.padding[0] or self.padding[1]:
            total += cost.is_equal(self.ahead_bits) + Cost(lut=3, ff=1)
        return total

    def parameters(self) -> dict[str, int | str]:
        """Return the parameters of ``line_buffer.sv``."""
        (rows, columns), (top, left, _, _) = self.out_shape, self.padding
        return {
            "HEIGHT": self.height,
            "WIDTH": self.width,
            "FOLDS": self.folds,
            "OUT_HEIGHT": rows,
            "OUT_WIDTH": columns,
            "KERNEL_Y": self.kernel[0],
            "KERNEL_X": self.kernel[1],
            "STRIDE_Y": self.stride[0],
            "STRIDE_X": self.stride[1],
            "DILATION_Y": self.dilation[0],
            "DILATION_X": self.dilation[1],
            "PAD_TOP": top,
            "PAD_LEFT": left,
            "IS_PADDED": int(any(self.padding)),
            "DEPTH": self.capacity,
            "AHEAD_BITS": self.ahead_bits,
            "HELD_BITS": self.held_bits,
            "IS_BLOCK": int(cost.is_block_ram(self.capacity, self.word_bits)),
        }
