"""The build engine: what runs, what is left alone, and what an interruption leaves behind."""

import errno
import fcntl
import json
import resource
import sys
import warnings
from pathlib import Path

import pytest

from popshift.flows import CheckFailedError, Config, build, run_step
from popshift.flows.build import StepCrashedError, UnknownStepError
from popshift.flows.build_folder import BuildFolder, BuildFolderError
from popshift.hw.errors import FoldingError

from .fake_steps import FakeStep, three_steps


def config_in(folder: Path, seed: int = 1, epochs: int = 5, fps: float = 10.0) -> Config:
    return Config.model_validate(
        {
            "name": "fake",
            "output": str(folder),
            "seed": seed,
            "model": {"zoo": "mlp"},
            "train": {"epochs": epochs},
            "hardware": {"fps": fps},
        }
    )


def ran(result) -> list[str]:
    return [run.name for run in result.steps if run.status == "ran"]


def files(folder: Path) -> dict[str, str]:
    """Everything in a folder except logs and scratch folders."""
    return {
        str(path.relative_to(folder)): path.read_text()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.relative_to(folder).parts[0] not in {"logs", "scratch"}
    }


@pytest.fixture
def out(tmp_path):
    return tmp_path / "out"


def test_a_build_runs_every_step_in_order_and_a_second_one_none(out):
    steps = three_steps()
    assert ran(build(config_in(out), steps=steps)) == ["first", "second", "third"]
    assert (out / "third.txt").read_text() == "first=1;second=5;third=10.0;"
    before = files(out)
    assert ran(build(config_in(out), steps=steps)) == []
    assert files(out) == before


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"seed": 2}, ["first", "second", "third"]),
        ({"epochs": 6}, ["second", "third"]),
        ({"fps": 11.0}, ["third"]),
    ],
)
def test_a_changed_setting_runs_the_steps_that_depend_on_it(out, change, expected):
    build(config_in(out), steps=three_steps())
    assert ran(build(config_in(out, **change), steps=three_steps())) == expected


def test_a_step_that_writes_the_same_as_before_leaves_later_ones_alone(out):
    build(config_in(out), steps=three_steps())
    assert ran(build(config_in(out), steps=three_steps(), first="second", until="second")) == [
        "second"
    ]
    assert ran(build(config_in(out), steps=three_steps())) == []


@pytest.mark.parametrize("name", ["second.txt", "second.d/part", "second.d"])
def test_a_file_that_was_changed_or_removed_is_written_anew(out, name):
    build(config_in(out), steps=three_steps())
    before = (out / "second.txt").read_text()
    if name == "second.d":
        (out / name / "more").write_text("somebody's")
    else:
        (out / name).write_text("somebody's")
    assert ran(build(config_in(out), steps=three_steps())) == ["second"]
    assert (out / "second.txt").read_text() == before
    (out / "second.txt").unlink()
    assert ran(build(config_in(out), steps=three_steps())) == ["second"]


def test_a_users_own_file_that_changed_runs_its_reader(tmp_path, out):
    mine = tmp_path / "mine"
    mine.write_text("1")
    steps = (FakeStep("first", user_files=(mine,)),)
    build(config_in(out), steps=steps)
    assert ran(build(config_in(out), steps=steps)) == []
    mine.write_text("2")
    assert ran(build(config_in(out), steps=steps)) == ["first"]


def test_until_stops_after_a_step_and_the_next_build_goes_on(out):
    assert ran(build(config_in(out), steps=three_steps(), until="second")) == ["first", "second"]
    assert not (out / "third.txt").exists()
    assert ran(build(config_in(out), steps=three_steps())) == ["third"]


def test_from_runs_a_step_and_all_after_it(out):
    build(config_in(out), steps=three_steps())
    result = build(config_in(out), steps=three_steps(), first="second")
    assert ran(result) == ["second", "third"]


def test_from_takes_the_files_before_it_as_they_are(out):
    build(config_in(out), steps=three_steps())
    (out / "first.txt").write_text("mine;")
    assert ran(build(config_in(out), steps=three_steps(), first="second")) == ["second", "third"]
    assert (out / "third.txt").read_text() == "mine;second=5;third=10.0;"


def test_one_step_runs_with_what_it_needs_and_nothing_else(out):
    aside = FakeStep("aside")
    steps = (*three_steps(), aside)
    assert ran(run_step(config_in(out), "second", steps=steps)) == ["first", "second"]
    assert aside.runs == 0
    assert ran(run_step(config_in(out), "second", steps=steps)) == ["second"]


def test_one_step_sees_changed_files_and_does_not_repair_them(out):
    """What makes ``verify`` find a flipped bit instead of generating it away."""
    build(config_in(out), steps=three_steps())
    (out / "first.txt").write_text("flipped;")
    assert ran(run_step(config_in(out), "third", steps=three_steps())) == ["third"]
    assert (out / "first.txt").read_text() == "flipped;"
    assert ran(run_step(config_in(out), "second", steps=three_steps())) == ["second"]
    assert (out / "second.txt").read_text() == "flipped;second=5;"


def test_one_step_brings_what_a_step_before_it_has_since_made_anew(out):
    build(config_in(out), steps=three_steps())
    run_step(config_in(out, seed=2), "first", steps=three_steps())
    assert ran(run_step(config_in(out, seed=2), "third", steps=three_steps())) == [
        "second",
        "third",
    ]


def test_one_step_makes_a_missing_file_of_a_step_before_it(out):
    build(config_in(out), steps=three_steps())
    (out / "second.txt").unlink()
    assert ran(run_step(config_in(out), "third", steps=three_steps())) == ["second", "third"]


def test_a_built_folder_stands_for_its_configuration_also_after_a_move(tmp_path, out):
    build(config_in(out, fps=12.0), steps=three_steps())
    out.rename(tmp_path / "moved")
    result = build(tmp_path / "moved", steps=three_steps())
    assert ran(result) == []
    assert result.config.hardware.fps == 12.0
    assert result.folder == tmp_path / "moved"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"first": "secnd"}, "--from secnd: no such step; did you mean 'second'?"),
        ({"until": "zzz"}, "--until zzz: no such step; steps: first, second, third"),
        ({"first": "third", "until": "first"}, "--from third comes after --until first"),
    ],
)
def test_an_unknown_step_is_refused_before_anything_is_written(out, options, message):
    with pytest.raises(UnknownStepError, match=message.replace("?", r"\?")):
        build(config_in(out), steps=three_steps(), **options)
    assert not out.exists()


def test_a_step_that_refuses_its_settings_stops_the_build_before_the_first_one(out):
    steps = three_steps()
    steps[2].refuses = FoldingError("fc0.simd=3 must divide 64")
    with pytest.raises(FoldingError) as caught:
        build(config_in(out), steps=steps)
    assert caught.value.__notes__ == ["in step third"]
    assert not out.exists()
    assert steps[0].runs == 0
    assert ran(build(config_in(out), steps=steps, until="second")) == ["first", "second"]


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


def test_a_folder_of_somebody_else_is_refused_and_left_as_it_is(out):
    out.mkdir()
    (out / "thesis.tex").write_text("mine")
    with pytest.raises(BuildFolderError, match=r"holds 'thesis.tex'.*choose an empty folder"):
        build(config_in(out), steps=three_steps())
    assert [path.name for path in out.iterdir()] == ["thesis.tex"]


def test_an_empty_folder_is_taken(out):
    out.mkdir()
    assert len(ran(build(config_in(out), steps=three_steps()))) == 3


@pytest.mark.parametrize("below", ["", "deeper/still"])
def test_a_file_in_the_way_is_named(tmp_path, below):
    (tmp_path / "file").write_text("mine")
    with pytest.raises(BuildFolderError, match="file: is a file, not a folder; choose another"):
        build(config_in(tmp_path / "file" / below), steps=three_steps())
    assert (tmp_path / "file").read_text() == "mine"


def test_a_second_build_in_the_same_folder_is_refused(out):
    def again(work):
        with pytest.raises(BuildFolderError, match=r"process \d+ is building here; wait"):
            build(config_in(out), steps=three_steps())

    assert len(ran(build(config_in(out), steps=(FakeStep("first", before=again),)))) == 1


def test_a_lock_that_a_killed_build_left_behind_does_not_matter(out):
    build(config_in(out), steps=three_steps(), until="first")
    assert (out / ".lock").exists()
    (out / ".staging-other").mkdir()
    (out / ".staging-other" / "part").write_text("half")
    assert ran(build(config_in(out), steps=three_steps())) == ["second", "third"]
    assert not (out / ".staging-other").exists()
    with (out / ".lock").open() as file:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


def test_a_failed_check_keeps_its_findings_and_removes_what_was_made_of_the_old_ones(out):
    build(config_in(out), steps=three_steps())

    def fail(work):
        raise CheckFailedError("second: 1 of 9 integers differs", ("fc0 channel 3: 7, not 8",))

    steps = three_steps()
    steps[1].after = fail
    with pytest.raises(CheckFailedError) as caught:
        run_step(config_in(out, epochs=6), "second", steps=steps)
    assert caught.value.lines == ("fc0 channel 3: 7, not 8",)
    assert (out / "second.txt").read_text() == "first=1;second=6;"
    assert (out / "first.txt").exists()
    assert not (out / "third.txt").exists()
    assert "fc0 channel 3: 7, not 8" in (out / "logs" / "second.log").read_text()
    steps[1].after = None
    assert ran(build(config_in(out, epochs=6), steps=steps)) == ["second", "third"]


def test_a_mistake_of_ours_is_told_from_one_of_the_user(out):
    def crash(work):
        raise KeyError("oops")

    with pytest.raises(StepCrashedError, match="KeyError: 'oops'"):
        build(config_in(out), steps=(FakeStep("first", before=crash),))
    assert "Traceback" in (out / "logs" / "first.log").read_text()


def test_a_step_that_forgets_a_file_is_a_mistake_of_ours(out):
    def forget(work):
        work.output("first.txt").unlink()

    with pytest.raises(StepCrashedError, match=r"did not write first\.txt"):
        build(config_in(out), steps=(FakeStep("first", after=forget),))
    assert not (out / "first.d").exists()


def test_what_libraries_print_goes_into_the_log_of_the_step(out, capfd):
    def talk(work):
        print("from a library")
        print("to stderr", file=sys.stderr)
        warnings.warn("careful", UserWarning, stacklevel=1)

    build(config_in(out), steps=(FakeStep("first", before=talk),))
    assert capfd.readouterr() == ("", "")
    log = (out / "logs" / "first.log").read_text()
    for text in ("from a library", "to stderr", "careful", "first was here"):
        assert text in log


def test_a_damaged_build_file_is_named(out):
    build(config_in(out), steps=three_steps())
    (out / "build.json").write_text("{")
    with pytest.raises(
        BuildFolderError, match=r"build\.json: damaged .*build again from the CONFIG"
    ):
        build(out, steps=three_steps())


def test_a_record_says_what_was_read_and_written(out):
    build(config_in(out), steps=three_steps())
    record = json.loads((out / "steps" / "second.json").read_text())
    assert list(record["reads"]) == ["first.txt"]
    assert sorted(record["writes"]) == ["second.d/part", "second.txt"]
    assert record["seconds"] >= 0
    stored = BuildFolder(out).record("first")
    assert stored is not None
    assert stored.writes["first.txt"] == record["reads"]["first.txt"]
