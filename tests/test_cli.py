"""The command line: data on stdout, talk on stderr, one JSON document or none, codes 0, 1, 2."""

import io
import json
import os
import subprocess
import sys
import time

import numpy as np
import pytest

import maxent
from maxent import cli
from maxent.reading import read_example


@pytest.fixture
def run(capsys):
    """run("fit", ...) gives (exit code, stdout, stderr)."""

    def run(*words):
        try:
            code = cli.main([str(word) for word in words])
        except SystemExit as stop:
            code = stop.code
        out, err = capsys.readouterr()
        return code, out, err

    return run


def document(text):
    """Exactly one JSON document, in the strict sense: no NaN, no Infinity."""

    def refuse(token):
        raise AssertionError(f"{token} is not JSON")

    return json.loads(text, parse_constant=refuse)


def write(path, values, name="x"):
    path.write_text(f"{name}\n" + "".join(f"{v!r}\n" for v in values), encoding="utf-8")
    return path


# ------------------------------------------------------------------------------------- fit


def test_fit_describes_the_density_it_found(run):
    data, _ = read_example("faithful")
    density = maxent.fit(data, 8)
    code, out, err = run("fit", "--example", "faithful", "--degree", 8, "--json")
    assert (code, err) == (0, "")
    found = document(out)
    assert found["values"] == 272
    assert found["support"] == [1.6, 5.1]
    assert found["degree"] == 8
    assert found["mean"] == pytest.approx(data.mean(), rel=1e-12)
    assert found["standard_deviation"] == pytest.approx(data.std(), rel=1e-12)
    assert found["entropy"] == pytest.approx(density.entropy(), rel=1e-12)
    assert found["probabilities"] == [0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99]
    np.testing.assert_allclose(found["quantiles"], density.ppf(found["probabilities"]), rtol=1e-12)
    np.testing.assert_allclose(found["coefficients"], density.coefficients, rtol=1e-12)
    assert found["certificate"]["status"] == "SOLVED"
    assert found["certificate"]["moment_error"] < 1e-12


def test_the_table_says_what_the_document_says(run):
    found = document(run("fit", "--example", "faithful", "--json")[1])
    code, out, err = run("fit", "--example", "faithful")
    assert (code, err) == (0, "")
    lines = [line.split() for line in out.splitlines()]
    said = {words[0]: words[1:] for words in lines if words}
    assert said["support"] == ["[1.6,", "5.1]"]
    assert float(said["mean"][0]) == pytest.approx(found["mean"], rel=1e-5)
    assert float(said["entropy"][0]) == pytest.approx(found["entropy"], rel=1e-5)
    assert said["certificate"][0] == "solved"
    rows = [words for words in lines if words[1:2] == ["%"]]
    assert [float(words[2]) for words in rows] == pytest.approx(found["quantiles"], rel=1e-5)
    assert [float(words[3]) for words in rows] == pytest.approx(found["data_quantiles"], rel=1e-5)
    assert max(map(len, out.splitlines())) < 80


def test_fit_of_moments_on_the_line(run):
    words = ["fit", "--moments", "1,0,1", "--support", "-inf,inf"]
    code, out, err = run(*words, "--json")
    assert (code, err) == (0, "")
    found = document(out)
    assert found["support"] == ["-inf", "inf"]
    assert found["values"] is None
    assert found["entropy"] == pytest.approx(0.5 * np.log(2 * np.pi * np.e), abs=1e-9)
    assert found["quantiles"][-1] == pytest.approx(2.3263478740408408, abs=1e-8)
    code, out, err = run(*words)
    assert (code, err) == (0, "")
    assert "(-inf, inf)" in out


@pytest.mark.parametrize("way", [["--support", "-1,1"], ["--support=-1,1"]])
def test_a_support_may_begin_with_a_minus_sign(run, way):
    code, out, _ = run("fit", "--moments", "1,-0.2,0.4", *way, "--json")
    assert code == 0
    assert document(out)["mean"] == pytest.approx(-0.2, abs=1e-12)


def test_kinds_of_moments(run):
    raw = document(run("fit", "--moments", "1,3,10", "--support", "0,7", "--json")[1])
    for kind, moments in {"central": "1,3,1", "standardized": "1,3,1"}.items():
        words = ["fit", "--moments", moments, "--kind", kind, "--support", "0,7", "--json"]
        np.testing.assert_allclose(
            document(run(*words)[1])["quantiles"], raw["quantiles"], rtol=1e-9
        )


def test_plot_is_drawn(run, tmp_path):
    path = tmp_path / "fit.png"
    code, out, err = run("fit", "--example", "faithful", "--plot", path, "--json")
    assert code == 0
    assert document(out)["values"] == 272
    assert err == f"maxent: drawn in {path}\n"
    assert path.read_bytes().startswith(b"\x89PNG")
    path = tmp_path / "moments.svg"
    assert run("fit", "--moments", "1,0,1", "--support=-inf,inf", "--plot", path)[0] == 0
    assert b"<svg" in path.read_bytes()


def test_long_columns(run, tmp_path):
    """300,000 values with a heavy tail, and as many at 1e9 with a spread of 1."""
    rng = np.random.default_rng(7)
    tail = rng.lognormal(0, 1, 300_000)
    far = 1e9 + rng.normal(size=300_000)
    path = tmp_path / "long.csv"
    with path.open("w", encoding="utf-8") as file:
        file.write("tail,note,far\n")
        file.writelines(f'{t!r},"a, b",{f!r}\n' for t, f in zip(tail.tolist(), far.tolist()))
    for column, data in {"tail": tail, "far": far}.items():
        code, out, err = run("fit", path, "--column", column, "--json")
        assert (code, err) == (0, "")
        found = document(out)
        assert found["values"] == 300_000
        assert found["mean"] == pytest.approx(data.mean(), rel=1e-12)
        assert found["standard_deviation"] == pytest.approx(data.std(), rel=1e-6)
    # The offset must not eat the shape: a normal, to within what 300,000 draws leave open.
    assert np.subtract(found["quantiles"], 1e9)[[1, 3, 5]] == pytest.approx(
        [-1.645, 0, 1.645], abs=0.02
    )


def test_missing_values(run, tmp_path):
    path = tmp_path / "holes.csv"
    path.write_text("x\n1\n\n2\nNA\n4\nnan\n3\n2.5\n1.5\n", encoding="utf-8")
    code, out, err = run("fit", path, "--degree", 2)
    assert (code, out) == (2, "")
    assert err == "maxent: holes.csv: 2 of 8 values are missing; --nan omit leaves them out\n"
    code, out, err = run("fit", path, "--degree", 2, "--nan", "omit", "--json")
    assert code == 0
    assert document(out)["values"] == 6
    assert err == "maxent: 2 of 8 values left out (missing)\n"


def test_standard_input(run, monkeypatch):
    data, _ = read_example("faithful")
    text = "".join(f"{value!r}\n" for value in data.tolist())
    monkeypatch.setattr(
        sys, "stdin", io.TextIOWrapper(io.BufferedReader(io.BytesIO(text.encode())))
    )
    code, out, err = run("fit", "-", "--json")
    assert (code, err) == (0, "")
    assert document(out)["mean"] == pytest.approx(data.mean(), rel=1e-12)


# ------------------------------------------------------------------- quantile, sample, check


def test_quantile(run):
    data, _ = read_example("faithful")
    density = maxent.fit(data, 6)
    u = [0.0, 0.001, 0.5, 1.0]
    words = ["quantile", "--example", "faithful", "-p", ",".join(map(str, u))]
    code, out, err = run(*words)
    assert (code, err) == (0, "")
    table = [[float(word) for word in line.split("\t")] for line in out.splitlines()]
    np.testing.assert_array_equal(table, np.stack([u, density.ppf(u)], axis=1))
    found = document(run(*words, "--json")[1])
    assert found == {"probabilities": u, "quantiles": density.ppf(u).tolist()}


def test_sample_is_one_value_a_line_and_the_same_for_the_same_seed(run):
    words = ["sample", "--example", "faithful", "-n", 500, "--seed"]
    code, out, err = run(*words, 1)
    assert (code, err) == (0, "")
    values = [float(line) for line in out.splitlines()]
    assert len(values) == 500
    assert 1.6 <= min(values) < max(values) <= 5.1
    assert run(*words, 1)[1] == out
    assert run(*words, 2)[1] != out
    assert document(run(*words, 1, "--json")[1])["sample"] == values
    assert run("sample", "--example", "faithful", "-n", 0)[1] == ""


@pytest.mark.parametrize(
    ("moments", "code"), [("1,0.5,0.3", 0), ("1,0.5,0.2", 1), ("1,1.5,2.3", 1)]
)
def test_check(run, moments, code):
    words = ["check", "--moments", moments, "--support", "0,1"]
    found, out, err = run(*words)
    assert (found, err) == (code, "")
    assert out.strip()
    found, out, err = run(*words, "--json")
    assert (found, err) == (code, "")
    assert document(out)["status"] == ("SOLVED" if code == 0 else "INFEASIBLE")


# ---------------------------------------------------------------------------- what is wrong

BAD = 2
NONE = 1
FILES = {
    "good.csv": "x,y\n" + "".join(f"{i},{i % 7}\n" for i in range(100)),
    "word.csv": "x\n1\n2\nthree\n",
    "empty.csv": "",
    "names.csv": "x,y\n",
    "one.csv": "x\n5\n",
    "same.csv": "x\n" + "5\n" * 50,
    "two.csv": "x\n" + "5\n6\n" * 50,
    "gone.csv": "x\nNA\nNA\n",
    "inf.csv": "x\n1\ninf\n2\n",
}
FAULTS = {
    "no source": (["fit"], BAD, "FILE, --example"),
    "two sources": (["fit", "good.csv", "--example", "faithful"], BAD, "FILE, --example"),
    "no such file": (["fit", "god.csv"], BAD, "no file 'god.csv'; did you mean 'good.csv'?"),
    "no such example": (["fit", "--example", "faithless"], BAD, "there is faithful"),
    "no such column": (["fit", "good.csv", "--column", "z"], BAD, "no column 'z'. It has: x, y"),
    "which column": (["fit", "good.csv"], BAD, "choose one with --column: x, y"),
    "text": (["fit", "word.csv"], BAD, "line 4: 'three' is not a number"),
    "empty file": (["fit", "empty.csv"], BAD, "is empty"),
    "no values": (["fit", "names.csv", "--column", "x"], BAD, "no values"),
    "all missing": (["fit", "gone.csv"], BAD, "all 2 values are missing"),
    "infinite value": (["fit", "inf.csv"], BAD, "inf"),
    "one value": (["fit", "one.csv"], NONE, ""),
    "constant": (["fit", "same.csv"], NONE, ""),
    "two distinct values": (["fit", "two.csv", "--degree", "6"], NONE, ""),
    "data outside": (["fit", "good.csv", "--column", "x", "--support", "0,50"], BAD, "support"),
    "m0 left out": (["fit", "--moments", "0.5,0.3", "--support", "0,1"], BAD, "m0 = 1"),
    "infeasible": (["fit", "--moments", "1,0.5,0.2", "--support", "0,1"], NONE, ""),
    "no maximum": (["fit", "--moments", "1,0,1,0,5", "--support=-inf,inf"], NONE, ""),
    "moments, no support": (["fit", "--moments", "1,0.5"], BAD, "--support"),
    "moments and degree": (
        ["fit", "--moments", "1,0.5", "--support", "0,1", "--degree", "2"],
        BAD,
        "--degree belongs to data",
    ),
    "not numbers": (["fit", "--moments", "1,x", "--support", "0,1"], BAD, "a list like"),
    "not a support": (["fit", "good.csv", "--support", "1"], BAD, "a pair like"),
    "support upside down": (["fit", "--moments", "1,0", "--support", "1,-1"], BAD, ""),
    "bad degree": (["fit", "good.csv", "--degree", "-1"], BAD, "whole number"),
    "unknown kind": (["check", "--moments", "1", "--support", "0,1", "--kind", "odd"], BAD, "odd"),
    "unknown command": (["fitt"], BAD, "fitt"),
    "no command": ([], BAD, "COMMAND"),
    "bad probability": (["quantile", "--example", "faithful", "-p", "0.5,95"], BAD, "95"),
    "bad picture": (["fit", "--example", "faithful", "--plot", "x.nope"], BAD, "nope"),
    "no folder": (["fit", "--example", "faithful", "--plot", "no/such/x.png"], BAD, "no/such"),
}


@pytest.mark.parametrize("json_wanted", [False, True], ids=["table", "json"])
@pytest.mark.parametrize("fault", FAULTS)
def test_what_is_wrong_is_one_line_on_stderr(fault, json_wanted, run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name, text in FILES.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    words, code, said = FAULTS[fault]
    if json_wanted and words:
        words = [*words, "--json"]
    found, out, err = run(*words)
    assert found == code, err
    assert out == ""
    assert err.startswith("maxent: ")
    assert said in err
    assert err.count("\n") == 1
    assert len(err) > 25


def test_plot_without_matplotlib_says_what_to_install(run, monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    code, out, err = run("fit", "--example", "faithful", "--plot", tmp_path / "x.png")
    assert (code, out) == (2, "")
    assert "pip install 'maxent[plot]'" in err


def test_few_distinct_values_are_fitted_and_mentioned(run, tmp_path):
    path = write(tmp_path / "dice.csv", [1, 2, 3, 4, 5, 6] * 20)
    code, out, err = run("fit", path, "--json")
    assert code == 0
    assert document(out)["mean"] == pytest.approx(3.5)
    assert err.startswith("maxent: only 6 distinct values for 6 moments")
    assert err.count("\n") == 1


def test_progress_only_on_a_terminal(monkeypatch):
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    monkeypatch.setattr(cli, "PATIENCE", -1.0)
    for stream, shown in [(Terminal(), "\rreading  50 %\r             \r"), (io.StringIO(), "")]:
        monkeypatch.setattr(sys, "stderr", stream)
        progress = cli._Progress()
        progress(1, 2)
        progress.clear()
        assert stream.getvalue() == shown


def test_a_word_about_compiling_only_on_a_terminal_and_only_when_it_takes_long(monkeypatch):
    for terminal, patience, said in [(True, 0.01, "compiling"), (True, 5, ""), (False, 0.01, "")]:
        stream = io.StringIO()
        stream.isatty = lambda terminal=terminal: terminal
        monkeypatch.setattr(cli, "PATIENCE", patience)
        monkeypatch.setattr(sys, "stderr", stream)
        with cli._patience():
            time.sleep(0.3)
        assert said in stream.getvalue()
        assert stream.getvalue().count("\n") == bool(said)


# ---------------------------------------------------------------------------- as a process


def process(*words, **options):
    return subprocess.Popen(
        [sys.executable, "-m", "maxent.cli", *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **options,
    )


def test_a_broken_pipe_is_quiet():
    with process("sample", "--example", "faithful", "-n", "300000") as child:
        float(child.stdout.readline())
        child.stdout.close()
        assert child.stderr.read() == ""
        assert child.wait() == 0


def test_works_on_a_terminal_that_knows_only_ascii(tmp_path):
    path = write(tmp_path / "sigma-\u03c3.csv", np.linspace(0, 1, 50).tolist())
    environment = {**os.environ, "PYTHONIOENCODING": "ascii"}
    with process("fit", str(path), env=environment) as child:
        out, err = child.communicate()
    assert (child.returncode, err) == (0, "")
    assert out.startswith("sigma-?.csv, 50 values")


def test_version_and_help(run):
    code, out, _ = run("--version")
    assert code == 0
    assert out.startswith("maxent ")
    for command in ("fit", "quantile", "sample", "check"):
        code, out, _ = run(command, "--help")
        assert code == 0
        assert "--support" in out


# -------------------------------------------------------------------- sketches of large files


def test_files_are_sketched_merged_and_fitted(run, tmp_path):
    x = np.random.default_rng(0).lognormal(size=3000)
    write(tmp_path / "a.csv", x[:1000].tolist())
    np.save(tmp_path / "b.npy", x[1000:])
    for name, source in (("a.mx", "a.csv"), ("b.mx", "b.npy")):
        code, out, err = run(
            "sketch", tmp_path / source, "--transform", "log,0,2", "-o", tmp_path / name
        )
        assert (code, out) == (0, "")
        assert "values in [" in err
    assert run("merge", tmp_path / "a.mx", tmp_path / "b.mx", "-o", tmp_path / "c.mx")[0] == 0
    both = maxent.Sketch.from_bytes((tmp_path / "c.mx").read_bytes())
    alone = maxent.Sketch.of(x, 6, transform=maxent.Transform("log", 0.0, 2.0))
    np.testing.assert_allclose(both.chebyshev_moments(), alone.chebyshev_moments(), atol=1e-14)
    code, out, err = run("fit", tmp_path / "c.mx", "--json")
    assert (code, err) == (0, "")
    found = document(out)
    assert (found["source"], found["values"], found["degree"]) == ("c.mx", 3000, 6)
    assert found["transform"] == "Transform('log', loc=0.0, scale=2.0)"
    np.testing.assert_allclose(
        found["quantiles"], alone.fit().ppf(found["probabilities"]), rtol=1e-9
    )
    assert "of Transform('log'" in run("fit", tmp_path / "c.mx", "--degree", 4)[1]
    code, out, _ = run("quantile", tmp_path / "c.mx", "-p", 0.5)
    assert float(out.split()[1]) == pytest.approx(np.median(x), rel=0.05)


def test_a_sketch_as_json_is_one_document(run, tmp_path):
    file = write(tmp_path / "x.csv", [1.0, 2.0, 4.0])
    code, out, _ = run("sketch", file, "--json", "--degree", 2)
    assert code == 0
    assert maxent.Sketch.from_json(json.dumps(document(out))) == maxent.Sketch.of([1.0, 2, 4], 2)
    assert run("sketch", file)[0] == 2


def test_sketches_travel_through_pipes(run, tmp_path):
    sketch = maxent.Sketch.of(np.arange(50.0), 3)
    done = subprocess.run(
        [sys.executable, "-m", "maxent.cli", "quantile", "-", "-p", "0.5"],
        input=sketch.to_bytes(),
        capture_output=True,
    )
    assert float(done.stdout.split()[1]) == pytest.approx(24.5)
    file = write(tmp_path / "x.csv", range(50))
    done = subprocess.run(
        [sys.executable, "-m", "maxent.cli", "sketch", file, "--degree", "3", "-o", "-"],
        capture_output=True,
    )
    assert maxent.Sketch.from_bytes(done.stdout) == sketch


def test_what_is_wrong_with_a_sketch_is_one_line(run, tmp_path):
    x = write(tmp_path / "x.csv", [1.0, 2.0, 4.0, np.nan])
    good, other, torn = tmp_path / "a.mx", tmp_path / "b.mx", tmp_path / "torn.mx"
    run("sketch", x, "--degree", 2, "-o", good)
    run("sketch", x, "--degree", 3, "-o", other)
    torn.write_bytes(good.read_bytes()[:-3])
    batch = tmp_path / "batch.mx"
    batch.write_bytes(maxent.Sketch.of(np.eye(3), 2).to_bytes())
    for words, said in [
        (("fit", torn), "torn.mx: the sketch is damaged"),
        (("fit", good), "1 values are NaN or missing"),
        (("fit", good, "--column", "x"), "--column belongs to tables"),
        (("fit", batch), r"batch of (3,) columns"),
        (("merge", good, other, "-o", "c.mx"), "b.mx: sketches of degree 2 and 3 do not merge"),
        (("merge", x, "-o", "c.mx"), "is no sketch"),
        (("merge", good), "say where"),
        (("merge", tmp_path / "none.mx", "-o", "c.mx"), "no file"),
        (("sketch", x, "--transform", "log,a", "-o", "c.mx"), "could not convert"),
        (("sketch", x, "-o", "-", "--json"), "one of -o - and --json"),
    ]:
        code, out, err = run(*words)
        assert (code, out, err.count("\n")) == (2, "", 1), words
        assert said in err
    code, out, err = run("fit", good, "--nan", "omit", "--degree", 1, "--json")
    assert (code, document(out)["values"]) == (0, 3)
    assert "1 values left out" in err


def test_atoms_of_a_sketch_are_pointed_out(run, tmp_path):
    x = np.append(np.zeros(100), np.random.default_rng(0).normal(size=400))
    (tmp_path / "x.mx").write_bytes(maxent.Sketch.of(x, 4).to_bytes())
    code, _, err = run("fit", tmp_path / "x.mx")
    assert code == 0
    assert err.startswith("maxent: 20 % of the values are exactly 0")
