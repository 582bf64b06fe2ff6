"""Residual networks: sizes, one grid for each sum, and the export of their sums."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from popshift.models import export, zoo
from popshift.models.blocks.residual import BasicBlock, ResidualSum
from popshift.models.layers import BinaryAct, BinaryLinear, IntegerAct

from .test_export_conv import images_of, randomized


def sizes(net):
    layers = [m for m in net.modules() if isinstance(m, nn.Conv2d | nn.Linear)]
    return [tuple(layer.weight.shape) for layer in layers]


def basic(inputs, outputs):
    shapes = [(outputs, inputs, 3, 3), (outputs, outputs, 3, 3)]
    return shapes if inputs == outputs else [*shapes, (outputs, inputs, 1, 1)]


def test_resnet18_has_its_published_sizes():
    """Table 1 of arXiv:1512.03385, with the stem and the classes for CIFAR-10."""
    net = zoo.create("resnet18").eval()
    blocks = [(64, 64)] * 2 + [
        (64, 128),
        (128, 128),
        (128, 256),
        (256, 256),
        (256, 512),
        (512, 512),
    ]
    expected = [(64, 3, 3, 3), *(s for block in blocks for s in basic(*block)), (10, 512)]
    assert sizes(net) == expected
    assert net(torch.zeros(1, *net.input_shape)).shape == (1, 10)
    strides = [block.first[0].stride for block in net.blocks]
    assert strides == [(1, 1), (1, 1), *[(2, 2), (1, 1)] * 3]
    assert net.blocks(net.stem(torch.zeros(1, 3, 32, 32))).shape == (1, 512, 4, 4)


@pytest.mark.parametrize(
    ("options", "steps"),
    [
        ({}, {0.25}),
        ({"act": "uint2"}, {1.0}),
        ({"act": "binary"}, {0.25}),
        ({"act": "int2", "residual": "int8"}, {1 / 32}),
    ],
)
def test_both_inputs_and_the_output_of_every_sum_have_one_step(options, steps):
    net = zoo.create("digits-resnet", **options)
    for block in net.blocks:
        assert isinstance(block, BasicBlock)
        quantizers = [block.grid, block.output]
        if block.shortcut is not None:
            quantizers.append(block.shortcut[-1])
        assert {float(q.act_quant.scale()) for q in quantizers} == steps
    assert float(net.stem[-1].act_quant.scale()) in steps


def test_a_grid_that_the_convolutions_take_is_not_quantized_again():
    assert isinstance(zoo.create("digits-resnet", act="uint4").blocks[0].entry, nn.Identity)
    other = zoo.create("digits-resnet", act="uint2", residual="uint4").blocks[0].entry
    assert isinstance(other, IntegerAct)
    assert isinstance(zoo.create("digits-resnet", act="binary").blocks[0].entry, BinaryAct)


def test_bits_are_padded_with_the_pad_value_and_integers_with_zeros():
    def pads(net):
        return {
            conv.pad_value for block in net.blocks for conv in (block.first[0], block.second[0])
        }

    assert pads(zoo.create("digits-resnet", act="binary", pad_value=1)) == {1}
    assert pads(zoo.create("digits-resnet", act="uint2", pad_value=1)) == {0}
    stem = zoo.create("digits-resnet", act="uint2", input_dtype="BIPOLAR").stem
    assert stem[0].pad_value == -1


def test_the_float_twin_has_nothing_quantized():
    net = zoo.create("digits-resnet", weight="float", act="float")
    assert sizes(net) == sizes(zoo.create("digits-resnet"))
    kinds = BinaryAct | IntegerAct | BinaryLinear
    assert not any(hasattr(m, "weight_quant") or isinstance(m, kinds) for m in net.modules())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"widths": (4,)}, "widths (4,) and blocks (1, 1) must be of as many stages"),
        ({"widths": ()}, "widths needs numbers >= 1"),
        ({"blocks": (0, 1)}, "blocks needs numbers >= 1"),
        ({"residual": "binary"}, "residual='binary' is none of auto, int2"),
        ({"image": (8, 8)}, "image must be (channels, height, width)"),
        ({"pad_value": 2}, "pad_value must be -1, 0 or 1"),
        ({"classes": 0}, "classes must be >= 1"),
    ],
)
def test_options_out_of_range_are_refused(options, message):
    with pytest.raises(ValueError, match=r"digits-resnet: ") as error:
        zoo.create("digits-resnet", **options)
    assert message in str(error.value)


@pytest.mark.parametrize(
    "exporter", ["torchscript", pytest.param("dynamo", marks=pytest.mark.slow)]
)
def test_sums_are_exported_in_the_order_of_execution(tmp_path, exporter):
    net = zoo.create("digits-resnet", act="uint2")
    images = images_of(net, 6)
    result = export(
        randomized(net, images), tmp_path / "model.onnx", inputs=images, exporter=exporter
    )
    with np.load(result.golden) as golden:
        # Stem, two convolutions and a sum, three convolutions and a sum, pool and classes.
        shapes = [golden[f"tensor/{name}"].shape[1:] for name in result.tensors]
    assert shapes == [
        (1, 8, 8),
        *[(16, 8, 8)] * 2,
        *[(16, 8, 8)] * 6,
        *[(32, 4, 4)] * 8,
        (32, 1, 1),
        (10,),
    ]


class Summing(nn.Module):
    """Two quantizers of one input, added."""

    input_dtype, input_shape = "UINT5", (4,)

    def __init__(self, steps, *, is_module=True):
        super().__init__()
        self.first, self.second = (IntegerAct(4, signed=True, scale=s) for s in steps)
        self.sum = ResidualSum() if is_module else torch.add
        self.act = IntegerAct(4, signed=True, scale=steps[0])
        self.head = BinaryLinear(4, 3)

    def forward(self, x):
        return self.head(self.act(self.sum(self.first(x - 8), self.second(8 - x))))


def test_the_integers_of_a_sum_are_exported(tmp_path):
    net = Summing((0.5, 0.5)).eval()
    images = images_of(net, 5)
    result = export(net, tmp_path / "model.onnx", inputs=images)
    with np.load(result.golden) as golden:
        (name,) = (name for name in result.tensors if name.startswith("Add"))
        sums = np.clip(2 * images - 16, -7, 7) + np.clip(16 - 2 * images, -7, 7)
        np.testing.assert_array_equal(golden[f"tensor/{name}"], sums)
        assert golden[f"scale/{name}"] == 0.5


def test_a_sum_of_different_steps_is_refused(tmp_path):
    net = Summing((0.5, 1.0)).eval()
    with pytest.raises(ValueError, match=r"'sum' adds tensors with steps 0.5 and 1.0; quantize"):
        export(net, tmp_path / "model.onnx", inputs=images_of(net, 5))


def test_sums_that_are_no_modules_are_not_exported(tmp_path):
    net = Summing((0.5, 0.5), is_module=False).eval()
    result = export(net, tmp_path / "model.onnx", inputs=images_of(net, 5))
    assert not [name for name in result.tensors if name.startswith("Add")]
