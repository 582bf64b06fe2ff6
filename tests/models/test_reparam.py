"""Weights by several real tensors each: shift and sign, sign-sparse-shift."""

from __future__ import annotations

import copy
import math

import numpy as np
import pytest
import torch

from popshift.models.layers import ShiftConv2d, ShiftLinear, ShiftSign, SignSparseShift
from popshift.models.quant import ShiftSignReparam, SignSparseShiftReparam

LN2 = math.log(2)


def column(*values):
    return [torch.tensor([value], requires_grad=True) for value in values]


def weight_and_gradients(reparam, *values, upstream=1.0):
    tensors = column(*values)
    weight = reparam(*tensors)
    weight.backward(torch.tensor([upstream]))
    return weight.item(), [tensor.grad.item() for tensor in tensors]


def originals(layer):
    return list(layer.parametrizations.weight.parameters())


@pytest.mark.parametrize("upstream", [1.0, -3.0])
def test_gradients_of_shift_and_sign(upstream):
    weight, grads = weight_and_gradients(ShiftSignReparam(5), 0.8, -2.3, upstream=upstream)
    assert weight == 0.25
    assert grads == pytest.approx([upstream, upstream * 0.25 * LN2])
    weight, grads = weight_and_gradients(ShiftSignReparam(5), 0.4, -2.3, upstream=upstream)
    assert weight == 0
    assert grads == [upstream, 0]  # a zero weight can still gain a sign


def test_halves_round_to_even():
    reparam = ShiftSignReparam(5)
    signs = torch.tensor([-1.5, -0.51, -0.5, 0.5, 0.51, 1.5])
    assert reparam(signs, torch.zeros(6)).tolist() == [-1, -1, 0, 0, 1, 1]
    shifts = torch.tensor([-0.5, -1.5, -2.5])
    assert reparam(torch.ones(3), shifts).tolist() == [1, 0.25, 0.25]


@pytest.mark.parametrize("bits", [2, 3, 4, 5])
def test_number_of_shift_and_sign_weights(bits):
    reparam = ShiftSignReparam(bits)
    signs, shifts = torch.meshgrid(
        torch.tensor([-1.0, 0, 1]), torch.arange(-20.0, 3), indexing="ij"
    )
    weights = set(reparam(signs.flatten(), shifts.flatten()).tolist())
    assert len(weights) == 2**bits - 1
    assert weights == {s * 2.0**e for s in (-1, 0, 1) for e in range(2 - 2 ** (bits - 1), 1)}


def test_two_bits_are_ternary():
    layer = ShiftLinear(50, 4, form=ShiftSign(bits=2))
    assert set(layer.quant_weight().value.unique().tolist()) == {-1, 0, 1}


def test_exponents_are_clamped_in_the_parameter_in_training_only():
    layer = ShiftLinear(3, 1, form=ShiftSign(bits=3)).eval()
    sign, shift = originals(layer)
    with torch.no_grad():
        sign.fill_(1)
        shift.copy_(torch.tensor([[-9.0, -0.6, 4.0]]))
    weights = torch.tensor([[0.25, 0.5, 1.0]])
    assert torch.equal(layer.quant_weight().value, weights)
    assert shift.tolist() == torch.tensor([[-9.0, -0.6, 4.0]]).tolist()
    assert torch.equal(layer.train().quant_weight().value, weights)
    assert shift.tolist() == torch.tensor([[-2.0, -0.6, 0.0]]).tolist()


def test_a_frozen_sign_gets_no_gradient_and_the_exponent_does():
    layer = ShiftLinear(5, 3, form=ShiftSign(bits=5, freeze_sign=True))
    sign, shift = originals(layer)
    layer(torch.ones(2, 5)).sum().backward()
    assert sign.grad is None
    assert shift.grad is not None


def test_gradients_reach_both_parameters_through_the_layer():
    torch.manual_seed(2)
    layer = ShiftConv2d(2, 3, 3, form=ShiftSign(bits=4))
    sign, shift = originals(layer)
    x = torch.randint(0, 4, (2, 2, 5, 5)).float()
    out = layer(x)
    upstream = torch.randint(-3, 4, out.shape).float()
    out.backward(upstream)
    plain = layer.quant_weight().value.detach().requires_grad_()
    torch.nn.functional.conv2d(x, plain).backward(upstream)
    torch.testing.assert_close(sign.grad, plain.grad)
    torch.testing.assert_close(shift.grad, plain.grad * plain.detach() * LN2)


def test_assigning_float_weights_converts_them():
    weights = torch.tensor([[0.7, 0.71, -0.3, 1.42, 0.0, 1e-9]])
    layer = ShiftLinear(6, 1, form=ShiftSign(bits=5))
    layer.weight = weights
    assert layer.quant_weight().value.tolist() == [[0.5, 1, -0.25, 1, 0, 2.0**-14]]
    sign, _ = originals(layer)
    assert sign.tolist() == [[1, 1, -1, 1, 0, 1]]


@pytest.mark.parametrize("form", [ShiftSign(bits=3), SignSparseShift(shifts=2)])
def test_copies_and_loaded_states_share_nothing_with_the_original(form):
    layer = ShiftLinear(6, 4, form=form)
    before = [p.detach().clone() for p in originals(layer)]
    other = ShiftLinear(6, 4, form=form)
    twin = copy.deepcopy(layer)
    parameters = originals(twin)
    twin.load_state_dict(other.state_dict())
    assert all(a is b for a, b in zip(originals(twin), parameters, strict=True))
    assert torch.equal(twin.quant_weight().value, other.quant_weight().value)
    with torch.no_grad():
        for parameter in originals(twin):
            parameter.add_(1)
    assert all(torch.equal(a, b) for a, b in zip(originals(layer), before, strict=True))


POINTS = [
    ((-0.3, 0.2, 0.5, -0.1), -2),
    ((-0.3, 0.2, 0.5, 0.1), -4),
    ((0.3, 0.2, -0.5, 0.1), 1),
    ((0.3, -0.2, 0.5, 0.1), 0),
]


@pytest.mark.parametrize(("tensors", "weight"), POINTS)
def test_published_values_of_sign_sparse_shift(tensors, weight):
    assert SignSparseShiftReparam(2)(*column(*tensors)).item() == weight


def test_gradients_of_sign_sparse_shift():
    _, grads = weight_and_gradients(SignSparseShiftReparam(2), *POINTS[0][0])
    assert grads == pytest.approx([2, -2, -2 * LN2, -2 * LN2])
    _, grads = weight_and_gradients(SignSparseShiftReparam(2), *POINTS[1][0])
    assert grads == pytest.approx([4, -4, -4 * LN2 * 2, -4 * LN2])
    _, grads = weight_and_gradients(SignSparseShiftReparam(2), *POINTS[2][0])
    assert grads == pytest.approx([1, 1, 1 * LN2 * 2, 0])


def test_a_closed_gate_is_revived_and_holds_back_the_others():
    _, grads = weight_and_gradients(SignSparseShiftReparam(2), *POINTS[3][0], upstream=-5.0)
    assert grads == pytest.approx([0, -5 * 4, 0, 0])


def test_zero_is_a_positive_sign_and_a_closed_gate():
    assert SignSparseShiftReparam(0)(*column(0.0, 0.1)).item() == 1
    assert SignSparseShiftReparam(0)(*column(-0.0, 0.1)).item() == 1
    assert SignSparseShiftReparam(0)(*column(1.0, 0.0)).item() == 0
    assert SignSparseShiftReparam(1)(*column(1.0, 1.0, 0.0)).item() == 1


def test_a_sign_flips_without_passing_zero():
    gates = column(0.2, -0.5, 0.1)
    path = [SignSparseShiftReparam(2)(torch.tensor([s]), *gates).item() for s in (1e-9, -1e-9)]
    assert path == [1, -1]


@pytest.mark.parametrize("shifts", [0, 1, 2, 3, 6])
def test_nested_shifts_give_their_levels(shifts):
    """The exponent is the number of open shifts before the first closed one."""
    rng = np.random.default_rng(3)
    tensors = rng.normal(size=(2 + shifts, 2000)).astype(np.float32)
    tensors[2:] += 0.8  # all shifts are open often enough
    want = []
    for sign, gate, *rest in tensors.T:
        exponent = 0
        for shift in rest:
            if shift <= 0:
                break
            exponent += 1
        want.append(0 if gate <= 0 else (1 if sign >= 0 else -1) * 2**exponent)
    have = SignSparseShiftReparam(shifts)(*(torch.from_numpy(t) for t in tensors))
    np.testing.assert_array_equal(have.numpy(), want)
    levels = {s * 2**e for s in (-1, 1) for e in range(shifts + 1)} | {0}
    assert set(have.unique().tolist()) == levels


@pytest.mark.parametrize("shifts", [0, 1, 2, 3])
def test_weights_on_the_grid_convert_to_themselves(shifts):
    grid = torch.tensor([0.0] + [s * 2.0**e for s in (-1, 1) for e in range(shifts + 1)])
    reparam = SignSparseShiftReparam(shifts)
    assert torch.equal(reparam(*reparam.right_inverse(grid)), grid)


def test_first_weights_have_the_papers_deviation():
    torch.manual_seed(0)
    for layer, fan_out in (
        (ShiftConv2d(40, 30, 3, form=SignSparseShift()), 30 * 9),
        (ShiftLinear(200, 50, form=SignSparseShift()), 50),
    ):
        tensors = originals(layer)
        assert len(tensors) == 4
        for tensor in tensors:
            assert float(tensor.detach().std()) == pytest.approx(math.sqrt(2 / fan_out), rel=0.05)


def test_the_penalty_pushes_closed_gates_open_by_its_factor():
    layer = ShiftLinear(4, 2, form=SignSparseShift())
    _, sparse, *_ = originals(layer)
    with torch.no_grad():
        sparse.copy_(torch.tensor([[-1.0, 2, -0.5, 0], [3, -0.25, 1, 1]]))
    penalty = layer.penalty()
    assert penalty.item() == 1.75
    (1e-5 * penalty).backward()
    assert torch.equal(sparse.grad, torch.where(sparse <= 0, torch.tensor(-1e-5), 0.0))


def test_only_shift_and_sign_are_exempt_from_decay():
    ps, s3 = ShiftLinear(3, 2, form=ShiftSign()), ShiftLinear(3, 2, form=SignSparseShift())
    assert [id(p) for p in ps.undecayed_parameters()] == [id(p) for p in originals(ps)]
    assert list(s3.undecayed_parameters()) == []
    assert ps.penalty() == 0


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: ShiftSignReparam(1), "shift and sign: bits must be 2 to 5, got 1"),
        (lambda: ShiftSignReparam(6), "shift and sign: bits must be 2 to 5, got 6"),
        (
            lambda: SignSparseShiftReparam(-1),
            "sign, sparse and shift: shifts must be 0 to 6, got -1",
        ),
        (lambda: SignSparseShiftReparam(7), "sign, sparse and shift: shifts must be 0 to 6, got 7"),
    ],
)
def test_options_out_of_range_say_what_is_allowed(make, message):
    with pytest.raises(ValueError) as error:  # noqa: PT011
        make()
    assert str(error.value) == message
