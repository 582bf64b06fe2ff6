"""FINN's own steps on a model file, without ours: its own ops and its own estimates."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from ...hw.finn import bootstrap
from .builder import part_of, run_builder


@dataclass(frozen=True, kw_only=True)
class OwnEstimate:
    """What FINN makes of a model by itself.

    Attributes:
        graph: File of the graph of its own ops, specialised and folded.
        interval_cycles: Cycles of its slowest node.
        latency_cycles: Sum of the cycles of all nodes along the longest path.
    """

    graph: Path
    interval_cycles: int
    latency_cycles: int


def estimate(
    model: Path, folder: Path, *, fps: int, clock_mhz: float, board: str = "Pynq-Z1"
) -> OwnEstimate:
    """Run FINN's steps for estimates: streamline, convert, partition, specialise, fold, estimate.

    Args:
        model: QONNX file.
        folder: Receives FINN's output.
        fps: Images per second that FINN shall fold for.
        clock_mhz: Clock.
        board: One of FINN's Zynq boards.

    Raises:
        FinnNotFoundError: FINN is not installed.
        BuildError: One of FINN's steps failed; names its log.
    """
    bootstrap.start(folder / "code")
    from finn.builder.build_dataflow_config import (  # noqa: PLC0415 (needs the bootstrap)
        DataflowBuildConfig,
        DataflowOutputType,
        estimate_only_dataflow_steps,
    )

    config = DataflowBuildConfig(
        output_dir=str(folder / "output"),
        steps=list(estimate_only_dataflow_steps),
        generate_outputs=[DataflowOutputType("estimate_reports")],
        board=board,
        fpga_part=part_of(board),
        synth_clk_period_ns=1000 / clock_mhz,
        target_fps=fps,
    )
    run_builder(model, config)
    report = folder / "output" / "report" / "estimate_network_performance.json"
    performance = json.loads(report.read_text("utf-8"))
    return OwnEstimate(
        graph=folder
        / "output"
        / "intermediate_models"
        / f"{estimate_only_dataflow_steps[-1]}.onnx",
        interval_cycles=performance["max_cycles"],
        latency_cycles=performance["critical_path_cycles"],
    )
