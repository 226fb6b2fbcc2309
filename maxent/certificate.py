"""Is a converged solve believable? The answer is measured again, by a rule that knows nothing of
the first.

The solver integrates by Gauss-Legendre on panels that are halved by bounds on the polynomial; here
Clenshaw-Curtis with both end points, on intervals cut in three until 17 and 33 nodes agree, from
coefficients summed in the other direction (`_kernels.measure`). A density is SOLVED only when that
measurement confirms its mass and every moment; a false success is withdrawn.

How many digits that leaves is another question. The moments are uncertain by `error`, the rounding
of the input plus the error just measured plus what rounding of log p may hide; to first order this
moves log p by a function whose standard deviation under p is

    blur = sqrt( Σ_j ( Σ_i |P_ji| error_i )² ),        digits = -log10(blur),

P the coefficients of the polynomials orthonormal under p. trace(H⁻¹) = Σ P_ji² gives the condition
number.

The shortcut for ordinary columns comes with the same numbers, from a measurement of its own
(`_kernels.fast`); what it does not confirm is solved and measured again here.
"""

from __future__ import annotations

import dataclasses

import numpy as np

from maxent._kernels.measure import measure_columns
from maxent.quadrature import clenshaw_curtis
from maxent.status import Status

# Largest error of the mass and of a moment (in functions of size 1) in a confirmed answer.
BELIEVED = 9e-11
DEPTH = 80.0
MOST_DIGITS = 15.65  # -log10 of the unit roundoff


class Messages:
    """The messages of some columns, unwritten: `tell(column)` writes one; columns: int array or
    int.
    """

    def __init__(self, tell, columns):
        self.tell = tell
        self.columns = columns

    def __getitem__(self, index):
        return Messages(self.tell, self.columns[index])

    def write(self):
        """A string, or an object array of the columns' shape."""
        if np.ndim(self.columns) == 0:
            return self.tell(int(self.columns))
        out = np.empty(self.columns.shape, dtype=object)
        out.ravel()[:] = [self.tell(int(j)) for j in self.columns.ravel()]
        return out


@dataclasses.dataclass(frozen=True, eq=False)
class Certificate:
    """What is known about each answer. Arrays of the batch's shape; plain values for one column.

    status         Status
    steps          Newton steps, evaluations: densities evaluated
    moment_error   largest |E[φ_j] - m_j| by the unrelated rule, over max(1, √E[φ_j²])
    mass_error     |∫p - 1| by the same rule
    decrement      Newton's decrement at the answer: distance to the minimum, as a change of log p
    condition      trace(H) · trace(H⁻¹), an upper bound of the Hessian's condition number
    digits         decimal digits of the density that the input's rounding and moment_error leave
    atoms          for ATOMIC: (points, weights) in x, else None
    message        cause and remedy; of a batch, written when first asked for

    >>> certificate = maxent.solve([1, 0.5, 0.3], support=(0, 1)).certificate
    >>> certificate.status.name, bool(certificate.moment_error < 1e-14)
    ('SOLVED', True)
    """

    status: object
    steps: object
    evaluations: object
    moment_error: object
    mass_error: object
    decrement: object
    condition: object
    digits: object
    atoms: object
    message: object

    def __post_init__(self):
        # A proof of infeasibility in words takes longer than a solve, and in a batch nobody may
        # ever read it.
        if isinstance(self.message, Messages):
            object.__setattr__(self, "_messages", self.message)
            object.__delattr__(self, "message")

    def __getattr__(self, name):
        if name != "message" or "_messages" not in self.__dict__:
            raise AttributeError(f"a Certificate has no {name!r}")
        object.__setattr__(self, "message", self._messages.write())
        return self.message

    def __getstate__(self):
        return {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}

    def __setstate__(self, state):
        self.__dict__.update(state)

    def __getitem__(self, index):
        """The certificate of one column."""
        fields = {
            f.name: getattr(self, f.name)[index]
            for f in dataclasses.fields(self)
            if f.name != "message"
        }
        written = "message" in self.__dict__
        return Certificate(message=(self.message if written else self._messages)[index], **fields)

    def __repr__(self):
        if isinstance(self.status, Status):
            return (
                f"<Certificate {self.status.name}: moment error {self.moment_error:.1e}, "
                f"mass error {self.mass_error:.1e}, {self.digits:.1f} digits, {self.steps} steps>"
            )
        solved = sum(s is Status.SOLVED for s in self.status.ravel())
        return f"<Certificate: {solved} of {self.status.size} columns SOLVED>"


def certify(problem, minimum):
    """(status, moment_error, mass_error, condition, digits) for each column."""
    measured = _measure(problem, minimum)
    sizes = np.maximum(1.0, minimum.sizes)
    with np.errstate(all="ignore"):
        gap = np.abs(measured[:, 1:] / measured[:, :1] - problem.moments[:, 1:])
        moment_error = (gap / sizes[:, 1:]).max(axis=1)
        mass_error = np.abs(measured[:, 0] - 1.0)
        P = minimum.orthonormal
        blur = _blur(P, problem.error)
        # summing the exponent costs every rule, and every user, this much of p
        loud = np.abs(minimum.coefficients) * np.where(minimum.own[:, None], 1.0, sizes)
        rounding = 2.0**-53 * loud.sum(axis=1)
        off = problem.error.copy()
        off[:, 1:] += gap + rounding[:, None] * sizes[:, 1:]
        digits = digits_left(_blur(P, off))
        variance = minimum.sizes[:, 1:] ** 2 - minimum.expected[:, 1:] ** 2
        condition = (P[:, 1:, 1:] ** 2).sum(axis=(1, 2)) * variance.sum(axis=1)
    # exp(polynomial) with these moments is the answer, however the descent came to an end
    confirmed = (moment_error <= BELIEVED) & (mass_error <= BELIEVED)
    # and both rules must see it: panels that cannot resolve the answer could not use it either
    with np.errstate(all="ignore"):
        seen = np.abs(minimum.expected - problem.moments) / sizes
    confirmed &= (seen <= BELIEVED).all(axis=1)
    # power moments whose conversion has lost their digits determine nothing
    lost = ~(blur < 1.0)
    confirmed &= ~lost | ((problem.error / sizes).max(axis=1) < BELIEVED)
    lost |= minimum.used < minimum.coefficients.shape[1] - 1
    # with coefficients so large that the exponent itself is lost in rounding, pdf and moments are
    # those of whoever sums it
    confirmed &= rounding <= BELIEVED
    lost |= 2.0 * rounding > BELIEVED
    # and no panels resolve a layer that is narrower than float64 can place nodes in
    lost |= (moment_error <= BELIEVED) & (mass_error <= BELIEVED) & ~np.isfinite(seen).all(axis=1)
    failed = np.where(lost, Status.ILL_CONDITIONED, Status.NOT_CONVERGED)
    status = np.where(confirmed, Status.SOLVED, failed)
    return status, moment_error, mass_error, condition, np.fmax(digits, 0.0)


def digits_left(blur):
    """Decimal digits of p that survive where log p is blurred by so much."""
    return np.minimum(np.maximum(-np.log10(np.maximum(blur, 1e-300)), 0.0), MOST_DIGITS)


def _blur(P, error):
    """Standard deviation under p of what moments off by `error` do to log p, (columns,)."""
    return np.sqrt((np.einsum("cij,cj->ci", np.abs(P), error) ** 2).sum(axis=1))


def _measure(problem, minimum):
    """∫ φ_j exp(q), (columns, k+1), by the unrelated rule; discrete points by their plain sum."""
    reference = problem.support.atoms_of_reference()
    if reference is not None:
        t, weights = reference
        phi = problem.support.basis.evaluate(t, problem.degree)
        return (np.exp(minimum.coefficients @ phi.T) * weights) @ phi
    nodes, fine = clenshaw_curtis(33)
    _, coarse = clenshaw_curtis(17)
    out = np.full(problem.moments.shape, np.nan)
    measure_columns(
        minimum.coefficients,
        minimum.series,
        problem.recurrences(problem.degree),
        minimum.edges[:, 0].copy(),
        minimum.edges[:, 1].copy(),
        minimum.peaks,
        minimum.number,
        DEPTH,
        (nodes, fine, coarse),
        out,
    )
    return out
