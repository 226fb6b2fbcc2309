"""Each rule is exact to the degree it promises, and not beyond."""

import math

import numpy as np
import pytest

from maxent import quadrature as rules


def legendre(d):
    return 2.0 / (d + 1) if d % 2 == 0 else 0.0


def hermite(d):
    return float(math.prod(range(1, d, 2))) if d % 2 == 0 else 0.0


RULES = [
    (rules.gauss_legendre, legendre, lambda n: 2 * n - 1),
    (rules.clenshaw_curtis, legendre, lambda n: n - 1 if n % 2 == 0 else n),
    (rules.gauss_hermite, hermite, lambda n: 2 * n - 1),
    (rules.gauss_laguerre, lambda d: float(math.factorial(d)), lambda n: 2 * n - 1),
]
NAMES = ["legendre", "clenshaw-curtis", "hermite", "laguerre"]


@pytest.mark.parametrize("rule, integral, exact", RULES, ids=NAMES)
@pytest.mark.parametrize("n", [2, 3, 5, 8])
def test_exact_to_its_degree_and_not_beyond(rule, integral, exact, n):
    t, w = rule(n)
    for d in range(exact(n) + 1):
        size = max(1.0, float(np.abs(w) @ np.abs(t) ** d))
        assert abs(w @ t**d - integral(d)) <= 1e-13 * size
    beyond = exact(n) + 1
    assert abs(w @ t**beyond - integral(beyond)) > 1e-6 * abs(integral(beyond))


@pytest.mark.parametrize("rule", [r for r, _, _ in RULES], ids=NAMES)
def test_nodes_ascend_and_are_read_only(rule):
    t, w = rule(33)
    assert (np.diff(t) > 0).all()
    assert np.isfinite(w).all() and (w >= 0).all()
    with pytest.raises(ValueError):
        t[0] = 0.0


def test_large_hermite_rules_stay_finite():
    t, w = rules.gauss_hermite(400)
    assert np.isfinite(w).all()
    assert w @ t**2 == pytest.approx(1.0, abs=1e-12)


@pytest.mark.parametrize("k", [1, 4, 20, 60])
def test_panel_rule_turns_values_into_chebyshev_coefficients(k):
    nodes, weights, points, transform = rules.panel_rule(k)
    assert len(nodes) >= k + 1
    assert weights.sum() == pytest.approx(2.0, abs=1e-14)
    c = np.random.default_rng(k).normal(size=k + 1)
    values = np.polynomial.chebyshev.chebval(points, c)
    found = values @ transform
    np.testing.assert_allclose(found[: k + 1], c, atol=1e-13 * k)
    assert len(found) % 4 == 0 and len(found) - k in (1, 2, 3, 4) and not found[k + 1 :].any()
