from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
import torch
from torch import nn

from popshift.models import export
from popshift.models.layers import BinaryLinear, FixedPointAct, PositiveScale


def fixed(value, integer_bits, fraction_bits, top):
    steps = Fraction(value) * 2**fraction_bits // 1
    low = -(2 ** (integer_bits - 1 + fraction_bits))
    return float(Fraction(max(low, min(steps, top)), 2**fraction_bits))


VALUES = [-1e9, -4.0, -3.97, -0.5, -0.001, -0.0, 0.0, 0.001, 0.03125, 2.99, 3.0, 3.01, 3.99, 1e9]


@pytest.mark.parametrize("bits", [(3, 5), (1, 1), (2, 0), (8, 8), (16, 8)])
@pytest.mark.parametrize("mode", ["exact", "official"])
def test_values_are_rounded_down_and_clamped(bits, mode):
    integer_bits, fraction_bits = bits
    whole = 2 ** (integer_bits - 1 + fraction_bits)
    top = whole - 1 if mode == "exact" else whole - 2**fraction_bits
    x = torch.tensor(VALUES)
    have = FixedPointAct(*bits, mode=mode)(x)
    assert have.tolist() == [fixed(v, *bits, top) for v in x.tolist()]


def test_the_official_top_is_a_whole_number_below_the_last_level():
    x = torch.tensor([9.0, -9.0, -0.001])
    assert FixedPointAct(3, 5, mode="official")(x).tolist() == [3.0, -4.0, -0.03125]
    assert FixedPointAct(3, 5)(x).tolist() == [3.96875, -4.0, -0.03125]


@pytest.mark.parametrize("mode", ["exact", "official"])
def test_gradient_passes_everywhere(mode):
    x = torch.tensor(VALUES, requires_grad=True)
    upstream = torch.arange(float(len(VALUES)))
    FixedPointAct(3, 5, mode=mode)(x).backward(upstream)
    assert torch.equal(x.grad, upstream)


@pytest.mark.parametrize("exporter", ["torchscript", "dynamo"])
@pytest.mark.parametrize("mode", ["exact", "official"])
def test_an_exported_file_clamps_as_torch_does(mode, exporter, tmp_path):
    """The accumulators reach both ends, and the last levels between the two tops."""
    net = nn.Sequential(
        BinaryLinear(3, 4),
        PositiveScale(0.25),
        FixedPointAct(3, 2, mode=mode),
        BinaryLinear(4, 2),
    ).eval()
    with torch.no_grad():
        net[0].weight.copy_(torch.tensor([[1.0, 1, 1], [-1, -1, -1], [1, -1, 1], [-1, 1, 1]]))
    images = torch.cartesian_prod(*[torch.arange(8)] * 3)
    result = export(net, tmp_path / "m.onnx", inputs=images, input_dtype="UINT3", exporter=exporter)
    with np.load(result.golden) as golden:
        accumulator, levels = (golden[f"tensor/{name}"] for name in result.tensors[1:3])
        assert float(golden[f"scale/{result.tensors[2]}"]) == 0.25
    np.testing.assert_array_equal(levels, accumulator.clip(-16, 15 if mode == "exact" else 12))
    assert {accumulator.min(), accumulator.max()} == {-21, 21}


@pytest.mark.parametrize("bits", [(0, 4), (4, -1), (1, 0), (16, 9)])
def test_bits_out_of_range_say_what_is_allowed(bits):
    with pytest.raises(ValueError) as error:  # noqa: PT011
        FixedPointAct(*bits)
    assert str(error.value) == (
        "fixed point: integer bits must be >= 1 and fraction bits >= 0, 2 to 24 in all, "
        f"got {bits[0]} and {bits[1]}"
    )


def test_an_unknown_mode_says_what_is_allowed():
    with pytest.raises(ValueError, match=r"^fixed point: mode='half' is none of exact, official$"):
        FixedPointAct(3, 5, mode="half")
