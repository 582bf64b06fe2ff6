"""The report as one HTML file without scripts and without anything to load."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .summary import number, rows, verdict

_STYLE = (
    "body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;"
    "color:#1a1a1a;background:#fff}table{border-collapse:collapse;margin:1rem 0}"
    "td,th{padding:.25rem .75rem;border-bottom:1px solid #ddd;text-align:left;"
    "overflow-wrap:anywhere}td.n{text-align:right}"
    ".yes{color:#006b2d}.no{color:#b00020}figure{margin:1rem 0}"
)
_CYCLES = {"busy": "#2b7a4b", "starved": "#d9d9d9", "blocked": "#c0392b"}
_BAR = 320  # width of a bar
_PIXEL = 20  # side of a pixel in the picture


@dataclass(frozen=True, kw_only=True)
class Sample:
    """One image and what became of it.

    Attributes:
        image: Integers, shape ``(elements,)`` or ``(height, width, channels)``.
        label: True class, or None where unknown.
        prediction: Class that the hardware answered.
    """

    image: NDArray[np.integer[Any]]
    label: int | None
    prediction: int


def page(report: Mapping[str, Any], sample: Sample | None) -> str:
    """Return the HTML page of a report."""
    passed = report["verify"]["passed"]
    name = escape(str(report["model"]["name"]))
    mark = "<b class=yes>every integer and every cycle is equal</b>"
    if not passed:
        mark = "<b class=no>hardware and software differ</b>"
    stages = [
        (f"{stage['name']} = {stage['against']}", verdict(stage))
        for stage in report["verify"]["stages"]
    ]
    steps = [(step["name"], f"{step['seconds']:.1f} s") for step in report["steps"]]
    parts = [
        "<!doctype html><html lang=en><head><meta charset=utf-8>",
        "<meta name=viewport content='width=device-width,initial-scale=1'>",
        f"<title>popshift: {name}</title><style>{_STYLE}</style></head><body>",
        f"<h1>{name}</h1><p>{mark}</p>",
        _figure(sample) if sample is not None else "",
        "<h2>Result</h2>", _table(rows(report)),
        "<h2>Comparisons</h2>", _table(stages),
        "<h2>Cycles</h2>", _cycles(report["timing"]),
        "<h2>Resources</h2>", _resources(report["resources"]),
        _stages(report["resources"]["stages"]),
        "<h2>Steps</h2>", _table(steps),
        "<h2>Tools</h2>", _table(list(report["tools"].items())),
        "</body></html>\n",
    ]  # fmt: skip
    return "\n".join(part for part in parts if part)


def _table(lines: Sequence[tuple[str, str]]) -> str:
    body = "\n".join(f"<tr><th>{escape(k)}</th><td>{escape(v)}</td></tr>" for k, v in lines)
    return f"<table>\n{body}\n</table>"


def _cycles(timing: Mapping[str, Any]) -> str:
    """Return a bar for each stage: what it does with the cycles of an image."""
    lines = ["<tr><th></th><th>busy, waits for input, waits for output</th></tr>"]
    for stage in timing["stages"]:
        cycles = [stage[f"{what}_cycles"] for what in _CYCLES]
        whole, left, bar = max(sum(cycles), 1), 0.0, ""
        for part, colour in zip(cycles, _CYCLES.values(), strict=True):
            width = _BAR * part / whole
            bar += f"<rect x='{left:.1f}' width='{width:.1f}' height='12' fill='{colour}'/>"
            left += width
        words = f"{100 * cycles[0] / whole:.1f} % busy"
        size = f"width='{_BAR}' height='12'"
        picture = f"<svg xmlns='http://www.w3.org/2000/svg' role='img' {size}>{bar}</svg>"
        lines.append(f"<tr><th>{escape(stage['stage'])}</th><td>{picture} {words}</td></tr>")
    return "<table>\n" + "\n".join(lines) + "\n</table>"


def _resources(resources: Mapping[str, Any]) -> str:
    lines = ["<tr><th></th><th>measured</th><th>estimated</th></tr>"]
    for name in ("lut", "ff", "bram", "dsp"):
        estimated = number(resources["estimated"].get(name, 0))
        cells = f"<td class=n>{number(resources[name])}</td><td class=n>{estimated}</td>"
        lines.append(f"<tr><th>{name.upper()}</th>{cells}</tr>")
    return "<table>\n" + "\n".join(lines) + "\n</table>"


def _stages(stages: Sequence[Mapping[str, Any]]) -> str:
    """Return what each stage is estimated to take, and the kernel that computes a layer."""
    lines = ["<tr><th>estimated</th><th>kernel</th><th>LUT</th><th>FF</th><th>BRAM</th></tr>"]
    for stage in stages:
        cells = "".join(f"<td class=n>{number(stage[unit])}</td>" for unit in ("lut", "ff", "bram"))
        kernel = escape(stage["kernel"] or "")
        lines.append(f"<tr><th>{escape(stage['stage'])}</th><td>{kernel}</td>{cells}</tr>")
    return "<table>\n" + "\n".join(lines) + "\n</table>"


def _figure(sample: Sample) -> str:
    caption = f"The hardware's answer: class {sample.prediction}"
    if sample.label is not None:
        caption += f"; true class {sample.label}"
    return f"<figure>{picture(sample.image)}<figcaption>{caption}</figcaption></figure>"


def picture(image: NDArray[np.integer[Any]]) -> str:
    """Return an image as SVG, dark where the value is large.

    A vector of a square number of elements is drawn as a square, other vectors as a row; of
    several channels the first is drawn.
    """
    if image.ndim == 1:
        side = math.isqrt(image.size)
        pixels = image.reshape(side, side) if side * side == image.size else image.reshape(1, -1)
    else:
        pixels = image[..., 0]
    height, width = pixels.shape
    low, high = int(pixels.min()), int(pixels.max())
    grey = 255 - 255 * (pixels.astype(np.int64) - low) // max(1, high - low)
    squares = "".join(
        f"<rect x='{x * _PIXEL}' y='{y * _PIXEL}' width='{_PIXEL}' height='{_PIXEL}' "
        f"fill='rgb({g},{g},{g})'/>"
        for (y, x), g in np.ndenumerate(grey)
    )
    size = f"width='{min(width * _PIXEL, 320)}' viewBox='0 0 {width * _PIXEL} {height * _PIXEL}'"
    return f"<svg xmlns='http://www.w3.org/2000/svg' role='img' {size}>{squares}</svg>"
