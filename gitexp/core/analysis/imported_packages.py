"""Find the installed packages that source code imports, by its text."""

import re
from collections.abc import Iterable
from typing import Final

SOURCES: Final = (".py", ".pyi", ".ipynb")
"""File name endings that are searched; notebook cells are quoted lines."""

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
    """Return the packages that Python sources import, as `normal_name` spells them.

    Includes modules of the code itself and of the standard library, which are no packages.
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
    """Return a package's name as package indexes compare it: `Foo_bar` is `foo-bar`."""
    return re.sub(r"[-_.]+", "-", package).lower()
