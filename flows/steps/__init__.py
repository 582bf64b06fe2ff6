"""The steps of a build, one file each, in the order in which they run."""

from .compile import Compile
from .export import Export
from .finn import Finn
from .netlist import Netlist
from .report import Report
from .rtl import Rtl
from .simulate import Simulate
from .step import CheckFailedError, Progress, Step, Workspace
from .synth import Synth
from .train import Train
from .verify import Verify

__all__ = ["ALL_STEPS", "CheckFailedError", "Progress", "Step", "Workspace"]

ALL_STEPS: tuple[Step, ...] = (
    Train(),
    Export(),
    Compile(),
    Simulate(),
    Rtl(),
    Verify(),
    Synth(),
    Netlist(),
    Finn(),
    Report(),
)
