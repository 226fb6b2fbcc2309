"""One column out of a file, whatever the file is, and one clear line where there is none."""

import gzip
import io
import sys

import numpy as np
import pytest

from maxent import reading
from maxent.reading import read_column, read_example

VALUES = np.array([1.5, -2.0, 3e9, 0.1 + 0.2])


def as_text(delimiter):
    rows = "\n".join(f"row{i}{delimiter}{value!r}" for i, value in enumerate(VALUES.tolist()))
    return f"name{delimiter}x\n{rows}\n".encode()


def as_npy(table):
    stream = io.BytesIO()
    np.save(stream, table)
    return stream.getvalue()


def as_npz(**columns):
    stream = io.BytesIO()
    np.savez(stream, **columns)
    return stream.getvalue()


def as_parquet(**columns):
    parquet = pytest.importorskip("pyarrow.parquet")
    stream = io.BytesIO()
    parquet.write_table(pytest.importorskip("pyarrow").table(columns), stream)
    return stream.getvalue()


FILES = {
    "comma": (lambda: as_text(","), "x"),
    "semicolon": (lambda: as_text(";"), "x"),
    "tab": (lambda: as_text("\t"), "x"),
    "gzip": (lambda: gzip.compress(as_text(",")), "x"),
    "windows": (lambda: as_text(",").replace(b"\n", b"\r\n"), "x"),
    "quoted": (lambda: b'"a, b",x\n"1, 2",1.5\n"",-2\n"\xe9",3e9\n"",0.30000000000000004\n', "x"),
    "blank lines": (lambda: b"\n\n" + as_text(",").replace(b"\n", b"\n\n"), "x"),
    "no names, one column": (lambda: b"1.5\n-2\n3e9\n0.30000000000000004\n", None),
    "no names, second column": (lambda: as_text(",").replace(b"row", b"").split(b"\n", 1)[1], "2"),
    "a number for a name": (lambda: as_text(",").replace(b"name,x", b"2019,2020"), "2020"),
    "npy": (lambda: as_npy(VALUES), None),
    "npy, two columns": (lambda: as_npy(np.stack([VALUES + 1, VALUES], 1)), "2"),
    "npy, records": (lambda: as_npy(np.array([(v, 0) for v in VALUES], "f8,i4")), "f0"),
    "npz": (lambda: as_npz(y=VALUES + 1, x=VALUES), "x"),
    "parquet": (lambda: as_parquet(y=VALUES + 1, x=VALUES), "x"),
    "parquet, text": (lambda: as_parquet(x=[repr(v) for v in VALUES.tolist()]), "x"),
}


@pytest.mark.parametrize("kind", FILES)
def test_every_kind_of_file_gives_the_same_column(kind, tmp_path):
    make, column = FILES[kind]
    path = tmp_path / "data"  # without an ending: the content says what it is
    path.write_bytes(make())
    values = read_column(str(path), column)
    assert values.dtype == np.float64
    np.testing.assert_array_equal(values, VALUES)


def test_a_byte_order_mark_is_no_part_of_the_first_name(tmp_path):
    path = tmp_path / "bom.csv"
    path.write_bytes(b"\xef\xbb\xbfx,y\n1,2\n")
    assert read_column(str(path), "x") == [1.0]


@pytest.mark.parametrize("word", ["", "NA", "n/a", "nan", "NULL", "None", "-", "."])
def test_missing_values_are_nan(word, tmp_path):
    path = tmp_path / "holes.csv"
    path.write_text(f"name,x\na,1\nb,{word}\nc,3\n", encoding="utf-8")
    np.testing.assert_array_equal(read_column(str(path), "x"), [1, np.nan, 3])


def test_parquet_nulls_are_nan(tmp_path):
    path = tmp_path / "holes.parquet"
    path.write_bytes(as_parquet(x=[1, None, 3], y=[True, None, False], z=["1", None, "3"]))
    for column, expected in {"x": [1, np.nan, 3], "y": [1, np.nan, 0], "z": [1, np.nan, 3]}.items():
        np.testing.assert_array_equal(read_column(str(path), column), expected)


FAULTS = {
    "empty": (b"", "x", "is empty"),
    "blank": (b"\n\n", "x", "is empty"),
    "only names": (b"x,y\n", "x", "no values"),
    "no such column": (b"alpha,beta\n1,2\n", "alpah", "did you mean 'alpha'? It has: alpha, beta"),
    "another case": (b"Alpha,beta\n1,2\n", "alpha", "did you mean 'Alpha'?"),
    "nothing alike": (b"alpha,beta\n1,2\n", "qqq", "no column 'qqq'. It has: alpha, beta"),
    "which column": (b"alpha,beta\n1,2\n", None, "2 columns, choose one with --column"),
    "a word": (b"x,y\n1,2\n3,four\n", "y", "line 3: 'four' is not a number"),
    "a word after blanks": (b"\n\nx\n1\n\ntwo\n", "x", "line 6: 'two' is not a number"),
    "short line": (b"x,y\n1,2\n3\n", "y", "line 3: 1 of the 2 columns"),
    "not a column": (as_npy(np.zeros((2, 2, 2))), None, "shape (2, 2, 2)"),
    "objects": (as_npy(np.array(["a"])), None, "not a column"),
    "torn npy": (as_npy(VALUES)[:90], None, "cannot be read"),
    "torn npz": (as_npz(x=VALUES)[:90], None, "cannot be read"),
    "torn parquet": (b"PAR1 and no more", "x", "cannot be read"),
    "torn gzip": (gzip.compress(as_text(","))[:30], "x", "cannot be read"),
    "no values": (as_npy(np.zeros(0)), None, "no values"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_what_is_wrong_with_a_file_is_one_line(fault, tmp_path):
    content, column, said = FAULTS[fault]
    path = tmp_path / "data.csv"
    path.write_bytes(content)
    with pytest.raises((ValueError, OSError)) as caught:
        read_column(str(path), column)
    assert said in str(caught.value)
    assert "data.csv" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_long_lists_of_columns_are_cut(tmp_path):
    path = tmp_path / "wide.csv"
    path.write_text(",".join(f"c{i}" for i in range(300)) + "\n", encoding="utf-8")
    with pytest.raises(ValueError, match=r"c19, … \(300 in all\)"):
        read_column(str(path), "x")


def test_a_missing_file_is_named_with_its_neighbour(tmp_path):
    (tmp_path / "delays.csv").write_text("x\n1\n", encoding="utf-8")
    with pytest.raises(FileNotFoundError, match=r"no file .*; did you mean .*delays\.csv"):
        read_column(str(tmp_path / "delay.csv"))
    with pytest.raises(FileNotFoundError, match="nor a folder"):
        read_column(str(tmp_path / "nowhere" / "delay.csv"))
    with pytest.raises(OSError, match="directory"):
        read_column(str(tmp_path))


def test_parquet_without_pyarrow_says_what_to_install(tmp_path, monkeypatch):
    path = tmp_path / "x.parquet"
    path.write_bytes(b"PAR1")
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(ImportError, match=r"maxent\[parquet\]"):
        read_column(str(path), "x")


def test_progress_is_reported_on_the_way_and_never_beyond_the_end(tmp_path, monkeypatch):
    monkeypatch.setattr(reading, "CHUNK", 1000)
    path = tmp_path / "long.csv"
    path.write_text("x\n" + "1.25\n" * 50_000, encoding="utf-8")
    seen = []
    read_column(str(path), "x", progress=lambda done, total: seen.append((done, total)))
    size = path.stat().st_size
    assert len(seen) == 50
    assert {total for _, total in seen} == {size}
    done = [count for count, _ in seen]
    assert done == sorted(done)
    assert 0 < done[0] < done[-1] <= size


def test_old_faithful():
    eruptions, column = read_example("faithful")
    assert column == "eruptions"
    assert eruptions.shape == (272,)
    # The published summary: R's summary(faithful) and sd().
    assert (eruptions.min(), eruptions.max()) == (1.6, 5.1)
    assert eruptions.mean() == pytest.approx(3.487783, abs=5e-7)
    assert eruptions.std(ddof=1) == pytest.approx(1.141371, abs=5e-7)
    waiting, _ = read_example("faithful", "waiting")
    assert waiting.mean() == pytest.approx(70.89706, abs=5e-6)
    with pytest.raises(ValueError, match="there is faithful"):
        read_example("faithless")


@pytest.mark.parametrize("kind", ["csv", "csv.gz", "npy", "parquet", "text.parquet"])
def test_large_columns_come_in_pieces(kind, tmp_path, monkeypatch):
    monkeypatch.setattr(reading, "CHUNK", 100)
    values = np.arange(350.0)
    data = {
        "csv": lambda: ("x\n" + "\n".join(map(str, values.tolist()))).encode(),
        "csv.gz": lambda: gzip.compress(("x\n" + "\n".join(map(str, values.tolist()))).encode()),
        "npy": lambda: as_npy(values),
        "parquet": lambda: as_parquet(x=values),
        "text.parquet": lambda: as_parquet(x=[str(v) for v in values.tolist()]),
    }[kind]()
    path = tmp_path / f"x.{kind}"
    path.write_bytes(data)
    seen = []
    pieces = list(reading.read_chunks(str(path), progress=lambda *at: seen.append(at)))
    assert [piece.size for piece in pieces] == [100, 100, 100, 50]
    np.testing.assert_array_equal(np.concatenate(pieces), values)
    if kind != "npy":
        assert len(seen) == 4
        assert all(done <= total for done, total in seen)
    np.testing.assert_array_equal(read_column(str(path)), values)
