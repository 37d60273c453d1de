"""Charts as HTML that adapts to the page's colours and width (style.css)."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from html import escape

import numpy as np

from datagen.report.histogram import Histogram

COLUMNS = 24
"""Most columns of a histogram."""


def bars(
    counts: Mapping[str, float],
    *,
    even: bool = False,
    limit: int | None = None,
    show: Callable[[float], str] | None = None,
) -> str:
    """Return horizontal bars with their shares.

    Args:
        even: whether to mark equal shares.
        limit: most bars; the others are summed in a last row without a bar.
        show: formats a count.
    """
    total = sum(counts.values())
    if not total:
        return nothing()
    shown = dict(counts)
    if limit and len(counts) > limit:
        shown = dict(sorted(counts.items(), key=lambda item: -item[1])[:limit])
    largest = max(shown.values())
    mark = 100 * total / len(counts) / largest if even and len(counts) > 1 else None
    line = f'<i class="even" style="left:{mark:.2f}%"></i>' if mark else ""

    def row(name: str, count: float, track: str) -> str:
        return (
            f'<div class="bar"><span class="name" title="{escape(name)}">{escape(name)}</span>'
            f'<span{track}</span><span class="number">{(show or number)(count)}</span>'
            f'<span class="share">{_percent(count / total)}</span></div>'
        )

    rows = [
        row(
            str(name),
            count,
            f' class="track"><b style="width:{100 * count / largest:.2f}%"></b>{line}',
        )
        for name, count in shown.items()
    ]
    if len(shown) < len(counts):
        rest = total - sum(shown.values())
        rows.append(row(f"{len(counts) - len(shown):,} others", rest, ">"))
    return f'<div class="bars">{"".join(rows)}</div>'


def histogram(values: Histogram, *, unit: str = "", share: bool = False) -> str:
    """Return a histogram over the non-empty range, with its mean, median and range."""
    if not values.weight:
        return nothing()
    used = np.flatnonzero(values.counts)
    # Adds a few empty bins: a single column is hard to read without its surroundings.
    first, last = max(used[0] - 2, 0), min(used[-1] + 3, len(values.counts))
    step = -(-(last - first) // COLUMNS)
    last = min(first + step * -(-(last - first) // step), len(values.counts))
    shown = np.add.reduceat(values.counts[first:last], range(0, last - first, step))
    edges = [*values.edges[first:last:step].tolist(), float(values.edges[last])]
    ends = edges[0], edges[-1]
    columns = "".join(
        f'<i style="height:{100 * count / shown.max():.1f}%" title="{_amount(low, share)} to '
        f'{_amount(high, share)}{unit}: {number(count)}"></i>'
        for count, low, high in zip(shown, edges, edges[1:], strict=False)
    )
    middle = (values.mean - ends[0]) / (ends[1] - ends[0])
    facts = (
        f"mean {_amount(values.mean, share)}{unit} · median "
        f"{_amount(values.quantile(0.5), share)}{unit} · "
        f"from {_amount(values.low, share)} to {_amount(values.high, share)}{unit}"
    )
    return (
        f'<div class="histogram"><div class="columns">{columns}'
        f'<s style="left:{100 * min(max(middle, 0), 1):.2f}%"></s></div>'
        f'<div class="axis"><span>{_amount(ends[0], share)}</span>'
        f"<span>{_amount(ends[1], share)}{unit}</span></div>"
        f'<p class="facts">{facts}</p></div>'
    )


def columns(counts: Sequence[float], borders: Sequence[str]) -> str:
    """Return vertical columns of equal bins with their shares; `borders` labels the bin edges."""
    total = float(np.sum(counts))
    if not total:
        return nothing()
    largest = max(counts)
    parts = "".join(
        f'<div><em>{count / total:.0%}</em><i style="height:{80 * count / largest:.1f}%"></i></div>'
        for count in counts
    )
    ticks = "".join(
        f'<span style="left:{100 * index / len(counts):.2f}%">{escape(border)}</span>'
        for index, border in enumerate(borders)
    )
    return f'<div class="upright">{parts}</div><div class="ticks">{ticks}</div>'


def rose(counts: Sequence[float]) -> str:
    """Return a rose diagram of directions in the ground plane, seen from above.

    Bin 0 faces the camera (drawn downwards), the third of eight faces image right. Areas, not
    radii, are proportional to the counts.
    """
    total, largest = float(np.sum(counts)), float(np.max(counts))
    if not total:
        return nothing()
    width = 2 * math.pi / len(counts)
    petals = []
    for index, count in enumerate(counts):
        radius = 80 * math.sqrt(count / largest)
        # Angles start straight down and turn to the right: x = sin, y = cos, SVG's y points down.
        a, b = (index - 0.46) * width, (index + 0.46) * width
        ends = [(100 + radius * math.sin(t), 100 + radius * math.cos(t)) for t in (a, b)]
        path = f"M100 100L{ends[0][0]:.1f} {ends[0][1]:.1f}"
        path += f"A{radius:.1f} {radius:.1f} 0 0 0 {ends[1][0]:.1f} {ends[1][1]:.1f}Z"
        petals.append(f'<path d="{path}"><title>{count / total:.1%}</title></path>')
        middle = index * width
        place = (100 + 92 * math.sin(middle), 103 + 92 * math.cos(middle))
        petals.append(
            f'<text x="{place[0]:.0f}" y="{place[1]:.0f}">{100 * count / total:.0f}</text>'
        )
    ring = f'<circle cx="100" cy="100" r="{80 * math.sqrt(total / len(counts) / largest):.1f}"/>'
    return (
        '<svg class="rose" viewBox="0 0 200 222" role="img" aria-label="directions people face">'
        f'{"".join(petals)}{ring}<text x="100" y="219">↓ camera</text></svg>'
    )


def table(
    head: Sequence[str],
    rows: Iterable[Sequence[object]],
    numeric: Sequence[int] = (),
    *,
    dense: bool = False,
) -> str:
    """Return a table; columns in `numeric` are right-aligned with tabular digits."""

    def cells(row: Sequence[object], tag: str) -> str:
        return "".join(
            f"<{tag}{' class=num' if place in numeric else ''}>{escape(str(cell))}</{tag}>"
            for place, cell in enumerate(row)
        )

    body = "".join(f"<tr>{cells(row, 'td')}</tr>" for row in rows)
    kind = " class=dense" if dense else ""
    return (
        f'<div class="scroll"><table{kind}><thead><tr>{cells(head, "th")}</tr></thead>'
        f"<tbody>{body}</tbody></table></div>"
    )


def number(value: float) -> str:
    """Return a count in readable form: 0.3, 1,234, 56.7 k, 8.9 M."""
    if 0 < abs(value) < 10 and value != int(value):
        return f"{value:.1f}"
    for limit, unit in ((1e9, "G"), (1e6, "M"), (1e4, "k")):
        if abs(value) >= limit:
            return f"{value / (1e3 if unit == 'k' else limit):.1f} {unit}"
    return f"{value:,.0f}"


def size(bytes_: float) -> str:
    """Return a file size: 11.3 MB."""
    for limit, unit in ((1e12, "TB"), (1e9, "GB"), (1e6, "MB")):
        if bytes_ >= limit:
            return f"{bytes_ / limit:.1f} {unit}"
    return f"{bytes_ / 1e3:.0f} kB"


def duration(seconds: float) -> str:
    """Return a time span: 42 s, 12 min, 3.4 h, 5.6 days."""
    for limit, unit, digits in ((172800, "days", 1), (7200, "h", 1), (120, "min", 0)):
        if seconds >= limit:
            return f"{seconds / {'days': 86400, 'h': 3600, 'min': 60}[unit]:.{digits}f} {unit}"
    return f"{seconds:.0f} s"


def nothing() -> str:
    """Return the placeholder for a chart without data."""
    return '<p class="nothing">Not recorded in this data set.</p>'


def _percent(share: float) -> str:
    return f"{share:.1%}" if 0 < share < 0.01 else f"{share:.0%}"


def _amount(value: float, share: bool) -> str:
    return f"{value:.0%}" if share else f"{value:.3g}"
