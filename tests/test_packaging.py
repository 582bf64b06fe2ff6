"""The package: version, contents of the wheel, cost of importing it, promises of the README."""

import importlib.metadata
import os
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

import popshift

ROOT = Path(__file__).resolve().parents[1]
ROOMS = ("models", "hw", "flows")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """A wheel of a copy of the sources, so that building leaves nothing in the tree."""
    base = tmp_path_factory.mktemp("wheel")
    source = base / "source"
    source.mkdir()
    for name in ("pyproject.toml", "README.md", "LICENSE", "popshift", *ROOMS):
        if not (ROOT / name).exists():
            pytest.fail(f"{name} is missing")
        (source / name).symlink_to(ROOT / name)
    command = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation"]
    command += ["--no-index", "--quiet", "--wheel-dir", str(base), str(source)]
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "TMPDIR": str(base)},
    )
    assert done.returncode == 0, done.stderr
    (path,) = base.glob("popshift-*.whl")
    return path


def names(wheel: Path) -> set[str]:
    with zipfile.ZipFile(wheel) as archive:
        return set(archive.namelist())


def test_the_version_is_that_of_the_project_and_of_the_installed_package():
    text = (ROOT / "pyproject.toml").read_text("utf-8")
    assert f'version = "{popshift.__version__}"' in text
    try:
        installed = importlib.metadata.version("popshift")
    except importlib.metadata.PackageNotFoundError:
        pytest.skip("popshift runs from its sources here, it is not installed")
    assert installed == popshift.__version__


@pytest.mark.slow
def test_the_wheel_says_the_same_version(wheel):
    (metadata,) = [name for name in names(wheel) if name.endswith(".dist-info/METADATA")]
    with zipfile.ZipFile(wheel) as archive:
        text = archive.read(metadata).decode()
    assert f"Version: {popshift.__version__}\n" in text
    assert "License-Expression: Apache-2.0\n" in text


@pytest.mark.slow
def test_the_wheel_holds_every_source_file(wheel):
    expected = {
        f"popshift/{path.relative_to(ROOT)}"
        for room in ROOMS
        for path in (ROOT / room).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    missing = sorted(expected - names(wheel))
    assert missing == []


@pytest.mark.slow
def test_the_wheel_holds_rtl_examples_and_types(wheel):
    found = names(wheel)
    assert "popshift/hw/rtl/matvec.sv" in found
    assert "popshift/flows/examples/digits-mlp.yaml" in found
    assert "popshift/py.typed" in found


@pytest.mark.slow
def test_the_wheel_takes_no_generic_top_level_name(wheel):
    tops = {name.split("/")[0] for name in names(wheel)}
    assert tops == {"popshift", f"popshift-{popshift.__version__}.dist-info"}


@pytest.mark.slow
def test_the_wheel_works_without_the_sources(wheel, tmp_path):
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path)
    code = (
        "import popshift, popshift.flows as f\n"
        "assert popshift.__file__.startswith(FOLDER), popshift.__file__\n"
        "assert 'digits-mlp' in f.examples()\n"
        "f.load_config('digits-mlp')\n"
    ).replace("FOLDER", repr(str(tmp_path)))
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True, text=True, check=False, cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("module", ["popshift", "popshift.hw", "popshift.flows"])
def test_importing_does_not_load_torch(module):
    code = f"import sys, {module}; sys.exit('torch' in sys.modules or 'brevitas' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_the_build_function_is_reached_from_the_package():
    assert callable(popshift.flows.build)


def test_every_make_command_of_the_readme_exists():
    makefile = (ROOT / "Makefile").read_text("utf-8")
    targets = set(re.findall(r"^([a-z-]+):", makefile, re.MULTILINE))
    readme = (ROOT / "README.md").read_text("utf-8")
    promised = set(re.findall(r"(?:^|`)make ([a-z-]+)\b", readme, re.MULTILINE))
    assert {"demo", "test"} <= promised
    assert promised <= targets


def test_every_popshift_command_of_the_readme_exists():
    from popshift.flows.cli import main  # noqa: PLC0415 (only this test needs it)

    readme = (ROOT / "README.md").read_text("utf-8")
    code = re.findall(r"^```.*?^```", readme, re.MULTILINE | re.DOTALL)
    used = {word for block in code for word in re.findall(r"^\s*popshift ([a-z]+)", block, re.M)}
    assert used <= set(main.commands)
