"""What the command line says when something goes wrong, and its exit status."""

from __future__ import annotations

import errno
import os
import sys
import warnings
from typing import Any

import click

from ...hw.errors import PopshiftError
from ..build import StepCrashedError
from ..steps import CheckFailedError

FAILED_CHECK = 1
USER_ERROR = 2
CRASH = 70
INTERRUPTED = 130

_SHOWN_LINES = 20


class InterruptedByUserError(Exception):
    """Ctrl-C was pressed while a command ran."""


class ReportingGroup(click.Group):
    """A group of commands whose errors become one line and an exit status, never a traceback.

    The status is 0 if everything asked for was done, 1 if a check failed, 2 if the user has to
    mend something, 70 if popshift has a mistake, 130 after Ctrl-C.
    """

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; keeps click from printing its own word on Ctrl-C."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt as error:
            raise InterruptedByUserError from error

    def main(self, *args: Any, **kwargs: Any) -> Any:
        """Run the command line and exit."""
        kwargs["standalone_mode"] = False
        sys.exit(self._status(*args, **kwargs))

    def _status(self, *args: Any, **kwargs: Any) -> int:
        try:
            with warnings.catch_warnings():
                # What libraries warn of is for the logs of the steps, which turn warnings on again.
                warnings.simplefilter("ignore")
                returned = super().main(*args, **kwargs)
        except (InterruptedByUserError, click.Abort):
            return _say("interrupted; run the same command to resume", INTERRUPTED)
        except click.ClickException as error:
            return _say(_usage(error), USER_ERROR)
        except CheckFailedError as error:
            shown = list(error.lines[:_SHOWN_LINES])
            if len(error.lines) > _SHOWN_LINES:
                shown.append(f"... and {len(error.lines) - _SHOWN_LINES} more")
            return _say("\n".join([_one_line(error), *shown]), FAILED_CHECK)
        except StepCrashedError as error:
            return _say(_one_line(error), CRASH)
        except BrokenPipeError:
            # The reader of our output has left; Python must not complain while it closes stdout.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return USER_ERROR
        except OSError as error:
            if isinstance(error, PopshiftError):
                return _say(_one_line(error), USER_ERROR)
            return _say(_system(error), USER_ERROR)
        except (PopshiftError, ValueError) as error:
            return _say(_one_line(error), USER_ERROR)
        return returned if isinstance(returned, int) else 0


def _say(text: str, status: int) -> int:
    for line in text.splitlines():
        click.echo(f"popshift: {line}", err=True)
    return status


def _one_line(error: BaseException) -> str:
    """Return the message and where it comes from; each problem of a file keeps its line."""
    notes = "; ".join(getattr(error, "__notes__", []))
    return f"{error} ({notes})" if notes else str(error)


def _system(error: OSError) -> str:
    advice = {
        errno.ENOSPC: "; free some space and run the same command to resume",
        errno.EROFS: "; choose another --output",
        errno.EACCES: "; choose another --output or mend its permissions",
        errno.ENOTDIR: "; choose another --output",
        errno.EFBIG: "; raise the file size limit (ulimit -f) and run the same command to resume",
        errno.EDQUOT: "; free some of your quota and run the same command to resume",
    }.get(error.errno or 0, "")
    # A failed copy names its source first; the place that is full is its target.
    name = error.filename2 or error.filename
    where = f"{name}: " if name else ""
    notes = "; ".join(getattr(error, "__notes__", []))
    return f"{where}{error.strerror or error}{advice}{f' ({notes})' if notes else ''}"


def _usage(error: click.ClickException) -> str:
    context = getattr(error, "ctx", None)
    help_of = f"; see {context.command_path} --help" if context else ""
    return " ".join(error.format_message().split()).rstrip(".") + help_of
