"""More than powers of x: any functions, a reference measure, moments that are uncertain.

Among all densities with E f_j = m_j the one closest to a reference r, in the sense of the smallest
∫ p log(p/r), is (Kullback 1959; Csiszár 1975)

    p(x) = r(x) exp(Σ c_j F_j(x))/Z,    D(c) = log Z = log ∫ r exp(Σ c_j F_j) dx,    F = f - m,

and c minimises D: the dual of `maxent.dual` with r dx in the place of dt and f_j in that of φ_j.
With r = 1 it is the entropy that is largest. Moments that are known to lie in [l, h] only, or to
have a standard error s, relax the constraint, and the dual gains a convex term (Dudík, Phillips &
Schapire 2007):

    interval, m = (l + h)/2, δ = (h - l)/2    D(c) + Σ δ_j |c_j|      |E F_j| <= δ_j
    standard error                            D(c) + ½ Σ s_j² c_j²    E F_j = -s_j² c_j

Integrals. The support is cut at `breaks`, where the functions have kinks or jumps. Each piece is
mapped to the line so that both of its ends, where log x or 1/√x may live, become tails that fall
off doubly exponentially (Takahasi & Mori 1974),

    [a, b]      x = a + (b - a) E/(1 + E),  E = exp(π sinh s)
    [a, ∞)      x = a + exp(½π sinh s)                       (-∞, b]: mirrored
    the line    x = sinh(½π sinh s)

and on s in [-6, 6] Gauss-Legendre panels are halved until the density that was found is resolved;
then it is found again. Newton works in functions orthonormal under the current density (QR), as in
`maxent.dual`, on those c_j that the relaxation leaves free (an active set: Newton's semismooth step
of the soft threshold).

The certificate integrates again by another rule, the trapezoidal in s, which is spectrally exact
for such tails, with steps that do not meet the panels.
"""

from __future__ import annotations

import dataclasses
import itertools
import math

import numpy as np

from maxent.density import Density
from maxent.quadrature import gauss_legendre
from maxent.status import SolveError, Status
from maxent.support import as_support

REACH = 6.0  # of s: x comes within exp(-634) of the width of a finite end, and to 1e137
PANELS, NODES = 24, 20
TRAPEZOIDS = 3000  # steps, a piece, of the rule that judges; where log p dx/ds is above -DEPTH
DEPTH = 80.0
MOST_PANELS = 4000
RESOLVED = 1e-13
STEPS, ROUNDS, DOUBLINGS = 100, 30, 5
# On an infinite support c = 0 may be no density at all: the search begins on a part of it, and each
# answer is where the next one begins.
WINDOWS = (2.0, 2.5, 3.0, 4.0)
LARGEST = 1e150  # of a function: beyond it there had better be no mass
CONVERGED = 1e-13  # Newton's decrement; where rounding stops it, it must be below STALLED
STALLED = 1e-7
MET, PATIENCE = 1e-8, 4
SUMMITS, ZOOMS = 200, 12  # where a proof of infeasibility is looked at closely
STEEPEST = 1e6  # of a function, over its spread, in the linear program
NOTHING = 1e-45  # a probability
DEEPEST = -1000.0  # of D, minus a relative entropy: no answer lies there
FARTHEST = 1e5  # c_j in standard deviations of f_j: on the way to infinity
BELIEVED = 1e-10  # as `certificate`: of the mass, and of a mean relative to its function's size
ESCAPED = 1e-12  # mass at an end that stands for infinity


_ignore = np.errstate(all="ignore")  # of functions beyond float64: such nodes carry no mass


@dataclasses.dataclass(frozen=True)
class Judgement:
    """What the trapezoidal rule says of a solved density.

    status; steps of Newton; mass_error; moment_error: how far each E f_j is from where it must be,
    over max(1, rms of f_j), largest; relaxed (k,): how far each E f_j is from m_j.
    """

    status: Status
    steps: int
    mass_error: float
    moment_error: float
    relaxed: np.ndarray


@_ignore
def tilt(functions, values, *, support=None, reference=None, errors=None, breaks=()):
    """The density with given means of given functions, closest to a reference.

    functions: list of k vectorised functions of x. values: list of k numbers E f_j, or pairs
    (low, high) between which E f_j must lie. support: (lo, hi), ±inf allowed; None: that of the
    reference. reference: a Density, or a vectorised function r(x) >= 0, not necessarily normalised;
    None: 1. errors: (k,) standard errors of the values, 0 for exact ones. breaks: the x where a
    function or the reference has a kink or a jump.

    Returns a Tilted. Raises ValueError or TypeError for bad input, SolveError (INFEASIBLE, naming
    the values that contradict the others; NO_MAXIMUM; NOT_CONVERGED) where there is no answer.

    >>> normal = maxent.solve([1, 0, 1], support=(-math.inf, math.inf))
    >>> maxent.tilt([lambda x: x], [0.5], reference=normal).ppf(0.5).round(9).item()
    0.5
    """
    problem = _Problem.of(functions, values, support, reference, errors, breaks)
    grid = _Grid.of(problem)
    for _ in range(DOUBLINGS):
        c, steps, found = _search(problem, grid)
        if found:
            break
        if not problem.error.any():
            _refute(problem, grid)
        grid.halve(problem, np.ones(grid.left.size, bool))  # perhaps the nodes are too far apart
    for _ in range(ROUNDS):
        if not grid.halve(problem, grid.rough(problem, c)):
            break
        c, used, _ = _descend(problem, grid, c, REACH)
        steps += used
    tilted = Tilted(problem, grid, c, steps)
    if tilted.certificate.status is not Status.SOLVED:
        raise SolveError(
            f"{tilted.certificate.status.name}: {tilted.certificate.status.message}",
            tilted.certificate.status,
        )
    return tilted


@dataclasses.dataclass(frozen=True, eq=False)
class _Problem:
    functions: tuple
    target: np.ndarray
    slack: np.ndarray  # δ
    error: np.ndarray  # s
    bounds: tuple
    log_reference: object
    breaks: tuple

    @property
    def k(self):
        return len(self.functions)

    @classmethod
    def of(cls, functions, values, support, reference, errors, breaks):
        functions = tuple(functions)
        if not functions or not all(map(callable, functions)):
            raise TypeError("functions must be a list of one function of x or more")
        if len(values) != len(functions):
            raise ValueError(f"{len(functions)} functions, but {len(values)} values")
        pairs = np.array([np.broadcast_to(np.asarray(v, float), (2,)) for v in values])
        if not np.isfinite(pairs).all():
            raise ValueError("values must be finite numbers, or pairs (low, high) of them")
        crossed = np.flatnonzero(pairs[:, 0] > pairs[:, 1])
        if crossed.size:
            low, high = pairs[crossed[0]]
            raise ValueError(f"value {crossed[0]}: ({low:g}, {high:g}) is no interval low <= high")
        error = np.broadcast_to(
            np.asarray(0.0 if errors is None else errors, float), len(functions)
        )
        if not (np.isfinite(error) & (error >= 0)).all():
            raise ValueError("errors must be finite standard errors >= 0")
        if isinstance(reference, Density):
            if reference.batch_shape or reference.domain.atoms_of_reference() is not None:
                raise ValueError("the reference must be one continuous density")
            log_reference = reference.logpdf
            support = reference.support() if support is None else support
        elif reference is None:
            log_reference = np.zeros_like
        elif callable(reference):

            def log_reference(x):
                with np.errstate(divide="ignore", invalid="ignore"):
                    return np.log(np.asarray(reference(x), dtype=float))

        else:
            raise TypeError("reference must be a Density or a function of x")
        if support is None:
            raise ValueError("say where the density lives: support=(lo, hi)")
        support = as_support(support)
        if support.atoms_of_reference() is not None:
            raise ValueError("Discrete support has powers only: use solve")
        lower, upper = map(float, support.bounds)
        breaks = tuple(sorted({float(b) for b in breaks if lower < b < upper}))
        slack, target = 0.5 * np.diff(pairs)[:, 0], pairs.mean(axis=1)
        return cls(functions, target, slack, error, (lower, upper), log_reference, breaks)

    def pieces(self):
        edges = [self.bounds[0], *self.breaks, self.bounds[1]]
        return list(itertools.pairwise(edges))

    def evaluate(self, x):
        """F = f - m (n, k), whose means are to vanish, and log r (n,)."""
        with np.errstate(all="ignore"):
            columns = [np.broadcast_to(np.asarray(f(x), float), x.shape) for f in self.functions]
            return np.stack(columns, axis=-1) - self.target, np.asarray(
                self.log_reference(x), dtype=float
            )


def _mapped(piece, s):
    """(x, log dx/ds) of a piece."""
    a, b = piece
    with np.errstate(over="ignore"):
        if math.isfinite(a) and math.isfinite(b):
            grow = np.pi * np.sinh(s)
            near = np.where(s < 0, np.exp(np.minimum(grow, 0)), np.exp(-np.maximum(grow, 0)))
            share = (b - a) * near / (1.0 + near)
            x = np.where(s < 0, a + share, b - share)
            slope = np.log((b - a) * np.pi * np.cosh(s)) - np.abs(grow) - 2.0 * np.log1p(near)
            return x, slope
        grow = 0.5 * np.pi * np.sinh(s)
        speed = np.log(0.5 * np.pi * np.cosh(s))
        if math.isfinite(a):
            return a + np.exp(grow), speed + grow
        if math.isfinite(b):
            return b - np.exp(-grow), speed - grow
        return np.sinh(grow), speed + np.log(np.cosh(grow))


class _Grid:
    """Panels in s of every piece, and what the functions are on their Gauss nodes.

    piece, left, right (panels,); x, log_w, F: (panels, nodes[, k]), log_w = log(r dx/ds · weight),
    -inf where a function or the reference is no number: there is no mass.
    """

    def __init__(self, piece, left, right, problem):
        self.points, self.weights = gauss_legendre(NODES)
        self.piece, self.left, self.right = piece, left, right
        self.x, self.log_w, self.F = self._lay(problem, piece, left, right)

    @classmethod
    def of(cls, problem):
        edges = np.linspace(-REACH, REACH, PANELS + 1)
        number = len(problem.pieces())
        piece = np.repeat(np.arange(number), PANELS)
        return cls(piece, np.tile(edges[:-1], number), np.tile(edges[1:], number), problem)

    def _lay(self, problem, piece, left, right):
        half = 0.5 * (right - left)
        s = (left + half)[:, None] + half[:, None] * self.points
        x, log_w = np.empty(s.shape), np.empty(s.shape)
        for i, ends in enumerate(problem.pieces()):
            rows = piece == i
            x[rows], log_w[rows] = _mapped(ends, s[rows])
        F, log_r = problem.evaluate(x)
        log_w = log_w + log_r + np.log(self.weights) + np.log(half)[:, None]
        bad = ~((np.abs(F) < LARGEST).all(axis=-1) & (log_w < np.inf) & np.isfinite(x))
        F = np.where(bad[..., None], 0.0, F)
        return x, np.where(bad | np.isnan(log_w), -np.inf, log_w), F

    def probabilities(self, c, reach=REACH):
        """(p (panels, nodes), log Z), of the panels within |s| <= reach."""
        q = self.log_w + self.F @ c
        if reach < REACH:
            q[(self.left < -reach) | (self.right > reach)] = -np.inf
        top = q.max()
        p = np.exp(q - top)
        return p / p.sum(), top + np.log(p.sum())

    @_ignore
    def rough(self, problem, c):
        """The panels (panels,) on which p, or its products with f, are not resolved."""
        p, log_z = self.probabilities(c)
        size = np.sqrt(np.maximum(1.0, np.einsum("ij,ijk->k", p, self.F**2)))
        whole, parts = self._sums(p, self.F / size), 0.0
        for _, log_w, F in self._halves(problem):
            parts = parts + self._sums(np.exp(log_w + F @ c - log_z), F / size)
        return (np.abs(whole - parts) > RESOLVED).any(axis=1)

    def _halves(self, problem):
        middle = 0.5 * (self.left + self.right)
        ends = (self.left, middle), (middle, self.right)
        return [self._lay(problem, self.piece, *pair) for pair in ends]

    def halve(self, problem, rough):
        """Halve the panels `rough` (panels,); False where there are none, or no room for more."""
        if not rough.any() or self.left.size + rough.sum() > MOST_PANELS:
            return False
        join, keep, middle = np.concatenate, ~rough, 0.5 * (self.left + self.right)
        order = np.lexsort(
            (
                join([self.left[keep], self.left[rough], middle[rough]]),
                join([self.piece[keep], self.piece[rough], self.piece[rough]]),
            )
        )

        def placed(old, first, second):
            return join([old[keep], first[rough], second[rough]])[order]

        halves = self._halves(problem)
        self.x, self.log_w, self.F = (
            placed(old, *new)
            for old, *new in zip((self.x, self.log_w, self.F), *halves, strict=True)
        )
        self.piece = placed(self.piece, self.piece, self.piece)
        self.left, self.right = (
            placed(self.left, self.left, middle),
            placed(self.right, middle, self.right),
        )
        return True

    def summit(self, problem, y):
        """The largest Σ y_j F_j(x): about the highest nodes of each piece, zoomed in on."""
        half = 0.5 * (self.right - self.left)
        s = (self.left + half)[:, None] + half[:, None] * self.points
        g = np.where(np.isfinite(self.log_w), self.F @ y, -np.inf)
        best = g.max()
        for i, piece in enumerate(problem.pieces()):
            at, height = s[self.piece == i].ravel(), g[self.piece == i].ravel()
            order = np.argsort(at)
            at, height = np.pad(at[order], 1, "edge"), height[order]
            top = 1 + np.argsort(height)[-SUMMITS:]
            low, high = at[top - 1], at[top + 1]
            for _ in range(ZOOMS):
                fine = low[:, None] + (high - low)[:, None] * np.linspace(0.0, 1.0, 17)
                x, slope = _mapped(piece, fine)
                F, log_r = problem.evaluate(x)
                value = np.where(np.isfinite(slope + log_r), F @ y, -np.inf)
                value[np.isnan(value)] = -np.inf
                best = max(best, value.max())
                place = fine[np.arange(len(fine)), value.argmax(axis=1)]
                low, high = place - (high - low) / 16, place + (high - low) / 16
        return best

    @staticmethod
    def _sums(p, F):
        return np.concatenate([p.sum(axis=1)[:, None], np.einsum("ij,ijk->ik", p, F)], axis=1)


def _search(problem, grid):
    """(c, steps, found) on a grid, on an infinite support by way of parts of it."""
    c, steps = np.zeros(problem.k), 0
    for reach in WINDOWS if any(map(math.isinf, problem.bounds)) else ():
        near, used, found = _descend(problem, grid, c, reach)
        steps += used
        c = near if found else np.zeros(problem.k)
    c, used, found = _descend(problem, grid, c, REACH)
    return c, steps + used, found


@_ignore
def _descend(problem, grid, c, reach):
    """(c, steps, found): the minimum of the relaxed dual on the nodes within |s| <= reach."""
    d, s2 = problem.slack, problem.error**2
    F = grid.F.reshape(-1, problem.k)

    def objective(c):
        return grid.probabilities(c, reach)[1] + d @ abs(c) + 0.5 * s2 @ c**2

    value, best, since = objective(c), np.inf, 0
    for step in range(STEPS):
        p = grid.probabilities(c, reach)[0].ravel()
        mean = p @ F
        gradient = mean + s2 * c
        size = np.maximum(np.sqrt(p @ (F - mean) ** 2), 1e-300)
        # Soft threshold: where the gradient alone would move c_j off 0, or c_j is away from it.
        lean = c * size - gradient / size
        free = (d == 0) | (np.abs(lean) > d / size)
        sign = np.where(c != 0, np.sign(c), -np.sign(gradient))
        g = np.where(free, gradient + d * sign, 0.0)
        alive = p > NOTHING
        root = np.sqrt(p[alive])[:, None] * (F[alive] - mean)[:, free] / size[free]
        ridge = np.diag(np.sqrt(s2[free]) / size[free])
        R = np.linalg.qr(np.vstack([root, ridge]), mode="r")
        _, S, Vt = np.linalg.svd(R)
        kept = S > S.max(initial=0.0) * 1e-13
        inner = Vt[kept].T / S[kept]
        z = inner.T @ (g[free] / size[free])
        move = np.where(free, 0.0, -c)
        move[free] = -(inner @ z) / size[free]
        decrement = np.sqrt(z @ z + np.sum((move[~free] * size[~free]) ** 2))
        # On an atom everything is at rest: what counts is that the means are met.
        met = (np.abs(g) <= MET * np.maximum(1.0, np.abs(problem.target))).all()
        best, since = (decrement, 0) if decrement < 0.5 * best else (best, since + 1)
        if decrement < CONVERGED or (since == PATIENCE and best < STALLED):
            return c, step, met
        length = 1.0 if decrement < 1.0 else 1.5 / (0.5 + decrement)
        for _ in range(60):
            trial = c + length * move
            # A free c_j does not cross 0 in one step, where the slope of |c_j| jumps.
            trial = np.where((d > 0) & free & (trial * sign < 0), 0.0, trial)
            new = objective(trial)
            if new <= value + 1e-13 * max(1.0, abs(value)):
                break
            length *= 0.5
        else:
            return c, step, met and decrement < STALLED
        c, value = trial, new
        if not (value > DEEPEST) or np.abs(c * size).max() > FARTHEST:
            break
    return c, STEPS, False


@_ignore
def _refute(problem, grid):
    """SolveError where no density has these means, with the values that contradict the others.

    The linear program of the smallest violation, in units of each function's spread, on the nodes:
    its multipliers y are a proof if Σ y_j F_j < -Σ δ_j |y_j| everywhere, on the
    summits between the nodes too.
    """
    from scipy.optimize import linprog

    F, k = grid.F.reshape(-1, problem.k), problem.k
    spread = np.ptp(F[grid.probabilities(np.zeros(k), WINDOWS[0])[0].ravel() > 0.0], axis=0)
    spread[spread == 0.0] = 1.0
    usable = np.isfinite(grid.log_w.ravel()) & (np.abs(F) < STEEPEST * spread).all(axis=1)
    n = int(usable.sum())
    A = np.hstack([(F[usable] / spread).T, np.eye(k), -np.eye(k)])
    room = problem.slack / spread
    cost = np.concatenate([np.zeros(n), np.ones(2 * k)])
    total = np.concatenate([np.ones(n), np.zeros(2 * k)])[None]
    found = linprog(cost, np.vstack([A, -A]), np.concatenate([room, room]), total, [1.0])
    if found.status != 0 or not found.fun > 1e-9:
        return
    upper, lower = np.split(found.ineqlin.marginals, 2)
    y = (upper - lower) / spread
    if not grid.summit(problem, y) < -problem.slack @ abs(y):
        return
    missed = (found.x[n : n + k] - found.x[n + k :]) * spread
    named = "; ".join(
        f"value {j} would have to be {'higher' if missed[j] < 0 else 'lower'} by "
        f"{abs(missed[j]):.3g}"
        for j in np.flatnonzero(np.abs(missed) > 1e-9 * spread)
    )
    raise SolveError(
        "INFEASIBLE: no distribution on the support has these means. To agree with the others, "
        f"{named}.",
        Status.INFEASIBLE,
    )


class Tilted:
    """A density r(x) exp(Σ c_j f_j(x))/Z, from `maxent.tilt`; immutable, one column.

    coefficients (k,): c. log_normalisation: log Z, of r exp(Σ c_j (f_j - m_j)).
    certificate: a Judgement. Methods as those of a `maxent.Density`, in the same conventions.

    >>> maxent.tilt([lambda x: x, np.log], [3.0, 0.9227843350984671], support=(0, math.inf))
    <Tilted on [0, inf], 2 functions: SOLVED, ...>
    """

    def __init__(self, problem, grid, c, steps):
        self._problem, self._grid = problem, grid
        self.coefficients = c
        self.coefficients.setflags(write=False)
        self._p, self.log_normalisation = grid.probabilities(c)
        mass = self._p.sum(axis=1)
        self._before = np.concatenate([[0.0], np.cumsum(mass)])
        self._after = np.concatenate([np.cumsum(mass[::-1])[::-1], [0.0]])
        self.certificate = self._judge(steps)

    def __repr__(self):
        lower, upper = self._problem.bounds
        return (
            f"<Tilted on [{lower:.6g}, {upper:.6g}], {self._problem.k} functions: "
            f"{self.certificate.status.name}, moment error {self.certificate.moment_error:.1e}>"
        )

    @_ignore
    def _judge(self, steps):
        problem, c = self._problem, self.coefficients
        mass, mean, square = 0.0, np.zeros(problem.k), np.zeros(problem.k)
        grid = self._grid
        alive = (grid.log_w + grid.F @ c - self.log_normalisation).max(axis=1) > -DEPTH
        for i, piece in enumerate(problem.pieces()):
            own = np.flatnonzero(alive & (grid.piece == i))
            if not own.size:
                continue
            h = (grid.right[own[-1]] - grid.left[own[0]]) / TRAPEZOIDS
            s = grid.left[own[0]] + h * (np.arange(TRAPEZOIDS) + 0.5)
            x, slope = _mapped(piece, s)
            F, log_r = problem.evaluate(x)
            with np.errstate(all="ignore"):
                p = h * np.exp(slope + log_r + F @ c - self.log_normalisation)
            ok = np.isfinite(p) & np.isfinite(F).all(axis=-1) & np.isfinite(x)
            ok &= (np.abs(F) < LARGEST).all(axis=-1)
            p, F = p[ok], F[ok]
            mass, mean, square = mass + p.sum(), mean + p @ F, square + p @ F**2
        size = np.maximum(1.0, np.sqrt(square))
        away = mean + problem.error**2 * c
        # Where c_j = 0 the mean may be anywhere in its interval; else it is at the end that binds.
        bound = np.where(c > 0, -problem.slack, problem.slack)
        off = np.where(c == 0, np.maximum(np.abs(away) - problem.slack, 0.0), np.abs(away - bound))
        moment_error, mass_error = float((off / size).max()), float(abs(mass - 1.0))
        status = Status.SOLVED
        if not (moment_error <= BELIEVED and mass_error <= BELIEVED):
            status = Status.NOT_CONVERGED
        for end, panel in ((problem.bounds[0], 0), (problem.bounds[1], -1)):
            if math.isinf(end) and self._p[panel].sum() > ESCAPED:
                status = Status.NO_MAXIMUM
        return Judgement(status, steps, mass_error, moment_error, mean)

    def support(self):
        """(lower, upper)."""
        return self._problem.bounds

    @_ignore
    def logpdf(self, x):
        """log p(x); -inf outside of the support."""
        x = np.asarray(x, dtype=float)
        lower, upper = self._problem.bounds
        inside = (x >= lower) & (x <= upper) & np.isfinite(x)
        at = np.where(inside, x, self._grid.x.ravel()[self._p.argmax()])
        F, log_r = self._problem.evaluate(at)
        out = log_r + F @ self.coefficients - self.log_normalisation
        return np.where(np.isnan(x), np.nan, np.where(inside, out, -np.inf))[()]

    def pdf(self, x):
        """p(x)."""
        return np.exp(self.logpdf(x))[()]

    def cdf(self, x):
        """P(X <= x)."""
        return self._tail(x, 0)

    def sf(self, x):
        """P(X > x), accurate where it is small."""
        return self._tail(x, 1)

    @_ignore
    def _tail(self, x, side):
        x = np.asarray(x, dtype=float)
        lower, upper = self._problem.bounds
        flat = x.ravel()
        out = np.where(flat <= lower, side, 1 - side).astype(float)
        out[np.isnan(flat)] = np.nan
        for i in np.flatnonzero((flat > lower) & (flat < upper)):
            out[i] = self._mass(*self._place(flat[i]), side)
        return out.reshape(x.shape)[()]

    def _place(self, x):
        """(piece, s) of a point inside."""
        pieces = self._problem.pieces()
        i = next(i for i, (_, b) in enumerate(pieces) if x <= b)
        low, high = -REACH, REACH
        for _ in range(80):  # the map is monotone, and as steep as can be: halve
            middle = 0.5 * (low + high)
            if _mapped(pieces[i], np.array([middle]))[0][0] < x:
                low = middle
            else:
                high = middle
        return i, 0.5 * (low + high)

    def _mass(self, piece, s, side):
        """The mass on one side of s: whole panels, and the part of one."""
        grid = self._grid
        own = np.flatnonzero(grid.piece == piece)
        j = own[min(np.searchsorted(grid.right[own], s), own.size - 1)]
        s = min(max(s, grid.left[j]), grid.right[j])
        ends = (grid.left[j], s) if side == 0 else (s, grid.right[j])
        part = 0.0
        if ends[1] > ends[0]:
            _, log_w, F = grid._lay(
                self._problem, np.array([piece]), np.array(ends[:1]), np.array(ends[1:])
            )
            part = np.exp(log_w + F @ self.coefficients - self.log_normalisation).sum()
        return part + (self._before[j] if side == 0 else self._after[j + 1])

    def ppf(self, u):
        """The x with P(X <= x) = u."""
        return self._quantile(u, 0)

    def isf(self, u):
        """The x with P(X > x) = u, accurate for small u."""
        return self._quantile(u, 1)

    @_ignore
    def _quantile(self, u, side):
        u = np.asarray(u, dtype=float)
        ends = self._problem.bounds if side == 0 else self._problem.bounds[::-1]
        out = np.full(u.size, np.nan)
        for i, v in enumerate(u.ravel()):
            if v in (0.0, 1.0):
                out[i] = ends[int(v)]
            elif 0.0 < v < 1.0:
                out[i] = self._point(v, side)
        return out.reshape(u.shape)[()]

    def _point(self, u, side):
        grid = self._grid
        if u > 0.5:
            u, side = 1.0 - u, 1 - side
        if side == 0:
            j = min(np.searchsorted(self._before[1:], u), grid.left.size - 1)
        else:
            j = max(grid.left.size - 1 - np.searchsorted(self._after[:-1][::-1], u), 0)
        low, high = grid.left[j], grid.right[j]
        for _ in range(60):
            middle = 0.5 * (low + high)
            if (self._mass(grid.piece[j], middle, side) < u) == (side == 0):
                low = middle
            else:
                high = middle
        middle = np.array([0.5 * (low + high)])
        return _mapped(self._problem.pieces()[grid.piece[j]], middle)[0][0]

    @_ignore
    def expect(self, function):
        """E[function(X)] on the nodes on which the density was found."""
        value = np.asarray(function(self._grid.x), dtype=float)
        return float(np.sum(np.where(self._p > 0, self._p * value, 0.0)))

    def mean(self):
        """E X."""
        return self.expect(lambda x: x)

    def variance(self):
        """Var X."""
        mean = self.mean()
        return self.expect(lambda x: (x - mean) ** 2)

    def std(self):
        """The standard deviation."""
        return math.sqrt(self.variance())

    def entropy(self):
        """-∫ p log p dx, in nats."""
        return -self.expect(self.logpdf)

    def relative_entropy(self):
        """∫ p log(p/r) dx, of the reference as it was given, in nats."""
        q = np.sum(self._p * (self._grid.F @ self.coefficients))
        return float(q - self.log_normalisation)
