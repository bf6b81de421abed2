"""Parts of a parsed Envoy configuration, found by name."""

from typing import Any

Config = dict[str, Any]


class EnvoyConfigError(Exception):
    """The canonical file is missing, or has no such part as a variant wants to change."""


def cluster(config: Config, name: str) -> Config:
    """The part of `config` that describes this cluster; changes to it change `config`."""
    return named(config["static_resources"]["clusters"], name, "cluster")


def http_manager(config: Config, listener: str = "models") -> Config:
    """The HTTP connection manager of a listener; changes to it change `config`."""
    found = named(config["static_resources"]["listeners"], listener, "listener")
    manager: Config = found["filter_chains"][0]["filters"][0]["typed_config"]
    return manager


def http_filter(config: Config, name: str) -> Config:
    """The settings of one HTTP filter of the listener for clients; changes to them change `config`."""
    settings: Config = named(http_manager(config)["http_filters"], name, "HTTP filter")["typed_config"]
    return settings


def named(parts: list[Config], name: str, what: str) -> Config:
    """The one of `parts` with this name; raises EnvoyConfigError, which calls it a `what`."""
    for part in parts:
        if part["name"] == name:
            return part
    raise EnvoyConfigError(f"there is no {what} {name!r} here, only {', '.join(part['name'] for part in parts)}")
