"""The constants of the fast sigmoid sums: exponential series and grid translations.

**Exponential series.** For s >= 0 and z = e^{-s},

    1 - sigma(s) = z / (1 + z) = sum_{k=1..K} c_k z^k,      z in [0, Z],

where the c_k are those of the Chebyshev series of 1/(1+z) on [0, Z], cut after K terms. The pole
z = -1 lies at a = 1 + 2/Z in the variable y = 2z/Z - 1 of that series, which therefore converges
like rho^-K, rho = a + sqrt(a^2 - 1):

    1/(1+z) = (2/Z) / (a + y) = (2/Z) / sqrt(a^2 - 1) * (1 + 2 sum_{j>=1} (-rho)^-j T_j(y)).

Z = 1 (any distance, ties included): rho = 3 + sqrt 8 = 5.83; Z = 1/e (distances above one): 12.8.
Since d/ds e^{-ks} = -k e^{-ks}, the derivatives of sigma share the series:

    sigma^(m)(s) = [m = 0] + (-1)^{m+1} sum_k k^m c_k e^{-ks},      s >= 0,
    sigma^(m)(s) =                      sum_k k^m c_k e^{-k|s|},    s <= 0,

and each derivative costs two more terms for the same accuracy. The series is computed in decimal
arithmetic, so that no table of magic numbers has to be believed.

**Grid.** A box is t in [bH, (b+1)H], xi in [-1, 1] its own coordinate. A kernel between two boxes
l = b - b' apart is interpolated at p Chebyshev points on either side:

    kappa(t - t') = sum_{q,q'} A_l[q,q'] T_q(xi) T_q'(xi'),   A_l = V K_l V^T,
    K_l[a,b] = kappa(H l + H (xi_a - xi_b)/2),   V[q,a] = (2 - [q = 0])/p cos(q pi (2a+1)/2p).

The poles of sigma at +-i pi lie on the Bernstein ellipse of parameter about 4 pi / H, whence the
error bound 2.5 (H / 4 pi)^p per unit of weight. Boxes with |l| <= 1 use A_l; boxes further apart
use the series with Z = e^{-H}, whose terms separate into source, distance and target:

    e^{-ks} = e^{-kH (1 + xi)/2} * e^{-kH (|l| - 1)} * e^{-kH (1 - xi')/2}.

Boxes may be divided into `children` equal parts, so that a point touches `fine` coefficients
where its box has `coarse` of them; polynomials move up and down by interpolation. There is no
near field between the parts: the kernel is smooth at the scale of a whole box.

**Sorted values** on the CPU use the undivided boxes, those that are not empty, with the same split:
near z = 1 the terms of the series for any distance cancel, sum_k k^m |c_k| z^k being 17, 210, 2900
and 76000 for m = 0..3 (float64), and so much rounding comes up; those of Z = 1/e add up to 6 at
most.
"""

import dataclasses
import decimal
import functools
import math

import numpy as np

ORDERS = 4  # sigma and its first three derivatives

# Series lengths by order in torch operations, for any distance (Z = 1). 5.83^-K times K^(2m) is
# below the rounding of the result: float32 results need 3e-8, float64 results 1e-16.
SORTED_TERMS = {4: (12, 16, 20, 20), 8: (24, 28, 28, 32)}


@functools.cache
def exponential_series(largest, terms):
    """Coefficients c_1..c_K of z/(1+z) on [0, largest]; shape (terms,)."""
    with decimal.localcontext() as context:
        context.prec = 80
        z_max = decimal.Decimal(largest)
        a = 1 + 2 / z_max
        root = (a * a - 1).sqrt()
        inverse_rho = 1 / (a + root)
        weight = 2 / z_max / root
        total = [decimal.Decimal(0)] * terms
        previous, current = None, [decimal.Decimal(1)]
        for j in range(terms):
            factor = weight * (1 if j == 0 else 2) * (-inverse_rho) ** j
            for i, value in enumerate(current):
                total[i] += factor * value
            # T_{j+1}(y) = 2 y T_j - T_{j-1} with y = 2 z / z_max - 1, as polynomials in z
            scale = 1 if previous is None else 2
            following = [decimal.Decimal(0)] * (j + 2)
            for i, value in enumerate(current):
                following[i] -= scale * value
                following[i + 1] += scale * 2 / z_max * value
            if previous is not None:
                for i, value in enumerate(previous):
                    following[i] -= value
            previous, current = current, following
        return np.array([float(value) for value in total])


def derivative_series(largest, terms, order):
    """k^order c_k: the series of |sigma^(order)|'s two branches; see the head of this file."""
    return exponential_series(largest, terms) * np.arange(1, terms + 1.0) ** order


def sigmoid_derivative(s, order):
    """sigma^(order)(s) for order 0..3, without overflow or cancellation in either tail."""
    s = np.asarray(s, dtype=np.float64)
    z = np.exp(-np.abs(s))
    if order == 0:
        return np.where(s >= 0, 1.0, z) / (1 + z)
    if order == 1:
        return z / (1 + z) ** 2
    if order == 2:
        return -np.sign(s) * z * (1 - z) / (1 + z) ** 3
    return z * (1 - 4 * z + z * z) / (1 + z) ** 4


def chebyshev_points(count):
    """cos(pi (2a+1) / 2 count), a = 0..count-1."""
    return np.cos(np.pi * (2 * np.arange(count) + 1) / (2 * count))


def chebyshev_transform(count):
    """V, shape (count, count): values at the Chebyshev points -> coefficients."""
    q = np.arange(count)[:, None]
    transform = 2.0 / count * np.cos(np.pi * q * (2 * np.arange(count)[None, :] + 1) / (2 * count))
    transform[0] /= 2
    return transform


def box_translation(width, count, order, distance):
    """A_l, shape (count, count), for boxes `distance` apart."""
    points = chebyshev_points(count)
    transform = chebyshev_transform(count)
    s = width * (distance + (points[:, None] - points[None, :]) / 2)
    return transform @ sigmoid_derivative(s, order) @ transform.T


@dataclasses.dataclass(frozen=True)
class Grid:
    """One way of cutting a column into boxes.

    `width` of a whole box in t, `coarse` coefficients in it, `children` parts, `fine`
    coefficients in a part, `terms` of the exponential series between boxes apart (two more for
    each derivative).
    """

    width: float
    coarse: int
    children: int
    fine: int
    terms: int

    def __post_init__(self):
        if self.children == 1 and self.fine != self.coarse:
            raise ValueError("an undivided box has as many fine coefficients as coarse ones")


# By itemsize of the result. Bounds 2.5 (H/4 pi)^p: 4e-9 and 2.4e-8; 6e-18 and 2.4e-16.
GRIDS = {
    4: (Grid(1.0, 8, 1, 8, 8), Grid(1.0, 8, 8, 4, 8)),
    8: (Grid(1.0, 16, 1, 16, 15), Grid(1.0, 16, 8, 8, 15)),
}


@functools.cache
def grid_tables(grid, order):
    """Everything that the kernels need of a grid, as C-contiguous float64 arrays.

    near (3 * coarse, coarse)    moments of the box before, of the box itself and of the next one
                                 -> local coefficients: A_l transposed for l = 1, 0, -1
    leave (coarse, 2 * terms)    moments -> exponentials, leaving to the right, to the left
    decay (terms,)               e^{-kH}
    arrive (2 * terms, coarse)   exponentials -> local coefficients, from the left, from the right
    up (children * fine, coarse)    moments of all parts -> of their box
    down (coarse, children * fine)  local Chebyshev series of a box -> powers of xi of its parts

    The terms are rounded up to a multiple of 4, which the loops take at a time.
    """
    p, fine = grid.coarse, grid.fine
    near = np.concatenate([box_translation(grid.width, p, order, d).T for d in (1, 0, -1)])

    terms = -(-(grid.terms + 2 * order) // 4) * 4
    k = np.arange(1, terms + 1.0)
    points, transform = chebyshev_points(p), chebyshev_transform(p)
    rising = transform @ np.exp(-grid.width * (1 - points)[:, None] / 2 * k)  # (p, terms)
    falling = transform @ np.exp(-grid.width * (1 + points)[:, None] / 2 * k)
    series = derivative_series(decimal_exp(-grid.width), terms, order)
    sign = (-1.0) ** (order + 1)
    leave = np.concatenate([rising, falling], axis=1)
    arrive = np.concatenate([sign * (falling * series).T, (rising * series).T])

    part_points, part_transform = chebyshev_points(fine), chebyshev_transform(fine)
    up, down = [], []
    for child in range(grid.children):
        inside = (2 * child + 1 + part_points) / grid.children - 1
        values = np.cos(np.arange(p)[:, None] * np.arccos(np.clip(inside, -1, 1)))  # (p, fine)
        coefficients = values @ part_transform.T  # T_Q of the box in T_q of the part
        up.append(coefficients.T)
        down.append(np.stack([chebyshev_to_powers(row) for row in coefficients]))
    decay = np.exp(-grid.width * k)
    arrays = (near, leave, decay, arrive, np.concatenate(up), np.concatenate(down, axis=1))
    return tuple(np.ascontiguousarray(array) for array in arrays)


@functools.cache
def sorted_tables(itemsize, order, farthest):
    """What the sums over sorted values need, as C-contiguous float64 arrays.

    series (terms,)          k^order c_k for distances above one box
    decays (farthest, terms) e^{-k l}, 0 where it changes no digit: subnormal numbers are slow
    own (coarse, coarse)     moments -> Chebyshev series in the box itself, for sigma - 1/2 or a
                             derivative of sigma
    beside                   the same in the next box, for sigma^(order)(-s), s the distance
    """
    grid = GRIDS[itemsize][0]
    terms = -(-(grid.terms + 2 * order) // 4) * 4
    exponent = np.arange(farthest)[:, None] * np.arange(1, terms + 1.0)
    decays = np.where(exponent < 80.0, np.exp(-exponent), 0.0)
    own = box_translation(grid.width, grid.coarse, order, 0)
    if order == 0:
        own[0, 0] -= 0.5
    points, transform = chebyshev_points(grid.coarse), chebyshev_transform(grid.coarse)
    s = grid.width * (1 + (points[:, None] - points[None, :]) / 2)
    beside = transform @ sigmoid_derivative(-s, order) @ transform.T
    series = derivative_series(decimal_exp(-grid.width), terms, order)
    return series, decays, *(np.ascontiguousarray(a.T) for a in (own, beside))


def chebyshev_to_powers(coefficients):
    """The same polynomial in powers of xi; cheb2poly trims trailing zeros, which are put back."""
    powers = np.polynomial.chebyshev.cheb2poly(coefficients)
    return np.pad(powers, (0, len(coefficients) - len(powers)))


def decimal_exp(value):
    """e^value as text with 60 digits: a hashable argument that loses nothing."""
    with decimal.localcontext() as context:
        context.prec = 60
        return str(decimal.Decimal(value).exp())


def series_error(largest, terms):
    """The bound rho^-K / (1 - 1/rho) on the cut, per unit of weight, for the record and tests."""
    a = 1 + 2 / float(largest)
    rho = a + math.sqrt(a * a - 1)
    return 2 * 2 / float(largest) / math.sqrt(a * a - 1) * rho**-terms / (1 - 1 / rho)
