"""
Soft ranks
==========

A soft rank is a sum of sigmoids: smooth in every value, and the rank itself when the strength
grows. It costs no more than a sort, and has a gradient everywhere.
"""

import matplotlib.pyplot as plt
import torch

from torch_bridge.functional import soft_rank

x = torch.tensor([-2.0, -1.6, -0.3, 0.0, 0.1, 0.5, 1.9, 2.1])
strengths = torch.logspace(-0.5, 2, 60)
ranks = torch.stack([soft_rank(x, float(s)) for s in strengths])

fig, ax = plt.subplots()
for j, line in enumerate(ranks.T):
    ax.semilogx(strengths, line, color=plt.cm.cividis(j / 8))
    ax.annotate(f"{x[j]:g}", (strengths[-1] * 1.05, line[-1]), va="center", color="#5b6673")
ax.set_xlabel("strength")
ax.set_ylabel("soft rank")
plt.show()
