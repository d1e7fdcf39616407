"""Read results of benchmark programs: pytest-benchmark, criterion, hyperfine, Google Benchmark.

Values keep the unit of their file: seconds for pytest-benchmark and hyperfine, nanoseconds for
criterion, the file's `time_unit` for Google Benchmark.
"""

import json
from collections.abc import Iterator, Mapping
from typing import Any, Final

from gitexp.core.errors import InvalidInput
from gitexp.core.inputs.redaction import redact_text
from gitexp.core.model.run import Direction

Values = dict[str, float | int]

_MAX_LABEL: Final = 120
_LEAST: Final = frozenset(
    "mean median min max user system slope real_time cpu_time stddev std_dev".split()
)
_MOST: Final = frozenset(["ops", "items_per_second", "bytes_per_second"])
_NOT_COUNTERS: Final = frozenset(
    """name run_name run_type family_index per_family_instance_index repetitions repetition_index
    threads iterations real_time cpu_time time_unit aggregate_name aggregate_unit label
    error_occurred error_message complexity_n""".split()
)


def load_json(content: bytes) -> Any:
    """Parse a JSON document. Raises `InvalidInput`."""
    try:
        return json.loads(content)
    except (ValueError, RecursionError) as error:
        why = "it is nested too deep" if isinstance(error, RecursionError) else str(error)[:200]
        raise InvalidInput("it is not JSON", why=why) from error


def kind_of(document: object) -> str | None:
    """Return the name of the program that wrote a JSON document; `None` if it is unknown."""
    if not isinstance(document, dict):
        return None
    results, benchmarks = document.get("results"), document.get("benchmarks")
    if _is_list_with(results, "command", "mean"):
        return "hyperfine"
    if _is_list_with(benchmarks, "stats", "name") and "machine_info" in document:
        return "pytest-benchmark"
    if _is_list_with(benchmarks, "name", "real_time") or _is_list_with(benchmarks, "name", "rms"):
        return "google-benchmark" if isinstance(document.get("context"), dict) else None
    return None


def _is_list_with(value: object, *names: str) -> bool:
    return (
        isinstance(value, list)
        and bool(value)
        and isinstance(value[0], dict)
        and all(name in value[0] for name in names)
    )


def read_benchmarks(document: Mapping[str, Any], kind: str) -> Values:
    """Return the metrics of a document of this kind, as `benchmark.statistic`."""
    readers = {
        "hyperfine": _hyperfine,
        "pytest-benchmark": _pytest_benchmark,
        "google-benchmark": _google,
    }
    return {
        name: value
        for name, value in readers[kind](document)
        if isinstance(value, int | float) and not isinstance(value, bool)
    }


def directions_of(metrics: Mapping[str, object]) -> dict[str, Direction]:
    """Return directions: minimize times, maximize rates."""
    found = {}
    for name in metrics:
        statistic = name.rpartition(".")[2]
        if statistic in _LEAST:
            found[name] = Direction.MINIMIZE
        elif statistic in _MOST:
            found[name] = Direction.MAXIMIZE
    return found


def _label(value: object) -> str:
    """Format a benchmark's name as part of a metric's name: one line, no secrets, shortened."""
    return " ".join(redact_text(str(value)).split())[:_MAX_LABEL]


def _hyperfine(document: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for result in document["results"]:
        if isinstance(result, dict):
            for name in ("mean", "stddev", "median", "min", "max", "user", "system"):
                yield f"{_label(result.get('command'))}.{name}", result.get(name)


def _pytest_benchmark(document: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    entries = [entry for entry in document["benchmarks"] if isinstance(entry, dict)]
    names = [entry.get("name") for entry in entries]
    for entry in entries:
        is_alone = names.count(entry.get("name")) == 1
        label = _label(entry.get("name") if is_alone else entry.get("fullname"))
        stats = entry.get("stats")
        for name in ("mean", "stddev", "median", "min", "max", "ops"):
            if isinstance(stats, dict):
                yield f"{label}.{name}", stats.get(name)


def _google(document: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    entries = [entry for entry in document["benchmarks"] if isinstance(entry, dict)]
    summed = {entry.get("run_name") for entry in entries if entry.get("run_type") == "aggregate"}
    for entry in entries:
        if entry.get("error_occurred"):
            continue
        label = _label(entry.get("run_name") or entry.get("name"))
        if entry.get("run_type") == "aggregate":
            # a coefficient of variation and a fitted curve are not times
            statistic = entry.get("aggregate_name")
            if statistic in ("mean", "median", "stddev") and entry.get("time_unit"):
                yield f"{label}.{statistic}", entry.get("real_time")
                yield f"{label}.cpu_{statistic}", entry.get("cpu_time")
        elif entry.get("run_name") not in summed:
            yield f"{label}.real_time", entry.get("real_time")
            yield f"{label}.cpu_time", entry.get("cpu_time")
            for name, value in entry.items():
                if name not in _NOT_COUNTERS:
                    yield f"{label}.{name}", value


def read_criterion(estimates: Any, benchmark: Any, fallback: str) -> Values:
    """Return the point estimates of a criterion benchmark in nanoseconds. Raises `InvalidInput`."""
    label = benchmark.get("full_id") if isinstance(benchmark, dict) else None
    found: Values = {}
    for name in ("mean", "median", "std_dev", "slope"):
        estimate = estimates.get(name) if isinstance(estimates, dict) else None
        value = estimate.get("point_estimate") if isinstance(estimate, dict) else None
        if isinstance(value, int | float) and not isinstance(value, bool):
            found[f"{_label(label or fallback)}.{name}"] = value
    if not found:
        raise InvalidInput("it has no estimates")
    return found
