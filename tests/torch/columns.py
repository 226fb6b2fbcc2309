"""Columns that a layer meets, ordinary and degenerate, and their moments in the squashed frame."""

import torch

ORDINARY = ["normal", "lognormal", "cubic", "bimodal", "t3", "uniform", "relu", "huge"]
ATOMS = ["zero", "constant", "sparse", "binary", "outlier"]


def battery(n=2048, seed=0):
    """name -> (n,) float64."""
    generator = torch.Generator().manual_seed(seed)

    def normal():
        return torch.randn(n, generator=generator, dtype=torch.float64)

    half = torch.rand(n, generator=generator) < 0.5
    outlier = normal()
    outlier[5] = 1e6
    return {
        "normal": normal(),
        "lognormal": normal().exp(),
        "cubic": normal() ** 3,
        "bimodal": torch.where(half, -2.0, 2.0) + 0.3 * normal(),
        "t3": normal() / ((normal() ** 2 + normal() ** 2 + normal() ** 2) / 3).sqrt(),
        "uniform": torch.rand(n, generator=generator, dtype=torch.float64),
        "relu": normal().relu(),
        "huge": normal() * 1e30,
        "zero": torch.zeros(n, dtype=torch.float64),
        "constant": torch.full((n,), 7.3, dtype=torch.float64),
        "sparse": (torch.rand(n, generator=generator) < 0.01).double(),
        "binary": half.double(),
        "outlier": outlier,
    }


def squashed(x):
    """t = z / sqrt(4 + z^2) of the standardised column, written out for one column."""
    largest = max(1.0, x.abs().max().item())
    d = x / largest - (x / largest).mean()
    z = d / (d.square().mean() + 1e-5 / largest**2).sqrt()
    return z / (4 + z * z).sqrt()


def chebyshev_moments(t, degree):
    """E T_1 … E T_k, by the definition."""
    angle = torch.acos(t.clamp(-1, 1))
    return torch.stack([torch.cos(j * angle).mean() for j in range(1, degree + 1)])


def battery_moments(degree, n=2048, seed=0):
    columns = battery(n, seed)
    return list(columns), torch.stack(
        [chebyshev_moments(squashed(x), degree) for x in columns.values()]
    )
