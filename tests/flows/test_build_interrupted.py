"""Builds that are interrupted, or whose disk is full: what they leave, and how they go on."""

import errno
import resource
from pathlib import Path

import pytest

from popshift.flows import build, run_step

from .fake_steps import FakeStep, config_in, ran, three_steps


@pytest.fixture
def out(tmp_path):
    return tmp_path / "out"


def interrupt(work):
    raise KeyboardInterrupt


@pytest.mark.parametrize("moment", ["before", "after"])
def test_an_interrupted_build_resumes_where_it_was(out, moment):
    steps = three_steps()
    setattr(steps[1], moment, interrupt)
    with pytest.raises(KeyboardInterrupt):
        build(config_in(out), steps=steps)
    assert not (out / "second.txt").exists()
    assert not list(out.glob(".staging-*"))
    assert (out / "logs" / "second.log").read_text().endswith("interrupted\n")
    setattr(steps[1], moment, None)
    assert ran(build(config_in(out), steps=steps)) == ["second", "third"]
    assert steps[0].runs == 1


def test_an_interrupted_rebuild_keeps_the_old_files_whole(out):
    build(config_in(out), steps=three_steps())
    before = (out / "second.txt").read_text()
    steps = three_steps()
    steps[1].after = interrupt
    with pytest.raises(KeyboardInterrupt):
        build(config_in(out, epochs=6), steps=steps)
    assert (out / "second.txt").read_text() == before
    steps[1].after = None
    assert ran(build(config_in(out, epochs=6), steps=steps)) == ["second", "third"]
    assert (out / "second.txt").read_text() == "first=1;second=6;"


@pytest.mark.parametrize("interrupted_move", [1, 2, 3])
def test_an_interruption_between_the_moves_of_files_is_repaired(out, monkeypatch, interrupted_move):
    build(config_in(out), steps=three_steps())
    replace, moves = Path.replace, []

    def stop_at(self, target):
        if ".staging-second" in str(self):
            moves.append(target)
            if len(moves) == interrupted_move:
                raise KeyboardInterrupt
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", stop_at)
    steps = three_steps()
    if interrupted_move <= 2:  # two paths are moved
        with pytest.raises(KeyboardInterrupt):
            build(config_in(out, epochs=6), steps=steps)
        monkeypatch.setattr(Path, "replace", replace)
    build(config_in(out, epochs=6), steps=steps)
    assert (out / "third.txt").read_text() == "first=1;second=6;third=10.0;"
    assert (out / "second.d" / "part").read_text() == "second"


def test_files_of_an_interrupted_move_are_not_trusted_by_a_single_step(out, monkeypatch):
    build(config_in(out), steps=three_steps())
    replace = Path.replace

    def stop_after(self, target):
        replace(self, target)
        if ".staging-second" in str(self):
            raise KeyboardInterrupt

    monkeypatch.setattr(Path, "replace", stop_after)
    with pytest.raises(KeyboardInterrupt):
        build(config_in(out, epochs=6), steps=three_steps())
    monkeypatch.undo()
    assert ran(run_step(config_in(out), "third", steps=three_steps())) == ["second", "third"]
    assert (out / "third.txt").read_text() == "first=1;second=5;third=10.0;"


def test_a_scratch_folder_survives_an_interruption_but_not_a_change_of_settings(out):
    def count(work):
        counter = work.scratch / "count"
        counter.write_text(str(int(counter.read_text()) + 1 if counter.exists() else 1))
        if counter.read_text() == "1":
            raise KeyboardInterrupt

    steps = (FakeStep("first", before=count),)
    with pytest.raises(KeyboardInterrupt):
        build(config_in(out), steps=steps)
    build(config_in(out), steps=steps)
    (scratch,) = (out / "scratch").iterdir()
    assert (scratch / "count").read_text() == "2"
    with pytest.raises(KeyboardInterrupt):
        build(config_in(out, seed=2), steps=steps)
    assert not scratch.exists()


def test_a_full_disk_leaves_nothing_half_written(out):
    """The size limit stands for the full disk: both cut a file in the middle of a write."""

    def fill(work):
        limits = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (8192, limits[1]))
        try:
            work.output("second.txt").write_bytes(b"x" * 100_000)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)

    steps = three_steps()
    steps[1].before = fill
    with pytest.raises(OSError, match="too large") as caught:
        build(config_in(out), steps=steps)
    assert caught.value.errno == errno.EFBIG
    assert "in step second, log " in caught.value.__notes__[0]
    assert not (out / "second.txt").exists()
    assert not list(out.glob(".staging-*"))
    steps[1].before = None
    assert ran(build(config_in(out), steps=steps)) == ["second", "third"]


def test_a_disk_that_is_full_when_a_record_is_written_costs_one_more_run(out, monkeypatch):
    write_text = Path.write_text

    def full(self, *args, **kwargs):
        if self.name.startswith("second.json"):
            write_text(self, "{")
            raise OSError(errno.ENOSPC, "No space left on device", str(self))
        return write_text(self, *args, **kwargs)

    monkeypatch.setattr(Path, "write_text", full)
    with pytest.raises(OSError, match="No space left"):
        build(config_in(out), steps=three_steps())
    monkeypatch.undo()
    assert not list((out / "steps").glob("second*"))
    assert ran(build(config_in(out), steps=three_steps())) == ["second", "third"]


def test_a_damaged_record_means_that_the_step_runs_again(out):
    build(config_in(out), steps=three_steps())
    (out / "steps" / "second.json").write_text('{"step": "second"')
    assert ran(build(config_in(out), steps=three_steps())) == ["second"]
