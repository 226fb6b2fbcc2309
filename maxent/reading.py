"""One column of numbers out of a file: CSV, Parquet, npy or npz, gzipped or not, or standard input;
or a sketch of one.

The kind of file is read off its first bytes, not off its name, so that a pipe works like a file.
Everything that can be wrong with a file is a `ValueError` (or the `OSError` of opening it, or the
`ImportError` of a missing reader) whose message is one line: what is wrong, where, and what to do.
"""

from __future__ import annotations

import contextlib
import csv
import difflib
import gzip
import io
import itertools
import os
import sys
import zipfile
import zlib
from collections.abc import Callable, Iterator
from importlib import resources
from typing import BinaryIO

import numpy as np

from maxent.sketch import Sketch, format

EXAMPLES = {"faithful": "eruptions"}
"""Bundled tables by name, each with the column that is read when none is named."""

MISSING = frozenset({"", "na", "n/a", "nan", "null", "none", "-", "."})
"""What stands for a missing value in a table of text, in lower case."""

DELIMITERS = ",;\t"
SHOWN_NAMES = 20  # more column names than this do not fit into one readable line
CHUNK = 1 << 16  # values at a time: rare enough a step to cost nothing, and to report progress

Progress = Callable[[int, int], None]
"""Called now and then with the bytes read and the bytes there are; never for a pipe."""


def read_column(
    path: str, column: str | None = None, *, progress: Progress | None = None
) -> np.ndarray:
    """The values of one column as float64, shape (n,); missing values are nan.

    path: a file, or "-" for standard input.
    column: its name. Where the file has no names the columns are called "1", "2", ...
        It may be left out when there is only one.

    Raises ValueError for what is wrong inside the file and OSError if it cannot be opened.
    """
    return np.concatenate(list(read_chunks(path, column, progress=progress)))


def read_chunks(
    path: str, column: str | None = None, *, progress: Progress | None = None
) -> Iterator[np.ndarray]:
    """The same column piece by piece, so that the file may be larger than the memory.

    CSV, Parquet and npy are read as far as each piece needs; npz, and Parquet or npy out of a pipe,
    whole. Raises as `read_column` does, when the fault is met.
    """
    if path == "-":
        yield from _read(sys.stdin.buffer, "standard input", column, progress)
        return
    with _opened(path) as stream:
        yield from _read(stream, os.path.basename(path), column, progress)


def read_sketch(path: str) -> Sketch | None:
    """The sketch in a file, or "-" for standard input; None if the file begins as no sketch does.

    Raises ValueError for a damaged one and OSError if the file cannot be opened.
    """
    if path == "-":
        return _read_sketch(sys.stdin.buffer, "standard input")
    with _opened(path) as stream:
        return _read_sketch(stream, os.path.basename(path))


def _read_sketch(stream: BinaryIO, name: str) -> Sketch | None:
    if not format.is_sketch(stream.peek(4)[:4]):
        return None
    try:
        return format.from_bytes(stream.read())
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from None


@contextlib.contextmanager
def _opened(path: str) -> Iterator[BinaryIO]:
    try:
        with open(path, "rb") as stream:
            yield stream
    except FileNotFoundError:
        raise FileNotFoundError(f"no file {path!r}{_near_files(path)}") from None
    except OSError as error:
        raise type(error)(f"cannot read {path!r}: {error.strerror}") from None


def read_example(name: str, column: str | None = None) -> tuple[np.ndarray, str]:
    """The values of a bundled table, shape (n,), and the name of the column they come from."""
    if name not in EXAMPLES:
        raise ValueError(f"no example {name!r}; there is {', '.join(sorted(EXAMPLES))}")
    column = column or EXAMPLES[name]
    with (resources.files("maxent") / "examples" / f"{name}.csv").open("rb") as stream:
        values = list(_read(stream, f"the example {name}", column, None))
    return np.concatenate(values), column


def _read(
    stream: BinaryIO, name: str, column: str | None, progress: Progress | None
) -> Iterator[np.ndarray]:
    try:
        empty = True
        for values in _read_by_content(stream, name, column, progress):
            empty = empty and not values.size
            yield values
        if empty:
            raise ValueError(f"{name} holds no values")
    except (csv.Error, EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise ValueError(f"{name} cannot be read: {error}") from None


def _read_by_content(
    stream: BinaryIO, name: str, column: str | None, progress: Progress | None
) -> Iterator[np.ndarray]:
    size = _size(stream)
    file, seekable = stream, size is not None

    def report():  # of a packed file, how far through the packed bytes
        if progress is not None and size is not None:
            progress(file.tell(), size)

    if stream.peek(2)[:2] == b"\x1f\x8b":
        stream, seekable = io.BufferedReader(gzip.GzipFile(fileobj=stream)), False
    head = stream.peek(6)[:6]
    if head == b"\x93NUMPY" or head.startswith(b"PK\x03\x04"):
        yield from _read_numpy(stream, name, column, seekable)
    elif head.startswith(b"PAR1"):
        yield from _read_parquet(stream, name, column, seekable, progress)
    else:
        yield from _read_text(stream, name, column, report)


def _size(stream: BinaryIO) -> int | None:
    try:
        return os.fstat(stream.fileno()).st_size if stream.seekable() else None
    except OSError:
        return None


def _choose(names: list[str], column: str | None, name: str) -> int:
    """The position of the wanted column, or a ValueError that lists what there is."""
    if column is None:
        if len(names) == 1:
            return 0
        raise ValueError(
            f"{name} has {len(names)} columns, choose one with --column: {_listed(names)}"
        )
    if column in names:
        return names.index(column)
    folded = {other.strip().casefold(): other for other in names}
    near = difflib.get_close_matches(column.strip().casefold(), folded, n=1)
    hint = f"; did you mean {folded[near[0]]!r}?" if near else "."
    raise ValueError(f"{name} has no column {column!r}{hint} It has: {_listed(names)}")


def _listed(names: list[str]) -> str:
    shown = ", ".join(names[:SHOWN_NAMES])
    return shown if len(names) <= SHOWN_NAMES else f"{shown}, … ({len(names)} in all)"


def _near_files(path: str) -> str:
    folder, base = os.path.split(path)
    try:
        near = difflib.get_close_matches(base, os.listdir(folder or "."), n=1)
    except OSError:
        return f" (nor a folder {folder!r})"
    return f"; did you mean {os.path.join(folder, near[0])!r}?" if near else ""


# ---------------------------------------------------------------------------------- text


def _read_text(
    stream: BinaryIO,
    name: str,
    column: str | None,
    report: Callable[[], None],
) -> Iterator[np.ndarray]:
    # Only numbers are wanted: a byte of some other encoding in a name or note must not stop us.
    text = io.TextIOWrapper(stream, encoding="utf-8-sig", errors="replace", newline="")
    try:
        skipped, first = _first_line(text, name)
        lines = itertools.chain([first], text)
        delimiter = max(DELIMITERS, key=first.count)
        reader = csv.reader(lines, delimiter=delimiter, skipinitialspace=True)
        rows = ((skipped + reader.line_num, row) for row in reader if row)
        line, header = next(rows)
        names = [field.strip() for field in header]
        if column not in names and all(map(_is_number, header)):  # no names: that line is data
            names = [str(j + 1) for j in range(len(header))]
            rows = itertools.chain([(line, header)], rows)
        index = _choose(names, column, name)
        fields = _fields(rows, index, len(names), f"{name}, line")
        numbers = _numbers(fields, f"{name}, line")
        empty = True
        while (values := np.fromiter(itertools.islice(numbers, CHUNK), float)).size:
            empty = False
            yield values
            report()
        if empty:
            raise ValueError(f"{name} has a header but no values")
    finally:
        text.detach()  # the stream is not ours to close


def _first_line(text: io.TextIOBase, name: str) -> tuple[int, str]:
    """How many blank lines there are at the start, and the first that is not blank."""
    for skipped, line in enumerate(text):
        if line.strip():
            return skipped, line
    raise ValueError(f"{name} is empty")


def _fields(
    rows: Iterator[tuple[int, list[str]]], index: int, width: int, where: str
) -> Iterator[tuple[int, str]]:
    for line, row in rows:
        if index >= len(row):
            raise ValueError(f"{where} {line}: {len(row)} of the {width} columns")
        yield line, row[index]


def _numbers(fields: Iterator[tuple[int, str]], where: str) -> Iterator[float]:
    for line, field in fields:
        try:
            yield float(field)
        except ValueError:
            if field.strip().casefold() not in MISSING:
                raise ValueError(f"{where} {line}: {field!r} is not a number") from None
            yield np.nan


def _is_number(field: str) -> bool:
    try:
        float(field)
    except ValueError:
        return False
    return True


# -------------------------------------------------------------------------------- binary


def _read_numpy(
    stream: BinaryIO, name: str, column: str | None, seekable: bool
) -> Iterator[np.ndarray]:
    """npy (one array: a column, a table of columns or a record array) or npz (named columns)."""
    try:
        if seekable and stream.peek(6)[:6] == b"\x93NUMPY":
            table = np.load(stream.name, mmap_mode="r", allow_pickle=False)
        else:
            table = np.load(io.BytesIO(stream.read()), allow_pickle=False)
    except (ValueError, OSError, EOFError, zipfile.BadZipFile) as error:
        raise ValueError(f"{name} cannot be read: {error}") from None
    if isinstance(table, np.lib.npyio.NpzFile):
        names = table.files
        values = table[names[_choose(names, column, name)]]
    elif table.dtype.names:
        values = table[table.dtype.names[_choose(list(table.dtype.names), column, name)]]
    elif table.ndim == 2:
        names = [str(j + 1) for j in range(table.shape[1])]
        values = table[:, _choose(names, column, name)]
    else:
        values = table
    if values.ndim != 1 or values.dtype.kind not in "fiub":
        raise ValueError(f"{name} holds {values.dtype} of shape {values.shape}, not a column")
    for start in range(0, values.size, CHUNK):
        yield np.array(values[start : start + CHUNK], dtype=float)


def _read_parquet(
    stream: BinaryIO,
    name: str,
    column: str | None,
    seekable: bool,
    progress: Progress | None,
) -> Iterator[np.ndarray]:
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError:
        raise ImportError(
            f"{name} is Parquet, which needs pyarrow: pip install 'maxent[parquet]'"
        ) from None
    try:
        file = pyarrow.parquet.ParquetFile(stream if seekable else io.BytesIO(stream.read()))
        names = file.schema_arrow.names
        wanted = names[_choose(names, column, name)]
        done = 0
        for batch in file.iter_batches(batch_size=CHUNK, columns=[wanted]):
            values = batch.column(0)
            yield _from_arrow(values, name, wanted, done)
            done += len(values)
            if progress is not None:
                progress(done, file.metadata.num_rows)
    except pyarrow.ArrowException as error:
        raise ValueError(f"{name} cannot be read: {error}") from None


def _from_arrow(values, name: str, wanted: str, before: int) -> np.ndarray:
    """Float64 of a pyarrow array; `before` rows of the column went before it."""
    import pyarrow

    if pyarrow.types.is_string(values.type) or pyarrow.types.is_large_string(values.type):
        rows = enumerate((value or "" for value in values.to_pylist()), before + 1)
        return np.fromiter(_numbers(rows, f"{name}, row"), float)
    try:
        return values.cast(pyarrow.float64(), safe=False).to_numpy(zero_copy_only=False)
    except pyarrow.ArrowException:
        raise ValueError(f"{name}: column {wanted!r} holds {values.type}, not numbers") from None
