"""T20: secrets in the places where users leave them. No object that a push sends has any."""

import json
import os
import subprocess
from collections.abc import Callable
from random import Random

from tests.cli.conftest import Done, Exp

_LETTERS = "abcdefghijklmnopqrstuvwxyz0123456789"


def _secrets(n: int) -> list[str]:
    """Ten different secrets: half have a known pattern, half only a secret-looking name."""
    random = Random(n)

    def word(length: int) -> str:
        return "".join(random.choices(_LETTERS, k=length)) + "7"

    shaped = [f"ghp_{word(36)}", f"hf_{word(34)}", f"sk-proj-{word(40)}", f"xoxb-{word(24)}"]
    return [*shaped, f"glpat-{word(20)}", *(word(14) for _ in range(5))]


def _kept_objects(exp: Exp) -> bytes:
    """Return all objects that a push sends."""
    objects = exp.repo.git("rev-list", "--objects", "--no-object-names", "gitexp", "gitexp-code")
    return subprocess.run(
        ["git", "cat-file", "--batch"], cwd=exp.repo.path, input=objects.encode(),
        capture_output=True, check=True,
    ).stdout  # fmt: skip


def test_environment_setting_leaves_the_machine_out(exp: Exp, train: Callable[..., Done]) -> None:
    machine = [name for name in (*os.uname(), "cpu =", "host =", "memory_bytes") if len(name) > 3]
    train("0.2", "full")
    assert b"host = " in _kept_objects(exp)
    exp.repo.git("update-ref", "-d", "refs/heads/gitexp")
    for extent in ("basic", "none"):
        exp.repo.git("config", "exp.environment", extent)
        train("0.2", extent)
    exp("reproduce", "basic")
    kept = _kept_objects(exp)
    assert [name for name in machine if name.encode() in kept] == []
    (basic,), (none,) = (
        json.loads(exp("show", name, "--json").out)["runs"] for name in ("basic", "none")
    )
    assert "python" in basic["environment"]
    assert "environment" not in none


def test_unrecorded_facts_are_no_difference(exp: Exp, train: Callable[..., Done]) -> None:
    for extent in ("basic", "none"):
        exp.repo.git("config", "exp.environment", extent)
        train("0.2", extent)
    exp.repo.git("config", "--unset", "exp.environment")
    assert "environment" not in exp("reproduce", "basic").out
    assert "environment not recorded" in exp("reproduce", "none").out


def test_none_of_fifty_planted_secrets_is_recorded(exp: Exp) -> None:
    planted = []
    for n in range(5):
        printed, argument, noted, filed, reason, option, param, assigned, url, env = _secrets(n)
        planted += [printed, argument, noted, filed, reason, option, param, assigned, url, env]
        exp.repo.write(f"settings_{n}.json", f'{{"login": "{filed}"}}')
        exp.repo.write(".env", f"PASSWORD={env}")
        remote = f"https://me:{url}@example.org/x.git"
        exp.repo.git("remote", "add" if n == 0 else "set-url", "origin", remote)
        exp(
            *("run", "-n", f"run{n}", "-m", f"with {reason}", "-S", f"api.key={param}", "--"),
            *("python", "-c", f"print('METRIC a={n}'); print('{printed}')", argument),
            *("--api-key", option, f"password={assigned}"),
        )
        exp("note", f"run{n}", f"I used {noted}")
    assert len(exp.ids()) == 5
    kept = _kept_objects(exp)
    assert b"METRIC a=4" in kept, "the runs are there"
    assert [secret for secret in planted if secret.encode() in kept] == []
