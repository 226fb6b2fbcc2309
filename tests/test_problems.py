"""The table itself: every stated density integrates to 1, has the moments, the entropy and the
quantiles.
"""

import itertools
import math

import mpmath as mp
import numpy as np
import pytest

from benchmarks.judge import judge
from tests.problems import CONTINUOUS, DIGITS, LOG_MOMENTS, PROBLEMS, SOLVABLE, UNSOLVABLE

SOLVABLE_DISCRETE = [p for p in SOLVABLE if p.discrete]


def breaks(problem):
    """Break points around everything that the stated quantiles show, out to where the density
    is gone.
    """
    lo, hi = problem.support
    known = [mp.mpf(x) for _, x in problem.ppf]
    spread = max(known) - min(known) if len(known) > 1 else mp.mpf(problem.scale)
    points = set(known)
    for centre in known:
        for j in range(-12, 24):
            points.update((centre - spread * mp.mpf(1.5) ** j, centre + spread * mp.mpf(1.5) ** j))
    ends = [mp.mpf(v) for v in (lo, hi) if math.isfinite(v)]
    for end in ends:
        points.update(end + s * spread * mp.mpf(2) ** j for j in range(-40, 8) for s in (-1, 1))
    if "satellite" in problem.tags:  # a lump that no stated quantile shows
        points.update(mp.mpf(j) for j in range(-20, 301))
    points = sorted(p for p in points | set(ends) if lo <= p <= hi)
    top = max(problem.logpdf(p) for p in points)
    return [
        p
        for i, p in enumerate(points)
        if any(problem.logpdf(q) > top - 150 for q in points[max(0, i - 1) : i + 2])
    ]


def basis(problem, x):
    """The functions whose averages the row states, at x."""
    if problem.kind == "chebyshev":
        lo, hi = map(mp.mpf, problem.support)
        t = ((x - lo) - (hi - x)) / (hi - lo)
        row = [mp.mpf(1), t]
        while len(row) <= problem.degree:
            row.append(2 * t * row[-1] - row[-2])
        return row[: problem.degree + 1]
    return [x**j for j in range(problem.degree + 1)]


def integrals(problem, nodes=48):
    """(mass, entropy, moments..., mass below each stated quantile), Gauss-Legendre on panels."""
    points = breaks(problem)
    rule = mp.calculus.quadrature.GaussLegendre(mp.mp)
    table = rule.calc_nodes(4, mp.mp.prec)  # 3 * 2^3 = 24 nodes
    mass, entropy = mp.mpf(0), mp.mpf(0)
    moments = [mp.mpf(0)] * (problem.degree + 1)
    below, known = {}, {mp.mpf(x): u for u, x in problem.ppf}
    for a, b in itertools.pairwise(points):
        if a in known:
            below[known[a]] = mass
        half, middle = (b - a) / 2, (a + b) / 2
        for node, weight in table:
            x = middle + half * node
            log_p = problem.logpdf(x)
            p = weight * half * mp.exp(log_p)
            mass += p
            entropy -= p * log_p
            for j, value in enumerate(basis(problem, x)):
                moments[j] += p * value
    for x, u in known.items():
        below.setdefault(u, mass if x >= points[-1] else mp.mpf(0))
    return mass, entropy, moments, below


def as_raw(problem):
    """The row's moments as plain or Chebyshev averages."""
    m = [mp.mpf(v) for v in problem.moments]
    if problem.kind in ("central", "standardized"):
        mean, variance = m[1], m[2]
        central = [mp.mpf(1), mp.mpf(0), *m[2:]]
        if problem.kind == "standardized":
            central[3:] = [v * variance ** (mp.mpf(j) / 2) for j, v in enumerate(m[3:], start=3)]
        m = [
            sum(mp.binomial(j, i) * mean ** (j - i) * central[i] for i in range(j + 1))
            for j in range(len(m))
        ]
    return m


@pytest.mark.slow
@pytest.mark.parametrize("problem", CONTINUOUS, ids=str)
def test_stated_density_is_the_answer(problem):
    with mp.workdps(30):
        mass, entropy, moments, below = integrals(problem)
        target = as_raw(problem)
        assert abs(mass - 1) < 1e-13
        assert (
            abs(entropy - mp.mpf(problem.entropy)) < 1e-12 * (1 + abs(entropy)) + problem.drift[0]
        )
        size = [max(1, abs(v)) for v in target]
        spread = (
            1
            if problem.kind == "chebyshev"
            else max(1, abs(target[1]), mp.sqrt(abs(target[min(2, problem.degree)])))
        )
        for j, (a, b) in enumerate(zip(moments, target, strict=True)):
            # the float64 moments differ from those of the stated density by their rounding
            assert abs(a - b) < 4e-16 * max(
                size[j], 1 if problem.kind == "chebyshev" else spread**j
            ), (j, a, b)
        for u, value in below.items():
            assert abs(value - mp.mpf(u)) < 1e-11, (u, value)


def evaluator(problem):
    """The row's log p in longdouble, as a function of an array."""
    c = np.array([np.longdouble(v) for v in problem.c])

    def logpdf(x):
        t = (np.asarray(x).astype(np.longdouble) - problem.loc) / problem.scale
        if problem.basis == "power":
            out = np.zeros_like(t)
            for a in c[::-1]:
                out = out * t + a
            return out
        b0 = b1 = np.zeros_like(t)
        for a in c[:0:-1]:
            b0, b1 = a + 2 * t * b0 - b1, b0
        return c[0] + t * b0 - b1

    return logpdf


@pytest.mark.parametrize("problem", CONTINUOUS, ids=str)
def test_the_judge_accepts_the_stated_density(problem):
    """A second check of the table and, at once, of `benchmarks.judge`."""
    verdict = judge(evaluator(problem), problem.support, problem.moments, problem.kind)
    far = abs(problem.loc) / abs(problem.scale) if problem.basis == "power" else 1
    assert verdict.worst < 2e-13 + 2e-17 * far**1.1 * 10
    assert abs(verdict.entropy - float(problem.entropy)) < 1e-12 * (1 + far)


@pytest.mark.parametrize("problem", CONTINUOUS, ids=str)
def test_the_judge_rejects_a_density_that_is_off(problem):
    """A mass, a mean or a width that is off by 1e-7 does not pass."""
    right = evaluator(problem)
    lighter = judge(lambda x: right(x) - 1e-7, problem.support, problem.moments, problem.kind)
    assert 0.9e-7 < lighter.worst < 1.1e-7
    tilted = judge(
        lambda x: right(x) * (1 + 1e-7) - 1e-7 * right(x).max(),
        problem.support,
        problem.moments,
        problem.kind,
    )
    assert tilted.worst > 1e-9 or "uniform" in problem.name  # a uniform has nothing to tilt


@pytest.mark.parametrize("problem", SOLVABLE_DISCRETE, ids=str)
def test_stated_probabilities(problem):
    with mp.workdps(DIGITS):
        p = [mp.mpf(v) for v in problem.probabilities]
        assert abs(sum(p) - 1) < 1e-25
        for j, m in enumerate(problem.moments):
            assert (
                abs(
                    sum(q * mp.mpf(x) ** j for q, x in zip(p, problem.support, strict=True))
                    - mp.mpf(m)
                )
                < 1e-25
            )


def test_the_table_is_in_order():
    names = [p.name for p in (*PROBLEMS, *LOG_MOMENTS)]
    assert len(names) == len(set(names))
    for p in PROBLEMS:
        assert p.moments[0] == 1, p
        assert p.degree >= 1, p
        assert all(math.isfinite(v) for v in p.moments), p
    for p in CONTINUOUS:
        assert len(p.c) <= p.degree + 1 or all(v in ("0", "0.0") for v in p.c[p.degree + 1 :]), p
    assert {p.status for p in UNSOLVABLE} == {"INFEASIBLE", "ATOMIC", "NO_MAXIMUM"}


def test_die_of_jaynes_is_the_published_one():
    (die,) = [p for p in SOLVABLE if p.name == "die6/mean4.5"]
    published = [0.05435, 0.07877, 0.11416, 0.16545, 0.23977, 0.34749]
    assert all(abs(float(a) - b) < 1e-5 for a, b in zip(die.probabilities, published, strict=True))
