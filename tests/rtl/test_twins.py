"""Modules for a family of FPGAs, proven equal to the portable ones with the vendor's cells.

The cells are those of Yosys' own library. Yosys' SAT solver finds no input for which a module and
its twin differ. What is built of these modules in the same source is then equal as well.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from popshift.flows.bench.unrolled_layers import sums_text
from popshift.flows.conformance import bench, check
from popshift.flows.tools import BuildError, run_tool
from popshift.hw.dtypes import BIPOLAR
from popshift.hw.emit import FAMILIES, RTL_FOLDER, source_file
from popshift.hw.errors import GraphError
from popshift.hw.heap import POPCOUNT_SOURCES
from popshift.hw.module import vector
from popshift.hw.stages import MatVec
from popshift.hw.stages.kernels import KERNELS
from popshift.hw.stages.kernels.adder_graph import GRAPH_SOURCES

# The cells that the twins of a family instantiate.
CELLS = {"xilinx": ("read_verilog +/xilinx/cells_sim.v",)}


def prove(
    family: str | None,
    gold: str,
    gate: str,
    sources: Sequence[str],
    folder: Path,
    rtl: Path = RTL_FOLDER,
) -> None:
    """Prove that module ``top`` of the text ``gate`` with twins equals that of ``gold`` without."""
    script = []
    for side, text in (("gold", gold), ("gate", gate)):
        (folder / side).mkdir(parents=True)
        (folder / side / "top.sv").write_text(text)
        for name in sources:
            source = source_file(f"{name}.sv", family if side == "gate" else None, rtl)
            shutil.copyfile(source, folder / side / f"{name}.sv")
        names = ("top", *sources)
        script += [
            "design -reset",
            *(f"read_verilog -sv -defer {side}/{name}.sv" for name in names),
            *(CELLS.get(family or "", ()) if side == "gate" else ()),
            "hierarchy -check -top top",
            "proc",
            "flatten",
            "opt -full",
            f"rename -top {side}",
            f"design -stash {side}",
        ]
    script += [
        "design -copy-from gold gold",
        "design -copy-from gate gate",
        "miter -equiv -make_assert -flatten gold gate miter",
        "hierarchy -top miter",
        "opt -full",
        "sat -prove-asserts -verify miter",
    ]
    (folder / "prove.ys").write_text("\n".join((*script, "")))
    run_tool("yosys", ("-Q", "-T", "-s", "prove.ys"), folder, folder / "yosys.log")


def cells_top(inverts: Sequence[int]) -> str:
    """Return a top level of full adders and counters with every inversion of their inputs."""
    return (
        f"""
module top (input logic [6:0] a, output logic [{16 + 3 * len(inverts) - 1}:0] y);
  for (genvar i = 0; i < 8; i++) begin : gen_adder
    full_adder #(.INVERT(3'(i))) adder (.a(a[2:0]), .sum(y[2*i]), .carry(y[2*i+1]));
  end
"""
        + "".join(
            f"  counter_7_3 #(.INVERT(7'd{invert})) counter_{at} (.a, .y(y[{16 + 3 * at}+:3]));\n"
            for at, invert in enumerate(inverts)
        )
        + "endmodule\n"
    )


def packed(heights: Sequence[int]) -> str:
    """Return HEIGHTS as SystemVerilog."""
    return "{" + ", ".join(f"16'd{height}" for height in reversed(heights)) + "}"


def test_every_module_of_a_family_has_a_portable_twin():
    for folder in set(FAMILIES.values()):
        names = {path.name for path in (RTL_FOLDER / folder).iterdir()}
        assert names
        assert names <= {path.name for path in RTL_FOLDER.glob("*.sv")}


def test_cells_equal_their_twins_for_every_inversion(tmp_path):
    top = cells_top(range(128))
    prove("xilinx", top, top, ("counter_7_3", "full_adder"), tmp_path)


def test_ternary_adders_equal_their_twins(tmp_path):
    """All heights of three columns, and random ones of up to ten, with random inversions."""
    rng = np.random.default_rng(0)
    shapes = [[i % 4, i // 4 % 4, i // 16] for i in range(1, 64)]
    shapes += [rng.integers(0, 4, columns).tolist() for columns in range(4, 11) for _ in range(3)]
    lines, at = [], 0
    for index, heights in enumerate(shapes):
        bits = sum(heights)
        if not bits:
            continue
        lines.append(
            f"  ternary_adder #(.COLUMNS({len(heights)}), .HEIGHTS({packed(heights)}), "
            f".BITS({bits}), .INVERT({bits}'d{rng.integers(0, 1 << bits)})) rows_{index} "
            f"(.a(a[{bits - 1}:0]), .y(y[{at}+:{len(heights)}]));\n"
        )
        at += len(heights)
    top = f"module top (input logic [29:0] a, output logic [{at - 1}:0] y);\n{''.join(lines)}endmodule\n"
    prove("xilinx", top, top, ("ternary_adder",), tmp_path)


@pytest.mark.parametrize("family", ["xilinx", "ice40"])
@pytest.mark.parametrize("bits", [1, 2, 3, 4, 6, 7, 13, 24, 32])
def test_popcounts_of_xnors_of_a_family_equal_a_plain_sum(tmp_path, family, bits):
    """The tree itself too: what it is compared with is no tree."""
    width = bits.bit_length()
    ports = f"input logic [{bits - 1}:0] x, w, output logic [{width - 1}:0] y"
    plain = f"""
module top ({ports});
  always_comb begin
    y = '0;
    for (int i = 0; i < {bits}; i++) y = y + {width}'(x[i] == w[i]);
  end
endmodule
"""
    tree = f"module top ({ports});\n  popcount_xnor #(.N({bits})) count (.clk(1'b0), .x, .w, .y);\nendmodule\n"
    prove(family, plain, tree, ("popcount_xnor", *POPCOUNT_SOURCES), tmp_path)


def unrolled_tops() -> tuple[str, str]:
    """Return random layers as plain sums and as ``unrolled_xnor``.

    Few neurons, which share nothing, and more; even and odd numbers of synapses.
    """
    rng = np.random.default_rng(0)
    plain, shared, at = [], [], 0
    for synapses, neurons in ((1, 9), (2, 8), (3, 8), (4, 17), (9, 9), (12, 8), (12, 2)):
        width = synapses.bit_length()
        weights = rng.integers(0, 2, (neurons, synapses))
        weights[:2] = [[0], [1]]
        word = f"{weights.size}'h{vector(weights.reshape(-1).tolist(), 1):x}"
        of = f"unrolled_xnor #(.MW({synapses}), .MH({neurons}), .WEIGHTS({word}))"
        bits = f"y[{at}+:{neurons * width}]"
        shared.append(f"  {of} u_{at} (.clk(1'b0), .x(x[{synapses - 1}:0]), .y({bits}));")
        for row in weights:
            terms = (f"{width}'(x[{i}] == 1'b{bit})" for i, bit in enumerate(row))
            plain.append(f"  assign y[{at}+:{width}] = {' + '.join(terms)};")
            at += width
    ports = f"input logic [11:0] x, output logic [{at - 1}:0] y"
    gold, gate = ("\n".join(lines) for lines in (plain, shared))
    return (
        f"module top ({ports});\n{gold}\nendmodule\n",
        f"module top ({ports});\n{gate}\nendmodule\n",
    )


def test_sums_of_three_by_primitives_equal_the_portable_ones(tmp_path):
    """Every pair of signs, at widths on both sides of a carry cell's four bits."""
    lines, at = [], 0
    for bits in (1, 3, 4, 5, 9):
        for signs in range(4):
            of = f"#(.BITS({bits}), .MINUS_B(1'b{signs & 1}), .MINUS_C(1'b{signs >> 1}))"
            ports = ", ".join(f".{port}({port}[{bits - 1}:0])" for port in "abc")
            lines.append(f"  sum_of_three {of} s_{at} ({ports}, .y(y[{at}+:{bits}]));\n")
            at += bits
    top = (
        f"module top (input logic [8:0] a, b, c, output logic [{at - 1}:0] y);\n"
        f"{''.join(lines)}endmodule\n"
    )
    prove("xilinx", top, top, ("sum_of_three",), tmp_path)


@pytest.mark.parametrize("family", [None, "xilinx"])
@pytest.mark.parametrize("values", [(-1, 0, 1), (-8, -2, 0, 1, 4), tuple(range(-20, 21))])
def test_adder_graphs_equal_plain_sums(tmp_path, family, values):
    weights = np.random.default_rng(0).choice(np.array(values), (4, 5))
    plain, graph = (sums_text(weights, 2, is_plain=is_plain) for is_plain in (True, False))
    prove(family, plain, graph, ("lanes", *GRAPH_SOURCES), tmp_path)


@pytest.mark.parametrize("family", [None, "xilinx", "ice40"])
def test_unrolled_layers_equal_plain_sums(tmp_path, family):
    prove(family, *unrolled_tops(), KERNELS["xnor"].sources, tmp_path)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("^ {2{THIRDS[i]}}", "^ 2'b00"),
        ("bits[ALL-1] ^ INVERTED[ALL-1]", "bits[ALL-1]"),
        ("INVERT(~WEIGHTS", "INVERT(WEIGHTS"),
        (".INVERT(THIRDS)", ".INVERT('0)"),
        ("{1'b0, bits[3*i+:2]}", "{1'b1, bits[3*i+:2]}"),
    ],
)
def test_a_wrong_unrolled_layer_is_found(tmp_path, before, after):
    shutil.copytree(RTL_FOLDER, tmp_path / "rtl")
    module = tmp_path / "rtl" / "unrolled_xnor.sv"
    assert module.read_text().count(before) == 1
    module.write_text(module.read_text().replace(before, after))
    sources = KERNELS["xnor"].sources
    with pytest.raises(BuildError, match="proof did fail"):
        prove(None, *unrolled_tops(), sources, tmp_path / "p", tmp_path / "rtl")


@pytest.mark.parametrize(
    ("module", "before", "after"),
    [
        ("counter_7_3", "CYINIT(x[6] ^ FLIP[6])", "CYINIT(x[6])"),
        ("counter_7_3", "sixth ^ FLIP[5]", "sixth"),
        ("counter_7_3", "{64{^FLIP[5:0]}}", "64'd0"),
        ("counter_7_3", "FLIP[3] ?", "FLIP[2] ?"),
        ("full_adder", "3'(i) ^ INVERT", "3'(i)"),
    ],
)
def test_a_wrong_twin_is_found(tmp_path, module, before, after):
    shutil.copytree(RTL_FOLDER, tmp_path / "rtl")
    twin = tmp_path / "rtl" / "xilinx" / f"{module}.sv"
    assert twin.read_text().count(before) == 1
    twin.write_text(twin.read_text().replace(before, after))
    top = cells_top((0, 7, 64, 127))
    with pytest.raises(BuildError, match="proof did fail"):
        prove("xilinx", top, top, ("counter_7_3", "full_adder"), tmp_path / "p", tmp_path / "rtl")


def test_long_popcounts_by_primitives_reach_both_ends_in_simulation(tmp_path):
    """The images of the stimulus drive neurons to 0 and to all synapses."""
    stages = []
    for index, (synapses, neurons, pe) in enumerate(((256, 4, 2), (100, 4, 4), (63, 9, 9))):
        rng = np.random.default_rng(index)
        stages.append(
            MatVec(
                name=f"matvec{index}",
                inputs=(f"x{index}",),
                outputs=(f"y{index}",),
                weights=BIPOLAR.random((neurons, synapses), rng),
                input_dtype=BIPOLAR,
                kernel="xnor",
                simd=synapses,
                pe=pe,
            )
        )
    found = check(bench(stages), tmp_path, images=48, runs=2, family="xilinx")
    assert found.elements > 2 * 48 * 9
    assert found.mismatches == 0, found.first
    sources = (tmp_path / "rtl" / "counter_7_3.sv").read_text()
    assert "CARRY4" in sources


def test_an_unknown_family_is_refused():
    with pytest.raises(GraphError, match="family 'intel' is none of gowin, ice40, xilinx"):
        source_file("full_adder.sv", "intel")
