"""All states that a stage's RTL and its schedule can reach together."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from pathlib import Path

import numpy as np

from popshift.flows.conformance import bench
from popshift.hw.emit import RTL_FOLDER
from popshift.hw.graph import Stage, port_names

from .machine import Machine, State
from .netlist import Bits, Netlist, control_netlist

MOST_FREE = 12  # registers without reset
MOST_STATES = 50_000


class ControlError(Exception):
    """A handshake of the RTL is another one than that of the schedule."""


class TooManyStatesError(Exception):
    """A stage has more states than are enumerated."""


@dataclass(frozen=True, kw_only=True)
class Proof:
    """What was looked at.

    Attributes:
        states: Pairs of states of RTL and schedule.
        registers: Of the RTL's control.
        cycles: After a reset, until no new pair was found.
    """

    states: int
    registers: int
    cycles: int


def prove(stage: Stage, folder: Path, rtl_folder: Path = RTL_FOLDER) -> Proof:
    """Prove that ``tvalid`` and the transfers of a stage are those of its schedule, in any run.

    Args:
        stage: Small: all its states are enumerated.
        folder: For files.
        rtl_folder: The handwritten modules.

    Raises:
        ControlError: They differ.
        TooManyStatesError: There are more states than are enumerated.
        ValueError: A handshake depends on data.
        BuildError: Yosys failed.
    """
    return _Search(stage, control_netlist(bench((stage,)), folder, rtl_folder)).run()


class _Search:
    def __init__(self, stage: Stage, netlist: Netlist) -> None:
        self._netlist = netlist
        self._machine = Machine(stage)
        self._inputs = port_names("s_axis", len(stage.inputs))
        self._outputs = port_names("m_axis", len(stage.outputs))
        sides = len(self._inputs) + len(self._outputs)
        self._offers = np.array([*product((False, True), repeat=sides)], np.bool_)
        self._numbers: dict[State, int] = {}
        # Of each state of the schedule, for each offer: handshakes and the next state.
        self._handshakes: list[Bits] = []
        self._next: list[list[int]] = []

    def _number(self, state: State) -> int:
        if state not in self._numbers:
            self._numbers[state] = len(self._numbers)
        return self._numbers[state]

    def _expand(self) -> None:
        """Step the states of the schedule that were found since."""
        for state in list(self._numbers)[len(self._next) :]:
            offered = self._machine.valid(state)
            rows, following = [], []
            for offer in self._offers.tolist():
                valid, ready = offer[: len(self._inputs)], offer[len(self._inputs) :]
                taken, after = self._machine.step(state, valid, ready)
                rows.append((*taken, *offered))
                following.append(self._number(after))
            self._handshakes.append(np.array(rows, np.bool_))
            self._next.append(following)

    def run(self) -> Proof:
        """Enumerate the pairs of states, cycle by cycle."""
        registers = self._initial()
        models = np.full(len(registers), self._number(self._machine.reset))
        seen: set[bytes] = set()
        cycles = 0
        while len(registers):
            keys = np.packbits(registers, axis=1, bitorder="little")
            pairs = np.concatenate([keys, models.astype("<u4").view(np.uint8).reshape(-1, 4)], 1)
            new = []
            for at, pair in enumerate(map(bytes, pairs)):
                if pair not in seen:
                    seen.add(pair)
                    new.append(at)
            if len(seen) > MOST_STATES:
                raise TooManyStatesError(f"more than {MOST_STATES} states; take a smaller stage")
            if not new:
                break
            registers, models = self._after(registers[new], models[new], cycles)
            cycles += 1
        return Proof(states=len(seen), registers=len(self._netlist.registers), cycles=cycles)

    def _initial(self) -> Bits:
        """Return all states that a cycle of reset can leave."""
        is_known, values = self._netlist.after_reset()
        free = np.flatnonzero(~is_known)
        if len(free) > MOST_FREE:
            raise TooManyStatesError(
                f"{len(free)} registers have no reset, at most {MOST_FREE} are tried"
            )
        states = np.tile(values, (1 << len(free), 1))
        choices = np.array([*product((False, True), repeat=len(free))], np.bool_)
        states[:, free] = choices.reshape(len(states), len(free))
        return states

    def _after(self, registers: Bits, models: np.ndarray, cycle: int) -> tuple[Bits, np.ndarray]:
        """Compare all handshakes of some pairs, and return the pairs that follow."""
        self._expand()
        offers = np.tile(self._offers, (len(registers), 1))
        state = np.repeat(registers, len(self._offers), axis=0)
        sides = [f"{port}_tvalid" for port in self._inputs]
        sides += [f"{port}_tready" for port in self._outputs]
        given = {side: offers[:, i] for i, side in enumerate(sides)}
        given["rst"] = np.zeros(len(state), np.bool_)
        nets, following = self._netlist.evaluate(given, state)
        ports = self._netlist.ports
        found = [given[f"{port}_tvalid"] & nets[ports[f"{port}_tready"]] for port in self._inputs]
        found += [nets[ports[f"{port}_tvalid"]] for port in self._outputs]
        wanted = np.concatenate([self._handshakes[model] for model in models])
        for i, port in enumerate((*self._inputs, *self._outputs)):
            if (found[i] != wanted[:, i]).any():
                at = int(np.flatnonzero(found[i] != wanted[:, i])[0])
                what = "takes" if port in self._inputs else "offers"
                raise ControlError(
                    f"cycle {cycle} after reset: {port} {what} {'a' if found[i][at] else 'no'} beat"
                )
        after = np.concatenate([np.array(self._next[model]) for model in models])
        pairs = np.concatenate([following, after[:, None]], axis=1)
        pairs = np.unique(pairs, axis=0)
        return pairs[:, :-1].astype(np.bool_), pairs[:, -1]
