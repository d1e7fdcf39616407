"""Student's t distribution, compared with values of SciPy."""

import math

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gitexp.core.analysis.student_t import t_quantile, t_tail

TAILS = (0.2, 0.05, 0.025, 0.01, 0.005, 0.025 / 60, 1e-6)

# fmt: off
QUANTILES = {  # scipy.stats.t.isf(tail, dof) of SciPy 1.17.1, one column a tail
    1: (1.3763819204711736, 6.313751514675044, 12.706204736174705, 31.82051595377396,
        63.65674116287158, 763.9432905087347, 318309.8861827435),
    1.3: (1.2162502631131102, 4.333339183467031, 7.500529325562036, 15.269323764121086,
        26.05755163321392, 176.34218540897314, 18263.527663197947),
    2: (1.060660171779821, 2.9199855803537256, 4.302652729749464, 6.964556734283274,
        9.924843200918293, 34.619361756395435, 707.1057205259339),
    2.7: (0.9958893770275287, 2.4638889362708505, 3.3921483831737524, 4.969832049221283,
        6.5331284334084545, 16.73723618157996, 156.8907530092156),
    4: (0.9409645772351811, 2.131846786326651, 2.7764451051977943, 3.746947387979197,
        4.604094871349993, 9.02936702750887, 41.577854150450975),
    8: (0.8888895177670199, 1.859548037530898, 2.3060041352041662, 2.8964594477096224,
        3.3553873313333953, 5.189191474202488, 12.109834665556214),
    20.2: (0.8597791660778074, 1.7238902200327575, 2.08464022440905, 2.5258230491207594,
        2.842422856920179, 3.9209128238504825, 6.573063537648692),
    60: (0.8476530063566146, 1.6706488649046367, 2.0002978220142604, 2.3901194726249138,
        2.660283028855037, 3.5189177454614655, 5.263554854652544),
    500: (0.842340706153505, 1.647906853929511, 1.9647198374673678, 2.3338289553523053,
        2.5856978351419415, 3.361916852691411, 4.810085161637655),
}
# fmt: on

TAIL_AT = {  # scipy.stats.t.sf(t, dof)
    (0.0, 1): 0.5,
    (1.0, 1): 0.25,
    (30.0, 1): 0.010606402405535426,
    (0.1, 2.7): 0.4636491676257721,
    (1e4, 2.7): 1.3432704192195126e-11,
    (3.0, 8): 0.008535840616891326,
    (1e4, 8): 5.599998387200295e-30,
    (1.0, 60): 0.16066325164662315,
    (30.0, 60): 3.9808339742848903e-38,
    (1e4, 60): 1.133847858988188e-188,
    (1e200, 3): 0.0,
}

dofs = st.floats(1, 200)
tails = st.floats(1e-7, 0.499)


@pytest.mark.parametrize("dof", QUANTILES)
def test_quantiles_are_those_of_scipy(dof: float) -> None:
    found = [t_quantile(tail, dof) for tail in TAILS]
    assert found == pytest.approx(QUANTILES[dof], rel=1e-11)


@pytest.mark.parametrize(("t", "dof"), TAIL_AT)
def test_tails_are_those_of_scipy(t: float, dof: float) -> None:
    assert t_tail(t, dof) == pytest.approx(TAIL_AT[t, dof], rel=1e-11)


def test_many_degrees_of_freedom_are_the_normal_distribution() -> None:
    assert t_quantile(0.025, math.inf) == pytest.approx(1.9599639845400545, rel=1e-13)
    assert t_quantile(1e-6, math.inf) == pytest.approx(4.753424308822899, rel=1e-13)
    below, above = t_quantile(0.025, 1e5), t_quantile(0.025, 1.0001e5)
    assert above == pytest.approx(below, rel=2e-5)


def test_half_of_the_values_exceed_zero() -> None:
    assert t_quantile(0.5, 3) == pytest.approx(0, abs=1e-12)
    assert t_quantile(0.4999, 2) == pytest.approx(0.0002828427181314423, rel=1e-9)


@given(tails, dofs)
def test_a_quantile_has_its_tail(tail: float, dof: float) -> None:
    assert t_tail(t_quantile(tail, dof), dof) == pytest.approx(tail, rel=1e-9)


@given(tails, tails, dofs)
@example(1e-07, 1.0000000000000001e-07, 137.0)
def test_a_smaller_tail_is_further_out(tail: float, other: float, dof: float) -> None:
    small, large = sorted((tail, other))
    rounding = 1e-9 * (1 + t_quantile(large, dof))
    assert t_quantile(small, dof) >= t_quantile(large, dof) - rounding


@given(tails, st.floats(1, 1e3), st.floats(1.001, 10))
def test_more_degrees_of_freedom_have_a_smaller_quantile(
    tail: float, dof: float, factor: float
) -> None:
    assert t_quantile(tail, dof * factor) <= t_quantile(tail, dof) * (1 + 1e-9)
