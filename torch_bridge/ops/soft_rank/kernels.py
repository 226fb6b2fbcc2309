"""The loops of the fast sigmoid sums on the CPU; both methods are derived in `tables`.

Letters and shapes, the same in every kernel:

    x, x_at     a flat array and (offset, stride_a, stride_c, stride_b): element (a, c, b) of a
                column-wise problem; column c consists of all (a, b), b running faster
    shape       (size_b, size, columns, rows): values of b, elements of a column, columns of the
                block, elements of each column in a tile
    tile        (columns, rows + PAD): a stretch of every column, each in one piece, so that the
                coefficients of one column at a time need the first-level cache
    frame (5, columns)   lowest value, parts per unit of x, last part (it clamps rounding and keeps
                nan out of the index), first part in the workspace of the block, and a factor of
                the gradient
    moments (parts, fine), local (parts, fine / 4, slots, 4)   the block's workspace; the
                polynomials that one pass evaluates share a cache line

The kernels check nothing.
"""

import functools
import types

import numpy as np
from numba import njit

from torch_bridge.ops.soft_rank import vectors

# FMA contraction only: reassociation would let the compiler undo careful sums.
CONTRACT = {"contract"}
CROWD = 4  # values of a box above which moments cost less than comparing them one by one
NARROW = 300.0  # e^150 squared is far from overflow, and 150 roundings of 1e-16 far from 1e-10
PAD = 16  # tile rows of 2^k elements would all fall into the same few cache lines
CHUNK = 512  # elements whose places are kept at one time; a multiple of 4


@njit(cache=True, nogil=True)
def load(x, x_at, size_b, first, last, tile):
    """Elements first..last-1 of each column of the block into the tile."""
    offset, stride_a, stride_c, stride_b = x_at
    columns, width = tile.shape
    a = first // size_b
    b = first - a * size_b
    i = 0
    while first < last:
        run = min(size_b - b, last - first)
        at = offset + a * stride_a + b * stride_b
        done = 0
        if columns >= 4 and stride_c == 1:
            done = columns - columns % 4
            for r in range(0, run - 3, 4):
                for c in range(0, done, 4):
                    to = c * width + i + r
                    vectors.transpose_four(x, at + r * stride_b + c, stride_b, tile, to, width)
            for r in range(run - run % 4, run):
                for c in range(done):
                    tile[c, i + r] = x[at + r * stride_b + c]
        for c in range(done, columns):
            start = at + c * stride_c
            if stride_b == 1:
                for r in range(run):
                    tile[c, i + r] = x[start + r]
            else:
                for r in range(run):
                    tile[c, i + r] = x[start + r * stride_b]
        i += run
        first += run
        a += 1
        b = 0


@njit(cache=True, nogil=True)
def store(x, x_at, size_b, first, last, tile):
    """The tile into elements first..last-1 of each column of the block."""
    offset, stride_a, stride_c, stride_b = x_at
    columns, width = tile.shape
    a = first // size_b
    b = first - a * size_b
    i = 0
    while first < last:
        run = min(size_b - b, last - first)
        at = offset + a * stride_a + b * stride_b
        done = 0
        if columns >= 4 and stride_c == 1:
            done = columns - columns % 4
            for r in range(0, run - 3, 4):
                for c in range(0, done, 4):
                    source = c * width + i + r
                    vectors.transpose_four(tile, source, width, x, at + r * stride_b + c, stride_b)
            for r in range(run - run % 4, run):
                for c in range(done):
                    x[at + r * stride_b + c] = tile[c, i + r]
        for c in range(done, columns):
            start = at + c * stride_c
            if stride_b == 1:
                for r in range(run):
                    x[start + r] = tile[c, i + r]
            else:
                for r in range(run):
                    x[start + r * stride_b] = tile[c, i + r]
        i += run
        first += run
        a += 1
        b = 0


@njit(cache=True, nogil=True, fastmath={"nnan", "nsz"})
def bounds(values):
    """(smallest, largest): nan is not looked for here, so that the loop can be vectorised."""
    low = high = values[0]
    for value in values:
        low = value if value < low else low
        high = value if value > high else high
    return low, high


@njit(cache=True, nogil=True)
def extremes(x, x_at, shape, out):
    """out (2, columns): each column's smallest and largest value; nan where one is not finite."""
    size_b, size, columns, rows = shape
    tile = np.empty((columns, rows + PAD), x.dtype)
    missing = np.empty(columns, np.int64)
    for c in range(columns):
        out[0, c], out[1, c], missing[c] = np.inf, -np.inf, 0
    for first in range(0, size, rows):
        last = min(first + rows, size)
        load(x, x_at, size_b, first, last, tile)
        for c in range(columns):
            values = tile[c, : last - first]
            bad = 0
            for value in values:
                bad += np.int32(not abs(value) < np.inf)
            missing[c] += bad
            low, high = bounds(values)
            out[0, c] = low if low < out[0, c] else out[0, c]
            out[1, c] = high if high > out[1, c] else out[1, c]
    for c in range(columns):
        if missing[c] > 0:
            out[0, c] = out[1, c] = np.nan


@njit(cache=True, nogil=True, fastmath=CONTRACT)
def locate(values, low, scale, last_part, step, at, xi):
    """Where in the column's workspace the part of each value begins, and its coordinate there."""
    for i in range(values.size):
        u = (values[i] - low) * scale
        u = u if u > 0.0 else 0.0
        part = np.int32(u if u < last_part else last_part)
        at[i] = part * np.int32(step)
        v = u - part
        xi[i] = v + v - 1.0


@njit(cache=True, nogil=True, fastmath=CONTRACT)
def sweep(leaving, decay, boxes, arriving):
    """leaving (boxes, 2, terms): exponentials that leave each box -> those that arrive from afar.

    From the left (side 0): S_b = decay (S_{b-1} + E_{b-2}), S_0 = S_1 = 0; from the right mirrored.
    """
    terms = decay.size
    for b in range(2):
        for k in range(terms):
            arriving[b, 0, k] = arriving[boxes - 1 - b, 1, k] = 0.0
    for b in range(2, boxes):
        e = boxes - 1 - b
        for k in range(terms):
            arriving[b, 0, k] = decay[k] * (arriving[b - 1, 0, k] + leaving[b - 2, 0, k])
        for k in range(terms):
            arriving[e, 1, k] = decay[k] * (arriving[e + 1, 1, k] + leaving[e + 2, 1, k])


@njit(cache=True, nogil=True, fastmath=CONTRACT)
def translate(moments, starts, parts, children, order, total, near, leave, decay, arrive, up, down,
              local, slot):
    """moments -> local[:, :, slot], polynomials in powers of xi, one column after another.

    starts, parts (columns,): a column's first part and number of parts, multiples of `children`.
    With total > 0 (order 0, unit weights) boxes of the upper half hold r - total.
    """
    coarse, fine, terms = near.shape[1], moments.shape[1], decay.size
    most = 0
    for c in range(starts.size):
        most = parts[c] // children if parts[c] // children > most else most
    box = np.empty((most + 2, coarse))  # an empty one at either end
    leaving = np.empty((most, 2, terms))
    arriving = np.empty((most, 2, terms))
    field, afar, result = np.empty(coarse), np.empty(coarse), np.empty(children * fine)
    for c in range(starts.size):
        boxes = parts[c] // children
        first = starts[c]
        for b in range(boxes):
            if children == 1:
                for i in range(coarse):
                    box[b + 1, i] = moments[first + b, i]
            else:
                at = (first + b * children) * fine
                vectors.multiply(moments, at, up, box, (b + 1) * coarse)
        for i in range(coarse):
            box[0, i] = box[boxes + 1, i] = 0.0
        if boxes > 2:
            for b in range(boxes):
                vectors.multiply(box, (b + 1) * coarse, leave, leaving, b * 2 * terms)
            sweep(leaving, decay, boxes, arriving)
        left = 0.0  # the weight up to box b - 2: sigma is 1 less its series there
        before, here = 0.0, 0.0
        for b in range(boxes):
            vectors.multiply(box, b * coarse, near, field, 0)
            if boxes > 2:
                vectors.multiply(arriving, b * 2 * terms, arrive, afar, 0)
                for i in range(coarse):
                    field[i] += afar[i]
            part = first + b * children
            if order == 0:
                left += before
                before, here = here, 0.0
                for child in range(children):
                    here += moments[part + child, 0]
                upper = 2.0 * (left + before) + here > total > 0.0
                field[0] += left - total if upper else left
            vectors.multiply(field, 0, down, result, 0)
            for child in range(children):
                for i in range(fine):
                    local[part + child, i // 4, slot, i % 4] = result[child * fine + i]


@njit(cache=True, nogil=True)
def fold(values, total):
    """r -> r - total above total / 2, in place; what the boxes have folded too far comes back."""
    half = 0.5 * total
    for i in range(values.size):
        value = values[i]
        value = value - total if value > half else value
        values[i] = value + total if value < -half else value


@functools.cache
def grid_kernels(fine):
    """The loops over points, compiled for parts of `fine` coefficients."""
    add = vectors.add_chebyshev(fine)
    evaluate_at_four = vectors.evaluate_four(fine, 1)
    evaluate_two_at_four = vectors.evaluate_four(fine, 2)

    @njit(cache=True, nogil=True, fastmath=CONTRACT)
    def spread(x, x_at, w, w_at, shape, frame, moments):
        """moments += sums of w T_q(xi) over the elements of each part; w empty for ones."""
        size_b, size, columns, rows = shape
        tile = np.empty((columns, rows + PAD), x.dtype)
        weight = np.empty((columns, rows + PAD), w.dtype)
        at = np.empty(CHUNK, np.int32)
        xi = np.empty(CHUNK)
        for first in range(0, size, rows):
            last = min(first + rows, size)
            load(x, x_at, size_b, first, last, tile)
            if w.size > 0:
                load(w, w_at, size_b, first, last, weight)
            elif first == 0:
                for c in range(columns):
                    for i in range(rows):
                        weight[c, i] = 1.0
            for c in range(columns):
                own = moments[np.intp(frame[3, c]) :]
                for begin in range(0, last - first, CHUNK):
                    end = min(begin + CHUNK, last - first)
                    values, factors = tile[c, begin:end], weight[c, begin:end]
                    locate(values, frame[0, c], frame[1, c], frame[2, c], fine, at, xi)
                    for i in range(end - begin):
                        add(own, np.intp(at[i]), xi[i], np.float64(factors[i]))

    @njit(cache=True, nogil=True, fastmath=CONTRACT)
    def evaluate(x, x_at, g, g_at, slope, slope_at, shape, frame, local, total, y, y_at):
        """y = the local polynomial, folded into [-total/2, total/2] where total > 0; with g, the
        gradient factor (g * slope - polynomial).
        """
        size_b, size, columns, rows = shape
        tile = np.empty((columns, rows + PAD), x.dtype)
        gradient = g.size > 0
        cotangent = np.empty((columns, rows + PAD if gradient else 0), x.dtype)
        density = np.empty((columns, rows + PAD if gradient else 0), x.dtype)
        at = np.empty(CHUNK, np.int32)
        xi = np.empty(CHUNK, local.dtype)
        out = np.empty(CHUNK, local.dtype)
        for first in range(0, size, rows):
            last = min(first + rows, size)
            load(x, x_at, size_b, first, last, tile)
            if gradient:
                load(g, g_at, size_b, first, last, cotangent)
                load(slope, slope_at, size_b, first, last, density)
            for c in range(columns):
                own = local[np.intp(frame[3, c]) :]
                for begin in range(0, last - first, CHUNK):
                    end = min(begin + CHUNK, last - first)
                    values = tile[c, begin:end]
                    locate(values, frame[0, c], frame[1, c], frame[2, c], fine, at, xi)
                    count = end - begin
                    for i in range(count, (count + 3) // 4 * 4):
                        at[i] = 0
                    for i in range(0, count, 4):
                        evaluate_at_four(own, at, xi, i, out, out)
                    if gradient:
                        weight, product = cotangent[c, begin:end], density[c, begin:end]
                        factor = local.dtype.type(frame[4, c])
                        for i in range(count):
                            values[i] = factor * (weight[i] * product[i] - out[i])
                    else:
                        for i in range(count):
                            values[i] = out[i]
                        if total > 0.0:
                            fold(values, total)
            store(y, y_at, size_b, first, last, tile)

    @njit(cache=True, nogil=True, fastmath=CONTRACT)
    def evaluate_two(x, x_at, shape, frame, local, total, y, y_at, slope, slope_at):
        """The first slot's polynomial, folded as in `evaluate`, into y; the second's into slope."""
        size_b, size, columns, rows = shape
        tile = np.empty((columns, rows + PAD), x.dtype)
        density = np.empty((columns, rows + PAD), x.dtype)
        at = np.empty(CHUNK, np.int32)
        xi = np.empty(CHUNK, local.dtype)
        for first in range(0, size, rows):
            last = min(first + rows, size)
            load(x, x_at, size_b, first, last, tile)
            for c in range(columns):
                own = local[np.intp(frame[3, c]) :]
                for begin in range(0, last - first, CHUNK):
                    end = min(begin + CHUNK, last - first)
                    values = tile[c, begin:end]
                    locate(values, frame[0, c], frame[1, c], frame[2, c], 2 * fine, at, xi)
                    count = end - begin
                    for i in range(count, (count + 3) // 4 * 4):
                        at[i] = 0
                    for i in range(0, count, 4):
                        evaluate_two_at_four(own, at, xi, i, values, density[c, begin:])
                    if total > 0.0:
                        fold(values, total)
            store(y, y_at, size_b, first, last, tile)
            store(slope, slope_at, size_b, first, last, density)

    return types.SimpleNamespace(spread=spread, evaluate=evaluate, evaluate_two=evaluate_two)


@njit(cache=True, nogil=True)
def exponentials(x, place, stride_a, stride_b, size_b, gamma, out):
    """One column's e^{gamma (x_i - center)} into out, and how to read it:

    1    sigma(t_i - t_j) = E_i / (E_i + E_j)
    0    too wide for that: out holds the values themselves
    -1   not finite, or gamma negative
    """
    low, high = np.inf, -np.inf
    good = gamma >= 0.0
    for i in range(out.size):
        value = np.float64(x[place + i // size_b * stride_a + i % size_b * stride_b])
        out[i] = value
        good = good and abs(value) < np.inf
        low, high = min(low, value), max(high, value)
    if not good:
        return -1
    if not gamma * (high - low) < NARROW:
        return 0
    center = 0.5 * low + 0.5 * high
    for i in range(out.size):
        out[i] = np.exp(gamma * (out[i] - center))
    return 1


@njit(cache=True, nogil=True, fastmath={"contract", "reassoc"})
def compare(e, kind, gamma, i, above):
    """above[j] = sigma(t_i - t_j) for j < i; e and kind from `exponentials`."""
    if kind == 1:
        for j in range(i):
            above[j] = e[i] / (e[i] + e[j])
        return
    for j in range(i):
        distance = e[i] - e[j]
        z = np.exp(-gamma * abs(distance)) if distance != 0.0 else 1.0  # where gamma is infinite
        above[j] = (1.0 if distance >= 0.0 else z) / (1.0 + z)


@njit(cache=True, nogil=True, fastmath={"contract", "reassoc"})
def pairwise_rank(x, x_at, size_b, size, gamma, fold, y, y_at, slope, slope_at):
    """Ranks by their definition, and slopes unless `slope` is empty."""
    e, above, rank, density = np.empty(size), np.empty(size), np.empty(size), np.empty(size)
    for c in range(gamma.size):
        kind = exponentials(x, x_at[0] + c * x_at[2], x_at[1], x_at[3], size_b, gamma[c], e)
        for i in range(size):
            compare(e, kind, gamma[c], i, above)
            total, own = 0.5, 0.25
            for j in range(i):
                total += above[j]
                rank[j] += 1.0 - above[j]
                product = above[j] - above[j] * above[j]
                own += product
                density[j] += product
            rank[i], density[i] = total, own
        for i in range(size):
            value = rank[i] - size if fold and 2.0 * rank[i] > size else rank[i]
            a, b = i // size_b, i % size_b
            at = y_at[0] + a * y_at[1] + c * y_at[2] + b * y_at[3]
            y[at] = np.nan if kind < 0 else value
            if slope.size > 0:
                at = slope_at[0] + a * slope_at[1] + c * slope_at[2] + b * slope_at[3]
                slope[at] = np.nan if kind < 0 else density[i]


@njit(cache=True, nogil=True, fastmath={"contract", "reassoc"})
def pairwise_gradient(x, x_at, size_b, size, gamma, factor, g, g_at, y, y_at):
    """factor sum_j (g_i - g_j) sigma'(t_i - t_j)."""
    e, above, weight, result = np.empty(size), np.empty(size), np.empty(size), np.empty(size)
    for c in range(gamma.size):
        kind = exponentials(x, x_at[0] + c * x_at[2], x_at[1], x_at[3], size_b, gamma[c], e)
        for i in range(size):
            at = g_at[0] + i // size_b * g_at[1] + c * g_at[2] + i % size_b * g_at[3]
            weight[i] = g[at]
        for i in range(size):
            compare(e, kind, gamma[c], i, above)
            total, own = 0.0, weight[i]
            for j in range(i):
                product = (own - weight[j]) * (above[j] - above[j] * above[j])
                total += product
                result[j] -= product
            result[i] = total
        for i in range(size):
            at = y_at[0] + i // size_b * y_at[1] + c * y_at[2] + i % size_b * y_at[3]
            y[at] = np.nan if kind < 0 else factor[c] * result[i]


@njit(cache=True, nogil=True, fastmath=CONTRACT)
def raise_to_powers(z, powers):
    """powers[k] = z^(k + 1); a multiple of 4 of them."""
    square = z * z
    powers[0], powers[1], powers[2], powers[3] = z, square, square * z, square * square
    fourth = square * square
    for m in range(4, powers.size - 3, 4):
        for k in range(4):
            powers[m + k] = powers[m - 4 + k] * fourth


@njit(cache=True, nogil=True)
def positions(x, gamma, farthest, place, step):
    """Where the ascending values x lie: place (n,) in a box of width 1 in t, from 0 to 1, and step
    (n,), how many boxes further than that of the value before; at most `farthest` apart in t.

    Gaps are added up and not distances from the first value, by compensated additions: what is far
    away costs close values no digit.
    """
    here = lost = 0.0
    place[0], step[0] = 0.0, 0
    for i in range(1, x.size):
        gap = x[i] - x[i - 1]
        t = gamma * gap if gap > 0.0 else 0.0  # ties, even where gamma is infinite
        t = t if t < farthest else farthest
        following = here + t
        added = following - here
        lost += (here - (following - added)) + (t - added)
        whole = np.floor(following + lost)
        whole = whole if whole > 0.0 else 0.0
        here = following - whole
        place[i], step[i] = here + lost, np.uint8(whole)


@njit(cache=True, nogil=True)
def branch(z, order):
    """sigma^(order)(-s), s >= 0, z = e^-s."""
    if order == 0:
        return z / (1.0 + z)
    if order == 1:
        return z / ((1.0 + z) * (1.0 + z))
    if order == 2:
        return z * (1.0 - z) / ((1.0 + z) * (1.0 + z) * (1.0 + z))
    square = (1.0 + z) * (1.0 + z)
    return z * (1.0 - 4.0 * z + z * z) / (square * square)


@njit(cache=True, nogil=True, fastmath=CONTRACT)
def clenshaw(coefficients, xi):
    """sum_q coefficients[q] T_q(xi)."""
    following = current = 0.0
    for q in range(coefficients.size - 1, 0, -1):
        following, current = current, 2.0 * xi * current - following + coefficients[q]
    return xi * current - following + coefficients[0]


@functools.cache
def sorted_kernel(coarse):
    """The sums over sorted values, compiled for boxes of `coarse` coefficients."""
    add = vectors.add_chebyshev(coarse)

    @njit(cache=True, nogil=True, fastmath=CONTRACT)
    def gather(place, weight, side, first, last, moments):
        """moments = sums of w T_q(xi), xi along the direction of the sweep."""
        for q in range(coarse):
            moments[q] = 0.0
        for i in range(first, last):
            xi = 2.0 * place[i] - 1.0
            w = 1.0 if weight.size == 0 else weight[i]
            add(moments, np.intp(0), xi if side == 0 else -xi, w)

    @njit(cache=True, nogil=True)
    def within(place, weight, order, sign, first, last, moments, own, out):
        """What the values of one box give each other; order 0 without the term j = i."""
        if last - first > CROWD:
            vectors.multiply(moments, np.intp(0), own, moments, np.intp(coarse))
            before, after = 0.0, moments[0]
            for i in range(first, last):
                value = clenshaw(moments[coarse:], 2.0 * place[i] - 1.0)
                if order == 0:
                    w = 1.0 if weight.size == 0 else weight[i]
                    after -= w
                    value += 0.5 * (after - before)
                    before += w
                out[i] = value
            return
        at_zero = branch(1.0, order) if order > 0 else 0.0
        for i in range(first, last):
            w = 1.0 if weight.size == 0 else weight[i]
            out[i] = w * at_zero
            for j in range(first, i):
                value = branch(np.exp(place[j] - place[i]), order)
                out[i] += sign * value * (1.0 if weight.size == 0 else weight[j])
                out[j] += w * value

    @njit(cache=True, nogil=True, fastmath=CONTRACT)
    def sorted_sums(place, step, weight, order, series, decays, own, beside, out):
        """out_i = sum_j w_j sigma^(order)(t_i - t_j); order 0 less what hard ranks would have.

        place, step (n,) from `positions`. weight (n,), or empty for ones. series (terms,), decays
        (distances, terms): e^{-k distance}; boxes still further apart do not see each other. own,
        beside (coarse, coarse): moments of a box -> the Chebyshev series in the box itself, in the
        next one.

        One sweep to the right and one to the left, over the boxes that have values. The box before
        is not yet far: where both have few values they are compared one by one.
        """
        size, terms = place.size, series.size
        unseen = decays.shape[0]
        far, pending, leaving = np.empty(terms), np.empty(terms), np.empty(terms)
        powers = np.empty(terms)
        moments, last_moments = np.empty(2 * coarse), np.empty(2 * coarse)
        for side in range(2):
            sign = -1.0 if side == 0 and order % 2 == 0 else 1.0
            for k in range(terms):
                far[k] = pending[k] = 0.0
            any_far, any_pending = False, False
            first = 0 if side == 0 else size
            last = first
            before_first = before_last = first  # the box before, empty unless it is adjacent
            gathered = False
            while True:
                if side == 0:
                    first = last
                    if first == size:
                        break
                    last = first + 1
                    while last < size and step[last] == 0:
                        last += 1
                    distance = 0 if last == size else np.int64(step[last])
                else:
                    last = first
                    if last == 0:
                        break
                    first = last - 1
                    while step[first] == 0 and first > 0:
                        first -= 1
                    distance = np.int64(step[first])
                count, before = last - first, before_last - before_first
                crowded = count > CROWD
                if crowded:
                    gather(place, weight, side, first, last, moments)
                if side == 0:
                    within(place, weight, order, sign, first, last, moments, own, out)
                if before > 0 and count * before > CROWD * CROWD:
                    if not gathered:
                        gather(place, weight, side, before_first, before_last, last_moments)
                    held = last_moments
                    vectors.multiply(held, np.intp(0), beside, held, np.intp(coarse))
                    for i in range(first, last):
                        xi = 2.0 * place[i] - 1.0
                        value = clenshaw(held[coarse:], xi if side == 0 else -xi)
                        out[i] += sign * value
                elif before > 0:
                    for i in range(first, last):
                        value = 0.0
                        for j in range(before_first, before_last):
                            t = abs(place[i] - place[j] + (1.0 if side == 0 else -1.0))
                            w = 1.0 if weight.size == 0 else weight[j]
                            value += w * branch(np.exp(-t), order)
                        out[i] += sign * value
                seen = 0 < distance < unseen
                for k in range(terms):
                    leaving[k] = 0.0
                for i in range(first, last if any_far or seen else first):
                    z = np.exp(-place[i] if side == 0 else place[i] - 1.0)
                    if any_far:
                        raise_to_powers(z, powers)
                        value = 0.0
                        for k in range(0, terms, 4):
                            low = far[k] * powers[k] + far[k + 1] * powers[k + 1]
                            high = far[k + 2] * powers[k + 2] + far[k + 3] * powers[k + 3]
                            value += low + high
                        out[i] += sign * value
                    if seen:
                        raise_to_powers(decays[1, 0] / z, powers)
                        w = 1.0 if weight.size == 0 else weight[i]
                        for k in range(terms):
                            leaving[k] += w * powers[k]
                for k in range(terms):
                    leaving[k] *= series[k]
                if distance == 1:
                    any_far = any_far or any_pending
                    any_pending = True
                    for k in range(terms):
                        far[k] = decays[1, k] * (far[k] + pending[k])
                        pending[k] = leaving[k]
                    before_first, before_last, gathered = first, last, crowded
                    moments, last_moments = last_moments, moments
                else:
                    any_far, any_pending = distance < unseen, False
                    for k in range(terms):
                        kept = decays[1, k] * (far[k] + pending[k]) + leaving[k]
                        far[k] = decays[distance - 1, k] * kept if any_far else 0.0
                        pending[k] = 0.0
                    before_first = before_last = first

    return sorted_sums
