"""Is there any distribution with these moments? A polynomial that proves there is none, or atoms.

Moments m_0 … m_k belong to a distribution on a support exactly when E[q] = Σ q_i m_i >= 0 for every
polynomial q = Σ q_i φ_i of degree <= k with q >= 0 there (M. Riesz; Karlin and Studden 1966, ch. II
and V). Everything here builds, order by order, the q for which E[q] is smallest from the moments
*below* that order, and compares E[q] with what the uncertainty of the moments can do to it,
Σ |q_i| error_i. Whatever rounding did to q on the way, it is a square, or a square times end-point
factors, and so E[q] < −Σ |q_i| error_i is a proof. No determinant, no absolute tolerance.

**Interval.** t = cos θ makes Chebyshev moments the trigonometric moments of a symmetric measure on
the circle: E[T_j] = ∫ z^j dμ. Szegő's monic polynomials Φ_n, Φ*_n = z^n Φ_n(1/z), and energies
e_n = ‖Φ_n‖² follow from Levinson's recursion (Geronimus 1946; Simon, OPUC I, 2005, eq. 1.5.2)

    α_n = ∫ z Φ_{n−1} dμ / e_{n−1},   Φ_n = z Φ_{n−1} − α_n Φ*_{n−1},   e_n = e_{n−1} (1 − α_n²)

and α_n = 2 p_n − 1 with Dette and Studden's canonical moments p_n (1997, §1.3 and ch. 9), up to
sign. All |α_n| < 1: interior. Since ∫ z Φ_{n−1} conj(Φ*_{n−1}) dμ = α_n e_{n−1},

    q_s(cos θ) = |z Φ_{n−1} − s Φ*_{n−1}|²,   E[q_s] = 2 e_{n−1} (1 − s α_n),   s = ±1,

where q_s has degree n, and its zeros are n points of the circle: double zeros inside [−1, 1], and
factors 1 ± t. It is negative in the mean where |α_n| > 1. Where |α_n| = 1 the zeros of q_s are the
atoms of the only measure: Gauss (s = −1, n even), Radau (n odd: the end s) or Lobatto (s = +1, n
even). Geronimus' relations (Simon, OPUC II, 13.1.7) turn the α into a Jacobi matrix whose
eigenvalues and first components are those atoms and weights (Golub and Welsch 1969).

**Half line and line.** The modified Chebyshev algorithm (Gautschi, Orthogonal Polynomials 2004,
§2.1.7), in double-double, gives the monic orthogonal π_l, t π_l = π_{l+1} + a_l π_l + b_l π_{l−1},
and h_l = E[π_l²] = b_l h_{l−1}. Line (Hamburger): order 2l is bad when h_l < 0, with q = π_l²; odd
orders forbid nothing. Half line (Stieltjes): a_l = ζ_{2l} + ζ_{2l+1}, b_l = ζ_{2l−1} ζ_{2l} and all
ζ > 0; the even orders use π_l², the odd ones t K_l² with K_l = π_l − ζ_{2l} K_{l−1} orthogonal for
t dμ, and E[t K_l²] = h_l ζ_{2l+1}.

**After the boundary.** If E[q] = 0 at order n < k then the measure sits on the zeros of q, and
E[q r] = 0 for every r. On the interval q (1 ± T_i) >= 0 has order n + i and tests just that. On the
half line and line q t^i (1 − ε t^h)² does, except for the last moment, which can be too large only
by mass that escapes to infinity: the moments are then a limit of feasible ones, have no proof of
infeasibility that survives any uncertainty, and `excess` says by how much E[q t^i] is not 0.

**Discrete points.** The same pair of questions as one linear program an order,

    minimise E[q]  over  q of degree n,  q(t_i) >= 0,  Σ q(t_i) = number of points,

whose dual is the largest weight that every point can keep. At a vertex q vanishes at n of the
points, so its roots are known exactly.

The numbers behind a witness are recomputed in exact rational arithmetic from its roots.

Letters: t reference coordinate, m moments (columns, k+1), q polynomial, order = its degree.
"""

from __future__ import annotations

import dataclasses
import itertools
import math
from fractions import Fraction
from functools import cached_property

import numpy as np
from scipy.linalg.lapack import dstev

from ._kernels import feasibility as kernels

INTERIOR = kernels.INTERIOR
BOUNDARY = kernels.BOUNDARY
INFEASIBLE = kernels.INFEASIBLE


@dataclasses.dataclass(frozen=True, eq=False)
class Witness:
    """A polynomial q, never negative on the support, and its average under the moments.

    q(t) = sign · Π (t − r)² over `double_roots` · Π (t − r) over `simple_roots`
                · low(t)^`lower` · high(t)^`upper`

    low = 1 + t and high = 1 − t on the interval, low = t on the half line.

    >>> square = maxent.Witness(maxent.CHEBYSHEV, (0.5,), moments=np.array([1, 0.5, -0.7]),
    ...                         error=np.zeros(3))  # (t − 1/2)²
    >>> square.order, square.proven, square(0.5).item()
    (2, True, 0.0)
    """

    basis: object
    double_roots: tuple[float, ...]
    lower: int = 0
    upper: int = 0
    simple_roots: tuple[float, ...] = ()
    sign: int = 1
    moments: np.ndarray = dataclasses.field(default=None, repr=False)
    error: np.ndarray = dataclasses.field(default=None, repr=False)

    @property
    def order(self):
        return 2 * len(self.double_roots) + len(self.simple_roots) + self.lower + self.upper

    @property
    def numbers(self):
        """E[q], Σ |q_i| error_i and max |q_i|, exactly, for q as __call__ gives it."""
        return self._exact(self.double_roots, self.simple_roots)

    @property
    def coefficients(self):
        """q in the basis, (order+1,), scaled to max |coefficient| = 1."""
        exact = self._exact_coefficients(self.double_roots, self.simple_roots)
        largest = max(abs(c) for c in exact)
        return np.array([float(c / largest) for c in exact])

    @property
    def value(self):
        """E[q] for that scale, rounded once."""
        value, _, largest = self.numbers
        return _float(value / largest)

    @property
    def tolerance(self):
        """Σ |q_i| error_i for that scale: E[q] < −tolerance is the proof."""
        _, tolerance, largest = self.numbers
        return _float(tolerance / largest)

    @property
    def proven(self):
        value, tolerance, _ = self.numbers
        return value < -tolerance

    def __call__(self, t):
        """q(t) in the product form, monic in t but for the sign of (1 − t)."""
        t = np.asarray(t, dtype=float)
        q = np.full(t.shape, float(self.sign))
        for r in self.double_roots:
            q = q * (t - r) ** 2
        for r in self.simple_roots:
            q = q * (t - r)
        return q * self._low(t) ** self.lower * (1 - t) ** self.upper

    def describe(self, loc, scale, lower=None, upper=None):
        """One sentence in the user's coordinate x = loc + scale t.

        The roots are written with as few digits as leave a valid proof, so a reader can check the
        sentence as it stands.
        """
        loc, scale = float(loc), float(scale)
        low, high = self._ends(loc, scale, lower, upper)
        double, simple, value = self._short_roots(loc, scale)
        lower_power = self.lower
        if self.lower:
            lower_power += 2 * double.count(low)
            double = [r for r in double if r != low]
        factors = [_shifted(r) + _power(2 * double.count(r)) for r in sorted(set(double))]
        factors += [_shifted(r) for r in simple]
        if self.sign < 0:
            factors[-1] = _complement(simple[-1])
        if self.upper:
            factors.insert(0, _complement(high) + _power(self.upper))
        if self.lower:
            low_factor = _shifted(low) if scale > 0 else _complement(low)
            factors.insert(0, low_factor + _power(lower_power))
        product = "".join(factors)
        if self.order == 1 and product.startswith("("):
            product = product[1:-1]
        head = f"E[{product}] = {_number(value, 3)}, but "
        if not (self.lower or self.upper or self.simple_roots):
            return head + "a square cannot be negative on average"
        if self.simple_roots:
            return head + "this is never negative at the given points"
        if self.basis.name == "laguerre":
            side = "≥" if scale > 0 else "≤"
            return head + f"this is never negative for x {side} {_number(low)}"
        return head + f"this is never negative between {_number(low)} and {_number(high)}"

    def _low(self, t):
        return t if self.basis.name == "laguerre" else 1 + t

    def _ends(self, loc, scale, lower, upper):
        if self.basis.name == "laguerre":
            end = lower if scale > 0 else upper
            return (loc if end is None else float(end)), None
        return (
            loc - scale if lower is None else float(lower),
            loc + scale if upper is None else float(upper),
        )

    def _short_roots(self, loc, scale):
        """Roots in x as decimal strings, and E[q] of just those, in the user's unit."""
        best = self.numbers[0]
        exact_loc, exact_scale = Fraction(loc), Fraction(scale)
        for digits in range(1, 18):
            double = [f"{loc + scale * r:.{digits}g}" for r in self.double_roots]
            simple = [f"{loc + scale * r:.{max(digits, 12)}g}" for r in self.simple_roots]
            value, slack, _ = self._exact(
                [(Fraction(x) - exact_loc) / exact_scale for x in double],
                self.simple_roots,
            )
            if value < -slack and value < Fraction(9, 10) * best:
                break
            if not double:
                break
        return (
            [float(x) for x in double],
            [float(x) for x in simple],
            _float(value * abs(exact_scale) ** self.order),
        )

    def _exact(self, double_roots, simple_roots):
        """E[q], Σ |q_i| error_i and max |q_i| as fractions."""
        if self.basis.name == "chebyshev":
            q, whole = self._whole_chebyshev(double_roots, simple_roots)
        else:
            q, whole = _whole(self._exact_coefficients(double_roots, simple_roots))
        moments, moment_unit = _whole([float(m) for m in self.moments[: len(q)]])
        error, error_unit = _whole([float(e) for e in self.error[: len(q)]])
        value = sum(c * m for c, m in zip(q, moments, strict=True))
        slack = sum(abs(c) * e for c, e in zip(q, error, strict=True))
        return (
            Fraction(value, whole * moment_unit),
            Fraction(slack, whole * error_unit),
            Fraction(max(abs(c) for c in q), whole),
        )

    def _exact_coefficients(self, double_roots, simple_roots, number=Fraction):
        if number is Fraction and self.basis.name == "chebyshev":
            q, whole = self._whole_chebyshev(double_roots, simple_roots)
            return [Fraction(c, whole) for c in q]
        recurrence = self.basis.recurrence(max(self.order, 1))
        a, b, d = ([number(float(v)) for v in row] for row in recurrence)
        q = [number(self.sign)]

        def times(slope, constant):  # q (slope t + constant)
            nonlocal q
            new = [constant * c for c in q] + [number(0)]
            for j, c in enumerate(q):
                c = slope * c / a[j]
                new[j + 1] += c
                new[j] -= b[j] * c
                if j:
                    new[j - 1] += d[j] * c
            q = new

        for r in double_roots:
            times(1, -number(r))
            times(1, -number(r))
        for r in simple_roots:
            times(1, -number(r))
        for _ in range(self.lower):
            times(1, number(0 if self.basis.name == "laguerre" else 1))
        for _ in range(self.upper):
            times(-1, number(1))
        return q

    def _whole_chebyshev(self, double_roots, simple_roots):
        """The same as whole numbers over one denominator, (numbers, denominator): fractions would
        be reduced at every step, and t T_j = (T_{j+1} + T_{j-1})/2 needs no other.
        """
        roots = [root for r in double_roots for root in (r, r)] + list(simple_roots)
        roots = [*roots, *[-1] * self.lower, *[1] * self.upper]
        q = [self.sign * (-1) ** self.upper]
        whole = 1
        for root in roots:  # 2 q (below t - above)
            above, below = root.as_integer_ratio()
            new = [-2 * above * c for c in q] + [0]
            for j, c in enumerate(q):
                c *= below
                new[j + 1] += c
                new[abs(j - 1)] += c
            q = new
            whole *= 2 * below
        return q, whole


@dataclasses.dataclass(frozen=True, eq=False)
class Feasibility:
    """The verdict for each column, all arrays (columns,).

    verdict    INTERIOR 0, BOUNDARY 1 (within the uncertainty of the moments), INFEASIBLE 2 (proven)
    order      the smallest order that is infeasible, or else on the boundary; k + 1 if interior
    margin     E[q] of the polynomial that decided, q scaled to max |q_i| = 1 in the basis; for the
               interior, of the order where margin/tolerance is least
    tolerance  Σ |q_i| error_i for the same q
    excess     half line and line, boundary only: not 0 where the last moment is not the atoms' one
               and only mass that escapes to infinity could make it so
    """

    basis: object
    moments: np.ndarray
    error: np.ndarray
    verdict: np.ndarray
    order: np.ndarray
    margin: np.ndarray
    tolerance: np.ndarray
    excess: np.ndarray

    def witness(self, column):
        """The `Witness` of an infeasible column, else None."""
        raise NotImplementedError

    def atoms(self, column):
        """Positions t and weights of the measure on the boundary.

        None for other columns, and where a moment with infinite error made the boundary.
        """
        raise NotImplementedError

    def resolved(self, column):
        """Whether the moments say atoms, or only that they cannot tell atoms from narrow lumps."""
        raise NotImplementedError

    def describe(self, column, loc, scale, lower=None, upper=None):
        """One sentence in the user's coordinate x = loc + scale t; empty for interior columns."""
        witness = self.witness(column)
        if witness is not None:
            return witness.describe(loc, scale, lower, upper)
        if self.verdict[column] == INTERIOR:
            return ""
        atoms = self.atoms(column)
        if atoms is None:
            return f"moment {self.order[column]} is not known well enough to say anything"
        t, weights = atoms
        with np.errstate(all="ignore"):
            x = loc + scale * t
        places = [f"{_number(p)} (weight {_number(w, 3)})" for p, w in zip(x, weights, strict=True)]
        if len(places) > LISTED:
            places[LISTED:] = [f"… {len(places)} in all"]
        listed = ", ".join(places)
        if not self.resolved(column):
            return (
                f"to within their rounding, the first {self.order[column]} moments are those of "
                f"atoms at {listed}, or of lumps as narrow as float64 can tell"
            )
        sentence = f"the first {self.order[column]} moments are those of atoms at {listed}"
        if self.excess[column]:
            return sentence + (
                f", but moment {self.moments.shape[1] - 1} is not theirs: only a vanishing mass "
                "ever farther out could make the difference"
            )
        return sentence + " and of nothing else"

    def mismatch(self, column):
        """max_j |E[φ_j] under the atoms − m_j|."""
        t, weights = self.atoms(column)
        given = self.moments[column]
        phi = self.basis[column].evaluate(t, given.shape[0] - 1)
        return float(abs(weights @ phi - given).max())


@dataclasses.dataclass(frozen=True, eq=False)
class ContinuousFeasibility(Feasibility):
    """On an interval, half line or line. `form` and `ratio` name q: see `_kernels.feasibility`."""

    form: np.ndarray
    ratio: np.ndarray

    def witness(self, column):
        if self.verdict[column] != INFEASIBLE:
            return None
        base, side, i, h = (int(v) for v in self.form[column])
        t, _ = self._principal(column)
        lower = upper = 0
        double = list(t)
        if self.basis.name == "chebyshev":
            lower, upper = _end_points(base, side)
            double = double[lower : len(double) - upper]
            if i:
                more, more_lower, more_upper = _twist(abs(i), 1 if i > 0 else -1)
                double += more
                lower += more_lower
                upper += more_upper
        else:
            half = self.basis.name == "laguerre"
            if half and base % 2 == 1:
                double = double[1:]
                lower = 1
            if half:
                lower += i
            else:
                double += [0.0] * (i // 2)
            if h == 1:
                double.append(1.0 / float(self.ratio[column]))
            elif h == 2:
                root = float(self.ratio[column]) ** -0.5
                double += [-root, root]
        return Witness(
            self.basis[column],
            tuple(float(x) for x in sorted(double)),
            lower,
            upper,
            moments=self.moments[column].copy(),
            error=self.error[column].copy(),
        )

    def atoms(self, column):
        if self.verdict[column] != BOUNDARY or not np.isfinite(self.tolerance[column]):
            return None
        return self._principal(column)

    def resolved(self, column):
        if self.atoms(column) is None:
            return False
        blur, gap = self.spread(column)
        return blur < RESOLVED * min(gap, 1.0)

    def spread(self, column):
        """How far the atoms can be blurred within the uncertainty, and the least gap between them.

        E[q] <= margin + tolerance leaves an atom of weight w a variance up to that over w q''/2.
        The first number is the widest of them, in t.
        """
        t, weights = self.atoms(column)
        base, side = (int(v) for v in self.form[column, :2])
        lower = upper = 0
        if self.basis.name == "chebyshev":
            lower, upper = _end_points(base, side)
        elif self.basis.name == "laguerre":
            lower = base % 2
        places, count = t.tolist(), len(t)
        inner = tuple(places[lower : count - upper])
        q = Witness(
            self.basis[column],
            inner,
            lower,
            upper,
            moments=self.moments[column],
            error=self.error[column],
        )
        largest = max(abs(c) for c in q._exact_coefficients(inner, (), number=float))
        room = float(max(self.margin[column], 0.0) + self.tolerance[column])
        widths = []
        for j, x in enumerate(places):
            curvature = float(weights[j])
            for i, r in enumerate(places):
                if i != j:
                    curvature *= abs(x - r) ** (2 if lower <= i < count - upper else 1)
            size = room * largest / curvature if curvature else math.inf
            widths.append(size**0.5 if lower <= j < count - upper else size)
        gap = min((b - a for a, b in itertools.pairwise(places)), default=math.inf)
        return max(widths), gap

    @cached_property
    def _found(self):
        return {}  # column: its points and weights, which are asked for more than once

    def _principal(self, column):
        if column not in self._found:
            self._found[column] = self._representation(column)
        return self._found[column]

    def _representation(self, column):
        """Points and weights of the principal representation."""
        base, side = int(self.form[column, 0]), int(self.form[column, 1])
        m = self.moments[column]
        if self.basis.name == "chebyshev":
            diagonal, squares = kernels.interval_jacobi(m, base, side)
        else:
            recurrence = self.basis[column].recurrence(m.shape[0] - 1).copy()
            half = self.basis.name == "laguerre"
            diagonal, squares = kernels.unbounded_jacobi(m, recurrence, base, half)
        if diagonal.size == 1:
            t, weights = diagonal.copy(), np.ones(1)
        else:
            t, vectors, failed = dstev(diagonal, np.sqrt(np.maximum(squares, 0.0)))
            if failed:
                raise np.linalg.LinAlgError("the atoms of moments on the boundary were not found")
            weights = vectors[0] ** 2
        if self.basis.name == "chebyshev":
            lower, upper = _end_points(base, side)
            if lower:
                t[0] = -1.0
            if upper:
                t[-1] = 1.0
            t = np.clip(t, -1.0, 1.0)
        elif self.basis.name == "laguerre":
            if base % 2 == 1:
                t[0] = 0.0
            t = np.maximum(t, 0.0)
        return t, weights


@dataclasses.dataclass(frozen=True, eq=False)
class DiscreteFeasibility(Feasibility):
    """On given points. `found` holds, for each column, (Witness or None, atoms or None)."""

    points: np.ndarray
    found: tuple

    def witness(self, column):
        return self.found[column][0]

    def atoms(self, column):
        return self.found[column][1]

    def resolved(self, column):
        return self.found[column][1] is not None


def examine(basis, moments, error):
    """Does any distribution on the basis' support have these moments?

    basis            CHEBYSHEV: [−1, 1], LAGUERRE (of any shapes): [0, ∞), HERMITE: the line
    moments, error   (columns, k+1): E[φ_j], moments[:, 0] = 1, and what each may be off by; 0 means
                     exact, half an ulp is the least for a number that was rounded

    A column with an infinite error is judged on the moments that have a finite one.
    """
    moments = np.ascontiguousarray(moments, dtype=float)
    error = np.ascontiguousarray(error, dtype=float)
    k = moments.shape[1] - 1
    if basis.name == "chebyshev":
        result = kernels.examine_interval(moments, error)
    else:
        half = basis.name == "laguerre"
        recurrences = basis.recurrences(max(k, 1), moments.shape[0])
        result = kernels.examine_unbounded(moments, error, recurrences, half)
    verdict, order, margin, tolerance, form, ratio, excess = result
    feasibility = ContinuousFeasibility(
        basis, moments, error, verdict, order, margin, tolerance, excess, form, ratio
    )
    # the roots of a witness are rounded: where that might matter, exact arithmetic decides
    for j in ((verdict == INFEASIBLE) & (margin > -NARROW * tolerance)).nonzero()[0]:
        if not feasibility.witness(j).proven:
            verdict[j] = BOUNDARY
            order[j] = form[j, 0]
            form[j, 2:] = 0
            tolerance[j] = -margin[j]
    return feasibility


NARROW = 16.0  # tolerances
LISTED = 8  # atoms in a sentence
# Blur over gap. One to five random atoms at k = 2 … 20 stay below 0.06 in nineteen cases of twenty,
# lumps of width 1e-2 … 1e-4 whose moments are on the boundary to rounding lie above 0.7.
RESOLVED = 0.25


def examine_discrete(basis, points, moments, error):
    """The same for distributions on given points t (n,), all distinct: a linear program a column.

    Moments of order n and above are fixed by the lower ones, through Π (t − t_i).
    """
    points = np.sort(np.asarray(points, dtype=float))
    moments = np.ascontiguousarray(moments, dtype=float)
    error = np.ascontiguousarray(error, dtype=float)
    columns, size = moments.shape
    verdict = np.zeros(columns, dtype=np.int64)
    order = np.full(columns, size, dtype=np.int64)
    margin = np.full(columns, np.inf)
    tolerance = np.zeros(columns)
    found = []
    for j in range(columns):
        verdict[j], order[j], margin[j], tolerance[j], witness, atoms = _examine_points(
            basis, points, moments[j], error[j]
        )
        found.append((witness, atoms))
    return DiscreteFeasibility(
        basis,
        moments,
        error,
        verdict,
        order,
        margin,
        tolerance,
        np.zeros(columns),
        points,
        tuple(found),
    )


def _examine_points(basis, points, m, error):
    known = np.isfinite(m) & np.isfinite(error)
    if not known.all():
        first = int(np.argmin(known))
        verdict, *rest = _examine_points(basis, points, m[:first], error[:first])
        if verdict != INTERIOR:
            return verdict, *rest
        return BOUNDARY, first, np.nan, np.inf, None, None
    k = m.shape[0] - 1
    free = min(k, len(points) - 1)
    boundary = None
    result = INTERIOR, k + 1, np.inf, 0.0, None, None
    orders = range(1, free + 1)
    if free:
        q = _least_on_points(basis, points, m, error, free)
        value, slack, largest = q.numbers
        result = INTERIOR, k + 1, float(value / largest), float(slack / largest), None, None
        if value > slack:
            orders = ()
    for n in orders:
        q = _least_on_points(basis, points, m, error, n)
        value, slack, largest = q.numbers
        numbers = float(value / largest), float(slack / largest)
        if value < -slack:
            return INFEASIBLE, n, *numbers, q, None
        if boundary is None and value <= slack:
            t = np.array(sorted(q.simple_roots))
            weights = np.linalg.lstsq(basis.evaluate(t, n).T, m[: n + 1])[0]
            weights = np.maximum(weights, 0.0)
            boundary = BOUNDARY, n, *numbers, None, (t, weights / weights.sum())
    for n in range(len(points), k + 1):
        roots = tuple(points) + (0.0,) * (n - len(points))
        for sign in (1, -1):
            q = Witness(
                basis, (), simple_roots=roots, sign=sign, moments=m.copy(), error=error.copy()
            )
            value, slack, largest = q.numbers
            if value < -slack:
                return INFEASIBLE, n, float(value / largest), float(slack / largest), q, None
    return boundary or result


def _least_on_points(basis, points, m, error, n):
    """The q of degree n, >= 0 on the points, Σ q(t_i) = their number, with the least E[q].

    Dual simplex. A basis is a set of n points at which q vanishes and q >= 0 elsewhere (Gale's
    evenness: neighbouring pairs, and end points). It leaves the moments as s times those of equal
    weights plus weights on the n points; s is E[q]. A point of negative weight is exchanged for
    the only other one that keeps q >= 0. q has no further zeros, so s falls at every step.
    """
    size = len(points)
    table = basis.evaluate(points, n)
    even = table.mean(axis=0)
    active = _spread_out(size, n)
    if size > LARGE:
        active = _warm_start(table, m[: n + 1], active)
    seen = set()
    while tuple(active) not in seen:  # a set comes back only where rounding decides
        seen.add(tuple(active))
        system = np.column_stack([even, table[active].T])
        weights = np.linalg.solve(system, m[: n + 1])[1:]
        worst = int(np.argmin(weights))
        if weights[worst] >= 0.0:
            break
        active = _exchange(active, worst, size)
    return Witness(
        basis,
        (),
        simple_roots=tuple(float(t) for t in points[active]),
        sign=_sign(active, size),
        moments=m.copy(),
        error=error.copy(),
    )


LARGE = 64  # points from which the linear program pays as a start for the exchanges


def _spread_out(size, n):
    """n of range(size), in neighbouring pairs, with the first point where n is odd."""
    pairs, first = n // 2, n % 2
    gaps = np.linspace(0, size - first - 2 * pairs, pairs + 2)[1:-1].astype(int)
    starts = first + 2 * np.arange(pairs) + gaps
    return np.sort(np.concatenate([np.arange(first), starts, starts + 1]))


def _warm_start(table, m, otherwise):
    import scipy.optimize  # slow to import and rarely needed

    n = table.shape[1] - 1
    program = scipy.optimize.linprog(
        m,
        A_ub=-table,
        b_ub=np.zeros(len(table)),
        A_eq=table.mean(axis=0)[None, :],
        b_eq=[1.0],
        bounds=(None, None),
        method="highs-ds",
    )
    if program.status != 0:
        return otherwise
    active = np.sort(np.argsort(table @ program.x, kind="stable")[:n])
    return active if _sign(active, len(table)) else otherwise


def _sign(active, size):
    """Of Π (t − t_i) over the active points at all others; 0 if they do not agree."""
    rest = np.delete(np.arange(size), active)
    parity = (active[None, :] > rest[:, None]).sum(axis=1) % 2
    return 0 if np.ptp(parity) else (-1 if parity[0] else 1)


def _exchange(active, leaving, size):
    """The active set with one point replaced by the only other one that keeps Gale's evenness."""
    kept = np.delete(active, leaving)
    rest = np.delete(np.arange(size), kept)
    parity = (kept[None, :] > rest[:, None]).sum(axis=1) % 2
    change = np.flatnonzero(np.diff(parity))
    either = (rest[0], rest[-1]) if len(change) == 0 else (rest[change[0]], rest[change[0] + 1])
    entering = either[1] if either[0] == active[leaving] else either[0]
    return np.sort(np.append(kept, entering))


def _end_points(order, side):
    """How often −1 and +1 are simple zeros of q on the interval."""
    if order % 2 == 0:
        return (1, 1) if side > 0 else (0, 0)
    return (0, 1) if side > 0 else (1, 0)


def _twist(i, side):
    """Double roots and end-point factors of 1 + side T_i."""
    first = 1 if side > 0 else 0
    roots = [float(np.cos(j * np.pi / i)) for j in range(first, i + 1, 2)]
    inner = [r for j, r in zip(range(first, i + 1, 2), roots, strict=True) if 0 < j < i]
    last = range(first, i + 1, 2)[-1]
    return inner, int(last == i), int(first == 0)


def _whole(values):
    """(whole numbers, their common denominator) of fractions or floats."""
    pairs = [value.as_integer_ratio() for value in values]
    unit = math.lcm(*(below for _, below in pairs))
    return [above * (unit // below) for above, below in pairs], unit


def _float(fraction):
    try:
        return float(fraction)
    except OverflowError:
        return float("inf") if fraction > 0 else float("-inf")


def _number(x, digits=6):
    return f"{x:.{digits}g}".replace("-", "−")


def _shifted(r):
    """(x − r) as a person writes it."""
    if r == 0:
        return "x"
    return f"(x {'−' if r > 0 else '+'} {_root(abs(r))})"


def _complement(b):
    """(b − x)"""
    return f"({_root(b)} − x)" if b else "(−x)"


def _root(x):
    """The shortest decimal of a float: what it was rounded to on purpose."""
    text = repr(float(x))
    return text.removesuffix(".0").replace("-", "−")


def _power(n):
    superscripts = str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹")
    return "" if n == 1 else str(n).translate(superscripts)
