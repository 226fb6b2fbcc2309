"""
Particle sizes from a few moments
=================================

Population balances of sprays and crystals carry four to eight moments of the particle size, and
lose its distribution. On the half line the density of largest entropy gives it back where one
exists, here of a mixture of two gamma laws: with 2, 4, 6 or 8 moments, but not with 5 or 7,
which the solver says.
"""

import matplotlib.pyplot as plt
import numpy as np
from scipy.special import gamma, gammaln

import maxent

share, shape, scale = np.array([0.55, 0.45]), np.array([5.0, 12.0]), np.array([2.4, 4.8])
order = np.arange(9)[:, None]
moments = (share * scale**order * gamma(shape + order) / gamma(shape)).sum(axis=1)

x = np.linspace(0, 120, 600)[1:, None]
truth = (
    share * np.exp((shape - 1) * np.log(x) - x / scale - shape * np.log(scale) - gammaln(shape))
).sum(axis=1)
fig, ax = plt.subplots()
ax.fill_between(x[:, 0], truth, color="#d5dde6", label="the true distribution")
for k, style in ((8, "-"), (6, "--"), (4, ":")):
    density = maxent.solve(moments[: k + 1], support=(0, np.inf))
    ax.plot(x, density.pdf(x), style, label=f"{k} moments")
ax.set_xlabel("size, µm")
ax.set_ylim(0)
ax.legend()
plt.show()
