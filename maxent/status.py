"""How a solve can end."""

from __future__ import annotations

import enum


class Status(enum.Enum):
    """One outcome a column. `message` says the cause and what to try: `cause`, then `remedy`.

    >>> maxent.Status.ATOMIC.cause
    'Only a few atoms have these moments: there is no density.'
    """

    SOLVED = 0
    INFEASIBLE = 1
    ATOMIC = 2
    NO_MAXIMUM = 3
    ILL_CONDITIONED = 4
    NOT_CONVERGED = 5
    NOT_FINITE = 6

    @property
    def cause(self) -> str:
        return _MESSAGES[self][0]

    @property
    def remedy(self) -> str:
        return _MESSAGES[self][1]

    @property
    def message(self) -> str:
        return f"{self.cause} {self.remedy}"


_MESSAGES = {
    Status.SOLVED: (
        "The density was found, and its moments were confirmed by an unrelated rule.",
        "Use it.",
    ),
    Status.INFEASIBLE: (
        "No distribution on the support has these moments.",
        "Check the order and kind of the moments (m0 = 1 first; raw, central or standardized?), "
        "and that the data lie inside the support.",
    ),
    Status.ATOMIC: (
        "Only a few atoms have these moments: there is no density.",
        "See certificate.atoms; use fewer moments, or blur rounded data.",
    ),
    Status.NO_MAXIMUM: (
        "Distributions with these moments exist, but none of them has the largest entropy: mass "
        "escapes to infinity.",
        "Use a bounded support, or one moment fewer or more.",
    ),
    Status.ILL_CONDITIONED: (
        "The moments do not determine a density in float64: their rounding alone changes it.",
        "Use fewer moments, or give Chebyshev moments, or the data themselves.",
    ),
    Status.NOT_CONVERGED: (
        "The solver stopped before the moments were matched.",
        "Use fewer moments, or a support that fits the data more closely; please report the "
        "moments.",
    ),
    Status.NOT_FINITE: (
        "The data or moments hold NaN or infinity.",
        "Drop those rows (nan_policy='omit') or the column.",
    ),
}


class SolveError(ArithmeticError):
    """No answer. `status` is the (first) failing Status, `statuses` those of all columns.

    >>> try:
    ...     maxent.solve([1, 0.5, 0.2], support=(0, 1))
    ... except maxent.SolveError as error:
    ...     print(error.status.name)
    INFEASIBLE
    """

    def __init__(self, message, status: Status, statuses: tuple[Status, ...] = ()):
        """message: a str, or a function that writes it when it is first read: a proof in words
        takes longer than finding it."""
        super().__init__()
        self._message = message
        self.status = status
        self.statuses = statuses or (status,)

    def __str__(self):
        if callable(self._message):
            self._message = self._message()
        return self._message

    def __repr__(self):
        return f"{type(self).__name__}({str(self)!r})"

    @property
    def args(self):
        return (str(self),)

    def __reduce__(self):
        return type(self), (str(self), self.status, self.statuses)
