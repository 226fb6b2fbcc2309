"""
Moments that nothing has
========================

A mean of 0.5 and a mean square of 0.2 cannot belong together: 0.2 − 0.5² is negative, and a
variance cannot be. With more moments the contradiction hides better, but there is always a
polynomial that is never negative on the support and has a negative average: a proof that
anybody can check.
"""

import matplotlib.pyplot as plt
import numpy as np

import maxent

moments = [1, 0.5, 0.3, 0.21, 0.13]
report = maxent.check(moments, support=(0, 1))
print(report.status.name)
print(report.message)

# %%
# The polynomial of the message, drawn. Nowhere below zero, and yet its average would have to be:

try:
    maxent.solve(moments, support=(0, 1))
except maxent.SolveError as error:
    print(error)

x = np.linspace(0, 1, 400)
# q(x) = (x² + bx + c)², the square whose mean under these "moments" is smallest
m = np.array(moments, dtype=float)
hankel = m[np.add.outer(range(3), range(3))]
value, vector = np.linalg.eigh(hankel)
q = np.polynomial.polynomial.polyval(x, vector[:, 0]) ** 2
fig, ax = plt.subplots(figsize=(6.4, 3.6))
ax.fill_between(x, q, alpha=0.2)
ax.plot(x, q)
ax.axhline(value[0], color="#c8553d", linestyle="--")
ax.annotate(f"its average: {value[0]:.4f}", (0.02, value[0] + 0.01), color="#c8553d")
ax.axhline(0, color="#5b6673", linewidth=0.8)
ax.set_xlabel("x")
ax.set_ylabel("q(x), a square")
plt.show()
