"""What the build says about itself."""

from __future__ import annotations

import json
from typing import Any

from ..config import Config
from .step import Step, Workspace


class Report(Step):
    """Collects ``report.json`` from the files of the other steps and draws ``report.html``."""

    name = "report"
    summary = "write report.json and report.html"

    def settings(self, config: Config) -> Any:
        """Return what the report quotes from the configuration."""
        return [config.name, config.synth.model_dump(mode="json")]

    def reads(self, config: Config) -> tuple[str, ...]:
        """Return the results of the steps and their records."""
        files = ["golden.npz", "dataflow.json", "dataflow.npz", "timing.json"]
        files += ["verify.json", "answers.npz"]
        if config.model.zoo is not None:
            files.append("training.json")
        if config.is_synthesized:
            files += ["synth.json", "netlist.json"]
        if config.backend == "finn":
            files.append("finn.json")
        return (*files, *(f"steps/{name}.json" for name in _earlier(config)))

    def writes(self, config: Config) -> tuple[str, ...]:
        """Return the two reports."""
        return ("report.json", "report.html")

    def run(self, work: Workspace) -> None:
        """Write both."""
        import numpy as np  # noqa: PLC0415 (numpy and numba are slow to load)

        from ..report.data import collect  # noqa: PLC0415
        from ..report.html import Sample, page  # noqa: PLC0415

        report = collect(work.folder, work.config, _earlier(work.config))
        with (
            np.load(work.input("golden.npz")) as golden,
            np.load(work.input("answers.npz")) as answers,
        ):
            sample = Sample(
                image=golden["input"][0],
                label=int(golden["label"][0]) if "label" in golden else None,
                prediction=int(answers["prediction"][0]),
            )
        work.output("report.json").write_text(json.dumps(report, indent=1) + "\n", "utf-8")
        work.output("report.html").write_text(page(report, sample), "utf-8")


def _earlier(config: Config) -> tuple[str, ...]:
    """Return the names of the steps of this build before the report."""
    from . import ALL_STEPS  # noqa: PLC0415 (it holds this step)

    names = [step.name for step in ALL_STEPS if step.is_part_of(config)]
    return tuple(names[: names.index("report")])
