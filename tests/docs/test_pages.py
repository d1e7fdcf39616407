"""Documents are correct: commands print what is shown, names exist, links work."""

import ast
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from gitexp.cli.app import ALIASES, COMMANDS, HIDDEN, root
from gitexp.core.schema.fields import RUN
from tests.docs.generated import TABLES, regenerated
from tests.docs.reading import (
    DOCUMENTS,
    ROOT,
    Typed,
    agrees,
    blocks,
    missing,
    normal,
    play,
    session,
)

README = ROOT / "README.md"
PAGES = sorted((ROOT / "docs").rglob("*.md"))
OF_USERS = ("train.py", "model.py", "x/a.py")
"""Names of programs in examples."""


def by_name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


# --- commands -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "document",
    [path for path in DOCUMENTS if any(isinstance(a, Typed) for a in session(path.read_text()))],
    ids=by_name,
)
def test_commands_print_what_the_document_shows(document: Path, tmp_path: Path) -> None:
    folder = tmp_path / "work"

    done = play(session(document.read_text()), folder)

    faults = []
    for typed, exit_code, output in done:
        told = f"{by_name(document)}:{typed.line}: $ {typed.command}\n"
        if exit_code != typed.exit_code:
            faults.append(f"{told}ended with {exit_code} instead of {typed.exit_code}:\n{output}")
        shown = [normal(line, folder) for line in "\n".join(typed.shown).rstrip().splitlines()]
        found = [normal(line, folder) for line in output.rstrip().splitlines()]
        if shown and not agrees(shown, found):
            faults.append(f"{told}{missing(shown, found)}, in the output:\n{output}")
    assert not faults, "\n\n".join(faults)


def test_output_comparison_finds_differences(tmp_path: Path) -> None:
    """The comparison fails for another number, a missing line and an extra line."""
    shown = ["run ID NAME succeeded after TIME", "...", "loss 0.5"]
    out = "run 7f3a9c0 brave-otter succeeded after 12 ms\nanything\nloss 0.5".splitlines()
    found = [normal(line, tmp_path) for line in out]
    assert agrees(shown, found)
    assert not agrees(shown, [*found[:-1], "loss 0.6"])
    assert not agrees(shown, found[:-1])
    assert not agrees(shown[:1], found)
    assert missing(["a", "c"], ["a", "b"]) == "the document shows 'c'"


def snippets(text: str) -> Iterator[str]:
    """Yield everything in a document that is typed as `git exp …`."""
    for _, language, content in blocks(text):
        for line in content.splitlines():
            if line.endswith("# exit 129"):
                continue  # shown as a wrong example
            at = line.find("git exp ")
            if language in ("sh", "console") and at >= 0 and line[:at].strip(" $(\"'") == "":
                yield line[at:]
    prose = re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL)
    yield from re.findall(r"`(git exp [^`]+)`", prose)


def commands_of(snippet: str) -> tuple[list[str], list[str]]:
    """Return the words of a snippet before shell syntax or the user's own command."""
    lexer = shlex.shlex(snippet.partition("  #")[0], posix=True, punctuation_chars="|;&>")
    lexer.whitespace_split = True
    words: list[str] = []
    for word in lexer:
        if word == "--" or word[0] in "|;&>":
            break
        words.append(word)
    options = [word.partition("=")[0] for word in words[2:] if re.match(r"-{1,2}[A-Za-z]", word)]
    return words, options


@pytest.mark.parametrize("document", [README, *PAGES], ids=by_name)
def test_every_command_and_option_named_exists(document: Path) -> None:
    context = click.Context(root)
    faults = []
    for snippet in snippets(document.read_text()):
        words, options = commands_of(snippet)
        if words[2] in ("-h", "--help", "--version", "--no-pager", "COMMAND", "…"):
            continue
        command = root.get_command(context, words[2])
        if command is None:
            faults.append(f"there is no command in `{snippet}`")
            continue
        if isinstance(command, click.Group) and len(words) > 3:
            command = command.get_command(context, words[3]) or command
        known = {opt for param in command.params for opt in (*param.opts, *param.secondary_opts)}
        known |= {"-h", "--help"}
        faults += [f"no option {o} in `{snippet}`" for o in options if o not in known]
    assert not faults, f"{by_name(document)}: " + "\n".join(faults)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_exists_and_has_help(name: str) -> None:
    command = root.get_command(click.Context(root), name)
    assert command is not None
    help_text = command.help or ""
    first, _, rest = help_text.partition("\n")
    assert first, f"`git exp {name}` has no help"
    assert len(first) <= 60, f"`git exp {name}`: the first line of its help is too long"
    assert not first.endswith("."), f"`git exp {name}`: no full stop after the first line"
    assert f"git exp {name}" in rest, f"`git exp {name}` shows no example in its help"


def test_names_do_not_clash() -> None:
    assert not set(COMMANDS) & set(ALIASES)
    assert not set(COMMANDS) & set(HIDDEN)
    assert set(ALIASES.values()) <= set(COMMANDS)


# --- what the code says ---------------------------------------------------------------------------


@pytest.mark.parametrize("document", PAGES, ids=by_name)
def test_generated_tables_are_up_to_date(document: Path) -> None:
    text = document.read_text()
    assert text == regenerated(text), "run `python tests/docs/generated.py`"


def test_every_generated_table_is_in_a_document() -> None:
    written = "\n".join(path.read_text() for path in PAGES)
    assert [name for name in TABLES if f"<!-- generated: {name} -->" not in written] == []


def test_json_keys_are_all_documented() -> None:
    keys = {field.json_name or field.name for field in RUN.fields}
    tree = ast.parse((ROOT / "gitexp" / "core" / "schema" / "json_codec.py").read_text())
    (made,) = (
        n for n in tree.body if isinstance(n, ast.FunctionDef) and n.name == "entry_document"
    )
    for node in ast.walk(made):
        named = node.keys if isinstance(node, ast.Dict) else []
        named = [node.slice] if isinstance(node, ast.Subscript) else named
        keys |= {str(key.value) for key in named if isinstance(key, ast.Constant)}
    page = (ROOT / "docs" / "json.md").read_text()
    section = page[page.index("## A run") : page.index("An annotation has")]
    assert set(re.findall(r"^\| `(\w+)` \|", section, re.MULTILINE)) == keys


# --- links and promises ---------------------------------------------------------------------------


@pytest.mark.parametrize("document", [README, *PAGES], ids=by_name)
def test_every_link_leads_somewhere(document: Path) -> None:
    prose = re.sub(r"^```.*?^```$", "", document.read_text(), flags=re.MULTILINE | re.DOTALL)
    for target in re.findall(r"\]\(([^)\s]+)\)", prose):
        if target.startswith("https://"):
            continue
        name, _, anchor = target.partition("#")
        path = (document.parent / name).resolve() if name else document
        assert path.exists(), f"{by_name(document)}: {target}"
        if anchor:
            titles = re.findall(r"^#+ (.+)$", path.read_text(), re.MULTILINE)
            slugs = {re.sub(r"[^\w\- ]", "", t).strip().lower().replace(" ", "-") for t in titles}
            assert anchor in slugs, f"{by_name(document)}: {target}"


def modules() -> list[Path]:
    """Every module and script of the package and the tests."""
    folders = (ROOT / "gitexp", ROOT / "tests")
    return [p for folder in folders for p in folder.rglob("*") if p.suffix in (".py", ".js")]


def test_every_module_named_exists() -> None:
    known = [f"/{by_name(module)}" for module in modules()]
    faults = []
    for file in (*PAGES, *modules()):
        named = re.findall(r"`([a-z_]+(?:/[a-z_]+)*\.(?:py|js))[ :`]", file.read_text())
        named = [n for n in named if n not in OF_USERS and ("/" in n or file.suffix == ".md")]
        faults += [
            f"{by_name(file)}: {name}"
            for name in named
            if not any(module.endswith(f"/{name}") for module in known)
        ]
    assert not faults, "\n".join(faults)


def test_ci_runs_what_the_readme_says() -> None:
    commands = [
        line
        for _, language, content in blocks(README.read_text())
        for line in content.splitlines()
        if language == "sh" and line.startswith("python3 -m venv")
    ]
    assert len(commands) == 2, "one to see it, one to test it"
    assert commands[1] in (ROOT / ".ci" / "run").read_text().splitlines()
    assert "git-exp demo" in commands[0]


@pytest.mark.parametrize("document", [README, *PAGES], ids=by_name)
def test_documents_name_no_machine(document: Path) -> None:
    found = re.findall(
        r"/(?:work|opt|root|home)/[\w/.-]+|/tmp/\w+|pypi\.org|localhost:\d+", document.read_text()
    )
    assert found == []
