"""The shapes of activations: distance to a normal column, kurtosis, one peak or two.

Two peaks, fixed before any result was seen: the maximum-entropy density of the unit's first six
moments on its own range has two maxima (ends of the range included) with at least a twentieth of
the mass on either side of the valley between them, and the valley is no higher than DEPTH times the
lower maximum. DEPTH was set by what is known: of columns of 5,000 values none that are normal
count, all that are an even mixture of N(-1.6, 1) and N(1.6, 1) do, a fifth at 1.4, and of uniform
columns one in twenty-five (`tests/torch/test_experiments.py`).
"""

import numpy as np
import torch

import maxent

DEPTH = 0.85
LEAST_MASS = 0.05
ROWS = 5000  # of a column; convolutions have far more, and a part of them tells as much
GRID = 400
# Beyond this many standard deviations lies nothing that could be a hump of a twentieth of the mass.
REACH = 6.0


def columns_of(x):
    """(N, C) or (N, C, H, W) -> (n, C) with n at most about ROWS, evenly spread."""
    x = x.detach().float()
    if x.ndim == 4:
        x = x.movedim(1, -1).flatten(0, 2)
    return x[:: max(1, len(x) // ROWS)]


def standardised(columns):
    """(n, C) -> (n, C') without the constant columns, in standard deviations."""
    deviation = columns.std(0)
    moving = deviation > 1e-6 * columns.abs().amax(0)
    return (columns[:, moving] - columns[:, moving].mean(0)) / deviation[moving]


def distance_to_normal(z):
    """(n, C) standardised -> (C,) Kolmogorov-Smirnov distances to N(0, 1)."""
    u = torch.special.ndtr(z.sort(0).values)
    n = len(z)
    rank = torch.arange(n, device=z.device, dtype=z.dtype)[:, None]
    return torch.maximum((rank + 1) / n - u, u - rank / n).amax(0)


def kurtosis(z):
    """(n, C) standardised -> (C,); 3 for a normal column."""
    return (z**4).mean(0)


def summary(x):
    """[mean KS distance, median kurtosis] over the units; nan where all are constant."""
    z = standardised(columns_of(x))
    if z.shape[1] == 0 or not bool(torch.isfinite(z).all()):
        return [float("nan")] * 2
    return [float(distance_to_normal(z).mean()), float(kurtosis(z).median())]


def separated(p, mass):
    """Whether a density on a uniform grid has two peaks as at the head of this file; mass: of each
    interval of the grid, shape (len(p) - 1,).
    """
    slope = np.sign(np.diff(p))
    below = np.cumsum(mass)
    for valley in np.flatnonzero((slope[:-1] < 0) & (slope[1:] >= 0)) + 1:
        lower = min(p[: valley + 1].max(), p[valley:].max())
        left = below[valley - 1]
        if p[valley] <= DEPTH * lower and LEAST_MASS <= left <= below[-1] - LEAST_MASS:
            return True
    return False


def two_peaks(x):
    """How many units have two peaks, how many were judged, how many densities were not solved
    (those count as having one).
    """
    columns = columns_of(x)
    if not bool(torch.isfinite(columns).all()):
        return {"two": 0, "units": int(columns.shape[1]), "unsolved": int(columns.shape[1])}
    z = standardised(columns).double().cpu().numpy()
    two = unsolved = 0
    if z.shape[1]:
        density = maxent.fit(z, degree=6, axis=0, throw=False)
        low, high = np.maximum(z.min(0), -REACH), np.minimum(z.max(0), REACH)
        grid = low + (high - low) * np.linspace(0, 1, GRID)[:, None]
        solved = density.certificate.status == maxent.Status.SOLVED
        p, total = density.pdf(grid), density.cdf(grid)
        for each in np.flatnonzero(solved):
            two += separated(p[:, each], np.diff(total[:, each]))
        unsolved = int((~solved).sum())
    return {"two": int(two), "units": int(z.shape[1]), "unsolved": unsolved}
