"""Programs that stand for Vivado and Vitis HLS: they record how they are called and what they read.

They leave the files that FINN looks for next, all of them empty or a word; nothing is synthesized.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

PROGRAM = """#!{python}
import json, pathlib, re, sys
sys.path.insert(0, {here!r})
import fake_vivado
fake_vivado.run({tool!r}, sys.argv[1:], pathlib.Path({record!r}))
"""

REPORT = """<report><table>
<tablerow><tablecell contents="Instance"/><tablecell contents="Module"/>
<tablecell contents="Total LUTs"/><tablecell contents="SRLs"/><tablecell contents="FFs"/>
<tablecell contents="RAMB36"/><tablecell contents="RAMB18"/><tablecell contents="DSP Blocks"/>
</tablerow>
<tablerow><tablecell contents="(top)"/><tablecell contents="(top)"/>
<tablecell contents="11"/><tablecell contents="0"/><tablecell contents="22"/>
<tablecell contents="3"/><tablecell contents="4"/><tablecell contents="0"/></tablerow>
</table></report>
"""


def install(folder: Path, record: Path) -> None:
    """Put the programs into ``folder``; they append to ``record``."""
    for tool in ("vivado", "vitis_hls"):
        program = folder / tool
        program.write_text(
            PROGRAM.format(
                python=sys.executable,
                here=str(Path(__file__).parent),
                tool=tool,
                record=str(record),
            )
        )
        program.chmod(0o755)


def run(tool: str, arguments: list[str], record: Path) -> None:
    """Do what FINN expects of a tool that has succeeded."""
    script = Path(next(word for word in arguments if word.endswith(".tcl")))
    text = script.read_text()
    with record.open("a") as file:
        line = {"tool": tool, "arguments": arguments, "folder": str(Path.cwd()), "tcl": text}
        file.write(json.dumps(line) + "\n")
    if tool == "vitis_hls":
        project = f"project_{script.stem.removeprefix('hls_syn_')}"
        (Path.cwd() / project / "sol1" / "impl" / "ip").mkdir(parents=True)
    elif script.name == "make_project.tcl":
        _stitched(text)
    else:
        _shell(script.parent)


def _stitched(text: str) -> None:
    words = next(line.split() for line in text.splitlines() if line.startswith("create_project"))
    name, folder = words[1], Path(words[2])
    design = next(
        line.split('"')[1] for line in text.splitlines() if line.startswith("create_bd_design")
    )
    wrapper = folder / f"{name}.srcs/sources_1/bd/{design}/hdl/{design}_wrapper.v"
    wrapper.parent.mkdir(parents=True)
    wrapper.write_text("wrapper\n")
    (folder / "ip").mkdir()
    (folder / "ip" / "component.xml").write_text("component\n")
    (folder / "all_verilog_srcs.txt").write_text(f"{wrapper}\n")


def _shell(folder: Path) -> None:
    run = folder / "finn_zynq_link.runs" / "impl_1"
    run.mkdir(parents=True)
    (run / "top_wrapper.bit").write_text("bits\n")
    (run / "top_wrapper_timing_summary_routed.rpt").write_text("timing\n")
    handoff = folder / "finn_zynq_link.gen/sources_1/bd/top/hw_handoff"
    handoff.mkdir(parents=True)
    (handoff / "top.hwh").write_text("handoff\n")
    (folder / "synth_report.xml").write_text(REPORT)
