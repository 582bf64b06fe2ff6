"""What a stage becomes in SystemVerilog: a module of ``hw/rtl``, its parameters, its memories."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from .packing import Bytes


@dataclass(frozen=True, kw_only=True)
class MemoryImage:
    """Contents of a memory, written as ``<stage>_<parameter>.hex`` for ``$readmemh``.

    Attributes:
        words: Packed little-endian words, shape ``(depth, bytes)``.
        width_bits: Bits of a word.
    """

    words: Bytes
    width_bits: int


@dataclass(frozen=True, kw_only=True)
class Module:
    """An instance of a handwritten SystemVerilog module.

    Attributes:
        name: Module name; its source is ``hw/rtl/<name>.sv``.
        parameters: Integer or string parameters by their SystemVerilog name.
        memories: Images by the name of the string parameter that receives the file name.
        sources: Further modules that ``name`` instantiates, directly or not.
    """

    name: str
    parameters: Mapping[str, int | str]
    memories: Mapping[str, MemoryImage] = field(default_factory=dict)
    sources: tuple[str, ...] = ()
