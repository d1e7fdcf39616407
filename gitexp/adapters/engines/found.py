"""Finds the engine for an address: those that come with gitexp, and those of other packages."""

import ipaddress
import re
import socket
from contextlib import suppress
from importlib import import_module
from importlib.metadata import entry_points
from typing import Final
from urllib.parse import urlsplit

from gitexp.adapters.engines.protocol import Factory
from gitexp.core.errors import InvalidInput

ENTRY_POINTS: Final = "gitexp.engines"
"""The entry-point group of engines of other packages: scheme of the address, and a `Factory`."""

_BUILT_IN: Final = dict.fromkeys(
    ("dask", "tcp", "tls"), "gitexp.adapters.engines.dask_engine:DaskEngine"
)


def find_engine(executor: str) -> Factory:
    """Return the factory of the engine for an address, or for `module:factory`.

    Raises `InvalidInput` when there is none.
    """
    scheme, separator, rest = executor.partition("://")
    if separator and scheme in _BUILT_IN:
        if not re.search(r":\d+\Z", rest):
            raise InvalidInput(
                f"'{executor}' is no address of a scheduler",
                why="it has no port",
                hints=[f"write `--executor {scheme}://{rest or 'HOST'}:8786`"],
            )
        return _load(_BUILT_IN[scheme])
    name = scheme if separator else executor
    for point in entry_points(group=ENTRY_POINTS, name=name):
        return _load(point.value)
    if not separator and re.fullmatch(r"[\w.]+:[\w.]+", executor):
        return _load(executor)
    raise InvalidInput(
        f"there is no engine for '{executor}'",
        hints=["choose `local`, `dask://HOST:8786`, `tls://HOST:8786` or `MODULE:FACTORY`"],
    )


def _load(name: str) -> Factory:
    module, _, attribute = name.partition(":")
    try:
        factory: Factory = getattr(import_module(module), attribute)
    except (ImportError, AttributeError) as error:
        raise InvalidInput(f"cannot load the engine '{name}'", why=str(error)) from error
    return factory


def is_exposed(executor: str) -> bool:
    """Return whether an address without TLS is on a public network.

    A name counts by the addresses that it has; one without any is not exposed.
    """
    parts = urlsplit(executor)
    if parts.scheme == "tls" or not parts.hostname:
        return False
    found = []
    with suppress(OSError, UnicodeError):
        found = [each[4][0] for each in socket.getaddrinfo(parts.hostname, None)]
    return any(not ipaddress.ip_address(str(each).split("%")[0]).is_private for each in found)
