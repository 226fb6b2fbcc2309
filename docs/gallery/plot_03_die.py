"""
Jaynes' die
===========

A die was thrown many times and showed 4.5 on average, not the 3.5 of an honest one. What else
can be said of it? Nothing, and the distribution that says nothing else is the one of largest
entropy: its probabilities grow geometrically with the number of spots (Jaynes 1963).
"""

import matplotlib.pyplot as plt
import numpy as np

import maxent

die = maxent.solve([1, 4.5], support=maxent.Discrete(range(1, 7)))
spots = np.arange(1, 7)

fig, ax = plt.subplots(figsize=(6.4, 3.6))
ax.bar(spots, die.pmf(spots), color="#1f3a5f", width=0.6)
ax.axhline(1 / 6, color="#c8553d", linestyle="--", linewidth=1.2)
ax.annotate("an honest die", (0.6, 1 / 6 + 0.008), color="#c8553d")
for s in spots:
    ax.annotate(f"{die.pmf(s):.3f}", (s, die.pmf(s) + 0.006), ha="center", color="#5b6673")
ax.set_xlabel("spots")
ax.set_ylabel("probability")
plt.show()
