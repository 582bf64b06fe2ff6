"""FINN's accumulators of XNOR layers are too narrow, and ours are not.

docs/finn.md cites these numbers. If a test here fails after an update of FINN, FINN has mended it.
"""

import numpy as np
import pytest
from onnx import TensorProto, helper
from qonnx.core.datatype import DataType
from qonnx.core.modelwrapper import ModelWrapper
from qonnx.custom_op.registry import getCustomOp

from popshift.hw.dtypes import BIPOLAR
from popshift.hw.stages import MatVec

pytestmark = pytest.mark.finn


def bits(synapses):
    """0 and 1 in turn: weights that FINN's range of signed sums halves."""
    return (np.arange(synapses) % 2).astype(np.float32)


def xnor_layer(synapses):
    """One neuron of FINN that counts the bits of an input that equal its weights."""
    node = helper.make_node(
        "MVAU",
        ["x", "w"],
        ["y"],
        domain="finn.custom_op.fpgadataflow",
        backend="fpgadataflow",
        name="MVAU_0",
        MW=synapses,
        MH=1,
        SIMD=1,
        PE=1,
        inputDataType="BINARY",
        weightDataType="BINARY",
        outputDataType="INT32",
        binaryXnorMode=1,
        noActivation=1,
        numInputVectors=[1],
    )
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, synapses])
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 1])
    graph = helper.make_graph([node], "layer", [x], [y])
    model = ModelWrapper(helper.make_model(graph))
    model.set_initializer("w", bits(synapses)[:, None])
    model.set_tensor_datatype("x", DataType["BINARY"])
    model.set_tensor_datatype("w", DataType["BINARY"])
    return model


def greatest_popcount(model, synapses):
    """What FINN computes for an input that equals the weights, before it narrows anything."""
    context = {
        "x": bits(synapses)[None],
        "w": model.get_initializer("w"),
        "y": np.zeros((1, 1), np.float32),
    }
    getCustomOp(model.graph.node[0]).execute_node(context, model.graph)
    return int(context["y"][0, 0])


def test_finn_narrows_the_accumulator_of_an_xnor_layer_below_its_popcount(finn):
    model = xnor_layer(128)
    reached = greatest_popcount(model, 128)
    assert reached == 128
    layer = getCustomOp(model.graph.node[0])
    layer.minimize_accumulator_width(model)
    # The range of weights -1, +1 times bits 0, 1: it reaches 64 either way.
    assert layer.get_nodeattr("accDataType") == "INT8"
    assert not DataType["INT8"].allowed(reached)
    assert np.array(reached).astype(np.int8) == -128


@pytest.mark.parametrize("synapses", [127, 128, 255, 256, 512])
def test_ours_holds_every_popcount(synapses):
    weights = (2 * bits(synapses) - 1).astype(np.int64)[None]
    layer = MatVec(
        name="layer",
        inputs=("x",),
        outputs=("y",),
        weights=weights,
        input_dtype=BIPOLAR,
        kernel="xnor",
    )
    dtype = layer.accumulator_dtype
    assert dtype.name == f"UINT{synapses.bit_length()}"
    assert (dtype.min, dtype.max >= synapses) == (0, True)
    (sums,) = layer.execute(np.concatenate([-weights, weights]))
    np.testing.assert_array_equal(dtype.check(sums, "sums"), [[0], [synapses]])
