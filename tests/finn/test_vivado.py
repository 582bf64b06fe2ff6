"""What Vivado would be told: FINN's configuration and the Tcl, recorded by programs in its place.

Vivado itself has not run anywhere in these tests.
"""

import json
import re
from itertools import pairwise
from pathlib import Path

import pytest

from popshift.flows.finn import builder, vivado
from popshift.flows.finn.builder import run
from popshift.flows.finn.job import Job
from popshift.flows.tools import ToolNotFoundError
from popshift.flows.verify import StageResult
from popshift.hw import frontend, storage
from popshift.hw.emit import RTL_FOLDER
from popshift.hw.finn.wrapper import tdata_bits
from popshift.hw.passes import connect, fold

from . import fake_vivado

pytestmark = pytest.mark.finn


def install(folder, monkeypatch):
    """Put Vivado 2022.2 and FINN's own dependencies here, as far as anybody looks."""
    (folder / "bin").mkdir()
    fake_vivado.install(folder / "bin", folder / "record")
    monkeypatch.setenv("PATH", str(folder / "bin"), prepend=":")
    monkeypatch.setenv("XILINX_VIVADO", "/tools/Xilinx/Vivado/2022.2")
    for name in ("finn-hlslib", "board_files"):
        (folder / "deps" / name).mkdir(parents=True)
    monkeypatch.setenv("FINN_DEPS", str(folder / "deps"))


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A folder with the programs in place."""
    install(tmp_path, monkeypatch)
    return tmp_path


@pytest.fixture(scope="module")
def source(network):
    folder = network("mlp", hidden=(16, 12))
    dataflow = frontend.load(folder / "model.onnx", name="mlp")
    storage.save(connect(fold(dataflow, fps=100_000, clock_mhz=100), fifo_depth=2), folder)
    return folder


def make_job(source, base, product):
    return Job(
        source=source, output=base / "output", code=base / "code", scratch=base / "scratch",
        board="Pynq-Z2", clock_mhz=125.0, product=product, images=2, cycle_images=1, gap_seed=1,
        stall_seed=2,
    )  # fmt: skip


def recorded(folder):
    return [json.loads(line) for line in (folder / "record").read_text().splitlines()]


@pytest.fixture(scope="module")
def built(finn, source, tmp_path_factory):
    """A bitfile build with the programs in place: job, dataflow, and what they were told."""
    folder = tmp_path_factory.mktemp("bitfile")
    job = make_job(source, folder, "bitfile")
    with pytest.MonkeyPatch.context() as monkeypatch:
        install(folder, monkeypatch)
        assert run(job).failed == ()
    return job, storage.load(source), recorded(folder)


def cells(tcl):
    return {
        name: module
        for module, name in re.findall(r"create_bd_cell -type module -reference (\S+) (\S+)", tcl)
        if module != "sim_ctrl"
    }


def test_the_configuration_that_finn_gets(finn, source, tmp_path):
    config = builder._Build(make_job(source, tmp_path, "bitfile"), storage.load(source)).config()
    names = [getattr(step, "__name__", step) for step in config.steps]
    assert names == [
        "step_popshift_dataflow",
        "step_create_dataflow_partition",
        "step_specialize_layers",
        "step_generate_estimate_reports",
        "step_hw_codegen",
        "step_popshift_verify",
        "step_create_stitched_ip",
        "step_prepare_synthesis",
        "step_synthesize_bitfile",
        "step_make_driver",
        "step_deployment_package",
    ]
    assert (config.board, config.fpga_part) == ("Pynq-Z2", "xc7z020clg400-1")
    assert config.synth_clk_period_ns == 8.0
    assert config.shell_flow_type.value == "vivado_zynq"
    assert config.auto_fifo_depths is False
    assert [output.value for output in config.generate_outputs] == [
        "estimate_reports",
        "stitched_ip",
        "bitfile",
        "pynq_driver",
        "deployment_package",
    ]
    shorter = builder._Build(make_job(source, tmp_path, "ip"), storage.load(source)).config()
    assert shorter.steps[-1] == "step_create_stitched_ip"
    assert "bitfile" not in [output.value for output in shorter.generate_outputs]


def test_the_way_to_a_bitfile_step_by_step(built):
    _, _, calls = built
    told = [(call["tool"], Path(call["folder"]).name) for call in calls]
    assert told[0][0] == told[-1][0] == "vivado"
    assert told[0][1].startswith("vivado_stitch_proj_")
    assert told[-1][1].startswith("vivado_zynq_proj_")
    # The DMA at either end is FINN's, compiled by Vitis HLS; nothing of ours is.
    compiled = [name for tool, name in told if tool == "vitis_hls"]
    assert len(compiled) == 2
    assert all("IODMA_hls" in name for name in compiled)
    stitched = [call for call in calls if call["arguments"][-1] == "make_project.tcl"]
    assert len(stitched) == 4  # the whole, and again with the DMA of either end
    for call in stitched:
        assert call["arguments"] == ["-mode", "batch", "-source", "make_project.tcl"]


def test_the_stitched_ip_holds_a_cell_of_each_stage_and_all_its_files(built):
    _, dataflow, calls = built
    tcl = calls[0]["tcl"]
    assert "-part xc7z020clg400-1" in tcl
    assert "set_property CONFIG.FREQ_HZ 125000000 [get_bd_ports /ap_clk]" in tcl
    placed = cells(tcl)
    assert len(placed) == len(dataflow.stages)
    assert list(placed) == list(placed.values())  # nobody has renamed a node
    assert "create_bd_cell -type ip" not in tcl

    files = [Path(name) for name in re.findall(r"add_files -norecurse (/\S+)", tcl)]
    written = {path.name for path in files if "_wrapper" in path.name}
    sources = [path for path in files if path.name not in written]
    assert all(path.is_file() for path in sources)
    wrappers = {path.stem: path for path in sources if path.suffix == ".v"}
    assert set(wrappers) == set(placed)
    # One declaration of each module in the project.
    modules = {path for path in sources if path.suffix == ".sv"}
    assert {path.parent for path in modules} == {RTL_FOLDER}
    needed = {
        name for stage in dataflow.stages for name in (stage.module().name, *stage.module().sources)
    }
    assert {path.stem for path in modules} == needed
    for wrapper in wrappers.values():
        for image in re.findall(r'_FILE\("([^"]+)"\)', wrapper.read_text()):
            assert Path(image).is_absolute()
            assert list(Path(image).parent.glob(f"{Path(image).name}*.hex"))


def test_the_stitched_ip_joins_the_streams_of_the_dataflow(built):
    _, dataflow, calls = built
    tcl = calls[0]["tcl"]
    stage_of = {
        name: re.search(r": stage (\S+) ", (Path(path) / f"{name}.v").read_text())[1]
        for name, path in (
            (
                name,
                next(p for p in re.findall(r"add_files -norecurse (/\S+)/" + name + r"\.v", tcl)),
            )
            for name in cells(tcl)
        )
    }
    joined = re.findall(
        r"connect_bd_intf_net \[get_bd_intf_pins (\S+)/out0_V\] \[get_bd_intf_pins (\S+)/in0_V\]",
        tcl,
    )
    want = [(a.name, b.name) for a, b in pairwise(dataflow.stages)]
    assert sorted((stage_of[a], stage_of[b]) for a, b in joined) == sorted(want)
    first, last = dataflow.stages[0].name, dataflow.stages[-1].name
    (entering,) = re.findall(r"make_bd_intf_pins_external \[get_bd_intf_pins (\S+)/in0_V\]", tcl)
    (leaving,) = re.findall(r"make_bd_intf_pins_external \[get_bd_intf_pins (\S+)/out0_V\]", tcl)
    assert (stage_of[entering], stage_of[leaving]) == (first, last)
    clocks = re.findall(r"\[get_bd_pins (\S+)/ap_clk\]", tcl)
    assert set(cells(tcl)) <= set(clocks)


def test_the_partition_of_the_shell_holds_the_same_modules(built):
    _, _, calls = built
    whole = cells(calls[0]["tcl"])
    parts = [cells(call["tcl"]) for call in calls[1:] if "make_project.tcl" in call["arguments"]]
    (ours,) = [part for part in parts if part]
    # FINN renames the nodes of a partition; the modules are those that were verified.
    assert sorted(ours.values()) == sorted(whole.values())


def test_the_shell_of_the_board(built):
    _, _, calls = built
    tcl = calls[-1]["tcl"]
    assert calls[-1]["arguments"][:3] == ["-mode", "batch", "-source"]
    for word in ("Pynq-Z2", "xc7z020clg400-1", "set FREQ_MHZ 125"):
        assert word in tcl
    created = re.findall(r"create_bd_cell -type ip -vlnv (xilinx_finn:\S+) (\S+)", tcl)
    assert [name for _, name in created] == ["idma0", "StreamingDataflowPartition_1", "odma0"]
    assert "[get_bd_intf_pins StreamingDataflowPartition_1/s_axis_0]" in tcl


def test_bitfile_driver_and_package_are_where_finn_puts_them(built):
    job, dataflow, _ = built
    for name in ("bitfile", "deploy/bitfile"):
        assert (job.output / name / "finn-accel.bit").read_text() == "bits\n"
        assert (job.output / name / "finn-accel.hwh").read_text() == "handoff\n"
    assert (job.output / "stitched_ip" / "make_project.tcl").is_file()
    resources = json.loads((job.output / "report" / "post_synth_resources.json").read_text())
    assert resources["(top)"]["LUT"] == 11
    settings = json.loads((job.output / "driver" / "settings.json").read_text())
    shapes = settings["driver_information"]["io_shape_dict"]
    ((_, kind),) = dataflow.inputs.items()
    assert shapes["idt"] == [f"DataType['{kind.dtype.name}']"]
    assert shapes["ishape_normal"] == [[1, *kind.shape]]
    assert shapes["ishape_folded"] == [[1, kind.beats, kind.lanes]]
    assert shapes["ishape_packed"] == [[1, kind.beats, tdata_bits(kind) // 8]]
    assert settings["driver_information"]["fclk_mhz"] == 125.0


def test_a_difference_stops_the_build_before_vivado(finn, source, here, monkeypatch):
    def differs(*_, **__):
        return (builder.Outcome.model_fields["proof"].annotation and [],)

    def planted(*_, **__):
        return (
            StageResult(
                name="finn rtl", against="reference", images=1, elements=1, mismatches=1,
                cycle_mismatches=0, first=("planted",),
            ),
        )  # fmt: skip

    monkeypatch.setattr(builder, "prove", planted)
    outcome = run(make_job(source, here, "ip"))
    assert [part.first for part in outcome.failed] == [("planted",)]
    assert not (here / "record").exists()


def test_what_is_missing_for_a_product_is_said_at_once(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("XILINX_VIVADO", raising=False)
    monkeypatch.setenv("FINN_DEPS", str(tmp_path))
    assert vivado.farthest_product() == "hdl"
    vivado.require("hdl")
    with pytest.raises(ToolNotFoundError, match=r"finn.product: ip needs vivado on PATH .*hdl"):
        vivado.require("ip")
    with pytest.raises(ToolNotFoundError) as error:
        vivado.require("bitfile")
    for word in (
        "vivado on PATH",
        "XILINX_VIVADO",
        "vitis_hls on PATH",
        "finn-hlslib",
        "FINN_DEPS",
    ):
        assert word in str(error.value)


def test_the_farthest_product_is_what_is_here(here, monkeypatch):
    assert vivado.farthest_product() == "bitfile"
    monkeypatch.setenv("XILINX_VIVADO", "/tools/Xilinx/2025.1/Vivado")
    assert any("vitis-run" in line for line in vivado.missing("bitfile"))
    assert vivado.farthest_product() == "ip"
