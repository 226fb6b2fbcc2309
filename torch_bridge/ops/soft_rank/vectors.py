"""The innermost steps of the kernels as vector instructions, which numba would not find itself.

The code is LLVM's portable vector form: any processor gets the instructions that it has. Arrays
are flat or C-contiguous and are addressed by element; nothing is checked.

    add_chebyshev   c[at + q] += w T_q(z) for q < fine. With V_m = (T_4m .. T_4m+3), V_0 and
                    V_-1 = (T_4, T_3, T_2, T_1) are cubics and quartics in z, lane by lane, and
                    T_{q+4} + T_{q-4} = 2 T_4 T_q gives V_{m+1} = 2 T_4 V_m - V_{m-1}.
    evaluate_four   `slots` polynomials at each of four points: sum_m z^4m c_{4m+r} lane by lane,
                    a transposition, then Horner's rule for the four points at once.
    multiply        a row times a matrix, eight columns and four rows at a time.
    transpose_four  a block of four by four.
"""

import functools

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

INT32 = ir.IntType(32)
# T_0..T_3, and T_4, T_3, T_2, T_1: rows are powers of z, lanes are polynomials
FIRST = ((1, 0, -1, 0), (0, 1, 0, -3), (0, 0, 2, 0), (0, 0, 0, 4))
BEFORE = ((1, 0, -1, 0), (0, -3, 0, 1), (-8, 0, 2, 0), (0, 4, 0, 0), (8, 0, 0, 0))
TWICE_FOURTH = ((2,) * 4, (0,) * 4, (-16,) * 4, (0,) * 4, (16,) * 4)


class Memory:
    """A flat view of an array argument: vectors and elements by index."""

    def __init__(self, context, builder, array_type, array):
        self.builder = builder
        self.kind = context.get_data_type(array_type.dtype)
        self.align = array_type.dtype.bitwidth // 8
        self.data = context.make_array(array_type)(context, builder, array).data

    def place(self, at, lanes):
        vector = ir.VectorType(self.kind, lanes)
        return self.builder.bitcast(self.builder.gep(self.data, [at]), vector.as_pointer())

    def vector(self, at, lanes=4):
        kind = ir.VectorType(self.kind, lanes)
        return self.builder.load(self.place(at, lanes), align=self.align, typ=kind)

    def element(self, at):
        return self.builder.load(self.builder.gep(self.data, [at]), typ=self.kind)

    def store(self, at, value):
        self.builder.store(value, self.place(at, value.type.count), align=self.align)


def shuffled(builder, a, b, mask):
    return builder.shuffle_vector(a, b, ir.Constant(ir.VectorType(INT32, len(mask)), list(mask)))


def in_every_lane(builder, value, lanes=4):
    undefined = ir.Constant(ir.VectorType(value.type, lanes), ir.Undefined)
    first = builder.insert_element(undefined, value, INT32(0))
    return shuffled(builder, first, undefined, [0] * lanes)


def multiply_add(builder, a, b, c):
    return builder.fadd(builder.fmul(a, b, ("contract",)), c, ("contract",))


def horner(builder, rows, z):
    """sum_i rows[i] z^i."""
    value = rows[-1]
    for row in reversed(rows[:-1]):
        value = multiply_add(builder, value, z, row)
    return value


def constants(kind, rows):
    return [ir.Constant(ir.VectorType(kind, 4), [float(v) for v in row]) for row in rows]


def ahead(builder, at, count):
    return builder.add(at, ir.Constant(at.type, count))


@functools.cache
def add_chebyshev(fine):
    @intrinsic
    def add(typingctx, coefficients, at, z, w):
        def generate(context, builder, signature, arguments):
            array, at, z, w = arguments
            memory = Memory(context, builder, signature.args[0], array)
            z, w = in_every_lane(builder, z), in_every_lane(builder, w)
            current = builder.fmul(horner(builder, constants(memory.kind, FIRST), z), w)
            if fine > 4:
                twice = horner(builder, constants(memory.kind, TWICE_FOURTH), z)
                previous = builder.fmul(horner(builder, constants(memory.kind, BEFORE), z), w)
            for m in range(0, fine, 4):
                place = ahead(builder, at, m)
                memory.store(place, builder.fadd(memory.vector(place), current))
                if m + 4 < fine:
                    product = builder.fmul(twice, current, ("contract",))
                    previous, current = current, builder.fsub(product, previous, ("contract",))
            return context.get_dummy_value()

        return types.void(coefficients, types.intp, types.float64, types.float64), generate

    return add


@functools.cache
def evaluate_four(fine, slots):
    """out[i + j] at z[i + j], j < 4, from coefficients[at[i + j] + ...], laid out as
    (fine / 4, slots, 4), in powers of z; the second slot into out_2. Arrays of one dtype.
    """

    @intrinsic
    def evaluate(typingctx, coefficients, at, z, i, out, out_2):
        def generate(context, builder, signature, arguments):
            i = arguments[3]
            memory, index, place, *results = (
                Memory(context, builder, signature.args[k], arguments[k]) for k in (0, 1, 2, 4, 5)
            )
            lanes = 4 * slots
            points = []
            for point in range(4):
                here = ahead(builder, i, point)
                base = builder.sext(index.element(here), i.type)
                parts = [
                    memory.vector(ahead(builder, base, slots * m), lanes)
                    for m in range(0, fine, 4)
                ]
                if len(parts) > 1:
                    own = place.element(here)
                    square = builder.fmul(own, own)
                    fourth = in_every_lane(builder, builder.fmul(square, square), lanes)
                    parts = [horner(builder, parts, fourth)]
                points += parts
            z = place.vector(i)
            wide = shuffled(builder, z, z, [0, 1, 2, 3] * slots)
            value = horner(builder, transposed(builder, points, slots), wide)
            for slot in range(slots):
                own = shuffled(builder, value, value, range(4 * slot, 4 * slot + 4))
                results[slot].store(i, own)
            return context.get_dummy_value()

        return types.void(coefficients, at, z, types.intp, out, out_2), generate

    return evaluate


def transposed(builder, rows, groups=1):
    """Four vectors of `groups` times four lanes -> the vectors of the transposed groups."""
    lanes = 4 * groups

    def merge(a, b, pattern):
        mask = [row * lanes + 4 * group + lane for group in range(groups) for row, lane in pattern]
        return shuffled(builder, a, b, mask)

    low, high = ((0, 0), (1, 0), (0, 1), (1, 1)), ((0, 2), (1, 2), (0, 3), (1, 3))
    first, second = ((0, 0), (0, 1), (1, 0), (1, 1)), ((0, 2), (0, 3), (1, 2), (1, 3))
    a, b, c, d = rows
    return [
        merge(merge(a, b, half), merge(c, d, half), part)
        for half in (low, high)
        for part in (first, second)
    ]


@intrinsic
def transpose_four(typingctx, source, at, stride, target, to, target_stride):
    """target[to + i target_stride + j] = source[at + j stride + i] for i, j < 4."""

    def generate(context, builder, signature, arguments):
        _, at, stride, _, to, target_stride = arguments
        read = Memory(context, builder, signature.args[0], arguments[0])
        write = Memory(context, builder, signature.args[3], arguments[3])
        rows = []
        for _ in range(4):
            rows.append(read.vector(at))
            at = builder.add(at, stride)
        for row in transposed(builder, rows):
            write.store(to, row)
            to = builder.add(to, target_stride)
        return context.get_dummy_value()

    place = types.intp
    return types.void(source, place, place, target, place, place), generate


@intrinsic
def multiply(typingctx, source, at, matrix, out, to):
    """out[to + j] = sum_i source[at + i] matrix[i, j]; a multiple of 4 rows, of 8 columns."""

    def generate(context, builder, signature, arguments):
        _, at, _, _, to = arguments
        vector, entries, result = (
            Memory(context, builder, signature.args[k], arguments[k]) for k in (0, 2, 3)
        )
        shape = context.make_array(signature.args[2])(context, builder, arguments[2]).shape
        rows, columns = (builder.extract_value(shape, k) for k in range(2))
        zero, eight, four = (ir.Constant(at.type, v) for v in (0, 8, 4))
        kind = ir.VectorType(vector.kind, 4)
        nothing = ir.Constant(kind, [0.0] * 4)
        sums = [cgutils.alloca_once(builder, kind) for _ in range(8)]
        with cgutils.for_range_slice(builder, zero, columns, eight) as (column, _):
            for total in sums:
                builder.store(nothing, total)
            with cgutils.for_range_slice(builder, zero, rows, four) as (row, _):
                for i in range(4):
                    here = ahead(builder, row, i)
                    value = in_every_lane(builder, vector.element(builder.add(at, here)))
                    entry = builder.add(builder.mul(here, columns), column)
                    for half in range(2):
                        total = sums[2 * i + half]
                        place = ahead(builder, entry, 4 * half)
                        updated = multiply_add(
                            builder, value, entries.vector(place), builder.load(total, typ=kind)
                        )
                        builder.store(updated, total)
            for half in range(2):
                a, b, c, d = (builder.load(sums[2 * i + half], typ=kind) for i in range(4))
                total = builder.fadd(builder.fadd(a, b), builder.fadd(c, d))
                place = ahead(builder, builder.add(to, column), 4 * half)
                result.store(place, total)
        return context.get_dummy_value()

    return types.void(source, types.intp, matrix, out, types.intp), generate
