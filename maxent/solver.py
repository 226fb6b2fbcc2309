"""solve, fit and check: the line from moments or data to a Density.

problem ─► feasibility ─► existence (line, half line) ─► dual ⇄ newton ─► certificate ─► density
"""

from __future__ import annotations

import dataclasses
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import numpy as np
from numba import config

from maxent import dual, existence
from maxent._kernels.window import BOUNDED, HALF
from maxent.basis import OwnBasis
from maxent.certificate import BELIEVED, Certificate, Messages, certify, digits_left
from maxent.density import Density
from maxent.feasibility import BOUNDARY, INFEASIBLE, examine, examine_discrete
from maxent.problem import MomentProblem
from maxent.sketch import Sample
from maxent.status import SolveError, Status

NAMED_COLUMNS = 6  # failing columns that an error message lists
STATUSES = np.array(list(Status), dtype=object)  # by value
NUMBERS = (
    "steps",
    "evaluations",
    "decrement",
    "moment_error",
    "mass_error",
    "condition",
    "digits",
)
COUNTS = NUMBERS[:2]
# Moments on the boundary to rounding, whose atoms do not stand out, may be those of narrow lumps:
# a density counts there only if it meets them this closely. (Densities that the solver found for
# atoms alone were off by 6e-12 and more.)
BELIEVED_ON_BOUNDARY = 3e-12
# The certain path's answer is not looked for again where all degrees counted and so little was left
# of Newton's decrement.
ARRIVED = 1e-8
# So many times what rounding can do to it, the proof that moments are inside has to spare where the
# shortcut is tried: of columns with less, nine in ten would be refused there, after fifty steps.
ORDINARY = 1e6
UNDECIDED = "the rounding of the moments leaves open whether the entropy has a maximum"
AUTO_DEGREE = 12  # degrees that `degree="auto"` tries
BLOCK = 128  # columns that a thread is worth


def solve(moments, *, support, kind="raw", throw=True):
    """The maximum-entropy density with the given moments.

    moments: (*batch, k+1), moments[..., 0] = m0 = 1. kind: "raw" E[x^j]; "central" (1, mean,
    variance, third central, …); "standardized" (1, mean, variance, skewness, kurtosis (3 for a
    normal), …); "chebyshev" E[T_j(t)], t the position between the ends of the support, from -1 to
    1. support: (lo, hi), with ±inf for no end, or a Support such as maxent.Discrete(points).
    throw: raise SolveError where there is no answer; False answers nan in those columns.

    Returns a Density with batch_shape = moments.shape[:-1].
    Raises ValueError or TypeError for bad input, SolveError where no density is the answer.
    Source: Jaynes, Physical Review 106 (1957) 620; Mead & Papanicolaou, J. Math. Phys. 25 (1984)
    2404.

    >>> maxent.solve([1, 0.5, 0.3], support=(0, 1)).ppf([0.1, 0.5, 0.9]).round(4).tolist()
    [0.198, 0.5, 0.802]
    """
    problem = MomentProblem.from_moments(moments, support, kind)
    notes = np.where(problem.finite, None, "the moments hold NaN or infinity")
    return _density(problem, _find(problem, notes), throw)


def fit(data, degree=6, *, support=None, weights=None, axis=None, nan_policy="raise", throw=True):
    """The maximum-entropy density with the moments of data.

    data: array-like; 1-D gives one density, n-D one for every column along `axis` (default 0).
    degree: how many moments; "auto" takes for each column the number up to 12 that pays, by the
    Bayesian information criterion, corrected for few values (`density.degrees`).
    support: (lo, hi) or a Support; None takes the range of the data.
    weights: (n,) >= 0. nan_policy: "raise", or "omit" to leave NaN out.
    throw: as for `solve`.

    Returns a Density. Raises ValueError or TypeError for bad input, SolveError where there is no
    density.

    >>> waits = np.random.default_rng(0).exponential(size=1000)
    >>> maxent.fit(waits, degree=4).mean().round(6) == waits.mean().round(6)
    np.True_
    """
    return fit_moments(Sample.of(data, weights, axis), degree, support, nan_policy, throw)


def fit_moments(source, degree, support, nan_policy, throw):
    """The density with the moments of a Sample or a Sketch; see `fit`."""
    if isinstance(degree, str):
        if degree != "auto":
            raise ValueError(f"degree must be a number or 'auto', not {degree!r}")
        return _chosen(source, support, nan_policy, throw)
    problem, notes = MomentProblem.from_source(source, degree, support, nan_policy)
    return _density(problem, _find(problem, notes), throw)


def _chosen(source, support, nan_policy, throw):
    """For each column the degree with the smallest criterion

        2 n H_k + k log n · n / (n - k - 2),

    H_k the entropy of the density of degree k. The mean of -log p over the data is H_k, because
    log p is a sum of the functions whose means were matched: the moments tell the likelihood, and
    the criterion needs no data. It is Schwarz's (1978) with McQuarrie's correction for small
    samples (1999), without which twelve moments of twenty values would often pay: H_k falls without
    end as the density closes in on the values. Of degrees from n - 2 on only the first is taken, or
    where it has no answer the second; others without an answer are passed over.
    """
    most = min(AUTO_DEGREE, source.most_moments)
    whole, notes = MomentProblem.from_source(source, most, support, nan_policy)
    n = np.atleast_1d(np.asarray(whole.samples, dtype=float)).ravel()
    most = min(most, max(2, int(np.nan_to_num(n).max()) - 3))
    whole = whole.up_to(most)
    found, score = [], []
    for k in range(1, most + 1):
        problem = whole.up_to(k)
        findings = _find(problem, notes)
        rest = n - k - 2
        with np.errstate(all="ignore"):
            entropy = -np.einsum("cj,cj->c", findings.coefficients, problem.moments)
            penalty = np.where(rest > 0, k * np.log(n) * n / rest, 0.0 if k == 1 else np.inf)
            score.append(2.0 * n * entropy + penalty)
        found.append(findings)
    score = np.where(np.isnan(score), np.inf, score)
    best = score.argmin(axis=0)
    best[np.isinf(score.min(axis=0))] = min(1, most - 1)  # none: degree 2, or why not
    width = int(best.max()) + 1
    total = _Findings.nothing(found[width - 1].problem, notes)
    for j, k in enumerate(best):
        total.take(j, found[k], j, width)
    return _density(whole, total, throw, best + 1)


def fit_highest(source, degree, nan_policy):
    """For each column the density of the highest degree up to `degree` that has one; nan where none
    has."""
    whole, notes = MomentProblem.from_source(source, degree, None, nan_policy)
    total = _find(whole, notes)
    degrees = np.full(total.code.size, degree)
    for k in range(degree - 1, 0, -1):
        failed = np.flatnonzero(whole.finite & (total.code != Status.SOLVED.value))
        if not failed.size:
            break
        part = whole.up_to(k).columns(failed)
        findings = _find(part, [notes[j] for j in failed])
        for i in np.flatnonzero(findings.code == Status.SOLVED.value):
            total.take(failed[i], findings, i, degree)
            degrees[failed[i]] = k
    return _density(whole, total, False, degrees)


@dataclasses.dataclass(frozen=True)
class Report:
    """What `check` found. status and message: one, or a list for a batch.

    feasible: False where no distribution has the moments.

    >>> bool(maxent.check([1, 0.5, 0.3], support=(0, 1)))
    True
    """

    status: object
    message: object
    feasible: object

    def __bool__(self):
        return bool(np.all(self.feasible))


def check(moments, *, support, kind="raw"):
    """Has any distribution on the support these moments? Only atoms? Is there a maximum of the
    entropy?

    Arguments as for `solve`. Returns a Report: status SOLVED (distributions with these moments
    exist, and one of them has the largest entropy), ATOMIC, NO_MAXIMUM or INFEASIBLE, with the
    proof in words.
    Raises ValueError or TypeError for bad input.

    >>> report = maxent.check([1, 0.5, 0.2], support=(0, 1))
    >>> report.status.name, report.message
    ('INFEASIBLE', 'E[(x − 0.5)²] = −0.05, but a square cannot be negative on average')
    """
    problem = MomentProblem.from_moments(moments, support, kind)
    feasibility = _examine(problem)
    status, message = [], []
    for j in range(len(problem.finite)):
        if not problem.finite[j]:
            status.append(Status.NOT_FINITE)
            message.append("the moments hold NaN or infinity")
            continue
        verdict = feasibility.verdict[j]
        status.append(
            Status.INFEASIBLE
            if verdict == INFEASIBLE
            else Status.ATOMIC
            if verdict == BOUNDARY and feasibility.resolved(j)
            else Status.SOLVED
        )
        message.append(
            _describe(problem, feasibility, j) or "distributions with these moments exist"
        )
    inside = [j for j, s in enumerate(status) if s is Status.SOLVED]
    if inside and problem.support.ends != BOUNDED:
        part = problem.columns(np.array(inside))
        _, ladder = _minimise(part)
        for i in np.flatnonzero(ladder.refused):
            status[inside[i]] = Status.NO_MAXIMUM
            message[inside[i]] = _why_no_maximum(part, ladder, i)
    feasible = np.array([s not in (Status.INFEASIBLE, Status.NOT_FINITE) for s in status])
    if problem.batch_shape == ():
        return Report(status[0], message[0], bool(feasible[0]))
    shape = problem.batch_shape
    return Report(_objects(status, shape), _objects(message, shape), feasible.reshape(shape))


def _examine(problem):
    support = problem.support
    reference = support.atoms_of_reference()
    if reference is not None:
        return examine_discrete(problem.basis, reference[0], problem.moments, problem.error)
    return examine(problem.basis, problem.moments, problem.error)


def _describe(problem, feasibility, j):
    support = (
        problem.support
        if problem.batch_shape == ()
        else problem.support[np.unravel_index(j, problem.batch_shape)]
    )
    lower, upper = (float(v) if np.isfinite(v) else None for v in support.bounds)
    return feasibility.describe(j, problem.loc[j], problem.scale[j], lower, upper)


@dataclasses.dataclass(frozen=True, eq=False)
class _Findings:
    """What is found out about each column of a problem, one after the other.

    notes (columns,): why a column is not finite. code: Status.value; NOT_CONVERGED stands for
    "still open". numbers (columns, 7): see NUMBERS. own: column: (coefficients, OwnBasis), where
    the named basis would lose digits. reasons: column: what happened, in words, or a function that
    says it.
    """

    problem: MomentProblem
    notes: object
    code: np.ndarray
    coefficients: np.ndarray
    numbers: np.ndarray
    atoms: np.ndarray
    boundary: np.ndarray
    own: dict = dataclasses.field(default_factory=dict)
    reasons: dict = dataclasses.field(default_factory=dict)

    @classmethod
    def nothing(cls, problem, notes):
        columns, size = problem.moments.shape
        code = np.full(columns, Status.NOT_CONVERGED.value)
        numbers = np.full((columns, len(NUMBERS)), np.nan)
        numbers[:, :2] = 0.0
        coefficients = np.full((columns, size), np.nan)
        atoms, boundary = np.empty(columns, object), np.zeros(columns, bool)
        return cls(problem, notes, code, coefficients, numbers, atoms, boundary)

    def part(self, rows):
        """Some columns in a row, to be found out elsewhere: what is found of them is found here
        too, once `joined`."""
        arrays = self.code, self.coefficients, self.numbers, self.atoms, self.boundary
        views = (array[rows] for array in arrays)
        return _Findings(self.problem.columns(rows), self.notes[rows], *views)

    def joined(self, part, rows):
        self.own.update((rows.start + j, own) for j, own in part.own.items())
        self.reasons.update((rows.start + j, why) for j, why in part.reasons.items())

    def open(self):
        return (self.code == Status.NOT_CONVERGED.value).nonzero()[0]

    def put(self, index, code, coefficients, *numbers):
        self.code[index] = code
        solved = code == Status.SOLVED.value
        self.coefficients[index[solved]] = coefficients[solved]
        for i, value in enumerate(numbers):
            self.numbers[index, i] = value

    def take(self, j, other, i, degree):
        """Column j is column i of `other`, its coefficients filled up to `degree` with zeros."""
        c = other.coefficients[i]
        self.code[j], self.numbers[j] = other.code[i], other.numbers[i]
        self.atoms[j], self.boundary[j] = other.atoms[i], other.boundary[i]
        self.coefficients[j] = np.pad(c, (0, degree + 1 - c.size))
        self.reasons.pop(j, None)
        if i in other.reasons:
            self.reasons[j] = other.reasons[i]
        if i in other.own:
            c, basis = other.own[i]
            self.own[int(j)] = _read_only(np.pad(c, (0, degree + 1 - c.size))), basis

    def tell(self, column):
        """The message of one column."""
        status = STATUSES[self.code[column]]
        reason = self.reasons.get(column) or status.cause
        return f"{(reason if isinstance(reason, str) else reason()).rstrip('.')}. {status.remedy}"

    def certificate(self):
        shape = self.problem.batch_shape
        if shape == ():
            columns, status, atoms = 0, STATUSES[self.code[0]], self.atoms[0]
            fields = dict(zip(NUMBERS, self.numbers[0], strict=True))
            for name in COUNTS:
                fields[name] = int(fields[name])
        else:
            columns = np.arange(self.code.size).reshape(shape)
            status, atoms = STATUSES[self.code].reshape(shape), self.atoms.reshape(shape)
            fields = {
                name: value.reshape(shape)
                for name, value in zip(NUMBERS, self.numbers.T, strict=True)
            }
            for name in COUNTS:
                fields[name] = fields[name].astype(int)
        message = Messages(self.tell, columns)
        return Certificate(status=status, atoms=atoms, message=message, **fields)


def _find(problem, notes):
    """_Findings for all columns; many are divided among threads, for the kernels hold no lock."""
    findings = _Findings.nothing(problem, notes)
    columns, threads = findings.code.size, config.NUMBA_NUM_THREADS
    if threads == 1 or columns < 2 * BLOCK:
        _find_out(findings)
        return findings
    blocks, end = [], 0
    while end < columns:  # half of a thread's share of what is left, so that none ends much later
        begin, end = end, min(end + max(BLOCK, (columns - end) // (2 * threads)), columns)
        blocks.append(slice(begin, end))
    parts = [findings.part(rows) for rows in blocks]
    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(_find_out, parts))  # a list: what a thread raised is raised here
    for part, rows in zip(parts, blocks, strict=True):
        findings.joined(part, rows)
    return findings


def _find_out(findings):
    support = findings.problem.support
    feasibility = _rule_out(findings)
    if support.ends == BOUNDED and support.atoms_of_reference() is None:
        _take_shortcut(findings, feasibility)
    if findings.open().size:
        _take_the_certain_path(findings)
    _doubt(findings)


def _density(problem, findings, throw, degrees=None):
    if throw:
        _raise_failures(problem, findings)
    return Density(
        problem.support,
        findings.coefficients,
        problem.loc,
        problem.scale,
        findings.certificate(),
        problem.batch_shape,
        problem.samples,
        findings.own,
        problem.transform,
        degrees,
        problem.basis if problem.batch_shape else problem.basis[0],
    )


def _rule_out(findings):
    """The columns that have no answer, or none that their moments could tell; the Feasibility."""
    problem = findings.problem
    feasibility = _examine(problem)
    if problem.finite.all() and not feasibility.verdict.any():
        return feasibility
    for j in (~problem.finite).nonzero()[0]:
        findings.code[j], findings.reasons[j] = Status.NOT_FINITE.value, findings.notes[j]
    for j in (problem.finite & (feasibility.verdict == INFEASIBLE)).nonzero()[0]:
        findings.code[j] = Status.INFEASIBLE.value
        findings.reasons[j] = partial(_describe, problem, feasibility, j)
    findings.boundary[:] = problem.finite & (feasibility.verdict == BOUNDARY)
    for j in findings.boundary.nonzero()[0]:
        if feasibility.resolved(j):
            t, weights = feasibility.atoms(j)
            findings.code[j] = Status.ATOMIC.value
            findings.reasons[j] = partial(_describe, problem, feasibility, j)
            with np.errstate(all="ignore"):
                findings.atoms[j] = (problem.loc[j] + problem.scale[j] * t, weights)
        elif problem.error[j].max() > BELIEVED:
            findings.code[j] = Status.ILL_CONDITIONED.value
            findings.numbers[j, -1] = 0.0  # digits
    return feasibility


def _take_shortcut(findings, feasibility):
    """Ordinary columns on an interval; the others stay open."""
    problem = findings.problem
    ordinary = findings.code == Status.NOT_CONVERGED.value
    ordinary &= feasibility.margin > ORDINARY * feasibility.tolerance
    if not ordinary.any():
        return
    index = slice(None) if ordinary.all() else ordinary.nonzero()[0]
    found = dual.shortcut(problem.moments[index], problem.error[index], BELIEVED)
    ok = found.confirmed
    found.numbers[:, -1] = digits_left(found.numbers[:, -1])
    if not ok.all():
        found.coefficients[~ok] = found.numbers[~ok] = np.nan
    findings.code[index] = np.where(ok, Status.SOLVED.value, Status.NOT_CONVERGED.value)
    findings.coefficients[index] = found.coefficients
    findings.numbers[index] = found.numbers


def _take_the_certain_path(findings):
    problem, index = findings.problem, findings.open()
    part = problem.columns(index)
    if problem.support.ends == BOUNDED and problem.support.atoms_of_reference() is None:
        _write_down(findings, index, part, *_minimise_on_interval(part))
    else:
        minimum, ladder = _minimise(part)
        _write_down(findings, index, part, minimum, certify(part, minimum), ladder)


def _write_down(findings, index, part, minimum, verdict, ladder=None):
    """What was found of the columns `index`."""
    support = part.support
    status, moment_error, mass_error, condition, digits = verdict
    code = np.array([s.value for s in status])
    if ladder is not None:
        code[ladder.refused] = Status.NO_MAXIMUM.value
        for i in np.flatnonzero(ladder.refused):
            findings.reasons[index[i]] = partial(_why_no_maximum, part, ladder, i)
        for i in np.flatnonzero((code == Status.NOT_CONVERGED.value) & ladder.undecided):
            code[i] = Status.ILL_CONDITIONED.value
            findings.reasons[index[i]] = UNDECIDED
        for i in np.flatnonzero((code == Status.SOLVED.value) & (minimum.number > 1)):
            findings.reasons[index[i]] = partial(_satellites, part, minimum, i)
    for i in np.flatnonzero((code == Status.SOLVED.value) & minimum.own):
        basis = OwnBasis(support.basis.name, _read_only(minimum.series[i]))
        findings.own[int(index[i])] = _read_only(minimum.coefficients[i]), basis
    findings.put(
        index,
        code,
        minimum.named,
        minimum.steps,
        minimum.evaluations,
        minimum.decrement,
        moment_error,
        mass_error,
        condition,
        digits,
    )


def _doubt(findings):
    """Withdraw a density for moments that may as well be those of atoms."""
    if not findings.boundary.any():
        return
    solved = findings.boundary & (findings.code == Status.SOLVED.value)
    error = findings.numbers[:, NUMBERS.index("moment_error")]
    for j in (solved & ~(error <= BELIEVED_ON_BOUNDARY)).nonzero()[0]:
        findings.code[j] = Status.ILL_CONDITIONED.value
        findings.coefficients[j] = np.nan
        findings.own.pop(int(j), None)


def _read_only(array):
    array = array.copy()
    array.setflags(write=False)
    return array


def _minimise(problem):
    """(Minimum, Ladder or None) on discrete points, the half line and the line."""
    if problem.support.ends == BOUNDED:
        return _minimise_plainly(problem), None
    ladder = existence.minimise(problem)
    return ladder.minimum, ladder


def _minimise_plainly(problem):
    return dual.minimise(problem, np.zeros(problem.moments.shape), dual.PLAIN_STEPS)


def _minimise_on_interval(problem):
    """(Minimum, verdict of `certify`) of the certain path; where that is not sure, of plain Newton
    too.

    Where all degrees counted to the end the certain path's answer is that of the moments as given,
    closer than their rounding tells. That may leave few digits of it, and plain Newton's density,
    with lumps where no moment shows one, may seem to have more: of those compared with an exact
    answer (docs/performance.md) it was further away.
    """
    minimum = dual.minimise_hard(problem)
    verdict = certify(problem, minimum)
    solved = verdict[0] == Status.SOLVED
    sure = solved & (minimum.used == problem.degree) & (minimum.decrement <= ARRIVED)
    index = (~sure).nonzero()[0]
    if not index.size:
        return minimum, verdict
    part = problem.columns(index)
    plain = _minimise_plainly(part)
    other = certify(part, plain)
    # of two answers the one with more digits; where neither has one, the certain path says whether
    # digits were missing or steps
    found = other[0] == Status.SOLVED
    told = (verdict[0][index] == Status.ILL_CONDITIONED) & (minimum.used[index] > 0)
    better = np.where(solved[index], found & (other[4] >= verdict[4][index]), found | ~told)
    minimum.put(index[better], plain.pick(better))
    for old, new in zip(verdict, other, strict=True):
        old[index[better]] = new[better]
    return minimum, verdict


def _why_no_maximum(problem, ladder, i):
    order, excess = int(ladder.order[i]), ladder.excess[i]
    if order == 1:
        return (
            "a mean alone leaves the spread free, and on the line the entropy has no upper bound: "
            "give the variance too"
        )
    below = order - 1 if problem.support.ends == HALF or order % 2 else order - 2
    scale = abs(problem.scale[i])
    size = "too large" if excess > 0 else "too small"
    with np.errstate(over="ignore", under="ignore"):
        difference = abs(excess) * scale**order
    return (
        f"moment {order} is {size} by {difference:.3g}: the entropy has a "
        f"supremum, {ladder.entropy[i] + np.log(scale):.6g}, approached by the density of degree "
        f"{below} with a vanishing mass far out, but no maximum"
    )


def _satellites(problem, minimum, i):
    """What is worth saying of a density that was found."""
    unit = "standard deviations" if problem.support.ends != HALF else "times the mean distance"
    lumps = [
        f"{mass:.1g} of the mass sits near x = {problem.loc[i] + problem.scale[i] * t:.4g} "
        f"({abs(t):.3g} {unit} out)"
        for t, mass in existence.satellites(problem.support, minimum, i)
    ]
    return " Note: ".join([Status.SOLVED.cause, "; ".join(lumps)]) if lumps else Status.SOLVED.cause


def _raise_failures(problem, findings):
    failed = (findings.code != Status.SOLVED.value).nonzero()[0]
    if not failed.size:
        return
    status = STATUSES[findings.code]
    if all(status[j] is Status.NOT_FINITE for j in failed):
        raise ValueError(_tell_failures(problem, findings, failed))
    tell = partial(_tell_failures, problem, findings, failed)
    raise SolveError(tell, status[failed[0]], tuple(status))


def _tell_failures(problem, findings, failed):
    status = STATUSES[findings.code]
    if problem.batch_shape == ():
        return f"{status[0].name}: {findings.tell(0)}"
    named = "; ".join(
        f"column {_name(problem, j)} {status[j].name}: {findings.tell(j)}"
        for j in failed[:NAMED_COLUMNS]
    )
    more = f"; and {failed.size - NAMED_COLUMNS} more" if failed.size > NAMED_COLUMNS else ""
    return f"{failed.size} of {status.size} columns have no answer: {named}{more}"


def _name(problem, j):
    index = np.unravel_index(j, problem.batch_shape)
    return int(index[0]) if len(index) == 1 else tuple(int(i) for i in index)


def _objects(values, shape):
    out = np.empty(len(values), dtype=object)
    out[:] = values
    return out.reshape(shape)
