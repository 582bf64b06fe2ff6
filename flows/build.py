"""A build: a sequence of steps on disk that can be interrupted, resumed, inspected, run alone."""

from __future__ import annotations

import contextlib
import difflib
import json
import time
import traceback
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol, TextIO

from .. import __version__
from ..hw.errors import PopshiftError
from .build_folder import BuildFolder, Record, digest, file_sha256
from .config import Config, load_config
from .steps import ALL_STEPS, CheckFailedError, Step, Workspace


class UnknownStepError(PopshiftError, ValueError):
    """A build has no step of this name; the message says which it has."""


class StepCrashedError(PopshiftError, RuntimeError):
    """A step failed in a way that is a mistake in popshift; the log has the traceback."""


@dataclass(frozen=True, kw_only=True)
class StepRun:
    """What a build did with one step."""

    name: str
    status: Literal["ran", "unchanged"]
    reason: str
    seconds: float


class Observer(Protocol):
    """Is told how a build goes on."""

    def started(self, step: Step, reason: str) -> None:
        """Hear that ``step`` runs, and why."""

    def progressed(self, done: int, whole: int, what: str) -> None:
        """Hear how much of the running step is done."""

    def finished(self, run: StepRun) -> None:
        """Hear that a step is done or was found unchanged."""


class Silence:
    """An observer that says nothing."""

    def started(self, step: Step, reason: str) -> None:
        """Ignore it."""

    def progressed(self, done: int, whole: int, what: str) -> None:
        """Ignore it."""

    def finished(self, run: StepRun) -> None:
        """Ignore it."""


@dataclass(frozen=True, kw_only=True)
class BuildResult:
    """A finished build: its folder and what was done with each step."""

    folder: Path
    config: Config
    steps: tuple[StepRun, ...]

    @property
    def report(self) -> dict[str, Any] | None:
        """Contents of ``report.json``, or None when the build stopped before it."""
        path = self.folder / "report.json"
        if not path.is_file():
            return None
        report: dict[str, Any] = json.loads(path.read_text("utf-8"))
        return report


def resolve(
    source: Config | str | Path, overrides: Sequence[str] = (), output: Path | None = None
) -> Config:
    """Return the configuration that ``source`` stands for.

    Args:
        source: A configuration, a YAML file, the name of an example, or a folder that was built.
        overrides: ``key=value`` each.
        output: Folder to use instead of the configured one.

    Raises:
        ConfigError: The configuration or an override is wrong.
        BuildFolderError: ``source`` is a folder but no build.
    """
    if isinstance(source, Config):
        return source if output is None else source.model_copy(update={"output": output.absolute()})
    folder = BuildFolder(Path(source))
    if folder.is_build() or ("/" in str(source) and folder.path.is_dir()):
        config = folder.read_config(overrides)
        return resolve(config, output=output)
    return load_config(source, overrides, output=output)


def build(
    source: Config | str | Path,
    *,
    overrides: Sequence[str] = (),
    output: Path | None = None,
    first: str | None = None,
    until: str | None = None,
    observer: Observer | None = None,
    steps: Sequence[Step] = ALL_STEPS,
) -> BuildResult:
    """Run every step whose settings or files have changed, in order.

    Args:
        source: Configuration, YAML file, example or built folder; see :func:`resolve`.
        overrides: ``key=value`` each.
        output: Folder to build in instead of the configured one.
        first: Step to run anew with all that follow; the files of those before are taken as found.
        until: Step after which to stop.
        observer: Is told how it goes.
        steps: The steps of a build, in order.

    Raises:
        ConfigError: The configuration is wrong.
        UnknownStepError: ``first`` or ``until`` is no step of this build.
        BuildFolderError: The output folder is not ours or in use.
        CheckFailedError: Hardware and software differ.
        PopshiftError, ValueError, OSError: A step refused its input; the note says which step.
        StepCrashedError: A step has a bug.
    """
    config = resolve(source, overrides, output)
    plan = [step for step in steps if step.is_part_of(config)]
    start = _index(first, "--from", steps, plan) if first else len(plan)
    stop = _index(until, "--until", steps, plan) if until else len(plan) - 1
    if first and start > stop:
        raise UnknownStepError(f"--from {first} comes after --until {until}; nothing to run")
    forced = {step.name for step in plan[start:]}
    trusted = {step.name for step in plan[:start]} if first else set()
    run = _Run(config, plan, plan[: stop + 1], forced, trusted, observer or Silence())
    return run.run()


def run_step(
    source: Config | str | Path,
    name: str,
    *,
    overrides: Sequence[str] = (),
    output: Path | None = None,
    observer: Observer | None = None,
    steps: Sequence[Step] = ALL_STEPS,
) -> BuildResult:
    """Run one step, and before it those whose files it needs and that never finished.

    Files of finished steps are taken as found, also when somebody has changed them since: that is
    what makes ``verify`` see a changed file instead of writing it anew.

    Raises:
        The same as :func:`build`.
    """
    config = resolve(source, overrides, output)
    plan = [step for step in steps if step.is_part_of(config)]
    target = plan[_index(name, "step", steps, plan)]
    needed = [target]
    for step in reversed(plan[: plan.index(target)]):
        if any(_feeds(step, other, config) for other in needed):
            needed.insert(0, step)
    trusted = {step.name for step in needed if step is not target}
    return _Run(config, plan, needed, {name}, trusted, observer or Silence()).run()


def _index(name: str, option: str, steps: Sequence[Step], plan: list[Step]) -> int:
    names = [step.name for step in plan]
    if name in names:
        return names.index(name)
    if name in {step.name for step in steps}:
        raise UnknownStepError(
            f"{option} {name}: this configuration has no such step; steps: {', '.join(names)}"
        )
    near = difflib.get_close_matches(name, names, n=1)
    hint = f"did you mean {near[0]!r}?" if near else f"steps: {', '.join(names)}"
    raise UnknownStepError(f"{option} {name}: no such step; {hint}")


def _feeds(step: Step, reader: Step, config: Config) -> bool:
    """Return whether ``reader`` reads a file that ``step`` writes."""
    return any(
        (written + "/").startswith(read + "/") or (read + "/").startswith(written + "/")
        for written in step.writes(config)
        for read in reader.reads(config)
    )


@dataclass(frozen=True)
class _Run:
    """One pass over the steps of a build.

    Attributes:
        every: All steps of the build, in order.
        plan: Those of them to consider.
        forced: Names of steps that run in any case.
        trusted: Names of steps whose files count as theirs even if somebody changed them.
    """

    config: Config
    every: list[Step]
    plan: list[Step]
    forced: set[str]
    trusted: set[str]
    observer: Observer

    @property
    def folder(self) -> BuildFolder:
        return BuildFolder(self.config.output)

    def run(self) -> BuildResult:
        self.folder.refuse_foreign()
        self._check()
        runs: list[StepRun] = []
        with self.folder.locked():
            self.folder.refuse_foreign()
            self.folder.write_config(self.config, __version__)
            for step in self.plan:
                runs.append(self._step(step))
                self.observer.finished(runs[-1])
        return BuildResult(folder=self.folder.path, config=self.config, steps=tuple(runs))

    def _check(self) -> None:
        """Let every step that may run look at its configuration and tools first."""
        will_run = False
        for step in self.plan:
            will_run = will_run or self._reason(step) is not None
            if will_run:
                with _noted(f"in step {step.name}"):
                    step.check(self.config)

    def _digest(self, step: Step) -> str:
        return digest([__version__, step.name, step.settings(self.config)])

    def _reason(self, step: Step) -> str | None:
        """Return why the step has to run, or None if what it left behind is still right."""
        record = self.folder.record(step.name)
        if record is None:
            return "not finished before"
        if record.digest != self._digest(step):
            return "its settings changed"
        if step.name in self.trusted:
            expected = self._promised(record)
            found = {**record.writes, **self._read_hashes(step), **expected}
            missing = [name for name in record.writes if not (self.folder.path / name).is_file()]
            found = {name: sha for name, sha in found.items() if name not in missing}
        else:
            found = self.folder.hashes(step.writes(self.config)) | self._read_hashes(step)
        before = {**record.reads, **record.writes}
        for name in sorted(before.keys() | found.keys()):
            if before.get(name) != found.get(name):
                return f"{name} {'changed' if name in found else 'is missing'}"
        if step.name in self.forced:
            return "asked for"
        return None

    def _promised(self, record: Record) -> dict[str, str]:
        """Return the hashes of what ``record`` read as the steps that wrote it recorded them."""
        promised: dict[str, str] = {}
        for step in self.plan:
            if step.name != record.step and (other := self.folder.record(step.name)) is not None:
                promised |= {
                    name: sha for name, sha in other.writes.items() if name in record.reads
                }
        return promised

    def _read_hashes(self, step: Step) -> dict[str, str]:
        hashes = self.folder.hashes(step.reads(self.config))
        for path in step.sources(self.config):
            hashes[str(path)] = file_sha256(path)
        return hashes

    def _step(self, step: Step) -> StepRun:
        reason = self._reason(step)
        if reason is None:
            record = self.folder.record(step.name)
            seconds = record.seconds if record else 0.0
            return StepRun(name=step.name, status="unchanged", reason="", seconds=seconds)
        self.observer.started(step, reason)
        log_path = self.folder.path / "logs" / f"{step.name}.log"
        log_path.parent.mkdir(exist_ok=True)
        began = time.monotonic()
        with (
            _noted(f"in step {step.name}, log {_shown(log_path)}"),
            log_path.open("w", encoding="utf-8") as log,
            self.folder.staging(step.name) as staging,
        ):
            log.write(f"popshift {__version__}, step {step.name}: {reason}\n")
            read = self._read_hashes(step)
            self._execute(step, staging, log)
            self._commit(step, staging)
            seconds = round(time.monotonic() - began, 3)
            self.folder.remember(
                Record(
                    step=step.name,
                    digest=self._digest(step),
                    reads=read,
                    writes=self.folder.hashes(step.writes(self.config)),
                    seconds=seconds,
                )
            )
            log.write(f"done in {seconds} s\n")
        return StepRun(name=step.name, status="ran", reason=reason, seconds=seconds)

    def _execute(self, step: Step, staging: Path, log: TextIO) -> None:
        work = Workspace(
            config=self.config,
            folder=self.folder.path,
            staging=staging,
            scratch=self.folder.scratch(step.name, self._digest(step)),
            log=log,
            progress=self.observer.progressed,
        )
        try:
            # Libraries print and warn; that belongs into the log, not between the progress bars.
            with (
                contextlib.redirect_stdout(log),
                contextlib.redirect_stderr(log),
                warnings.catch_warnings(),
            ):
                warnings.simplefilter("default")
                warnings.showwarning = lambda message, kind, *_: work.note(
                    f"{kind.__name__}: {message}"
                )
                step.run(work)
            for name in step.writes(self.config):
                if not (staging / name).exists():
                    raise RuntimeError(f"step {step.name} did not write {name}")
        except CheckFailedError as error:
            log.write("\n".join([f"failed: {error}", *error.lines]) + "\n")
            self._commit(step, staging)  # what was found must be there to look at
            self._discard_after(step)
            raise
        except KeyboardInterrupt:
            log.write("interrupted\n")
            raise
        except (PopshiftError, ValueError, OSError):
            with contextlib.suppress(OSError):  # the disk may be full, which is the error itself
                log.write(traceback.format_exc())
            raise
        except Exception as error:
            log.write(traceback.format_exc())
            raise StepCrashedError(
                f"mistake in popshift: {type(error).__name__}: {error}"
            ) from error

    def _commit(self, step: Step, staging: Path) -> None:
        self.folder.forget(step.name)
        self.folder.commit(staging, step.writes(self.config))

    def _discard_after(self, failed: Step) -> None:
        """Remove what later steps made of the files of a step whose check failed.

        A report that says "passed" must not lie beside a verification that did not.
        """
        stale = [failed]
        for step in self.every[self.every.index(failed) + 1 :]:
            if any(_feeds(other, step, self.config) for other in stale):
                stale.append(step)
                self.folder.forget(step.name)
                for name in self.folder.hashes(step.writes(self.config)):
                    (self.folder.path / name).unlink(missing_ok=True)


@contextlib.contextmanager
def _noted(note: str) -> Iterator[None]:
    """Add ``note`` to an exception that passes, so that its reader knows where it comes from."""
    try:
        yield
    except Exception as error:
        error.add_note(note)
        raise


def _shown(path: Path) -> Path:
    """Return ``path`` relative to the working folder where it lies below it."""
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path
