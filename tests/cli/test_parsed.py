"""Real programs, unchanged: the record has the result of their own parser, and nothing else."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from gitexp.cli.app import run
from gitexp.features.harvest.parsed_params import injected, read_report, report_path
from tests.cli.conftest import Exp
from tests.conftest import some_daily

ARGPARSE = """\
import argparse
import pathlib

parser = argparse.ArgumentParser()
parser.add_argument("data", type=pathlib.Path, nargs="?")
parser.add_argument("--layers", type=int, nargs="+", default=[1])
parser.add_argument("-e", "--epochs", type=int, default=3)
parser.add_argument("--verbose", action="store_true")
parser.add_argument("--no-cuda", dest="cuda", action="store_false")
parser.add_argument("--limit", type=float, default=float("inf"))
parser.add_argument("--resume")
parser.add_argument("--api-key")
args = parser.parse_args()
print(args.layers, args.epochs)
"""

CLICK = """\
import click

@click.group()
@click.option("--seed", default=1)
def cli(seed):
    pass

@cli.command()
@click.option("-l", "--learning-rate", "lr", type=float, default=0.1)
@click.option("--cuda/--no-cuda", default=True)
@click.option("--pin", prompt=True, hide_input=True, default="0000")
@click.argument("files", nargs=-1, type=click.Path())
def train(lr, cuda, pin, files):
    print(lr, cuda, files)

cli()
"""

ABSL = """\
from absl import app, flags

FLAGS = flags.FLAGS
flags.DEFINE_float("lr", 0.1, "rate")
flags.DEFINE_multi_integer("layers", [1], "layers")
flags.DEFINE_bool("cuda", True, "device")

def main(argv):
    print(FLAGS.lr, FLAGS.layers)

app.run(main)
"""

HYDRA = """\
import hydra

@hydra.main(config_path="conf", config_name="config", version_base=None)
def main(cfg):
    print(cfg.lr, cfg.net.width)

main()
"""

OMEGACONF = """\
from omegaconf import OmegaConf

config = OmegaConf.merge(OmegaConf.load("conf/config.yaml"), OmegaConf.from_cli())
print(config.lr)
"""

CONFIG = 'lr: 0.1\nnet: {width: 8, wide: "${net.width}", name: "n${lr}", now: "${now:%Y}"}\n'


@pytest.fixture
def programs(exp: Exp) -> Exp:
    exp.repo.commit(
        {
            "arg.py": ARGPARSE,
            "cli.py": CLICK,
            "flags_.py": ABSL,
            "app.py": HYDRA,
            "omega.py": OMEGACONF,
            "conf/config.yaml": CONFIG,
            ".gitignore": "outputs/\n__pycache__/\n",
        }
    )
    return exp


def last(exp: Exp) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(exp("show", "last", "--json").out)
    return document["runs"][0] if "runs" in document else document


def test_argparse_values_are_recorded(programs: Exp) -> None:
    argv = ("python", "arg.py", "d.csv", "--layers", "64", "64", "-e", "5", "--no-cuda")
    programs("run", "--", *argv, "--api-key", "hunter2secret")
    found = last(programs)
    assert found["params"] == {
        "data": "d.csv",
        "layers": [64, 64],
        "epochs": 5,
        "verbose": False,
        "cuda": False,
        "limit": "Infinity",
        "api_key": "[redacted]",
    }
    assert found["parsed"] == found["params"]
    assert found["parser"]["by"] == "argparse"
    assert found["parser"]["given"] == ["api_key", "cuda", "data", "epochs", "layers"]
    assert "hunter2secret" not in programs.repo.git("grep", "-r", "hunter2", "gitexp", check=False)


def test_click_values_are_recorded(programs: Exp) -> None:
    programs("run", "--", "python", "cli.py", "--seed", "3", "train", "-l", "0.2", "--pin=1", "a")
    found = last(programs)
    assert found["parsed"] == {"seed": 3, "lr": 0.2, "cuda": True, "files": ["a"]}
    assert found["parser"]["given"] == ["files", "lr", "seed"]


def test_absl_values_are_recorded(programs: Exp) -> None:
    programs("run", "--", "python", "flags_.py", "--lr=0.5", "--layers=3", "--layers=4", "--nocuda")
    found = last(programs)
    assert found["params"] == {"lr": 0.5, "layers": [3, 4], "cuda": False}
    assert found["parser"]["given"] == ["cuda", "layers", "lr"]


def test_hydra_values_are_recorded(programs: Exp) -> None:
    programs("run", "--", "python", "app.py", "lr=0.5", "+seed=1")
    found = last(programs)
    width = {"width": 8, "wide": 8, "name": "n0.5", "now": "${now:%Y}"}
    assert found["parsed"] == {"lr": 0.5, "net": width, "seed": 1}
    assert found["parser"] == {"by": "hydra", "given": ["lr", "seed"]}


def test_omegaconf_values_are_recorded_without_hydra(programs: Exp) -> None:
    programs("run", "--", "python", "omega.py", "lr=0.7")
    assert last(programs)["parsed"]["lr"] == 0.7
    assert last(programs)["parser"] == {"by": "omegaconf", "given": ["lr"]}


def test_tables_and_filters_use_parsed_values(programs: Exp) -> None:
    programs("run", "--", "python", "arg.py", "-e", "5")
    programs("run", "--", "python", "arg.py", "-e", "6")
    assert programs("list", "--name-only", "--where", "epochs == 5").out == "<run 1>"
    assert programs("list", "--name-only", "--where", "verbose == False").out == "<run 2>\n<run 1>"
    shown = programs("show", "last").out
    assert "epochs   6\n" in shown
    assert "verbose  false (default)\n" in shown
    header = programs("list").out.splitlines()[0].split()
    assert "epochs" in header
    assert "e" not in header


def test_parsed_values_do_not_change_the_fingerprint(programs: Exp) -> None:
    programs("run", "--", "python", "arg.py", "-e", "5")
    programs("run", "--no-inject", "--again", "--", "python", "arg.py", "-e", "5")
    first, second = (
        json.loads(programs("show", name, "--json").out)["runs"][0] for name in ("@{1}", "last")
    )
    assert first["fingerprint"] == second["fingerprint"]
    assert "parsed" in first
    assert "parsed" not in second


def test_setting_turns_the_parser_report_off(programs: Exp) -> None:
    programs.repo.git("config", "exp.inject", "false")
    programs("run", "--", "python", "arg.py")
    assert "parsed" not in last(programs)


TWO_PHASES = """\
import argparse

first = argparse.ArgumentParser(add_help=False)
first.add_argument("--config", default="")
known, rest = first.parse_known_args()
second = argparse.ArgumentParser()
second.add_argument("--lr", type=float, default=0.1)
sub = second.add_subparsers(dest="what")
sub.add_parser("fit").add_argument("--steps", type=int, default=2)
second.parse_args(rest)
argparse.ArgumentParser().parse_args([])
"""


@pytest.mark.parametrize(
    ("argv", "parsed"),
    [
        ([], {"config": "", "lr": 0.1}),
        (["--config", "x", "fit"], {"config": "x", "lr": 0.1, "what": "fit", "steps": 2}),
        (["--lr", "3", "fit", "--st", "5"], {"config": "", "lr": 3.0, "what": "fit", "steps": 5}),
    ],
)
def test_second_parser_gets_the_words_that_the_first_leaves(
    exp: Exp, argv: list[str], parsed: dict[str, Any]
) -> None:
    exp.repo.commit({"two.py": TWO_PHASES})
    exp("run", "--", "python", "two.py", *argv)
    assert last(exp)["parsed"] == parsed


def test_click_command_with_other_arguments_is_not_recorded(programs: Exp) -> None:
    other = "import sys, click\n@click.command()\n@click.option('--x')\ndef f(x): pass\n"
    other += "f(['--x', '1'], standalone_mode=False)\n"
    programs.repo.commit({"two.py": other + CLICK})
    programs("run", "--", "python", "two.py", "--seed", "3", "train", "--pin", "1")
    assert last(programs)["parsed"]["seed"] == 3
    assert "x" not in last(programs)["parsed"]


# --- whose parser it is ---------------------------------------------------------------------------

LOOK = "import argparse\np = argparse.ArgumentParser()\np.add_argument('--{0}')\np.parse_args()\n"


def test_script_reports_its_first_program_with_a_parser(exp: Exp) -> None:
    script = "python -c 'print(1)'\npython -m pip --version >/dev/null\n"
    script += "python one.py --one 1\npython two.py --two 2\n"
    exp.repo.commit({"one.py": LOOK.format("one"), "two.py": LOOK.format("two"), "all.sh": script})
    exp("run", "--", "sh", "all.sh")
    assert last(exp)["parsed"] == {"one": "1"}
    assert "several programs that parsed different parameters" in last(exp)["warnings"][0]


def test_programs_that_parse_the_same_are_no_warning(exp: Exp) -> None:
    exp.repo.commit({"one.py": LOOK.format("one")})
    exp("run", "--", "sh", "-c", "for i in 1 2; do python one.py --one 1; done")
    assert last(exp)["parsed"] == {"one": "1"}
    assert "warnings" not in last(exp)
    exp("run", "--", "sh", "-c", "for i in 1 2; do python one.py --one $i; done")
    assert "several programs" in last(exp)["warnings"][0]


STEPS = """\
import argparse
parser = argparse.ArgumentParser()
parser.add_argument("--config", default="base")
parser.parse_known_args()
parser.add_argument("--lr", type=float, default=0.1)
parser.add_argument("--local-rank", type=int, default=0)
parser.parse_args()
"""


@pytest.mark.parametrize(
    ("first", "second", "is_other"),
    [
        ("", "", False),
        ("--local-rank 0", "--local-rank 1", False),
        ("--lr 0.1", "--lr 0.2", True),
        ("--config base", "--config other", True),
    ],
)
def test_programs_that_parse_in_two_steps_are_compared_as_a_whole(
    exp: Exp, first: str, second: str, is_other: bool
) -> None:
    exp.repo.commit({"steps.py": STEPS})
    exp("run", "--", "sh", "-c", f"python steps.py {first}; python steps.py {second}")
    assert last(exp)["parsed"] == {"config": "base", "local_rank": 0, "lr": 0.1}
    assert ("several programs" in str(last(exp).get("warnings"))) is is_other


def test_a_program_without_options_parses_no_other_values(exp: Exp) -> None:
    bare = "import argparse; argparse.ArgumentParser().parse_args()"
    exp.repo.commit({"one.py": LOOK.format("one"), "bare.py": bare})
    exp("run", "--", "sh", "-c", "python one.py --one 1; python bare.py")
    assert last(exp)["parsed"] == {"one": "1"}
    assert "warnings" not in last(exp)


def test_child_programs_report_nothing(exp: Exp) -> None:
    main = "import subprocess, sys\nsubprocess.run([sys.executable, 'one.py', '--one', '1'])\n"
    exp.repo.commit({"one.py": LOOK.format("one"), "main.py": main + LOOK.format("main")})
    exp("run", "--", "python", "main.py", "--main", "2")
    assert last(exp)["parsed"] == {"main": "2"}


def test_forked_child_reports_nothing(exp: Exp) -> None:
    main = "import os\nif os.fork() == 0:\n    import argparse\n"
    main += "    p = argparse.ArgumentParser(); p.add_argument('--x'); p.parse_args()\n"
    main += "    os._exit(0)\nos.wait()\n"
    exp.repo.commit({"main.py": main})
    exp("run", "--", "python", "main.py", "--x", "2")
    assert "parsed" not in last(exp)


@pytest.mark.parametrize("name", ["RANK", "LOCAL_RANK", "SLURM_PROCID"])
def test_only_rank_zero_reports(exp: Exp, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    exp.repo.commit({"one.py": LOOK.format("one")})
    monkeypatch.setenv(name, "1")
    exp("run", "--", "python", "one.py", "--one", "1")
    assert "parsed" not in last(exp)
    monkeypatch.setenv(name, "0")
    exp("run", "--again", "--", "python", "one.py", "--one", "1")
    assert last(exp)["parsed"] == {"one": "1"}


def test_launcher_passes_the_report_variables_on(exp: Exp) -> None:
    launcher = "import argparse, os, subprocess, sys\np = argparse.ArgumentParser()\n"
    launcher += "p.add_argument('--n'); p.add_argument('rest', nargs='...'); a = p.parse_args()\n"
    launcher += "for rank in '10':\n"
    launcher += "    subprocess.run([sys.executable, *a.rest], env={**os.environ, 'RANK': rank})\n"
    exp.repo.commit({"torchrun.py": launcher, "one.py": LOOK.format("one")})
    exp("run", "--", "python", "torchrun.py", "--n", "2", "one.py", "--one", "1")
    assert last(exp)["parsed"] == {"one": "1"}


# --- the command is not touched -------------------------------------------------------------------

TELL = """\
import os, sys
import argparse
p = argparse.ArgumentParser()
p.add_argument("--x", type=lambda text: {}[text])
p.add_argument("--y")
args = p.parse_args()
print(args, "sitecustomize" in sys.modules, sys.path, [type(f).__name__ for f in sys.meta_path])
print(p.parse_args.__code__.co_filename, [n for n in sys.modules if "gitexp" in n])
print(sorted(n for n in os.environ if not n.startswith("GITEXP_")), os.environ.get("PYTHONPATH"))
print(sorted(n for n in os.environ if n.startswith("GITEXP_")), file=sys.stderr)
open("log.txt").fileno()
"""

SPAWN = """\
import argparse, multiprocessing, os, sys

def work(n):
    return n, sys.path, "sitecustomize" in sys.modules, os.environ.get("PYTHONPATH")

if __name__ == "__main__":
    p = argparse.ArgumentParser()
    p.add_argument("--how")
    with multiprocessing.get_context(p.parse_args().how).Pool(1) as pool:
        print(pool.map(work, [1, 2]))
"""

GITEXP_NAMES = "['GITEXP_JOURNAL', 'GITEXP_PARAMS', 'GITEXP_RUN', 'GITEXP_STARTED_S']\n"


def both(
    exp: Exp, capfd: pytest.CaptureFixture[str], *argv: str
) -> tuple[tuple[int, str, str], tuple[int, str, str]]:
    """Return exit code, output and errors of a command alone, and under `git exp run`."""
    # Python's own view of the variables: readline may have set COLUMNS behind its back.
    env = dict(os.environ)
    alone = subprocess.run(argv, env=env, capture_output=True, text=True, check=False)
    capfd.readouterr()
    code = run(["run", "-q", "--again", "--", *argv])
    out, err = capfd.readouterr()
    err = "".join(x for x in err.splitlines(keepends=True) if not x.startswith("warning: "))
    return (alone.returncode, alone.stdout, alone.stderr), (code, out, err)


@pytest.mark.parametrize(
    "flags", [[], ["-I"], ["-S"], ["-E"], ["-I", "-S", "-E"], ["-B", "-u"], ["-X", "dev"]]
)
@pytest.mark.parametrize("python_path", some_daily([None, "", "lib", ":lib:"], 2))
def test_program_sees_no_trace_of_gitexp(
    exp: Exp,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    flags: list[str],
    python_path: str | None,
) -> None:
    exp.repo.commit({"tell.py": TELL, "lib/x.py": "", "log.txt": ""})
    if python_path is not None:
        monkeypatch.setenv("PYTHONPATH", python_path)
    alone, ours = both(exp, capfd, "python", *flags, "tell.py", "--y", "1")
    names = GITEXP_NAMES
    if "-I" in flags or "-E" in flags or "-S" in flags:
        # Python did not look at our directory: what it would have removed is still there.
        assert ours[0] == alone[0]
        assert ours[1].splitlines()[:2] == alone[1].splitlines()[:2] or "-S" in flags
        return
    assert ours[:2] == alone[:2]
    assert ours[2] == alone[2].replace("[]\n", names)


@pytest.mark.parametrize("how", ["spawn", "fork", "forkserver"])
def test_multiprocessing_works_as_without_gitexp(
    exp: Exp, capfd: pytest.CaptureFixture[str], how: str
) -> None:
    exp.repo.commit({"pool.py": SPAWN})
    alone, ours = both(exp, capfd, "python", "pool.py", "--how", how)
    assert ours == alone
    assert last(exp)["parsed"] == {"how": how}


@pytest.mark.parametrize(
    "argv", [["--x", "1"], ["--nothing"], ["--help"], ["--y"]], ids=["error", "bad", "help", "cut"]
)
def test_parser_errors_look_as_without_gitexp(
    exp: Exp, capfd: pytest.CaptureFixture[str], argv: list[str]
) -> None:
    exp.repo.commit({"tell.py": TELL})
    alone, ours = both(exp, capfd, "python", "tell.py", *argv)
    assert ours == alone
    assert "parsed" not in last(exp)


def test_import_error_looks_as_without_gitexp(exp: Exp, capfd: pytest.CaptureFixture[str]) -> None:
    exp.repo.commit({"argparse.py": "import nothing_of_that_name\n", "x.py": "import argparse\n"})
    alone, ours = both(exp, capfd, "python", "x.py")
    assert ours == alone
    exp.repo.commit({"argparse.py": "1 / 0\n"})
    alone, ours = both(exp, capfd, "python", "x.py")
    assert ours == alone


@pytest.mark.parametrize("custom", ["print('mine')\n", "1 / 0\n", "import nothing_there\n"])
def test_the_users_own_sitecustomize_runs(
    exp: Exp,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    custom: str,
) -> None:
    exp.repo.commit({"lib/sitecustomize.py": custom, "tell.py": TELL, "log.txt": ""})
    monkeypatch.setenv("PYTHONPATH", "lib")
    alone, ours = both(exp, capfd, "python", "tell.py", "--y", "1")
    assert ours == (*alone[:2], alone[2].replace("[]\n", GITEXP_NAMES))


def test_a_shell_gets_only_documented_variables(
    exp: Exp, capfd: pytest.CaptureFixture[str]
) -> None:
    alone, ours = both(exp, capfd, "sh", "-c", "env | cut -d= -f1 | sort | grep -v '^_$'")
    more = "GITEXP_JOURNAL GITEXP_PARAMS GITEXP_REPORT GITEXP_RUN GITEXP_STARTED_S PYTHONPATH"
    assert {*ours[1].split()} - {*alone[1].split()} == {*more.split()}


def test_a_missing_temporary_directory_harms_nothing(
    exp: Exp, monkeypatch: pytest.MonkeyPatch
) -> None:
    exp.repo.commit({"one.py": LOOK.format("one")})
    monkeypatch.setenv("TMPDIR", "/nowhere/at/all")
    exp("run", "--", "python", "one.py", "--one", "1")
    assert last(exp)["parsed"] == {"one": "1"}


def test_an_old_python_reads_the_file() -> None:
    """No annotation, no f-string: even Python 2 must reach the version check."""
    import ast

    from gitexp.adapters.inject import path

    tree = ast.parse((Path(path.__file__).parent / "sitecustomize.py").read_text())
    for node in ast.walk(tree):
        assert not isinstance(node, ast.JoinedStr | ast.AnnAssign | ast.NamedExpr)
        if isinstance(node, ast.FunctionDef):
            assert node.returns is None
            assert all(a.annotation is None for a in node.args.args)


# --- faults ---------------------------------------------------------------------------------------


def test_a_report_that_cannot_be_written_is_a_warning(exp: Exp) -> None:
    block = "import os\nos.mkdir(os.environ['GITEXP_JOURNAL'].replace('.journal', '.report'))\n"
    exp.repo.commit({"one.py": block + LOOK.format("one")})
    done = exp("run", "--", "python", "one.py", "--one", "1")
    assert "warning: cannot read the program's parameters" in done.err
    assert last(exp)["outcome"] == "succeeded"
    assert last(exp)["params"] == {"one": 1}


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\xff\xfe",
        b"import os",
        b"{'by': 'x'}",
        b"[1]",
        b"{'by': 1, 'values': {'a': object}, 'given': [], 'options': {}, 'jobs': []}",
        b"{'by': 'x', 'values': {'a': None}, 'given': [], 'options': {}, 'jobs': []}",
        b"{'by': 'x', 'values': {'a': ('float', 'y')}, 'given': [], 'options': {}, 'jobs': []}",
        b"(" * 5000,
        b"{'by': 'x', 'values': {'a': " + b"[" * 90 + b"]" * 90 + b"}, 'given': [], 'options': {}",
    ],
)
def test_a_damaged_report_is_a_warning(tmp_path: Path, content: bytes) -> None:
    path = report_path(tmp_path, "0123456789abcdef")
    path.write_bytes(content)
    report = read_report(path)
    assert report is not None
    assert report.values == {}
    assert report.warnings == ("cannot read the program's parameters: the report is damaged",)


def test_missing_report_is_a_warning(tmp_path: Path) -> None:
    path = report_path(tmp_path, "0123456789abcdef")
    assert read_report(path) is None
    path.with_name(path.name + ".claim").touch()
    report = read_report(path)
    assert report is not None
    assert "could not write" in report.warnings[0]


ODD = """\
import argparse, enum, pathlib

class Colour(enum.Enum):
    RED = 1

class Plain:
    pass

class Loud:
    def __str__(self):
        raise OSError

class Text(str):
    pass

p = argparse.ArgumentParser()
p.set_defaults(func=print, colour=Colour.RED, plain=Plain(), loud=Loud(), text=Text("t"),
    big=2**70, many=list(range(1000)), path=pathlib.Path("a/b"), table={"a": {"b": (1, None)}},
    long="x" * 100000, nan=float("nan"), bytes=b"x", word="\\ud800", none=None, **{"a b.c": 1})
p.parse_args()
"""


def test_unusual_values_become_bounded_text(exp: Exp) -> None:
    exp.repo.commit({"odd.py": ODD.replace("loud=Loud(), ", "")})
    exp("run", "--", "python", "odd.py")
    found = last(exp)["parsed"]
    assert len(found.pop("many")) == 200
    assert len(found.pop("long")) == 2000
    assert found == {
        "colour": "RED",
        "text": "t",
        "big": hex(2**70),
        "path": "a/b",
        "table": {"a": {"b": [1, "None"]}},
        "nan": "NaN",
        "bytes": "b'x'",
        "a b": {"c": 1},
    }


def test_a_value_that_raises_is_left_out(exp: Exp) -> None:
    exp.repo.commit({"odd.py": ODD})
    exp("run", "--", "python", "odd.py")
    assert last(exp)["parsed"]["colour"] == "RED"
    assert "loud" not in last(exp)["parsed"]


def test_report_is_deleted_after_the_run(programs: Exp) -> None:
    programs("run", "--", "python", "arg.py")
    journals = programs.repo.path / ".git" / "gitexp" / "journal"
    assert [path.name for path in journals.iterdir() if ".report" in path.name] == []


def test_a_run_whose_wrapper_was_killed_keeps_what_was_parsed(exp: Exp) -> None:
    kill = "import os, signal\nos.kill(os.getppid(), signal.SIGKILL)\n"
    exp.repo.commit({"one.py": LOOK.format("one") + kill})
    argv = ["python", "-m", "gitexp", "run", "--", "python", "one.py", "--one", "1"]
    subprocess.run(argv, check=False, capture_output=True)
    exp("recover")
    found = last(exp)
    assert found["outcome"] == "interrupted"
    assert found["parsed"] == {"one": "1"}
    journals = exp.repo.path / ".git" / "gitexp" / "journal"
    assert [path.name for path in journals.iterdir() if ".report" in path.name] == []


def test_hooks_import_no_module_that_the_program_does_not_use(tmp_path: Path) -> None:
    """A program imports only gitexp's few files more: no json, no typing, no argparse."""
    told = "import sys; print(*sorted(sys.modules))"
    report = report_path(tmp_path, "R")
    bare = {n: v for n, v in os.environ.items() if n != "PYTHONPATH"}
    env = {**bare, "GITEXP_RUN": "R", **injected({}, report)}
    found = [
        subprocess.run(
            [sys.executable, "-c", told], env=e, capture_output=True, text=True, check=True
        ).stdout.split()
        for e in (bare, env)
    ]
    assert found[0] == found[1]


# --- what was given and what was received ---------------------------------------------------------


def test_an_unknown_placeholder_beside_a_given_parameter_is_an_error(programs: Exp) -> None:
    argv = ("--", "python", "arg.py", "--epochs", "{epoch}")
    done = programs("run", "-S", "epochs=3", *argv, check=128)
    assert done.err == (
        "error: cannot fill in '{epoch}'\n"
        "because: no parameter is called 'epoch'\n"
        "hint: did you mean `{epochs}`?"
    )
    assert not programs.repo.git("for-each-ref", "refs/heads/gitexp")
    script = "echo {print} ${HOME} {{x}} | awk '{print}'"
    programs("run", "-S", "n=3", "--", "sh", "-c", script, "sh", "{n}")


def test_unused_given_parameter_is_a_warning(programs: Exp) -> None:
    done = programs("run", "-S", "epochs=5", "--", "python", "arg.py")
    told = "warning: the command does not seem to receive epochs: it has no `{epochs}`"
    assert done.err.count(told) == 1
    assert "warning: -S epochs=5 is not what ran: the program parsed epochs = 3" in done.err
    assert last(programs)["params"]["epochs"] == 3
    assert last(programs)["given"] == {"epochs": 5}
    assert len(last(programs)["warnings"]) == 2


@pytest.mark.parametrize(
    "argv",
    [
        ["python", "arg.py", "--epochs", "{epochs}"],
        ["sh", "-c", "cat $GITEXP_PARAMS"],
        ["python", "reads.py"],
    ],
)
def test_used_given_parameter_is_no_warning(programs: Exp, argv: list[str]) -> None:
    programs.repo.commit({"reads.py": "import os\nopen(os.environ['GITEXP_PARAMS']).read()\n"})
    assert "warning" not in programs("run", "-S", "epochs=5", "--", *argv).err


def test_option_that_overrides_a_given_parameter_is_a_warning(programs: Exp) -> None:
    argv = ("--", "python", "arg.py", "-e", "6")
    done = programs("run", "-S", "epochs=5", *argv)
    assert "warning: -S epochs=5 is not what ran: the program parsed epochs = 6" in done.err


def test_warning_about_a_parameter_shows_no_secret(programs: Exp) -> None:
    argv = ("--", "python", "arg.py", "--api-key", "abcdefgh1")
    done = programs("run", "-S", "api_key=hunter2secret", *argv)
    assert "hunter2" not in done.err
    assert "abcdefgh1" not in programs("show", "last", "--json").out


# --- Hydra ----------------------------------------------------------------------------------------

SWEEP = """\
import hydra

@hydra.main(config_path="conf", config_name="config", version_base=None)
def main(cfg):
    print("METRIC loss=%s" % (2 * cfg.lr))
    if cfg.lr > 0.6:
        raise ValueError("too high")
    return 3 * cfg.lr

main()
"""


def test_multirun_records_a_linked_run_for_each_job(programs: Exp) -> None:
    programs.repo.commit({"sweep.py": SWEEP, ".gitignore": "multirun/\n"})
    argv = ("python", "sweep.py", "-m", "lr=0.5,0.6,0.7", "net.width=16")
    done = programs("run", "-n", "sweep", "--", *argv, check=1)
    assert "3 jobs, each recorded as a run whose parent is <" in done.err
    found = json.loads(programs("list", "--json").out)["runs"]
    sweep = next(run for run in found if run["name"] == "sweep")
    assert sweep["parsed"]["net"]["width"] == 16
    assert "lr" not in sweep["parsed"]
    assert sweep["metrics"] == {"loss": 1.4}
    jobs = sorted((run for run in found if run is not sweep), key=lambda run: run["clock"])
    assert [job["name"] for job in jobs] == ["sweep-0", "sweep-1", "sweep-2"]
    assert [job["outcome"] for job in jobs] == ["succeeded", "succeeded", "failed"]
    assert [job["metrics"].get("loss") for job in jobs] == [1.0, 1.2, 1.4]
    assert [job["metrics"].get("result") for job in jobs] == [1.5, 3 * 0.6, None]
    assert {job["parent"] for job in jobs} == {sweep["id"]}
    assert jobs[0]["params"]["lr"] == 0.5
    assert jobs[0]["given"] == {"lr": 0.5, "net": {"width": 16}}
    assert jobs[0]["command"]["argv"] == ["python", "sweep.py", "lr=0.5", "net.width=16"]
    assert jobs[0]["clock"] > sweep["clock"]
    again = programs("tried", "--", *jobs[0]["command"]["argv"], check=1)
    assert "sweep-0" in again.out


def test_a_multirun_without_ignored_directories_is_tried(programs: Exp) -> None:
    programs.repo.commit({"sweep.py": SWEEP})
    argv = ("python", "sweep.py", "-m", "lr=0.1,0.2")
    programs("run", "-n", "sweep", "--", *argv)
    assert "sweep-0" in programs("tried", "--", "python", "sweep.py", "lr=0.1", check=1).out
    assert "this very trial was run before" in programs("tried", "--", *argv, check=1).out


JOBLIB = """\
import hydra, logging

@hydra.main(config_path="conf", config_name="config", version_base=None)
def main(cfg):
    print("METRIC printed=%s" % cfg.lr)
    logging.getLogger("train").info("METRIC loss=%s" % (2 * cfg.lr))
    if cfg.lr > 0.6:
        raise ValueError("too high")

main()
"""


def jobs_of(exp: Exp) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Return the sweep and its jobs, in order."""
    found = json.loads(exp("list", "--json").out)["runs"]
    (sweep,) = [run for run in found if run["name"] == "sweep"]
    jobs = sorted((run for run in found if run is not sweep), key=lambda run: run["clock"])
    assert {job["parent"] for job in jobs} <= {sweep["id"]}
    return sweep, jobs


@pytest.mark.long
@pytest.mark.parametrize(("rates", "code"), [("0.5,0.6", 0), ("0.5,0.7", 1)])
def test_jobs_that_ran_in_other_processes_are_recorded(
    programs: Exp, rates: str, code: int
) -> None:
    pytest.importorskip("hydra_plugins.hydra_joblib_launcher")
    programs.repo.commit({"sweep.py": JOBLIB, ".gitignore": "multirun/\n"})
    argv = ("python", "sweep.py", "-m", "hydra/launcher=joblib", f"lr={rates}", "net.width=16")
    done = programs("run", "-n", "sweep", "--", *argv, check=code)
    assert "the jobs of the sweep ran in other processes" in done.err
    sweep, jobs = jobs_of(programs)
    assert "lr" not in sweep["parsed"]
    assert sweep["parsed"]["net"]["width"] == 16
    assert [job["params"]["lr"] for job in jobs] == [float(rate) for rate in rates.split(",")]
    assert jobs[0]["command"]["argv"][2:] == ["lr=0.5", "net.width=16"]
    assert {job["outcome"] for job in jobs} == {"unknown" if code else "succeeded"}
    assert jobs[0]["metrics"] == {"loss": 1.0}


APART = """\
import pathlib
print("[2026-01-01 00:00:00,000][HYDRA] Launching jobs, sweep output dir : here/it/is")
for number in range(COUNT):
    folder = pathlib.Path("here/it/is/%s" % number)
    (folder / ".hydra").mkdir(parents=True)
    (folder / ".hydra/config.yaml").write_text("lr: 0.%s\\nwidth: 8\\n" % number)
    if number < 2:
        (folder / ".hydra/overrides.yaml").write_text("- lr=0.%s\\n" % number)
    (folder / "app.log").write_text("[x][INFO] - METRIC loss=%s\\n" % number)
    print("METRIC loss=9")
"""


@pytest.mark.parametrize("count", [3, 0])
def test_jobs_of_other_processes_are_read_from_their_files(exp: Exp, count: int) -> None:
    exp.repo.write("here/it/is/7/.hydra/config.yaml", "lr: 7\n")
    for path in ("here/it/is/7/.hydra", "here/it/is/7"):
        os.utime(exp.repo.path / path, (1e9, 1e9))
    exp.repo.commit({"app.py": APART.replace("COUNT", str(count)), ".gitignore": "here/\n"})
    done = exp("run", "-n", "sweep", "--", "python", "app.py", "-m", "lr=0,1,2")
    sweep, jobs = jobs_of(exp)
    assert [job["metrics"] for job in jobs] == [{"loss": 0}, {"loss": 1}][:count]
    assert [job["params"]["lr"] for job in jobs] == [0.0, 0.1][:count]
    assert sweep.get("parsed", {}) == ({"width": 8} if count else {})
    lost = "1 jobs of the sweep are" if count else "the jobs of the sweep are"
    assert f"{lost} not recorded as runs: no configuration of theirs in " in done.err


@pytest.mark.parametrize("flags", [["--no-inject"], []])
def test_the_configuration_that_hydra_wrote_is_read(programs: Exp, flags: list[str]) -> None:
    old = programs.repo.write("outputs/2020-01-01/00-00-00/.hydra/config.yaml", "lr: 9\n")
    os.utime(old, (1e9, 1e9))
    programs(
        "run", *flags, "--", "python", *([] if flags else ["-I"]), "app.py", "lr=0.5", "+a.b=x"
    )
    found = last(programs)
    assert found["parsed"]["lr"] == 0.5
    assert found["parsed"]["net"]["wide"] == 8
    assert found["parser"] == {"by": "hydra", "given": ["a.b", "lr"]}
