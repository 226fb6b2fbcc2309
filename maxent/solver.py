"""solve, fit and check: the line from moments or data to a Density.

problem ─► feasibility ─► existence (line, half line) ─► dual ⇄ newton ─► certificate ─► density
"""

from __future__ import annotations

import dataclasses

import numpy as np

from maxent import dual, existence
from maxent._kernels.window import BOUNDED, HALF
from maxent.certificate import BELIEVED, Certificate, certify
from maxent.density import Density
from maxent.feasibility import BOUNDARY, INFEASIBLE, examine, examine_discrete
from maxent.problem import MomentProblem
from maxent.status import SolveError, Status

NAMED_COLUMNS = 6  # failing columns that an error message lists


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
    """
    problem = MomentProblem.from_moments(moments, support, kind)
    notes = ["the moments hold NaN or infinity" if not ok else None for ok in problem.finite]
    return _answer(problem, notes, throw)


def fit(data, degree=6, *, support=None, weights=None, axis=None, nan_policy="raise", throw=True):
    """The maximum-entropy density with the moments of data.

    data: array-like; 1-D gives one density, n-D one for every column along `axis` (default 0).
    degree: how many moments. support: (lo, hi) or a Support; None takes the range of the data.
    weights: (n,) >= 0. nan_policy: "raise", or "omit" to leave NaN out.
    throw: as for `solve`.

    Returns a Density. Raises ValueError or TypeError for bad input, SolveError where there is no
    density.
    """
    problem, notes = MomentProblem.from_data(data, degree, support, weights, axis, nan_policy)
    return _answer(problem, notes, throw)


@dataclasses.dataclass(frozen=True)
class Report:
    """What `check` found. status and message: one, or a list for a batch.

    feasible: False where no distribution has the moments.
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
        part = _columns(problem, np.array(inside))
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
    reference = problem.support.atoms_of_reference()
    if reference is None:
        return examine(problem.support.basis, problem.moments, problem.error)
    return examine_discrete(problem.support.basis, reference[0], problem.moments, problem.error)


def _describe(problem, feasibility, j):
    support = (
        problem.support
        if problem.batch_shape == ()
        else problem.support[np.unravel_index(j, problem.batch_shape)]
    )
    lower, upper = (float(v) if np.isfinite(v) else None for v in support.bounds)
    return feasibility.describe(j, problem.loc[j], problem.scale[j], lower, upper)


def _answer(problem, notes, throw):
    columns = len(problem.finite)
    status = np.full(columns, Status.NOT_CONVERGED)
    message = np.full(columns, "", dtype=object)
    atoms = np.full(columns, None)
    coefficients = np.full(problem.moments.shape, np.nan)
    numbers = {
        name: np.full(columns, np.nan)
        for name in ("moment_error", "mass_error", "decrement", "condition", "digits")
    }
    steps, evaluations = np.zeros(columns, int), np.zeros(columns, int)

    feasibility = _examine(problem)
    for j in np.flatnonzero(~problem.finite):
        status[j], message[j] = Status.NOT_FINITE, notes[j]
    for j in np.flatnonzero(problem.finite & (feasibility.verdict == INFEASIBLE)):
        status[j], message[j] = Status.INFEASIBLE, _describe(problem, feasibility, j)
    boundary = problem.finite & (feasibility.verdict == BOUNDARY)
    for j in np.flatnonzero(boundary):
        if feasibility.resolved(j) and feasibility.excess[j] == 0:
            t, weights = feasibility.atoms(j)
            status[j], message[j] = Status.ATOMIC, _describe(problem, feasibility, j)
            atoms[j] = (problem.loc[j] + problem.scale[j] * t, weights)
        elif problem.error[j].max() > BELIEVED:
            status[j] = Status.ILL_CONDITIONED
            numbers["digits"][j] = 0.0
    index = np.flatnonzero(status == Status.NOT_CONVERGED)
    if index.size:
        part = _columns(problem, index)
        minimum, ladder = _minimise(part)
        refused = np.zeros(index.size, bool) if ladder is None else ladder.refused
        found, moment_error, mass_error, condition, digits = certify(part, minimum)
        found[refused] = Status.NO_MAXIMUM
        status[index] = found
        for i in np.flatnonzero(refused):
            message[index[i]] = _why_no_maximum(part, ladder, i)
        solved = found == Status.SOLVED
        coefficients[index[solved]] = minimum.coefficients[solved]
        steps[index], evaluations[index] = minimum.steps, minimum.evaluations
        for name, value in (
            ("moment_error", moment_error),
            ("mass_error", mass_error),
            ("decrement", minimum.decrement),
            ("condition", condition),
            ("digits", digits),
        ):
            numbers[name][index] = value
    message = _objects(
        [f"{(m or s.cause).rstrip('.')}. {s.remedy}" for m, s in zip(message, status, strict=True)],
        (columns,),
    )
    if throw:
        _raise_failures(problem, status, message)
    shape = problem.batch_shape
    fields = {
        "status": status,
        "steps": steps,
        "evaluations": evaluations,
        "atoms": atoms,
        "message": message,
        **numbers,
    }
    certificate = Certificate(**{name: value.reshape(shape)[()] for name, value in fields.items()})
    return Density(problem.support, coefficients, problem.loc, problem.scale, certificate, shape)


def _columns(problem, index):
    """The problem of some columns only, as a flat batch."""
    support = problem.support
    return dataclasses.replace(
        problem,
        support=support,
        moments=np.ascontiguousarray(problem.moments[index]),
        error=np.ascontiguousarray(problem.error[index]),
        loc=problem.loc[index],
        scale=problem.scale[index],
        finite=problem.finite[index],
        batch_shape=(index.size,),
    )


def _minimise(problem):
    """(Minimum, Ladder or None)."""
    support = problem.support
    if support.ends == BOUNDED:
        return dual.minimise(support, problem.moments, np.zeros(problem.moments.shape)), None
    ladder = existence.minimise(support, problem.moments, problem.error)
    return ladder.minimum, ladder


def _why_no_maximum(problem, ladder, i):
    order, excess = int(ladder.order[i]), ladder.excess[i]
    if not np.isfinite(excess):
        return (
            "a mean alone leaves the spread free, and on the line the entropy has no upper bound: "
            "give the variance too"
        )
    below = order - 1 if problem.support.ends == HALF or order % 2 else order - 2
    scale = abs(problem.scale[i])
    size = "too large" if excess > 0 else "too small"
    return (
        f"moment {order} is {size} by {abs(excess) * scale**order:.3g}: the entropy has a "
        f"supremum, {ladder.entropy[i] + np.log(scale):.6g}, approached by the density of degree "
        f"{below} with a vanishing mass far out, but no maximum"
    )


def _raise_failures(problem, status, message):
    failed = np.flatnonzero(status != Status.SOLVED)
    if not failed.size:
        return
    first = status[failed[0]]
    if problem.batch_shape == ():
        text = f"{first.name}: {message[0]}"
    else:
        named = "; ".join(
            f"column {_name(problem, j)} {status[j].name}: {message[j]}"
            for j in failed[:NAMED_COLUMNS]
        )
        more = f"; and {failed.size - NAMED_COLUMNS} more" if failed.size > NAMED_COLUMNS else ""
        text = f"{failed.size} of {status.size} columns have no answer: {named}{more}"
    if all(status[j] is Status.NOT_FINITE for j in failed):
        raise ValueError(text)
    raise SolveError(text, first, tuple(status))


def _name(problem, j):
    index = np.unravel_index(j, problem.batch_shape)
    return int(index[0]) if len(index) == 1 else tuple(int(i) for i in index)


def _objects(values, shape):
    out = np.empty(len(values), dtype=object)
    out[:] = values
    return out.reshape(shape)
