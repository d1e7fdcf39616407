"""Detect credentials, and files with secrets, which stay out of snapshots.

A file is judged by its name, then by its content. Messages name each such file, so that users know
why a reproduction lacks it. `core.inputs.redaction` removes the same patterns from texts.
"""

import re
from fnmatch import fnmatchcase

SECRET_NAMES = (
    ".env",
    ".env.*",
    "*.env",
    ".envrc",
    ".netrc",
    "_netrc",
    ".pypirc",
    ".npmrc",
    ".htpasswd",
    ".pgpass",
    ".git-credentials",
    "*.pem",
    "*.key",
    "*.p12",
    "*.pfx",
    "*.jks",
    "*.keystore",
    "*.kdbx",
    "*.ppk",
    "id_rsa*",
    "id_dsa*",
    "id_ecdsa*",
    "id_ed25519*",
    "credentials",
    "credentials.*",
    "*credentials*.json",
    "service[-_]account*.json",
    "client_secret*.json",
    "secret.*",
    "secrets.*",
    "*.tfstate",
    "kubeconfig",
)
SECRET_FOLDERS = frozenset({".aws", ".ssh", ".gnupg", ".kube", ".azure", ".gcloud", ".docker"})
HARMLESS_ENDINGS = (".example", ".sample", ".template", ".dist", ".pub", ".py", ".md")

_TOKENS = (
    r"(?:AKIA|ASIA)[A-Z0-9]{16}",
    r"gh[pousr]_[A-Za-z0-9]{20,}",
    r"github_pat_\w{20,}",
    r"glpat-[\w-]{16,}",
    r"sk-(?=[\w-]*\d)[\w-]{20,}",
    r"[sr]k_live_\w{16,}",
    r"xox[a-z]-[A-Za-z0-9-]{10,}",
    r"hf_[A-Za-z0-9]{20,}",
    r"AIza[\w-]{35}",
    r"pypi-[\w-]{32,}",
    r"npm_[A-Za-z0-9]{36}",
    r"eyJ[\w-]{10,}\.eyJ[\w-]{10,}\.[\w-]+",
)
TOKEN = rf"(?<![A-Za-z0-9])(?:{'|'.join(_TOKENS)})"
"""Well-known tokens, by the prefixes and lengths that their issuers document."""
PRIVATE_KEY = r"-----BEGIN [A-Z ]*PRIVATE KEY-----"
"""Start of a private key."""

_LOGIN = r"://[^/\s:@'\"]{1,64}:[^/\s:@'\"]{6,128}@[\w.-]+"
"""URL with a password.

Narrower than the pattern for texts, or an example in a comment would exclude its file.
"""
_CREDENTIAL = re.compile(f"{TOKEN}|{PRIVATE_KEY}|{_LOGIN}".encode())

SCANNED_BYTES = 1 << 20
"""Bytes at the start of a file that are searched."""


def secret_name(path: str) -> str | None:
    """Return why a path must stay out by its name alone, or `None`."""
    *folders, name = path.lower().split("/")
    if name.endswith(HARMLESS_ENDINGS):
        return None
    if SECRET_FOLDERS.intersection(folders):
        return "looks like a credential store"
    if any(fnmatchcase(name, pattern) for pattern in SECRET_NAMES):
        return "looks like a secret by its name"
    return None


def secret_content(beginning: bytes) -> str | None:
    """Return why a file must stay out by its content, or `None`."""
    return "holds what looks like a credential" if _CREDENTIAL.search(beginning) else None
