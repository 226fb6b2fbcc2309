"""Sphinx settings: `sphinx-build -W docs docs/_build`."""

project = "maxent"
author = "the maxent developers"
copyright = author

extensions = ["myst_parser", "sphinx.ext.autodoc"]
myst_heading_anchors = 3
html_theme = "furo"
exclude_patterns = ["_build"]
autodoc_member_order = "bysource"
# Links out of the folder (to CONTRIBUTING.md and the like) lead into the repository, not the pages.
suppress_warnings = ["myst.xref_missing", "misc.highlighting_failure"]


def as_written(app, what, name, obj, options, lines):
    """Docstrings are plain text with formulas, not markup: show them as they stand."""
    lines[:] = ["::", "", *(f"    {line}" for line in lines), ""]


def setup(app):
    app.connect("autodoc-process-docstring", as_written)
