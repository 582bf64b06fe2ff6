"""Builds from a configuration to a bitstream: steps on disk, verification, synthesis, reports."""

from .build import BuildResult, build, run_step
from .config import Config, examples, load_config
from .config_errors import ConfigError
from .steps import CheckFailedError

__all__ = [
    "BuildResult",
    "CheckFailedError",
    "Config",
    "ConfigError",
    "build",
    "examples",
    "load_config",
    "run_step",
]
