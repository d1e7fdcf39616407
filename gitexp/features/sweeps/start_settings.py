"""The settings that shape the trials of a sweep, as they were when it started.

A sweep that goes on uses them, also when the project or the user has other settings by then.
"""

from contextlib import suppress
from typing import Any, Final

from gitexp.core.errors import InvalidInput, UnreadableRecord
from gitexp.core.inputs.redaction import redact_table
from gitexp.core.schema.toml_codec import decode_table, encode_table
from gitexp.features.sweeps.definition import Definition
from gitexp.storage.settings.options import OPTIONS
from gitexp.storage.workspace import Workspace

SHAPING: Final = frozenset(
    (
        *("metric", "metrics-files", "metric-patterns", "harvest"),
        *("params-files", "argv-params", "env-params", "seed-params", "inject"),
        *("inputs", "code-include", "code-exclude", "environment"),
    )
)
"""Settings that decide what a trial is and what its record holds."""


def shaping_settings(workspace: Workspace) -> str:
    """Return these settings as TOML, those that are not the default; empty when one is a secret."""
    table: dict[str, Any] = {}
    for option in OPTIONS:
        value = getattr(workspace.settings, option.field)
        if option.name in SHAPING and value != option.default:
            table[option.name] = list(value) if isinstance(value, tuple) else value
    return encode_table({"settings": table}).decode() if redact_table(table) == table else ""


def use_start_settings(workspace: Workspace, definition: Definition) -> list[str]:
    """Have a workspace use the settings of a sweep's start; returns those that differ now.

    Settings that the sweep does not hold, and those that this gitexp cannot read, stay as they are.
    """
    if not definition.settings:
        return []
    held: Any = None
    with suppress(UnreadableRecord):
        held = decode_table(definition.settings.encode()).get("settings")
    if not isinstance(held, dict):
        return []
    changed: dict[str, Any] = {}
    names = []
    for option in OPTIONS:
        if option.name not in SHAPING:
            continue
        value = option.default
        if option.name in held:
            try:
                value = option.parse(held[option.name])
            except (ValueError, InvalidInput):
                continue
        if value != getattr(workspace.settings, option.field):
            changed[option.field] = value
            names.append(option.name)
    workspace.settings = workspace.settings._replace(**changed)
    return names
