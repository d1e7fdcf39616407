"""Settings with values that no user can mean end with a sentence."""

import pytest

from gitexp.core.errors import InvalidInput
from gitexp.storage.settings.metrics import read_metric_rules
from gitexp.storage.settings.options import OPTIONS, Settings


@pytest.mark.parametrize(
    ("table", "words"),
    [
        ("minimize", "cannot use setting 'metrics'"),
        ({"loss": "minimize"}, "cannot use setting 'metrics.loss'"),
        ({"loss": {"tolerance": -1}}, "cannot use setting 'tolerance' of metric 'loss'"),
        ({"loss": {"tolerance": {"relative": -1}}}, "cannot use setting 'tolerance'"),
        ({"loss": {"gate": float("nan")}}, "cannot use setting 'gate' of metric 'loss'"),
    ],
)
def test_invalid_metric_rules_are_refused(table: object, words: str) -> None:
    with pytest.raises(InvalidInput, match=words):
        read_metric_rules(table, "gitexp.toml")


@pytest.mark.parametrize("text", ["inf", "1e400", "nan", "-1", "much"])
def test_invalid_sizes_are_refused(text: str) -> None:
    [option] = [option for option in OPTIONS if option.name == "max-file-size"]
    with pytest.raises(ValueError):
        option.parse(text)


def test_every_option_is_an_attribute_of_settings_in_the_same_order() -> None:
    assert [option.field for option in OPTIONS] == list(Settings._fields[: len(OPTIONS)])
