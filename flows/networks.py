"""Networks of the zoo as a configuration names them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .config import ModelSection
from .config_errors import ConfigError

if TYPE_CHECKING:
    from torch import nn


def create_network(model: ModelSection, **changes: Any) -> nn.Module:
    """Return the network that the section names, with some options changed.

    Raises:
        ConfigError: The zoo has no such network, or it has no such option or value.
    """
    from ..models import zoo  # noqa: PLC0415 (loads torch)

    try:
        net: nn.Module = zoo.create(str(model.zoo), **{**model.options, **changes})
    except (ValueError, TypeError) as error:
        raise ConfigError(f"model: {error}") from error
    return net
