"""Spaces as dimensions for a method that proposes points, and back."""

import pytest

from gitexp.core.model.tables import nest
from gitexp.features.sweeps.dimensions import Dimension, dimensions_of, point_of, proposal_of
from gitexp.features.sweeps.space import Point, Space, grid, make_space
from gitexp.features.sweeps.space_syntax import parse_values


def space_of(*texts: str, zipped: tuple[str, ...] = (), rows: tuple[Point, ...] = ()) -> Space:
    pairs = [text.split("=", 1) for text in texts]
    return make_space({name: parse_values(name, text) for name, text in pairs}, zipped, rows)


SPACES = {
    "choices": space_of("opt=sgd,adam", "lr=0.1,0.01", "flag=true,false", 'n=["1",1,[2]]'),
    "ranges": space_of("depth=2..8", "model.width=8..64:8", "lr=log(0.001..0.1:3)"),
    "zip": space_of("a=1,2,3", "b=x,y,z", "c=4..6", zipped=("a,c",)),
    "table": space_of("lr=1,2", rows=({"x": 1, "y": "a"}, {"x": 2, "y": "b"}, {"x": 3})),
}


@pytest.mark.parametrize("name", SPACES)
def test_every_point_has_a_proposal_that_stands_for_it(name: str) -> None:
    space = SPACES[name]
    dimensions = dimensions_of(space)
    points = grid(space)
    assert len(points) > 3
    for point in points:
        proposal = proposal_of(dimensions, nest(point))
        assert proposal is not None
        assert point_of(dimensions, proposal) == point


def test_a_range_without_steps_is_a_number() -> None:
    (dimension,) = dimensions_of(space_of("lr=log(1e-5..1e-1)"))
    assert dimension.rounded(0.0123456789) == 0.0123457
    assert dimension.rounded(0.1000001) == 0.1
    assert dimension.part(0.5) == {"lr": 0.5}
    assert dimension.number_of({"lr": 0.01}) == 0.01


@pytest.mark.parametrize(
    "params", [{}, {"depth": 9}, {"depth": 2.5}, {"depth": True}, {"depth": "2"}, {"depth": {}}]
)
def test_parameters_outside_the_space_have_no_proposal(params: Point) -> None:
    assert proposal_of(dimensions_of(space_of("depth=2..8")), params) is None


def test_choices_tell_texts_numbers_and_truth_values_apart() -> None:
    dimensions = dimensions_of(space_of('n=[1, "1", true]'))
    found = [proposal_of(dimensions, {"n": value}) for value in (1, "1", True, 1.0)]
    assert found == [{"n": 0}, {"n": 1}, {"n": 2}, None]


@pytest.mark.parametrize(
    ("text", "is_ordered"),
    [
        ("x=2..8:2", True),
        ("x=0..1:0.1", True),
        ("x=0.1,0.01,0.001", True),
        ("x=log(1e-5..1e-1:5)", True),
        ("x=1,2", False),
        ("x=1,2,7", False),
        ("x=a,b,c", False),
        ("x=[true,false,true]", False),
    ],
)
def test_equal_steps_and_factors_have_an_order(text: str, is_ordered: bool) -> None:
    (dimension,) = dimensions_of(space_of(text))
    assert dimension.is_ordered is is_ordered


def test_parameters_that_vary_together_are_one_dimension_without_order() -> None:
    found = dimensions_of(SPACES["zip"])
    assert [dimension.name for dimension in found] == ["a,c", "b"]
    assert not any(dimension.is_ordered for dimension in found)
    assert isinstance(found[0], Dimension)
