"""Newton's iteration for all columns together, in torch operations: any device, no host in between.

One evaluation an iteration. Each column holds a point c, a direction and a length; the point tried
is accepted where the dual has fallen (Armijo), and gives the next direction; elsewhere the length
is quartered. What has converged is left alone by masks. Nothing here depends on values.
"""

import math

import torch

from torch_bridge.ops.constants import constants
from torch_bridge.ops.dual_solve import tables

ARMIJO = 1e-4
SHRINK = 0.25
ROUNDING = 4.0  # times eps times the size of the dual's terms: differences below are rounding


def log_density(c, table, log_weights):
    """q - log Z at the nodes, log w included; c (C, k), table (2k + 1, n)."""
    q = c @ table[1 : c.shape[1] + 1] + log_weights
    log_z = torch.logsumexp(q, 1)
    return q - log_z[:, None], log_z


def moments_and_hessian(c, nodes, ridge):
    """E T_1 … E T_k (C, k) under c and the ridged Hessian (C, k, k), differentiable in c."""
    table, weights = tables.rule(2 * c.shape[1], nodes, c)
    q, _ = log_density(c, table, weights.log())
    return hessian_of(q.exp() @ table.T, ridge)


def hessian_of(mean, ridge):
    """mean (C, 2k + 1) of T_0 … T_2k -> E T_1 … E T_k and Cov(T) + ridge."""
    k = (mean.shape[-1] - 1) // 2
    plus, minus = tables.product_indices(k, mean.device)
    mu = mean[:, 1 : k + 1]
    identity = torch.eye(k, dtype=mean.dtype, device=mean.device)
    products = 0.5 * (mean[:, plus] + mean[:, minus])
    return mu, products - mu[:, :, None] * mu[:, None, :] + ridge * identity


def solve_hessian(hessian, g):
    """H^-1 g for (C, k, k) and (C, k); 0 where H is not positive definite."""
    factor, bad = torch.linalg.cholesky_ex(hessian)
    solution = torch.cholesky_solve(g[..., None], factor)[..., 0]
    return torch.where((bad == 0)[:, None], solution, 0.0)


def solve(m, start, ridge, nodes, steps):
    """(c, steps taken) of m (C, k). The start is the first step from c = 0, where D = log 2: one
    that does not lower D is dropped.
    """
    k = m.shape[1]
    table, weights = tables.rule(2 * k, nodes, m)
    log_weights = weights.log()
    eps = torch.finfo(m.dtype).eps
    c, d = torch.zeros_like(m), torch.where(torch.isfinite(start).all(1, keepdim=True), start, 0.0)
    length = m.new_ones(len(m))
    dual, decrement = torch.full_like(length, math.log(2)), torch.zeros_like(length)
    near = done = torch.zeros_like(length, dtype=torch.bool)
    taken = torch.zeros_like(length, dtype=torch.int32)
    for step in range(steps + 1):
        trial = c + length[:, None] * d
        q, log_z = log_density(trial, table, log_weights)
        mu, hessian = hessian_of(q.exp() @ table.T, ridge)
        value = log_z - (trial * m).sum(1) + 0.5 * ridge * (trial * trial).sum(1)
        noise = ROUNDING * eps * (1 + log_z.abs() + trial.abs().sum(1))
        lower = (value <= dual - ARMIJO * length * decrement + noise) & ~done
        g = mu + ridge * trial - m
        newton = -solve_hessian(hessian, g)
        # the step after one whose gain was rounding is the last
        last = lower & near
        taken = torch.where(done, taken, step)
        c = torch.where(lower[:, None], trial, c)
        d = torch.where(lower[:, None], newton, d)
        dual = torch.where(lower, value, dual)
        decrement = torch.where(lower, -(g * newton).sum(1), decrement)
        near = lower & (decrement <= noise)
        length = torch.where(lower, 1.0, length * (SHRINK if step else 0.0))
        done = done | last
    return c, taken


def residual(c, m, ridge, nodes):
    """Largest |E T_j + ridge c_j - m_j|, E by an unrelated, finer rule."""
    k = c.shape[1]
    table, weights = constants(tables.check_arrays, (k, nodes), c.dtype, c.device)
    q, _ = log_density(c, table, weights.log())
    mean = q.exp() @ table.T
    return (mean[:, 1:] + ridge * c - m).abs().amax(1)
