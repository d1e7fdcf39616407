"""Repeats, seeds, groups, noise and guards through the commands."""

import json
import shlex
from pathlib import Path

import pytest

from tests.cli.conftest import Exp
from tests.conftest import RepoBuilder

SEEDED = """\
import sys

named = dict(zip(sys.argv[1::2], sys.argv[2::2]))
rate, seed = float(named["--lr"]), int(named["--seed"])
print(f"METRIC accuracy={0.5 + rate + [0.004, -0.003, 0.001, -0.002, 0.0][seed % 5]:.4f}")
"""

COUNTED = """\
from pathlib import Path

count = Path("../count")
turn = int(count.read_text()) if count.exists() else 0
count.write_text(str(turn + 1))
print(f"METRIC accuracy={0.9 + 0.001 * (turn % 3):.4f}")
raise SystemExit(turn == int(Path("../fails").read_text()) if Path("../fails").exists() else 0)
"""


@pytest.fixture
def seeded(exp: Exp) -> Exp:
    exp.repo.commit({"train.py": SEEDED, "count.py": COUNTED})
    return exp


def documents(exp: Exp) -> list[dict[str, object]]:
    """Return all runs, oldest first."""
    found = json.loads(exp("list", "--json").out)["runs"]
    return list(reversed(found))


def train(exp: Exp, rate: str, *options: str, seed: str = "{seed}", check: int = 0) -> str:
    command = ("python", "train.py", "--lr", rate, "--seed", seed)
    return exp("run", *options, "--", *command, check=check).err


DEFAULT_SEED = """\
import argparse

parser = argparse.ArgumentParser()
parser.add_argument("--lr", type=float, default=0.1)
parser.add_argument("--seed", type=int, default=0)
args = parser.parse_args()
print(f"METRIC accuracy={0.791889 + args.lr / 100 + 0.01 * args.seed:.6f}")
"""


def test_repeats_with_the_default_seed_of_the_program_show_no_noise(exp: Exp) -> None:
    exp.repo.commit({"train.py": DEFAULT_SEED})
    told = exp("run", "--repeat", "3", "--", "python", "train.py").err
    assert "`--seeds" not in told
    told = exp("run", "--", "python", "train.py", "--lr", "0.11").err
    assert "repeats agree" not in told
    assert "the same seed shows no noise" in told
    document = json.loads(exp("noise", "--json").out)["metrics"]["accuracy"]
    assert document["basis"] == "unknown"


class TestSeeds:
    def test_seeds_fill_a_placeholder_and_form_one_group_and_batch(self, seeded: Exp) -> None:
        train(seeded, "0.1", "--seeds", "3")
        runs = documents(seeded)
        assert [run["params"] for run in runs] == [{"lr": 0.1, "seed": n} for n in range(3)]
        assert len({str(run["batch"]) for run in runs}) == 1
        assert [run["round"] for run in runs] == [1, 2, 3]

    def test_given_seed_is_replaced_by_new_ones(self, seeded: Exp) -> None:
        train(seeded, "0.1", seed="1")
        train(seeded, "0.1", "--seeds", "2", seed="1")
        seeds = [run["params"]["seed"] for run in documents(seeded)]  # type: ignore[index]
        assert seeds == [1, 0, 2]

    def test_an_assigned_seed_is_replaced(self, seeded: Exp) -> None:
        train(seeded, "0.1", "--seeds", "2", "-S", "seed=7")
        seeds = [run["params"]["seed"] for run in documents(seeded)]  # type: ignore[index]
        assert seeds == [0, 1]

    def test_seeds_of_the_reference_are_used_to_form_pairs(self, seeded: Exp) -> None:
        for seed in ("11", "12"):
            train(seeded, "0.1", seed=seed)
        train(seeded, "0.2", "--seeds", "2", "--beside", "last")
        own = [r for r in documents(seeded) if r["origin"] == "run" and r["params"]["lr"] == 0.2]  # type: ignore[index]
        assert [run["params"]["seed"] for run in own] == [11, 12]  # type: ignore[index]

    def test_a_command_without_a_seed_is_an_error_and_runs_nothing(self, seeded: Exp) -> None:
        done = seeded("run", "--seeds", "3", "--", "python", "count.py", check=128)
        assert "error: cannot vary the seed\nbecause: the command has none\n" in done.err
        assert documents(seeded) == []

    def test_the_setting_names_a_seed_that_has_another_name(self, seeded: Exp) -> None:
        seeded.repo.git("config", "exp.seedParams", "fold")
        seeded.repo.commit({"train.py": SEEDED.replace("--seed", "--fold")})
        seeded("run", "--seeds", "2", "--", "python", "train.py", "--lr", "0.1", "--fold", "0")
        assert len(seeded("list").out.splitlines()) == 2
        seeded.repo.git("config", "--unset", "exp.seedParams")
        assert len(seeded("list").out.splitlines()) == 3

    def test_repeat_and_seeds_together_are_refused(self, seeded: Exp) -> None:
        done = seeded("run", "--seeds", "2", "--repeat", "2", "--", "true", check=128)
        assert done.err == "error: choose one of --repeat and --seeds"


class TestRepeats:
    def test_batch_is_judged_once_at_its_end(self, seeded: Exp) -> None:
        told = seeded("run", "--repeat", "3", "--", "python", "count.py").err
        assert told.count("next: ") == 1
        assert "accuracy 0.902, mean of 3 0.901: repeats of one trial" in told or (
            "accuracy 0.902, mean of 3 0.901" in told
        )

    def test_failed_first_run_stops_the_batch(self, seeded: Exp) -> None:
        Path("../fails").write_text("0")
        told = seeded("run", "--repeat", "3", "--", "python", "count.py", check=1).err
        assert "the first run did not succeed, so the other 2 were not started" in told
        assert len(documents(seeded)) == 1

    def test_later_failure_is_counted_and_prevents_better(self, seeded: Exp) -> None:
        train(seeded, "0.1", "--seeds", "3")
        Path("../fails").write_text("1")
        told = seeded("run", "--repeat", "3", "--", "python", "count.py", check=1).err
        assert "1 of 3 failed" in told
        assert "cannot tell from the last" in told
        assert "more of its runs failed" in told

    def test_batch_stops_when_it_cannot_become_better(self, seeded: Exp) -> None:
        train(seeded, "0.3", "--seeds", "4")
        told = train(seeded, "0.1", "--seeds", "5")
        assert "stopped after 2 of 5: " in told
        assert "can hardly beat" in told
        assert len(documents(seeded)) == 6
        train(seeded, "0.12", "--seeds", "3", "--no-stop")
        assert len(documents(seeded)) == 9

    def test_a_repeat_is_never_an_improvement(self, seeded: Exp) -> None:
        train(seeded, "0.1", seed="1")
        train(seeded, "0.2", seed="1")
        told = train(seeded, "0.2", "--again", seed="1")
        assert "best so far" not in told
        assert "its trial is the best" in told

    def test_beside_alternates_and_last_stays_the_own_trial(self, seeded: Exp) -> None:
        train(seeded, "0.1", "--seeds", "2")
        train(seeded, "0.2", "--seeds", "2", "--beside", "best", "--no-stop")
        order = [(run["origin"], run["round"]) for run in documents(seeded)[2:]]
        assert order == [("reproduction", 1), ("run", 1), ("reproduction", 2), ("run", 2)]
        assert not any("reproduction" in str(run.get("annotations")) for run in documents(seeded))
        assert json.loads(seeded("show", "last", "--json").out)["runs"][0]["origin"] == "run"

    def test_json_has_every_run_and_the_verdict(self, seeded: Exp) -> None:
        train(seeded, "0.1", seed="1")
        done = seeded("run", "--json", "--", *"python train.py --lr 0.2 --seed 1".split())
        document = json.loads(done.out)
        assert (document["schema"], document["refused"]) == (1, False)
        assert [run["metrics"] for run in document["runs"]] == [{"accuracy": 0.697}]
        assert (document["metric"], document["answer"]) == ("accuracy", "better")
        assert "METRIC accuracy=0.6970" in done.err

    def test_json_says_that_a_run_was_refused(self, seeded: Exp) -> None:
        train(seeded, "0.1", seed="1")
        seeded("decide", "last", "discard")
        command = "python train.py --lr 0.1 --seed 1".split()
        done = seeded("run", "--json", "--", *command, check=128)
        assert json.loads(done.out)["refused"] is True


class TestGroups:
    def test_the_table_has_a_row_for_each_trial(self, seeded: Exp) -> None:
        train(seeded, "0.1", "--seeds", "3")
        train(seeded, "0.2", seed="1")
        rows = [
            line.split() for line in seeded("list", "--keep", "runs|accuracy|seed").out.splitlines()
        ]
        assert rows[0] == ["id", "runs", "accuracy", "seed"]
        assert [row[1] for row in rows[1:]] == ["1", "3"]
        assert rows[2][2:] == ["0.60067", "±0.0035", "0,", "1,", "2"]
        assert len(seeded("list", "--runs").out.splitlines()) == 5
        assert len(json.loads(seeded("list", "--json").out)["runs"]) == 4

    def test_three_seeds_are_never_better_or_worse_than_each_other(self, seeded: Exp) -> None:
        for seed in ("0", "1", "2"):
            told = train(seeded, "0.1", seed=seed)
            assert "better" not in told
            assert "worse" not in told
            assert "discard" not in told

    def test_small_difference_is_unknown_with_known_noise(self, seeded: Exp) -> None:
        train(seeded, "0.1", "--seeds", "5")
        told = train(seeded, "0.102", seed="0")
        assert "cannot tell from the last" in told
        seeded("compare", check=125)
        told = train(seeded, "0.3", seed="0")
        assert "better than the last" in told
        seeded("compare")
        told = train(seeded, "0.01", seed="0")
        assert "worse than the last" in told
        seeded("compare", check=1)

    def test_two_runs_of_one_trial_are_the_same(self, seeded: Exp) -> None:
        train(seeded, "0.1", seed="0")
        train(seeded, "0.1", seed="1")
        assert "the same trial" in seeded("compare", "last", "@{1}").out
        assert "worse" in seeded("compare", "--single", "last", "@{1}", check=1).out

    def test_strict_cannot_tell_while_the_noise_is_unknown(self, seeded: Exp) -> None:
        train(seeded, "0.1", seed="0")
        train(seeded, "0.2", seed="0")
        seeded("compare")
        seeded("compare", "--strict", check=125)

    def test_the_best_is_a_group_and_its_typical_run(self, seeded: Exp) -> None:
        train(seeded, "0.1", "--seeds", "3")
        assert seeded("best").out.splitlines()[1].split()[2] == "3"
        shown = json.loads(seeded("show", "best", "--json").out)["runs"][0]
        assert shown["params"]["seed"] == 2
        document = json.loads(seeded("best", "--json").out)
        (group,) = document["groups"]
        assert (group["n"], round(group["mean"], 5)) == (3, 0.60067)

    def test_a_discarded_trial_is_not_the_best_and_a_stopped_one_is(self, seeded: Exp) -> None:
        train(seeded, "0.1", seed="0")
        train(seeded, "0.2", seed="0")
        seeded("decide", "last", "stop")
        best = json.loads(seeded("best", "--json").out)["groups"][0]["run"]
        assert best == "<run 2>"
        seeded("decide", "last", "discard")
        best = json.loads(seeded("best", "--json").out)["groups"][0]["run"]
        assert best == "<run 1>"


class TestNoise:
    def test_noise_shows_standard_deviations(self, seeded: Exp) -> None:
        train(seeded, "0.1", seed="0")
        assert "unknown" in seeded("noise").out
        train(seeded, "0.1", "--seeds", "3")
        metrics = json.loads(seeded("noise", "accuracy", "--json").out)["metrics"]
        assert metrics["accuracy"]["basis"] == "measured"
        assert metrics["accuracy"]["dof"] == 3

    def test_declared_noise_judges_single_runs(self, seeded: Exp) -> None:
        seeded.repo.write("gitexp.toml", "[metrics.accuracy]\nnoise = 0.01\n")
        train(seeded, "0.1", seed="0")
        assert "noise as declared" in train(seeded, "0.101", seed="0")
        assert "declared" in seeded("noise").out

    @pytest.mark.parametrize(
        ("rule", "why"),
        [
            ("noise = -1", "expected a number of 0 or more"),
            ('guard = "much"', "could not convert"),
            ("min = 2\nmax = 1", "min 2 is more than max 1"),
        ],
    )
    def test_contradictory_rule_is_one_clear_error(self, seeded: Exp, rule: str, why: str) -> None:
        seeded.repo.write("gitexp.toml", f"[metrics.accuracy]\n{rule}\n")
        assert why in seeded("list", check=128).err


class TestGuards:
    def guarded(self, exp: Exp, text: str) -> None:
        exp.repo.write("gitexp.toml", text)

    def record(self, exp: Exp, number: int, **metrics: float) -> str:
        values = [word for name, v in metrics.items() for word in ("-M", f"{name}={v}")]
        return exp("record", "-S", f"x={number}", *values).err

    def test_broken_guard_is_shown_with_the_verdict(self, exp: Exp) -> None:
        self.guarded(exp, 'metric = "accuracy"\n[metrics.loss5]\nguard = "2%"\n')
        self.record(exp, 1, accuracy=0.8, loss5=0.5)
        told = self.record(exp, 2, accuracy=0.9, loss5=0.744)
        assert "better than the last, 0.8 (+12.5%), but loss5 +48.8%, guard 2 %" in told
        exp("compare", check=1)
        refused = exp("decide", "last", "keep", check=128)
        assert "because: it breaks a guard: loss5 +48.8%, guard 2 %" in refused.err
        exp("decide", "last", "keep", "--force")

    def test_broken_guard_makes_a_named_pair_worse(self, exp: Exp) -> None:
        self.guarded(exp, 'metric = "accuracy"\n[metrics.loss5]\nguard = "2%"\n')
        self.record(exp, 1, accuracy=0.8, loss5=0.5)
        self.record(exp, 2, accuracy=0.9, loss5=0.744)
        told = exp("compare", "last", "last~1", check=1).out
        assert "(+12.5%), but loss5 +48.8%, guard 2 %;" in told
        assert "guard" not in exp("compare", "last~1", "last", check=1).out
        exp("compare", "--single", "last", "last~1")

    def test_a_guard_that_holds_is_not_mentioned(self, exp: Exp) -> None:
        self.guarded(exp, 'metric = "accuracy"\n[metrics.loss5]\nguard = "2%"\n')
        self.record(exp, 1, accuracy=0.8, loss5=0.5)
        assert "loss5" not in self.record(exp, 2, accuracy=0.9, loss5=0.505)
        exp("compare")
        exp("decide", "last", "keep")

    def test_bounds_are_absolute(self, exp: Exp) -> None:
        self.guarded(exp, 'metric = "accuracy"\n[metrics.latency]\nmax = 100\n')
        told = self.record(exp, 1, accuracy=0.8, latency=120)
        assert "latency 120, at most 100" in told

    def test_guard_on_a_missing_metric_is_unknown(self, exp: Exp) -> None:
        self.guarded(exp, 'metric = "accuracy"\n[metrics.loss5]\nguard = "2%"\n')
        self.record(exp, 1, accuracy=0.8, loss5=0.5)
        assert "loss5 is not known (missing from this run), guard 2 %" in self.record(
            exp, 2, accuracy=0.9
        )
        exp("compare", check=125)

    def test_checks_run_only_with_consent_of_the_user(self, exp: Exp, repo: RepoBuilder) -> None:
        self.guarded(exp, '[checks]\ncommand = "exit 3"\n')
        done = exp("run", "--", "sh", "-c", "echo METRIC accuracy=1")
        assert "the project's checks did not run" in done.err
        repo.git("config", "exp.runChecks", "exit 3")
        done = exp("run", "--again", "--", "sh", "-c", "echo METRIC accuracy=2")
        shown = json.loads(exp("show", "last", "--json").out)["runs"][0]
        assert shown["checks"] == {"outcome": "failed", "exit_code": 3}
        assert "checks failed" in exp("decide", "last", "keep", check=128).err

    def test_a_command_of_checks_is_quoted_for_the_shell(self, exp: Exp) -> None:
        self.guarded(exp, "[checks]\ncommand = \"true' ; touch PWNED ; echo '\"\n")
        done = exp("run", "--", "sh", "-c", "echo METRIC accuracy=1")
        [line] = [line for line in done.err.splitlines() if "exp.runChecks" in line]
        words = shlex.split(line.partition("git config ")[2])
        assert words[1] == "true' ; touch PWNED ; echo '"

    def test_a_secret_that_checks_print_is_not_recorded(self, exp: Exp, repo: RepoBuilder) -> None:
        command = "echo token=ghp_abcdefghijklmnopqrstuvwxyz0123456789"
        self.guarded(exp, f'[checks]\ncommand = "{command}"\n')
        repo.git("config", "exp.runChecks", command)
        exp("run", "--", "sh", "-c", "echo METRIC accuracy=1")
        shown = json.loads(exp("show", "last", "--json").out)["runs"][0]
        assert "redacted" in shown["checks"]["output"]
        assert "ghp_" not in shown["checks"]["output"]
