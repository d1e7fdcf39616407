"""Names and values by an attacker: no script runs, nothing is loaded, nothing leaves its cell."""

from pathlib import Path

import pytest

from gitexp.core.model.annotations import AnnotationKind, Decision
from gitexp.core.model.run import Outcome
from tests.browser.conftest import Show, make_report, make_repository
from tests.browser.searches import MODEL, Search
from tests.conftest import RepoBuilder

MARKUP = (
    "<script>globalThis.broken=1</script>",
    '"><img src=x onerror=globalThis.broken=1>',
    "<svg onload=globalThis.broken=1>",
    "</script><script>globalThis.broken=1</script>",
    "<!--<script>globalThis.broken=1",
    "]]><![CDATA[",
    "javascript:globalThis.broken=1",
    "{{constructor.constructor('globalThis.broken=1')()}}",
    "${globalThis.broken=1}",
    "`-globalThis.broken=1-`",
    "';globalThis.broken=1;'",
    "<style>*{display:none}</style>",
    "<base href=https://example.org/>",
    "<meta http-equiv=refresh content=0;url=https://example.org/>",
    "<iframe src=https://example.org/></iframe>",
    "<a href=javascript:globalThis.broken=1>x</a>",
    "<form action=https://example.org/><input autofocus onfocus=globalThis.broken=1>",
    "&lt;b&gt;&#60;script&#62;",
    "__proto__",
    "constructor",
    "toString",
    '=HYPERLINK("https://example.org")',
    "@SUM(1)",
    "'\"\\",
    "%3Cscript%3E",
    "{{payload}}",
)
LETTERS = (
    "\u202egnp.exe",
    "\u2066abc",
    "\u200f\u05e9\u05dc\u05d5\u05dd\u200e",
    "\u0627\u062e\u062a\u0628\u0627\u0631",
    "a\u0301" * 40,
    "Z" + "\u0335" * 60,
    "\U0001f469\u200d\U0001f469\u200d\U0001f467\u200d\U0001f466" * 20,
    "\ufffd\ufeff\u00ad",
    "\u200b\u200b\u200b",
    "\u2028\u2029",
    "x" * 4000,
    "\u754c" * 500,
    "\U0001d4b3\U0001d4ce" * 50,
    "\U000e0041\U000e0042",
    " ",
    "\ufdfd" * 30,
)


def corpus(count: int) -> list[str]:
    """Return `count` hostile texts: each kind alone, then pairs of them."""
    single = [*MARKUP, *LETTERS]
    pairs = [f"{a}{b}" for a in single for b in single]
    return [*single, *pairs][:count]


def hostile_repository(folder: Path, count: int) -> RepoBuilder:
    """A repository in which names, values and texts are all hostile."""
    repo = make_repository(folder / "<b>&amp;")
    repo.commit({"model.py": MODEL, "train.py": "import model\n"}, "a model")
    search = Search(repo)
    first = search.run({}, 0.5, reason="first")
    repo.commit({"model.py": MODEL + f"# {MARKUP[3]}\n# {LETTERS[0]}\n"}, "evil code")
    for number, text in enumerate(corpus(count)):
        name = text.replace("\n", " ").strip()[:60] or "x"
        key = "".join(c for c in name if c.isprintable() and c not in ".\x7f")[:40] or "k"
        run = search.run(
            {key: text[:2000], "optim": text[:100], "lr": number / 100},
            None if number % 7 == 0 else 0.5 + number / 10000,
            reason=text[:2000],
            parent=first,
            automatic=False,
            name=name,
            author=f"{name.replace('<', '(').replace('>', ')')} <a@example.org>",
            outcome=Outcome.FAILED if number % 7 == 0 else Outcome.SUCCEEDED,
            output=text,
        )
        if number % 5 == 0:
            search.decide(run, Decision.DISCARD, text[:500], hint=text[:200])
        if number % 5 == 1:
            search.say(run, AnnotationKind.NOTE, text=text[:500])
        if number % 5 == 2:
            search.say(run, AnnotationKind.TAG, tags=(name,))
    search.finish()
    return repo


def hostile_report(folder: Path, count: int) -> Path:
    """The report of such a repository."""
    return make_report(hostile_repository(folder, count), "--title", MARKUP[0])


def look_around(file: Path, show: Show, opened: range) -> None:
    """Every view, and some runs; then nothing may have happened."""
    shown = show(file)
    for view in ("summary", "runs", "curves", "space", "compare", "ideas"):
        shown.go(f"v={view}&fold=0&diff=0")
        assert shown.page.evaluate("document.documentElement.scrollWidth <= innerWidth"), view
    shown.go("v=runs&fold=0&diff=0")
    page = shown.page
    overflow = page.evaluate(
        """() => [...document.querySelectorAll(".grid-row .cell")].filter((cell) => {
            const box = cell.getBoundingClientRect();
            return getComputedStyle(cell).overflow !== "hidden" || box.height > 40;
        }).length"""
    )
    assert overflow == 0, "a cell shows more than its place"
    for row in opened:
        page.evaluate(f"globalThis.gitexp.page.state.open({row})")
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), row
    odd = "script, iframe, img, object, embed, base, link, form, video, audio"
    count = f"document.querySelectorAll({odd!r}).length"
    assert page.evaluate(count) == 3, "the page has three scripts and nothing of the kind else"
    assert page.evaluate("globalThis.broken") is None
    assert (
        page.evaluate("/[\\u202a-\\u202e\\u2066-\\u2069]/.test(document.body.innerText)") is False
    )
    shown.check()


def test_hostile_texts_stay_texts(tmp_path: Path, show: Show) -> None:
    count = len(MARKUP) + len(LETTERS)
    look_around(hostile_report(tmp_path, count), show, range(1, count + 1, 6))


@pytest.mark.long
def test_a_thousand_hostile_texts_stay_texts(tmp_path: Path, show: Show) -> None:
    look_around(hostile_report(tmp_path, 1000), show, range(1, 400))
