"""Branches that meet again hold what they must: no network deadlocks, and with less some do."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from popshift.hw.dtypes import IntArray, unsigned
from popshift.hw.errors import SimulationError
from popshift.hw.graph import Dataflow, Stage, StreamType
from popshift.hw.passes import apply_folding, connect, fold, folding_report, logical_stages
from popshift.hw.passes.bypass import held_elements
from popshift.hw.passes.connect import fifo_depths
from popshift.hw.sim import simulate
from popshift.hw.stages import Add, Concat, Fifo, Fork, MatVec, Pool, Split, Window

CHANNELS = 4


@dataclass
class Net:
    """A random network of maps of one size, whose tensors may have any number of consumers."""

    rng: np.random.Generator
    size: int
    stages: list[Stage] = field(default_factory=list)

    def type(self, channels: int = CHANNELS) -> StreamType:
        return StreamType(dtype=unsigned(2), shape=(self.size, self.size, channels), lanes=1)

    def add(self, stage: Stage) -> str:
        self.stages.append(stage)
        return stage.outputs[-1]

    def ends(self, *inputs: str) -> dict[str, object]:
        name = f"s{len(self.stages)}"
        return {"name": name, "inputs": inputs, "outputs": (f"{name}_out",)}

    def conv(self, x: str, channels: int = CHANNELS) -> str:
        kernel = int(self.rng.choice([1, 3, 5]))
        side = kernel // 2
        window = Window(
            **self.ends(x),
            input_dtype=unsigned(2),
            height=self.size,
            width=self.size,
            channels=channels,
            kernel=(kernel, kernel),
            padding=(side,) * 4,
        )
        x = self.add(window) if kernel > 1 else x
        weights: IntArray = np.zeros((CHANNELS, kernel**2 * channels), np.int64)
        weights[:, 0] = 1
        return self.add(
            MatVec(
                **self.ends(x),
                weights=weights,
                input_dtype=unsigned(2),
                kernel="signed",
                leading=(self.size, self.size),
            )
        )

    def pool(self, x: str) -> str:
        options = {"height": self.size, "width": self.size, "channels": CHANNELS}
        return self.add(
            Pool(
                **self.ends(x),
                **options,
                input_dtype=unsigned(2),
                kernel=(3, 3),
                stride=(1, 1),
                padding=(1, 1, 1, 1),
                operation="max",
            )
        )

    def halves(self, x: str) -> str:
        """Split, one half through a layer, and joined again."""
        ends = self.ends(x)
        outputs = (f"{ends['name']}_a", f"{ends['name']}_b")
        members = Split.ranges([(0, CHANNELS // 2), (CHANNELS // 2, CHANNELS)], CHANNELS)
        self.stages.append(Split(**{**ends, "outputs": outputs}, type=self.type(), members=members))
        right = self.conv(outputs[1], CHANNELS // 2)
        joined = Concat(
            **self.ends(outputs[0], right),
            input_dtypes=(unsigned(2), unsigned(2)),
            channels=(CHANNELS // 2, CHANNELS),
            leading=(self.size, self.size),
        )
        wide = self.add(joined)
        members = Split.ranges([(0, CHANNELS)], CHANNELS * 3 // 2)
        return self.add(
            Split(**self.ends(wide), type=self.type(CHANNELS * 3 // 2), members=members)
        )

    def sum(self, *inputs: str) -> str:
        return self.add(
            Add(
                **self.ends(*inputs),
                input_dtypes=(unsigned(2),) * len(inputs),
                factors=(1,) * len(inputs),
                channels=CHANNELS,
                leading=(self.size, self.size),
                bounds=(0, 3),
            )
        )

    def dataflow(self) -> Dataflow:
        """Fork what several take, and let what nobody takes leave."""
        users: dict[str, int] = {"x": 0}
        for stage in self.stages:
            users.update(dict.fromkeys(stage.outputs, 0))
        for stage in self.stages:
            for name in stage.inputs:
                users[name] += 1
        branches: dict[str, list[str]] = {}
        done: list[Stage] = []

        def produced(name: str) -> None:
            branches[name] = [name]
            if users[name] > 1:
                branches[name] = [f"{name}_{i}" for i in range(users[name])]
                kind = self.type()
                done.append(
                    Fork(
                        name=f"fork_{name}",
                        inputs=(name,),
                        outputs=tuple(branches[name]),
                        type=kind,
                    )
                )

        produced("x")
        for stage in self.stages:
            done.append(stage.with_(inputs=tuple(branches[name].pop() for name in stage.inputs)))
            for name in stage.outputs:
                produced(name)
        outputs = tuple(name for name in users if not users[name])
        return Dataflow(name="net", inputs={"x": self.type()}, outputs=outputs, stages=tuple(done))


def random_net(seed: int) -> Dataflow:
    rng = np.random.default_rng(seed)
    net = Net(rng, int(rng.integers(3, 7)))
    tensors = ["x"]
    for _ in range(rng.integers(3, 8)):
        recent = tensors[-3:]
        kind = rng.choice(["conv", "conv", "sum", "sum", "pool", "halves"])
        if kind == "sum":
            tensors.append(net.sum(*rng.choice(recent, rng.integers(2, 4))))
        else:
            tensors.append(getattr(net, kind)(str(rng.choice(recent))))
    # The last sum takes everything that nobody has taken, so that branches meet.
    taken = {name for stage in net.stages for name in stage.inputs}
    open_ends = [name for name in tensors if name not in taken]
    net.sum(*(open_ends if len(open_ends) > 1 else [tensors[-1], tensors[-2]]))
    return net.dataflow()


def random_folding(dataflow: Dataflow, rng: np.random.Generator) -> Dataflow:
    folding = {}
    for stage in logical_stages(dataflow):
        sizes = {
            key: [d for d in range(1, n + 1) if n % d == 0] for key, n in stage.fold_sizes.items()
        }
        folding[stage.name] = {key: int(rng.choice(divisors)) for key, divisors in sizes.items()}
    return apply_folding(dataflow, folding)


def with_depths(dataflow: Dataflow, held: dict[str, int]) -> Dataflow:
    """Put a FIFO of just so many elements at the inputs of joins."""
    stages: list[Stage] = []
    for stage in dataflow.stages:
        inputs = []
        for name, kind in zip(stage.inputs, stage.input_types, strict=True):
            entering = name
            if name in held:
                entering = f"{name}_held"
                depth = held[name] // kind.lanes
                fifo = Fifo(
                    name=f"{name}_q", inputs=(name,), outputs=(entering,), type=kind, depth=depth
                )
                stages.append(fifo)
            inputs.append(entering)
        stages.append(stage.with_(inputs=tuple(inputs)))
    return Dataflow(
        name="net", inputs=dataflow.inputs, outputs=dataflow.outputs, stages=tuple(stages)
    )


def bare(dataflow: Dataflow) -> Dataflow:
    """Return the stages with converters but without FIFOs."""
    names = [*dataflow.inputs, *(n for s in logical_stages(dataflow) for n in s.outputs)]
    return connect(dataflow, fifo_depth=dict.fromkeys(names, 0))


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(seed=st.integers(0, 1 << 32))
def test_what_is_held_keeps_any_network_from_deadlock(seed):
    rng = np.random.default_rng(seed)
    dataflow = bare(random_folding(random_net(seed), rng))
    held = held_elements(dataflow.stages)
    patterns = {"gaps": {"x": [0, 3, 0, 0, 7]}} if rng.random() < 1 / 2 else {}
    trace = simulate(with_depths(dataflow, held), images=3, **patterns)
    assert trace.total_cycles > 0


@settings(max_examples=20, deadline=None, suppress_health_check=list(HealthCheck))
@given(seed=st.integers(0, 1 << 32))
def test_connected_networks_do_not_deadlock(seed):
    rng = np.random.default_rng(seed)
    dataflow = random_folding(random_net(seed), rng)
    simulate(dataflow, images=3)
    simulate(connect(dataflow, fifo_depth=0), images=2)
    simulate(connect(dataflow, fifo_depth=2), images=2)


def residual(seed: int = 0, layers: int = 2, size: int = 6) -> Dataflow:
    net = Net(np.random.default_rng(seed), size)
    net.rng = _Threes()
    x = "x"
    for _ in range(layers):
        x = net.conv(x)
    net.sum(x, "x")
    return net.dataflow()


class _Threes:
    """Chooses kernels of 3 x 3."""

    def choice(self, _: object) -> int:
        return 3


def test_the_bound_of_a_residual_block_is_near_what_it_needs():
    dataflow = bare(residual())
    (name,) = held = held_elements(dataflow.stages)
    # Two layers of 3 x 3 reach two rows and two pixels ahead.
    assert held[name] == (2 * 6 + 2 + 1) * CHANNELS
    simulate(with_depths(dataflow, held), images=2)
    # Pipes and buffers on the way hold a few beats more.
    with pytest.raises(SimulationError, match="deadlock"):
        simulate(with_depths(dataflow, {name: held[name] - 8}), images=2)


def test_the_default_keeps_the_rate_of_the_slowest_layer():
    dataflow = fold(residual(size=8), fps=1e5, clock_mhz=100)
    cycles = simulate(dataflow, images=4).cycles[dataflow.outputs[0]]
    per_image = len(cycles) // 4
    slowest = folding_report(dataflow, clock_mhz=100).bottleneck.cycles
    assert np.diff(cycles[per_image - 1 :: per_image]).tolist() == [slowest] * 3


def test_a_mapping_of_depths_is_taken_at_its_word():
    dataflow = residual()
    (name,) = fifo_depths(connect(dataflow))
    with pytest.raises(SimulationError, match="deadlock"):
        simulate(connect(dataflow, fifo_depth={name: 3}), images=1)
    kept = connect(connect(dataflow, fifo_depth={name: 100}))
    assert fifo_depths(kept) == {name: 100}


def test_folding_anew_holds_as_much_as_the_new_lanes_need():
    dataflow = connect(residual())
    (before,) = fifo_depths(dataflow).values()
    wide = apply_folding(dataflow, {"fork_x": {"pe": 4}, "s4": {"pe": 4}})
    assert fifo_depths(wide)["x_0"] < before / 2
    narrow = apply_folding(wide, {"fork_x": {"pe": 1}, "s4": {"pe": 1}})
    assert list(fifo_depths(narrow).values()) == [before]


def test_branches_of_several_inputs_hold_an_image():
    net = Net(np.random.default_rng(0), 3)
    net.sum(net.conv("x"), "x")
    dataflow = net.dataflow()
    last = dataflow.stages[-1]
    other = Add(
        name="both",
        inputs=(last.outputs[0], "z"),
        outputs=("out",),
        input_dtypes=(unsigned(2), unsigned(2)),
        factors=(1, 1),
        channels=CHANNELS,
        leading=(3, 3),
    )
    two = Dataflow(
        name="two",
        inputs={"x": net.type(), "z": net.type()},
        outputs=("out",),
        stages=(*dataflow.stages, other),
    )
    assert held_elements(bare(two).stages)[other.inputs[0]] == 9 * CHANNELS
    simulate(connect(two), images=2, gaps={"z": [40]})
