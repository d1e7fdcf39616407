"""Bad input: one clear error with the documented exit code, and an unchanged repository."""

import hashlib
from pathlib import Path

import pytest

from tests.cli.conftest import Exp

ECHO = ("--", "python", "-c", "print('METRIC a=1')")


def state_of(exp: Exp) -> str:
    """Return the state that must not change: refs, index, HEAD, config and the user's files."""
    git = exp.repo.path / ".git"
    digest = hashlib.sha256(exp.repo.git("for-each-ref").encode())
    for name in ("HEAD", "index", "config"):
        digest.update((git / name).read_bytes())
    for path in sorted(exp.repo.path.rglob("*")):
        if ".git" not in path.parts and path.is_file():
            digest.update(str(path).encode() + path.read_bytes())
    return digest.hexdigest()


CASES: dict[str, tuple[tuple[str, ...], int, str]] = {
    "unknown run": (("show", "nope"), 128, "error: there is no run 'nope'"),
    "a name of 100 kB": (("show", "x" * 100_000), 128, "error: there is no run 'xxx"),
    "a NUL": (("man", "install", "--directory=a\0b"), 129, "error: an argument holds a NUL"),
    "unknown command": (
        ("shwo", "x"),
        129,
        "error: there is no command 'shwo'; did you mean 'show'?",
    ),
    "missing command": (("run",), 129, "error: the command to run is missing"),
    "no such option": (("list", "--wehre", "x"), 129, "error: there is no option '--wehre'"),
    "text without quotes": (
        ("decide", "last", "keep", "it", "is", "good"),
        129,
        "error: too many arguments: 'it is good'",
    ),
    "malformed filter": (("list", "--where", "accuracy >"), 128, "error: "),
    "hostile filter": (("list", "--where", "__import__('os').system('id')"), 128, "error: "),
    "unknown metric": (("best", "acuracy"), 128, "error: no run has a metric 'acuracy'"),
    "arguments of 1 MB": (
        ("start", "--", "true", *["x" * 100_000] * 11),
        128,
        "error: cannot record run",
    ),
    "a 70-digit integer": (
        ("record", "-S", f"seed={'7' * 70}", "--params", "big.json"),
        128,
        "error: ",
    ),
    "a value of 1 MB": (
        ("run", "--params", "long.json", *ECHO),
        128,
        "error: cannot record a parameter",
    ),
    "a name with escape sequences": (
        ("run", "-S", "a\x1b[31m=1", *ECHO),
        128,
        "error: cannot record a parameter",
    ),
    "malformed TOML": (
        ("run", "--params", "bad.toml", *ECHO),
        128,
        "error: cannot read 'bad.toml'",
    ),
    "malformed JSON": (
        ("run", "--params", "bad.json", *ECHO),
        128,
        "error: cannot read 'bad.json'",
    ),
    "malformed CSV": (
        ("record", "--metrics", "bad.csv"),
        128,
        "error: cannot take the metrics",
    ),
    "missing metrics file": (
        ("record", "--metrics", "none.json"),
        128,
        "error: cannot take the metrics",
    ),
    "missing file": (("run", "--params", "none.toml", *ECHO), 128, "error: cannot read"),
    "missing input": (("run", "--input", "none", *ECHO), 128, "error: cannot read input 'none'"),
    "nothing to record": (("record",), 128, "error: there is nothing to record"),
    "no assignment": (("run", "-S", "lr", *ECHO), 128, "error: "),
    "unknown decision": (("decide", "last", "maybe"), 129, "error: "),
    "bad tolerance": (
        ("reproduce", "--tolerance", "much", "last"),
        128,
        "error: cannot use tolerance",
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_bad_input_gives_one_clear_error(exp: Exp, case: str) -> None:
    args, code, first_line = CASES[case]
    exp.repo.write("bad.toml", "lr = = 1\n")
    exp.repo.write("bad.json", '{"lr": }')
    exp.repo.write("bad.csv", "a,b\n1,2,3\n")
    exp.repo.write("big.json", '{"seed": ' + "7" * 70 + "}")
    exp.repo.write("long.json", '{"text": "' + "x" * (1 << 20) + '"}')
    before = state_of(exp)
    done = exp(*args, check=code)
    lines = done.err.splitlines()
    assert lines[0].startswith(first_line), done.err
    assert len(lines) <= 5
    assert len(done.err) < 4000
    assert done.out == ""
    assert "Traceback" not in done.err
    assert "\x1b" not in done.err
    assert state_of(exp) == before


def test_list_without_rows_does_not_deny_the_runs(exp: Exp) -> None:
    assert "there are no runs yet" in exp("list", "-n", "0").err
    exp("record", "-M", "loss=1", "-q")
    assert exp("list", "-n", "0").err == "the only run is not shown"
    exp("record", "-M", "loss=1", "-q")
    assert exp("list", "-n", "0").err == "none of the 2 runs is shown"


def test_unusual_valid_values_are_recorded(exp: Exp) -> None:
    exp("run", "-S", "word=жук 🪲", "-S", "list=[1, 2]", "-S", "help=--x", *ECHO)
    shown = exp("list", "--json").out
    assert '"help": "--x"' in shown
    exp("record", "-M", "loss=nan", "-q")
    assert '"loss": "NaN"' in exp("show", "last", "--json").out
    exp("list")
    exp("list", "--sort-by", "loss")


def test_command_outside_a_repository_is_an_error(
    tmp_path: Path, exp: Exp, monkeypatch: pytest.MonkeyPatch
) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    monkeypatch.chdir(outside)
    done = exp("list", check=128)
    assert done.err.splitlines()[0] == "error: there is no git repository here"


def test_repository_without_commit_is_an_error(
    tmp_path: Path, exp: Exp, monkeypatch: pytest.MonkeyPatch
) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    monkeypatch.chdir(empty)
    exp.repo.git("init", "--quiet", str(empty))
    done = exp("run", *ECHO, check=128)
    assert done.err.splitlines()[0] == "error: the repository has no commit yet"
    exp("list")


def test_an_ambiguous_name_lists_the_candidates(exp: Exp) -> None:
    exp("record", "-M", "a=1", "-n", "twin", "-q")
    exp("record", "-M", "a=2", "-n", "twin", "-q")
    done = exp("show", "twin", check=128)
    assert "<1> twin" in done.err
    assert "<2> twin" in done.err


def test_foreign_branch_is_left_unchanged(exp: Exp) -> None:
    exp.repo.git("branch", "gitexp")
    before = state_of(exp)
    done = exp("run", *ECHO, check=None)
    assert "branch 'gitexp' is not gitexp's" in done.err
    assert "git config exp.branch NAME" in done.err
    assert state_of(exp) == before
    exp.repo.git("config", "exp.branch", "runs")
    exp("run", *ECHO)
    assert exp.repo.git("log", "--format=%s", "runs").count("\n") >= 1


def test_record_text_never_reaches_a_terminal_raw(exp: Exp) -> None:
    evil = "\x1b]52;c;ZXZpbA==\x07\x9b31m\u202e"
    exp(
        "record",
        "-M",
        "accuracy=1",
        "-m",
        evil,
        "-n",
        f"evil{evil}",
        "-t",
        evil,
        "-S",
        f"p={evil}",
        "-q",
    )
    exp("note", "last", evil)
    exp("decide", "last", "discard", "-m", evil)
    for args in (
        ["list"],
        ["log"],
        ["show"],
        ["best", "accuracy"],
        ["log", "--oneline"],
        ["list", "--md"],
    ):
        done = exp(*args)
        for character in "\x1b\x07\x9b\u202e":
            assert character not in done.out + done.err, args


@pytest.mark.parametrize(
    ("program", "code", "why"),
    [
        ("no-such-program", 127, "no folder of PATH has it"),
        ("./no-such-file", 127, "there is no such file"),
        ("./train.py", 126, "the file is not executable"),
    ],
)
def test_a_command_that_cannot_be_started_ends_as_in_a_shell_with_its_record(
    exp: Exp, program: str, code: int, why: str
) -> None:
    done = exp("run", "-S", "lr=1", "--", program, "--lr", "1", check=code)
    assert f"error: cannot run '{program}'\nbecause: {why}" in done.err
    assert done.err.count("cannot run") == 1
    (run_id,) = exp.ids()
    shown = exp("show", run_id).out
    assert f"failed, exit code {code}" in shown
    assert f"cannot run '{program}': {why}" in shown
    exp("doctor")


def test_text_without_quotes_gets_an_example(exp: Exp) -> None:
    told = exp("decide", "last", "keep", "it", "is", "good", check=129).err.splitlines()
    assert told[1].startswith('hint: for example `git exp decide last keep -m "')
