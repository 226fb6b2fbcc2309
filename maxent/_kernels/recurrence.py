"""The three-term recurrence phi_{j+1} = (a_j t + b_j) phi_j - d_j phi_{j-1}, in loops.

`rec` is the (3, k) array of rows a, b, d that a Basis gives: the kernels are the same for all
bases.
"""

from .compiled import inner


@inner
def fill(out, value):
    """out[:] = value, which itself would compile for a second because of its error text."""
    for i in range(out.shape[0]):
        out[i] = value


@inner
def copy(source, n, out):
    """out[:n] = source[:n], for the same reason."""
    for i in range(n):
        out[i] = source[i]


@inner
def copy_rows(source, out):
    """out[:, :] = source."""
    for j in range(out.shape[0]):
        for i in range(out.shape[1]):
            out[j, i] = source[j, i]


@inner
def series(c, rec, t):
    """sum_j c_j phi_j(t) for one t, summed upwards."""
    k = c.shape[0] - 1
    before = 0.0
    now = 1.0
    total = c[0]
    for j in range(k):
        after = (rec[0, j] * t + rec[1, j]) * now - rec[2, j] * before
        total += c[j + 1] * after
        before = now
        now = after
    return total


@inner
def table(t, n, rec, out):
    """phi_j(t_i) into out[j, i], i < n; one row a degree, so that sums over nodes are
    contiguous."""
    k = rec.shape[1]
    for i in range(n):
        out[0, i] = 1.0
    for j in range(k):
        a, b, d = rec[0, j], rec[1, j], rec[2, j]
        if j == 0:
            for i in range(n):
                out[1, i] = a * t[i] + b
        else:
            for i in range(n):
                out[j + 1, i] = (a * t[i] + b) * out[j, i] - d * out[j - 1, i]
