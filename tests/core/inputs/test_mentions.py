"""Words of a command that may name a file it reads."""

import pytest

from gitexp.core.inputs.mentioned_files import is_output, mentioned


@pytest.mark.parametrize(
    ("argv", "expected"),
    [
        (["python", "t.py", "a.csv"], ["t.py", "a.csv"]),
        (["python", "t.py", "--data", "a.csv", "-f", "b"], ["t.py", "a.csv", "b"]),
        (["python", "t.py", "--data=a.csv"], ["t.py", "a.csv"]),
        (["python", "t.py", "data=a.csv"], ["t.py", "data=a.csv", "a.csv"]),
        (["python", "t.py", "--x", "a.csv,b.csv"], ["t.py", "a.csv,b.csv", "a.csv", "b.csv"]),
        (["python", "-m", "pkg.mod", "a"], ["pkg/mod.py", "pkg/mod/__main__.py", "a"]),
        (["gcc", "@options.txt"], ["@options.txt", "options.txt"]),
        (["python", "t.py", "--out", "a.csv", "--save-dir=d", "-o", "e"], ["t.py"]),
        (["python", "t.py", "hydra.output=x"], ["t.py", "hydra.output=x"]),
        (["sh", "-c", "python t.py < a.csv > b.csv"], ["python", "t.py", "a.csv"]),
        (["sh", "-c", "./p a 2>> log | tee out; q"], ["./p", "a", "q"]),
        (["sh", "-c", "p 'open"], ["p", "'open"]),
        (["prog"], []),
        ([], []),
        (["prog", "a", "a"], ["a"]),
    ],
)
def test_words_that_may_name_files(argv: list[str], expected: list[str]) -> None:
    assert [word for word in mentioned(argv) if word != "|"] == expected


@pytest.mark.parametrize("name", ["out", "output-dir", "save_path", "logDir", "results"])
def test_options_of_written_files(name: str) -> None:
    assert is_output(name)


@pytest.mark.parametrize("name", ["data", "input", "layout", "about", "checkpoint", "logits"])
def test_options_of_read_files(name: str) -> None:
    assert not is_output(name)
