"""What credentials look like, and which files look like secrets and so stay out of snapshots.

A file is judged by its name first, then by what it holds. What is left out is always named, so that
users see why a reproduction lacks a file. Texts are cleaned of the same shapes by
`core.inputs.redaction`.
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
"""How a private key begins."""

_LOGIN = r"://[^/\s:@'\"]{1,64}:[^/\s:@'\"]{6,128}@[\w.-]+"
"""A URL with a password; narrower than what is taken out of texts, or code would stay out for an
example in a comment."""
_CREDENTIAL = re.compile(f"{TOKEN}|{PRIVATE_KEY}|{_LOGIN}".encode())

SCANNED_BYTES = 1 << 20
"""How much of a file's beginning is looked at."""


def secret_name(path: str) -> str | None:
    """Why a path must stay out by its name alone, or `None`."""
    *folders, name = path.lower().split("/")
    if name.endswith(HARMLESS_ENDINGS):
        return None
    if SECRET_FOLDERS.intersection(folders):
        return "looks like a credential store"
    if any(fnmatchcase(name, pattern) for pattern in SECRET_NAMES):
        return "looks like a secret by its name"
    return None


def secret_content(beginning: bytes) -> str | None:
    """Why a file must stay out by what it holds, or `None`."""
    return "holds what looks like a credential" if _CREDENTIAL.search(beginning) else None
