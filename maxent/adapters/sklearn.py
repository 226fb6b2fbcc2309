"""MaxEntTransformer: each column through its own maximum-entropy cdf, and back.

    u = F(x)                uniform
    z = Φ⁻¹(F(x))           normal: from the nearer tail, so that both keep their digits

A smooth relative of QuantileTransformer (which keeps 1000 quantiles a column and is a step function
in all but name) that remembers k + 3 numbers a column, learns from chunks (partial_fit), and has an
exact inverse within the range of the training data.
"""

from __future__ import annotations

import numpy as np
from scipy.special import ndtr, ndtri
from sklearn.base import BaseEstimator, OneToOneFeatureMixin, TransformerMixin
from sklearn.utils.validation import FLOAT_DTYPES, check_is_fitted, validate_data

from maxent.sketch import Sketch
from maxent.solver import AUTO_DEGREE, fit_highest, fit_moments

OUTPUTS = ("uniform", "normal")
# Where QuantileTransformer clips, ±5.199: a value outside of the training data has no quantile.
CLIP = -float(ndtri(1e-7 - np.spacing(1.0)))


class MaxEntTransformer(OneToOneFeatureMixin, TransformerMixin, BaseEstimator):
    """Maps every column to a uniform or normal one by the maximum-entropy cdf of its moments.

    degree: how many moments describe a column, or "auto" (up to 12, by BIC). output_distribution:
    "uniform" on [0, 1], or "normal", clipped to ±5.199. NaN are left out of the fit and pass
    through; values outside of the range of the training data go to its ends.

    A column that no density of that degree describes (constant, or fewer distinct values than
    moments) is given the highest degree that does; `degrees_` says which.

    Attributes: sketch_ (a `maxent.Sketch`, all that is remembered), density_ (a batch
    `maxent.Density`), degrees_ (n_features,), n_features_in_, feature_names_in_.
    Raises ValueError for another degree or output, and for data that scikit-learn refuses.
    """

    def __init__(self, degree=6, *, output_distribution="uniform"):
        self.degree = degree
        self.output_distribution = output_distribution

    def fit(self, X, y=None, sample_weight=None):
        """Learn from X (n, features); sample_weight (n,) >= 0."""
        vars(self).pop("sketch_", None)
        return self.partial_fit(X, y, sample_weight)

    def partial_fit(self, X, y=None, sample_weight=None):
        """Learn from more of the same columns."""
        if self.output_distribution not in OUTPUTS:
            raise ValueError(
                f"output_distribution must be uniform or normal, not {self.output_distribution!r}"
            )
        first = not hasattr(self, "sketch_")
        X = self._validated(X, reset=first)
        if first:
            self.sketch_ = Sketch(AUTO_DEGREE if self.degree == "auto" else self.degree)
        if sample_weight is not None:
            sample_weight = np.asarray(sample_weight, dtype=float)
            if not sample_weight.any():
                raise ValueError("all sample weights are zero")
        self.sketch_.update(X, weights=sample_weight)
        self._solve()
        return self

    def _solve(self):
        if self.degree == "auto":
            self.density_ = fit_moments(self.sketch_, "auto", None, "omit", False)
        else:
            self.density_ = fit_highest(self.sketch_, self.degree, "omit")
        self.degrees_ = self.density_.degrees

    def transform(self, X):
        """(n, features), of X's precision."""
        check_is_fitted(self)
        X = self._validated(X, reset=False)
        wide = np.asarray(X, dtype=float)
        if self.output_distribution == "uniform":
            out = self.density_.cdf(wide)
        else:
            low, high = self.density_.cdf(wide), self.density_.sf(wide)
            with np.errstate(divide="ignore"):
                out = np.where(low < high, ndtri(low), -ndtri(high))
            out = np.clip(out, -CLIP, CLIP)
        return out.astype(X.dtype)

    def inverse_transform(self, X):
        """Back to the columns' own units: (n, features)."""
        check_is_fitted(self)
        X = self._validated(X, reset=False)
        wide = np.asarray(X, dtype=float)
        if self.output_distribution == "uniform":
            out = self.density_.ppf(np.clip(wide, 0.0, 1.0))
        else:
            low = self.density_.ppf(np.where(wide < 0, ndtr(wide), 0.5))
            high = self.density_.isf(np.where(wide < 0, 0.5, ndtr(-wide)))
            out = np.where(np.isnan(wide), np.nan, np.where(wide < 0, low, high))
            lower, upper = self.density_.support()
            out = np.where(wide <= -CLIP, lower, np.where(wide >= CLIP, upper, out))
        return out.astype(X.dtype)

    def _validated(self, X, reset):
        return validate_data(
            self, X, reset=reset, dtype=FLOAT_DTYPES, ensure_all_finite="allow-nan"
        )

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags

    def __getstate__(self):
        state = super().__getstate__()
        return {k: v for k, v in state.items() if k not in ("density_", "degrees_")}

    def __setstate__(self, state):
        super().__setstate__(state)
        if hasattr(self, "sketch_"):
            self._solve()
