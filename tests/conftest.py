"""Hypothesis profiles: `fixed` (the default) draws the same examples again, `wide` many new ones.

pytest --hypothesis-profile=wide
"""

import os

from hypothesis import settings

os.environ.setdefault("MPLBACKEND", "Agg")

settings.register_profile("fixed", derandomize=True, deadline=None, max_examples=50, database=None)
settings.register_profile("wide", deadline=None, max_examples=2000)


def pytest_configure(config):
    settings.load_profile(config.getoption("--hypothesis-profile") or "fixed")
