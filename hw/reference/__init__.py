"""Bit-exact execution of a dataflow on packed words: what ``Dataflow.execute`` says, but fast."""

from .engine import Reference, compile_reference

__all__ = ["Reference", "compile_reference"]
