"""Loops over tiles and over flat arrays; `soft_rank.kernels` has x, x_at, shape and tiles."""

import math

import numpy as np
from numba import njit

from torch_bridge.ops.soft_rank.kernels import PAD, load

SMALLEST_TAIL = 1e-30
# Wichura, Algorithm AS 241 (PPND16), Applied Statistics 37 (1988), 477-484: numerators and
# denominators for the middle |p - 1/2| <= 0.425, and for tails in r = sqrt(-log p), r <= 5 or above
MIDDLE = (
    (3.3871328727963666080e0, 1.3314166789178437745e2, 1.9715909503065514427e3,
     1.3731693765509461125e4, 4.5921953931549871457e4, 6.7265770927008700853e4,
     3.3430575583588128105e4, 2.5090809287301226727e3),
    (1.0, 4.2313330701600911252e1, 6.8718700749205790830e2, 5.3941960214247511077e3,
     2.1213794301586595867e4, 3.9307895800092710610e4, 2.8729085735721942674e4,
     5.2264952788528545610e3),
)
TAIL = (
    (1.42343711074968357734e0, 4.63033784615654529590e0, 5.76949722146069140550e0,
     3.64784832476320460504e0, 1.27045825245236838258e0, 2.41780725177450611770e-1,
     2.27238449892691845833e-2, 7.74545014278341407640e-4),
    (1.0, 2.05319162663775882187e0, 1.67638483018380384940e0, 6.89767334985100004550e-1,
     1.48103976427480074590e-1, 1.51986665636164571966e-2, 5.47593808499534494600e-4,
     1.05075007164441684324e-9),
)
FAR_TAIL = (
    (6.65790464350110377720e0, 5.46378491116411436990e0, 1.78482653991729133580e0,
     2.96560571828504891230e-1, 2.65321895265761230930e-2, 1.24266094738807843860e-3,
     2.71155556874348757815e-5, 2.01033439929228813265e-7),
    (1.0, 5.99832206555887937690e-1, 1.36929880922735805310e-1, 1.48753612908506148525e-2,
     7.86869131145613259100e-4, 1.84631831751005468180e-5, 1.42151175831644588870e-7,
     2.04426310338993978564e-15),
)


@njit(cache=True, nogil=True, error_model="numpy", fastmath={"contract"})
def ratio(parts, r):
    (a0, a1, a2, a3, a4, a5, a6, a7), (b0, b1, b2, b3, b4, b5, b6, b7) = parts
    above = a0 + r * (a1 + r * (a2 + r * (a3 + r * (a4 + r * (a5 + r * (a6 + r * a7))))))
    below = b0 + r * (b1 + r * (b2 + r * (b3 + r * (b4 + r * (b5 + r * (b6 + r * b7))))))
    return above / below


@njit(cache=True, nogil=True, error_model="numpy", fastmath={"contract"})
def normal_quantile(v, y):
    """The normal quantile of folded probabilities; see `torch_bridge.ops.normal`."""
    for i in range(v.size):  # as if all lay in the middle: no branch, so that it is vectorised
        p = abs(np.float64(v[i]))
        q = p - 0.5
        value = q * ratio(MIDDLE, 0.180625 - q * q)
        y[i] = -value if v[i] < 0 else value
    for i in range(v.size):
        p = abs(np.float64(v[i]))
        if p < 0.075:
            r = math.sqrt(-math.log(p if p > SMALLEST_TAIL else SMALLEST_TAIL))
            value = ratio(TAIL, r - 1.6) if r <= 5.0 else ratio(FAR_TAIL, r - 5.0)
            y[i] = value if v[i] < 0 else -value


@njit(cache=True, nogil=True, fastmath={"contract", "reassoc"})
def sum_of(values, center, squared):
    total = 0.0
    for value in values:
        d = np.float64(value) - center
        total += d * d if squared else d
    return total


@njit(cache=True, nogil=True)
def moments(x, x_at, shape, out):
    """out (2, columns): mean and mean square about it, merged from those of the tiles."""
    size_b, size, columns, rows = shape
    tile = np.empty((columns, rows + PAD), x.dtype)
    out[:] = 0.0
    for first in range(0, size, rows):
        last = min(first + rows, size)
        count = last - first
        load(x, x_at, size_b, first, last, tile)
        for c in range(columns):
            values = tile[c, :count]
            center = np.float64(values[0])
            mean = center + sum_of(values, center, False) / count
            square = sum_of(values, mean, True)
            apart = mean - out[0, c]
            out[0, c] += apart * (count / last)
            out[1, c] += square + apart * apart * (count * (first / last))
    out[1] /= size


@njit(cache=True, nogil=True)
def bin_sums(x, x_at, y, y_at, score, score_at, shape, low, per_unit, out):
    """out (columns, 3, bins) += 1, x, y in the bin of each element's score."""
    size_b, size, columns, rows = shape
    bins = out.shape[2]
    tile = np.empty((columns, rows + PAD), x.dtype)
    tile_y, tile_score = np.empty_like(tile), np.empty_like(tile)
    for first in range(0, size, rows):
        last = min(first + rows, size)
        load(x, x_at, size_b, first, last, tile)
        load(y, y_at, size_b, first, last, tile_y)
        load(score, score_at, size_b, first, last, tile_score)
        for c in range(columns):
            own = out[c]
            for i in range(last - first):
                place = (tile_score[c, i] - low) * per_unit
                place = place if place > 0.0 else 0.0  # nan too
                at = np.int32(place if place < bins - 1.0 else bins - 1.0)
                own[0, at] += 1.0
                own[1, at] += tile[c, i]
                own[2, at] += tile_y[c, i]
