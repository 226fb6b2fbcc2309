"""
Sketches that merge
===================

A column of a million values in 64 pieces, each on a machine of its own. What travels is about a
hundred bytes a piece; added up they give the density of the whole, to rounding, whatever the order.
"""

import matplotlib.pyplot as plt
import numpy as np

import maxent

rng = np.random.default_rng(5)
level = np.cumsum(rng.normal(size=64)) / 8  # every machine sees another part of the range
pieces = [rng.normal(m, 0.6, size=16_000) for m in level]
sketches = [maxent.Sketch.of(piece, 8) for piece in pieces]
total = sum(sketches)

lo, hi = float(total.low), float(total.high)
x = np.linspace(lo, hi, 600)
fig, ax = plt.subplots()
for sketch in sketches[::4]:
    density = sketch.fit()
    inside = (x > density.support()[0]) & (x < density.support()[1])
    ax.plot(x[inside], density.pdf(x[inside]) / 12, color="#5b8dbf", linewidth=0.7)
whole = np.concatenate(pieces)
ax.hist(whole, 120, density=True, color="#d5dde6", label=f"all {whole.size:,} values")
ax.plot(x, total.fit().pdf(x), label="the sum of 64 sketches")
ax.legend()
ax.set_ylim(0)
plt.show()

# %%
# Nobody but this script ever saw all values at once:

once = maxent.fit(whole, 8)
gap = np.abs(total.fit().ppf([0.01, 0.5, 0.99]) - once.ppf([0.01, 0.5, 0.99])).max()
print(f"{len(total.to_bytes())} bytes; quantiles differ by {gap:.0e} from those of one pass")
