"""The forms in which users hand over parameters and metrics: files, arguments, printed lines.

Bytes and text in, tables out. Faults are the user's to fix, so they are
`InvalidInput` and say where. What looks like a secret is found here too. Each name is imported when
it is first asked for.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gitexp.formats.arguments import (
        Option,
        assign,
        fill_template,
        iter_options,
        option_path,
        parse_assignment,
        parse_value,
    )
    from gitexp.formats.command_line import params_from_argv
    from gitexp.formats.files import (
        parse_metrics,
        parse_params,
        parse_table,
    )
    from gitexp.formats.printed import parse_metric_line
    from gitexp.formats.redaction import (
        REDACTED,
        is_secret_name,
        redact_argv,
        redact_table,
        redact_text,
    )

_HOMES = {
    "gitexp.formats.arguments": (
        "Option assign fill_template iter_options option_path parse_assignment parse_value"
    ).split(),
    "gitexp.formats.command_line": ["params_from_argv"],
    "gitexp.formats.files": "parse_metrics parse_params parse_table".split(),
    "gitexp.formats.printed": ["parse_metric_line"],
    "gitexp.formats.redaction": (
        "REDACTED is_secret_name redact_argv redact_table redact_text"
    ).split(),
}
"""Where each name is defined."""

__all__ = [
    "REDACTED",
    "Option",
    "assign",
    "fill_template",
    "is_secret_name",
    "iter_options",
    "option_path",
    "params_from_argv",
    "parse_assignment",
    "parse_metric_line",
    "parse_metrics",
    "parse_params",
    "parse_table",
    "parse_value",
    "redact_argv",
    "redact_table",
    "redact_text",
]


def __getattr__(name: str) -> Any:
    import importlib

    for module, names in _HOMES.items():
        if name in names:
            return getattr(importlib.import_module(module), name)
    raise AttributeError(f"module '{__name__}' has no attribute '{name}'")
