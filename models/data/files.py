"""Files of published data sets: where they lie, and whether they are the published ones."""

from __future__ import annotations

import gzip
import hashlib
import zlib
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, kw_only=True)
class Release:
    """A published data set.

    Attributes:
        name: Name of the data set.
        page: Title of the page that offers the files.
        md5: MD5 of files by name, as far as it is known.
        folder: Folder that the published archive unpacks to; empty if it has none.
    """

    name: str
    page: str
    md5: dict[str, str]
    folder: str = ""

    def find(self, folder: Path, names: tuple[str, ...]) -> Path:
        """Return the first of ``names`` that is in ``folder`` or in the archive's folder there.

        Raises:
            ValueError: There is no such folder, or none of the files is in it.
        """
        if not folder.is_dir():
            raise ValueError(f"data: {self.name}: folder {folder} does not exist")
        for place in (folder, folder / self.folder):
            for name in names:
                if (place / name).is_file():
                    return place / name
        raise ValueError(
            f"data: {self.name}: {folder} lacks {' or '.join(names)}; "
            f"get it from the page {self.page!r} and unpack archives"
        )

    def read(self, path: Path) -> bytes:
        """Return the content of ``path``, unpacked if it is a ``.gz``.

        Raises:
            ValueError: The file is not the published one, where its checksum is known, or cannot
                be unpacked.
        """
        content = path.read_bytes()
        want = self.md5.get(path.name)
        if want is not None:
            have = hashlib.md5(content, usedforsecurity=False).hexdigest()
            if have != want:
                raise ValueError(
                    f"data: {self.name}: {path} has MD5 {have}, the published file {want}; "
                    f"it is damaged or another one: get it again from the page {self.page!r}"
                )
        if path.suffix != ".gz":
            return content
        try:
            return gzip.decompress(content)
        except (EOFError, gzip.BadGzipFile, zlib.error) as error:
            raise ValueError(
                f"data: {self.name}: {path} cannot be unpacked ({error}); get it again"
            ) from error
