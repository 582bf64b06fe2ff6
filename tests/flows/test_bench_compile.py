"""The benchmark of compilation times every phase, leaves RTL, and reports what DESIGN asks for."""

from __future__ import annotations

import json

from popshift.flows.bench import compile as bench


def small(monkeypatch):
    """Measure a small network, against an estimate that takes no time."""
    write_random = bench.write_random

    def write_small(name, model, golden, **options):
        write_random("mlp", model, golden, hidden=(12,), **options)

    monkeypatch.setattr(bench, "write_random", write_small)
    monkeypatch.setattr(bench.bootstrap, "require", lambda: None)
    monkeypatch.setattr(bench, "estimate", lambda *_, **__: sum(range(10**6)))


def test_every_phase_takes_time_and_rtl_is_there_at_the_end(monkeypatch, tmp_path):
    small(monkeypatch)
    found = bench.measure("CNV-W1A2", tmp_path)
    assert list(found.seconds) == ["load", "fold", "FIFOs", "RTL"]
    assert all(seconds > 0 for seconds in found.seconds.values())
    assert list((tmp_path / "rtl1").glob("*.sv"))
    assert found.row.popshift == 60 / sum(found.seconds.values())
    assert found.row.peer == 60 / found.finn_seconds


def test_table_and_json_have_a_row_for_each_precision(monkeypatch, capsys):
    small(monkeypatch)
    assert bench.main(as_json=True) == 0
    report = json.loads(capsys.readouterr().out)
    assert [row["work"].split(",")[0] for row in report["rows"]] == list(bench.PRECISIONS)
    assert set(report["cpu_seconds"]) == set(bench.PRECISIONS)
    monkeypatch.setenv("COLUMNS", "140")
    assert bench.main(as_json=False) == 0
    assert "CNV-W2A2" in capsys.readouterr().out
