from __future__ import annotations

from itertools import product

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from qonnx.core.datatype import DataType
from qonnx.core.modelwrapper import ModelWrapper
from qonnx.core.onnx_exec import execute_onnx
from qonnx.transformation.change_batchsize import ChangeBatchSize
from qonnx.transformation.infer_shapes import InferShapes
from torch import nn

from popshift.models import convert, export, zoo
from popshift.models.layers import (
    FixedIntervalAct,
    PlanesConv2d,
    PlanesLinear,
    StaircaseAct,
    TernaryLinear,
    set_precision,
)
from popshift.models.ops import without_own_ops
from popshift.models.precision import activation, linear

OURS = [
    ("planes1", "planes2"),
    ("planes3", "planes3"),
    ("planes2-pot", "abc3"),
    ("abc3", "abc5"),
    ("ternary", "log2"),
    ("ternary-cosine", "log3"),
    ("ternary-learned", "wrpn2"),
    ("ternary-pruned", "wrpn4"),
    ("wrpn2", "interval2"),
    ("wrpn4", "interval3"),
    ("odd2", "planes2"),
    ("odd3", "int4"),
    ("interval2", "binary"),
    ("interval3", "uint3"),
    ("nested4", "int2"),
    ("nested8", "interval4"),
]


def mixed_network(pairs, width=9, classes=5):
    """Each layer has another precision; BatchNorms have falling and constant channels."""
    torch.manual_seed(5)
    layers = []
    inputs = 12
    for weight, act in pairs:
        layers += [
            linear(inputs, width, weight=weight, clip=1.0, inputs=None),
            nn.BatchNorm1d(width),
            activation(act, clip=1.0),
        ]
        inputs = width
    layers.append(linear(inputs, classes, weight=pairs[0][0], clip=1.0, inputs=None))
    net = nn.Sequential(*layers)
    net(torch.randint(0, 17, (300, 12)).float())
    with torch.no_grad():
        for module in net:
            if isinstance(module, nn.BatchNorm1d):
                nn.init.uniform_(module.weight, 0.5, 1.5)
                nn.init.normal_(module.bias, std=0.3)
                module.weight[0] *= -1
                module.weight[1] = 0.0
    return net.eval()


def onnxruntime_tensors(path, names, images):
    """What onnxruntime computes at some tensors, one image at a time."""
    model = onnx.load(path)
    del model.graph.output[:]
    for name in names:
        model.graph.output.append(onnx.helper.make_empty_tensor_value_info(name))
    session = onnxruntime.InferenceSession(model.SerializeToString())
    source = session.get_inputs()[0].name
    rows = [session.run(names, {source: image[None]}) for image in images]
    return {name: np.concatenate([row[i] for row in rows]) for i, name in enumerate(names)}


def qonnx_tensors(path, images):
    model = without_own_ops(ModelWrapper(str(path))).transform(ChangeBatchSize(len(images)))
    model = model.transform(InferShapes())
    return execute_onnx(model, {model.graph.input[0].name: images}, True)


def check_all(result, images):
    """Torch's integers are those of qonnx and of onnxruntime at every integer point."""
    with np.load(result.golden) as file:
        golden = dict(file)
    inner = list(result.tensors[1:])
    by_qonnx = qonnx_tensors(result.model, images)
    by_onnxruntime = onnxruntime_tensors(result.model, inner, images)
    for name in inner:
        scale = golden[f"scale/{name}"]
        if scale.ndim:
            scale = scale.reshape(-1, *[1] * (by_qonnx[name].ndim - 2))
        for values in (by_qonnx[name], by_onnxruntime[name]):
            steps = values.astype(np.float64) / scale
            np.testing.assert_allclose(steps, np.rint(steps), rtol=0, atol=1e-3)
            np.testing.assert_array_equal(np.rint(steps), golden[f"tensor/{name}"])
    return golden


@pytest.mark.parametrize("exporter", ["torchscript", "dynamo"])
@pytest.mark.parametrize("part", range(4))
def test_every_integer_of_every_precision_is_that_of_the_runtimes(exporter, part, tmp_path):
    net = mixed_network(OURS[part * 4 : part * 4 + 4])
    images = torch.randint(0, 17, (60, 12))
    result = export(net, tmp_path / "m.onnx", inputs=images, input_dtype="UINT5", exporter=exporter)
    golden = check_all(result, images.numpy().astype(np.float32))
    levels = [golden[f"tensor/{name}"] for name in result.tensors[1:]]
    assert min(len(np.unique(level)) for level in levels) >= 2


def test_convolutions_of_planes_by_slices_and_ternary_rows(tmp_path):
    torch.manual_seed(1)
    net = nn.Sequential(
        PlanesConv2d(2, 6, 3, planes=2, coding={"group": "slice"}, padding=1),
        nn.BatchNorm2d(6),
        activation("planes2", clip=1.0),
        nn.MaxPool2d(2),
        nn.Flatten(),
        TernaryLinear(54, 4, threshold="cosine", per="row"),
    )
    images = torch.randint(0, 4, (30, 2, 6, 6))
    net(images.float())
    net.eval()
    result = export(net, tmp_path / "m.onnx", inputs=images, input_dtype="UINT2")
    golden = check_all(result, images.numpy().astype(np.float32))
    scale = golden[f"scale/{result.tensors[-1]}"]
    assert scale.shape == (4,)
    model = ModelWrapper(str(result.model))
    counts = {op: len(model.get_nodes_by_op_type(op)) for op in ("Quant", "MultiThreshold")}
    assert counts == {"Quant": 2, "MultiThreshold": 1}


def weights_in(result):
    """Integers and datatypes of the weights of a file, by layer."""
    model = ModelWrapper(str(result.model))
    found = []
    for node in model.graph.node:
        values = model.get_initializer(node.input[0])
        if node.op_type == "Quant" and values is not None:
            scale, bits = (model.get_initializer(node.input[i]) for i in (1, 3))
            integers = values.astype(np.float64) / scale
            np.testing.assert_allclose(integers, np.rint(integers), rtol=2**-22, atol=0)
            dtype = DataType[f"INT{int(bits.item())}"]
            assert dtype.min() <= integers.min()
            assert integers.max() <= dtype.max()
            found.append((np.rint(integers).astype(np.int64), float(np.ravel(scale)[0])))
    return found


def test_planes_leave_as_the_integers_of_their_sums_under_one_scale(tmp_path):
    net = mixed_network([("planes3", "int4"), ("planes2-pot", "int4")])
    result = export(
        net, tmp_path / "m.onnx", inputs=torch.randint(0, 17, (3, 12)), input_dtype="UINT5"
    )
    layers = [module for module in net if isinstance(module, PlanesLinear)]
    for layer, (integers, scale) in zip(layers, weights_in(result), strict=True):
        code, step = layer.code()
        assert scale == np.float32(step.item())
        sums = np.einsum("gk,gkn->gn", code.alpha.numpy(), code.planes.numpy())
        np.testing.assert_array_equal(integers.T, sums)
        # a row has at most as many levels as its planes have sums
        assert max(len(np.unique(row)) for row in sums) <= 2 ** code.alpha.shape[1]


@pytest.mark.parametrize("bits", [2, 3, 4])
def test_files_of_fewer_bits_hold_prefixes_of_those_of_more(bits, tmp_path, digits):
    net = zoo.create("mlp", hidden=(8, 6), weight="nested4", act="int4")
    net.train()
    for precision in (2, 3, 4):
        set_precision(net, precision)
        net(digits.train.images[:200].float())
    whole = export(
        convert.fixed_precision(net, 4), tmp_path / "4.onnx", inputs=digits.test.images[:3]
    )
    result = export(
        convert.fixed_precision(net, bits), tmp_path / "b.onnx", inputs=digits.test.images[:20]
    )
    check_all(result, digits.test.images[:20].numpy().astype(np.float32))
    for (longer, step), (shorter, wide) in zip(weights_in(whole), weights_in(result), strict=True):
        np.testing.assert_array_equal(shorter, longer >> (4 - bits))
        assert wide == step * 2 ** (4 - bits)


def test_a_network_of_groups_exports(tmp_path):
    torch.manual_seed(0)
    net = zoo.create("digits-pal", widths=(2, 3), groups=3, image=(1, 6, 6))
    images = torch.randint(0, 17, (5, 1, 6, 6))
    net(images.float())
    net.eval()
    result = export(net, tmp_path / "m.onnx", inputs=images)
    check_all(result, images.numpy().astype(np.float32))


def test_real_plane_scales_are_refused_unless_there_is_one_a_row(tmp_path):
    torch.manual_seed(0)
    images = torch.randint(0, 4, (5, 8))
    one = nn.Sequential(PlanesLinear(8, 3, planes=1, coding={"alpha": "float"})).eval()
    result = export(one, tmp_path / "m.onnx", inputs=images, input_dtype="UINT2")
    golden = check_all(result, images.numpy().astype(np.float32))
    alpha = one[0].weight.detach().abs().mean(dim=1).numpy()
    np.testing.assert_allclose(golden[f"scale/{result.tensors[-1]}"], alpha, rtol=1e-6)
    for coding in ({"alpha": "float"}, {"alpha": "float", "group": 4}):
        planes = 2 if "group" not in coding else 1
        net = nn.Sequential(PlanesLinear(8, 3, planes=planes, coding=coding)).eval()
        with pytest.raises(
            ValueError, match=r"^export: the weights of layer '0' are no integers: "
        ):
            export(net, tmp_path / "n.onnx", inputs=images, input_dtype="UINT2")


def test_a_staircase_cannot_leave_as_a_rounding(tmp_path, monkeypatch):
    monkeypatch.setattr(StaircaseAct, "bake", lambda self: None)
    net = mixed_network([("planes2", "planes2")])
    images = torch.randint(0, 17, (4, 12))
    with pytest.raises(NotImplementedError):
        export(net, tmp_path / "m.onnx", inputs=images, input_dtype="UINT5")
    assert list(tmp_path.iterdir()) == []


def test_weights_leave_as_they_are_though_a_second_fit_would_change_their_scale(tmp_path):
    images = torch.randint(0, 4, (5, 12))
    for seed in range(60):
        torch.manual_seed(seed)
        layer = PlanesLinear(12, 2, planes=3, coding={"method": "refined"}).eval()
        nn.init.normal_(layer.weight, std=0.5)
        code, scale = layer.code()
        if layer.weight_quant.tensor_quant.code(layer.quant_weight().value)[1] != scale:
            break
    else:
        pytest.fail("no such weights")
    result = export(nn.Sequential(layer), tmp_path / "m.onnx", inputs=images, input_dtype="UINT2")
    check_all(result, images.numpy().astype(np.float32))
    ((written, step),) = weights_in(result)
    np.testing.assert_array_equal(written.T, code.values().numpy())
    assert step == scale


def test_equal_accumulators_predict_the_first_class_whatever_floats_say(tmp_path):
    """Sums in steps of 1/3 differ by rounding; the hardware compares integers."""
    torch.manual_seed(0)
    act = FixedIntervalAct(2)
    images = torch.randint(0, 4, (400, 30))
    net = nn.Sequential(
        nn.BatchNorm1d(30), act, linear(30, 4, weight="wrpn3", clip=1.0, inputs=None)
    )
    net(images.float())
    net.eval()
    result = export(net, tmp_path / "m.onnx", inputs=images, input_dtype="UINT2")
    with np.load(result.golden) as golden:
        last = golden[f"tensor/{result.tensors[-1]}"]
        np.testing.assert_array_equal(golden["prediction"], last.argmax(axis=1))
        with torch.no_grad():
            floats = net(images.float()).argmax(dim=1).numpy()
        assert (golden["prediction"] != floats).any()


def plane_scales(row):
    """Plane scales that follow from the integers of a row; see docs/planes.md."""
    values = set(row) | {-value for value in row}
    halves = sorted({(max(values) - value) // 2 for value in values})
    scales, sums = [], {0}
    for half in halves:
        if half not in sums:
            scales.append(half)
            sums |= {total + half for total in sums}
    return sorted(scales, reverse=True)


@pytest.mark.parametrize("planes", [1, 2, 3])
@pytest.mark.parametrize("alpha", ["fixed", "pot"])
def test_plane_scales_follow_from_the_integers(planes, alpha):
    torch.manual_seed(2)
    layer = PlanesLinear(200, 12, planes=planes, coding={"alpha": alpha})
    nn.init.normal_(layer.weight, std=0.4)
    code, _ = layer.code()
    for row, scales in zip(code.values().long().tolist(), code.alpha.long().tolist(), strict=True):
        found = plane_scales(row)
        sums = {
            sum(s * a for s, a in zip(signs, found, strict=True))
            for signs in product((-1, 1), repeat=len(found))
        }
        assert set(row) <= sums
        assert len(found) <= planes
        if len(set(row)) == 2**planes:
            assert found == [scale for scale in scales if scale]
