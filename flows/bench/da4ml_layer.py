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
        weights, bits = layer["weights"], int(layer["input_bits"])
        levels = layer.get("levels")
    neurons, synapses = weights.shape
    flat = np.zeros(synapses, int)
    x = FixedVariableArrayInput((synapses,)).quantize(k=flat, i=flat + bits, f=flat)
    outputs = x @ weights.T.astype(float)
    samples = np.random.default_rng(1).integers(0, 1 << bits, (1000, synapses))
    expected = samples @ weights.T
    if levels is not None:
        # Inputs are 0 or 1, so a popcount P is the product plus the number of weights -1.
        limits = levels - (weights < 0).sum(axis=1)
        bounds = (outputs[n] >= float(limits[n]) for n in range(neurons))
        outputs, expected = np.array([*bounds], dtype=object), expected >= limits
    traced = comb_trace(x, outputs)
    if (np.asarray(traced.predict(samples.astype(float))) != expected).any():
        raise ArithmeticError("da4ml computes other integers")
    VerilogModel(traced, "layer", "rtl").write()
    Path("version").write_text(version("da4ml"), "utf-8")


if __name__ == "__main__":
    write()
