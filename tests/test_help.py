"""--help: every option of every command is explained, in lines as long as the terminal's."""

from dataclasses import fields, is_dataclass
from typing import Any, get_args, get_type_hints

import pytest

from datagen.common import cli as generator
from datagen.doctor import DoctorConfig
from datagen.flow.training.options import TrainFlowConfig
from datagen.ingest import IngestConfig
from datagen.inspect import InspectConfig
from datagen.launch import main as launch
from datagen.launcher.config import LaunchConfig
from datagen.publish import PublishConfig
from datagen.replay.options import OverlayConfig
from datagen.verify import VerifyConfig
from trainer import cli as trainer
from trainer.compare import CompareConfig
from trainer.evaluation.options import EvaluateConfig, PredictConfig
from trainer.paper.options import TablesConfig
from trainer.training.options import FitConfig

OURS = (
    LaunchConfig, VerifyConfig, InspectConfig, IngestConfig, OverlayConfig, TrainFlowConfig,
    DoctorConfig, PublishConfig,
)  # fmt: skip
THEIRS = (FitConfig, EvaluateConfig, PredictConfig, CompareConfig, TablesConfig)


def without_help(options: Any) -> list[str]:
    """Return the options that `fill_help` found no docstring for; a group's is its class's."""
    hints, lacking = get_type_hints(options), []
    for option in fields(options):
        hint = hints[option.name]
        groups = [part for part in (hint, *get_args(hint)) if is_dataclass(part)]
        lacking += [name for group in groups for name in without_help(group)]
        if not groups and not option.metadata["help"]:
            lacking.append(f"{options.__name__}.{option.name}")
        assert "\n" not in option.metadata["help"]
    return lacking


@pytest.mark.parametrize("options", [*OURS, *THEIRS])
def test_every_option_is_explained_in_one_paragraph(options: Any) -> None:
    (generator if options in OURS else trainer).fill_help(options)
    assert without_help(options) == []


def test_help_breaks_its_lines_where_the_terminal_ends(monkeypatch, capsys) -> None:
    monkeypatch.setenv("COLUMNS", "100")
    with pytest.raises(SystemExit) as stop:
        launch(["--help"])
    assert stop.value.code == 0
    printed = capsys.readouterr().out
    assert "recursively): its people instead of rendered ones. Give SMPL's own " in printed


def test_the_groups_of_help_have_all_options() -> None:
    trainer.fill_help(FitConfig)
    shown: dict[str, str] = {}
    for part in fields(trainer.in_groups(FitConfig)):
        hint = get_type_hints(trainer.in_groups(FitConfig))[part.name]
        if part.name in FitConfig.HELP_GROUPS.values():
            shown |= {option.name: option.metadata["help"] for option in fields(hint)}
    own = {option.name: option.metadata["help"] for option in fields(FitConfig)}
    assert shown == {name: text for name, text in own.items() if name != "endless"}
