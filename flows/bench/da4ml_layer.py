"""Run by the interpreter that has da4ml: writes its Verilog of the layer of ``layer.npz``.

It is no module of popshift's own: da4ml has an environment of its own.
"""

from importlib.metadata import version
from pathlib import Path

import numpy as np
from da4ml.codegen import VerilogModel
from da4ml.trace import FixedVariableArrayInput, comb_trace


def write() -> None:
    """Write ``rtl/`` and ``version``, after comparing da4ml's own results."""
    with np.load("layer.npz", allow_pickle=False) as layer:
        weights, levels = layer["weights"], layer["levels"]
    neurons, synapses = weights.shape
    flat = np.zeros(synapses, int)
    # Inputs are 0 or 1, so a popcount P is the product plus the number of weights -1.
    x = FixedVariableArrayInput((synapses,)).quantize(k=flat, i=flat + 1, f=flat)
    sums = x @ weights.T.astype(float)
    limits = levels - (weights < 0).sum(axis=1)
    outputs = np.array([sums[n] >= float(limits[n]) for n in range(neurons)], dtype=object)
    traced = comb_trace(x, outputs)
    samples = np.random.default_rng(1).integers(0, 2, (1000, synapses))
    expected = samples @ weights.T >= limits
    if (np.asarray(traced.predict(samples.astype(float))) != expected).any():
        raise ArithmeticError("da4ml computes other bits")
    VerilogModel(traced, "layer", "rtl").write()
    Path("version").write_text(version("da4ml"), "utf-8")


if __name__ == "__main__":
    write()
