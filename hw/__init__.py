"""From QONNX to integers, cycles and SystemVerilog; runs without torch."""
