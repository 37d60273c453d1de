"""docs/fidelity.md: each guess is an option or constant with the documented value."""

import dataclasses
import importlib
import re
from pathlib import Path
from typing import Any, get_type_hints

import pytest

from datagen.launcher.config import LaunchConfig
from trainer.evaluation.options import EvaluateConfig
from trainer.paper.options import TablesConfig
from trainer.training.options import FitConfig

TEXT = (Path(__file__).resolve().parents[1] / "docs" / "fidelity.md").read_text()
OPEN = TEXT.split("## What the paper leaves open")[1]
GUESSES = re.findall(r"`(--[a-z0-9-]+|(?:datagen|trainer)\.[\w.]+)(?: =)? ?([^`]*)`", OPEN)


def defaults(config: type) -> dict[str, Any]:
    """Return the default of every option by its flag, those of nested dataclasses too."""
    found: dict[str, Any] = {}
    hints = get_type_hints(config)
    for field in dataclasses.fields(config):
        if dataclasses.is_dataclass(hints[field.name]):
            found |= defaults(hints[field.name])
        else:
            found[f"--{field.name.replace('_', '-')}"] = field.default
    return found


DEFAULTS = [defaults(config) for config in (LaunchConfig, FitConfig, EvaluateConfig, TablesConfig)]


def test_every_row_names_an_option_or_constant() -> None:
    rows = [line for line in OPEN.splitlines() if line.startswith("| ")][1:]
    assert len(rows) > 20 and len(GUESSES) > 40
    for row in rows:
        assert re.search(r"`(--|datagen\.|trainer\.)", row.rsplit("| ", 1)[1]), row


@pytest.mark.parametrize(("name", "value"), GUESSES)
def test_a_guess_has_the_documented_value(name: str, value: str) -> None:
    if name.startswith("--"):
        found = [known[name] for known in DEFAULTS if name in known]
        assert found, f"no command has {name}"
        same = [str(one) == value or one == _number(value) for one in found]
        assert not value or any(same), f"{name} is {found}"
        return
    module, _, attribute = name.rpartition(".")
    if module in ("datagen", "trainer"):  # a command
        module, attribute = name, "main"
    constant = getattr(importlib.import_module(module), attribute)
    assert not value or constant == _number(value), f"{name} is {constant}"


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None
