from __future__ import annotations

import hashlib

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from brevitas.nn import QuantIdentity, QuantLinear
from brevitas.quant import Int8ActPerTensorFloat, Int8WeightPerTensorFloat
from qonnx.core.datatype import DataType
from qonnx.core.modelwrapper import ModelWrapper
from qonnx.core.onnx_exec import execute_onnx
from qonnx.transformation.change_batchsize import ChangeBatchSize
from qonnx.transformation.infer_shapes import InferShapes
from torch import nn

from popshift.models import data, export, train, zoo
from popshift.models.dtypes import integer_range
from popshift.models.layers import BinaryAct, BinaryLinear

EXPORTERS = ["torchscript", "dynamo"]


@pytest.fixture(scope="module", params=EXPORTERS)
def exported(request, trained, digits, tmp_path_factory):
    path = tmp_path_factory.mktemp(request.param) / "model.onnx"
    return export(
        trained,
        path,
        inputs=digits.test.images,
        labels=digits.test.labels,
        exporter=request.param,
    )


@pytest.fixture
def golden(exported):
    with np.load(exported.golden, allow_pickle=False) as file:
        return dict(file)


def execute_all(path, images):
    """Every tensor of the graph when qonnx executes all images at once."""
    model = ModelWrapper(str(path)).transform(ChangeBatchSize(len(images)))
    model = model.transform(InferShapes())
    name = model.graph.input[0].name
    return execute_onnx(model, {name: images.astype(np.float32)}, return_full_exec_context=True)


def test_qonnx_computes_every_golden_integer_of_every_test_image(exported, golden):
    context = execute_all(exported.model, golden["input"])
    for name in exported.tensors:
        assert context[name].shape == golden[f"tensor/{name}"].shape
        np.testing.assert_array_equal(
            context[name], golden[f"scale/{name}"] * golden[f"tensor/{name}"]
        )


def test_predictions_are_torchs_and_the_argmax_of_the_last_accumulators(
    exported, golden, trained, digits
):
    with torch.no_grad():
        logits = trained(digits.test.images.float())
    np.testing.assert_array_equal(golden["prediction"], logits.argmax(dim=1).numpy())
    last = golden[f"tensor/{exported.tensors[-1]}"]
    np.testing.assert_array_equal(golden["prediction"], last.argmax(axis=1))
    np.testing.assert_array_equal(golden["label"], digits.test.labels.numpy())


def test_golden_holds_what_an_independent_integer_network_computes(exported, golden, trained):
    x = golden["input"].astype(np.int64)
    expected = [x]
    for block in trained.blocks:
        linear, norm, _ = block
        x = x @ np.where(linear.weight.detach().numpy() < 0, -1, 1).T
        with torch.no_grad():
            y = norm(torch.from_numpy(x.astype(np.float32))).numpy()
        expected += [x, x := np.where(y < 0, -1, 1)]
    expected.append(x @ np.where(trained.head.weight.detach().numpy() < 0, -1, 1).T)
    assert len(exported.tensors) == len(expected) == 6
    for name, integers in zip(exported.tensors, expected, strict=True):
        np.testing.assert_array_equal(golden[f"tensor/{name}"], integers)


def test_golden_datatypes_and_names(exported, golden):
    inner = [f"{kind}/{name}" for name in exported.tensors for kind in ("tensor", "scale")]
    assert sorted(golden) == sorted(["input", "label", "prediction", *inner])
    assert exported.images == len(golden["input"]) == 360
    kinds = {
        name.split("_")[0]: (
            golden[f"tensor/{name}"].dtype,
            float(golden[f"scale/{name}"]),
        )
        for name in exported.tensors
    }
    layer = "Gemm" if "Gemm" in kinds else "MatMul"
    assert kinds == {
        "global": (np.uint8, 1.0),
        layer: (np.int32, 1.0),
        "BipolarQuant": (np.int8, 1.0),
    }
    signs = golden[f"tensor/{exported.tensors[2]}"]
    assert set(np.unique(signs)) == {-1, 1}
    assert (signs[:, 1] == -1).all()  # gamma 0, beta < 0
    assert (signs[:, 2:4] == 1).all()  # gamma 0, beta 0 and a huge beta


def test_file_is_one_checked_graph_with_shapes_annotation_and_signs(exported, trained):
    model = ModelWrapper(str(exported.model))
    assert model.get_tensor_datatype("global_in") == DataType["UINT5"]
    assert exported.input_dtype == "UINT5"
    assert [p.name for p in exported.model.parent.iterdir() if ".data" in p.name] == []
    for node in model.graph.node:
        assert model.get_tensor_shape(node.output[0]) is not None
    weights = [
        model.get_initializer(node.input[0])
        for node in model.graph.node
        if node.op_type == "BipolarQuant" and model.get_initializer(node.input[0]) is not None
    ]
    assert len(weights) == 3
    assert all(set(np.unique(weight)) == {-1.0, 1.0} for weight in weights)
    ops = {node.op_type for node in model.graph.node}
    assert ops in ({"BipolarQuant", op, "BatchNormalization", "Mul"} for op in ("MatMul", "Gemm"))


def test_the_file_runs_as_it_is_in_onnxruntime(exported, golden, trained, digits):
    session = onnxruntime.InferenceSession(exported.model)
    (source,), logits = session.get_inputs(), []
    for image in golden["input"].astype(np.float32):
        logits.append(session.run(None, {source.name: image[None]})[0][0])
    with torch.no_grad():
        want = trained(digits.test.images.float()).numpy()
    np.testing.assert_array_equal(logits, want)


def test_file_does_not_say_where_it_was_made(exported):
    model = onnx.load(exported.model)
    assert not [node for node in model.graph.node if node.metadata_props or node.doc_string]
    assert b".py" not in exported.model.read_bytes()


@pytest.mark.parametrize("exporter", EXPORTERS)
def test_exporting_twice_gives_the_same_bytes(exporter, trained, digits, tmp_path):
    digests = set()
    for name in ("a.onnx", "b.onnx"):
        export(trained, tmp_path / name, inputs=digits.test.images[:2], exporter=exporter)
        digests.add(hashlib.sha256((tmp_path / name).read_bytes()).hexdigest())
    assert len(digests) == 1


def test_export_changes_nothing_in_the_network(digits, tmp_path):
    net = zoo.create("mlp", hidden=(8,)).train()
    before = {name: tensor.clone() for name, tensor in net.state_dict().items()}
    export(net, tmp_path / "model.onnx", inputs=digits.test.images[:3])
    assert net.training
    assert all(torch.equal(tensor, before[name]) for name, tensor in net.state_dict().items())
    train.fit(net, digits, epochs=1)  # no export handler is left behind


@pytest.mark.parametrize("exporter", EXPORTERS)
def test_binary_input(exporter, digits, tmp_path):
    bits = data.binarize(digits, 8)
    net = zoo.create("tfc", in_features=64, hidden=(16,))
    train.fit(net, bits, epochs=2)
    result = export(net, tmp_path / "m.onnx", inputs=bits.test.images, exporter=exporter)
    model = ModelWrapper(str(result.model))
    assert model.get_tensor_datatype("global_in") == DataType["BIPOLAR"]
    with np.load(result.golden) as golden:
        assert set(np.unique(golden["input"])) == {-1, 1}
        assert golden["input"].dtype == np.int8
        np.testing.assert_array_equal(golden["tensor/BipolarQuant_0_out0"], golden["input"])
        context = execute_all(result.model, golden["input"])
        for name in result.tensors:
            np.testing.assert_array_equal(context[name], golden[f"tensor/{name}"])


def test_labels_and_the_golden_path_are_optional(trained, digits, tmp_path):
    target = tmp_path / "integers.npz"
    images = digits.test.images[:1].numpy()
    result = export(trained, tmp_path / "model.onnx", inputs=images, golden=target)
    assert result.golden == target
    with np.load(target) as golden:
        assert "label" not in golden
        np.testing.assert_array_equal(golden["input"], images)


@pytest.mark.parametrize("exporter", EXPORTERS)
def test_integers_of_quantizers_with_a_scale(exporter, tmp_path):
    """Brevitas' own 8-bit quantizers: scales that are no powers of two."""
    torch.manual_seed(3)
    net = nn.Sequential(
        BinaryLinear(12, 8),
        nn.BatchNorm1d(8),
        QuantIdentity(act_quant=Int8ActPerTensorFloat),
        QuantLinear(8, 5, bias=False, weight_quant=Int8WeightPerTensorFloat),
    )
    images = torch.randint(0, 17, (50, 12))
    net(images.float())  # sets running statistics and the activation's scale
    net.eval()
    result = export(net, tmp_path / "m.onnx", inputs=images, input_dtype="UINT5", exporter=exporter)
    with np.load(result.golden) as golden:
        _, first, act, last = result.tensors
        levels = golden[f"tensor/{act}"]
        assert len(np.unique(levels)) > 20
        assert np.abs(levels).max() <= 128
        weight = net[3].quant_weight()
        integers = np.rint((weight.value / weight.scale).detach().numpy().astype(np.float64))
        np.testing.assert_array_equal(golden[f"tensor/{last}"], levels @ integers.T)
        context = execute_all(result.model, golden["input"])
        for name in (first, act, last):
            steps = context[name] / golden[f"scale/{name}"]
            np.testing.assert_array_equal(np.rint(steps), golden[f"tensor/{name}"])


@pytest.mark.parametrize(
    ("dtype", "kind"),
    [("UINT8", np.uint8), ("INT8", np.int8), ("UINT9", np.uint16), ("INT9", np.int16)],
)
def test_both_ends_of_an_input_datatype_export(dtype, kind, tmp_path):
    low, high = integer_range(dtype, "")
    net = nn.Sequential(BinaryLinear(4, 3))
    images = torch.tensor([[low, high, low, high]])
    result = export(net, tmp_path / "m.onnx", inputs=images, input_dtype=dtype)
    with np.load(result.golden) as golden:
        assert golden["input"].dtype == kind
        assert golden["input"].tolist() == images.tolist()
    for outside in (low - 1, high + 1):
        with pytest.raises(ValueError, match=rf"is {outside}, which is not in {dtype}$"):
            export(net, tmp_path / "m.onnx", inputs=images * 0 + outside, input_dtype=dtype)


def test_a_failed_write_leaves_the_files_of_before(trained, digits, tmp_path, monkeypatch):
    path = tmp_path / "m.onnx"
    export(trained, path, inputs=digits.test.images[:2])
    before = {file: file.read_bytes() for file in tmp_path.iterdir()}

    def full(*_args, **_columns):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "savez_compressed", full)
    with pytest.raises(OSError, match="No space left"):
        export(trained, path, inputs=digits.test.images[:3])
    assert {file: file.read_bytes() for file in tmp_path.iterdir()} == before


IMAGES = torch.zeros(2, 64, dtype=torch.int64)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"exporter": "onnx"}, "export: exporter='onnx' is none of torchscript, dynamo"),
        ({"inputs": IMAGES[:0]}, "export: inputs must be (images, *shape), got shape (0, 64)"),
        ({"inputs": IMAGES[0]}, "export: inputs must be (images, *shape), got shape (64,)"),
        ({"inputs": IMAGES + 32}, "export: input (0, 0) is 32, which is not in UINT5"),
        ({"inputs": IMAGES - 1}, "export: input (0, 0) is -1, which is not in UINT5"),
        ({"inputs": IMAGES + 0.5}, "export: input (0, 0) is 0.5, which is not in UINT5"),
        ({"inputs": IMAGES[:, :9]}, "export: the network takes (64,), the inputs are (9,)"),
        ({"labels": IMAGES[:, 0][:1]}, "export: labels must be (2,), got (1,)"),
        (
            {"input_dtype": "PIXEL"},
            "export: input_dtype='PIXEL' is none of BIPOLAR, UINTn, INTn (n from 1 to 24)",
        ),
        (
            {"input_dtype": "FLOAT32"},
            "export: input_dtype='FLOAT32' is none of BIPOLAR, UINTn, INTn (n from 1 to 24)",
        ),
        ({"input_dtype": "BIPOLAR"}, "export: input (0, 0) is 0, which is not in BIPOLAR"),
    ],
)
def test_wrong_arguments_say_what_is_allowed(trained, tmp_path, change, message):
    options = {"inputs": IMAGES, **change}
    with pytest.raises(ValueError) as error:  # noqa: PT011
        export(trained, tmp_path / "m.onnx", **options)
    assert str(error.value) == message
    assert list(tmp_path.iterdir()) == []


def test_the_two_files_must_differ_and_have_a_folder(trained, tmp_path):
    path = tmp_path / "golden.npz"
    with pytest.raises(ValueError, match=r"^export: model and golden file are both "):
        export(trained, path, inputs=IMAGES)
    with pytest.raises(ValueError, match=r"nowhere does not exist; create it$"):
        export(trained, tmp_path / "nowhere" / "m.onnx", inputs=IMAGES)


@pytest.mark.parametrize(
    ("layers", "message"),
    [
        ([nn.Linear(64, 2)], "export: layer '0' is a float Linear; only quantized layers"),
        (
            [QuantLinear(64, 2, bias=False, weight_quant=None)],
            "export: layer '0' has float weights; give it a weight quantizer",
        ),
        (
            [QuantLinear(64, 2, bias=True, weight_quant=Int8WeightPerTensorFloat)],
            "export: layer '0' has a bias, which no integer accumulator holds; ",
        ),
        (
            [BinaryLinear(64, 4), nn.Hardtanh(-0.5, 0.5), BinaryLinear(4, 2)],
            "export: input of layer '2': element (0, ",
        ),
    ],
)
def test_networks_that_are_not_integers_name_the_layer(layers, message, tmp_path):
    net = nn.Sequential(*layers)
    images = torch.ones(3, 64, dtype=torch.int64)
    with pytest.raises(ValueError) as error:  # noqa: PT011
        export(net, tmp_path / "m.onnx", inputs=images, input_dtype="UINT5")
    assert str(error.value).startswith(message)


def test_network_without_an_input_datatype_asks_for_one(tmp_path):
    net = nn.Sequential(BinaryLinear(64, 4), BinaryAct(), BinaryLinear(4, 2))
    with pytest.raises(ValueError, match=r"^export: net has no input_dtype; pass input_dtype="):
        export(net, tmp_path / "m.onnx", inputs=IMAGES)
