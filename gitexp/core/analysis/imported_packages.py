"""Which installed packages a piece of code imports, as far as its text says."""

import re
from collections.abc import Iterable
from typing import Final

SOURCES: Final = (".py", ".pyi", ".ipynb")
"""Endings of files that are searched; the cells of a notebook are quoted lines."""

_IMPORT: Final = re.compile(
    rb'^[ \t]*"?(?:from[ \t]+([A-Za-z_]\w*)|import[ \t]+([A-Za-z_][\w., \t]*))', re.MULTILINE
)

_DISTRIBUTIONS: Final = {
    "attr": "attrs",
    "bs4": "beautifulsoup4",
    "cv2": "opencv-python",
    "dateutil": "python-dateutil",
    "dotenv": "python-dotenv",
    "faiss": "faiss-cpu",
    "git": "gitpython",
    "jwt": "pyjwt",
    "OpenSSL": "pyopenssl",
    "PIL": "pillow",
    "pkg_resources": "setuptools",
    "serial": "pyserial",
    "skimage": "scikit-image",
    "sklearn": "scikit-learn",
    "umap": "umap-learn",
    "yaml": "pyyaml",
}
"""Well-known packages whose module has another name."""


def imported_packages(sources: Iterable[bytes]) -> frozenset[str]:
    """The packages that Python sources import by name, spelled as `normal_name` does.

    Modules of the code itself and of the standard library are among them; they name no package.
    """
    modules: set[str] = set()
    for source in sources:
        for of, several in _IMPORT.findall(source):
            names = [of] if of else several.split(b",")
            modules.update(
                name.split()[0].partition(b".")[0].decode() for name in names if name.strip()
            )
    return frozenset(normal_name(_DISTRIBUTIONS.get(module, module)) for module in modules)


def normal_name(package: str) -> str:
    """A package's name in the one spelling that package indexes compare: `Foo_bar` is `foo-bar`."""
    return re.sub(r"[-_.]+", "-", package).lower()
