"""Which files look like secrets and so stay out of snapshots.

Floor 1, pure. Judged by name first, then by the shapes of well-known credentials in the content.
What is left out is always named, so that nobody wonders why a reproduction lacks a file.
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

SECRET_SHAPES = re.compile(
    rb"-----BEGIN [A-Z ]*PRIVATE KEY-----"
    rb"|\b(?:AKIA|ASIA)[0-9A-Z]{16}\b"
    rb"|\bgh[pousr]_[A-Za-z0-9]{36,}\b"
    rb"|\bgithub_pat_[A-Za-z0-9_]{60,}\b"
    rb"|\bglpat-[A-Za-z0-9_-]{20,}"
    rb"|\bsk-(?:proj-|ant-[a-z0-9]+-)?[A-Za-z0-9_-]{32,}"
    rb"|\bxox[abprs]-[A-Za-z0-9-]{20,}"
    rb"|\bhf_[A-Za-z0-9]{30,}\b"
    rb"|\bAIza[0-9A-Za-z_-]{35}\b"
    rb"|\bpypi-[A-Za-z0-9_-]{50,}"
    rb"|\bnpm_[A-Za-z0-9]{36}\b"
    rb"|://[^/\s:@'\"]{1,64}:[^/\s:@'\"]{6,128}@[\w.-]+"
)
"""Prefixes and lengths as their issuers document them; false alarms only leave a file out."""

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
    return "holds what looks like a credential" if SECRET_SHAPES.search(beginning) else None
