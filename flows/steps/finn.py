"""The accelerator through FINN's builder: its graph, estimates, HDL and, with Vivado, a bitfile."""

from __future__ import annotations

import json
import re
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event, Thread
from typing import TYPE_CHECKING, Any

from ..config import Config
from .step import CheckFailedError, Progress, Step, Workspace

if TYPE_CHECKING:
    from ..finn.job import Job, Outcome, Product

_POLL_SECONDS = 0.5


class Finn(Step):
    """Runs FINN's builder on the dataflow, in a process of its own, and keeps its results."""

    name = "finn"
    summary = "build by FINN and compare what it generated"

    def is_part_of(self, config: Config) -> bool:
        """Return whether FINN is the back end."""
        return config.backend == "finn"

    def settings(self, config: Config) -> Any:
        """Return board, clock, what is built, and how much is compared."""
        verify = config.verify.model_dump(mode="json")
        return [config.finn.board, config.hardware.clock_mhz, _product(config), verify]

    def reads(self, config: Config) -> tuple[str, ...]:
        """Return the model, its golden integers and the dataflow."""
        return ("model.onnx", "golden.npz", "dataflow.json", "dataflow.npz")

    def writes(self, config: Config) -> tuple[str, ...]:
        """Return what was found, and FINN's own output."""
        return ("finn.json", "finn")

    def check(self, config: Config) -> None:
        """Raise if FINN, the board, Vivado where it is asked for, or a simulator is missing."""
        from ...hw.finn import bootstrap  # noqa: PLC0415
        from ..finn import vivado  # noqa: PLC0415
        from ..finn.builder import part_of  # noqa: PLC0415 (loads numba)
        from ..tools import find_tool  # noqa: PLC0415

        bootstrap.require()
        part_of(config.finn.board)
        vivado.require(_product(config))
        find_tool("verilator")
        find_tool("c++")

    def run(self, work: Workspace) -> None:
        """Build.

        Raises:
            CheckFailedError: The graph or the HDL that FINN made differs from the accelerator.
            BuildError: FINN or Vivado failed; names the log.
        """
        from ..tools import BuildError, run_command  # noqa: PLC0415

        job = _job(work)
        shutil.rmtree(job.output, ignore_errors=True)
        shutil.rmtree(job.code, ignore_errors=True)
        job.output.mkdir(parents=True)
        file = work.scratch / "job.json"
        file.write_text(job.model_dump_json(indent=1) + "\n", "utf-8")
        log = work.scratch / "finn.log"
        command = [sys.executable, "-u", "-m", "popshift.flows.finn", str(file)]
        failure: BuildError | None = None
        try:
            with _followed(log, work.progress):
                run_command("finn", command, work.scratch, log, {})
        except BuildError as error:
            failure = error
        finally:
            if log.is_file():
                work.note(log.read_text("utf-8", errors="replace"))
        outcome = _outcome(job)
        if outcome is None:
            assert failure is not None
            raise failure
        shutil.copytree(job.output, work.output("finn"))
        found = {
            "board": job.board,
            "product": job.product if not outcome.failed else None,
            **outcome.model_dump(mode="json"),
            "passed": not outcome.failed,
        }
        work.output("finn.json").write_text(json.dumps(found, indent=1) + "\n", "utf-8")
        if outcome.failed:
            names = ", ".join(f"{part.name} against {part.against}" for part in outcome.failed)
            lines = (
                f"{p.name} against {p.against}: {line}" for p in outcome.failed for line in p.first
            )
            raise CheckFailedError(f"verification of FINN's build failed: {names}", tuple(lines))


def _product(config: Config) -> Product:
    from ..finn.vivado import farthest_product  # noqa: PLC0415 (loads numba)

    return config.finn.product or farthest_product()


def _job(work: Workspace) -> Job:
    from ..finn.job import Job  # noqa: PLC0415 (loads numba)

    verify = work.config.verify
    return Job(
        source=work.folder,
        output=work.scratch / "output",
        code=work.scratch / "code",
        scratch=work.scratch,
        board=work.config.finn.board,
        clock_mhz=work.config.hardware.clock_mhz,
        product=_product(work.config),
        images=verify.images,
        cycle_images=verify.cycle_images,
        gap_seed=verify.gap_seed,
        stall_seed=verify.stall_seed,
    )


def _outcome(job: Job) -> Outcome | None:
    """Return what the process of FINN has left, or None if it ended before."""
    from ..finn.builder import RESULT  # noqa: PLC0415 (loads numba)
    from ..finn.job import Outcome  # noqa: PLC0415

    file = job.output / RESULT
    return Outcome.model_validate_json(file.read_text("utf-8")) if file.is_file() else None


@contextmanager
def _followed(log: Path, progress: Progress) -> Iterator[None]:
    """Turn the lines in which FINN says which step it runs into progress."""
    is_done = Event()

    def follow() -> None:
        while not is_done.wait(_POLL_SECONDS):
            text = log.read_text("utf-8", errors="replace") if log.is_file() else ""
            if found := re.findall(r"Running step: (\w+) \[(\d+)/(\d+)\]", text):
                name, step, whole = found[-1]
                progress(int(step) - 1, int(whole), name)

    thread = Thread(target=follow, daemon=True)
    thread.start()
    try:
        yield
    finally:
        is_done.set()
        thread.join()
