"""The innermost step of `kernels` as vector instructions of sixteen lanes: numba by itself takes
eight, although the processor may have sixteen.

    sixteen_of_four   y = P(v(x)) of sixteen values of each of four runs, which share the loads of
                      their columns' numbers; bit r of the answer: run r has a value with |v| > 1
"""

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from torch_bridge.ops.soft_rank.vectors import INT32, Memory, in_every_lane

LANES = 16
DEGREE = 16  # of `fits`
RUNS = 4
FAST = ("fast",)


@intrinsic
def sixteen_of_four(typingctx, x, starts, tile, width, at, bend, out):
    """x, out flat; starts of the runs; tile (rows, width), flat: see `operators.rows_of`; at: the
    place within the runs. bend: what the square under the root is multiplied by.
    """

    def generate(context, builder, signature, arguments):
        source, begins, numbers, width, at, bend, target = arguments
        kinds = signature.args
        source = Memory(context, builder, kinds[0], source)
        numbers = Memory(context, builder, kinds[2], numbers)
        target = Memory(context, builder, kinds[6], target)
        begins = [builder.extract_value(begins, r) for r in range(RUNS)]
        lanes = ir.VectorType(source.kind, LANES)
        one = ir.Constant(lanes, [1.0] * LANES)
        bend = in_every_lane(builder, bend, LANES)
        suffix = "f32" if source.kind == ir.FloatType() else "f64"
        kind = ir.FunctionType(lanes, [lanes])
        root = builder.module.declare_intrinsic(f"llvm.sqrt.v{LANES}{suffix}", fnty=kind)
        size = builder.module.declare_intrinsic(f"llvm.fabs.v{LANES}{suffix}", fnty=kind)
        place = at

        def next_row():
            nonlocal place
            row = numbers.vector(place, LANES)
            place = builder.add(place, width)
            return row

        center, unit, slope, shift = (next_row() for _ in range(4))
        places, values, far = [], [], INT32(0)
        for r, begin in enumerate(begins):
            value = source.vector(builder.add(begin, at), LANES)
            u = builder.fmul(builder.fsub(value, center, FAST), unit, FAST)
            square = builder.fmul(builder.fmul(u, u, FAST), bend, FAST)
            length = builder.call(root, [builder.fadd(square, one, FAST)], fastmath=FAST)
            u = builder.fmul(u, builder.fdiv(one, length, FAST), FAST)
            v = builder.fadd(builder.fmul(u, slope, FAST), shift, FAST)
            beyond = builder.fcmp_ordered(">", builder.call(size, [v]), one)
            bits = builder.bitcast(beyond, ir.IntType(LANES))
            any_one = builder.icmp_unsigned("!=", bits, ir.Constant(bits.type, 0))
            bit = builder.shl(builder.zext(any_one, INT32), INT32(r))
            far = builder.or_(far, bit)
            places.append(v)
        first = next_row()
        values = [first] * RUNS
        for _ in range(DEGREE):
            row = next_row()
            values = [
                builder.fadd(builder.fmul(y, v, FAST), row, FAST)
                for y, v in zip(values, places, strict=True)
            ]
        for begin, y in zip(begins, values, strict=True):
            target.store(builder.add(begin, at), y)
        return far

    return types.int32(x, starts, tile, types.intp, types.intp, bend, out), generate

