"""The report: every figure from the file that measured it, in JSON, HTML and on the terminal."""

import hashlib
import json
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from popshift.flows import Config
from popshift.flows.report.data import accuracy, collect
from popshift.flows.report.html import Sample, page, picture
from popshift.flows.report.summary import rows, summary
from popshift.hw import storage
from popshift.hw.dtypes import unsigned
from popshift.hw.graph import Dataflow, StreamType
from popshift.hw.stages import Fifo, MatVec

STAGES = [
    {
        "name": "reference",
        "against": "torch",
        "images": 4,
        "elements": 40,
        "mismatches": 0,
        "cycle_mismatches": 0,
        "first": [],
    },
    {
        "name": "rtl",
        "against": "reference and simulator",
        "images": 4,
        "elements": 44,
        "mismatches": 0,
        "cycle_mismatches": 0,
        "first": [],
    },
]
STEPS = ("train", "verify")


def write_json(path: Path, content: object) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(content))


@pytest.fixture
def config(tmp_path):
    return Config.model_validate(
        {
            "name": "fake",
            "output": str(tmp_path),
            "model": {"zoo": "mlp"},
            "hardware": {"fps": 10.0},
        }
    )


@pytest.fixture
def folder(tmp_path):
    """A build folder with the files that the report reads, small and made by hand."""
    kind = StreamType(dtype=unsigned(4), shape=(4,), lanes=2)
    fifo = Fifo(name="buffer", inputs=("x",), outputs=("b",), type=kind, depth=4)
    layer = MatVec(
        name="fc",
        inputs=("b",),
        outputs=("y",),
        weights=np.eye(4, dtype=np.int64),
        input_dtype=unsigned(4),
        kernel="signed",
        simd=2,
    )
    dataflow = Dataflow(name="fake", inputs={"x": kind}, outputs=("y",), stages=(fifo, layer))
    storage.save(dataflow, tmp_path)
    np.savez(
        tmp_path / "golden.npz",
        input=np.arange(16).reshape(4, 4),
        label=[0, 1, 2, 3],
        prediction=[0, 1, 2, 0],
    )
    np.savez(tmp_path / "answers.npz", prediction=[0, 1, 0, 0])
    write_json(tmp_path / "training.json", {"accuracy_float": 0.98, "accuracy_quantized": 0.75})
    write_json(tmp_path / "verify.json", {"stages": STAGES, "passed": True})
    write_json(
        tmp_path / "timing.json",
        {
            "clock_mhz": 25.0,
            "images": 8,
            "initiation_interval_cycles": 1000,
            "latency_cycles": 1234,
            "fps": 25000.0,
            "total_cycles": 9000,
            "limit": "buffer is the bottleneck: 1,000 cycles an image",
            "stages": [
                {
                    "stage": "buffer",
                    "images": 1,
                    "busy_cycles": 250,
                    "starved_cycles": 500,
                    "blocked_cycles": 250,
                }
            ],
            "fifos": [{"stream": "x", "stage": "buffer", "depth": 4, "most_beats": 3}],
        },
    )
    bitstream = b"bits"
    (tmp_path / "fake.bit").write_bytes(bitstream)
    write_json(
        tmp_path / "synth.json",
        {
            "board": "ulx3s-85f",
            "device": "LFE5U-85F",
            "lut": 3000,
            "ff": 1200,
            "bram": 5,
            "dsp": 0,
            "fmax_mhz": 96.5,
            "file": "fake.bit",
            "sha256": hashlib.sha256(bitstream).hexdigest(),
            "also_fits": ["ulx3s-12f"],
        },
    )
    write_json(tmp_path / "netlist.json", {"images": 4, "mismatches": 0, "cycles": 100})
    for name in STEPS:
        write_json(tmp_path / "steps" / f"{name}.json", {"step": name, "seconds": 1.5})
    return tmp_path


def test_every_figure_comes_from_the_file_that_measured_it(folder, config):
    report = collect(folder, config, STEPS)
    assert report["model"] == {
        "name": "fake",
        "accuracy_float": 0.98,
        "accuracy_quantized": 0.75,
        "accuracy_hardware": 0.5,
    }
    assert report["verify"] == {"stages": STAGES, "passed": True}
    assert report["timing"] == {
        "clock_mhz": 25.0,
        "initiation_interval_cycles": 1000,
        "latency_cycles": 1234,
        "fps": 25000.0,
        "limit": "buffer is the bottleneck: 1,000 cycles an image",
        "stages": [
            {
                "stage": "buffer",
                "images": 1,
                "busy_cycles": 250,
                "starved_cycles": 500,
                "blocked_cycles": 250,
            }
        ],
        "fifos": [{"stream": "x", "stage": "buffer", "depth": 4, "most_beats": 3}],
        "simulated_cycles_equal_rtl": True,
    }
    resources = report["resources"]
    assert resources["target"] == "ulx3s-85f"
    assert [resources[name] for name in ("lut", "ff", "bram", "dsp")] == [3000, 1200, 5, 0]
    cost = storage.load(folder).cost()
    assert resources["estimated"] == {"lut": cost.lut, "ff": cost.ff, "bram": cost.bram}
    assert sum(stage["lut"] for stage in resources["stages"]) == cost.lut
    assert [stage["kernel"] for stage in resources["stages"]] == [None, "signed"]
    bitstream = report["bitstream"]
    assert bitstream["file"] == "fake.bit"
    assert bitstream["sha256"] == hashlib.sha256((folder / "fake.bit").read_bytes()).hexdigest()
    assert (bitstream["device"], bitstream["fmax_mhz"]) == ("LFE5U-85F", 96.5)
    assert report["steps"] == [{"name": name, "seconds": 1.5} for name in STEPS]
    assert {"popshift", "python", "torch", "qonnx"} <= set(report["tools"])
    assert all(isinstance(version, str) for version in report["tools"].values())
    json.dumps(report)


def test_the_page_shows_what_a_stage_does_with_its_cycles(folder, config):
    html = page(collect(folder, config, STEPS), None)
    for x, width, colour in ((0, 80, "#2b7a4b"), (80, 160, "#d9d9d9"), (240, 80, "#c0392b")):
        assert f"<rect x='{x:.1f}' width='{width:.1f}' height='12' fill='{colour}'/>" in html
    assert "25.0 % busy" in html
    assert "buffer is the bottleneck" in html


def test_accuracy_counts_every_image_at_both_ends():
    labels = np.array([3, 1, 4])
    assert accuracy(labels, labels) == 1.0
    assert accuracy(labels + 1, labels) == 0.0
    assert accuracy(np.array([3, 1, 0]), labels) == 2 / 3


def test_a_verification_of_some_images_counts_only_those(folder, config):
    np.savez(folder / "answers.npz", prediction=[0, 1])
    assert collect(folder, config, STEPS)["model"]["accuracy_hardware"] == 1.0


def test_a_bitstream_of_the_back_end_before_is_not_that_of_finn(folder, config):
    found = {
        "board": "Pynq-Z1", "part": "xc7z020clg400-1", "product": "hdl", "nodes": [{}, {}],
        "performance": {"max_cycles": 64}, "resources": {"LUT": 12}, "proof": [], "passed": True,
    }  # fmt: skip
    (folder / "finn.json").write_text(json.dumps(found))
    report = collect(folder, config.model_copy(update={"backend": "finn"}), STEPS)
    assert (folder / "synth.json").is_file()
    assert report["bitstream"] is None
    assert report["resources"]["lut"] is None
    assert report["finn"]["nodes"] == 2
    assert dict(rows(report))["target"] == "Pynq-Z1 (xc7z020clg400-1) by FINN"


def test_what_was_not_measured_is_null_and_shown_as_a_dash(folder, config):
    for name in ("training.json", "synth.json", "netlist.json"):
        (folder / name).unlink()
    np.savez(folder / "golden.npz", input=np.zeros((4, 4)), prediction=[0, 1, 2, 0])
    report = collect(folder, config, STEPS)
    assert report["model"]["accuracy_float"] is None
    assert report["model"]["accuracy_quantized"] is None
    assert report["model"]["accuracy_hardware"] is None
    assert report["bitstream"] is None
    assert report["resources"]["lut"] is None
    assert report["resources"]["target"] is None
    assert dict(rows(report))["accuracy, float network"] == "-"
    assert page(report, None)


@pytest.mark.parametrize("mismatches", [0, 1])
def test_cycles_are_equal_only_if_none_differs(folder, config, mismatches):
    stages = [STAGES[0], {**STAGES[1], "cycle_mismatches": mismatches}]
    write_json(folder / "verify.json", {"stages": stages, "passed": not mismatches})
    timing = collect(folder, config, STEPS)["timing"]
    assert timing["simulated_cycles_equal_rtl"] is (mismatches == 0)


def test_cycles_that_nobody_compared_are_not_called_equal(folder, config):
    write_json(folder / "verify.json", {"stages": STAGES[:1], "passed": True})
    assert collect(folder, config, STEPS)["timing"]["simulated_cycles_equal_rtl"] is False


def test_the_summary_has_the_figures_and_fits_a_terminal(folder, config):
    text = summary(collect(folder, config, STEPS))
    for figure in ("98.00 %", "75.00 %", "50.00 %", "1,000 cycles", "25,000 images/s", "3,000"):
        assert figure in text
    assert "reference = torch" in text
    assert "0 cycles differ" in text
    assert max(map(len, text.splitlines())) <= 100
    assert text == text.strip("\n")


class Outline(HTMLParser):
    """Collects tags and what they would load."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.loaded: list[str] = []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.loaded += [value for name, value in attrs if name in {"src", "href"}]


def test_the_page_is_small_and_loads_nothing(folder, config):
    sample = Sample(image=np.arange(64) % 17, label=7, prediction=7)
    html = page(collect(folder, config, STEPS), sample)
    outline = Outline()
    outline.feed(html)
    assert outline.loaded == []
    assert "script" not in outline.tags
    assert {"svg", "table", "h1"} <= set(outline.tags)
    assert outline.tags.count("rect") == 64 + 3  # pixels, and the parts of a bar
    assert len(html) < 100_000
    assert "answer: class 7; true class 7" in html
    assert "every integer and every cycle is equal" in html


def test_the_page_says_when_hardware_and_software_differ(folder, config):
    write_json(folder / "verify.json", {"stages": STAGES, "passed": False})
    html = page(collect(folder, config, STEPS), None)
    assert "hardware and software differ" in html
    assert "every integer and every cycle is equal" not in html


def test_names_cannot_put_markup_into_the_page(folder, config):
    report = collect(folder, config, STEPS)
    report["model"]["name"] = "<script>alert(1)</script>"
    assert "<script>" not in page(report, None)


@pytest.mark.parametrize(
    ("shape", "pixels"), [((64,), (8, 8)), ((6,), (1, 6)), ((4, 3, 2), (4, 3)), ((1,), (1, 1))]
)
def test_a_picture_has_a_square_for_each_pixel(shape, pixels):
    image = np.zeros(shape, np.int64)
    svg = picture(image)
    assert svg.count("<rect") == pixels[0] * pixels[1]
    assert f"viewBox='0 0 {pixels[1] * 20} {pixels[0] * 20}'" in svg


def test_a_picture_is_white_at_the_smallest_and_black_at_the_largest_value():
    svg = picture(np.array([-1, 1, 1, -1]))
    assert svg.count("rgb(255,255,255)") == 2
    assert svg.count("rgb(0,0,0)") == 2
