"""Read the tables `metrics` and `checks` of the project's settings file.

`metrics` declares properties of metrics; `checks` declares a command that a run must pass.
"""

from collections.abc import Callable, Container, Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

from gitexp.core.errors import InvalidInput
from gitexp.storage.settings.parsers import parse_number

if TYPE_CHECKING:
    from gitexp.core.model.run import MetricRule, Tolerance


class ChecksRule(NamedTuple):
    """Command of the project that checks a successful run: may its result be kept?"""

    command: str
    timeout_s: float = 600.0


def _finite(value: object) -> float:
    parsed = parse_number(value)
    if parsed - parsed != 0:
        raise ValueError("expected a finite number")
    return parsed


def read_metric_rules(table: Any, origin: str) -> dict[str, Any]:
    """Return the rules of every metric, as the fields of `Settings` that hold them.

    Raises `InvalidInput` naming the metric and the key.
    """
    if not table:
        return {"directions": {}, "tolerances": {}, "gates": {}, "rules": {}}
    from gitexp.core.model.run import Direction, MetricRule

    found: dict[str, dict[str, Any]] = {"direction": {}, "tolerance": {}, "gate": {}}
    parse: dict[str, Callable[[Any], Any]] = {
        "direction": Direction,
        "tolerance": _tolerance,
        "gate": _finite,
        "noise": _size_of_effect,
        "min-effect": _effect,
        "guard": _effect,
        "min": parse_number,
        "max": parse_number,
    }
    fields = {"min-effect": "min_effect", "min": "least", "max": "most"}
    rules: dict[str, MetricRule] = {}
    if not isinstance(table, dict):
        raise _no_table("metrics", table, origin)
    for name, said in _rules(table, parse, origin):
        declared: dict[str, Any] = {}
        for key, value in said.items():
            try:
                parsed = parse[key](value)
            except (KeyError, ValueError, TypeError) as error:
                raise _unusable_rule(key, name, value, origin, error) from error
            if key in found:
                found[key][name] = parsed
            else:
                declared[fields.get(key, key)] = parsed
        if declared:
            rules[name] = _rule(name, MetricRule(**declared), origin)
    return {
        "directions": found["direction"],
        "tolerances": found["tolerance"],
        "gates": found["gate"],
        "rules": rules,
    }


def _unusable_rule(
    key: str, name: str, value: object, origin: str, error: Exception
) -> InvalidInput:
    known = "direction, tolerance, gate, noise, min-effect, guard, min and max"
    why = "" if isinstance(error, KeyError) else f": {error}"
    return InvalidInput(
        f"cannot use setting '{key}' of metric '{name}'",
        why=f"{value!r} in {origin}{why}",
        hints=[f"a metric has {known}; see docs/settings.md"],
    )


def _rule(name: str, rule: "MetricRule", origin: str) -> "MetricRule":
    """Return the rule. Raises `InvalidInput` if its bounds contradict each other."""
    if rule.least is not None and rule.most is not None and rule.least > rule.most:
        raise InvalidInput(
            f"cannot use the bounds of metric '{name}'",
            why=f"min {rule.least:g} is more than max {rule.most:g} in {origin}",
        )
    return rule


def _size_of_effect(value: object) -> float:
    size = parse_number(value)
    if not 0 <= size < float("inf"):
        raise ValueError("expected a number of 0 or more")
    return size


def _effect(value: object) -> "Tolerance":
    """Parse a size in the metric's unit or relative to the reference value.

    Examples: 0.01, "2%", { relative = 0.02 }. Raises `ValueError`, `TypeError`.
    """
    from gitexp.core.model.run import Tolerance

    if isinstance(value, str) and value.strip().endswith("%"):
        effect = Tolerance(relative=_size_of_effect(value.strip()[:-1]) / 100)
    elif isinstance(value, dict):
        effect = _tolerance(value)
    else:
        effect = Tolerance(absolute=_size_of_effect(value))
    if effect.absolute < 0 or effect.relative < 0:
        raise ValueError("expected a size of 0 or more")
    return effect


def read_checks(table: Any, origin: str) -> ChecksRule | None:
    """Return the checks of the project, if it has any. Raises `InvalidInput`."""
    if not table:
        return None
    try:
        unknown = sorted(set(table) - {"command", "timeout"})
        if unknown:
            raise ValueError(f"there is no '{unknown[0]}'")
        timeout = parse_number(table.get("timeout", ChecksRule("").timeout_s))
        if not 0 < timeout < float("inf"):
            raise ValueError("the timeout must be more than 0 seconds")
        return ChecksRule(_command(table.get("command")), timeout)
    except (ValueError, TypeError, AttributeError) as error:
        raise InvalidInput(
            "cannot use the setting 'checks'",
            why=f"{error} ({origin})",
            hints=['write `[checks]` with `command = "sh checks.sh"` and `timeout = 60`'],
        ) from error


def _rules(
    table: dict[str, Any], known: Container[str], origin: str
) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield dotted name and rules of every metric: `[metrics.val.loss]` declares `val.loss`.

    Raises `InvalidInput` for a metric without a table.
    """
    for name, rules in table.items():
        if not isinstance(rules, dict):
            raise _no_table(f"metrics.{name}", rules, origin)
        below = {k: v for k, v in rules.items() if k not in known and isinstance(v, dict)}
        yield name, {key: value for key, value in rules.items() if key not in below}
        for inner, its_rules in _rules(below, known, origin):
            yield f"{name}.{inner}", its_rules


def _no_table(name: str, value: object, origin: str) -> InvalidInput:
    return InvalidInput(
        f"cannot use setting '{name}'",
        why=f"{value!r} in {origin} is no table",
        hints=['write `[metrics.loss]` with `direction = "minimize"`; see docs/settings.md'],
    )


def _tolerance(value: Any) -> "Tolerance":
    from gitexp.core.model.run import Tolerance

    if isinstance(value, dict):
        return Tolerance(**{key: _size_of_effect(inner) for key, inner in value.items()})
    return Tolerance(absolute=_size_of_effect(value))


def _command(value: object) -> str:
    if not isinstance(value, str) or not value.strip():
        raise ValueError("expected a command")
    return value
