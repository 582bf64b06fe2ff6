"""The layer with multiplications that kernels are compared with computes the same integers."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from popshift.flows.bench import kernels
from popshift.flows.conformance import check, random_layers
from popshift.hw.emit import RTL_FOLDER


@pytest.mark.slow
def test_the_multiplier_is_exact(tmp_path: Path) -> None:
    modules = tmp_path / "modules"
    shutil.copytree(RTL_FOLDER, modules)
    source = Path(kernels.__file__).with_name("multiplier") / "dot_signed.sv"
    shutil.copy(source, modules / "dot_signed.sv")
    result = check(random_layers("signed", 8, 0), tmp_path, rtl_folder=modules)
    assert result.first == ()
    assert result.elements > 8000


def test_json_has_a_row_for_each_kind_of_weights_and_kernel(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def counted(stages, folder, rtl_folder):
        return {stage.name: 640 if rtl_folder == RTL_FOLDER else 1280 for stage in stages}

    monkeypatch.setattr(kernels, "luts", counted)
    assert kernels.main(as_json=True) == 0
    rows = json.loads(capsys.readouterr().out)["rows"]
    assert len(rows) == sum(len(names) for *_, names in kernels.cases())
    assert {(row["popshift"], row["peer"], row["ratio"]) for row in rows} == {(20.0, 40.0, 0.5)}
    assert rows[0]["work"] == "signed: weights -1, 1, inputs uint2"
    assert kernels.main(as_json=False) == 0
    assert "ratio" in capsys.readouterr().out
