"""The solver against the table of known answers, in both directions.

Tolerances: entropy 1e-9, quantiles 1e-8 of the range, pdf 1e-7 relative. Where float64 input cannot
carry that much, the table says so by itself (`drift`: how far the exact answer moves when the input
is rounded); what the certificate claims can only widen the pdf's tolerance up to there and never
excuses a wrong answer.
"""

import numpy as np
import pytest

import maxent
from benchmarks.judge import judge
from maxent import SolveError, Status
from tests.problems import CONTINUOUS, LIMITS, SOLVABLE, UNSOLVABLE

ROUNDINGS = (
    40.0  # a backward-stable solver commits a few roundings of the input; the table's drift is one
)


def support_of(problem):
    return maxent.Discrete(problem.support) if problem.discrete else problem.support


def solve(problem, **options):
    return maxent.solve(
        np.array(problem.moments), support=support_of(problem), kind=problem.kind, **options
    )


def pdf_tolerance(problem, certificate):
    """1e-7, or what the table says that the input supports, or what the certificate says when
    that is no more lenient.
    """
    independent = ROUNDINGS * problem.drift[2]
    claimed = 10.0 ** -float(np.min(certificate.digits))
    return max(1e-7, min(claimed, 10 * independent), independent)


@pytest.mark.parametrize("problem", CONTINUOUS, ids=str)
def test_answer(problem):
    density = solve(problem)
    certificate = density.certificate
    assert certificate.status is Status.SOLVED
    assert density.batch_shape == ()

    entropy = float(density.entropy())
    assert abs(entropy - float(problem.entropy)) <= 1e-9 + ROUNDINGS * problem.drift[0]

    u = np.array([float(u) for u, _ in problem.ppf])
    x = np.array([float(x) for _, x in problem.ppf])
    tolerance = 1e-8 * problem.spread + ROUNDINGS * problem.drift[1]
    if len(u) > 1:
        np.testing.assert_allclose(density.ppf(u), x, rtol=0, atol=tolerance)

    at = np.array([v for v, _ in problem.pdf])
    truth = np.array([v for _, v in problem.pdf])
    np.testing.assert_allclose(density.pdf(at), truth, rtol=pdf_tolerance(problem, certificate))


@pytest.mark.parametrize("problem", [p for p in CONTINUOUS if p.pdf_at], ids=str)
def test_digits_are_not_overclaimed(problem):
    """`digits` says what the rounding of the input leaves of the density. The answer to the moments
    as they stand is known, and should agree to a few hundred roundings, or to the solver's 1e-9.
    """
    density = solve(problem)
    at, truth = (np.array(v) for v in zip(*problem.pdf, strict=True))
    likely = truth > 1e-3 * truth.max()
    error = np.max(np.abs(density.pdf(at)[likely] / truth[likely] - 1))
    assert error <= 300 * 10.0 ** -float(density.certificate.digits) + problem.drift[2] + 1e-9


@pytest.mark.parametrize("problem", CONTINUOUS, ids=str)
def test_moments_measured_from_outside(problem):
    density = solve(problem)
    verdict = judge(density.logpdf, problem.support, np.array(problem.moments), problem.kind)
    assert verdict.uncertainty < 1e-10
    assert verdict.worst < 1e-10
    # the judge's entropy is that of the pdf handed out; entropy() must be the same number
    assert abs(verdict.entropy - float(density.entropy())) < 2e-9


@pytest.mark.parametrize("problem", [p for p in SOLVABLE if p.discrete], ids=str)
def test_discrete_answer(problem):
    density = solve(problem)
    points = np.array(problem.support)
    truth = np.array([float(p) for p in problem.probabilities])
    assert density.certificate.status is Status.SOLVED
    np.testing.assert_allclose(density.pdf(points), truth, rtol=1e-10, atol=1e-14)
    np.testing.assert_allclose(density.cdf(points), np.cumsum(truth), rtol=1e-10, atol=1e-14)
    assert abs(float(density.entropy()) - float(problem.entropy)) < 1e-9


@pytest.mark.parametrize("problem", UNSOLVABLE, ids=str)
def test_refused_by_name(problem):
    with pytest.raises(SolveError) as caught:
        solve(problem)
    expected = {problem.status} | problem.also
    assert caught.value.status.name in expected
    assert str(caught.value).strip(), "a refusal says why"


@pytest.mark.parametrize("problem", UNSOLVABLE, ids=str)
def test_refused_without_throwing(problem):
    density = solve(problem, throw=False)
    assert density.certificate.status.name in {problem.status} | problem.also
    x = np.array([float(v) if np.isfinite(v) else 0.0 for v in problem.support])
    assert np.all(np.isnan(density.pdf(x)))
    assert np.isnan(density.ppf(0.5))


@pytest.mark.parametrize("problem", [*CONTINUOUS, *UNSOLVABLE], ids=str)
def test_check_agrees(problem):
    report = maxent.check(np.array(problem.moments), support=support_of(problem), kind=problem.kind)
    assert report.status.name in {problem.status} | problem.also


@pytest.mark.parametrize("problem", LIMITS, ids=str)
def test_known_limits_end_honestly(problem):
    density = solve(problem, throw=False)
    status = density.certificate.status
    assert status.name in {"SOLVED"} | problem.also
    if status is Status.SOLVED:
        verdict = judge(density.logpdf, problem.support, np.array(problem.moments), problem.kind)
        assert verdict.worst < 1e-8


# ---------------------------------------- the negation
@pytest.mark.parametrize("problem", [p for p in CONTINUOUS if p.degree > 1], ids=str)
@pytest.mark.parametrize("factor", [1 + 1e-4, 1 - 1e-4], ids=["up", "down"])
def test_a_wrong_moment_is_not_solved_to_the_right_answer(problem, factor):
    wrong = np.array(problem.moments)
    j = 2  # the variance, in any kind
    wrong[j] = wrong[j] * factor if abs(wrong[j]) > 1e-3 else wrong[j] + (factor - 1)
    density = maxent.solve(wrong, support=problem.support, kind=problem.kind, throw=False)
    if density.certificate.status is not Status.SOLVED:
        return
    asked = judge(density.logpdf, problem.support, wrong, problem.kind)
    assert asked.worst < 1e-10
    right = judge(density.logpdf, problem.support, np.array(problem.moments), problem.kind)
    assert right.moment_error > 1e-7, "the moments of the wrong answer should be the wrong ones"


def test_perturbed_across_the_boundary_is_refused():
    for j, value in ((1, 1.0 + 1e-9), (2, 0.25 - 1e-9), (2, 0.5 + 1e-9)):
        m = np.array([1, 0.5, 0.3])
        m[j] = value
        status = maxent.solve(m, support=(0.0, 1.0), throw=False).certificate.status
        assert status is Status.INFEASIBLE


@pytest.mark.parametrize(
    "edge, step",
    [
        (((0.0, np.inf), [1, 1, 2.0]), 1e-6),
        (((0.0, np.inf), [1, 1, 2.0, 6.0]), 1e-5),
        (((-np.inf, np.inf), [1, 0, 1, 0, 3.0]), 1e-6),
        (((-np.inf, np.inf), [1, 0, 1, 0, 3.0, 0, 15.0]), 1e-5),
    ],
    ids=["Exp k=2", "Exp k=3", "N k=4", "N k=6"],
)
def test_the_edge_of_existence(edge, step):
    """On the edge the answer exists; a little beyond it does not; a little inside it does."""
    support, m = edge
    m = np.array(m)
    for shift, expected in ((0.0, "SOLVED"), (step, "NO_MAXIMUM"), (-step, "SOLVED")):
        moved = m.copy()
        moved[-1] += shift
        status = maxent.solve(moved, support=support, throw=False).certificate.status
        assert status.name == expected, shift


def test_satellite_is_there():
    """skew 0.2, kurtosis 4: 7e-7 of the mass sits near 34 standard deviations."""
    density = maxent.solve(np.array([1, 0, 1, 0.2, 4.0]), support=(-np.inf, np.inf))
    mass = float(density.sf(20.0))
    assert 5e-7 < mass < 9e-7
    assert 33 < float(density.isf(mass / 2)) < 36
    assert 33 < float(density.ppf(1 - mass / 2)) < 36


def test_entropy_of_the_published_artefact_is_lower():
    """The much-copied 1992 coefficients for (0, .3, 0, .15) come from a rectangle rule:
    lambda_4 is 4.6081.
    """
    density = maxent.solve(np.array([1, 0, 0.3, 0, 0.15]), support=(-1.0, 1.0))
    lam = np.asarray(density.lagrange_multipliers(kind="raw"), dtype=float).ravel()
    assert abs(abs(lam[-1]) - 4.608091043987557) < 1e-8
