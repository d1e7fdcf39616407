"""Parameters and metrics from files and arguments, and redaction of secrets."""

import json
import math
import sys
import time
from collections.abc import Callable
from datetime import date
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gitexp.core.errors import InvalidInput
from gitexp.core.inputs.argv import (
    fill_template,
    format_value,
    iter_options,
    parse_assignment,
    parse_assignments,
    parse_value,
    with_values,
)
from gitexp.core.inputs.credentials import secret_content
from gitexp.core.inputs.files import parse_metrics, parse_params, parse_table
from gitexp.core.inputs.guessed_params import params_from_argv
from gitexp.core.inputs.redaction import (
    REDACTED,
    is_secret_name,
    redact_argv,
    redact_table,
    redact_text,
)
from gitexp.core.model.run import Table

# --- files: one table -----------------------------------------------------------------------------

SAME_TABLE = {
    ".toml": b'lr = 0.001\nname = "x"\non = true\n[model]\ndepth = 3\nsizes = [1, 2]\n',
    ".json": b'{"lr": 1e-3, "name": "x", "on": true, "model": {"depth": 3, "sizes": [1, 2]}}',
    ".yaml": b"lr: 1e-3\nname: x\non: yes\nmodel:\n  depth: 3\n  sizes: [1, 2]\n".replace(
        b"on:", b"'on':"
    ),
    ".yml": b"{lr: 1e-3, name: x, 'on': true, model: {depth: 3, sizes: [1, 2], none: null}}",
    ".JSON": b'\xef\xbb\xbf{"lr": 1e-3, "name": "x", "on": true, "no": null, '
    b'"model": {"depth": 3, "sizes": [1, null, 2]}}',
}


@pytest.mark.parametrize("suffix", SAME_TABLE)
def test_every_format_gives_the_same_table(suffix: str) -> None:
    assert parse_params(SAME_TABLE[suffix], suffix) == {
        "lr": 0.001,
        "name": "x",
        "on": True,
        "model": {"depth": 3, "sizes": [1, 2]},
    }


@pytest.mark.parametrize("text", ["1e-3", "1E-3", "+1e-3", "1.e-3", "1.0e-3", "0.001"])
def test_yaml_numbers_with_exponent_are_numbers(text: str) -> None:
    assert parse_table(f"x: {text}".encode(), ".yaml") == {"x": 0.001}
    assert parse_table(f"x: '{text}'".encode(), ".yaml") == {"x": text}


def test_yaml_keys_become_text() -> None:
    assert parse_table(b"3: a\ntrue: b\n2.5: c\n2026-01-02: d", ".yaml") == {
        "3": "a",
        "true": "b",
        "2.5": "c",
        "2026-01-02": "d",
    }
    assert parse_table(b"day: 2026-01-02", ".yaml") == {"day": date(2026, 1, 2)}


@pytest.mark.parametrize("suffix", [".toml", ".yaml"])
def test_an_empty_file_is_an_empty_table(suffix: str) -> None:
    assert parse_table(b"", suffix) == {}


def test_infinite_numbers_and_nan_are_read() -> None:
    table, _ = parse_metrics(b'{"a": NaN, "b": Infinity, "c": -Infinity}', ".json")
    assert repr(table) == "{'a': nan, 'b': inf, 'c': -inf}"
    assert repr(parse_table(b"a: .nan\nb: -.inf", ".yaml")) == "{'a': nan, 'b': -inf}"


MALFORMED = [
    (b'{"a": 1,\n "b": }', ".json", "Expecting value at line 2, column 7"),
    (b'{"a": 1, "a": 2}', ".json", "the name 'a' occurs twice"),
    (b"", ".json", "Expecting value at line 1, column 1"),
    (b"3", ".json", "expected a table of names and values, found a number"),
    (b'"x"', ".json", "expected a table of names and values, found a text"),
    (b"\xff", ".json", "it is not UTF-8 at byte 0"),
    (b"a = 1\nb = = 2", ".toml", "Invalid value (at line 2, column 5)"),
    (b"a = 1\na = 2", ".toml", "Cannot overwrite a value"),
    (b"a: 1\nb: [", ".yaml", "at line 2, column 5"),
    (b"a: 1\n\tb: 2", ".yaml", "at line 2, column 1"),
    (b"- 1\n- 2", ".yaml", "expected a table of names and values, found a list"),
    (b"!!python/object/apply:os.system [ls]", ".yaml", "could not determine a constructor"),
    (b"a: 2026-99-99", ".yaml", "month must be in 1..12"),
    (b"x", ".pkl", "'.pkl' is not a known format"),
]


@pytest.mark.parametrize(("data", "suffix", "why"), MALFORMED, ids=range(len(MALFORMED)))
def test_a_malformed_file_says_where(data: bytes, suffix: str, why: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        parse_params(data, suffix, name=f"conf/params{suffix}")
    assert caught.value.what == f"cannot read 'conf/params{suffix}'"
    assert caught.value.why is not None
    assert why in caught.value.why


@pytest.mark.parametrize(
    ("data", "suffix"),
    [
        (b'{"a": 1e999999, "b": 99999999999999999999}', ".json"),
        (b"b: 99999999999999999999", ".yml"),
    ],
)
def test_an_integer_beyond_64_bits_is_named(data: bytes, suffix: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        parse_params(data, suffix)
    assert caught.value.why == (
        "parameter 'b' is an integer of more than 64 bits; quote it to keep it as text"
    )


def test_without_pyyaml_the_hint_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "yaml", None)
    with pytest.raises(InvalidInput) as caught:
        parse_table(b"a: 1", ".yaml", name="p.yaml")
    assert caught.value.why == "PyYAML is not installed"
    assert caught.value.hints == ("`pip install 'gitexp[yaml]'`",)


FILE_BOMBS: dict[str, tuple[Callable[[], bytes], str]] = {
    "deep JSON": (lambda: b'{"a":' * 100_000, ".json"),
    "deep JSON list": (lambda: b"[" * 100_000 + b"]" * 100_000, ".json"),
    "deep JSON, not too deep for Python": (lambda: b'{"a":' * 200 + b"1" + b"}" * 200, ".json"),
    "JSON number": (lambda: b'{"a": ' + b"9" * 1_000_000 + b"}", ".json"),
    "deep TOML": (lambda: b"a = " + b"[" * 100_000, ".toml"),
    "deep TOML tables": (lambda: b"a = " + b"{b=" * 100_000, ".toml"),
    "deep YAML": (lambda: b"a: " + b"[" * 20_000, ".yaml"),
    "YAML that holds itself": (lambda: b"a: &x [*x]", ".yaml"),
    "billion laughs": (
        lambda: (
            b"a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n"
            + b"".join(
                f"a{n}: &a{n} [{','.join([f'*a{n - 1}'] * 10)}]\n".encode() for n in range(1, 10)
            )
        ),
        ".yaml",
    ),
}


@pytest.mark.parametrize("what", FILE_BOMBS)
def test_exponential_file_is_refused_quickly(what: str) -> None:
    make, suffix = FILE_BOMBS[what]
    data = make()
    started = time.perf_counter()
    with pytest.raises(InvalidInput):
        parse_params(data, suffix)
    assert time.perf_counter() - started < 3


@settings(max_examples=200)
@given(st.binary(max_size=80), st.sampled_from([*SAME_TABLE, ".csv", ".tsv", ".jsonl"]))
def test_any_bytes_are_metrics_or_one_invalid_input(data: bytes, suffix: str) -> None:
    try:
        parse_metrics(data, suffix)
    except InvalidInput as error:
        assert error.why


# --- files: rows ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "suffix"),
    [
        (b"step,time,loss,val.acc\n0,0.5,1.5,\n1,1.0,1.25,0.5\n2,1.5,1,\n", ".csv"),
        (b"step\ttime\tloss\tval.acc\r\n0\t0.5\t1.5\t\r\n1\t1.0\t1.25\t0.5\r\n2\t1.5\t1\t", ".tsv"),
        (
            b'{"step": 0, "time": 0.5, "loss": 1.5}\n'
            b'{"step": 1, "time": 1.0, "loss": 1.25, "val": {"acc": 0.5}}\n\n'
            b'{"step": 2, "time": 1.5, "loss": 1, "val": null}\n',
            ".jsonl",
        ),
        (
            b'[{"step": 0, "time": 0.5, "loss": 1.5},'
            b'{"step": 1, "time": 1.0, "loss": 1.25, "val": {"acc": 0.5}},'
            b'{"step": 2, "time": 1.5, "loss": 1}]',
            ".json",
        ),
    ],
    ids=["csv", "tsv", "jsonl", "json"],
)
def test_rows_give_last_values_and_a_series(data: bytes, suffix: str) -> None:
    table, series = parse_metrics(data, suffix)
    assert table == {"loss": 1, "val": {"acc": 0.5}}
    assert series == [
        {"step": 0, "time": 0.5, "loss": 1.5},
        {"step": 1, "time": 1.0, "loss": 1.25, "val.acc": 0.5},
        {"step": 2, "time": 1.5, "loss": 1},
    ]


def test_a_single_row_is_no_series() -> None:
    assert parse_metrics(b"accuracy,time\n0.5,3\n", ".csv") == ({"accuracy": 0.5, "time": 3}, [])
    assert parse_metrics(b"step,time,loss\n9,3,0.5\n", ".csv") == ({"loss": 0.5}, [])
    assert parse_metrics(b'{"a": 1}', ".jsonl") == ({"a": 1}, [])
    assert parse_metrics(b"a,b\n", ".csv") == ({}, [])
    assert parse_metrics(b"", ".csv") == ({}, [])


def test_a_table_is_no_series() -> None:
    assert parse_metrics(b'{"a": {"b": 1}}', ".json") == ({"a": {"b": 1}}, [])


def test_a_list_of_named_objects_is_a_table_by_their_names() -> None:
    text = """{"results": [{"command": "sleep 0.1", "mean": 0.5, "times": [0.4, 0.6]}],
        "benchmarks": [{"name": "BM_A", "ns": 1}, {"name": "B.M", "ns": 2}],
        "folds": [{"acc": 0.5}, {"acc": 0.6}], "mixed": [{"a": 1}, 2], "same":
        [{"name": "x", "v": 1}, {"name": "x", "v": 2}]}"""
    metrics, series = parse_metrics(text.encode(), ".json")
    assert series == []
    assert metrics == {
        "results": {"sleep 0.1": {"mean": 0.5, "times": [0.4, 0.6]}},
        "benchmarks": {"BM_A": {"ns": 1}, "B_M": {"name": "B.M", "ns": 2}},
        "folds": {"0": {"acc": 0.5}, "1": {"acc": 0.6}},
        "mixed": [{"a": 1}, 2],
        "same": {"0": {"name": "x", "v": 1}, "1": {"name": "x", "v": 2}},
    }


def test_a_history_of_lists_gives_last_values_and_a_series() -> None:
    metrics, series = parse_metrics(b'{"loss": [3, 2.5], "val_loss": [4, 3]}', ".json")
    assert metrics == {"loss": 2.5, "val_loss": 3}
    assert series == [{"loss": 3, "val_loss": 4}, {"loss": 2.5, "val_loss": 3}]


@pytest.mark.parametrize(
    "text",
    [
        '{"f1": [0.9, 0.8], "recall": [0.7, 0.6]}',  # one value for each class
        '{"loss": [3, 2], "acc": [1]}',
        '{"loss": [3, 2], "acc": 1}',
        '{"loss": ["a", "b"]}',
        '{"loss": []}',
    ],
)
def test_other_lists_stay_lists(text: str) -> None:
    metrics, series = parse_metrics(text.encode(), ".json")
    assert (metrics, series) == (json.loads(text), [])


def test_a_last_line_cut_off_by_a_crash_is_left_out() -> None:
    assert parse_metrics(b"step,loss\n0,1\n1,2\n2", ".csv")[0] == {"loss": 2}
    assert parse_metrics(b'{"loss": 1}\n{"loss": 2}\n{"lo', ".jsonl")[0] == {"loss": 2}


@pytest.mark.parametrize(
    ("data", "suffix", "why"),
    [
        (b"a,b\n1,2\n3\n4,5\n", ".csv", "line 3 has 1 cells, not 2"),
        (b"a,b\n1,2\n3\n", ".csv", "line 3 has 1 cells, not 2"),
        (b"a,a\n1,2\n", ".csv", "the first line must name every column, each once"),
        (b"a,,b\n1,2,3\n", ".csv", "the first line must name every column, each once"),
        (b'{"a": 1}\n{"a": }\n{"a": 3}\n', ".jsonl", "Expecting value at line 2, column 7"),
        (b'{"a": 1}\n[1]\n', ".jsonl", "expected a table of names and values, found a list"),
        (b'a\n"x', ".csv", "unexpected end of data at line 2"),
    ],
)
def test_malformed_rows_say_where(data: bytes, suffix: str, why: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        parse_metrics(data, suffix)
    assert caught.value.why == why


def test_columns_that_cannot_nest_stay_flat() -> None:
    table, series = parse_metrics(b"a,a.b,.c\n1,2,3\n4,5,6\n", ".csv")
    assert table == {"a": 4, "a.b": 5, ".c": 6}
    assert series[0] == {"a": 1, "a.b": 2, ".c": 3}


def test_cells_are_typed() -> None:
    table, _ = parse_metrics(b'i,f,n,t,b,l\n3,1e-3,nan,007,True,"[1]"\n', ".csv")
    assert repr(table) == "{'i': 3, 'f': 0.001, 'n': nan, 't': '007', 'b': True, 'l': '[1]'}"


# --- values and assignments -----------------------------------------------------------------------

TYPED: list[tuple[str, Any]] = [
    ("3", 3),
    ("-3", -3),
    ("+3", 3),
    ("0", 0),
    ("007", "007"),
    ("1_000", "1_000"),
    ("9223372036854775807", 2**63 - 1),
    ("9223372036854775808", "9223372036854775808"),
    ("1e-3", 0.001),
    ("1E5", 100000.0),
    (".5", 0.5),
    ("5.", 5.0),
    ("inf", math.inf),
    ("-inf", -math.inf),
    ("true", True),
    ("False", False),
    ("TRUE", "TRUE"),
    ("", ""),
    ("text", "text"),
    ("two words", "two words"),
    ('"3"', "3"),
    ("'3'", "3"),
    ('"', '"'),
    ("[1, 2.5, 'x']", [1, 2.5, "x"]),
    ('["a", null, true]', ["a", True]),
    ('{"a": 1, "b": null}', {"a": 1}),
    ("{a = 1}", {"a": 1}),
    ("[not, a list", "[not, a list"),
    ("[1]\nx = 2", "[1]\nx = 2"),
    ("[" * 5000, "[" * 5000),
    ("2026-01-02", "2026-01-02"),
    ("1e", "1e"),
    ("0x10", "0x10"),
    ("٣", "٣"),
    ("none", "none"),
]


@pytest.mark.parametrize(("text", "value"), TYPED, ids=range(len(TYPED)))
def test_values_are_typed(text: str, value: Any) -> None:
    found = parse_value(text)
    assert repr(found) == repr(value)


def test_nan_is_a_number() -> None:
    found = parse_value("nan")
    assert isinstance(found, float)
    assert math.isnan(found)


@given(st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats() | st.lists(st.integers(0, 9)))
def test_formatted_values_are_read_back(value: Any) -> None:
    assert repr(parse_value(format_value(value))) == repr(value)


@pytest.mark.parametrize(
    ("text", "path", "value"),
    [
        ("a=1", ["a"], 1),
        ("a.b=x=y", ["a", "b"], "x=y"),
        ('a."b.c"=1', ["a", "b.c"], 1),
        ("'a=b'.c=1", ["a=b", "c"], 1),
        ("a-b.c_d=", ["a-b", "c_d"], ""),
        (" a . b = 1", ["a", "b"], 1),
    ],
)
def test_assignment_is_parsed(text: str, path: list[str], value: Any) -> None:
    assert parse_assignment(text) == (path, value)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("a", "it has no `=`"),
        ("", "it has no `=`"),
        ("=1", "its name is not readable"),
        ("a..b=1", "its name is not readable"),
        (".a=1", "its name is not readable"),
        ("a.=1", "its name is not readable"),
        ('"a=1', "its name is not readable"),
    ],
)
def test_invalid_assignment_is_refused(text: str, why: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        parse_assignment(text)
    assert caught.value.what == f"cannot read the assignment '{text}'"
    assert caught.value.why == why


def test_assignment_creates_missing_tables() -> None:
    assert parse_assignments(["a.x=1", "a.b.c=2", "a.x=3", 'a."y.z"=4']) == {
        "a": {"x": 3, "b": {"c": 2}, "y.z": 4}
    }
    table: Table = {"a": {"x": 3, "b": {"c": 2}}}
    assert with_values(table, [(["a", "b", "c"], 5)]) == {"a": {"x": 3, "b": {"c": 5}}}
    assert table == {"a": {"x": 3, "b": {"c": 2}}}
    with pytest.raises(InvalidInput) as caught:
        with_values(table, [(["a", "x", "y"], 1)])
    assert (caught.value.what, caught.value.why) == (
        "cannot set 'a.x.y'",
        "'a.x' is already a value",
    )
    with pytest.raises(InvalidInput, match=r"cannot set 'a\.b'"):
        with_values(table, [(["a", "b"], 1)])


# --- the user's command ---------------------------------------------------------------------------


def test_options_are_found_with_their_positions() -> None:
    argv = ["python", "x.py", "--lr", "0.1", "--fast", "--n=3", "-v", "--last"]
    assert [(o.name, o.value, argv[o.start : o.stop]) for o in iter_options(argv)] == [
        ("lr", "0.1", ["--lr", "0.1"]),
        ("fast", None, ["--fast"]),
        ("n", "3", ["--n=3"]),
        ("last", None, ["--last"]),
    ]


@pytest.mark.parametrize(
    ("argv", "params"),
    [
        (["--lr", "1e-3", "--n-layers=3"], {"lr": 0.001, "n_layers": 3}),
        (["--fast", "--name", "x"], {"fast": True, "name": "x"}),
        (["--x", "-1", "--y", "-.5", "--z", "-inf"], {"x": -1, "y": -0.5, "z": -math.inf}),
        (["--a", "1", "--a", "2"], {"a": [1, 2]}),
        (["--a", "-b"], {"a": True, "b": True}),
        (["--model.depth", "3", "--model.width=4"], {"model": {"depth": 3, "width": 4}}),
        (["--m", "x", "--m.d", "3"], {"m": "x", "m.d": 3}),
        (["--", "--lr", "1"], {"lr": 1}),
        (["--e="], {"e": ""}),
        (["---x", "--1", "-x", "plain", "--"], {"x": "plain"}),
        ([], {}),
        (["t", "--layers", "64", "64", "a.csv", "--n", "1"], {"layers": [64, 64], "n": 1}),
        (["t", "--x", "-1", "-.5", "-e", "3"], {"x": [-1, -0.5], "e": 3}),
        (["t", "--verbose", "data.csv", "--no-cache", "x"], {"verbose": True, "no_cache": True}),
        (["t", "--verbose", "2", "--cuda", "false"], {"verbose": 2, "cuda": False}),
        (["t", "--use-amp", "a", "--data", "b"], {"use_amp": True, "data": "b"}),
        (["t", "-e", "3", "-v", "in.txt", "-o", "out.txt"], {"e": 3, "v": True, "o": "out.txt"}),
        (["t", "-j4", "-O2", "-lr", "0.1", "-xvf", "a.tar"], {"j": 4, "O": 2, "lr": 0.1}),
        (["t", "-e=3", "-", "-1", "--", "-e", "4"], {"e": 3}),
        (
            ["t", "lr=0.1", "+a.b=1", "++c=[1, 2]", "~d", "~e.f=2", "db@src=x"],
            {"lr": 0.1, "a": {"b": 1}, "c": [1, 2], "~d": True, "~e": {"f": 2}, "db@src": "x"},
        ),
        (["t", "hydra.run.dir=x", "hydra/launcher=y", "./a=b", "http://x/?a=1", "=1"], {}),
        (["python", "-u", "-W", "ignore", "t.py", "-e", "3"], {"e": 3}),
        (["python3.11", "-m", "pkg.train", "-e", "3", "a=1"], {"e": 3, "a": 1}),
        (["python", "-c", "print(1)", "-e", "3"], {"e": 3}),
        (["env", "A=1", "./prog", "-e", "3"], {}),
        (["/usr/bin/env", "A=1", "python", "t.py", "-e", "3"], {"e": 3}),
        (["torchrun", "--standalone", "t.py", "--lr", "1"], {"standalone": True, "lr": 1}),
        (["uv", "run", "--", "python", "t.py", "--lr", "1"], {"lr": 1}),
        (["python", "t.py", "-m", "lr=1,2"], {"m": True, "lr": "1,2"}),
        (["make", "-j", "8", "CC=gcc"], {"j": 8, "CC": "gcc"}),
        (["dd", "if=a", "of=b", "bs=1M"], {"if": "a", "of": "b", "bs": "1M"}),
    ],
)
def test_parameters_are_guessed_from_the_command(argv: list[str], params: Table) -> None:
    assert params_from_argv(argv) == params


@given(
    st.lists(
        st.text(max_size=8)
        | st.sampled_from(
            ["--a", "--a.b", "--a=1", "--a.b.c", "--", "-e", "-e3", "a.b=1", "~a", "1"]
        )
    )
)
def test_guessing_parameters_never_raises(argv: list[str]) -> None:
    params_from_argv(argv)
    params_from_argv(["python", "t.py", *argv])


PARAMS: Table = {"lr": 0.1, "on": True, "model": {"name": "tiny"}, "sizes": [1, 2], "s": "{lr}"}


@pytest.mark.parametrize(
    ("template", "filled"),
    [
        ("--lr={lr}", "--lr=0.1"),
        ("{model.name}-{on}", "tiny-true"),
        ("{sizes}", "[1, 2]"),
        ("{unknown}", "{unknown}"),
        ("{model}", "{model}"),
        ("{{lr}}", "{{lr}}"),
        ('{"a": {lr}}', '{"a": 0.1}'),
        ('{"lr": 1}', '{"lr": 1}'),
        ("${lr} {} { lr }", "$0.1 {} { lr }"),
        ("{s}", "{lr}"),
        ("{lr}{lr}", "0.10.1"),
    ],
)
def test_template_is_filled(template: str, filled: str) -> None:
    assert fill_template([template], PARAMS) == [filled]


# --- secrets --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    """key api_key apiKey API_KEY api-key wandb.api_key openaiApiKey token hf_token HF_TOKEN
    auth_token secret client_secret secret_access_key password db_password passwd credential
    credentials auth basic_auth authorization aws_access_key_id private_key token2 accessToken
    passphrase""".split(),
)
def test_secret_names_are_recognized(name: str) -> None:
    assert is_secret_name(name)


@pytest.mark.parametrize(
    "name",
    """num_tokens max_tokens tokenizer token_count key_dim keypoints monkey lr author authority
    pad_token eos_token sort_key primary_key max_new_tokens tokens n_token keyboard secretary
    password_length key_size token_type n_keys passes compass credentials_path""".split(),
)
def test_other_names_are_no_secrets(name: str) -> None:
    assert not is_secret_name(name)


@pytest.mark.parametrize(
    ("argv", "redacted"),
    [
        (["--api-key", "abc", "x"], ["--api-key", REDACTED, "x"]),
        (["--api-key=abc"], [f"--api-key={REDACTED}"]),
        (["--password", "12345"], ["--password", REDACTED]),
        (["--token", "5"], ["--token", "5"]),
        (["--auth"], ["--auth"]),
        (["--max-tokens", "512"], ["--max-tokens", "512"]),
        (["--api-key", "{api_key}"], ["--api-key", "{api_key}"]),
        (["env", "API_KEY=abc", "python"], ["env", f"API_KEY={REDACTED}", "python"]),
        (["model.api_key=abc"], [f"model.api_key={REDACTED}"]),
        (
            ["clone", "https://ada:pw@example.org/x?a=b"],
            ["clone", f"https://{REDACTED}@example.org/x?a=b"],
        ),
        (["https://example.org/x@y"], ["https://example.org/x@y"]),
        (
            ["-H", "Authorization: Bearer abcdefgh"],
            ["-H", f"Authorization: {REDACTED}"],
        ),
        (["x", f"ghp_{'a1' * 18}"], ["x", REDACTED]),
        (["--lr", "0.1"], ["--lr", "0.1"]),
    ],
)
def test_secrets_in_arguments_are_redacted(argv: list[str], redacted: list[str]) -> None:
    assert redact_argv(argv) == redacted


@pytest.mark.parametrize(
    "text",
    [
        "AKIAIOSFODNN7EXAMPLE",
        "ghp_" + "a1" * 18,
        "github_pat_" + "a1" * 20,
        "sk-proj-" + "a1" * 20,
        "xoxb-1234567890-abcdef",
        "hf_" + "aB" * 17,
        "AIza" + "a" * 35,
        "glpat-" + "a" * 20,
        "npm_" + "a1" * 18,
        "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.abc-_1",
        "-----BEGIN RSA PRIVATE KEY-----\nabc\n-----END RSA PRIVATE KEY-----",
        "-----BEGIN PRIVATE KEY-----\nwithout end",
    ],
)
def test_secret_pattern_is_found_anywhere(text: str) -> None:
    assert redact_text(text) == REDACTED
    assert redact_text(f"a {text}") == f"a {REDACTED}"
    assert secret_content(f"x = {text}".encode()), "an untracked file with it would be kept"


@pytest.mark.parametrize(
    "text",
    ["sk-learn-model-long-name-here", "task-" + "a1" * 20, "AKIA", "a@b.c", "http://host:80/a", ""],
)
def test_text_that_resembles_a_secret_stays(text: str) -> None:
    assert redact_text(text) == text
    assert not secret_content(text.encode())


def test_secrets_in_tables_are_redacted() -> None:
    table: Table = {
        "api_key": "abc",
        "password": 12345,
        "token": True,
        "max_tokens": 512,
        "nested": {"secret": ["a", "b"], "url": "postgres://u:p@host/db"},
        "lr": 0.1,
        "key": "",
        "day": date(2026, 1, 2),
    }
    assert redact_table(table) == {
        "api_key": REDACTED,
        "password": REDACTED,
        "token": True,
        "max_tokens": 512,
        "nested": {"secret": [REDACTED, REDACTED], "url": f"postgres://{REDACTED}@host/db"},
        "lr": 0.1,
        "key": "",
        "day": date(2026, 1, 2),
    }
    assert table["api_key"] == "abc"


@pytest.mark.parametrize(
    "text",
    [
        "://" + "a:" * 50_000,
        "a" * 200_000 + "://",
        "-----BEGIN " * 20_000,
        "eyJ" * 50_000,
        "bearer " * 30_000,
        "sk-" + "a" * 200_000,
    ],
)
def test_redaction_takes_linear_time(text: str) -> None:
    started = time.perf_counter()
    redact_text(text)
    assert time.perf_counter() - started < 1
