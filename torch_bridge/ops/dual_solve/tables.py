"""Fejer's first rule, the values of T_j at its nodes, and the product rule.

With theta_i = pi (i + 1/2) / n the nodes are cos(theta_i), T_j there is cos(j theta_i), and

    w_i = (2/n) (1 - 2 sum_{l=1}^{n/2} cos(2 l theta_i) / (4 l^2 - 1))        (n even)

(Trefethen, Is Gauss quadrature better than Clenshaw-Curtis?, SIAM Review 50, 2008: nearly as good
as Gauss on n nodes). Everything is a cosine, so that a compiler may compute it where it is used.
"""

import functools
import math

import numpy as np
import torch

from torch_bridge.ops.constants import constants


def default_nodes(k, dtype):
    """Enough for atoms under the default ridge, to the tolerance of the dtype, up to degree 8; for
    densities of data, to degree 16. A column that needs more is told by its residual.
    """
    return (32 + 16 * k) * (2 if dtype == torch.float64 else 1)


def fejer(cos, arange, nodes):
    """Angles and weights of the rule, by the cosine and arange of either library."""
    theta = (arange(nodes) + 0.5) * (math.pi / nodes)
    l = arange(nodes // 2) + 1.0
    series = (cos(2 * l[:, None] * theta) / (4 * l * l - 1)[:, None]).sum(0)
    return theta, (2 / nodes) * (1 - 2 * series)


@functools.lru_cache
def rule_arrays(degree, nodes):
    """(degree + 1, nodes) values of T_j, (nodes,) weights, float64."""
    theta, weights = fejer(np.cos, lambda n: np.arange(n, dtype=np.float64), nodes)
    return np.cos(np.arange(degree + 1)[:, None] * theta), weights


@functools.lru_cache
def check_arrays(degree, nodes):
    """The same of a Gauss-Legendre rule of half as many nodes again, T_j by its recurrence."""
    t, weights = np.polynomial.legendre.leggauss(nodes + nodes // 2)
    return np.polynomial.chebyshev.chebvander(t, degree).T.copy(), weights


def rule(degree, nodes, like):
    """rule_arrays as tensors of like's dtype and device."""
    if torch.compiler.is_compiling():
        where = {"dtype": torch.float64, "device": like.device}
        theta, weights = fejer(torch.cos, lambda n: torch.arange(n, **where), nodes)
        table = torch.cos(torch.arange(degree + 1, **where)[:, None] * theta)
        return table.to(like.dtype), weights.to(like.dtype)
    return constants(rule_arrays, (degree, nodes), like.dtype, like.device)


def product_indices(k, device):
    """i + j and |i - j| for i, j = 1 … k."""
    j = torch.arange(1, k + 1, device=device)
    return j[:, None] + j, (j[:, None] - j).abs()
