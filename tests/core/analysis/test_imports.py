"""Packages that source code imports."""

import pytest

from gitexp.core.analysis.imported_packages import imported_packages, normal_name


@pytest.mark.parametrize(
    ("source", "packages"),
    [
        (b"import torch\n", {"torch"}),
        (b"import numpy as np, pandas.api as api\n", {"numpy", "pandas"}),
        (b"from sklearn.linear_model import Ridge\n", {"scikit-learn"}),
        (b"def f():\n    import yaml  # late\n", {"pyyaml"}),
        (b"try:\n\tfrom PIL import Image\nexcept ImportError: pass\n", {"pillow"}),
        (b"from . import own\nfrom .. import other\n", set()),
        (b"importance = 3\nfromage = 1\n", set()),
        (b'   "import torch\\n",\n   "from jax import numpy\\n"\n', {"torch", "jax"}),
        (b"import a,\n", {"a"}),
        (b"\xff\xfe", set()),
    ],
)
def test_imports_are_found(source: bytes, packages: set[str]) -> None:
    assert imported_packages([source]) == packages


def test_names_of_packages_are_compared_in_one_spelling() -> None:
    assert normal_name("Foo_Bar.baz--qux") == "foo-bar-baz-qux"
