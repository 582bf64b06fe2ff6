from __future__ import annotations

import numpy as np
import pytest
import torch
from brevitas.core.bit_width import BitWidthConst
from brevitas.inject import ExtendedInjector
from brevitas.nn import QuantLinear
from brevitas.proxy import WeightQuantProxyFromInjector
from torch import nn

from popshift.models import export, qonnx_file
from popshift.models.layers import PositiveScale
from popshift.models.quant import sign

EXPORTERS = ["torchscript", "dynamo"]


class ShiftedSign(nn.Module):
    """+1 from 0.3 on; the latent weight 0.1 is -1 here but +1 for a plain BipolarQuant."""

    level = 1.0

    def __init__(self):
        super().__init__()
        self.bit_width = BitWidthConst(1)

    def forward(self, x):
        one = torch.tensor(1.0)
        return self.level * sign(x - 0.3), one, torch.tensor(0.0), self.bit_width()


class HalfSign(ShiftedSign):
    """Values of +-0.5 under scale 1, which no bit can hold."""

    level = 0.5


def with_weight_quantizer(kind):
    class Quantizer(ExtendedInjector):
        proxy_class = WeightQuantProxyFromInjector
        tensor_quant = kind
        signed = True
        narrow_range = True

    layer = QuantLinear(6, 4, bias=False, weight_quant=Quantizer)
    with torch.no_grad():
        layer.weight.copy_(torch.linspace(-1, 1, 24).reshape(4, 6))
    return nn.Sequential(layer, PositiveScale(0.5)).eval()


@pytest.mark.parametrize("exporter", EXPORTERS)
def test_custom_quantizer_exports_its_own_values(exporter, tmp_path):
    net = with_weight_quantizer(ShiftedSign)
    images = torch.randint(0, 4, (9, 6))
    result = export(net, tmp_path / "m.onnx", inputs=images, input_dtype="UINT2", exporter=exporter)
    weight = np.where(net[0].weight.detach().numpy() >= 0.3, 1, -1)
    assert (weight != np.where(net[0].weight.detach().numpy() >= 0, 1, -1)).any()
    with np.load(result.golden) as golden:
        np.testing.assert_array_equal(
            golden[f"tensor/{result.tensors[1]}"], images.numpy() @ weight.T
        )


def test_quantizer_whose_values_no_bit_can_hold_is_refused(tmp_path):
    net = with_weight_quantizer(HalfSign)
    with pytest.raises(
        ValueError, match=r"^export: weight of layer '0': element \(0, 0\) is -0\.5"
    ):
        export(net, tmp_path / "m.onnx", inputs=torch.ones(2, 6), input_dtype="UINT2")
    assert list(tmp_path.iterdir()) == []


def test_a_wrong_weight_in_the_file_is_found(trained, digits, tmp_path, monkeypatch):
    make = qonnx_file.to_qonnx

    def with_a_flipped_weight(*args):
        model = make(*args)
        quantizers = model.get_nodes_by_op_type("BipolarQuant")
        weights = [node for node in quantizers if model.get_initializer(node.input[0]) is not None]
        node = weights[1]
        weight = model.get_initializer(node.input[0]).copy()
        weight[3, 7] *= -1
        model.set_initializer(node.input[0], weight)
        return model

    monkeypatch.setitem(export.__globals__, "to_qonnx", with_a_flipped_weight)
    with pytest.raises(ValueError, match=r"^export: weight \(.*\) of layer 'blocks\.1\.0' is "):
        export(trained, tmp_path / "m.onnx", inputs=digits.test.images)
    assert list(tmp_path.iterdir()) == []


def test_a_wrong_activation_in_the_file_is_found(trained, digits, tmp_path, monkeypatch):
    make = qonnx_file.to_qonnx

    def with_a_moved_mean(*args):
        model = make(*args)
        node = model.get_nodes_by_op_type("BatchNormalization")[0]
        model.set_initializer(node.input[3], model.get_initializer(node.input[3]) + 100)
        return model

    monkeypatch.setitem(export.__globals__, "to_qonnx", with_a_moved_mean)
    with pytest.raises(ValueError, match=r"^export: tensor 'BipolarQuant_3_out0' element \(\d+,\)"):
        export(trained, tmp_path / "m.onnx", inputs=digits.test.images)
