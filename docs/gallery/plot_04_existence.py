"""
Where a maximum exists
======================

On the line, with four moments, everything turns on skewness and kurtosis. Below the parabola κ
= 1 + γ² no distribution has them. Above it there always are some, but on the half line γ = 0, κ
> 3 (Junk's line) none of them has the largest entropy: a vanishing mass runs off to infinity.
Close to that line there is an answer, with a lump far away whose place is drawn as the colour.
"""

import matplotlib.pyplot as plt
import numpy as np

import maxent

skewness, kurtosis = np.meshgrid(np.linspace(-2, 2, 81), np.linspace(0.6, 6, 73))
moments = np.stack([np.ones_like(skewness), 0 * skewness, 1 + 0 * skewness, skewness, kurtosis], -1)
answer = maxent.solve(moments, support=(-np.inf, np.inf), kind="standardized", throw=False)
status = np.vectorize(lambda s: s.name)(answer.certificate.status)

reach = np.log10(np.maximum(np.abs(answer.ppf(1e-9)), np.abs(answer.isf(1e-9))))
fig, ax = plt.subplots(figsize=(6.4, 4.4))
reach[status != "SOLVED"] = np.nan
image = ax.pcolormesh(skewness, kurtosis, reach, cmap="cividis")
fig.colorbar(image, label="log₁₀ of the largest quantile of 10⁻⁹")
g = np.linspace(-2, 2, 200)
ax.fill_between(g, 0.6, 1 + g**2, color="#d5dde6")
ax.annotate("no distribution", (0, 0.75), ha="center", color="#5b6673")
ax.plot([0, 0], [3, 6], color="#c8553d", linewidth=2.5)
ax.annotate("no maximum", (0.1, 5.6), color="white", weight="bold")
ax.set_xlim(-2, 2)
ax.set_ylim(0.6, 6)
ax.set_xlabel("skewness")
ax.set_ylabel("kurtosis")
plt.show()
