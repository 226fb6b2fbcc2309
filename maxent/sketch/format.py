"""A sketch as bytes and as JSON. What was not written here, or was damaged, is refused.

Bytes, little-endian; a whole number is a varint (seven bits a byte, low bits first, the top bit of
each byte but the last set), so that small counts take one byte:

    b"\\x89MXS"                magic: not text, so that no transfer as text goes unnoticed
    u8                        version of the format: 1
    varint                    degree k
    u8 [f64 f64]              transform: 0 none, 1 log, 2 asinh, 3 sqrt; unless none, loc and scale
    u8 [varint …]             number of axes of batch_shape, 255 without data; their lengths
    u8                        1 with weights, else 0
    per column
        varint × 9            the counts, in the order of COUNTS
        f64 f64               the range of the transformed values
        [f64 f64]             with weights: Σw, Σw²
        f64 × k               Σ w T_j, j = 1 … k
    u32                       CRC-32 of all that goes before

One column of degree 10 takes about 120 bytes.
"""

from __future__ import annotations

import json
import struct
import zlib

import numpy as np

from maxent.sketch.summary import (
    ABOVE,
    AT_HIGH,
    AT_LOW,
    BELOW,
    COUNTS,
    MAX_DEGREE,
    NAN,
    PAIRS,
    TIES,
    VALUES,
    ZEROS,
    Sketch,
)
from maxent.transform import NAMES, Transform

MAGIC = b"\x89MXS"
VERSION = 1
NO_DATA = 255
# |Σ w T_j| <= Σw, but for rounding.
SLACK = 1e-9


def to_bytes(sketch):
    parts = [MAGIC, bytes([VERSION]), _varint(sketch.degree)]
    transform = sketch.transform
    parts.append(bytes([NAMES.index(transform.name)]))
    if transform.name != "none":
        parts.append(struct.pack("<2d", transform.loc, transform.scale))
    if sketch.batch_shape is None:
        parts.append(bytes([NO_DATA]))
    else:
        parts.append(bytes([len(sketch.batch_shape)]))
        parts += map(_varint, sketch.batch_shape)
    plain = sketch._counts[:, VALUES]
    weighted = bool((sketch._mass != plain[:, None]).any())
    parts.append(bytes([weighted]))
    numbers = [sketch._range, sketch._mass, sketch._sums[:, 1:]]
    rows = np.hstack(numbers if weighted else numbers[::2]).astype("<f8")
    for counts, row in zip(sketch._counts.tolist(), rows, strict=True):
        parts += map(_varint, counts)
        parts.append(row.tobytes())
    data = b"".join(parts)
    return data + struct.pack("<I", zlib.crc32(data))


def from_bytes(data):
    try:
        data = bytes(memoryview(data))
    except TypeError:
        raise TypeError(f"a sketch is read from bytes, not from {type(data).__name__}") from None
    if not is_sketch(data):
        raise ValueError(f"not a sketch: the bytes begin with {data[:4]!r}, not with {MAGIC!r}")
    if len(data) < len(MAGIC) + 5:
        raise ValueError(f"the sketch is cut short: only {len(data)} bytes are left")
    body, (check,) = data[:-4], struct.unpack("<I", data[-4:])
    if zlib.crc32(body) != check:
        version = f" (version {data[4]} of the format; this is {VERSION})" if data[4] > 1 else ""
        raise ValueError(f"the sketch is damaged or cut short: its checksum is wrong{version}")
    if data[4] != VERSION:
        raise ValueError(
            f"the sketch is of version {data[4]} of the format, and this maxent reads version "
            f"{VERSION}: use a newer maxent"
        )
    try:
        return _parse(_Reader(body, len(MAGIC) + 1))
    except (IndexError, struct.error, OverflowError, MemoryError) as error:
        raise ValueError(f"the sketch makes no sense: {error}") from None


def is_sketch(head):
    """Do these first bytes begin a sketch?"""
    return bytes(head[:4]) == MAGIC


def _parse(reader):
    degree = reader.varint()
    transform = reader.byte()
    if transform >= len(NAMES):
        raise ValueError(f"the sketch makes no sense: transform {transform}")
    constants = struct.unpack("<2d", reader.take(16)) if transform else ()
    axes = reader.byte()
    shape = None if axes == NO_DATA else tuple(reader.varint() for _ in range(axes))
    weighted = reader.byte()
    columns = 0 if shape is None else int(np.prod(shape, dtype=object))
    counts, rows = [], []
    for _ in range(columns):
        counts.append([reader.varint() for _ in COUNTS])
        rows.append(np.frombuffer(reader.take(8 * (2 + 2 * weighted + degree)), "<f8"))
    reader.end()
    rows = np.array(rows, dtype=float).reshape(columns, 2 + 2 * weighted + degree)
    counts = np.array(counts, dtype=np.int64).reshape(columns, len(COUNTS))
    mass = rows[:, 2:4] if weighted else np.repeat(counts[:, :1], 2, axis=1).astype(float)
    return _built(
        degree,
        Transform(NAMES[transform], *constants),
        shape,
        counts,
        rows[:, :2],
        mass,
        rows[:, 2 + 2 * weighted :],
    )


def to_json(sketch):
    counts = {name: sketch._counts[:, i].tolist() for i, name in enumerate(COUNTS)}
    transform = sketch.transform
    return json.dumps(
        {
            "format": "maxent sketch",
            "version": VERSION,
            "degree": sketch.degree,
            "transform": {
                "name": transform.name,
                "loc": transform.loc,
                "scale": transform.scale,
            },
            "batch_shape": sketch.batch_shape,
            "counts": counts,
            "range": [None if low > high else [low, high] for low, high in sketch._range.tolist()],
            "weights": sketch._mass.tolist(),
            "sums": sketch._sums[:, 1:].tolist(),
        },
        allow_nan=False,
    )


def from_json(text):
    try:
        found = json.loads(text)
        if found["format"] != "maxent sketch":
            raise ValueError(f"format {found['format']!r}")
        if found["version"] != VERSION:
            raise ValueError(f"version {found['version']} of the format, not {VERSION}")
        degree, shape = found["degree"], found["batch_shape"]
        counts = np.array([found["counts"][name] for name in COUNTS], np.int64).T
        nothing = [np.inf, -np.inf]
        range_ = [nothing if pair is None else pair for pair in found["range"]]
        return _built(
            degree,
            Transform(**found["transform"]),
            None if shape is None else tuple(shape),
            counts,
            np.array(range_, float).reshape(-1, 2),
            np.array(found["weights"], float).reshape(-1, 2),
            np.array(found["sums"], float).reshape(-1, degree),
        )
    except (ValueError, KeyError, TypeError, OverflowError, AttributeError) as error:
        text = f"{type(error).__name__}: {error}" if isinstance(error, KeyError) else str(error)
        raise ValueError(f"not the JSON form of a sketch: {text}") from None


def _built(degree, transform, shape, counts, range_, mass, sums):
    """A Sketch, or a ValueError where no data can have these numbers."""
    if isinstance(degree, bool) or not isinstance(degree, int) or not 1 <= degree <= MAX_DEGREE:
        raise ValueError(f"the sketch makes no sense: degree {degree!r}")
    columns = 0 if shape is None else int(np.prod(shape, dtype=object))
    sizes = {len(counts), len(range_), len(mass), len(sums)}
    if sizes != {columns} or sums.shape[1:] != (degree,):
        raise ValueError(f"the sketch makes no sense: {columns} columns, arrays of {sizes}")
    n = counts[:, VALUES]
    total = counts[:, [VALUES, NAN, ABOVE, BELOW]].sum(axis=1)
    empty = n == 0
    low, high = range_.T
    sense = (counts >= 0).all(axis=1)
    sense &= np.where(empty, (low == np.inf) & (high == -np.inf), np.isfinite(range_).all(axis=1))
    sense &= empty | (low <= high)
    sense &= (counts[:, [AT_LOW, AT_HIGH]] <= n[:, None]).all(axis=1)
    sense &= (counts[:, ZEROS] <= total) & (counts[:, TIES] <= counts[:, PAIRS])
    sense &= np.isfinite(mass).all(axis=1) & ((mass > 0) != empty[:, None]).all(axis=1)
    sense &= (np.abs(sums) <= (1.0 + SLACK) * mass[:, :1]).all(axis=1)
    if not sense.all():
        raise ValueError(
            f"the sketch makes no sense: the numbers of column {np.flatnonzero(~sense)[0]} "
            "cannot come from data"
        )
    sketch = Sketch(degree, transform=transform)
    sketch.batch_shape = shape
    sketch._counts, sketch._range, sketch._mass = counts, range_.copy(), mass.copy()
    sketch._sums = np.hstack([mass[:, :1], sums])
    return sketch


def _varint(number):
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


class _Reader:
    def __init__(self, data, at):
        self.data, self.at = data, at

    def take(self, size):
        if self.at + size > len(self.data):
            raise IndexError("it ends too soon")
        self.at += size
        return self.data[self.at - size : self.at]

    def byte(self):
        return self.take(1)[0]

    def varint(self):
        number, shift = 0, 0
        while True:
            byte = self.byte()
            number |= (byte & 0x7F) << shift
            if byte < 0x80:
                return number
            shift += 7
            if shift > 63:
                raise OverflowError("a whole number above 2^63")

    def end(self):
        if self.at != len(self.data):
            raise IndexError(f"{len(self.data) - self.at} bytes too many")
