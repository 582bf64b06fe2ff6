"""The benchmark of the reference compares equal engines and reports what DESIGN asks for."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from popshift.flows.bench import measure, networks, reference
from popshift.flows.bench.measure import Row
from popshift.models.zoo import ConvNetConfig

# Of both kinds of layers, with a pool; three accumulators an image.
CONVNET = ConvNetConfig(
    name="small", image=(2, 9, 8), features=(5, "max2", 4), hidden=(6,), classes=3
)


@pytest.fixture(autouse=True)
def kernels(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))


def tiny_mlp():
    return networks.random_mlp("tiny", (20, 9, 5))


@pytest.fixture
def tiny(monkeypatch):
    """Make ``main`` measure next to nothing, in this process."""
    for name, value in reference.ONE_THREAD.items():
        monkeypatch.setenv(name, value)
    rows = reference.run({"tiny": tiny_mlp}, (1, 3), block_seconds=0.001, rounds=1)
    monkeypatch.setattr(reference, "run", lambda: rows)
    return rows


def test_every_cell_is_measured_against_every_peer(tiny):
    assert [row.work for row in tiny] == ["tiny batch 1"] * 3 + ["tiny batch 3"] * 3
    for rows in (tiny[:3], tiny[3:]):
        assert [row.peer_name.split()[0] for row in rows] == ["onnxruntime", "torch", "qonnx"]
        assert len({row.popshift for row in rows}) == 1
    assert all(row.popshift > 0 and row.peer > 0 for row in tiny)


def test_json_has_the_rows_and_names_no_host(tiny, capsys):
    assert reference.main(as_json=True) == 0
    report = json.loads(capsys.readouterr().out)
    assert [set(row) for row in report["rows"]] == [
        {"work", "popshift", "peer", "peer_name", "ratio"}
    ] * len(tiny)
    for row in report["rows"]:
        assert row["ratio"] == row["popshift"] / row["peer"]
    assert set(report["machine"]) == {"cpu", "system", "python"}


def test_table_shows_every_row(tiny, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "120")
    assert reference.main(as_json=False) == 0
    printed = capsys.readouterr().out
    assert printed.count("tiny batch 1") == printed.count("tiny batch 3") == 3


def test_main_starts_a_process_with_one_thread(monkeypatch):
    started = []

    class Ended:
        returncode = 3

    def start(command, *, env, check):
        started.append((command, env))
        return Ended

    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    monkeypatch.setattr(reference.subprocess, "run", start)
    assert reference.main(as_json=True) == 3
    ((command, environment),) = started
    assert command[1:] == ["-m", "popshift.flows.bench.reference", "--json"]
    assert environment["OMP_NUM_THREADS"] == "1"


def test_a_differing_engine_stops_the_benchmark(monkeypatch):
    exact = reference.to_dataflow

    def wrong(network):
        dataflow = exact(network)
        last = dataflow.stages[-1]
        weights = last.weights.copy()
        weights[0, 0] *= -1
        stages = (*dataflow.stages[:-1], last.with_(weights=weights))
        return replace(dataflow, stages=stages)

    monkeypatch.setattr(reference, "to_dataflow", wrong)
    with pytest.raises(ArithmeticError, match=r"tiny: .* differ in 3 of 15 accumulators"):
        reference.run({"tiny": tiny_mlp}, (3,), block_seconds=0.001, rounds=1)


@pytest.mark.parametrize("weight", ["binary", "int2"])
@pytest.mark.parametrize("act", ["binary", "int2"])
def test_engines_agree_on_convolutions_of_every_precision(weight, act):
    """Else the comparison of the accumulators would stop the benchmark."""
    network = networks.random_cnv(weight, act, config=CONVNET)
    rows = reference.run({"small": lambda: network}, (7,), block_seconds=0.001, rounds=1)
    assert [row.work for row in rows] == ["small batch 7"] * 3


def test_benchmarks_run_the_zoo_network():
    network = reference.NETWORKS["CNV-W1A1"]()
    assert network.shape == (3, 32, 32)
    macs = [int(np.prod(layer.weights.shape)) for layer in network.layers]
    positions = [30 * 30, 28 * 28, 12 * 12, 10 * 10, 3 * 3, 1, 1, 1, 1]
    assert np.dot(macs, positions) == 59_461_376


@pytest.mark.parametrize("synapses", [1, 2, 33, 64])
@pytest.mark.parametrize("weight", ["binary", "int2"])
@pytest.mark.parametrize("act", ["binary", "int2"])
def test_no_batch_norm_is_near_a_level_at_an_accumulator(synapses, weight, act):
    """Else rounding in float32 could turn an activation, and no two engines need agree."""
    config = replace(CONVNET, image=(synapses, 2, 2), features=(200, 9), kernel=1)
    layers = networks.random_cnv(weight, act, config=config).layers
    for layer, greatest in ((layers[0], 255), (layers[1], 1)):
        norm = layer.norm
        terms = np.abs(layer.weights).reshape(len(layer.weights), -1).sum(axis=1)
        most = int(terms.max()) * greatest
        sums = np.arange(-most, most + 1)[:, None]
        # Sums of bits are as odd as their number.
        is_possible = (sums + terms) % (2 if greatest == 1 and act == "binary" else 1) == 0
        slope = norm.gamma / np.sqrt(norm.var + networks.EPSILON)
        for level in (0,) if act == "binary" else (-0.5, 0.5):
            distance = np.abs((sums - norm.mean) + (norm.beta - level) / slope)
            assert distance[is_possible].min() > 0.4
        assert set(np.sign(norm.gamma)) == {-1.0, 1.0}


def test_rates_are_work_per_second_of_each_engine(monkeypatch):
    clock = iter(np.arange(0, 1000, 0.5))
    monkeypatch.setattr(measure.time, "process_time", lambda: float(next(clock)))
    calls = []
    engines = {"a": lambda: calls.append("a"), "b": lambda: calls.append("b")}
    rates = measure.interleaved_rates(engines, work=4, block_seconds=0.5, rounds=2)
    assert rates == {"a": 8.0, "b": 8.0}
    assert calls[-4:] == ["a", "b", "a", "b"]


def test_ratio_of_a_row():
    assert Row("work", 30.0, 2.0, "peer").as_json()["ratio"] == 15.0
