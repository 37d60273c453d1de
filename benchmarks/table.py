"""Run every benchmark and update the table of docs/measured.md with the results.

python -m benchmarks.table            all of them
python -m benchmarks.table render     some of them
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

PAGE = Path("docs/measured.md")
BEGIN, END = "<!-- benchmarks -->\n", "<!-- /benchmarks -->\n"


def run(name: str) -> dict[str, Any]:
    """Run benchmarks/NAME.py, print its output, and return the JSON object of its last line."""
    print(f"$ python -m benchmarks.{name}", flush=True)
    command = [sys.executable, "-m", f"benchmarks.{name}"]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    print(done.stdout, flush=True)
    return json.loads(done.stdout.strip().splitlines()[-1])


def row(name: str, result: dict[str, Any]) -> str:
    """Return a benchmark's row of the table."""
    ours, baseline = (_short(result[key]) for key in ("ours", "baseline"))
    return (
        f"| {result['name']} | {ours} | {baseline} | {result['unit']} "
        f"| {result['ratio']:.2f}× | `python -m benchmarks.{name}` |\n"
    )


def _short(value: float) -> str:
    """Return three significant digits, or whole numbers."""
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.3g}"


def refresh(text: str, rows: dict[str, str]) -> str:
    """Return the page's text with the rows of the same commands replaced."""
    head, rest = text.split(BEGIN)
    old, tail = rest.split(END)
    table = {
        m[1]: m[0] + "\n" for m in re.finditer(r"^\|.*`python -m benchmarks\.(\w+)`.*$", old, re.M)
    }
    table |= rows
    title = "| what | ours | baseline | unit | ratio | command |\n|---|---|---|---|---|---|\n"
    return head + BEGIN + title + "".join(table[name] for name in sorted(table)) + END + tail


ASIDE = ("pose2sim", "exact_flow", "detector", "mediapipe_script")
"""Not speed benchmarks: they download, make a data set, or need another environment."""


def main(names: list[str]) -> None:
    """Run the named benchmarks, or all of them, and write the page."""
    here = Path(__file__)
    names = names or sorted(
        path.stem
        for path in here.parent.glob("*.py")
        if path.stem not in (here.stem, "__init__", *ASIDE)
    )
    rows = {name: row(name, run(name)) for name in names}
    PAGE.write_text(refresh(PAGE.read_text(), rows))


if __name__ == "__main__":
    main(sys.argv[1:])
