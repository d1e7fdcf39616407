"""T20: secrets planted where people leave them. None is in any object that a push would send."""

import subprocess
from random import Random

from tests.cli.conftest import Exp

_LETTERS = "abcdefghijklmnopqrstuvwxyz0123456789"


def _secrets(n: int) -> list[str]:
    """Ten that differ: half look like what they are, half only stand under a telling name."""
    random = Random(n)

    def word(length: int) -> str:
        return "".join(random.choices(_LETTERS, k=length)) + "7"

    shaped = [f"ghp_{word(36)}", f"hf_{word(34)}", f"sk-proj-{word(40)}", f"xoxb-{word(24)}"]
    return [*shaped, f"glpat-{word(20)}", *(word(14) for _ in range(5))]


def test_none_of_fifty_planted_secrets_is_kept(exp: Exp) -> None:
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
    objects = exp.repo.git("rev-list", "--objects", "--no-object-names", "gitexp", "gitexp-code")
    kept = subprocess.run(
        ["git", "cat-file", "--batch"], cwd=exp.repo.path, input=objects.encode(),
        capture_output=True, check=True,
    ).stdout  # fmt: skip
    assert b"METRIC a=4" in kept, "the runs are there"
    assert [secret for secret in planted if secret.encode() in kept] == []
