"""
Activations before and after a layer
====================================

The same lognormal activations through BatchNorm, which shifts and scales, and through
``Copula1d``, which gives them the shape of a normal distribution.
"""

import matplotlib.pyplot as plt
import torch
from torch import nn

from torch_bridge import Copula1d

x = torch.randn(4096, 1, generator=torch.Generator().manual_seed(0)).exp()
grid = torch.linspace(-4, 4, 300)
normal = torch.exp(-0.5 * grid**2) / (2 * torch.pi) ** 0.5

fig, axes = plt.subplots(1, 2, sharey=True, figsize=(6.4, 3.4))
for ax, layer in zip(axes, (nn.BatchNorm1d(1), Copula1d(1, strength=30.0)), strict=True):
    y = layer(x).detach()[:, 0]
    ax.hist(y, 60, range=(-4, 4), density=True, color="#d5dde6")
    ax.plot(grid, normal)
    ax.set_title(type(layer).__name__)
axes[1].annotate("normal density", (1.0, 0.3), color="#1f3a5f", fontsize=9)
plt.show()
