"""The fast sigmoid sums in torch operations alone: any device. The method is derived in `tables`.

Every function takes x of shape (A, C, B) as in `cpu` and works on (C, n) in float64. The sort has
static shapes, no synchronisation with the host and no atomic additions, and is the default; the
grid must know the range on the host to size itself, and scatters with atomics on a GPU.
"""

import math

import torch

from torch_bridge.ops.columns import columnwise
from torch_bridge.ops.constants import constants
from torch_bridge.ops.soft_rank import tables

BLOCK = 16  # neighbours summed one by one before the series takes over
PAIRWISE_ELEMENTS = 1 << 22  # entries of the pairwise matrix that exist at one time
DENSE_SIZE = 64  # up to this many elements the matrix needs fewer launches than anything else


def as_columns(x):
    """(A, C, B) -> (C, A*B) float64."""
    return x.to(torch.float64).permute(1, 0, 2).flatten(1)


def as_given(columns, result):
    """(C, A*B) -> into `result` (A, C, B), of any layout and dtype."""
    size_a, count, size_b = result.shape
    return result.copy_(columns.view(count, size_a, size_b).permute(1, 0, 2))


def sigmoid_derivative(s, order):
    """sigma^(order)(s); see tables.sigmoid_derivative."""
    z = torch.exp(-s.abs())
    if order == 0:
        return torch.where(s >= 0, 1.0, z) / (1 + z)
    if order == 1:
        return z / (1 + z) ** 2
    if order == 2:
        return -torch.sign(s) * z * (1 - z) / (1 + z) ** 3
    return z * (1 - 4 * z + z * z) / (1 + z) ** 4


def scaled(distance, gamma):
    """gamma * distance, 0 for ties even where gamma is infinite."""
    return torch.where(distance == 0, 0.0, gamma * distance)


def signed_sum(x, gamma, weight, order, method, itemsize):
    """The sum over j for (C, n) columns; for order 0 as a pair of tails (lower, upper).

    lower = sum_j w_j sigma(t_i - t_j), upper = sum_j w_j sigma(t_j - t_i), each without
    cancellation.
    """
    finite = (torch.isfinite(x).all(1) & (gamma >= 0))[:, None]
    if weight is None:
        weight = torch.ones_like(x)
    if method == "auto":
        method = "pairwise" if x.shape[1] <= DENSE_SIZE else "sort"
    by_method = {"pairwise": pairwise_sum, "sort": sorted_sum, "grid": grid_sum}[method]
    safe = torch.where(finite, x, 0.0)
    parts = by_method(safe, torch.where(finite, gamma[:, None], 0.0), weight, order, itemsize)
    return tuple(torch.where(finite, part, math.nan) for part in parts)


def pairwise_sum(x, gamma, weight, order, itemsize):
    """The definition, some rows of the matrix at a time."""
    count, size = x.shape
    rows = max(1, PAIRWISE_ELEMENTS // max(1, count * size))
    parts = []
    for first in range(0, size, rows):
        s = scaled(x[:, first : first + rows, None] - x[:, None, :], gamma[:, :, None])
        # scaled() of -0.0 and 0.0 alike gives sigma = 1/2
        tails = (s, -s) if order == 0 else (s,)
        parts.append([(sigmoid_derivative(t, order) * weight[:, None, :]).sum(2) for t in tails])
    return [torch.cat(part, 1) for part in zip(*parts, strict=True)]


def sorted_sum(x, gamma, weight, order, itemsize):
    """Sort, then the exponential series between blocks and the kernel itself within them."""
    count, size = x.shape
    values, permutation = torch.sort(x, dim=1)
    w = weight.gather(1, permutation)
    padding = -size % BLOCK
    if padding:
        values = torch.cat([values, values[:, -1:].expand(-1, padding)], 1)
        w = torch.cat([w, w.new_zeros(count, padding)], 1)
    terms = tables.SORTED_TERMS[itemsize][order]
    (series,) = constants(exponentials, (terms, order), torch.float64, x.device)
    left = neighbours(values, gamma, w, series, order)
    right = neighbours(-values.flip(1), gamma, w.flip(1), series, order).flip(1)
    if order == 0:
        before = torch.cumsum(w, 1) - 0.5 * w
        after = torch.cumsum(w.flip(1), 1).flip(1) - 0.5 * w
        results = (before + right - left, after + left - right)
    else:
        sign = 1.0 if order % 2 else -1.0
        own = (0.5, 0.25, 0.0, -0.125)[order]
        results = (own * w + sign * left + right,)
    return [
        torch.empty_like(x).scatter_(1, permutation, result[:, :size]) for result in results
    ]


def exponentials(terms, order):
    return (tables.derivative_series(1, terms, order),)


def neighbours(values, gamma, weight, series, order):
    """sum over the left neighbours j < i of w_j |sigma^(order)|'s left branch at their distance.

    values (C, n) ascending, n a multiple of BLOCK.
    """
    count, size = values.shape
    t = values.view(count, size // BLOCK, BLOCK)
    w = weight.view_as(t)
    out = torch.zeros_like(t)
    for shift in range(1, BLOCK):
        s = scaled(t[..., :-shift] - t[..., shift:], gamma[:, :, None])
        out[..., shift:] += w[..., :-shift] * sigmoid_derivative(s, order)
    terms = series.shape[0]
    ends = t[..., -1]
    inside = torch.exp(-scaled(ends[..., None] - t, gamma[:, :, None]))
    moments = torch.empty(count, size // BLOCK, terms, dtype=t.dtype, device=t.device)
    power = w
    for k in range(terms):
        power = power * inside
        moments[..., k] = power.sum(-1)
    # S_c = rho_{c-1}^k S_{c-1} + E_{c-1}, S_0 = 0, rho_c = e^{-gamma (end_c - end_{c-1})}
    exponent = torch.arange(1, terms + 1, dtype=t.dtype, device=t.device)
    step = scaled(ends[:, 1:] - ends[:, :-1], gamma)
    factor = torch.exp(-exponent * torch.nn.functional.pad(step, (1, 0))[..., None])
    factor[:, 0] = 0.0
    distance = 1
    while distance < size // BLOCK:
        following = moments[:, distance:] + factor[:, distance:] * moments[:, :-distance]
        moments = torch.cat([moments[:, :distance], following], 1)
        product = factor[:, distance:] * factor[:, :-distance]
        factor = torch.cat([factor[:, :distance], product], 1)
        distance *= 2
    state = moments[:, :-1] * series
    u = torch.exp(-scaled(t[:, 1:] - ends[:, :-1, None], gamma[:, :, None]))
    far = torch.zeros_like(u)
    for k in range(terms - 1, -1, -1):
        far = (far + state[..., k, None]) * u
    out[:, 1:] += far
    return out.view(count, size)


def grid_sum(x, gamma, weight, order, itemsize):
    """Boxes, Chebyshev moments, and an FFT between the boxes."""
    count, size = x.shape
    grid = tables.GRIDS[itemsize][0]
    p = grid.coarse
    low = x.amin(1, keepdim=True)
    span = ((x.amax(1, keepdim=True) - low) * gamma).amax().item()
    if not span / grid.width * p <= 8 * size + 4096:
        raise ValueError(
            f"method='grid' cannot hold strength * range = {span:.3g} for columns of {size} "
            "elements; use method='auto' or 'sort'"
        )
    boxes = int(span / grid.width) + 1
    u = (x - low) * gamma / grid.width
    box = u.floor().clamp(0, boxes - 1)
    xi = 2 * (u - box) - 1
    at = box.to(torch.int64) + boxes * torch.arange(count, device=x.device)[:, None]
    moments = []
    before, current = torch.zeros_like(xi), torch.ones_like(xi)
    for q in range(p):
        total = torch.zeros(count * boxes, dtype=x.dtype, device=x.device)
        moments.append(total.scatter_add_(0, at.flatten(), (weight * current).flatten()))
        before, current = current, (xi if q == 0 else 2 * xi * current - before)
    moments = torch.stack(moments).view(p, count, boxes)

    length = 2 * boxes
    points = torch.as_tensor(tables.chebyshev_points(p), device=x.device)
    transform = torch.as_tensor(tables.chebyshev_transform(p), device=x.device)
    apart = torch.arange(length, device=x.device, dtype=x.dtype)
    apart = torch.where(apart < boxes, apart, apart - length)
    s = grid.width * (apart[:, None, None] + (points[:, None] - points[None, :]) / 2)
    kernel = transform @ sigmoid_derivative(s, order) @ transform.T  # (length, p, p)
    spectrum = torch.einsum(
        "fqr,rcf->qcf", torch.fft.rfft(kernel, dim=0), torch.fft.rfft(moments, n=length)
    )
    local = torch.fft.irfft(spectrum, n=length)[..., :boxes].reshape(p, count * boxes)

    following, current = torch.zeros_like(xi), torch.zeros_like(xi)
    for q in range(p - 1, 0, -1):
        following, current = current, 2 * xi * current - following + local[q][at]
    lower = xi * current - following + local[0][at]
    if order > 0:
        return (lower,)
    return (lower, weight.sum(1, keepdim=True) - lower)


def rank(x, gamma, method, fold):
    """Ranks and their slopes, as cpu.rank."""
    columns = as_columns(x)
    lower, upper = signed_sum(columns, gamma, None, 0, method, x.element_size())
    ranks = torch.where(lower <= upper, lower, -upper) if fold else lower
    (density,) = signed_sum(columns, gamma, None, 1, method, x.element_size())
    return as_given(ranks, torch.empty_like(x)), as_given(density, columnwise(x))


def weighted_sum(x, gamma, weight, order, method):
    weight = None if weight is None else as_columns(weight)
    result = signed_sum(as_columns(x), gamma, weight, order, method, x.element_size())
    return as_given(result[0], torch.empty_like(x))


def rank_gradient(x, gamma, g, density, method):
    (sums,) = signed_sum(as_columns(x), gamma, as_columns(g), 1, method, x.element_size())
    return as_given(as_columns(g) * as_columns(density) - sums, torch.empty_like(x))
