"""Every stage as a FINN op: what FINN asks is what the stage says, and its HDL computes it."""

import json
from pathlib import Path

import numpy as np
import pytest
from onnx import NodeProto, helper
from qonnx.core.modelwrapper import ModelWrapper
from qonnx.custom_op.registry import getCustomOp

from popshift.flows.conformance import bench, check_model
from popshift.flows.verilate import compile_model
from popshift.hw.emit import RTL_FOLDER
from popshift.hw.errors import GraphError
from popshift.hw.finn.attributes import (
    attribute_types,
    from_attributes,
    op_type,
    to_attributes,
)
from popshift.hw.finn.graph import from_finn, to_finn
from popshift.hw.finn.stitch import stitch
from popshift.hw.finn.wrapper import module_files, tdata_bits
from popshift.hw.passes.fold import cycles_per_image
from popshift.hw.stages import STAGES
from popshift.hw.storage import encode_stage

pytestmark = pytest.mark.finn

KINDS = sorted(STAGES)
SEEDS = range(6)


def random_stage(kind, seed=0):
    return STAGES[kind].random(f"{kind}{seed}", np.random.default_rng([seed, *kind.encode()]))


def node_of(stage):
    return to_finn(bench([stage])).graph.node[0]


def assert_same(stage, other):
    arrays, others = {}, {}
    assert encode_stage(stage, "s", arrays) == encode_stage(other, "s", others)
    assert arrays.keys() == others.keys()
    for name, array in arrays.items():
        assert array.dtype == others[name].dtype, name
        np.testing.assert_array_equal(array, others[name])


@pytest.mark.parametrize("kind", KINDS)
def test_a_stage_survives_the_way_through_a_node_and_its_bytes(kind):
    for seed in SEEDS:
        stage = random_stage(kind, seed)
        node = NodeProto.FromString(node_of(stage).SerializeToString())
        assert_same(stage, from_attributes(node))


@pytest.mark.parametrize("kind", KINDS)
def test_attributes_are_numbers_texts_json_and_tensors(kind):
    types = attribute_types(kind)
    for attribute in to_attributes(random_stage(kind)):
        value = helper.get_attribute_value(attribute)
        if attribute.name.startswith("stage."):
            assert attribute.HasField("t")
        elif types[attribute.name] == "i":
            assert isinstance(value, int)
        else:
            assert isinstance(value, bytes)
    assert not {"pe", "simd"} & set(types)  # FINN calls them PE and SIMD


@pytest.mark.parametrize("kind", KINDS)
def test_no_attribute_of_a_stage_has_the_name_of_one_of_finn(finn, kind):
    from finn.custom_op.fpgadataflow.rtl.streamingfifo_rtl import StreamingFIFO_rtl  # noqa: PLC0415

    theirs = getCustomOp(
        helper.make_node(
            "StreamingFIFO_rtl", ["x"], ["y"], domain="finn.custom_op.fpgadataflow.rtl"
        )
    )
    shared = set(super(StreamingFIFO_rtl, theirs).get_nodeattr_types()) - {"depth"}
    assert "backend" in shared
    assert not shared & set(attribute_types(kind))


def test_no_module_of_ours_has_the_name_of_one_of_finns_library(finn):
    from finn.util.settings import get_settings  # noqa: PLC0415

    declared = set()
    library = Path(get_settings().finn_rtllib)
    for source in (*library.rglob("*.sv"), *library.rglob("*.v")):
        for line in source.read_text(errors="replace").splitlines():
            words = line.split()
            if words[:1] == ["module"] and len(words) > 1:
                declared.add(words[1].split("#")[0].split("(")[0])
    assert "dwc_axi" in declared
    assert not declared & {path.stem for path in RTL_FOLDER.glob("*.sv")}


@pytest.mark.parametrize("kind", KINDS)
def test_an_op_answers_what_the_stage_says(finn, kind):
    for seed in SEEDS:
        stage = random_stage(kind, seed)
        op = getCustomOp(node_of(stage))
        assert type(op).__name__ == op_type(kind)
        for ind, type_ in enumerate(stage.input_types):
            assert op.get_input_datatype(ind).name in (type_.dtype.name, "BINARY")
            assert op.get_input_datatype(ind).bitwidth() == type_.dtype.bits
            assert tuple(op.get_normal_input_shape(ind)) == (1, *type_.shape)
            folded = op.get_folded_input_shape(ind)
            assert folded[-1] == type_.lanes
            assert np.prod(folded[:-1]) == type_.beats
            assert op.get_instream_width(ind) == type_.width_bits
            assert op.get_instream_width_padded(ind) == tdata_bits(type_)
        for ind, type_ in enumerate(stage.output_types):
            assert tuple(op.get_normal_output_shape(ind)) == (1, *type_.shape)
            assert np.prod(op.get_folded_output_shape(ind)[:-1]) == type_.beats
            assert op.get_outstream_width_padded(ind) == tdata_bits(type_)
        assert op.get_exp_cycles() == cycles_per_image(stage)
        estimate = op.node_res_estimation("xc7z020clg400-1")
        cost = stage.cost()
        assert (estimate["LUT"], estimate["FF"], estimate["BRAM_18K"], estimate["DSP"]) == (
            cost.lut,
            cost.ff,
            cost.bram,
            0,
        )


@pytest.mark.parametrize("kind", KINDS)
def test_an_op_executes_any_number_of_images_as_the_stage_does(finn, kind):
    stage = random_stage(kind)
    model = to_finn(bench([stage]))
    node = model.graph.node[0]
    inputs = stage.stimulus(5, np.random.default_rng(1))
    context = {
        name: array.astype(np.float32) for name, array in zip(node.input, inputs, strict=True)
    }
    getCustomOp(node).execute_node(context, model.graph)
    for name, want in zip(node.output, stage.execute(*inputs), strict=True):
        np.testing.assert_array_equal(context[name], want)


def test_an_op_refuses_an_input_outside_its_datatype(finn):
    stage = random_stage("matvec")
    model = to_finn(bench([stage]))
    node = model.graph.node[0]
    kind = stage.input_types[0]
    context = {node.input[0]: np.full((1, *kind.shape), kind.dtype.max + 0.5, np.float32)}
    with pytest.raises(ValueError, match="which is not in"):
        getCustomOp(node).execute_node(context, model.graph)


def test_finns_own_execution_gives_the_integers_of_the_stage(finn):
    from finn.core.onnx_exec import execute_onnx  # noqa: PLC0415

    stage = random_stage("matvec", 3)
    model = to_finn(bench([stage]))
    (x,) = stage.stimulus(1, np.random.default_rng(0))
    name = model.graph.input[0].name
    shape = model.get_tensor_shape(name)
    results = execute_onnx(model, {name: x.astype(np.float32).reshape(shape)})
    (want,) = stage.execute(x)
    np.testing.assert_array_equal(results[model.graph.output[0].name].reshape(want.shape), want)


def test_another_fold_in_the_graph_is_another_stage(finn):
    stage = STAGES["argmax"](
        name="top", inputs=("x",), outputs=("y",), classes=12, pe=2,
        input_dtype=random_stage("argmax").input_dtype,
    )  # fmt: skip
    op = getCustomOp(node_of(stage))
    op.set_nodeattr("PE", 3)
    assert op.stage.pe == 3
    assert op.get_exp_cycles() == 4
    op.set_nodeattr("PE", 5)
    with pytest.raises(GraphError, match="top: pe=5 must divide classes=12"):
        op.get_exp_cycles()


def test_damaged_attributes_name_the_node():
    node = node_of(random_stage("argmax"))
    for attribute in node.attribute:
        if attribute.name == "input_dtype":
            attribute.s = b"{"
    with pytest.raises(GraphError, match="argmax0: attributes of PopshiftArgmax are damaged"):
        from_attributes(node)
    with pytest.raises(GraphError, match="MVAU is no op of popshift"):
        from_attributes(NodeProto(name="MVAU_0", op_type="MVAU"))


def test_a_graph_whose_tensors_were_crossed_is_refused():
    stages = [random_stage("fifo", seed) for seed in (0, 1)]
    model = to_finn(bench(stages))
    first, second = model.graph.node
    second.input[0] = first.output[0]
    with pytest.raises(GraphError, match="the graph was changed"):
        from_finn(model, name="crossed")


def test_the_wrapper_pads_streams_to_whole_bytes_and_names_every_bus(tmp_path):
    for kind in KINDS:
        stage = random_stage(kind, 2)
        text = module_files(stage, "Top", tmp_path)[tmp_path / "Top.v"]
        buses = [f"in{i}_V" for i in range(len(stage.inputs))]
        buses += [f"out{i}_V" for i in range(len(stage.outputs))]
        assert f"ASSOCIATED_BUSIF {':'.join(buses)}, ASSOCIATED_RESET ap_rst_n" in text
        for bus, type_ in zip(buses, (*stage.input_types, *stage.output_types), strict=True):
            assert f"[{tdata_bits(type_) - 1}:0] {bus}_TDATA" in text
            assert tdata_bits(type_) % 8 == 0
            assert 0 <= tdata_bits(type_) - type_.width_bits < 8
        for parameter in stage.module().memories:
            assert str(tmp_path / stage.name) in text, parameter


def test_the_hdl_that_finn_generates_of_every_kind_computes_it_in_its_cycles(finn, tmp_path):
    from finn.transformation.fpgadataflow.prepare_ip import PrepareIP  # noqa: PLC0415
    from finn.transformation.fpgadataflow.specialize_layers import (  # noqa: PLC0415
        SpecializeLayers,
    )

    part = "xc7z020clg400-1"
    stages = [random_stage(kind, seed) for kind in KINDS for seed in (0, 1)]
    model = to_finn(bench(stages)).transform(SpecializeLayers(part)).transform(PrepareIP(part, 10))
    assert {node.op_type for node in model.graph.node} == {f"{op_type(kind)}_rtl" for kind in KINDS}
    dataflow = stitch(model, tmp_path / "rtl", name="bench")
    compiled = compile_model(tmp_path / "rtl", dataflow, tmp_path, optimise="-O0")
    found = check_model(compiled, images=12, runs=2)
    assert found.first == ()
    assert found.elements > 0


def test_folds_are_in_the_configuration_that_finn_extracts(finn, tmp_path):
    from finn.util.config import extract_model_config_to_json  # noqa: PLC0415

    model = to_finn(bench([random_stage("matvec")]))
    extract_model_config_to_json(model, tmp_path / "folding.json", ["PE", "SIMD"])
    found = json.loads((tmp_path / "folding.json").read_text())
    stage = random_stage("matvec")
    assert found["matvec0"] == {"PE": stage.pe, "SIMD": stage.simd}


def test_a_saved_graph_is_read_again(tmp_path):
    stages = [random_stage(kind) for kind in KINDS]
    model = to_finn(bench(stages))
    model.save(str(tmp_path / "graph.onnx"))
    back = from_finn(ModelWrapper(str(tmp_path / "graph.onnx")), name="bench")
    for stage, other in zip(stages, back.stages, strict=True):
        assert_same(stage, other)
