"""Networks of the zoo as a configuration names them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields, replace
from typing import TYPE_CHECKING, Any

from .config_errors import ConfigError, nearest, source_of, unknown_name

if TYPE_CHECKING:
    from torch import nn

    from .config import Config, DataSection, ModelSection


def network_options() -> dict[str, dict[str, Any]]:
    """Return the options of every network of the zoo with their defaults."""
    from ..models.zoo import NETWORKS  # noqa: PLC0415 (loads torch)

    return {
        name: {
            field.name: getattr(base, field.name) for field in fields(base) if field.name != "name"
        }
        for name, base in NETWORKS.items()
    }


def create_network(model: ModelSection, **changes: Any) -> nn.Module:
    """Return a new network as the section describes it, with some options changed."""
    from ..models import zoo  # noqa: PLC0415 (loads torch)

    net: nn.Module = zoo.create(str(model.zoo), **{**model.options, **changes})
    return net


def check_names(config: Config, where: str, overrides: Sequence[tuple[str, ...]] = ()) -> None:
    """Raise if there is no such network, option of it, data set or recipe.

    Args:
        config: What to check.
        where: Name of the file.
        overrides: Places that ``--set`` gave.

    Raises:
        ConfigError: One line for each unknown name or wrong value.
    """
    if config.model.zoo is None:
        return
    from ..models.data import DATASETS  # noqa: PLC0415 (loads torch)
    from ..models.train import RECIPES  # noqa: PLC0415
    from ..models.zoo import NETWORKS  # noqa: PLC0415

    def place(*keys: str) -> str:
        return f"{source_of(keys, where, overrides)}: {'.'.join(keys)}"

    name, options = config.model.zoo, config.model.options
    if name not in NETWORKS:
        raise ConfigError(f"{place('model', 'zoo')}: {unknown_name(name, list(NETWORKS))}")
    known = list(network_options()[name])
    section = [*known, *type(config.model).model_fields]
    lines = [
        f"{place('model', key)}: {nearest(key, section)}" for key in options if key not in known
    ]
    for keys, given, names in (
        (("data", "name"), config.data.name, DATASETS),
        (("train", "recipe"), config.train.recipe, RECIPES),
    ):
        if given not in names:
            lines.append(f"{place(*keys)}: {unknown_name(given, list(names))}")
    if not lines and DATASETS[config.data.name].is_shipped == (config.data.folder is not None):
        lines.append(f"{place('data', 'folder')}: {_folder_rule(config.data)}")
    if lines:
        raise ConfigError("\n".join(lines))
    try:
        replace(NETWORKS[name], **options)
    except ValueError as error:
        raise ConfigError(f"{place('model')}: {error}") from error
    except TypeError as error:
        raise ConfigError(f"{place('model')}: an option is of the wrong type: {error}") from error


def _folder_rule(data: DataSection) -> str:
    """Return what is wrong with the folder of a data set."""
    if data.folder is None:
        return f"{data.name} is not shipped; give the folder with its published files"
    return f"{data.name} is shipped and takes no folder; leave the key out"
