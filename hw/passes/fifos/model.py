"""Whether given FIFOs keep a rate: exactly, and if not, why not.

The event graph of a dataflow without FIFOs has a *slot* wherever one may stand. A FIFO in it adds
places and delay to the edges of the stream there (``hw.sim.event_graph``):

- beats arrive ``latency`` cycles later;
- there are ``depth`` more places, and each is seen free one cycle later;
- in one of one beat, that beat comes two cycles after the one before, or later.

Every input is offered an image each ``interval`` cycles. If the images then follow each other in
just that interval, the FIFOs keep it. If they do not, the events that were waited for, followed
back, close a cycle of waits that takes longer than ``interval`` an image, or a deadlock. That is a
proof, and it holds for all FIFOs that leave the waits of this cycle as they are.
"""

from __future__ import annotations

import math

import numpy as np

from ...errors import SimulationError
from ...graph import Dataflow
from ...sim.event_graph import event_graph
from ...sim.order import Array, GraphArrays, Order, find_order
from ..connect import FifoPlace, fifo_places, without_fifos
from .plan import Plan
from .slots import UNBOUNDED, Fifos, Verdict, with_slots

_MANY = 1 << 40  # tokens that never run out
MAX_PLANS = 6
MAX_PLANNED_EVENTS = 1 << 23


class FifoModel:
    """The event graph of a dataflow with a slot for each FIFO.

    Attributes:
        places: Where the FIFOs may stand, by slot.
        interval: Cycles of an image that are asked for.
        unlimited_interval: Cycles of an image with FIFOs without limit.
        checks: FIFOs that were evaluated so far.
    """

    def __init__(self, dataflow: Dataflow, interval: int | None = None) -> None:
        """Build the model.

        Args:
            dataflow: With or without FIFOs; what it has of them does not matter.
            interval: Cycles of an image to keep; by default the least with which no FIFO helps.

        Raises:
            SimulationError: Images are no whole number of programs of a thread, or no FIFOs keep
                the interval.
        """
        bare = without_fifos(dataflow)
        self.name = dataflow.name
        self.places: list[FifoPlace] = fifo_places(bare)
        graph = event_graph(bare)
        if not graph.is_aligned:
            raise SimulationError(f"{self.name}: images are no whole number of programs")
        self._graph, self._slots = with_slots(graph, self.places)
        self._arrays = GraphArrays.of(self._graph)
        programs = [thread.programs or 0 for thread in self._graph.threads]
        self._limits = self._arrays.program * np.array(programs, np.int64)
        self._plans: list[Plan] = []
        self.checks = 0
        self._known: dict[Fifos, Verdict] = {}
        self._kept = self._lost = np.zeros((0, 2 * len(self.places)), np.int64)
        self.interval = max(
            thread.operations * (thread.programs or 0) for thread in self._graph.threads
        )
        least = self.least_interval(self.unbounded)
        if least is None:
            raise SimulationError(f"{self.name}: deadlock, whatever the FIFOs")
        if interval is not None and interval < least:
            raise SimulationError(
                f"{self.name}: one image in {interval} cycles is asked for, but whatever the FIFOs "
                f"it takes {least}; fold the slowest stage less"
            )
        self.unlimited_interval = least
        self.set_interval(interval or least)

    @property
    def unbounded(self) -> Fifos:
        """FIFOs that are no limit at all."""
        return Fifos((UNBOUNDED,) * len(self.places), (0,) * len(self.places))

    def set_interval(self, interval: int) -> None:
        """Ask for another interval."""
        self.interval = interval
        self._known.clear()
        self._kept = self._lost = self._kept[:0]

    def check(self, fifos: Fifos) -> Verdict:
        """Return whether ``fifos`` keep the interval, and if not, why."""
        if fifos not in self._known:
            self.checks += 1
            verdict = self._known[fifos] = self._check(fifos)
            if verdict.is_kept:
                self._kept = np.vstack([self._kept, fifos.merits])
            else:
                self._lost = np.vstack([self._lost, fifos.merits])
        return self._known[fifos]

    def is_kept(self, fifos: Fifos) -> bool:
        """Return whether ``fifos`` keep the interval, from what others do where that says it.

        Nothing is later with FIFOs that are in no slot worse.
        """
        merits = fifos.merits
        if (self._kept <= merits).all(axis=1).any():
            return True
        if (self._lost >= merits).all(axis=1).any():
            return False
        return self.check(fifos).is_kept

    def _check(self, fifos: Fifos) -> Verdict:
        plan = next((plan for plan in self._plans if plan.set_fifos(fifos)), None)
        if plan is None:
            order = find_order(self._arrays, self._limits, self._tokens(fifos))
            if (order.done < self._limits).any():
                return Verdict(is_kept=False, interval=None, full=self._deadlock(order))
            plan = Plan(self._graph, self._arrays, self._slots, order)
            is_valid = plan.set_fifos(fifos)
            assert is_valid
            self._plans.append(plan)
        # The one that was of use last is tried first.
        self._plans = [plan, *(other for other in self._plans if other is not plan)]
        kept = MAX_PLANNED_EVENTS // max(int(self._limits.sum()), 1)
        del self._plans[max(min(kept, MAX_PLANS), 1) :]
        return plan.verdict(self.interval)

    def _tokens(self, fifos: Fifos) -> Array:
        """Return the tokens at reset of every edge, as they matter for the order."""
        tokens = self._arrays.tokens.copy()
        for slot, depth in zip(self._slots, fifos.depths, strict=True):
            tokens[slot.places] = _MANY if depth == UNBOUNDED else slot.capacity + depth
            if slot.producer is not None:
                tokens[slot.producer] = _MANY
        return tokens

    def _deadlock(self, order: Order) -> frozenset[int]:
        """Return the slots whose places are waited for on a cycle of waits."""
        slot_of = {slot.places: index for index, slot in enumerate(self._slots)}
        thread = int(np.flatnonzero(order.waits_for >= 0)[0])
        seen: dict[int, int] = {}
        path: list[int] = []
        while thread not in seen:
            seen[thread] = len(path)
            edge = int(order.waits_for[thread])
            path.append(edge)
            thread = int(self._arrays.source[edge])
        return frozenset(slot_of[edge] for edge in path[seen[thread] :] if edge in slot_of)

    def least_interval(self, fifos: Fifos) -> int | None:
        """Return the fewest whole cycles of an image that ``fifos`` keep; None for a deadlock.

        Not less than the interval that is asked for.
        """
        asked = self.interval
        try:
            while True:
                verdict = self.check(fifos)
                if verdict.is_kept:
                    return self.interval
                if verdict.interval is None:
                    return None
                self.set_interval(math.ceil(verdict.interval))
        finally:
            if self.interval != asked:
                self.set_interval(asked)
