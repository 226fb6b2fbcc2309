"""
Embeddings pulled to a normal law
=================================

Two thousand points on two moons, moved by gradient descent on ``sliced(MomentLoss(16))`` until
every direction looks normal. Beside it, how hard one sample pulls as it moves away from 999 normal
ones: with powers the pull grows without bound, with squashed moments it fades.
"""

import matplotlib.pyplot as plt
import torch

from torch_bridge import MomentLoss, sliced

torch.manual_seed(0)
angle = torch.pi * torch.rand(1000)
upper = torch.stack([angle.cos(), angle.sin()], 1)
moons = torch.cat([upper, torch.tensor([1.0, 0.5]) - upper]) + 0.05 * torch.randn(2000, 2)
moons = 1.5 * (moons - moons.mean(0))

points = moons.clone().requires_grad_()
loss = sliced(MomentLoss(16), num_slices=64)
optimiser = torch.optim.Adam([points], lr=0.05)
for _ in range(500):
    optimiser.zero_grad()
    loss(points).backward()
    optimiser.step()

rest = torch.special.ndtri((torch.arange(999.0) + 0.5) / 999)
far = torch.logspace(0.5, 3, 100, requires_grad=True)
columns = torch.cat([rest[:, None].expand(-1, 100), far[None]])
pulls = {
    "MomentLoss": MomentLoss(reduction="sum")(columns),
    "(E z⁴ - 3)² / 96": (((columns**4).mean(0) - 3) ** 2 / 96).sum(),  # Var z⁴ = 96
}

fig, (left, right) = plt.subplots(1, 2, figsize=(6.8, 3.6), width_ratios=(1, 1.05))
left.scatter(*points.detach().T, s=2, color="#1f3a5f", alpha=0.5, label="after 500 steps")
left.scatter(*moons.T, s=2, color="#d49b3a", label="before")
left.set(aspect="equal", title="Two moons", xlim=(-4.2, 4.2), ylim=(-4.8, 3.9))
left.legend(loc="lower center", ncols=2, markerscale=3, handletextpad=0, columnspacing=0.6)
for name, loss in pulls.items():
    (pull,) = torch.autograd.grad(loss, far, retain_graph=True)
    right.loglog(far.detach(), pull.abs(), label=name)
right.set(title="Pull on one sample", xlabel="standard deviations away")
right.legend()
plt.show()
