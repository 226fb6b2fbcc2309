"""
A density with its error band
=============================

Moments of few data are uncertain, and so is the density that has them. The fit knows the
covariance of its own moments, and carries it over to every value of the density (the delta
method): the band is 1.96 standard errors to either side. The true density is drawn over it.
"""

import matplotlib.pyplot as plt
import numpy as np

import maxent

rng = np.random.default_rng(3)


def true_density(x):
    return 0.6 * np.exp(-0.5 * ((x + 0.4) / 0.2) ** 2) / 0.2 / np.sqrt(2 * np.pi) + 0.4 * np.exp(
        -0.5 * ((x - 0.45) / 0.15) ** 2
    ) / 0.15 / np.sqrt(2 * np.pi)


n = 800
left = rng.random(n) < 0.6
data = np.where(left, rng.normal(-0.4, 0.2, n), rng.normal(0.45, 0.15, n))
density = maxent.fit(data, degree=8, support=(-1.3, 1.3))
error = density.standard_error()

x = np.linspace(-1.3, 1.3, 500)
p, band = density.pdf(x), 1.96 * error.pdf(x)
fig, ax = plt.subplots()
ax.fill_between(x, np.maximum(p - band, 0), p + band, alpha=0.2, label="95 % band")
ax.plot(x, p, label=f"8 moments of {n} values")
ax.plot(x, true_density(x), "--", label="the truth")
ax.set_ylim(0)
ax.legend()
plt.show()

# %%
# Quantiles have error bars too:

for u in (0.05, 0.5, 0.95):
    print(f"{u:4.0%}  {density.ppf(u):6.3f} ± {1.96 * error.ppf(u):.3f}")
