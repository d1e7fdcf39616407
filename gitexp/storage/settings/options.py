"""Settings of the user and the project, each with its origin.

In order of precedence: flag (applied by the command), environment `GITEXP_*`, git config `exp.*`,
the project's committed file (`gitexp.toml`, else `[tool.gitexp]` in `pyproject.toml`), default.
"""

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple

from gitexp.core.errors import InvalidInput, UnreadableRecord
from gitexp.core.schema.layout import DEFAULT_BRANCH
from gitexp.storage.settings.metrics import ChecksRule, read_checks, read_metric_rules
from gitexp.storage.settings.parsers import (
    HARVEST_ALL,
    choice_of,
    parse_branch,
    parse_flag,
    parse_harvest,
    parse_lines,
    parse_seconds,
    parse_size,
    parse_text,
    parse_texts,
)

if TYPE_CHECKING:
    from gitexp.adapters.git.repository import Repo
    from gitexp.core.model.run import Direction, MetricRule, Tolerance

PROJECT_FILE = "gitexp.toml"
_SECTION = b"gitexp"
"""A `pyproject.toml` without this word is not parsed."""


class Option(NamedTuple):
    """One setting: its spellings, its parser and its meaning."""

    name: str
    """Name in `gitexp.toml`, such as `push-timeout`.

    Git config spells it `exp.pushTimeout`, the environment `GITEXP_PUSH_TIMEOUT`.
    """
    parse: Callable[[object], Any]
    """Raises `ValueError` with what it expected."""
    meaning: str

    @property
    def git_key(self) -> str:
        """Key as git prints it: section and variable in lower case."""
        return "exp." + self.name.replace("-", "")

    @property
    def git_spelling(self) -> str:
        """Key as people write it in git config."""
        head, *tail = self.name.split("-")
        return "exp." + head + "".join(word.capitalize() for word in tail)

    @property
    def variable(self) -> str:
        """Environment variable."""
        return "GITEXP_" + self.name.upper().replace("-", "_")

    @property
    def field(self) -> str:
        """Attribute of `Settings`."""
        return self.name.replace("-", "_")

    @property
    def default(self) -> Any:
        """Value without a setting: the default of the attribute."""
        return Settings._field_defaults[self.field]

    @property
    def is_list(self) -> bool:
        """True if every value of git config counts, not the last only, and `--add` may add one."""
        return isinstance(self.default, tuple) and not self.default


OPTIONS: tuple[Option, ...] = (
    Option("branch", parse_branch, "the orphan branch that holds the runs"),
    Option("remote", parse_text, "the remote that push, fetch and sync use"),
    Option(
        "durability",
        choice_of("committed", "fast"),
        "committed: a record survives a power cut; fast: quicker, a power cut may cost the branch",
    ),
    Option(
        "repeat",
        choice_of("refuse", "warn", "skip", "allow"),
        "what `run` does with a trial that was tried: refuse it when it was decided discard or "
        "stop and warn otherwise, always warn, skip it, or allow it silently",
    ),
    Option("metric", parse_text, "the metric that matters most"),
    Option("metrics-files", parse_texts, "files that the command writes its metrics to"),
    Option("metric-patterns", parse_lines, "patterns that read metrics from the command's output"),
    Option(
        "keep-output",
        choice_of("tail", "full", "none"),
        "what is published of the command's output: tail, its last lines in the record; full, all "
        "of it in a file beside the record too; none. All stays in this clone for a while",
    ),
    Option("params-files", parse_texts, "files that the command reads its parameters from"),
    Option("inputs", parse_texts, "data files or folders whose content counts for a trial"),
    Option(
        "harvest",
        parse_harvest,
        "pick up the values that frameworks write to files during a run: true, false, or a list "
        "of kinds",
    ),
    Option("argv-params", parse_flag, "take `--name value` of the command as parameters"),
    Option("inject", parse_flag, "have Python programs report what their own parser returned"),
    Option(
        "seed-params",
        parse_texts,
        "parameters that only choose random numbers, beside `seed`, `random_state` and their like; "
        "`!NAME`: this one is no seed",
    ),
    Option("env-params", parse_texts, "environment variables that count as parameters"),
    Option("code-include", parse_texts, "only these paths count as code (default: all)"),
    Option("code-exclude", parse_texts, "these paths do not count as code, beside documents"),
    Option(
        "environment",
        choice_of("full", "basic", "none"),
        "what a record tells of where a run ran: full; basic: Python and packages, nothing of the "
        "machine; none",
    ),
    Option("max-file-size", parse_size, "largest untracked file a snapshot takes"),
    Option("max-snapshot-size", parse_size, "most untracked bytes a snapshot takes"),
    Option(
        "snapshot-include",
        parse_texts,
        "untracked model and data files that a snapshot takes in (`!*.csv` keeps others out)",
    ),
    Option("max-hash-size", parse_size, "most bytes hashed of files outside the snapshot"),
    Option("hooks", parse_flag, "false turns the installed hooks off"),
    Option("auto-push", parse_flag, "the pre-push hook pushes the runs too"),
    Option(
        "push-hooks",
        choice_of("always", "once"),
        "whether your own pre-push hooks run for our push too (always) or for yours only (once)",
    ),
    Option(
        "sign",
        choice_of("off", "sync"),
        "sync: a push puts one signed commit on top of the runs, with your key of git",
    ),
    Option("push-code", parse_flag, "push the files that ran too; false sends the records only"),
    Option("push-timeout", parse_seconds, "seconds that a push or fetch of ours may take"),
    Option("max-fetch-size", parse_size, "most bytes that a remote may send in one file"),
    Option("max-fetch-files", parse_size, "most files that a fetch may bring or change"),
    Option(
        "run-checks",
        parse_text,
        "the command of the project's `[checks]` that may run here after a run that succeeded",
    ),
    Option("evaluate", parse_text, "command that the pre-push hook runs once per code tree"),
)


_NONE: Mapping[str, Any] = MappingProxyType({})


class Settings(NamedTuple):
    """All settings in force. A named tuple, because defining a dataclass takes 2 ms."""

    branch: str = DEFAULT_BRANCH
    remote: str | None = None
    durability: str = "committed"
    repeat: str = "refuse"
    metric: str | None = None
    metrics_files: tuple[str, ...] = ()
    metric_patterns: tuple[str, ...] = ()
    keep_output: str = "tail"
    params_files: tuple[str, ...] = ()
    inputs: tuple[str, ...] = ()
    harvest: tuple[str, ...] = (HARVEST_ALL,)
    argv_params: bool = True
    inject: bool = True
    seed_params: tuple[str, ...] = ()
    env_params: tuple[str, ...] = ()
    code_include: tuple[str, ...] = ()
    code_exclude: tuple[str, ...] = ()
    environment: str = "full"
    max_file_size: int = 10 << 20
    max_snapshot_size: int = 50 << 20
    snapshot_include: tuple[str, ...] = ()
    max_hash_size: int = 4 << 30
    hooks: bool = True
    auto_push: bool = True
    push_hooks: str = "always"
    sign: str = "off"
    push_code: bool = True
    push_timeout: float = 60.0
    max_fetch_size: int = 1 << 30
    max_fetch_files: int = 1 << 20
    run_checks: str | None = None
    evaluate: str | None = None
    directions: "Mapping[str, Direction]" = _NONE
    """From `[metrics.NAME] direction`, by dotted metric name."""
    tolerances: "Mapping[str, Tolerance]" = _NONE
    """From `[metrics.NAME] tolerance`."""
    gates: Mapping[str, float] = _NONE
    """From `[metrics.NAME] gate`: how much worse than the best value a push may be."""
    rules: "Mapping[str, MetricRule]" = _NONE
    """From `[metrics.NAME]`: noise, min-effect, guard, min and max."""
    checks: ChecksRule | None = None
    """From `[checks]`: command that a run must pass."""
    views: Any = _NONE
    """From `[views]`, unchecked: `features/runs/views.py` reads a view when it is used."""
    views_origin: str = PROJECT_FILE
    """The file that has them, or would."""
    author: str = ""
    """`Name <email>` from git."""
    origins: Mapping[str, str] = _NONE
    """Origin of each option's value, by option name."""
    warnings: tuple[str, ...] = ()
    """One warning for each unknown key, with the most similar known one."""

    @property
    def durable(self) -> bool:
        """True if every record must survive a power cut after gitexp reports success."""
        return self.durability == "committed"


def read_settings(repo: "Repo", environ: Mapping[str, str] = os.environ) -> Settings:
    """Read the settings of a repository. Raises `InvalidInput` with the key and its origin."""
    project, project_origin = _read_project(repo.top)
    values: dict[str, Any] = {}
    origins: dict[str, str] = {}
    config = repo.config()
    for option in OPTIONS:
        found: tuple[object, str] | None = None
        if option.name in project:
            found = project[option.name], project_origin
        from_git = config.items(option.git_key)
        exact = [s for s in from_git if s.key == option.git_key]
        if exact:
            value = [s.value for s in exact] if option.is_list else exact[-1].value
            found = value, f"git config ({exact[-1].origin})"
        if option.variable in environ:
            found = environ[option.variable], f"environment {option.variable}"
        origins[option.name] = "default"
        values[option.field] = option.default
        if found is not None:
            values[option.field] = _parse(option, *found)
            origins[option.name] = found[1]
    metrics = read_metric_rules(project.get("metrics", {}), project_origin)
    checks = read_checks(project.get("checks"), project_origin)
    unknown = [s.key for s in config.items("exp.") if s.key not in _GIT_KEYS]
    unknown += [name for name in project if name not in _PROJECT_KEYS]
    return Settings(
        **values,
        **metrics,
        checks=checks,
        views=project.get("views", {}),
        views_origin=project_origin or PROJECT_FILE,
        author=_author(repo, environ),
        origins=origins,
        warnings=tuple(_unknown(key) for key in unknown),
    )


_GIT_KEYS = {option.git_key for option in OPTIONS}
_PROJECT_KEYS = {option.name for option in OPTIONS} | {"metrics", "checks", "views"}


def _parse(option: Option, value: object, origin: str) -> Any:
    try:
        return option.parse(value)
    except ValueError as error:
        raise InvalidInput(
            f"cannot use setting '{option.git_spelling}' = {value!r}",
            why=f"{error} ({origin})",
            hints=[f"it means: {option.meaning}"],
        ) from error


def _read_project(top: Path | None) -> tuple[dict[str, Any], str]:
    if top is None:
        return {}, ""
    for name, section in ((PROJECT_FILE, ()), ("pyproject.toml", ("tool", "gitexp"))):
        try:
            content = (top / name).read_bytes()
            if section and _SECTION not in content:
                continue
            from gitexp.core.schema.toml_codec import decode_table

            table: Any = decode_table(content)
        except FileNotFoundError:
            continue
        except (UnreadableRecord, OSError) as error:
            if section:
                continue  # other tools report a broken pyproject.toml
            why = error.why if isinstance(error, UnreadableRecord) else str(error)
            raise InvalidInput(f"cannot read '{name}'", why=why) from error
        for part in section:
            table = table.get(part, {}) if isinstance(table, dict) else {}
        if table:
            return table, name
    return {}, ""


def _author(repo: "Repo", environ: Mapping[str, str]) -> str:
    config = repo.config()
    name = environ.get("GIT_AUTHOR_NAME") or config.get("author.name") or config.get("user.name")
    mail = environ.get("GIT_AUTHOR_EMAIL") or config.get("author.email") or config.get("user.email")
    clean = {ord(c): None for c in "<>\n\r\0"}
    shown = (name or environ.get("USER") or "unknown").translate(clean).strip()
    return f"{shown or 'unknown'} <{(mail or 'unknown@localhost').translate(clean).strip()}>"


def _unknown(key: str) -> str:
    import difflib

    names = {k.removeprefix("exp."): k for k in (o.git_spelling for o in OPTIONS)}
    asked = key.removeprefix("exp.").replace("-", "")
    near = difflib.get_close_matches(asked, [n.lower() for n in names], n=1)
    meant = next((names[n] for n in names if near and n.lower() == near[0]), None)
    return f"unknown setting '{key}'" + (f"; did you mean '{meant}'?" if meant else "")
