"""LUTs of unrolled layers against plain sums and da4ml's adder graphs, in the same Yosys."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ...hw.dtypes import BIPOLAR, IntArray, smallest_for, unsigned
from ...hw.module import vector
from ...hw.stages.kernels import KERNELS
from ...hw.stages.kernels.adder_graph import GRAPH_SOURCES
from ...hw.stages.kernels.additions import additions
from ..tools import BuildError, TimeLimitError, run_command
from .families import LutRow, own_sources, synthesize

_PEER_LAYER = "da4ml_layer.py"


@dataclass(frozen=True, kw_only=True)
class IntegerLayer:
    """A layer of random integer weights without thresholds.

    Attributes:
        kind: ``ternary``, -1, 0 and 1; or ``shift``, those times 1, 2, 4 or 8.
        size: Synapses, and neurons.
        input_bits: Of an unsigned input.
        family: Key of ``SYNTHESES``.
    """

    kind: str
    size: int
    input_bits: int
    family: str

    @property
    def name(self) -> str:
        """What the table calls it."""
        values = {"ternary": "-1, 0, 1", "shift": "0, ±1, ±2, ±4, ±8"}[self.kind]
        return (
            f"{self.family}: unrolled {self.size}x{self.size} of {values}, "
            f"inputs uint{self.input_bits}"
        )

    @property
    def weights(self) -> IntArray:
        """Every value of -1, 0, 1 as often, and every power of two."""
        rng = np.random.default_rng(0)
        shape = (self.size, self.size)
        ternary = rng.integers(-1, 2, shape)
        return ternary if self.kind == "ternary" else ternary << rng.integers(0, 4, shape)


INTEGER_LAYERS = (
    *(
        IntegerLayer(kind=kind, size=32, input_bits=8, family=family)
        for family in ("xc7", "ecp5")
        for kind in ("ternary", "shift")
    ),
    *(
        IntegerLayer(kind=kind, size=64, input_bits=bits, family="xc7")
        for kind in ("ternary", "shift")
        for bits in (8, 4)
    ),
)
BINARY_SIZE = 64


def bit_vector(weights: IntArray) -> str:
    """Return bipolar weights as SystemVerilog."""
    return f"{weights.size}'h{vector(((weights.reshape(-1) + 1) // 2).tolist(), 1):x}"


def plain_popcount(x: str, w: str, bits: int, y: str) -> str:
    """Return a loop that adds the equal bits of two signals."""
    return (
        f"always_comb begin\n    {y} = '0;\n    for (int i = 0; i < {bits}; i++) "
        f"{y} = {y} + {bits.bit_length()}'({x}[i] == {w}[i]);\n  end"
    )


def layer_text(weights: IntArray, levels: IntArray, *, is_plain: bool) -> str:
    """Return module ``top``: bits ``popcount(x XNOR weights[n]) >= levels[n]``.

    Args:
        weights: BIPOLAR, shape ``(MH, MW)``.
        levels: Shape ``(MH,)``.
        is_plain: Whether loops add, or else the modules of ``hw/rtl``.
    """
    neurons, synapses = weights.shape
    bits = synapses.bit_length()
    lines = [
        f"module top (input logic [{synapses - 1}:0] x, output logic [{neurons - 1}:0] y);",
        f"  logic [{neurons * bits - 1}:0] sums;",
    ]
    for n, row in enumerate(weights):
        if is_plain:
            lines += [
                f"  wire [{synapses - 1}:0] w_{n} = {bit_vector(row)};",
                f"  logic [{bits - 1}:0] sum_{n};",
                f"  {plain_popcount('x', f'w_{n}', synapses, f'sum_{n}')}",
                f"  assign sums[{n * bits}+:{bits}] = sum_{n};",
            ]
        lines.append(f"  assign y[{n}] = sums[{n * bits}+:{bits}] >= {bits}'d{levels[n]};")
    if not is_plain:
        lines.append(
            f"  unrolled_xnor #(.MW({synapses}), .MH({neurons}), .WEIGHTS({bit_vector(weights)})) "
            "layer (.clk(1'b0), .x, .y(sums));"
        )
    return "\n".join((*lines, "endmodule", ""))


def sums_text(weights: IntArray, input_bits: int, *, is_plain: bool) -> str:
    """Return module ``top``: the dot products of unsigned inputs with the rows of weights.

    Args:
        weights: Shape ``(MH, MW)``.
        input_bits: Of an input.
        is_plain: Whether they are written with ``*`` and ``+``, or else an adder graph.
    """
    neurons, synapses = weights.shape
    most = int(np.abs(weights).sum(axis=1).max()) << input_bits
    bits = smallest_for(-most, most).bits
    lines = [
        f"module top (input logic [{synapses * input_bits - 1}:0] x, "
        f"output logic [{neurons * bits - 1}:0] y);"
    ]
    if is_plain:
        for n, row in enumerate(weights.tolist()):
            products = (
                f"{'-' if value < 0 else ''}{bits}'sd{abs(value)} * "
                f"$signed({{1'b0, x[{i * input_bits}+:{input_bits}]}})"
                for i, value in enumerate(row)
            )
            lines.append(f"  assign y[{n * bits}+:{bits}] = {' + '.join(products)};")
    else:
        graph = additions(unsigned(input_bits), weights)
        lines.append(
            f"  adder_graph #(.INPUTS({synapses}), .X_BITS({input_bits}), .OUTPUTS({neurons}), "
            f".SUM_BITS({bits}), .OPERATIONS({len(graph.operations)}), "
            f".NODE_BITS({graph.node_bits}), .GRAPH({graph.word_bits}'h{graph.word:x})) "
            "layer (.clk(1'b0), .x, .y);"
        )
    return "\n".join((*lines, "endmodule", ""))


def random_layer(size: int, seed: int = 0) -> tuple[IntArray, IntArray]:
    """Return random weights ``(size, size)`` and levels at which outputs are as often 0 as 1."""
    rng = np.random.default_rng(seed)
    return BIPOLAR.random((size, size), rng), rng.binomial(size, 0.5, size).astype(np.int64)


def measure_layers(folder: Path, da4ml: Path | None, cpu_seconds: int) -> Iterator[LutRow]:
    """Yield the LUTs of unrolled layers, against da4ml and plain sums.

    Args:
        folder: For files.
        da4ml: Python interpreter with da4ml, or None to leave it out.
        cpu_seconds: CPU time of a synthesis.

    Raises:
        BuildError: da4ml or Yosys failed, or da4ml computes other integers.
    """
    for layer in INTEGER_LAYERS:
        where = folder / f"{layer.kind}_{layer.size}_{layer.input_bits}_{layer.family}"
        texts = (sums_text(layer.weights, layer.input_bits, is_plain=p) for p in (False, True))
        inputs = {"weights": layer.weights, "input_bits": np.array(layer.input_bits)}
        run = _Synthesis(where, layer.family, cpu_seconds)
        yield from run.rows(layer.name, (*texts,), ("lanes", *GRAPH_SOURCES), inputs, da4ml)
    weights, levels = random_layer(BINARY_SIZE)
    texts = (layer_text(weights, levels, is_plain=is_plain) for is_plain in (False, True))
    inputs = {"weights": weights, "levels": levels, "input_bits": np.array(1)}
    name = f"xc7: unrolled {BINARY_SIZE}x{BINARY_SIZE} of -1, +1 with thresholds"
    run = _Synthesis(folder / "binary", "xc7", cpu_seconds)
    yield from run.rows(name, (*texts,), KERNELS["xnor"].sources, inputs, da4ml)


@dataclass(frozen=True)
class _Synthesis:
    """Where and how a layer is synthesized."""

    folder: Path
    family: str
    cpu_seconds: int

    def rows(
        self,
        name: str,
        texts: tuple[str, ...],
        sources: tuple[str, ...],
        inputs: dict[str, IntArray],
        da4ml: Path | None,
    ) -> Iterator[LutRow]:
        """Yield a row for each peer of a layer: its texts are popshift's and the plain one."""
        own, plain = texts
        ours = self._luts("popshift", own, own_sources(sources, self.family), is_plain=False)
        if da4ml is not None:
            files, peer, peer_name = self._da4ml(inputs, da4ml)
            theirs = self._luts("da4ml", peer, files, is_plain=True)
            yield LutRow(work=name, popshift=ours, peer=theirs, peer_name=peer_name)
        theirs = self._luts("plain", plain, [], is_plain=True)
        yield LutRow(work=name, popshift=ours, peer=theirs, peer_name="plain sum")

    def _luts(self, name: str, text: str, files: list[Path], *, is_plain: bool) -> int | None:
        """Return the LUTs, or None where Yosys takes too long."""
        folder = self.folder / name
        limit = self.cpu_seconds
        try:
            return synthesize(
                text, files, self.family, folder, is_plain=is_plain, cpu_seconds=limit
            )
        except TimeLimitError:
            return None

    def _da4ml(self, inputs: dict[str, IntArray], interpreter: Path) -> tuple[list[Path], str, str]:
        """Return da4ml's Verilog of a layer, module ``top`` around it, and its name."""
        peer = self.folder / "peer"
        peer.mkdir(parents=True)
        np.savez(peer / "layer.npz", allow_pickle=False, **inputs)
        script = Path(__file__).with_name(_PEER_LAYER).read_text("utf-8")
        (peer / _PEER_LAYER).write_text(script, "utf-8")
        run_command("da4ml", [str(interpreter), _PEER_LAYER], peer, peer / "da4ml.log", {})
        files = sorted((peer / "rtl" / "src").rglob("*.v"))
        ports = {
            port: width
            for file in files
            if file.stem == "layer"
            for width, port in re.findall(r"put (\[\d+:0\]) (model_\w+)", file.read_text("utf-8"))
        }
        if ports.keys() != {"model_inp", "model_out"}:
            raise BuildError(f"{peer}: da4ml's module layer has other ports: {sorted(ports)}")
        text = (
            f"module top (input logic {ports['model_inp']} x, "
            f"output logic {ports['model_out']} y);\n"
            "  layer layer (.model_inp(x), .model_out(y));\nendmodule\n"
        )
        return files, text, f"da4ml {(peer / 'version').read_text('utf-8')}"
