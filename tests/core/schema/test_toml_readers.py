"""Both TOML readers give the same value, or both refuse.

toml-rs is an optional extra that reads records twenty times as fast; only the time may depend on
it.
"""

import math
import tomllib
from datetime import date, datetime, time
from typing import Any

import pytest
import tomli_w
from hypothesis import given
from hypothesis import strategies as st

from gitexp.core.errors import UnreadableRecord
from gitexp.core.schema import toml_codec

pytest.importorskip("toml_rs")

VALID = {
    "empty": "",
    "comment": "# nothing\n",
    "comment without line end": "# nothing",
    "crlf": 'a = 1\r\nb = "x"\r\n',
    "integers": "a = 0\nb = +1\nc = -1\nd = 1_000\ne = 9223372036854775807\n",
    "least integer": "a = -9223372036854775808\n",
    "bases": "a = 0xDEAD_beef\nb = 0o755\nc = 0b1101\n",
    "floats": "a = 1.0\nb = -0.0\nc = 5e+22\nd = 1e06\ne = -2E-2\nf = 6.626e-34\ng = 9_224.5\n",
    "odd floats": "a = inf\nb = +inf\nc = -inf\nd = nan\ne = +nan\nf = -nan\n",
    "huge float": "a = 1e400\n",
    "tiny float": "a = 5e-324\nb = 1e-400\n",
    "long float": "a = 0.1000000000000000055511151231257827021181583404541015625\n",
    "booleans": "a = true\nb = false\n",
    "strings": "a = \"x\"\nb = 'C:\\dir'\nc = \"\"\nd = ''\n",
    "escapes": 'a = "\\b\\t\\n\\f\\r\\"\\\\ \\u00e9 \\U0001F600"\n',
    "unicode": 'a = "äöü 中文 😀"\n',
    "multi-line": 'a = """\nRoses\n  Violets"""\n',
    "line-ending backslash": 'a = """x \\\n     y\\\n\n  z"""\n',
    "quotes inside": "a = \"\"\"\"q\"\"\"\"\nb = ''''q''''\n",
    "literal lines": "a = '''\nfirst \\n\nsecond'''\n",
    "tab in string": 'a = "x\ty"\n',
    "offset moments": "a = 1979-05-27T07:32:00Z\nb = 1979-05-27T00:32:00.999999-07:00\n",
    "lower-case moments": "a = 1979-05-27t07:32:00z\nb = 1979-05-27 07:32:00Z\n",
    "more digits than microseconds": "a = 1979-05-27T07:32:00.123456789Z\n",
    "local moments": "a = 1979-05-27T07:32:00\nb = 1979-05-27\nc = 07:32:00\nd = 00:32:00.5\n",
    "leap day": "a = 2000-02-29\n",
    "arrays": 'a = []\nb = [1, 2,]\nc = [[1], ["x"]]\nd = [1, 2.0, "x", true]\n',
    "array over lines": "a = [\n  1, # one\n  2,\n]\n",
    "inline tables": "a = {}\nb = {x = 1, y = {z = 2}}\nc = {x.y = 1}\n",
    "tables": "[a]\nx = 1\n[a.b]\ny = 2\n[c.d.e]\n[c]\nz = 3\n",
    "dotted keys": "a.b.c = 1\na.b.d = 2\na.e = 3\n",
    "quoted keys": '"a.b" = 1\n\'c d\' = 2\n"" = 3\n"é" = 4\n',
    "odd bare keys": "1 = 1\n-x = 2\n_ = 3\n2.3 = 4\ntrue = 5\ninf = 6\n2000-01-01 = 7\n",
    "spaces around": " a  .  b  =  1 \n[ c . d ]\n",
    "arrays of tables": "[[a]]\nx = 1\n[[a]]\n[[a.b]]\ny = 1\n[[a.b]]\n[a.c]\n",
    "table then its parent": "[a.b]\nx = 1\n[a]\ny = 2\n",
    "dotted in a table": "[a]\nb.c = 1\nb.d = 2\n[a.e]\n",
}

REFUSED = {
    "no value": "a =\n",
    "no key": "= 1\n",
    "no equals": "a\n",
    "two on a line": "a = 1 b = 2\n",
    "twice": "a = 1\na = 2\n",
    "twice, quoted": 'a = 1\n"a" = 2\n',
    "table twice": "[a]\n[a]\n",
    "table over value": "a = 1\n[a]\n",
    "table over value, dotted": "a.b = 1\n[a]\nb = 2\n",
    "value over table": "[a.b]\n[a]\nb = 1\n",
    "dotted over value": "a = 1\na.b = 2\n",
    "dotted into another table": "[a.b]\nx = 1\n[a]\nb.y = 2\n",
    "inline table is closed": "a = {x = 1}\na.y = 2\n",
    "inline table is closed to headers": "a = {}\n[a.b]\n",
    "inline twice": "a = {x = 1, x = 2}\n",
    "inline with trailing comma": "a = {x = 1,}\n",
    "inline over lines": "a = {x = 1,\ny = 2}\n",
    "array is closed": "a = []\n[[a]]\n",
    "array of tables over table": "[a]\n[[a]]\n",
    "table over array of tables": "[[a]]\n[a]\n",
    "unclosed array": "a = [1, 2\n",
    "unclosed string": 'a = "x\n',
    "unclosed lines": 'a = """x\n',
    "unclosed header": "[a\n",
    "empty header": "[]\n",
    "header with a dot too many": "[a..b]\n",
    "header and more": "[a] b = 1\n",
    "split double bracket": "[ [a]]\n",
    "bad escape": 'a = "\\x41"\n',
    "escape of TOML 1.1": 'a = "\\e"\n',
    "surrogate": 'a = "\\ud800"\n',
    "beyond unicode": 'a = "\\U00110000"\n',
    "control character": 'a = "x\x01y"\n',
    "delete character": 'a = "x\x7fy"\n',
    "control character in comment": "# x\x01\n",
    "bare carriage return": "a = 1\rb = 2\n",
    "line end in string": "a = 'x\ny'\n",
    "leading zero": "a = 01\n",
    "leading zero in float": "a = 01.5\n",
    "leading zero in exponentless float": "a = 00.5\n",
    "no digits before point": "a = .5\n",
    "no digits after point": "a = 5.\n",
    "point then exponent": "a = 5.e3\n",
    "double underscore": "a = 1__0\n",
    "underscore at the end": "a = 1_\n",
    "underscore at the start": "a = _1\n",
    "signed hex": "a = +0x1\n",
    "upper-case base": "a = 0X1\n",
    "no hex digits": "a = 0x\n",
    "upper-case boolean": "a = True\n",
    "upper-case infinity": "a = Inf\n",
    "month 13": "a = 2000-13-01\n",
    "day 30 of February": "a = 2000-02-30\n",
    "no leap day": "a = 2001-02-29\n",
    "hour 24": "a = 24:00:00\n",
    "second 61": "a = 00:00:61\n",
    "short year": "a = 99-01-01\n",
    "no seconds": "a = 2000-01-01T10:00\n",
    "offset too big": "a = 2000-01-01T10:00:00+25:00\n",
    "bare word": "a = x\n",
    "bare unicode key": "é = 1\n",
    "multi-line key": '"""a""" = 1\n',
    "comma first": "a = [,1]\n",
    "two commas": "a = [1,,2]\n",
    "byte order mark": "\ufeffa = 1\n",
    "byte order mark alone": "\ufeff",
    "four quotes": 'a = """x""""""\n',
}


def read(reader: Any, text: str) -> object:
    """Return the value of a document, or the refusal."""
    try:
        return plain(reader(text))
    except ValueError:
        return "refused"


def plain(value: object) -> object:
    """Return a form in which equality means equal text: types differ, NaN equals NaN."""
    if isinstance(value, dict):
        return {key: plain(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [plain(inner) for inner in value]
    if isinstance(value, float):
        return ("float", "nan" if math.isnan(value) else repr(value))
    if isinstance(value, datetime):
        offset = value.utcoffset()
        return ("moment", value.replace(tzinfo=None), offset)
    if isinstance(value, date | time):
        return (type(value).__name__, value)
    return (type(value).__name__, value)


fast = toml_codec._reader()
"""Return the optional reader, as the codec calls it."""


@pytest.mark.parametrize("name", VALID)
def test_both_readers_read_the_same(name: str) -> None:
    expected = read(tomllib.loads, VALID[name])
    assert expected != "refused"
    assert read(fast, VALID[name]) == expected


@pytest.mark.parametrize("name", REFUSED)
def test_both_readers_refuse_invalid_records(name: str) -> None:
    assert read(tomllib.loads, REFUSED[name]) == "refused"
    assert read(fast, REFUSED[name]) == "refused"


@pytest.mark.parametrize("reader", [tomllib.loads, fast], ids=["tomllib", "toml-rs"])
def test_both_readers_refuse_integers_over_64_bits(
    reader: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(toml_codec, "_reader", lambda: reader)
    for text in ("a = 9223372036854775808\n", "a = [-9223372036854775809]\n"):
        with pytest.raises(UnreadableRecord):
            toml_codec.decode_table(text.encode())


TEXTS = st.text(st.characters(codec="utf-8"), max_size=20)
SCALARS = (
    st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats()
    | TEXTS
    | st.dates()
    | st.times()
    | st.datetimes()
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4),
    max_leaves=20,
)


@pytest.mark.slow
@given(st.dictionaries(TEXTS, VALUES, max_size=5))
def test_both_readers_read_every_encoded_record(table: dict[str, Any]) -> None:
    text = tomli_w.dumps(table)
    assert read(fast, text) == read(tomllib.loads, text) == plain(table)


@given(st.sampled_from([*VALID.values(), *REFUSED.values()]), st.data())
def test_both_readers_agree_on_damaged_records(text: str, data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(text)))
    put = data.draw(st.sampled_from(["", *"\n\t \"'#=.,[]{}\\_-+0159aeT:é"]))
    damaged = text[:at] + put + text[at + data.draw(st.integers(0, 2)) :]
    assert read(fast, damaged) == read(tomllib.loads, damaged)
