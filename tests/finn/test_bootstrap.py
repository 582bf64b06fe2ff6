"""FINN on a machine without Vivado, and popshift on one without FINN."""

import importlib.metadata
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from popshift.hw.finn import bootstrap
from popshift.hw.finn.attributes import op_type
from popshift.hw.stages import STAGES

ROOT = Path(__file__).resolve().parents[2]


def without_finn(code):
    """Run code in a process in which no module of FINN can be imported, and none is installed."""
    blocked = (
        "import importlib.metadata, sys\n"
        "class Blocked:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name.partition('.')[0] in ('finn', 'finn_xsi'):\n"
        "            raise ModuleNotFoundError(f'No module named {name!r}', name=name)\n"
        "sys.meta_path.insert(0, Blocked())\n"
        "real = importlib.metadata.version\n"
        "def version(name):\n"
        "    if name == 'finn-plus':\n"
        "        raise importlib.metadata.PackageNotFoundError(name)\n"
        "    return real(name)\n"
        "importlib.metadata.version = version\n"
    )
    return subprocess.run(
        [sys.executable, "-c", blocked + code], capture_output=True, text=True, check=False
    )


@pytest.mark.finn
def test_finn_starts_without_vivado_as_often_as_asked(finn, tmp_path):
    bootstrap.start(tmp_path / "first")
    bootstrap.start(tmp_path / "second")
    from finn.custom_op.fpgadataflow import custom_op  # noqa: PLC0415
    from finn.custom_op.fpgadataflow.rtl import custom_op as rtl  # noqa: PLC0415
    from finn.util.basic import make_build_dir  # noqa: PLC0415

    for kind in STAGES:
        assert op_type(kind) in custom_op
        assert f"{op_type(kind)}_rtl" in rtl
    assert Path(make_build_dir("code_")).parent == tmp_path / "second"
    assert (Path(os.environ["FINN_RTLLIB"]) / "sim" / "hdl" / "sim_ctrl.v").is_file()
    assert not Path(os.environ["FINN_SETTINGS"]).exists()  # defaults, not those of a user


@pytest.mark.finn
def test_a_part_of_vivados_simulator_says_so_when_it_is_called(finn):
    from finn import xsi  # noqa: PLC0415

    for name in ("SimEngine", "compile_sim_obj"):
        with pytest.raises(RuntimeError, match=f"finn.xsi.{name} needs Vivado's simulator"):
            getattr(xsi, name)("anything")


def test_a_missing_finn_is_one_line(monkeypatch):
    def absent(name):
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "version", absent)
    with pytest.raises(bootstrap.FinnNotFoundError) as error:
        bootstrap.require()
    assert str(error.value).startswith("FINN is not installed: run `make finn`, or pip install")
    assert "\n" not in str(error.value)


def test_another_version_of_finn_is_refused(monkeypatch):
    monkeypatch.setattr(importlib.metadata, "version", lambda name: "1.7.0")
    with pytest.raises(
        bootstrap.FinnNotFoundError, match=r"finn-plus 1\.7\.0 is installed, but .*1\.6"
    ):
        bootstrap.require()


def test_every_module_but_the_ops_can_be_imported_without_finn():
    # Another interpreter runs the script of the other peer.
    code = (
        "import importlib, pkgutil, popshift\n"
        "skipped = {'popshift.hw.finn.ops', 'popshift.flows.bench.da4ml_layer'}\n"
        "names = [m.name for m in pkgutil.walk_packages(popshift.__path__, 'popshift.')]\n"
        "for name in names:\n"
        "    if name not in skipped and not name.endswith('__main__'):\n"
        "        importlib.import_module(name)\n"
        "assert 'popshift.flows.finn.builder' in names\n"
        "assert 'finn' not in sys.modules\n"
    )
    done = without_finn(code)
    assert done.returncode == 0, done.stderr


def test_a_build_by_finn_without_finn_ends_before_it_trains(tmp_path):
    code = (
        "from popshift.flows.cli import main\n"
        f"main(['build', 'digits-mlp', '--set', 'backend=finn', '--output', {str(tmp_path / 'o')!r}])\n"
    )
    done = without_finn(code)
    assert done.returncode == 2
    assert re.fullmatch(
        r"popshift: FINN is not installed: run `make finn`.*\(in step finn\)\n", done.stderr
    )
    assert not (tmp_path / "o" / "training.json").exists()


def test_reading_a_graph_of_finn_needs_no_finn(tmp_path):
    code = (
        "from popshift.flows.cli import main\n"
        f"main(['finn', 'import', {str(tmp_path / 'absent.onnx')!r}])\n"
    )
    done = without_finn(code)
    assert done.returncode == 2
    assert "absent.onnx: the model file does not exist" in done.stderr


@pytest.mark.finn
def test_nothing_that_was_pinned_has_another_version_beside_finn():
    pins = dict(
        line.split("==") for line in (ROOT / "constraints.txt").read_text().split() if "==" in line
    )
    wrong = {}
    for name, version in pins.items():
        try:
            found = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue  # of another extra
        if found.partition("+")[0] != version:
            wrong[name] = (version, found)
    assert wrong == {}
    assert pins["finn-plus"] == bootstrap.VERSION


def test_make_finn_installs_what_the_bootstrap_asks_for():
    makefile = (ROOT / "Makefile").read_text("utf-8")
    assert "--no-deps finn-plus mip" in makefile
    assert re.search(r"^test: lint finn$", makefile, re.MULTILINE)
