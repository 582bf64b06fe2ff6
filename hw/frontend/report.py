"""What the frontend found out about each layer, beside the dataflow itself."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class LayerNote:
    """Facts about one stage.

    Attributes:
        stage: Name of the stage.
        node: Node of the model file that it computes, with its op.
        kernel: Kernel of a matvec, else "".
        accumulators: Least and greatest integer before the thresholds.
        accumulator_dtype: Name of the datatype of these integers.
        result_dtype: Name of the datatype that the stage yields.
        quantizer: Node whose thresholds the stage applies, else "".
        method: How the thresholds were found: "bisection" (every function is monotone), "table"
            (every accumulator was evaluated), or "" without thresholds.
        margin: Distance of the nearest value to the nearest switching point of the quantizer, in
            worst-case float32 rounding errors of the file's own operations; infinite if there is
            none or float32 is exact. Below 1, a float32 runtime may switch one integer elsewhere.
        channels_at_risk: Channels whose margin is below 1.
        channels_differing: Channels that switch at another integer when the file's operations are
            evaluated in float32 in the file's order.
    """

    stage: str
    node: str
    kernel: str = ""
    accumulators: tuple[int, int]
    accumulator_dtype: str
    result_dtype: str
    quantizer: str = ""
    method: str = ""
    margin: float = math.inf
    channels_at_risk: tuple[int, ...] = ()
    channels_differing: tuple[int, ...] = ()


@dataclass(frozen=True, kw_only=True)
class FrontendReport:
    """One note per stage, and what else the user should know.

    Attributes:
        layers: Notes in stage order.
        notes: Sentences about the graph as a whole.
    """

    layers: tuple[LayerNote, ...]
    notes: tuple[str, ...] = ()

    @property
    def warnings(self) -> tuple[str, ...]:
        """One sentence per layer whose float32 evaluation can differ from the exact integers."""
        lines = []
        for layer in self.layers:
            if layer.channels_differing:
                lines.append(
                    f"{layer.stage} ({layer.quantizer}): float32 switches at another integer in "
                    f"channels {_some(layer.channels_differing)}; the hardware follows float64"
                )
            elif layer.channels_at_risk:
                lines.append(
                    f"{layer.stage} ({layer.quantizer}): a value lies {layer.margin:.2g} float32 "
                    f"roundings from a switching point in channels {_some(layer.channels_at_risk)}"
                )
        return tuple(lines)

    def __str__(self) -> str:
        """Return the report as lines of text."""
        lines = []
        for layer in self.layers:
            low, high = layer.accumulators
            kernel = f" kernel {layer.kernel}," if layer.kernel else ""
            lines.append(
                f"{layer.stage}: {layer.node},{kernel} accumulators {low} to {high} "
                f"({layer.accumulator_dtype}) -> {layer.result_dtype}"
            )
            if layer.quantizer:
                lines.append(
                    f"  thresholds of {layer.quantizer} by {layer.method}, margin "
                    f"{layer.margin:.3g} float32 roundings"
                )
        return "\n".join([*lines, *self.warnings, *self.notes])


def _some(channels: tuple[int, ...]) -> str:
    """Return the first few channels as text."""
    shown = ", ".join(map(str, channels[:8]))
    return shown if len(channels) <= 8 else f"{shown} ... ({len(channels)} in all)"
