"""
Heavy tails want a transform
============================

Six moments of 100,000 lognormal values describe the largest of them and little else. Six
moments of their logarithms describe all of them; quantiles go through the exponential
unchanged.
"""

import matplotlib.pyplot as plt
import numpy as np

import maxent

x = np.random.default_rng(0).lognormal(sigma=1.5, size=100_000)
raw = maxent.fit(x, degree=6)
log = maxent.fit(np.log(x), degree=6)

u = np.linspace(0.001, 0.999, 500)
data = np.quantile(x, u)
fig, ax = plt.subplots()
ax.loglog(data, data, color="#5b6673", linewidth=1, label="the data")
ax.loglog(data, raw.ppf(u), "--", label="moments of x")
ax.loglog(data, np.exp(log.ppf(u)), label="moments of log x")
ax.set_xlabel("quantile of the data")
ax.set_ylabel("quantile of the density")
ax.legend()
plt.show()
