"""Registers of an adder graph: so many operations in a row, then all nodes wait for the clock."""

from __future__ import annotations

from dataclasses import replace

from .adder_graph import NOTHING, AdderGraph, Operand, Operation

# Operations in a row without a register between: four additions of two operands.
OPERATIONS_AT_ONCE = 2
# Registers between a beat and the sums, as ``dot.sv`` has with any kernel.
LEAST_REGISTERS = 2


def pipelined(graph: AdderGraph, at_once: int) -> AdderGraph:
    """Return a graph without registers as one with some, two between inputs and results at least.

    Args:
        graph: Without registers.
        at_once: Operations in a row without a register between.
    """
    levels = _levels(graph)
    # Registers that are there anyway are made use of.
    at_once = min(at_once, max(1, -(-max(levels) // (LEAST_REGISTERS + 1))))
    parts = [max(0, level - 1) // at_once for level in levels]
    registers = max(LEAST_REGISTERS, *parts)
    sums = graph.operations[: -graph.neurons]
    results = graph.operations[-graph.neurons :]
    # In which parts between registers a node is needed.
    needed: list[set[int]] = [set() for _ in levels]
    for part, operation in zip(parts[graph.inputs :], sums, strict=False):
        for operand in operation.operands:
            if operand.node != NOTHING:
                needed[operand.node].add(part)
    for (operand,) in (result.operands for result in results):
        if operand.node != NOTHING:
            needed[operand.node].add(registers)

    operations: list[Operation] = []
    places: dict[tuple[int, int], int] = {}  # of a node in a part

    def add(operation: Operation) -> int:
        operations.append(operation)
        return graph.inputs + len(operations) - 1

    def moved(operand: Operand, part: int) -> Operand:
        if operand.node == NOTHING:
            return operand
        return operand._replace(node=places[operand.node, part])

    def keep(node: int, place: int, part: int, ends: tuple[int, int]) -> None:
        """Let a node wait until the last part that needs it."""
        places[node, part] = place
        for later in range(part + 1, max(needed[node], default=0) + 1):
            place = add(Operation((Operand(place, 0, 1),), *ends, is_register=True))
            places[node, later] = place

    for node in range(graph.inputs):
        keep(node, node, 0, graph.input_range)
    for node, operation in enumerate(sums, graph.inputs):
        part = parts[node]
        operands = tuple(moved(operand, part) for operand in operation.operands)
        is_register = min(needed[node]) > part
        place = add(replace(operation, operands=operands, is_register=is_register))
        keep(node, place, part + is_register, (operation.low, operation.high))
    for result in results:
        add(replace(result, operands=(moved(result.operands[0], registers),)))
    return replace(graph, operations=tuple(operations), registers=registers)


def _levels(graph: AdderGraph) -> list[int]:
    """Return for each node the most operations in a row that end there."""
    levels = [0] * graph.inputs
    for operation in graph.operations:
        below = (levels[o.node] for o in operation.operands if o.node != NOTHING)
        levels.append(max(below, default=0) + (len(operation.operands) > 1))
    return levels
