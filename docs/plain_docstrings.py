"""Docstrings are plain text with formulas: paragraphs stay paragraphs, what is set out stays so.

In a paragraph the signs that reStructuredText would take for markup (*, |, `, trailing _) mean
themselves, but for ``code``. Lines that are indented or set in columns (two spaces between words)
are shown as they stand; lines that begin with >>> are examples.
"""

import re
from itertools import groupby

SPECIAL = re.compile(r"([*|\\]|`(?!`)|_(?=\W|$))")
COLUMNS = re.compile(r"\S {2,}\S")


def as_rst(lines):
    """reStructuredText lines that show the docstring's lines."""
    out = []
    for blank, group in groupby(lines, key=lambda line: not line.strip()):
        group = list(group)
        if blank:
            out.append("")
        elif group[0].lstrip().startswith(">>>"):
            out += group
        elif any(COLUMNS.search(line) for line in group):
            out += literal(group)
        else:
            for set_off, part in groupby(group, key=lambda line: line.startswith(" ")):
                part = list(part)
                out += literal(part) if set_off else [escaped(line) for line in part]
    return [*out, ""]


def literal(lines):
    return ["", "::", "", *(f"    {line}" for line in lines), ""]


def escaped(line):
    """Markup signs mean themselves, outside of ``code`` and `names`."""
    parts = re.split(r"(``[^`]+``|`[^`]+`)", line)
    for i, part in enumerate(parts):
        name = i % 2 == 1
        parts[i] = f"``{part.strip('`')}``" if name else SPECIAL.sub(r"\\\1", part)
    return "".join(parts)


def convert(app, what, name, obj, options, lines):
    lines[:] = as_rst(list(lines))


def setup(app):
    app.connect("autodoc-process-docstring", convert)
    return {"parallel_read_safe": True}
