"""``python -m popshift.flows.finn JOB``: builds a job by FINN, in a process of its own.

The process is FINN's: its prints, its settings in the environment and its crashes stay there.
"""

from __future__ import annotations

import sys
from pathlib import Path

from ...hw.errors import PopshiftError
from .builder import run
from .job import Job


def main() -> int:
    """Return 0 if the job was built and nothing differs, 1 if something does, 2 if FINN failed."""
    job = Job.model_validate_json(Path(sys.argv[1]).read_text("utf-8"))
    try:
        return 1 if run(job).failed else 0
    except (PopshiftError, ValueError) as error:
        sys.stdout.write(f"error: {error}\n")
        return 2


if __name__ == "__main__":
    sys.exit(main())
