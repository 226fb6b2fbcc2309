"""Sphinx settings: `sphinx-build -W docs docs/_build`."""

import sys
from pathlib import Path

import matplotlib as mpl

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))

project = "maxent"
author = "the maxent developers"
copyright = author

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "plain_docstrings",
    "sphinx_copybutton",
    "sphinx_gallery.gen_gallery",
]
myst_enable_extensions = ["dollarmath", "colon_fence"]
myst_heading_anchors = 3
exclude_patterns = ["_build", "gallery/README.rst"]
# Links out of the folder (to CONTRIBUTING.md and the like) lead into the repository, not the pages.
suppress_warnings = ["myst.xref_missing", "misc.highlighting_failure", "config.cache"]

autodoc_member_order = "bysource"
autodoc_typehints = "none"

html_theme = "furo"
html_title = "maxent"
html_theme_options = {
    "light_css_variables": {
        "color-brand-primary": "#1f3a5f",
        "color-brand-content": "#2b5d94",
    },
    "dark_css_variables": {
        "color-brand-primary": "#8fb3dd",
        "color-brand-content": "#8fb3dd",
    },
}
html_static_path = ["static"]
html_css_files = ["site.css"]
copybutton_prompt_text = r"^\$ |>>> "
copybutton_prompt_is_regexp = True


def house_style(gallery_conf, fname):
    """Every figure of the gallery starts from the same style."""
    mpl.rcdefaults()
    mpl.use("Agg")
    mpl.style.use(HERE / "gallery" / "gallery.mplstyle")


sphinx_gallery_conf = {
    "examples_dirs": "gallery",
    "gallery_dirs": "auto_gallery",
    "within_subsection_order": "FileNameSortKey",
    "filename_pattern": r"plot_",
    "reset_modules": (house_style,),
    "image_srcset": ["2x"],
    "remove_config_comments": True,
    "download_all_examples": False,
    "show_memory": False,
    "show_signature": False,
    "min_reported_time": 1e9,
}
