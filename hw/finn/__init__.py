"""Every stage as a FINN op: the same SystemVerilog, memory images, cycles and integers.

``bootstrap.start`` makes FINN importable and registers the ops; nothing else here needs FINN but
``ops``, which must not be imported before. ``graph`` turns a dataflow into a FINN graph and back,
``foreign`` reads graphs of FINN's own ops.
"""
