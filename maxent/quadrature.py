"""Rules of integration: nodes and weights, cached, and read-only because they are shared.

Every rule is exact for polynomials up to a known degree, with respect to

    gauss_legendre     dt on [-1, 1]                     2n - 1
    clenshaw_curtis    dt on [-1, 1], with both ends     n - 1
    gauss_hermite      exp(-t²/2)/√(2π) dt on the line   2n - 1
    gauss_laguerre     exp(-t) dt on [0, ∞)              2n - 1
    gauss              the weight of a recurrence        2n - 1

`panel_rule(k)` is what the adaptive panels of `_kernels.panels` need for exponents of degree k.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from scipy import special

PANEL_NODES = 20
MOST_HALVINGS, MOST_PANELS = 50, 20_000  # of `integrate`


def _frozen(*arrays):
    for array in arrays:
        array.setflags(write=False)
    return arrays


@lru_cache(maxsize=64)
def gauss_legendre(n):
    """n nodes and weights, each right to rounding; the weights sum to 2.

    A steep density leans on the outermost node alone, whose weight numpy's rule gives with an error
    of 1e-13 of itself: two Newton steps in the longest floats there are, w = 2/((1-t²) P_n'(t)²).
    """
    t = np.polynomial.legendre.leggauss(n)[0].astype(np.longdouble)
    for _ in range(2):
        before, now = np.ones_like(t), t
        for j in range(2, n + 1):
            before, now = now, ((2 * j - 1) * t * now - (j - 1) * before) / j
        slope = n * (before - t * now) / ((1 - t) * (1 + t))
        t = t - now / slope
    weights = 2 / ((1 - t) * (1 + t) * slope**2)
    return _frozen(t.astype(float), weights.astype(float))


@lru_cache(maxsize=64)
def clenshaw_curtis(n):
    """n >= 2 nodes cos(πi/(n-1)), ends included; the weights sum to 2 (Trefethen 2008)."""
    theta = np.pi * np.arange(n) / (n - 1)
    even = np.arange(0, n, 2)
    terms = np.cos(np.outer(theta, even)) * (2.0 / (1.0 - even**2))
    terms[:, 0] *= 0.5
    if n % 2:
        terms[:, -1] *= 0.5
    weights = terms.sum(axis=1) * 2.0 / (n - 1)
    weights[[0, -1]] *= 0.5
    return _frozen(np.cos(theta)[::-1].copy(), weights[::-1].copy())


@lru_cache(maxsize=64)
def gauss_hermite(n):
    """n nodes and weights for the standard normal; the weights sum to 1."""
    t, w = special.roots_hermitenorm(n)
    return _frozen(t, w / w.sum())


@lru_cache(maxsize=64)
def gauss_laguerre(n):
    """n nodes and weights for exp(-t); the weights sum to 1."""
    t, w = special.roots_laguerre(n)
    return _frozen(t, w / w.sum())


def integrate(function, edges, error):
    """(∫ function, ∫ |function|) over [edges[0], edges[-1]], the panels between edges (n,) halved
    until each of them settles; nan where one does not.

    error: asked for, as a share of ∫ |function|.
    """
    nodes, weights = gauss_legendre(PANEL_NODES)

    def panels(a, b):
        half = 0.5 * (b - a)
        values = function((a + half)[:, None] + half[:, None] * nodes) * half[:, None]
        return values @ weights, np.abs(values) @ weights

    a, b = np.asarray(edges[:-1], dtype=float), np.asarray(edges[1:], dtype=float)
    whole, size = panels(a, b)
    total, scale = 0.0, size.sum()
    for _ in range(MOST_HALVINGS):
        middle = 0.5 * (a + b)
        left, right = panels(a, middle), panels(middle, b)
        parts = left[0] + right[0]
        settled = np.abs(parts - whole) <= error * scale
        total += parts[settled].sum()
        rest = ~settled
        if not rest.any():
            return float(total), float(scale)
        whole = np.concatenate([left[0][rest], right[0][rest]])
        a, b = (
            np.concatenate([a[rest], middle[rest]]),
            np.concatenate([middle[rest], b[rest]]),
        )
        if a.size > MOST_PANELS:
            break
    return np.nan, np.nan


def gauss(recurrences):
    """n nodes and weights, (columns, n), for the weights of which the polynomials with those
    recurrences (columns, 3, n) are orthonormal (Golub & Welsch 1969); the weights sum to 1.
    """
    a, b, d = np.moveaxis(recurrences, 1, 0)
    n = a.shape[1]
    matrix = np.zeros((a.shape[0], n, n))
    j = np.arange(n)
    matrix[:, j, j] = -b / a
    side = np.abs(d[:, 1:] / a[:, 1:])
    matrix[:, j[1:], j[:-1]] = side
    t, vectors = np.linalg.eigh(matrix)
    return t, vectors[:, 0, :] ** 2


@lru_cache(maxsize=64)
def panel_rule(k):
    """(nodes, weights, local points, local transform) of a panel.

    `values at the points @ transform`, (n,) with n > k the next multiple of four, are the Chebyshev
    coefficients of a polynomial of degree k, and zeros.
    """
    nodes, weights = gauss_legendre(max(PANEL_NODES, k + 8))
    n = (k + 4) // 4 * 4
    theta = np.pi * (np.arange(n) + 0.5) / n
    transform = np.cos(np.outer(theta, np.arange(n))) * (2.0 / n)
    transform[:, 0] *= 0.5
    transform[:, k + 1 :] = 0.0
    return (nodes, weights, *_frozen(np.cos(theta), transform))
