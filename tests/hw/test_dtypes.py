from __future__ import annotations

import numpy as np
import pytest

from popshift.hw.dtypes import BIPOLAR, DataType, signed, smallest_for, unsigned
from popshift.hw.errors import DatatypeError


@pytest.mark.parametrize(
    ("name", "low", "high"),
    [("BIPOLAR", -1, 1), ("UINT1", 0, 1), ("UINT8", 0, 255), ("INT1", -1, 0), ("INT8", -128, 127)],
)
def test_a_name_gives_the_range_and_comes_back(name: str, low: int, high: int) -> None:
    dtype = DataType.parse(name)
    assert (dtype.min, dtype.max, dtype.name) == (low, high, name)


def test_qonnx_aliases() -> None:
    assert DataType.parse("BINARY") == unsigned(1)
    assert DataType.parse("TERNARY") == signed(2)


@pytest.mark.parametrize("name", ["FLOAT32", "UINT0", "INT65", "uint8", "UINT", ""])
def test_an_unknown_name_is_refused(name: str) -> None:
    with pytest.raises(DatatypeError):
        DataType.parse(name)


@pytest.mark.parametrize(
    ("low", "high", "name"),
    [
        (0, 0, "UINT1"),
        (0, 1, "UINT1"),
        (0, 127, "UINT7"),
        (0, 128, "UINT8"),
        (5, 256, "UINT9"),
        (-1, 0, "INT1"),
        (-128, 127, "INT8"),
        (-129, 0, "INT9"),
        (-1, 128, "INT9"),
        (-4, -2, "INT3"),
    ],
)
def test_the_smallest_datatype_holds_both_ends(low: int, high: int, name: str) -> None:
    dtype = smallest_for(low, high)
    assert dtype.name == name
    assert dtype.min <= low <= high <= dtype.max


@pytest.mark.parametrize(
    "dtype", [BIPOLAR, unsigned(1), unsigned(5), signed(1), signed(7), signed(64), unsigned(63)]
)
def test_codes_come_back(dtype: DataType) -> None:
    values = np.array([dtype.min, dtype.max, dtype.min, dtype.max])
    codes = dtype.to_codes(values)
    assert dtype.from_codes(codes).tolist() == values.tolist()
    assert int(codes.max()) < 1 << dtype.bits


def test_bipolar_bit_1_is_plus_1() -> None:
    assert BIPOLAR.to_codes(np.array([-1, 1])).tolist() == [0, 1]


def test_check_names_place_value_and_range() -> None:
    with pytest.raises(
        DatatypeError, match=r"input 'x': element \(1, 0\) is 17, .* UINT4 \(0 to 15\)"
    ):
        unsigned(4).check(np.array([[1], [17]]), "input 'x'")
    with pytest.raises(DatatypeError, match="is 0, which is not in BIPOLAR"):
        BIPOLAR.check(np.array([1, 0]), "x")
    with pytest.raises(DatatypeError, match=r"is 0\.5"):
        unsigned(4).check(np.array([0.5]), "x")
