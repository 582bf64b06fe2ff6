"""FINN's builder, with our steps among its own."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ...hw import storage
from ...hw.errors import PopshiftError
from ...hw.finn import bootstrap
from ...hw.finn.attributes import from_attributes
from ...hw.finn.graph import to_finn
from ...hw.finn.stitch import gather
from ...hw.graph import Dataflow
from ..tools import BuildError, last_error
from .job import Job, Node, Outcome, Product
from .proof import prove

Step = Callable[[Any, Any], Any]

LOG = "build_dataflow.log"
RESULT = "outcome.json"

# FINN's own steps after ours, by product. Each ends where the next begins.
_HDL = ("step_create_dataflow_partition", "step_specialize_layers")
_REPORTS = ("step_generate_estimate_reports", "step_hw_codegen")
_IP = ("step_create_stitched_ip",)
_BITFILE = (
    "step_prepare_synthesis",
    "step_synthesize_bitfile",
    "step_make_driver",
    "step_deployment_package",
)
_OUTPUTS = {
    "hdl": ("estimate_reports",),
    "ip": ("estimate_reports", "stitched_ip"),
    "bitfile": (
        "estimate_reports",
        "stitched_ip",
        "bitfile",
        "pynq_driver",
        "deployment_package",
    ),
}


class UnknownBoardError(PopshiftError, ValueError):
    """FINN has no board of this name; the message says which it has."""


def run(job: Job) -> Outcome:
    """Build ``job`` by FINN and return what was found; its files are in ``job.output``.

    Differences are part of the outcome, and stop the build before Vivado starts.

    Raises:
        FinnNotFoundError: FINN is not installed.
        UnknownBoardError: FINN does not know the board.
        BuildError: One of FINN's steps failed; names its log.
    """
    bootstrap.start(job.code)
    build = _Build(job, storage.load(job.source))
    try:
        run_builder(job.source / "model.onnx", build.config())
    except BuildError:
        if build.outcome is None or not build.outcome.failed:
            raise
    assert build.outcome is not None
    (job.output / RESULT).write_text(build.outcome.model_dump_json(indent=1) + "\n", "utf-8")
    return build.outcome


def run_builder(model: Path, config: Any) -> None:
    """Run FINN's builder on a model file with a ``DataflowBuildConfig``.

    Raises:
        BuildError: One of its steps failed; names its log.
    """
    from finn.builder import build_dataflow  # noqa: PLC0415 (needs the bootstrap)

    log = Path(config.output_dir) / LOG
    with _own_streams():
        try:
            status = build_dataflow.build_dataflow_cfg(str(model), config)
        except Exception as error:  # FINN returns a status, but raises where pytest has started it
            raise BuildError(f"FINN's builder failed: {error} (log: {log})") from error
    if status:
        raise BuildError(f"FINN's builder failed: {last_error(log)} (log: {log})")


def part_of(board: str) -> str:
    """Return the Xilinx part of one of FINN's Zynq boards.

    Raises:
        UnknownBoardError: There is no such board.
    """
    from finn.util.basic import pynq_part_map  # noqa: PLC0415 (needs the bootstrap)

    if board not in pynq_part_map:
        raise UnknownBoardError(
            f"finn.board: {board!r} is none of FINN's Zynq boards: {', '.join(pynq_part_map)}"
        )
    part: str = pynq_part_map[board]
    return part


class _Build:
    """The steps of one build, which share the dataflow and leave the outcome."""

    def __init__(self, job: Job, dataflow: Dataflow) -> None:
        self.job = job
        self.dataflow = dataflow
        self.outcome: Outcome | None = None

    def config(self) -> Any:
        """Return FINN's configuration."""
        from finn.builder.build_dataflow_config import (  # noqa: PLC0415 (needs the bootstrap)
            DataflowBuildConfig,
            DataflowOutputType,
            ShellFlowType,
        )

        return DataflowBuildConfig(
            output_dir=str(self.job.output),
            steps=self.steps(self.job.product),
            generate_outputs=[DataflowOutputType(name) for name in _OUTPUTS[self.job.product]],
            board=self.job.board,
            fpga_part=part_of(self.job.board),
            shell_flow_type=ShellFlowType.VIVADO_ZYNQ,
            synth_clk_period_ns=1000 / self.job.clock_mhz,
            # Depths of FIFOs are those of the dataflow.
            auto_fifo_depths=False,
        )

    def steps(self, product: Product) -> list[Step | str]:
        """Return FINN's steps up to ``product``, with ours in their places."""
        steps: list[Step | str] = [self.step_popshift_dataflow(), *_HDL, *_REPORTS]
        steps.append(self.step_popshift_verify())
        if product != "hdl":
            steps += _IP
        if product == "bitfile":
            steps += _BITFILE
        return steps

    def step_popshift_dataflow(self) -> Step:
        """Return the step that puts the compiled dataflow in place of the model it was made of."""

        def step_popshift_dataflow(model: Any, cfg: Any) -> Any:
            return to_finn(self.dataflow)

        return step_popshift_dataflow

    def step_popshift_verify(self) -> Step:
        """Return the step that raises where an integer, a cycle or a file differs."""

        def step_popshift_verify(model: Any, cfg: Any) -> Any:
            from finn.util.exception import FINNUserError  # noqa: PLC0415 (needs the bootstrap)

            def say(words: str) -> None:
                sys.stdout.write(f"comparing: {words}\n")

            proof = prove(model, self.dataflow, self.job, progress=say)
            self.outcome = _outcome(model, cfg, proof)
            if self.outcome.failed:
                lines = [line for part in self.outcome.failed for line in part.first]
                raise FINNUserError("verification failed: " + "; ".join(lines))
            gather(model, self.job.output / "hdl", name=self.dataflow.name)
            return model

        return step_popshift_verify


def _outcome(model: Any, cfg: Any, proof: Any) -> Outcome:
    reports = Path(cfg.output_dir) / "report"
    cycles = _read(reports / "estimate_layer_cycles.json")
    nodes = []
    for node in model.graph.node:
        stage = from_attributes(node)
        nodes.append(
            Node(
                name=node.name,
                op=node.op_type,
                stage=stage.name,
                kind=stage.kind,
                cycles=cycles[node.name],
            )
        )
    return Outcome(
        part=cfg.fpga_part,
        nodes=tuple(nodes),
        performance=_read(reports / "estimate_network_performance.json"),
        resources=_read(reports / "estimate_layer_resources.json")["total"],
        proof=proof,
    )


def _read(path: Path) -> dict[str, Any]:
    data: dict[str, Any] = json.loads(path.read_text("utf-8"))
    return data


@contextmanager
def _own_streams() -> Iterator[None]:
    """Undo what FINN's builder does to standard output, warnings and logging of the process."""
    streams = sys.stdout, sys.stderr
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    try:
        yield
    finally:
        sys.stdout, sys.stderr = streams
        logging.captureWarnings(capture=False)
        for handler in list(root.handlers):
            if handler not in handlers:
                root.removeHandler(handler)
                handler.close()
        for handler in handlers:
            if handler not in root.handlers:
                root.addHandler(handler)
        root.setLevel(level)
