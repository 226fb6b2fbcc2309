"""What ten pairs can say: bands, intervals of paired differences, sign-flip tests.

A pair is two runs with one seed. The interval is the bias-corrected and accelerated bootstrap of
the mean difference (Efron 1987, as in `scipy.stats.bootstrap`); the test flips the signs of the
differences, which is exact if the two systems were the same but for the name. Of n pairs it can
give no p below 2^{1-n}.
"""

import warnings
from typing import NamedTuple

import numpy as np
from scipy import stats

RESAMPLES = 9999
LEVEL = 0.95
FLIPS = 4096  # all of them up to 12 pairs, a random part beyond


class Difference(NamedTuple):
    """Mean of n paired differences, the ends of its interval, and the two-sided p."""

    mean: float
    low: float
    high: float
    p: float
    n: int

    @property
    def above(self):
        """Above 0, by the interval and by the test."""
        return self.low > 0 and self.p < 1 - LEVEL

    @property
    def below(self):
        return self.high < 0 and self.p < 1 - LEVEL


def paired_difference(first, second):
    """first - second, each (n,), in the same order of seeds. Raises ValueError for fewer than three
    pairs, of which no interval can be had.
    """
    difference = np.asarray(first, float) - np.asarray(second, float)
    n = difference.size
    if n < 3:
        raise ValueError(f"an interval needs at least 3 pairs, got {n}")
    mean = float(difference.mean())
    if np.ptp(difference) == 0:
        low = high = mean
    else:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of degenerate resamples: the interval is then nan
            found = stats.bootstrap(
                (difference,), np.mean, n_resamples=RESAMPLES, confidence_level=LEVEL,
                method="BCa", rng=np.random.default_rng(0),
            ).confidence_interval
        low, high = float(found.low), float(found.high)
    test = stats.permutation_test(
        (difference,), np.mean, permutation_type="samples", n_resamples=FLIPS + 1,
        alternative="two-sided", rng=np.random.default_rng(0),
    )
    return Difference(mean, low, high, float(test.pvalue), n)


def band(values):
    """(runs, points) -> (mean, low, high), each (points,): percentile bootstrap of the mean, nan
    left out.
    """
    values = np.asarray(values, float)
    pick = np.random.default_rng(0).integers(0, len(values), (1000, len(values)))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # points where all runs are nan
        means = np.nanmean(values[pick], axis=1)
        edges = np.nanquantile(means, [(1 - LEVEL) / 2, (1 + LEVEL) / 2], axis=0)
        return np.nanmean(values, axis=0), *edges
