"""
The density that option prices imply
====================================

A call pays max(x − strike, 0), so its price is the mean of a function of the price to come, and
a chain of quotes is a list of such means, each known between bid and ask only. The density of
largest entropy within all of them is piecewise exponential (Buchen & Kelly 1996). The quotes
here are made from two lognormal scenarios, and widened by a spread.
"""

import matplotlib.pyplot as plt
import numpy as np
from scipy.special import ndtr

import maxent

share, middle, width = np.array([0.7, 0.3]), np.log([104.0, 88.0]), np.array([0.06, 0.09])
strikes = np.arange(75.0, 126.0, 5.0)


def price(strike):
    """Mean of max(x - strike, 0) under the two scenarios."""
    d = (middle - np.log(strike)) / width
    return share @ (np.exp(middle + width**2 / 2) * ndtr(d + width) - strike * ndtr(d))


forward = share @ np.exp(middle + width**2 / 2)
calls = [lambda x, k=k: np.maximum(x - k, 0) for k in strikes]
mid = np.array([price(k) for k in strikes])
spread = 0.02 + 0.01 * mid
quotes = [(max(m - s, 0.0), m + s) for m, s in zip(mid, spread, strict=True)]
density = maxent.tilt(
    [lambda x: x, *calls], [forward, *quotes], support=(0, np.inf), breaks=strikes
)

x = np.linspace(65, 135, 500)
z = (np.log(x[:, None]) - middle) / width
truth = (np.exp(-0.5 * z**2) / (x[:, None] * width * np.sqrt(2 * np.pi))) @ share
fig, ax = plt.subplots()
ax.fill_between(x, truth, color="#d5dde6", label="the two scenarios")
ax.plot(x, density.pdf(x), label=f"{len(strikes)} calls, bid to ask")
ax.plot(strikes, 0 * strikes, "|", color="#c8553d", markersize=12, label="strikes")
ax.set_xlabel("price at expiry")
ax.set_ylim(0)
ax.legend()
plt.show()

print(f"P(x < 85) = {density.cdf(85.0):.3f}")
