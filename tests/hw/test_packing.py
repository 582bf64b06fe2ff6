from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from popshift.hw.dtypes import BIPOLAR, DataType, signed, unsigned
from popshift.hw.graph import StreamType
from popshift.hw.packing import hex_lines, pack_words, unpack_words

DTYPES = st.one_of(
    st.just(BIPOLAR), st.integers(1, 63).map(unsigned), st.integers(1, 64).map(signed)
)


@given(dtype=DTYPES, words=st.integers(0, 5), lanes=st.integers(1, 9), seed=st.integers(0, 99))
def test_packed_words_come_back(dtype: DataType, words: int, lanes: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    values = rng.choice(np.array([dtype.min, dtype.max]), (words, lanes))
    packed = pack_words(values, dtype)
    assert packed.shape == (words, -(-lanes * dtype.bits // 8))
    assert unpack_words(packed, lanes, dtype).tolist() == values.tolist()


def test_lane_0_is_in_the_low_bits() -> None:
    assert pack_words(np.array([[1, 2, 3]]), unsigned(4)).tolist() == [[0x21, 0x03]]
    assert pack_words(np.array([[1, -1, -1]]), BIPOLAR).tolist() == [[0b001]]


def test_a_hex_line_begins_with_the_most_significant_digit() -> None:
    assert hex_lines(pack_words(np.array([[1, 2, 3]]), unsigned(4))) == "0321\n"


@pytest.mark.parametrize("shape", [(6,), (2, 3, 6)])
def test_beats_of_a_stream_keep_the_order_of_elements(shape: tuple[int, ...]) -> None:
    kind = StreamType(dtype=signed(5), shape=shape, lanes=3)
    images = kind.dtype.random((4, *shape), np.random.default_rng(0))
    beats = kind.to_beats(images)
    assert len(beats) == 4 * kind.beats
    assert kind.from_beats(beats).tolist() == images.tolist()
    assert len(kind.from_beats(beats[:-1])) == 3
