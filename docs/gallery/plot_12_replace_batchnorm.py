"""
BatchNorm replaced in a network
===============================

A small convolutional network learns to tell stripes from checks in lognormal noise, with
``Copula2d`` in the place of BatchNorm. The activations of the most skewed channel, on new images:
as they come from the convolution, which is what BatchNorm would scale and hand on, and after the
layer.
"""

import matplotlib.pyplot as plt
import torch
from torch import nn

from torch_bridge import Copula2d, convert_batchnorm, update_stats


def network():
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(1, 8, 3, padding=1),
        nn.BatchNorm2d(8),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(8, 3),
    )


def stripes(count, seed):
    g = torch.Generator().manual_seed(seed)
    label = torch.arange(count) % 3
    phase = torch.rand(2, count, 1, 1, generator=g) * 6.3
    across = torch.sin(phase[0] + 1.5 * torch.arange(12.0)[:, None])
    down = torch.sin(phase[1] + 1.5 * torch.arange(12.0))
    images = torch.stack([across.expand(-1, -1, 12), down.expand(-1, 12, -1), across * down], 1)
    noise = torch.randn(count, 12, 12, generator=g).exp()
    return (images[torch.arange(count), label] + noise)[:, None], label


def train(net):
    optimiser = torch.optim.Adam(net.parameters(), 0.03)
    for step in range(40):
        x, label = stripes(96, step)
        loss = nn.functional.cross_entropy(net(x), label)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    return net.eval()


net = train(convert_batchnorm(network(), Copula2d, strength=30.0))
update_stats([stripes(96, seed)[0] for seed in range(20)], net)
conv, layer = net[:2]
with torch.no_grad():
    before = conv(stripes(300, 1000)[0])
    after = layer(before)
before, after = (z.transpose(0, 1).flatten(1) for z in (before, after))
before = (before - before.mean(1, keepdim=True)) / before.std(1, keepdim=True)
worst = (before**3).mean(1).abs().argmax()
after = (after[worst] - layer.bias[worst].item()) / layer.weight[worst].item()

grid = torch.linspace(-4, 4, 300)
normal = torch.exp(-0.5 * grid**2) / (2 * torch.pi) ** 0.5
fig, axes = plt.subplots(1, 2, sharey=True, figsize=(6.4, 3.4))
pairs = {"from the convolution": before[worst], "after Copula2d": after}
for ax, (title, y) in zip(axes, pairs.items(), strict=True):
    ax.hist(y, 80, range=(-4, 4), density=True, color="#d5dde6")
    ax.plot(grid, normal)
    ax.set_title(title)
axes[1].annotate("normal density", (1.0, 0.3), color="#1f3a5f", fontsize=9)
plt.show()
