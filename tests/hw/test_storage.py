from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from popshift.hw import storage
from popshift.hw.errors import GraphError

from .networks import images, small_network


def test_a_stored_dataflow_computes_the_same(tmp_path: Path) -> None:
    net = small_network()
    storage.save(net, tmp_path)
    back = storage.load(tmp_path)
    assert back.origins == net.origins
    assert back.accumulators == net.accumulators
    want, have = net.execute(images(20)), back.execute(images(20))
    assert all((want[name] == have[name]).all() for name in net.streams)
    storage.save(back, tmp_path / "again")
    assert (tmp_path / "again" / "dataflow.json").read_text() == (
        tmp_path / "dataflow.json"
    ).read_text()


@pytest.mark.parametrize("file", ["dataflow.json", "dataflow.npz"])
@pytest.mark.parametrize("damage", ["missing", "truncated", "empty"])
def test_a_damaged_dataflow_is_refused(file: str, damage: str, tmp_path: Path) -> None:
    storage.save(small_network(), tmp_path)
    path = tmp_path / file
    data = path.read_bytes()
    if damage == "missing":
        path.unlink()
    else:
        path.write_bytes(data[: len(data) // 2] if damage == "truncated" else b"")
    with pytest.raises(GraphError, match="compile it again"):
        storage.load(tmp_path)


def test_unknown_stages_and_formats_are_refused(tmp_path: Path) -> None:
    storage.save(small_network(), tmp_path)
    path = tmp_path / "dataflow.json"
    document = json.loads(path.read_text())
    path.write_text(json.dumps(document | {"format": 99}))
    with pytest.raises(GraphError, match="format 99"):
        storage.load(tmp_path)
    document["stages"][0]["kind"] = "os.system"
    path.write_text(json.dumps(document))
    with pytest.raises(GraphError, match=r"stage kind 'os\.system' is none of"):
        storage.load(tmp_path)


def test_pickled_arrays_are_never_loaded(tmp_path: Path) -> None:
    storage.save(small_network(), tmp_path)
    np.savez(tmp_path / "dataflow.npz", **{"fc0.weights": np.array([object()], dtype=object)})
    with pytest.raises(GraphError, match="not a stored dataflow"):
        storage.load(tmp_path)


def test_saving_replaces_only_whole_files(tmp_path: Path) -> None:
    storage.save(small_network(), tmp_path)
    storage.save(small_network(1), tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["dataflow.json", "dataflow.npz"]
