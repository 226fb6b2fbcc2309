"""
A thousand columns at once
==========================

A table of 1,000 columns, each of another shape, fitted in one call. Every column has a
certificate of its own; drawn are their medians, quartiles and outer percentiles, sorted.
"""

import matplotlib.pyplot as plt
import numpy as np

import maxent

rng = np.random.default_rng(1)
a, b = rng.uniform(0.6, 6, (2, 1000))
table = rng.beta(a, b, size=(4000, 1000))

batch = maxent.fit(table, degree=6, support=(0, 1))
u = np.array([0.01, 0.25, 0.5, 0.75, 0.99])
q = batch.ppf(u[:, None])  # (5, 1000)
order = np.argsort(q[2])

fig, ax = plt.subplots()
column = np.arange(1000)
ax.fill_between(column, q[0][order], q[4][order], alpha=0.12, label="1 % to 99 %")
ax.fill_between(column, q[1][order], q[3][order], alpha=0.3, label="quartiles")
ax.plot(column, q[2][order], color="#c8553d", label="median")
ax.set_xlabel("columns, by their median")
ax.legend(loc="upper left")
plt.show()

# %%
# Against the data themselves:

print(f"worst difference of a median: {np.abs(q[2] - np.median(table, axis=0)).max():.4f}")
print(f"steps: {batch.certificate.steps.min()} to {batch.certificate.steps.max()} a column")
