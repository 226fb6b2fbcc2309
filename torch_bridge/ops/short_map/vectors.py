"""The innermost step of `kernels` as vector instructions of sixteen lanes: numba by itself takes
eight, although the processor may have sixteen.

    sixteen_of_four   y = P(v(x)) of sixteen values of each of four runs, which share the loads of
                      their columns' numbers. Bit 16 r + i of the answer: value i of run r has
                      |v| >= 2 or is nan, which one bit of v says, the highest of its exponent, so
                      that the four vectors are tested at once. Meanwhile the values of the four
                      runs after these are asked for: that the next row comes next, no processor
                      foresees.
    lowest_bit        the number of the lowest bit that is set
"""

import functools

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from torch_bridge.ops.soft_rank.vectors import INT32, Memory, ahead

LANES = 16
DEGREE = 16  # of `fits`
RUNS = 4
AT_ONCE = 4  # steps of Horner's rule; all of them, and LLVM evaluates one run after the other
FAST = ("contract", "nsz", "arcp", "afn", "reassoc")  # lets 1 / sqrt be an estimate and a step
MASK = ir.IntType(LANES * RUNS)
READ, KEEP, DATA = INT32(0), INT32(3), INT32(1)


@intrinsic
def lowest_bit(typingctx, bits):
    def generate(context, builder, signature, arguments):
        return builder.cttz(arguments[0], ir.Constant(ir.IntType(1), 1))

    return bits(bits), generate


@intrinsic
def sixteen_of_four(typingctx, x, starts, following, at, tile, place, squash, out):
    """x, out C-contiguous; places of the runs and of those that follow; at: how far into them;
    tile, from `place` on: DEGREE + 5 rows of LANES, see `operators.rows_of`; squash: None for none.
    """

    def generate(context, builder, signature, arguments):
        source, begins, following, at, numbers, place, _, target = arguments
        kinds = signature.args
        source = Memory(context, builder, kinds[0], source)
        numbers = Memory(context, builder, kinds[4], numbers)
        target = Memory(context, builder, kinds[7], target)
        begins = [builder.add(builder.extract_value(begins, r), at) for r in range(RUNS)]
        lanes = ir.VectorType(source.kind, LANES)
        one = ir.Constant(lanes, [1.0] * LANES)
        size = 32 if source.kind == ir.FloatType() else 64
        integers = ir.VectorType(ir.IntType(size), LANES)
        top = ir.Constant(integers, [1 << size - 2] * LANES)
        zero = ir.Constant(integers, [0] * LANES)
        kind = ir.FunctionType(lanes, [lanes])
        root = builder.module.declare_intrinsic(f"llvm.sqrt.v{LANES}f{size}", fnty=kind)
        byte = ir.IntType(8).as_pointer()
        kind = ir.FunctionType(ir.VoidType(), [byte, INT32, INT32, INT32])
        fetch = builder.module.declare_intrinsic("llvm.prefetch", [byte], kind)

        def row(place, j):
            return numbers.vector(ahead(builder, place, LANES * j), LANES)

        def times_plus(a, b, c):
            return builder.fadd(builder.fmul(a, b, FAST), c, FAST)

        def far(v):
            bits = builder.icmp_unsigned("!=", builder.and_(v, top), zero)
            return builder.bitcast(bits, ir.IntType(LANES))

        unit, offset, slope, shift, highest = (row(place, j) for j in range(5))
        places = []
        for r, begin in enumerate(begins):
            later = builder.add(builder.extract_value(following, r), at)
            later = builder.bitcast(source.place(later, LANES), byte)
            builder.call(fetch, [later, READ, KEEP, DATA])
            u = times_plus(source.vector(begin, LANES), unit, offset)
            if kinds[6] != types.none:
                length = builder.call(root, [times_plus(u, u, one)], fastmath=FAST)
                u = builder.fmul(u, builder.fdiv(one, length, FAST), FAST)
            places.append(times_plus(u, slope, shift))
        bits = [builder.bitcast(v, integers) for v in places]
        outside = cgutils.alloca_once_value(builder, MASK(0))
        some = far(functools.reduce(builder.or_, bits))
        with builder.if_then(builder.icmp_unsigned("!=", some, some.type(0)), likely=False):
            total = MASK(0)
            for r, v in enumerate(bits):
                own = builder.shl(builder.zext(far(v), MASK), MASK(LANES * r))
                total = builder.or_(total, own)
            builder.store(total, outside)
        values = [cgutils.alloca_once_value(builder, highest) for _ in places]
        first, last = ahead(builder, place, 5 * LANES), ahead(builder, place, (5 + DEGREE) * LANES)
        step = ir.Constant(place.type, AT_ONCE * LANES)
        with cgutils.for_range_slice(builder, first, last, step) as (place, _):
            for j in range(AT_ONCE):
                power = row(place, j)
                for y, v in zip(values, places, strict=True):
                    builder.store(times_plus(builder.load(y, typ=lanes), v, power), y)
        for begin, y in zip(begins, values, strict=True):
            target.store(begin, builder.load(y, typ=lanes))
        return builder.load(outside, typ=MASK)

    kinds = x, starts, following, types.intp, tile, types.intp, squash, out
    return types.uint64(*kinds), generate
