"""The build engine: what runs, what is left alone, and what an interruption leaves behind."""

import fcntl
import json
import sys
import warnings

import pytest

from popshift.flows import CheckFailedError, build, run_step
from popshift.flows.build import StepCrashedError, UnknownStepError
from popshift.flows.build_folder import BuildFolder, BuildFolderError
from popshift.hw.errors import FoldingError

from .fake_steps import FakeStep, config_in, files, ran, three_steps


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
