"""Maximum-entropy densities from moments or data.

samples ─ sketch ─► moments ─► problem ─► feasibility ─► dual ⇄ newton ─► certificate ─► density ─►
inversion

density = maxent.fit(data, degree=6)                          a density from data
density = maxent.solve(moments, support=(0, 1))               or from moments
density.pdf(x); density.ppf(0.99); density.rvs(1000)
sketch = maxent.Sketch(6).update(chunk)                       or from data that outgrow memory
(sketch + other).fit()
density = maxent.tilt([np.log], [0.3], support=(1, 9))        any functions, a reference, intervals
report = maxent.check(moments, support=(0, 1))                do such distributions exist?
"""

from maxent.basis import CHEBYSHEV, HERMITE, LAGUERRE, Basis
from maxent.certificate import Certificate
from maxent.density import Density
from maxent.feasibility import Witness
from maxent.problem import MomentProblem
from maxent.sketch import Sketch
from maxent.solver import Report, check, fit, solve
from maxent.status import SolveError, Status
from maxent.support import Discrete, HalfLine, Interval, RealLine, Support
from maxent.tilting import Tilted, tilt
from maxent.transform import Transform

__all__ = [
    "CHEBYSHEV",
    "HERMITE",
    "LAGUERRE",
    "Basis",
    "Certificate",
    "Density",
    "Discrete",
    "HalfLine",
    "Interval",
    "MomentProblem",
    "RealLine",
    "Report",
    "Sketch",
    "SolveError",
    "Status",
    "Support",
    "Tilted",
    "Transform",
    "Witness",
    "check",
    "fit",
    "solve",
    "tilt",
]
