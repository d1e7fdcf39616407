"""Hooks for command line parsers: argparse, click, absl, OmegaConf and Hydra.

Loaded by `sitecustomize`. A parser gets its hook when it is imported. All hooks are removed when
the first parser has returned. Exceptions of the hooks are dropped; exceptions of a parser appear
without frames of this file.
"""

from __future__ import annotations

import sys
import time

TYPE_CHECKING = False
if TYPE_CHECKING:  # an import of typing would take longer than this whole module
    from collections.abc import Callable, Iterable
    from typing import Any

SKIPPED_CALLERS = frozenset(
    "IPython _pytest accelerate cProfile debugpy fire hydra ipykernel kernprof memory_profiler pdb"
    " pytest scalene torch trace traitlets unittest viztracer".split()
)
"""Packages that parse options of their own, before or beside the program's."""


def start(report: Any) -> None:
    """Hook the parsers that are imported from now on; `report` is a `Report`."""
    patches: dict[str, Callable[[Any, Any], None]] = {
        "argparse": _hook_argparse,
        "click.core": _hook_click,
        "typer._click.core": _hook_click,
        "absl.flags._flagvalues": _hook_absl,
        "omegaconf.omegaconf": _hook_omegaconf,
        "hydra._internal.callbacks": _hook_hydra,
    }
    for name in list(patches):
        module = sys.modules.get(name)
        if module is not None:
            patches.pop(name)(module, report)
    finder = _Finder(patches, report)
    sys.meta_path.insert(0, finder)

    def undo() -> None:
        if finder in sys.meta_path:
            sys.meta_path.remove(finder)

    report.undo.append(undo)


class _Finder:
    """Import finder that adds the hooks to parser modules; other finders find the modules."""

    def __init__(self, patches: dict[str, Callable[[Any, Any], None]], report: Any) -> None:
        self._patches = patches
        self._report = report

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> Any:
        """Return the spec of the other finders, with a loader that adds the hooks afterwards."""
        if name not in self._patches or not self._report.is_open():
            return None
        patch = self._patches.pop(name)
        for finder in list(sys.meta_path):
            find = getattr(finder, "find_spec", None)
            spec = None if finder is self or find is None else find(name, path, target)
            if spec is not None:
                if hasattr(spec.loader, "exec_module"):
                    spec.loader = _Loader(spec.loader, patch, self._report)
                return spec
        return None


class _Loader:
    """Loader that runs the real loader, restores it in the module, and adds the hooks."""

    def __init__(self, inner: Any, patch: Callable[[Any, Any], None], report: Any) -> None:
        self._inner = inner
        self._patch = patch
        self._report = report

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def create_module(self, spec: Any) -> Any:
        """Create the module with the real loader."""
        return self._inner.create_module(spec)

    def exec_module(self, module: Any) -> None:
        """Execute the module, then add the hooks."""
        module.__spec__.loader = module.__loader__ = self._inner
        try:
            self._inner.exec_module(module)
        except BaseException as fault:
            _hide(fault)
            raise
        try:
            self._patch(module, self._report)
        except Exception:
            pass


def _hide(fault: BaseException) -> None:
    """Print an uncaught error without this file's frames."""
    if not isinstance(fault, Exception):
        return
    before = sys.excepthook

    def show(kind: Any, error: Any, trace: Any) -> None:
        sys.excepthook = before
        try:
            shown = _without_us(trace)
            error.__traceback__ = shown
        except Exception:
            shown = trace
        before(kind, error, shown)

    if getattr(before, "__module__", "") != __name__:
        sys.excepthook = show


def _without_us(trace: Any) -> Any:
    frames: list[Any] = []
    while trace is not None:
        is_ours = _file_of(trace) == __file__
        while is_ours and frames and _file_of(frames[-1]).startswith("<frozen importlib"):
            frames.pop()
        if not is_ours:
            frames.append(trace)
        trace = trace.tb_next
    for above, below in zip(frames, frames[1:]):
        above.tb_next = below
    if frames:
        frames[-1].tb_next = None
    return frames[0] if frames else None


def _file_of(trace: Any) -> str:
    return str(trace.tb_frame.f_code.co_filename)


def _wrap(
    owner: Any,
    name: str,
    report: Any,
    done: Callable[..., None],
    *,
    is_static: bool = False,
    before_call: Callable[..., Any] | None = None,
) -> None:
    """Replace a function of a class by one that calls it and then `done`.

    `done` receives the result, the caller's frame and the arguments. The result of `before_call`
    with the same arguments is then in `report.remembered`.
    """
    if name not in vars(owner):
        return
    before = vars(owner)[name]
    original = before.__func__ if is_static else before

    def parse(*args: Any, **kwargs: Any) -> Any:
        if not report.is_open():
            return original(*args, **kwargs)
        remembered = _safely(before_call, args, kwargs)
        report.depth += 1
        try:
            found = original(*args, **kwargs)
        except BaseException as fault:
            _hide(fault)
            raise
        finally:
            report.depth -= 1
        report.remembered = remembered
        try:
            done(found, sys._getframe(1), *args, **kwargs)
        except Exception:
            pass
        return found

    for attribute in ("__name__", "__qualname__", "__doc__", "__module__"):
        setattr(parse, attribute, getattr(original, attribute, None))
    parse.__wrapped__ = original  # type: ignore[attr-defined]
    ours = staticmethod(parse) if is_static else parse
    setattr(owner, name, ours)

    def undo() -> None:
        if vars(owner).get(name) is ours:
            setattr(owner, name, before)

    report.undo.append(undo)


def _safely(function: Callable[..., Any] | None, args: Any, kwargs: Any) -> Any:
    try:
        return function and function(*args, **kwargs)
    except Exception:
        return None


def _is_skipped(frame: Any) -> bool:
    package = str(frame.f_globals.get("__name__", "")).partition(".")[0]
    return package in SKIPPED_CALLERS


# --- argparse -------------------------------------------------------------------------------------


def _hook_argparse(module: Any, report: Any) -> None:
    for name, is_final in (
        ("parse_known_args", False),
        ("parse_args", True),
        ("parse_known_intermixed_args", False),
        ("parse_intermixed_args", True),
    ):

        def done(
            found: Any,
            frame: Any,
            parser: Any,
            args: Any = None,
            namespace: Any = None,
            *,
            is_final: bool = is_final,
        ) -> None:
            words = sys.argv[1:] if args is None else [str(word) for word in args]
            if report.depth or _is_skipped(frame) or not _is_ours(words, report):
                return
            result = found if is_final else found[0]
            given, options = _given(parser, words, module)
            values = dict(vars(result))
            given |= {
                a.dest
                for a in parser._actions
                if not a.option_strings and values.get(a.dest, a.default) is not a.default
            }
            known = [name for name in values if name in given]
            report.add("argparse", values, given=known, options=options, is_final=is_final)

        _wrap(module.ArgumentParser, name, report, done)


def _is_ours(words: list[str], report: Any) -> bool:
    """Return whether the words are the command line's, or the rest that an earlier parser left."""
    typed = sys.argv[1:]
    if not words:
        return not typed or bool(report.by)
    return all(word in typed for word in words)


def _given(parser: Any, words: list[str], module: Any) -> Any:
    """Return the names that options on the command line set, and the options with another name."""
    from_options = parser._option_string_actions
    given: set[str] = set()
    options: dict[str, str] = {}
    for number, word in enumerate(words):
        if word == "--":
            break
        option = word.partition("=")[0]
        action = from_options.get(option)
        if action is None and option.startswith("--") and parser.allow_abbrev:
            near = {id(a): a for name, a in from_options.items() if name.startswith(option)}
            action = next(iter(near.values())) if len(near) == 1 else None
        elif action is None and option[:1] == "-" and option[2:]:
            option = option[:2]
            action = from_options.get(option)
        if action is not None:
            given.add(action.dest)
            name = option.lstrip("-").replace("-", "_")
            if name != action.dest:
                options[name] = action.dest
        for inner in parser._actions:
            if isinstance(inner, module._SubParsersAction) and word in inner.choices:
                below, more = _given(inner.choices[word], words[number + 1 :], module)
                return given | below | {inner.dest}, {**options, **more}
    return given, options


# --- click ----------------------------------------------------------------------------------------


def _hook_click(module: Any, report: Any) -> None:
    def done(
        context: Any, frame: Any, command: Any, name: Any, args: Any, *rest: Any, **kw: Any
    ) -> None:
        if context.resilient_parsing or _is_skipped(frame):
            return
        if context.parent is None and not _is_ours(report.remembered or [], report):
            return
        values = dict(context.params)
        given, options = [], {}
        words = {word.partition("=")[0] for word in sys.argv[1:]}
        for parameter in command.params:
            if getattr(parameter, "hide_input", False):
                values.pop(parameter.name, None)
                continue
            source = context.get_parameter_source(parameter.name)
            if source is not None and source.name in ("COMMANDLINE", "ENVIRONMENT", "PROMPT"):
                given.append(parameter.name)
            for option in (*parameter.opts, *parameter.secondary_opts):
                short = option.lstrip("-").replace("-", "_")
                if option.startswith("-") and short != parameter.name and option in words:
                    options[short] = parameter.name
        is_leaf = not hasattr(command, "resolve_command")
        report.add("click", values, given=given, options=options, is_final=is_leaf)

    owner = module.BaseCommand if _is_old(module) else module.Command

    def words_of(command: Any, name: Any, args: Any, *rest: Any, **kw: Any) -> list[str]:
        return [str(word) for word in args]

    _wrap(owner, "make_context", report, done, before_call=words_of)


def _is_old(module: Any) -> bool:
    """Return whether this is click before 8.2, whose commands have another base class."""
    return "make_context" not in vars(module.Command)


# --- absl -----------------------------------------------------------------------------------------


def _hook_absl(module: Any, report: Any) -> None:
    def done(found: Any, frame: Any, flags: Any, *args: Any, **kw: Any) -> None:
        values: dict[str, Any] = {}
        given: list[str] = []
        options: dict[str, str] = {}
        for owner, defined in flags.flags_by_module_dict().items():
            if owner == "absl" or owner.startswith("absl."):
                continue
            for flag in defined:
                values[flag.name] = flag.value
                if flag.present:
                    given.append(flag.name)
                    options.update(_other_names(flag))
        report.add("absl", values, given=given, options=options, is_final=True)

    _wrap(module.FlagValues, "__call__", report, done)


def _other_names(flag: Any) -> dict[str, str]:
    names = [flag.short_name, "no" + flag.name if flag.boolean else None]
    return {name: flag.name for name in names if name}


# --- OmegaConf and Hydra --------------------------------------------------------------------------


def _container(module: Any, config: Any) -> dict[str, Any]:
    """Return the values of a configuration, interpolations as text: resolvers are user code."""
    found = module.OmegaConf.to_container(config, resolve=False)
    return found if isinstance(found, dict) else {}


def _hook_omegaconf(module: Any, report: Any) -> None:
    typed: list[Any] = []

    def from_cli(found: Any, frame: Any, *args: Any, **kw: Any) -> None:
        if not report.depth and not _is_skipped(frame):
            typed.append(found)
            values = _container(module, found)
            report.add("omegaconf", values, given=_leaves(values), options={}, is_final=False)

    def merge(found: Any, frame: Any, *configs: Any) -> None:
        if not report.depth and any(config is one for config in configs for one in typed):
            values = _container(module, found)
            report.add("omegaconf", values, given=(), options={}, is_final=True)

    _wrap(module.OmegaConf, "from_cli", report, from_cli, is_static=True)
    _wrap(module.OmegaConf, "merge", report, merge, is_static=True)


def _leaves(table: dict[str, Any], prefix: str = "") -> Iterable[str]:
    for name, value in table.items():
        if isinstance(value, dict):
            yield from _leaves(value, "{}{}.".format(prefix, name))
        else:
            yield prefix + str(name)


def _hook_hydra(module: Any, report: Any) -> None:
    started_s: list[float] = []

    def started(found: Any, frame: Any, callbacks: Any, config: Any, **kw: Any) -> None:
        values = _container(sys.modules["omegaconf"], config)
        hydra = values.pop("hydra", {})
        overrides = hydra.get("overrides", {}).get("task", [])
        report.add_job(
            {
                "values": values,
                "overrides": [str(word) for word in overrides][:200],
                "directory": str(hydra.get("runtime", {}).get("output_dir", "")),
                "is_sweep": "MULTIRUN" in str(hydra.get("mode", "")),
            }
        )
        started_s[:] = [time.monotonic()]

    def ended(found: Any, frame: Any, callbacks: Any, config: Any, job_return: Any) -> None:
        status = getattr(job_return.status, "name", "")
        result = None if status != "COMPLETED" else job_return.return_value
        report.end_job(status, result, time.monotonic() - started_s[0])

    _wrap(module.Callbacks, "on_job_start", report, started)
    _wrap(module.Callbacks, "on_job_end", report, ended)
