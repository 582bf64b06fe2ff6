"""The folder of a build: whose it is, who writes it, what each step left there."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ..hw.errors import PopshiftError
from .config import Config, override, validate
from .networks import check_names

MARKER = "build.json"
_LOCK = ".lock"
_OURS = {_LOCK, MARKER + ".new"}


class BuildFolderError(PopshiftError, OSError):
    """An output folder is somebody else's, in use, damaged or not writable."""

    def __str__(self) -> str:
        """Return the message alone; OSError would print an error number."""
        return str(self.args[0])


@dataclass(frozen=True, kw_only=True)
class Record:
    """What a finished step left behind, stored as ``steps/<name>.json``.

    Attributes:
        step: Name of the step.
        digest: Digest of the settings of the step.
        reads: SHA-256 of each file read, by path.
        writes: SHA-256 of each file written, by path relative to the build folder.
        seconds: Wall time that the step took.
    """

    step: str
    digest: str
    reads: dict[str, str]
    writes: dict[str, str]
    seconds: float


@dataclass(frozen=True)
class BuildFolder:
    """A build on disk."""

    path: Path

    def is_build(self) -> bool:
        """Return whether a build was started here before."""
        return (self.path / MARKER).is_file()

    def refuse_foreign(self) -> None:
        """Raise unless the folder is a build of ours, empty, or not there yet.

        Raises:
            BuildFolderError: Somebody else's files are there, or it is no folder.
        """
        existing = next(path for path in (self.path, *self.path.parents) if path.exists())
        if not existing.is_dir():
            raise BuildFolderError(f"{existing}: is a file, not a folder; choose another --output")
        if existing != self.path or self.is_build():
            return
        foreign = sorted(item.name for item in self.path.iterdir() if item.name not in _OURS)
        if foreign:
            raise BuildFolderError(
                f"{self.path}: holds {foreign[0]!r} and no {MARKER}, so it is not a popshift "
                "build; choose an empty folder with --output"
            )

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the folder for one build; the system frees it even when the process is killed.

        Raises:
            BuildFolderError: Another process builds in this folder.
        """
        self.path.mkdir(parents=True, exist_ok=True)
        with (self.path / _LOCK).open("a+") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                file.seek(0)
                raise BuildFolderError(
                    f"{self.path}: process {file.read().strip() or '?'} is building here; "
                    "wait for it, or choose another --output"
                ) from error
            file.truncate(0)
            file.write(str(os.getpid()))
            file.flush()
            for left_over in self.path.glob(".staging-*"):  # of a build that was killed
                shutil.rmtree(left_over, ignore_errors=True)
            yield

    def write_config(self, config: Config, version: str) -> None:
        """Store the resolved configuration; the folder counts as a build from then on."""
        stored = {"popshift": version, "config": config.model_dump(mode="json")}
        _replace_text(self.path / MARKER, json.dumps(stored, indent=1) + "\n")

    def read_config(self, overrides: Sequence[str] = ()) -> Config:
        """Return the configuration that this build was last run with, changed by ``overrides``.

        Raises:
            BuildFolderError: This is no build, or its ``build.json`` is damaged.
            ConfigError: An override is wrong, or a file that the configuration names is gone.
        """
        try:
            data = json.loads((self.path / MARKER).read_text("utf-8"))["config"]
            data["output"] = str(self.path.absolute())  # the folder may have been moved
        except FileNotFoundError as error:
            raise BuildFolderError(
                f"{self.path}: holds no {MARKER}; give a CONFIG or a folder that popshift built"
            ) from error
        except (ValueError, KeyError, TypeError) as error:
            raise BuildFolderError(
                f"{self.path / MARKER}: damaged ({error}); build again from the CONFIG"
            ) from error
        changed = [override(data, text) for text in overrides]
        config = validate(data, str(self.path / MARKER), Path.cwd(), changed)
        if changed:
            check_names(config, str(self.path / MARKER), changed)
        return config

    def record(self, step: str) -> Record | None:
        """Return what the step left behind when it last finished, or None."""
        try:
            return Record(**json.loads((self.path / "steps" / f"{step}.json").read_text("utf-8")))
        except (OSError, ValueError, TypeError):
            return None  # not run, or damaged: either way it has to run again

    def forget(self, step: str) -> None:
        """Mark the step as not finished."""
        (self.path / "steps" / f"{step}.json").unlink(missing_ok=True)

    def remember(self, record: Record) -> None:
        """Mark the step as finished."""
        (self.path / "steps").mkdir(exist_ok=True)
        text = json.dumps(asdict(record), indent=1) + "\n"
        _replace_text(self.path / "steps" / f"{record.step}.json", text)

    def hashes(self, names: tuple[str, ...]) -> dict[str, str]:
        """Return the SHA-256 of every file at or below ``names``; what is missing is left out."""
        return {
            str(file.relative_to(self.path)): file_sha256(file)
            for name in names
            for file in _files(self.path / name)
        }

    @contextmanager
    def staging(self, step: str) -> Iterator[Path]:
        """Yield an empty folder beside the final files, removed in every case."""
        folder = self.path / f".staging-{step}"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def scratch(self, step: str, digest: str) -> Path:
        """Return the scratch folder of a step with these settings; older ones are removed."""
        base = self.path / "scratch"
        folder = base / f"{step}-{digest[:12]}"
        for other in base.glob(f"{step}-*"):
            if other != folder:
                shutil.rmtree(other, ignore_errors=True)
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def commit(self, staging: Path, names: tuple[str, ...]) -> None:
        """Move finished files and folders from ``staging`` to their places, each at once."""
        for name in names:
            source, target = staging / name, self.path / name
            if not source.exists():
                continue
            target.parent.mkdir(parents=True, exist_ok=True)
            if target.is_dir() and not target.is_symlink():
                aside = staging / f".old-{name.replace('/', '-')}"
                target.rename(aside)  # a folder cannot replace one that holds files
            source.replace(target)


def file_sha256(path: Path) -> str:
    """Return the SHA-256 of a file in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def digest(settings: Any) -> str:
    """Return the SHA-256 of JSON values, independent of the order of keys."""
    text = json.dumps(settings, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def _files(path: Path) -> list[Path]:
    if path.is_dir():
        return sorted(item for item in path.rglob("*") if item.is_file())
    return [path] if path.is_file() else []


def _replace_text(path: Path, text: str) -> None:
    """Write a text file so that a reader sees the old one or the new one, never a part."""
    new = path.with_name(path.name + ".new")
    try:
        new.write_text(text, "utf-8")
        new.replace(path)
    finally:
        new.unlink(missing_ok=True)
