"""`git exp config`: show and change settings and their origin."""

from typing import Any

import click

from gitexp.cli.output.terminal import answer, know_terminal, width
from gitexp.cli.params.options import json_option
from gitexp.core.model.run import Tolerance
from gitexp.core.render.table import format_table
from gitexp.core.render.text import clean
from gitexp.storage.settings.options import OPTIONS, Option, Settings
from gitexp.storage.workspace import Workspace


@click.command("config")
@json_option
@click.option("--add", is_flag=True, help="Add VALUEs to a list setting in the file gitexp.toml.")
@click.argument("name", required=False, metavar="[SETTING]")
@click.argument("values", nargs=-1, metavar="[VALUE]...")
def command(as_json: bool, add: bool, name: str | None, values: tuple[str, ...]) -> None:
    """List the settings with where they come from, or add to one

    In order of precedence: a flag, the environment, git config, the project's `gitexp.toml` (or
    `[tool.gitexp]` in `pyproject.toml`), the default. With SETTING: shows that setting in full.

    \b
    git config exp.metricsFiles metrics.json
    git exp config --add metric-patterns 'val_loss=val loss ([\\d.]+)'
    """
    workspace = Workspace.open()
    if add or values:
        _add(workspace, name, values, add=add)
        return
    know_terminal(workspace)
    settings = workspace.settings
    if name is not None:
        _show_one(settings, name, as_json=as_json)
    elif as_json:
        from gitexp.core.render.machine_formats import format_json

        answer(format_json(_document(settings)))
    else:
        _show_all(settings)
    _warn(settings)


def _add(workspace: Workspace, name: str | None, values: tuple[str, ...], *, add: bool) -> None:
    from gitexp.cli.output.terminal import say
    from gitexp.features.doctor.project_settings import add_to_project

    if not add:
        raise click.UsageError("values are only given with --add")
    if name is None or not values:
        raise click.UsageError("--add needs a setting and at least one value")
    option = _find(name)
    path = add_to_project(workspace, option, values)
    say(f"added to {option.name} in {path.name}; commit the file to share it")


def _show_all(settings: Settings) -> None:
    rows = [
        [o.name, _shown(_value(settings, o)), settings.origins[o.name], o.meaning] for o in OPTIONS
    ]
    answer(
        format_table(
            ["setting", "value", "from", "meaning"], rows, width=width(), fixed=["setting", "value"]
        )
    )
    metrics = _metrics(settings)
    if metrics:
        keys = dict.fromkeys(key for rules in metrics.values() for key in rules)
        rows = [
            [name, *(_shown(rules.get(key)) for key in keys)] for name, rules in metrics.items()
        ]
        answer("\n" + format_table(["metric", *keys], rows, width=width()))


def _show_one(settings: Settings, name: str, *, as_json: bool) -> None:
    option = _find(name)
    if as_json:
        from gitexp.core.render.machine_formats import format_json

        answer(format_json({"schema": 1, "name": option.name, **_described(settings, option)}))
        return
    answer(
        f"{option.name} = {clean(_shown(_value(settings, option)))}\n"
        f"from: {clean(settings.origins[option.name])}\n"
        f"means: {option.meaning}\n"
        f"set it: `git config {option.git_spelling} VALUE`, `{option.name} = ...` in gitexp.toml,"
        f" or {option.variable}"
    )


def _find(name: str) -> Option:
    import difflib

    from gitexp.core.errors import NotFound

    asked = name.removeprefix("exp.").replace("-", "").replace("_", "").lower()
    known = {option.name.replace("-", ""): option for option in OPTIONS}
    if asked in known:
        return known[asked]
    near = [known[n].name for n in difflib.get_close_matches(asked, known, n=3)]
    raise NotFound(f"there is no setting '{name}'", near=near, hints=["`git exp config` lists all"])


def _value(settings: Settings, option: Option) -> Any:
    return getattr(settings, option.field)


def _shown(value: Any) -> str:
    if value is None or value == ():
        return "-"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, tuple):
        return ", ".join(value)
    return f"{value:g}" if isinstance(value, float) else str(value)


def _metrics(settings: Settings) -> dict[str, dict[str, Any]]:
    """Return the project's rules by metric name."""
    found: dict[str, dict[str, Any]] = {}
    for name, direction in settings.directions.items():
        found.setdefault(name, {})["direction"] = direction.value
    for name, tolerance in settings.tolerances.items():
        found.setdefault(name, {})["tolerance"] = _size(tolerance)
    for name, gate in settings.gates.items():
        found.setdefault(name, {})["gate"] = gate
    for name, rule in settings.rules.items():
        said = {
            "noise": rule.noise,
            "min_effect": rule.min_effect and _size(rule.min_effect),
            "guard": rule.guard and _size(rule.guard),
            "min": rule.least,
            "max": rule.most,
        }
        found.setdefault(name, {}).update({k: v for k, v in said.items() if v is not None})
    return dict(sorted(found.items()))


def _size(size: Tolerance) -> str:
    """Return `0.01 absolute, 0.02 relative`."""
    parts = {"absolute": size.absolute, "relative": size.relative}
    return ", ".join(f"{value:g} {kind}" for kind, value in parts.items() if value) or "0"


def _described(settings: Settings, option: Option) -> dict[str, Any]:
    value = _value(settings, option)
    return {
        "value": list(value) if isinstance(value, tuple) else value,
        "origin": settings.origins[option.name],
        "meaning": option.meaning,
        "git": option.git_spelling,
        "environment": option.variable,
    }


def _document(settings: Settings) -> dict[str, Any]:
    return {
        "schema": 1,
        "settings": {option.name: _described(settings, option) for option in OPTIONS},
        "metrics": {
            name: {**rules, **_sizes(settings, name)} for name, rules in _metrics(settings).items()
        },
        "author": settings.author,
        "warnings": settings.warnings,
    }


def _sizes(settings: Settings, name: str) -> dict[str, dict[str, float]]:
    """Return tolerance, smallest effect and guard of a metric, as JSON objects."""
    rule = settings.rules.get(name)
    sizes = {
        "tolerance": settings.tolerances.get(name),
        "min_effect": None if rule is None else rule.min_effect,
        "guard": None if rule is None else rule.guard,
    }
    return {
        key: {"absolute": size.absolute, "relative": size.relative}
        for key, size in sizes.items()
        if size is not None
    }


def _warn(settings: Settings) -> None:
    from gitexp.cli.output.errors import warn

    for warning in settings.warnings:
        warn(warning)
