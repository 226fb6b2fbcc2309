"""Sums over data: their range and spread, and basis functions in the frame of a support.

The sum of a column is made of STRIPS sums, one for every row number modulo STRIPS, which are added
up after FLUSH rows; the caller adds the results of these. That order is the same wherever the
values lie, beside which others, and whatever the number of threads: so is every digit. No sum is
long, hence all are close, and loops run over strips and columns side by side, so they vectorise
though nothing is reassociated. What that would do to t = (x - loc)/scale is why nothing may be.

Loops are short and write one or two arrays each: LLVM gives up where more than eight pairs of
arrays might overlap.
"""

import numpy as np

from .compiled import inner, kernel
from .double_double import divide
from .recurrence import fill

STRIPS = 64
FLUSH = 8192
# Columns side by side: two cache lines.
WIDTH = 16
# Values in a block, in the fastest cache with all that is made of them.
BLOCK = 512
# What `survey` finds of each column.
LOW, HIGH, MISSING, COUNT, MASS, SQUARES, FIRST, SECOND = range(8)


@inner
def fold(lanes, columns, out):
    """Add the strips of each column up into out (columns,), and clear them."""
    for c in range(columns):
        total = 0.0
        for i in range(c, lanes.shape[0], columns):
            total += lanes[i]
            lanes[i] = 0.0
        out[c] = total


@inner
def collect(flat, at, stride, size, columns, out):
    """`size` values of `columns` neighbours in consecutive rows, side by side."""
    for i in range(size // columns):
        x = flat[at + i * stride : at + i * stride + columns]
        y = out[i * columns : (i + 1) * columns]
        for c in range(x.shape[0]):
            y[c] = x[c]


@inner
def pour(values, size, total):
    """Add `size` values to the lanes, in turns."""
    lanes = total.shape[0]
    for start in range(0, size, lanes):
        part = values[start : min(start + lanes, size)]
        for i in range(part.shape[0]):
            total[i] += part[i]


@inner
def weigh(x, weights, row, columns, out):
    """The weight of every value, 0 for NaN."""
    if weights.shape[0] == 0:
        for i in range(x.shape[0]):
            out[i] = 1.0 if x[i] == x[i] else 0.0
    else:
        for i in range(x.shape[0]):
            out[i] = weights[row + i // columns] if x[i] == x[i] else 0.0


@kernel(fastmath={"contract"})
def survey(flat, start, stride, rows, weights, shift, out):
    """What there is in each column, for each FLUSH rows, into out (flushes, 8, columns).

    Row i of column j is flat[start + i stride + j], at most WIDTH columns. weights: (rows,), or
    (0,) for all equal. NaN is counted only; a value of weight 0 has no place in the range. FIRST,
    SECOND: Σ w (x - shift) and Σ w (x - shift)².
    """
    columns = shift.shape[0]
    lanes = STRIPS * columns
    block = lanes * max(1, BLOCK // lanes)
    height = block // columns
    gathered = np.empty(block)
    origin = np.empty(block)
    for i in range(block):
        origin[i] = shift[i % columns]
    w = np.empty(block)
    d = np.empty(block)
    low = np.empty(block)
    high = np.empty(block)
    totals = np.zeros((8, lanes))
    for row in range(0, rows, height):
        if row % FLUSH == 0:
            fill(low, np.inf)
            fill(high, -np.inf)
        size = min(height, rows - row) * columns
        at = start + row * stride
        if stride == columns:
            x = flat[at : at + size]
        else:
            collect(flat, at, stride, size, columns, gathered)
            x = gathered[:size]
        weigh(x, weights, row, columns, w)
        if weights.shape[0] == 0:
            for i in range(size):
                v, l, h = x[i], low[i], high[i]
                if v < l:
                    l = v
                if v > h:
                    h = v
                low[i], high[i] = l, h
        else:
            for i in range(size):
                d[i] = 1.0 if w[i] > 0.0 else 0.0
                if w[i] > 0.0:
                    low[i] = min(low[i], x[i])
                    high[i] = max(high[i], x[i])
            pour(d, size, totals[COUNT])
            for i in range(size):
                d[i] = w[i] * w[i]
            pour(d, size, totals[SQUARES])
            for i in range(size):
                d[i] = 0.0 if x[i] == x[i] else 1.0
            pour(d, size, totals[MISSING])
        pour(w, size, totals[MASS])
        for i in range(size):
            s = x[i] - origin[i]
            d[i] = s if x[i] == x[i] else 0.0
        for i in range(size):
            w[i] *= d[i]
        pour(w, size, totals[FIRST])
        for i in range(size):
            w[i] *= d[i]
        pour(w, size, totals[SECOND])
        if row + height >= rows or (row + height) % FLUSH == 0:
            flush = row // FLUSH
            for j in range(MISSING, 8):
                fold(totals[j], columns, out[flush, j])
            for c in range(columns):
                out[flush, LOW, c] = low[c]
                out[flush, HIGH, c] = high[c]
                for i in range(c, block, columns):
                    out[flush, LOW, c] = min(out[flush, LOW, c], low[i])
                    out[flush, HIGH, c] = max(out[flush, HIGH, c], high[i])
                if weights.shape[0] == 0:
                    mass = out[flush, MASS, c]
                    out[flush, COUNT, c] = mass
                    out[flush, SQUARES, c] = mass
                    out[flush, MISSING, c] = min(FLUSH, rows - flush * FLUSH) - mass


@kernel(fastmath={"contract"})
def basis_sums(flat, start, stride, rows, weights, loc, scale, lo, hi, rec, out):
    """Σ w phi_j((x - loc)/scale) of each column, t clipped to [lo, hi], for each FLUSH rows, into
    out (flushes, k+1, columns).

    Arguments as for `survey`; NaN is left out. (x - loc)/scale is as close as if it were divided,
    at the cost of two multiplications: 1/scale is held in two parts.
    """
    columns = loc.shape[0]
    lanes = STRIPS * columns
    block = lanes * max(1, BLOCK // lanes)
    height = block // columns
    k = rec.shape[1]
    origin = np.empty(block)
    unit = np.empty(block)
    rest = np.empty(block)
    for i in range(block):
        if i < columns:
            origin[i] = loc[i]
            unit[i], rest[i] = divide(1.0, 0.0, scale[i], 0.0)
            if not abs(rest[i]) < np.inf:
                unit[i], rest[i] = 1.0 / scale[i], 0.0
        else:
            origin[i], unit[i], rest[i] = origin[i - columns], unit[i - columns], rest[i - columns]
    gathered = np.empty(block)
    t = np.empty(block)
    before = np.empty(block)
    now = np.empty(block)
    totals = np.zeros((k + 1, lanes))
    for row in range(0, rows, height):
        size = min(height, rows - row) * columns
        at = start + row * stride
        if stride == columns:
            x = flat[at : at + size]
        else:
            collect(flat, at, stride, size, columns, gathered)
            x = gathered[:size]
        weigh(x, weights, row, columns, now)
        pour(now, size, totals[0])
        fill(before, 0.0)
        for i in range(size):
            s = x[i] - origin[i]
            s = s * unit[i] + s * rest[i]
            s = s if s > lo else lo
            s = s if s < hi else hi
            t[i] = s if x[i] == x[i] else 0.0
        for j in range(k):
            a, b, d = rec[0, j], rec[1, j], rec[2, j]
            for i in range(size):
                before[i] = (a * t[i] + b) * now[i] - d * before[i]
            before, now = now, before
            pour(now, size, totals[j + 1])
        if row + height >= rows or (row + height) % FLUSH == 0:
            for j in range(k + 1):
                fold(totals[j], columns, out[row // FLUSH, j])
