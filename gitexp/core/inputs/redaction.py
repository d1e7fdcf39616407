"""Remove secrets from recorded data: by the name of an option or parameter, or by pattern.

`credentials` has the patterns. Names are judged by their words: `api_key` and `HF_TOKEN` name
secrets, `max_tokens`, `key_dim` and `monkey` do not. Every clone keeps a record, so uncertain text
is removed.
"""

import re
from collections.abc import Mapping, Sequence

from gitexp.core.inputs.argv import iter_options
from gitexp.core.inputs.credentials import PRIVATE_KEY, TOKEN
from gitexp.core.model.run import Table, Value

REDACTED = "[redacted]"


def _set(words: str) -> frozenset[str]:
    return frozenset(words.split())


_ALWAYS = _set(
    "apikey credential credentials passphrase passwd password passwords pwd secret secrets"
)
_AT_THE_END = _set("apitoken auth authorization authtoken bearer key token")
_MEASURES = _set(
    """available cost count counts dim dims file id ids index len length limit max min n name num
    number path per rate ratio size sizes type"""
)
_HARMLESS_BEFORE = _set(
    """answer bos class cls column dict eos feature foreign group hot id image index input join
    label mask metric oov output pad partition pass primary routing sep sort special start stop
    target text time unique unk vocab"""
)

_TOKEN = re.compile(TOKEN, re.ASCII)
_BLOCK = re.compile(PRIVATE_KEY + r".*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)", re.DOTALL)
_URL = re.compile(r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]{0,30}://)[^\s/@:]*:[^\s/@]+@")
_HEADER = re.compile(r"(?i)\b((?:proxy-)?authorization\s*:\s*(?:\w+\s+)?|bearer\s+)[^\s'\"]{6,}")
_ASSIGNED = re.compile(r"(?s)([\w.-]{1,200})([=:]\s*)(.+)")


def is_secret_name(name: str) -> bool:
    """Return whether a value under this name is probably a secret, by the words in the name."""
    spaced = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name)
    words = [word for word in re.split(r"[^a-z0-9]+", spaced.lower()) if word]
    if words[-3:] == ["access", "key", "id"]:
        return True
    words = [bare for bare in (word.rstrip("0123456789") for word in words) if bare]
    if not words or words[-1] in _MEASURES:
        return False
    if _ALWAYS.intersection(words):
        return not _MEASURES.intersection(words)
    return words[-1] in _AT_THE_END and not (
        _HARMLESS_BEFORE.intersection(words[-2:-1]) or {"num", "max", "n"}.intersection(words)
    )


def redact_text(text: str) -> str:
    """Remove passwords in URLs, well-known tokens, private keys and auth headers from a text."""
    if "-----BEGIN" in text:
        text = _BLOCK.sub(REDACTED, text)
    if "://" in text:
        text = _URL.sub(rf"\g<scheme>{REDACTED}@", text)
    return _HEADER.sub(rf"\g<1>{REDACTED}", _TOKEN.sub(REDACTED, text))


def redact_argv(argv: Sequence[str]) -> list[str]:
    """Remove secrets from arguments: `--api-key X`, `--token=X`, `PASSWORD=X`, and by pattern."""
    redacted = [_redact_assigned(redact_text(argument)) for argument in argv]
    for option in iter_options(argv):
        if option.value is None or not _is_secret(option.name, option.value):
            continue
        joined = option.stop == option.start + 1
        redacted[option.stop - 1] = f"--{option.name}={REDACTED}" if joined else REDACTED
    return redacted


def _redact_assigned(argument: str) -> str:
    found = _ASSIGNED.fullmatch(argument)
    if found is None or argument.startswith("--") or found[3].startswith("//"):
        return argument
    name, sign, value = found.groups()
    return f"{name}{sign}{REDACTED}" if _is_secret(name, value) else argument


def redact_table(table: Mapping[str, Value]) -> Table:
    """Return the table with replacements for texts under secret names, and for secret patterns."""
    return {name: _redact_value(name, value) for name, value in table.items()}


def _redact_value(name: str, value: Value) -> Value:
    if isinstance(value, dict):
        return redact_table(value)
    if isinstance(value, list):
        return [_redact_value(name, member) for member in value]
    if isinstance(value, bool) or not isinstance(value, str | int):
        return value
    if _is_secret(name, str(value)):
        return REDACTED
    return redact_text(value) if isinstance(value, str) else value


def _is_secret(name: str, value: str) -> bool:
    """Return whether the value is a secret. Numbers are one only under a password's name.

    Placeholders and booleans are never secrets.
    """
    if not is_secret_name(name) or value == "" or re.fullmatch(r"\{[^{}]+\}", value):
        return False
    words = re.split(r"[^a-z0-9]+", name.lower())
    plain = value.lower() in {"true", "false", "none", "null"}
    is_number = re.fullmatch(r"[+-]?[\d.]+(?:e[+-]?\d+)?", value) is not None
    return not plain and (not is_number or bool(_ALWAYS.intersection(words)) or len(value) > 12)
