"""Panels that resolve exp(polynomial): they hold all of it, and what they spare is right."""

import math

import numpy as np
import pytest

from maxent.basis import CHEBYSHEV
from maxent.quadrature import clenshaw_curtis, panel_rule
from tests.kernels import FromPython

panels = FromPython("panels")
DEPTH = 45.0
chebval = np.polynomial.chebyshev.chebval


def survey(c, coarse=-9.0, fine=-37.0):
    """(panels kept, panels dropped, peak), each panel (left, right)."""
    k = c.size - 1
    nodes, _, points, transform = panel_rule(k)
    left, right, gap_left, gap_right = np.empty((4, 256))
    count, peak, gaps = panels.survey(
        c, CHEBYSHEV.recurrence(k).copy(), -1.0, 1.0, DEPTH, nodes.size, points.copy(),
        transform.copy(), left, right, coarse, fine, gap_left, gap_right,
    )
    kept = np.column_stack([left, right])[:count]
    return kept, np.column_stack([gap_left, gap_right])[:gaps], peak


def sharp(kind, k):
    """Exponents of degree k: a polynomial at random, a layer, spikes at random places."""
    rng = np.random.default_rng(k)
    if kind == "layer":
        return np.r_[0.0, -3e3, np.zeros(k - 1)]
    if kind == "spikes":  # -a prod (t - place)²
        q = np.polynomial.Polynomial.fromroots(np.repeat(rng.uniform(-0.9, 0.9, k // 2), 2))
        return np.polynomial.chebyshev.poly2cheb(-1e5 * q.coef)
    return rng.normal(size=k + 1) * 8.0


def integrals(c, peak, edges, t, w):
    """Of exp(sum c_j T_j - peak) T_i, (k+1,), by one rule on every panel."""
    half, middle = np.diff(edges)[:, 0] / 2, edges.mean(axis=1)
    x = middle[:, None] + half[:, None] * t
    p = np.exp(chebval(x, c) - peak) * w * half[:, None]
    return np.tensordot(p, np.polynomial.chebyshev.chebvander(x, c.size - 1), 2)


@pytest.mark.parametrize("k", [1, 2, 3, 6, 7, 20])
def test_values_of_a_series_at_many_places(k):
    rng = np.random.default_rng(k)
    c, t = rng.normal(size=k + 1), rng.uniform(-1.1, 1.1, 37)
    now, before, total = np.empty((3, t.size))
    panels.climb(c, CHEBYSHEV.recurrence(k).copy(), t, now, before, total)
    np.testing.assert_allclose(total, chebval(t, c), atol=1e-13 * np.abs(chebval(1.1, abs(c))))


@pytest.mark.parametrize("kind", ["smooth", "layer", "spikes"])
@pytest.mark.parametrize("k", [4, 6, 12])
def test_panels_hold_all_of_the_integral(kind, k):
    c = sharp(kind, k)
    kept, dropped, peak = survey(c)
    everything = np.concatenate([kept, dropped])
    everything = everything[np.argsort(everything[:, 0])]
    assert everything[0, 0] == -1.0 and everything[-1, 1] == 1.0
    assert (everything[1:, 0] == everything[:-1, 1]).all()

    narrow = np.concatenate(
        [np.column_stack([e[:-1], e[1:]]) for e in (np.linspace(a, b, 17) for a, b in everything)]
    )
    truth = integrals(c, peak, narrow, *clenshaw_curtis(33))
    allowed = 1e-16 * len(kept) + (1e-14 + 2.0**-53 * np.abs(c).sum()) * truth[0]
    rule = panel_rule(k)[:2]
    assert np.abs(integrals(c, peak, kept, *rule) - truth).max() <= allowed
    whole = np.array([[-1.0, 1.0]])
    assert np.abs(integrals(c, peak, whole, *rule) - truth).max() > 1e3 * allowed  # they are needed


@pytest.mark.parametrize("target", [-37.0, -9.0])
def test_what_is_too_sharp_is_not_resolved(target):
    rng = np.random.default_rng(0)
    k, nodes, half = 8, 20, 1e-8
    limit = panels.sharpest(target, k, nodes, 0.0)
    places = np.cos(np.linspace(0.0, math.pi, 200))
    steepest = 0.0
    for _ in range(2000):
        local = rng.normal(size=k + 1) * 10.0 ** rng.uniform(-20.0, 0.0)
        local[1] = rng.uniform(0.0, limit)
        if panels.resolved_to(target, local, k, half, nodes, 0.0):
            values = chebval(places, local)
            steepest = max(steepest, values.max() - values.min())
    assert 0.9 * limit < steepest <= limit  # and it could not be much less
