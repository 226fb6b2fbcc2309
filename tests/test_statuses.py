"""Every way a solve can end is reached, says its cause and a remedy, and has its line in docs/; bad
input names itself.
"""

import pickle
import re
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

import maxent
from maxent import SolveError, Status

DOCS = Path(__file__).parents[1] / "docs"
INF = np.inf


def atoms_raw(points, weights, k):
    return np.array([np.dot(weights, np.asarray(points, dtype=float) ** j) for j in range(k + 1)])


UNIT, HALF, LINE = (0.0, 1.0), (0.0, INF), (-INF, INF)

# name: (raw moments, support, status, what the message must mention)
# fmt: off
ENDINGS = {
    "solved": ([1, 0.4], UNIT, Status.SOLVED, ()),
    "infeasible": ([1, 0.5, 0.2], UNIT, Status.INFEASIBLE, ("E[", "0.05")),
    "infeasible, shifted": ([1, 10.5, 110.2], (10.0, 11.0), Status.INFEASIBLE, ("E[", "10.5")),
    "infeasible mean": ([1, 1.2], UNIT, Status.INFEASIBLE, ("E[", "0.2")),
    "infeasible on the line": ([1, 0, 1, 1, 1.9], LINE, Status.INFEASIBLE, ("E[", "0.09")),
    "infeasible on the half line": ([1, -1.0], HALF, Status.INFEASIBLE, ("E[", "1")),
    "one atom": ([1, 0.5, 0.25], UNIT, Status.ATOMIC, ("0.5",)),
    "two atoms": ([1, 0, 1, 0, 1], LINE, Status.ATOMIC, ("1", "0.5")),
    "an atom, and mass far out": ([1, 1, 1, 2], HALF, Status.ATOMIC, ("moment 3", "farther")),
    "mean 0 on the half line": ([1, 0, 1], HALF, Status.ATOMIC, ("at 0", "moment 2", "farther")),
    "two atoms, and mass far out": (
        [1, 0, 1, 0, 1, 0, 2], LINE, Status.ATOMIC, ("0.5", "moment 6", "farther")
    ),
    "no maximum, Junk": ([1, 0, 1, 0, 3.5], LINE, Status.NO_MAXIMUM, ("4", "0.5", "1.41894")),
    "no maximum, half line": ([1, 1, 2.5], HALF, Status.NO_MAXIMUM, ("2", "0.5")),
    "no maximum, odd": ([1, 0, 1, 0.5], LINE, Status.NO_MAXIMUM, ("3",)),
    "no maximum, mean alone": ([1, 3.0], LINE, Status.NO_MAXIMUM, ()),
}
# fmt: on
REMEDY = re.compile(
    r"\b(use|check|give|try|drop|add|choose|report|leave|clip|widen)\b", re.IGNORECASE
)


@pytest.mark.parametrize("name", ENDINGS)
def test_ending(name):
    moments, support, status, words = ENDINGS[name]
    moments = np.array(moments, dtype=float)
    certificate = maxent.solve(moments, support=support, throw=False).certificate
    assert certificate.status is status
    for word in words:
        assert word in certificate.message, certificate.message
    if status is Status.SOLVED:
        assert maxent.solve(moments, support=support).certificate.status is status
        return
    with pytest.raises(SolveError) as caught:
        maxent.solve(moments, support=support)
    error = caught.value
    assert error.status is status
    text = str(error)
    assert status.name in text
    for word in words:
        assert word in text, text
    copy = pickle.loads(pickle.dumps(error))
    assert copy.status is status and str(copy) == text


@pytest.mark.parametrize("name", ENDINGS)
def test_check_says_the_same(name):
    moments, support, status, words = ENDINGS[name]
    report = maxent.check(moments, support=support)
    assert report.status is status
    assert all(word in report.message for word in words)


@pytest.mark.parametrize("name", [n for n in ENDINGS if n != "solved"])
def test_a_refusal_says_what_to_try(name):
    moments, support, _, _ = ENDINGS[name]
    with pytest.raises(SolveError) as caught:
        maxent.solve(np.array(moments, dtype=float), support=support)
    assert REMEDY.search(str(caught.value)), str(caught.value)


@pytest.mark.parametrize("status", Status)
def test_every_status_has_a_message_with_cause_and_remedy(status):
    assert len(status.message) > 40
    if status is not Status.SOLVED:
        assert len(re.findall(r"[.!?](\s|$)", status.message)) >= 2, "cause, and what to try"


@pytest.mark.parametrize("status", Status)
def test_every_status_is_explained_in_the_docs(status):
    pages = "\n".join(p.read_text() for p in DOCS.rglob("*.md"))
    assert status.name in pages


def uniform(lo, hi, k):
    """Raw moments of a uniform law, correctly rounded."""
    lo, hi = Fraction(lo), Fraction(hi)
    return np.array([
        float((hi ** (j + 1) - lo ** (j + 1)) / ((j + 1) * (hi - lo))) for j in range(k + 1)
    ])  # fmt: skip


@pytest.mark.parametrize("lo, hi, k", [(1000, 1001, 8), (10, 11, 12), (1, 2, 20), (0, 1, 30)])
def test_ill_conditioned_is_reached(lo, hi, k):
    """Rounding has eaten the shape: raw moments far from the origin, or very many of them."""
    density = maxent.solve(uniform(lo, hi, k), support=(lo, hi), throw=False)
    assert density.certificate.status is Status.ILL_CONDITIONED
    assert density.certificate.digits < 1


@pytest.mark.parametrize("k", range(1, 31))
def test_a_uniform_law_is_never_infeasible(k):
    """Correctly rounded moments of a distribution are no proof against it."""
    for lo, hi in ((0, 1), (1, 2), (10, 11), (1000, 1001)):
        density = maxent.solve(uniform(lo, hi, k), support=(lo, hi), throw=False)
        assert density.certificate.status is not Status.INFEASIBLE, (lo, hi, k)
        if density.certificate.status is Status.SOLVED and density.certificate.digits > 3:
            error = abs(float(density.pdf(lo + 0.3)) - 1)
            assert error < 300 * 10.0**-density.certificate.digits


def test_not_converged_is_reached(monkeypatch):
    """Only a solver that is cut short gets there; it says so and gives no density."""
    monkeypatch.setattr(maxent.dual.shortcut, "__defaults__", (1,))
    monkeypatch.setattr(maxent.dual, "PLAIN_STEPS", 1)
    monkeypatch.setattr(maxent.dual.minimise_hard, "__defaults__", (None, 1))
    m = np.array([1, -0.43, -0.43, 0.52, -0.14])  # near the Chebyshev moments of a beta law
    density = maxent.solve(m, support=(-1, 1), kind="chebyshev", throw=False)
    assert density.certificate.status is Status.NOT_CONVERGED
    assert np.isnan(density.pdf(0.5))


def test_atoms_are_handed_over():
    for points, weights, support, k in (
        ([0.25, 0.75], [0.3, 0.7], (0.0, 1.0), 4),
        ([0.0, 0.5, 1.0], [0.2, 0.5, 0.3], (0.0, 1.0), 4),
        ([1.0, 3.0], [0.5, 0.5], (0.0, INF), 4),
        ([-1.0, 0.5, 2.0], [0.25, 0.25, 0.5], (-INF, INF), 6),
    ):
        m = atoms_raw(points, weights, k)
        density = maxent.solve(m, support=support, throw=False)
        assert density.certificate.status is Status.ATOMIC
        x, w = (np.asarray(v, dtype=float) for v in density.certificate.atoms)
        order = np.argsort(x)
        np.testing.assert_allclose(x[order], points, atol=1e-6)
        np.testing.assert_allclose(w[order], weights, atol=1e-5)


def test_statuses_of_a_batch():

    m = np.array([[1, 0.5, 0.3], [1, 0.5, 0.2], [1, 0.5, 0.25], [1, 0.4, 0.25]])
    expected = [Status.SOLVED, Status.INFEASIBLE, Status.ATOMIC, Status.SOLVED]
    batch = maxent.solve(m, support=(0.0, 1.0), throw=False)
    assert list(np.asarray(batch.certificate.status, dtype=object).ravel()) == expected
    with pytest.raises(SolveError) as caught:
        maxent.solve(m, support=(0.0, 1.0))
    assert list(caught.value.statuses) == expected
    assert caught.value.status is Status.INFEASIBLE


def test_the_edge_is_solved():
    for m, support in (
        ([1, 1, 2], (0.0, INF)),
        ([1, 0, 1, 0, 3], (-INF, INF)),
        ([1, 2, 8], (0.0, INF)),
        ([1, 0, 1, 0], (-INF, INF)),
    ):
        assert maxent.solve(np.array(m, float), support=support).certificate.status is Status.SOLVED


# ---------------------------------------- bad input
BAD = {
    "m0 left out": (lambda: maxent.solve([0.3, 0.2], support=(0, 1)), ("m0", "0.3")),
    "m0 not one": (lambda: maxent.solve([2.0, 0.3], support=(0, 1)), ("m0", "2")),
    "no support": (lambda: maxent.solve([1, 0.3]), ()),
    "reversed": (lambda: maxent.solve([1, 0.3], support=(1, 0)), ("1", "0")),
    "equal ends": (lambda: maxent.solve([1, 0.3], support=(1, 1)), ("1",)),
    "support of three": (lambda: maxent.solve([1, 0.3], support=(0, 1, 2)), ()),
    "support of text": (lambda: maxent.solve([1, 0.3], support="0,1"), ()),
    "kind": (lambda: maxent.solve([1, 0.3], support=(0, 1), kind="Raw"), ("Raw", "raw")),
    "chebyshev on the line": (
        lambda: maxent.solve([1, 0.3], support=(-INF, INF), kind="chebyshev"),
        ("ebyshev",),
    ),
    "complex": (lambda: maxent.solve([1, 0.3j], support=(0, 1)), ("complex",)),
    "text": (lambda: maxent.solve(["1", "a"], support=(0, 1)), ()),
    "empty": (lambda: maxent.solve([], support=(0, 1)), ()),
    "scalar": (lambda: maxent.solve(1.0, support=(0, 1)), ()),
    "degree": (lambda: maxent.fit([1.0, 2, 3, 4], degree=-1), ("-1",)),
    "degree too high": (lambda: maxent.fit(np.arange(99.0), degree=10**9), ("1000000000",)),
    "degree a fraction": (lambda: maxent.fit([1.0, 2, 3, 4], degree=2.5), ("2.5",)),
    "degree a word": (lambda: maxent.fit([1.0, 2, 3, 4], degree="many"), ("many",)),
    "negative weights": (lambda: maxent.fit([1.0, 2, 3], 1, weights=[1, -1, 1]), ("-1",)),
    "weights of another length": (lambda: maxent.fit([1.0, 2, 3], 1, weights=[1, 1]), ("2", "3")),
    "weights all zero": (lambda: maxent.fit([1.0, 2, 3], 1, weights=[0, 0, 0]), ()),
    "nan_policy": (lambda: maxent.fit([1.0, 2, 3], 1, nan_policy="ignore"), ("ignore",)),
    "axis": (lambda: maxent.fit(np.zeros((3, 3)), 1, axis=7), ("7",)),
    "discrete, none": (lambda: maxent.Discrete([]), ()),
    "discrete, nan": (lambda: maxent.Discrete([0.0, np.nan]), ("nan",)),
    "sample outside": (lambda: maxent.fit([0.5, 1.5, 0.2], 1, support=(0, 1)), ("1.5",)),
    "bytes": (lambda: maxent.fit(b"123", 2), ()),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input_names_itself(name):
    call, words = BAD[name]
    with pytest.raises((ValueError, TypeError)) as caught:
        call()
    text = str(caught.value)
    assert len(text) > 12
    for word in words:
        assert word in text, text


def test_nan_in_the_data():
    x = np.array([1.0, 2.0, np.nan, 4.0, 5.0])
    with pytest.raises((ValueError, SolveError)) as caught:
        maxent.fit(x, 2)
    assert "nan" in str(caught.value).lower()
    one, two = maxent.fit(x, 2, nan_policy="omit"), maxent.fit(x[~np.isnan(x)], 2)
    assert float(one.entropy()) == pytest.approx(float(two.entropy()), abs=1e-12)


def test_an_error_is_written_when_it_is_read_and_not_before():
    told = []

    def tell():
        told.append(1)
        return "why"

    error = maxent.SolveError(tell, maxent.Status.INFEASIBLE)
    assert not told
    assert str(error) == "why" and error.args == ("why",) and repr(error) == "SolveError('why')"
    assert len(told) == 1
    again = pickle.loads(pickle.dumps(error))
    assert str(again) == "why" and again.status is maxent.Status.INFEASIBLE


def test_a_refusal_raised_says_what_a_refusal_returned_says():
    moments = [1, 0.5, 0.2]
    kept = maxent.solve(moments, support=(0, 1), throw=False).certificate
    with pytest.raises(maxent.SolveError) as caught:
        maxent.solve(moments, support=(0, 1))
    assert str(caught.value) == f"INFEASIBLE: {kept.message}"
