"""Tables that print in a terminal and in Jupyter."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

import numpy as np


@dataclass(frozen=True)
class TextTable:
    """Rows of text and numbers; floats have one decimal, None is a dash."""

    head: Sequence[str]
    rows: Sequence[Sequence[Any]]

    def _cells(self) -> list[list[str]]:
        return [[_text(value) for value in row] for row in self.rows]

    def __str__(self) -> str:
        # Units are printed below the names, as terminals are narrow.
        names, units = zip(*((head.partition(", ")[::2]) for head in self.head), strict=True)
        cells = [list(names), *([list(units)] if any(units) else []), *self._cells()]
        widths = [max(len(row[i]) for row in cells) for i in range(len(self.head))]
        pad = [
            [
                cell.ljust(width) if i == 0 else cell.rjust(width)
                for i, (cell, width) in enumerate(zip(row, widths, strict=True))
            ]
            for row in cells
        ]
        return "\n".join("  ".join(row) for row in pad)

    def _repr_html_(self) -> str:
        head = "".join(f"<th>{escape(cell)}</th>" for cell in self.head)
        rows = "".join(
            "<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>"
            for row in self._cells()
        )
        return f"<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>"


def _text(value: Any) -> str:
    if value is None or (isinstance(value, float) and np.isnan(value)):
        return "–"
    return f"{value:.1f}" if isinstance(value, float) else str(value)
