"""
A satellite that no plot shows
==============================

Skewness 0.2 and kurtosis 4: close to the line on which no maximum exists. The answer looks
normal, and has a lump of mass 7·10⁻⁷ some thirty-four standard deviations away, which carries
the fourth moment. A solver on a fixed grid does not see it, and reports success all the same;
here it is found, and said.
"""

import matplotlib.pyplot as plt
import numpy as np

import maxent

density = maxent.solve([1, 0, 1, 0.2, 4], support=(-np.inf, np.inf), kind="standardized")
print(density.certificate.message)

x = np.linspace(-6, 42, 2000)
fig, (top, bottom) = plt.subplots(2, sharex=True, figsize=(6.4, 4.8))
top.fill_between(x, density.pdf(x), alpha=0.2)
top.plot(x, density.pdf(x))
top.set_title("density")
bottom.plot(x, density.logpdf(x) / np.log(10))
bottom.set_ylim(-40, 2)
bottom.set_title("log₁₀ density")
bottom.set_xlabel("standard deviations")
plt.show()
