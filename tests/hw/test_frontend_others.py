"""Models that others made: Brevitas' own networks, and the files that qonnx brings along."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import qonnx
import torch
from brevitas.export import export_qonnx
from brevitas_examples.bnn_pynq.models.CNV import CNV
from brevitas_examples.bnn_pynq.models.FC import FC
from torch import nn

from popshift.hw.errors import UnsupportedOpError
from popshift.hw.frontend import load, load_with_report

from .qonnx_builder import GraphBuilder, assert_streams_equal

pytestmark = pytest.mark.filterwarnings("ignore")

FILES = Path(qonnx.__file__).parent / "data" / "onnx"
SHAPES = {"fc": (1, 28, 28), "cnv": (3, 32, 32)}
CNV_STAGES = (
    "window0 conv0 window1 conv1 pool0 window2 conv2 window3 conv3 pool1 window4 conv4 conv5 "
    "fc0 fc1 fc2 argmax"
)
STAGES = {"fc": "fc0 fc1 fc2 fc3 argmax", "cnv": CNV_STAGES}


def bnn_pynq(kind: str, weight_bits: int, act_bits: int) -> nn.Module:
    """TFC or CNV as Brevitas publishes them, with random statistics and slopes of both signs."""
    torch.manual_seed(0)
    if kind == "cnv":
        net = CNV(10, weight_bits, act_bits, 8, 3)
    else:
        net = FC(10, weight_bits, act_bits, act_bits, 1, [64, 64, 64], (28, 28))
    for module in net.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            with torch.no_grad():
                module.weight.normal_()
                module.bias.normal_()
                module.running_mean.normal_()
                module.running_var.uniform_(0.5, 20)
    return net.eval()


SLOW = pytest.mark.slow


@pytest.mark.parametrize(
    ("kind", "bits", "is_dynamo"),
    [
        ("fc", (1, 1), False),
        ("fc", (1, 2), True),
        ("fc", (2, 2), False),
        ("cnv", (1, 1), False),
        ("cnv", (2, 2), True),
        pytest.param("fc", (1, 1), True, marks=SLOW),
        pytest.param("fc", (2, 2), True, marks=SLOW),
        pytest.param("cnv", (1, 1), True, marks=SLOW),
        pytest.param("cnv", (1, 2), False, marks=SLOW),
        pytest.param("cnv", (1, 2), True, marks=SLOW),
        pytest.param("cnv", (2, 2), False, marks=SLOW),
    ],
)
def test_bnn_pynq_networks_equal_qonnx_on_every_stream(tmp_path, kind, bits, is_dynamo):
    net, path = bnn_pynq(kind, *bits), tmp_path / "model.onnx"
    options = {"dynamo": True} if is_dynamo else {"dynamo": False, "opset_version": 13}
    export_qonnx(net, args=torch.zeros(1, *SHAPES[kind]), export_path=str(path), **options)
    dataflow, report = load_with_report(path)
    assert " ".join(stage.name for stage in dataflow.stages) == STAGES[kind]
    assert "is quantized in software by" in report.notes[0]
    assert not [layer for layer in report.layers if layer.channels_differing]
    (entry,) = dataflow.inputs
    assert dataflow.origins[entry].planes == SHAPES[kind][0]
    for image in np.random.default_rng(0).uniform(0, 1, (2, 1, *SHAPES[kind])):
        assert_streams_equal(path, dataflow, image)
    assert len(dataflow.accumulators) == (3 if kind == "fc" else 8)


# What the files of the qonnx package are refused for; a part of the message each.
REFUSALS = {
    "bsd300x3-espcn/nn_resize/float_model.onnx": "(Relu); put a quantizer",
    "bsd300x3-espcn/nn_resize/quant_model.onnx": "(Resize): it inserts pixels, which is not supported",
    "bsd300x3-espcn/subpixel/float_model.onnx": "are not on a grid",
    "bsd300x3-espcn/subpixel/quant_model.onnx": "(DepthToSpace): no exact integer form is known",
    "floatquant_exec/qonnx_act_weight_fp8.onnx": "minifloats are taken as weights only",
    "matmul_update/sdp.onnx": "it changes the batch dimension",
    "mnist-conv/model.onnx": "are not on a grid",
    "residual_block_clean.onnx": "after node 'Conv_0' (Conv); put a quantizer",
}


LOADS = "eltwise_chanlast_testcase.onnx"


def test_every_file_of_qonnx_is_in_the_list():
    found = sorted(str(p.relative_to(FILES)) for p in FILES.rglob("*.onnx"))
    assert sorted([*REFUSALS, LOADS]) == found


def test_a_file_of_qonnx_with_weights_of_eight_bits_equals_qonnx_on_every_stream():
    dataflow = load(FILES / LOADS, name="model", input_dtype="UINT8", argmax=False)
    assert [stage.name for stage in dataflow.stages] == ["window0", "conv0"]
    (kind,) = dataflow.inputs.values()
    image = kind.dtype.random((1, 3, 224, 224), np.random.default_rng(0))
    assert_streams_equal(FILES / LOADS, dataflow, image)


@pytest.mark.parametrize("file", REFUSALS)
def test_files_of_qonnx_that_have_no_integer_form_are_refused_by_name(file):
    with pytest.raises(UnsupportedOpError) as caught:
        load(FILES / file, name="model", input_dtype="UINT8")
    assert REFUSALS[file] in str(caught.value)
    assert str(caught.value).startswith("node '")


def test_arithmetic_before_the_first_quantizer_stays_in_software(tmp_path):
    rng = np.random.default_rng(0)
    graph = GraphBuilder(1, 2, 4, 4)
    graph.then("Sub", graph.const(rng.standard_normal((1, 2, 1, 1)))).then("Relu")
    graph.batch_norm([1, -1], [0, 1], [0, 0], [1, 1]).quant(4, 0.25)
    path = graph.conv(rng.choice([-1, 1], (3, 2, 3, 3))).save(tmp_path)
    dataflow = load(path, argmax=False)
    assert [stage.name for stage in dataflow.stages] == ["window0", "conv0"]
    assert_streams_equal(path, dataflow, rng.standard_normal((5, 2, 4, 4)))


def test_a_sum_that_makes_an_image_larger_is_not_taken_for_preprocessing(tmp_path):
    graph = GraphBuilder(1, 1, 4, 4)
    graph.then("Add", graph.const(np.zeros((1, 3, 1, 1)))).quant(4, 0.25)
    with pytest.raises(UnsupportedOpError, match="graph input 'in' has no integer datatype"):
        load(graph.conv(np.ones((2, 3, 1, 1))).save(tmp_path))
