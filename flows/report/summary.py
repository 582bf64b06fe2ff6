"""The report as a table for a terminal."""

from __future__ import annotations

import io
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table

_PRODUCTS = MappingProxyType(
    {"hdl": "verified HDL", "ip": "the stitched IP", "bitfile": "bitfile and driver"}
)


def rows(report: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return what a report says as names and values, in the order to read them."""
    model, timing, resources = report["model"], report["timing"], report["resources"]
    estimated, bitstream = resources["estimated"], report["bitstream"]
    lines = [
        ("network", str(model["name"])),
        ("accuracy, float network", percent(model["accuracy_float"])),
        ("accuracy, quantized network", percent(model["accuracy_quantized"])),
        ("accuracy, hardware", percent(model["accuracy_hardware"])),
    ]
    for stage in report["verify"]["stages"]:
        lines.append((f"{stage['name']} = {stage['against']}", verdict(stage)))
    lines += [
        ("clock", f"{timing['clock_mhz']:g} MHz"),
        ("initiation interval", f"{timing['initiation_interval_cycles']:,} cycles"),
        ("latency", f"{timing['latency_cycles']:,} cycles"),
        ("rate", f"{timing['fps']:,.0f} images/s"),
    ]
    if timing["limit"] is not None:
        lines.append(("limit", timing["limit"]))
    if (finn := report.get("finn")) is not None:
        lines += [
            ("target", f"{finn['board']} ({finn['part']}) by FINN"),
            ("FINN", f"{finn['nodes']} RTL nodes, built up to {_PRODUCTS[finn['product']]}"),
        ]
    if bitstream is not None:
        lines.append(("target", f"{resources['target']} ({bitstream['device']})"))
    for name, unit in (("lut", "LUT4"), ("ff", "flip-flops"), ("bram", "block RAMs")):
        lines.append((unit, f"{number(resources[name])} (estimated {number(estimated[name])})"))
    lines.append(("DSP blocks", number(resources["dsp"])))
    if bitstream is not None:
        fits = ", ".join(resources["also_fits"])
        lines += [("also fits", fits)] if fits else []
        lines += [
            ("highest clock", f"{bitstream['fmax_mhz']:.1f} MHz"),
            ("bitstream", f"{bitstream['file']}, SHA-256 {bitstream['sha256'][:16]}..."),
        ]
        if "netlist" in bitstream:
            netlist = bitstream["netlist"]
            right = netlist["images"] - netlist["mismatches"]
            text = f"{right} of {netlist['images']} images classified as by the software"
            lines.append(("netlist through its UART", text))
    lines.append(("verified", "yes" if report["verify"]["passed"] else "NO"))
    return lines


def summary(report: Mapping[str, Any]) -> str:
    """Return the report as a plain text table."""
    table = Table(box=box.SIMPLE_HEAD, show_header=False, pad_edge=False)
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in rows(report):
        table.add_row(name, value)
    text = io.StringIO()
    Console(file=text, width=100, highlight=False, markup=False).print(table)
    return "\n".join(line.rstrip() for line in text.getvalue().splitlines()).strip("\n")


def percent(share: float | None) -> str:
    """Return a share as percent with two digits, or a dash if there is none."""
    return "-" if share is None else f"{100 * share:.2f} %"


def number(value: int | None) -> str:
    """Return a count with thousands separated, or a dash if there is none."""
    return "-" if value is None else f"{value:,}"


def verdict(stage: Mapping[str, Any]) -> str:
    """Return what a comparison found, with how much was compared."""
    text = f"{stage['elements']:,} integers, {stage['mismatches']:,} differ"
    if stage["images"]:  # a comparison of files needs none
        text = f"{stage['images']:,} images, {text}"
    if "simulator" not in stage["against"]:
        return text
    return f"{text}; {stage['cycle_mismatches']:,} cycles differ"
