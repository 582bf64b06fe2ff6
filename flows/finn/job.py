"""What a build tells the process that runs FINN, and what it hears from it: two JSON files."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from ..verify import StageResult

Product = Literal["hdl", "ip", "bitfile"]


class _Message(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Job(_Message):
    """What FINN shall build.

    Attributes:
        source: Folder with model.onnx, golden.npz, dataflow.json and dataflow.npz.
        output: Folder of FINN's results.
        code: Folder of the code that FINN generates, and of Vivado's projects.
        scratch: Folder of compiled simulations.
        board: One of FINN's boards.
        clock_mhz: Clock of the accelerator.
        product: How far to go: verified HDL, a stitched IP, or bitfile and driver.
        images: Golden images to compare; None for all.
        cycle_images: Those of them whose beats are compared in RTL.
        gap_seed: Seed of the gaps of the source.
        stall_seed: Seed of the stalls of the sink.
    """

    source: Path
    output: Path
    code: Path
    scratch: Path
    board: str
    clock_mhz: float
    product: Product
    images: int | None
    cycle_images: int
    gap_seed: int
    stall_seed: int


class Node(_Message):
    """A node of the FINN graph.

    Attributes:
        name: FINN's name, that of its Verilog module.
        op: FINN's op.
        stage: Name of the stage.
        kind: Kind of the stage.
        cycles: Cycles per image, FINN's estimate.
    """

    name: str
    op: str
    stage: str
    kind: str
    cycles: int


class Outcome(_Message):
    """What FINN built.

    Attributes:
        part: Xilinx part of the board.
        nodes: In the order of the graph.
        performance: FINN's estimate of the network, as it writes it.
        resources: FINN's sum of the estimates of all nodes.
        proof: What the verification step compared.
    """

    part: str
    nodes: tuple[Node, ...]
    performance: dict[str, Any]
    resources: dict[str, Any]
    proof: tuple[StageResult, ...]

    @property
    def failed(self) -> tuple[StageResult, ...]:
        """The comparisons that found a difference."""
        return tuple(part for part in self.proof if part.mismatches or part.cycle_mismatches)
