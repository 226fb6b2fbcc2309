"""Supports: what they accept, and what they say when they do not."""

import numpy as np
import pytest

from maxent import Discrete, HalfLine, Interval, RealLine
from maxent.support import as_support


def test_pairs_become_supports():
    assert isinstance(as_support((0, 1)), Interval)
    assert isinstance(as_support([-np.inf, np.inf]), RealLine)
    up, down = as_support((2, np.inf)), as_support((-np.inf, 2))
    assert up.bounds == (2.0, np.inf) and down.bounds == (-np.inf, 2.0)
    assert isinstance(up, HalfLine) and up.upward and not down.upward
    assert as_support(up) is up


@pytest.mark.parametrize(
    "wrong, says",
    [
        ((1, 0), "swapped"),
        ((1, 1), "single point"),
        ((0, np.nan), "not a number"),
        ((np.inf, np.inf), "inf"),
        ((np.inf, -np.inf), "inf"),
        ((-1.7e308, 1.7e308), "difference finite"),
    ],
)
def test_wrong_intervals(wrong, says):
    with pytest.raises(ValueError, match=says):
        as_support(wrong)


@pytest.mark.parametrize("wrong", [None, 3, "01", (0, 1, 2), ("a", "b"), 10**400])
def test_not_a_support(wrong):
    with pytest.raises((TypeError, ValueError), match="support"):
        as_support(wrong)


@pytest.mark.parametrize(
    "points, weights, says",
    [
        ([1.0], None, "two points"),
        ([[1.0, 2.0]], None, "two points"),
        ([1.0, 1.0], None, "twice"),
        ([1.0, np.inf], None, "finite"),
        ([1.0, 2.0], [1.0], "one for each"),
        ([1.0, 2.0], [1.0, 0.0], "positive"),
    ],
)
def test_wrong_points(points, weights, says):
    with pytest.raises(ValueError, match=says):
        Discrete(points, weights)


def test_points_are_sorted_with_their_weights():
    support = Discrete([3.0, 1.0, 2.0], [30.0, 10.0, 20.0])
    np.testing.assert_array_equal(support.points, [1, 2, 3])
    np.testing.assert_array_equal(support.weights, [10, 20, 30])
    assert support.contains([1.0, 1.5]).tolist() == [True, False]


def test_frames():
    mean, variance = np.array([3.0, 4.0]), np.array([4.0, 9.0])
    assert [v.tolist() for v in Interval(1.0, 5.0).frame(mean, variance)] == [[3, 3], [2, 2]]
    assert [v.tolist() for v in HalfLine(1.0).frame(mean, variance)] == [[1, 1], [2, 3]]
    assert [v.tolist() for v in HalfLine(5.0, False).frame(mean, variance)] == [[5, 5], [-2, -1]]
    assert [v.tolist() for v in RealLine().frame(mean, variance)] == [[3, 4], [2, 3]]


def test_a_batch_of_intervals():
    support = Interval([0.0, 1.0], [1.0, 3.0])
    assert support[1].bounds == (1.0, 3.0)
    with pytest.raises(ValueError):
        support.lower[0] = 5.0
