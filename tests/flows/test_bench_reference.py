"""The benchmark of the reference compares equal engines and reports what DESIGN asks for."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from popshift.flows.bench import measure, networks, reference
from popshift.flows.bench.measure import Row


@pytest.fixture(autouse=True)
def kernels(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))


@pytest.fixture
def tiny(monkeypatch):
    """Make ``main`` measure next to nothing, in this process."""
    for name, value in reference.ONE_THREAD.items():
        monkeypatch.setenv(name, value)
    rows = reference.run({"tiny": (20, 9, 5)}, (1, 3), block_seconds=0.001, rounds=1)
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

    def wrong(mlp):
        dataflow = exact(mlp)
        last = dataflow.stages[-1]
        weights = last.weights.copy()
        weights[0, 0] *= -1
        stages = (*dataflow.stages[:-1], last.with_(weights=weights))
        return replace(dataflow, stages=stages)

    monkeypatch.setattr(reference, "to_dataflow", wrong)
    with pytest.raises(ArithmeticError, match=r"tiny: .* differ in 3 of 15 accumulators"):
        reference.run({"tiny": (20, 9, 5)}, (3,), block_seconds=0.001, rounds=1)


@pytest.mark.parametrize("synapses", [1, 2, 33, 64])
def test_no_batch_norm_is_near_zero_at_an_accumulator(synapses):
    """Else rounding in float32 could turn a sign, and no two engines need agree."""
    norm = networks.random_mlp("net", (synapses, 200, 2)).norms[0]
    sums = np.arange(-synapses, synapses + 1, 2)[:, None]
    slope = norm.gamma / np.sqrt(norm.var + networks.EPSILON)
    distance = np.abs((sums - norm.mean) + norm.beta / slope)
    assert distance.min() > 0.9
    assert {-1.0, 1.0} == set(np.sign(norm.gamma))


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
