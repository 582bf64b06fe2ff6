"""FINN, started once a process, and networks with random weights that FINN's own steps take."""

from __future__ import annotations

import pytest

from popshift.flows.bench.finn import write_random
from popshift.hw.finn import bootstrap


@pytest.fixture(scope="session")
def finn(tmp_path_factory):
    """FINN is importable and our ops are registered; fails where FINN is not installed."""
    folder = tmp_path_factory.mktemp("finn")
    bootstrap.start(folder)
    return folder


@pytest.fixture(scope="session")
def network(tmp_path_factory):
    """A function from a zoo network and its options to a folder with model.onnx and golden.npz."""
    base = tmp_path_factory.mktemp("networks")

    def folder_of(name, **options):
        folder = base / "-".join([name, *map(str, options.values())]).replace(" ", "")
        if not folder.exists():
            folder.mkdir()
            write_random(name, folder / "model.onnx", folder / "golden.npz", **options)
        return folder

    return folder_of
