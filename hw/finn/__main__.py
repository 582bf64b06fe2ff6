"""``python -m popshift.hw.finn``: loads FINN, registers an op of every stage, says so."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from ..errors import PopshiftError
from ..stages import STAGES
from . import bootstrap
from .attributes import op_type


def main() -> int:
    """Return 0 if FINN can be used here."""
    with tempfile.TemporaryDirectory(prefix="popshift-") as folder:
        try:
            bootstrap.start(Path(folder))
        except PopshiftError as error:
            sys.stderr.write(f"popshift: {error}\n")
            return 2
    sys.stdout.write(f"finn-plus {bootstrap.VERSION}: {', '.join(map(op_type, STAGES))}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
