"""The zoo's networks through FINN's builder up to its generated HDL, and every way to break that."""

import json
import logging
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
from onnx import numpy_helper
from qonnx.core.modelwrapper import ModelWrapper

from popshift.flows.finn import builder
from popshift.flows.finn.builder import UnknownBoardError, part_of, run
from popshift.flows.finn.job import Job
from popshift.flows.finn.proof import prove
from popshift.flows.tools import BuildError
from popshift.flows.verilate import compile_model
from popshift.hw import frontend, storage
from popshift.hw.finn.stitch import stitch
from popshift.hw.passes import connect, fold, folding_report
from popshift.hw.stages import MatVec

pytestmark = pytest.mark.finn

CLOCK_MHZ = 100.0


def make_job(source, base, *, images, cycle_images):
    return Job(
        source=source,
        output=base / "output",
        code=base / "code",
        scratch=base / "scratch",
        board="Pynq-Z1",
        clock_mhz=CLOCK_MHZ,
        product="hdl",
        images=images,
        cycle_images=cycle_images,
        gap_seed=1,
        stall_seed=2,
    )


def compiled(folder, name, fps):
    """The network as the step compile leaves it: integers, folded, with FIFOs."""
    dataflow = frontend.load(folder / "model.onnx", name=name.replace("-", "_"))
    dataflow = connect(fold(dataflow, fps=fps, clock_mhz=CLOCK_MHZ), fifo_depth=2)
    storage.save(dataflow, folder)
    return dataflow


@pytest.fixture(scope="module")
def built(finn, network, tmp_path_factory):
    """A function from a network to what FINN built of it: job, dataflow, outcome."""
    done = {}

    def build(name, fps, images=4, cycle_images=3, **options):
        key = (name, *options.items())
        if key not in done:
            source = network(name, **options)
            dataflow = compiled(source, name, fps)
            base = tmp_path_factory.mktemp(f"build-{name}")
            job = make_job(source, base, images=images, cycle_images=cycle_images)
            done[key] = (job, dataflow, run(job))
        return done[key]

    return build


@pytest.fixture
def tiny(built):
    """A network small enough to compile again and again."""
    return built("mlp", 100_000, hidden=(16, 12))


def graph_of(job, step="step_hw_codegen"):
    return ModelWrapper(str(job.output / "intermediate_models" / f"{step}.onnx"))


NETWORKS = (
    pytest.param("mlp", 3000, 4, 3),
    pytest.param("digits-cnn", 1000, 4, 2, marks=pytest.mark.slow),
    pytest.param("cnv", 60, 2, 1, marks=pytest.mark.slow),
)


@pytest.mark.parametrize(("name", "fps", "images", "cycle_images"), NETWORKS)
def test_a_network_passes_finns_builder_up_to_verified_hdl(built, name, fps, images, cycle_images):
    job, dataflow, outcome = built(name, fps, images, cycle_images)
    assert outcome.failed == ()
    assert [part.name for part in outcome.proof] == [
        "finn reference",
        "finn graph",
        "finn ops",
        "finn files",
        "finn rtl",
        "finn rtl with gaps and stalls",
        "finn rtl classes",
    ]
    assert all(part.elements > 0 for part in outcome.proof)
    compared = {part.name: part.elements for part in outcome.proof}
    elements = sum(kind.elements for kind in dataflow.streams.values())
    beats = sum(kind.beats for kind in dataflow.streams.values())
    assert compared["finn rtl"] == cycle_images * (elements + beats)

    assert_all_nodes_are_rtl(job, dataflow, outcome)


def assert_all_nodes_are_rtl(job, dataflow, outcome):
    domains = [node.domain for node in graph_of(job).graph.node]
    assert domains == ["finn.custom_op.fpgadataflow.rtl"] * len(dataflow.stages)
    assert [node.stage for node in outcome.nodes] == [stage.name for stage in dataflow.stages]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("weight", "act", "kernel"),
    [("shift-ps3", "uint4", "shift"), ("adder4", "uint4", "adder"), ("ternary", "uint4", "signed")],
)
def test_networks_of_other_kernels_pass_finns_builder_too(built, weight, act, kernel):
    job, dataflow, outcome = built("mlp", 20_000, hidden=(64, 64), weight=weight, act=act)
    layers = [stage for stage in dataflow.stages if isinstance(stage, MatVec)]
    assert [layer.kernel for layer in layers] == [kernel] * 3
    assert outcome.failed == ()
    assert all(part.elements > 0 for part in outcome.proof)
    assert_all_nodes_are_rtl(job, dataflow, outcome)
    assert outcome.resources["DSP"] == 0


@pytest.mark.parametrize(("name", "fps", "images", "cycle_images"), NETWORKS[:1])
def test_finns_estimates_are_those_of_the_stages(built, name, fps, images, cycle_images):
    job, dataflow, outcome = built(name, fps, images, cycle_images)
    report = folding_report(dataflow, clock_mhz=CLOCK_MHZ)
    assert outcome.performance["max_cycles"] == report.bottleneck.cycles
    assert outcome.performance["estimated_throughput_fps"] == pytest.approx(report.fps)
    assert {node.stage: node.cycles for node in outcome.nodes} == {
        stage.stage: stage.cycles for stage in report.stages
    }
    cost = dataflow.cost()
    resources = outcome.resources
    assert (resources["LUT"], resources["FF"], resources["DSP"]) == (cost.lut, cost.ff, 0)
    reports = {path.name for path in (job.output / "report").iterdir()}
    assert {
        "estimate_layer_cycles.json",
        "estimate_layer_resources.json",
        "estimate_network_performance.json",
        "op_and_param_counts.json",
    } <= reports
    times = json.loads((job.output / "report" / "time_per_step.json").read_text())
    assert list(times)[:-1] == [
        "step_popshift_dataflow",
        "step_create_dataflow_partition",
        "step_specialize_layers",
        "step_generate_estimate_reports",
        "step_hw_codegen",
        "step_popshift_verify",
    ]


def test_the_gathered_design_works_wherever_it_is_moved(tiny, tmp_path):
    job, dataflow, _ = tiny
    moved = tmp_path / "elsewhere"
    shutil.copytree(job.output / "hdl", moved)
    texts = "".join(path.read_text() for path in moved.glob("*.v"))
    assert str(job.code) not in texts
    model = compile_model(moved, dataflow, tmp_path, optimise="-O0")
    (kind,) = dataflow.inputs.values()
    images = kind.dtype.random((2, *kind.shape), np.random.default_rng(5))
    rtl = model.run(images)
    for stream, want in dataflow.execute(images).items():
        np.testing.assert_array_equal(rtl.values[stream], want, err_msg=stream)


def failed_lines(proof):
    return {part.name: part.first for part in proof if part.mismatches or part.cycle_mismatches}


def copy_of(job, tmp_path):
    """The graph with generated code of its own, to tamper with."""
    model = graph_of(job)
    for node in model.graph.node:
        for attribute in node.attribute:
            if attribute.name in ("code_gen_dir_ipgen", "ipgen_path", "ip_path"):
                source = attribute.s.decode()
                target = tmp_path / source.rpartition("/")[2]
                if not target.exists():
                    shutil.copytree(source, target)
                    for wrapper in target.glob("*.v"):
                        wrapper.write_text(wrapper.read_text().replace(source, str(target)))
                attribute.s = str(target).encode()
    return model, job.model_copy(update={"scratch": tmp_path / "scratch"})


def node_of(model, stage):
    for node in model.graph.node:
        if any(a.name == "name" and a.s.decode() == stage for a in node.attribute):
            return node
    raise AssertionError(stage)


def code_of(node):
    (folder,) = (a.s.decode() for a in node.attribute if a.name == "code_gen_dir_ipgen")
    return Path(folder)


def test_an_untouched_copy_passes(tiny, tmp_path):
    job, dataflow, _ = tiny
    model, job = copy_of(job, tmp_path)
    assert failed_lines(prove(model, dataflow, job)) == {}


def test_a_wrong_threshold_in_a_generated_memory_image_is_found_in_file_and_rtl(tiny, tmp_path):
    job, dataflow, _ = tiny
    model, job = copy_of(job, tmp_path)
    image = code_of(node_of(model, "fc1")) / "fc1_levels.hex"
    lines = image.read_text().splitlines()
    lines[0] = f"{int(lines[0], 16) ^ 0x08:0{len(lines[0])}x}"
    image.write_text("\n".join(lines) + "\n")
    found = failed_lines(prove(model, dataflow, job))
    assert "layer fc1, channel 0, threshold 0" in found["finn files"][0]
    assert any("layer fc1" in line for line in found["finn rtl"])
    assert "finn graph" not in found
    assert "finn ops" not in found


def test_a_wrong_threshold_in_the_graph_is_found_before_anything_runs(tiny, tmp_path):
    job, dataflow, _ = tiny
    model, job = copy_of(job, tmp_path)
    raise_level(node_of(model, "fc1"), 3)
    found = failed_lines(prove(model, dataflow, job))
    assert list(found) == ["finn graph"]
    assert "layer fc1, thresholds.levels: channel 3, element 0: expected" in found["finn graph"][0]


def raise_level(node, channel):
    """Raise the level of a channel by one in the tensor that the node holds."""
    for attribute in node.attribute:
        if attribute.name == "stage.thresholds.levels":
            levels = numpy_helper.to_array(attribute.t).copy()
            levels[channel] += 1
            attribute.t.CopyFrom(numpy_helper.from_array(levels))
            return
    raise AssertionError(node.name)


def test_a_wrong_threshold_on_the_way_into_finn_fails_the_build(tiny, tmp_path, monkeypatch):
    job, _, _ = tiny
    to_finn = builder.to_finn

    def planted(dataflow):
        model = to_finn(dataflow)
        raise_level(node_of(model, "fc0"), 7)
        return model

    monkeypatch.setattr(builder, "to_finn", planted)
    outcome = run(make_job(job.source, tmp_path, images=2, cycle_images=1))
    assert [part.name for part in outcome.failed] == ["finn graph"]
    assert "layer fc0, thresholds.levels: channel 7" in outcome.failed[0].first[0]
    metadata = (
        json.loads((tmp_path / "output" / "report" / "metadata_builder.json").read_text())
        if (tmp_path / "output" / "report" / "metadata_builder.json").exists()
        else {"status": "failed"}
    )
    assert metadata["status"] == "failed"
    assert not (tmp_path / "output" / "hdl").exists()


def test_a_wrong_threshold_in_the_dataflow_differs_from_torch(tiny, tmp_path):
    job, _, _ = tiny
    source = tmp_path / "source"
    shutil.copytree(job.source, source)
    with np.load(source / "dataflow.npz") as stored:
        arrays = {name: stored[name] for name in stored.files}
    arrays["fc1.thresholds.levels"] = arrays["fc1.thresholds.levels"] + 40
    np.savez(source / "dataflow.npz", **arrays)
    outcome = run(make_job(source, tmp_path, images=2, cycle_images=1))
    assert "finn reference" in [part.name for part in outcome.failed]


def test_an_op_of_another_backend_in_the_graph_is_found(tiny, tmp_path):
    job, dataflow, _ = tiny
    model, job = copy_of(job, tmp_path)
    model.graph.node[1].domain = "finn.custom_op.fpgadataflow.hls"
    found = failed_lines(prove(model, dataflow, job))
    assert "is no RTL op" in found["finn graph"][0]


def test_hdl_that_does_not_compile_is_a_difference(tiny, tmp_path):
    job, dataflow, _ = tiny
    model, job = copy_of(job, tmp_path)
    code = code_of(node_of(model, "fc1"))
    (wrapper,) = code.glob("*.v")
    wrapper.write_text(wrapper.read_text().replace("endmodule", "endmodul"))
    found = failed_lines(prove(model, dataflow, job))
    assert "verilator failed" in found["finn rtl"][0]


def test_a_graph_without_generated_code_is_refused(tiny, tmp_path):
    job, dataflow, _ = tiny
    model = graph_of(job, "step_specialize_layers")
    with pytest.raises(ValueError, match="has no generated code; run FINN's step_hw_codegen"):
        stitch(model, tmp_path, name=dataflow.name)


def test_an_unknown_board_is_named_with_those_that_finn_has(finn):
    assert part_of("Pynq-Z2") == "xc7z020clg400-1"
    with pytest.raises(UnknownBoardError, match=r"finn.board: 'Pynq' .*: Ultra96, .*ZCU104"):
        part_of("Pynq")


def test_a_step_that_fails_is_reported_with_its_log(tiny, tmp_path, monkeypatch):
    job, _, _ = tiny

    def broken(dataflow):
        raise RuntimeError("no graph today")

    monkeypatch.setattr(builder, "to_finn", broken)
    with pytest.raises(BuildError, match=r"FINN's builder failed: no graph today \(log: .*\.log\)"):
        run(make_job(job.source, tmp_path, images=1, cycle_images=1))


def test_finns_streams_and_log_handlers_do_not_outlive_its_builder(tiny, capsys):
    assert type(sys.stdout).__name__ != "PrintLogger"
    names = [getattr(h, "baseFilename", "") for h in logging.getLogger().handlers]
    assert not any(name.endswith("build_dataflow.log") for name in names)
