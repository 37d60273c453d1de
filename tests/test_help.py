"""--help explains every option of every command, wrapped to the terminal's width.

A wrong command line is refused in one sentence.
"""

import os
import re
import subprocess
import sys
from dataclasses import fields, is_dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, get_args, get_type_hints

import pytest

from datagen.common import usage as generator
from datagen.doctor import DoctorConfig
from datagen.flow.training.options import TrainFlowConfig
from datagen.ingest import IngestConfig
from datagen.inspect import InspectConfig
from datagen.launch import main as launch
from datagen.launcher.config import LaunchConfig
from datagen.publish import PublishConfig
from datagen.replay.options import OverlayConfig
from datagen.verify import VerifyConfig
from trainer.common import cli
from trainer.common import usage as trainer
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
    """Return the options without a docstring; a group has that of its class."""
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
    assert "recursively), to use its people instead of rendered ones. Give SMPL's own" in printed
    assert "\n\n\n" not in printed and "shards.\n    python -m datagen.launch --num" in printed


@pytest.mark.parametrize("command", ["datagen.publish", "trainer.compare"])
@pytest.mark.parametrize("buffered", ["", "1"])
def test_help_may_be_read_in_part(command: str, buffered: str) -> None:
    """`--help | head -1`: the reader goes after a line, or before the first."""
    process = subprocess.Popen(
        [sys.executable, "-m", command, "--help"],
        cwd=Path(__file__).parents[1], env={**os.environ, "PYTHONUNBUFFERED": buffered},
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    assert process.stdout
    process.stdout.close()
    _, errors = process.communicate()
    assert errors == b""


def test_the_groups_of_help_have_all_options() -> None:
    trainer.fill_help(FitConfig)
    shown: dict[str, str] = {}
    for part in fields(cli.in_groups(FitConfig)):
        hint = get_type_hints(cli.in_groups(FitConfig))[part.name]
        if part.name in FitConfig.HELP_GROUPS.values():
            shown |= {option.name: option.metadata["help"] for option in fields(hint)}
    own = {option.name: option.metadata["help"] for option in fields(FitConfig)}
    assert shown == {name: text for name, text in own.items() if name != "endless"}


@pytest.mark.parametrize(
    "command", ["datagen.launch", "datagen.overlay", "datagen.ingest video", "trainer.fit"]
)
def test_help_shows_no_meaningless_defaults(command: str, monkeypatch, capsys) -> None:
    module, *words = command.split()
    monkeypatch.setattr("sys.argv", [module, *words, "--help"])
    with pytest.raises(SystemExit):
        import_module(module).main()
    printed = capsys.readouterr().out
    assert "{None" not in printed and "default: None" not in printed
    assert "(default: )" not in printed
    assert "PATH" in printed and "(optional)" in printed and "(default: " in printed


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("datagen.overlay a.mp4 --persons all",
         "there is no option --persons (do you mean --person?)"),
        ("datagen.overlay a.mp4 --smooth six", "--smooth takes a number, not six"),
        ("datagen.overlay a.mp4 --people=2.5", "--people takes a whole number, not 2.5"),
        ("datagen.overlay a.mp4 --export fbx",
         "--export must be bvh, trc, mot or json, not fbx"),
        ("datagen.overlay a.mp4 --person", "--person needs a value"),
        ("datagen.launch --camera-pitch 3 up --no-rgb",
         "--camera-pitch takes a number and a number, not 3 up"),
        ("datagen.launch --stride 3 x", "--stride takes a whole number or several, not 3 x"),
        ("datagen.ingest", "give one of video, 3dpw, pose2sim, aspset first"),
        ("datagen.ingest vidoe a.mp4", "unexpected argument vidoe (do you mean video?)"),
        ("datagen.ingest video a.mp4 --detectr mediapipe",
         "there is no option --detectr (do you mean --detector?)"),
        ("datagen.inspect", "SHARDS must be given"),
        ("trainer.predict", "--shards must be given"),
        ("trainer.fit --resume runs/b/last.pt",
         "--shards must be given, or --config runs/b/config.json"),
        ("trainer.predict --shard x", "there is no option --shard (do you mean --shards?)"),
        ("trainer.fit --shards x --steps many", "--steps takes a whole number, not many"),
    ],
)  # fmt: skip
def test_a_wrong_command_line_is_refused_in_one_sentence(
    line: str, sentence: str, monkeypatch, capsys
) -> None:
    command, *words = line.split()
    monkeypatch.setattr("sys.argv", [command, *words])
    try:
        status = import_module(command).main()
    except SystemExit as stop:
        status = stop.code
    error = capsys.readouterr().err
    assert status == 2
    assert error.startswith(f"error: {sentence}; see ") and error.endswith(" --help\n")
    assert error.count("\n") == 1


def test_both_programs_have_the_same_module() -> None:
    texts = {
        name: Path(module.__file__).read_text().replace(errors, "")
        for name, module, errors in (
            ("datagen", generator, "datagen.common.errors"),
            ("trainer", trainer, "trainer.errors"),
        )
    }
    assert texts["datagen"] == texts["trainer"]


def test_the_next_command_looks_alike_everywhere() -> None:
    """A line that begins with "Next:", and the command from there on; nothing before it."""
    root = Path(__file__).parents[1]
    files = [
        path
        for name in ("datagen", "trainer", "benchmarks")
        for path in root.glob(f"{name}/**/*.py")
    ]
    lines = [
        line.strip()
        for path in [*files, root / "demo.sh", root / "setup.sh"]
        for line in path.read_text().splitlines()
        if re.search(r"\bnext\b.*(python -m|make demo)", line, re.I)
    ]
    assert len(lines) > 12
    for line in lines:
        assert re.search(r"""["']Next: (\.venv/bin/)?(python -m|make) """, line), line


def test_the_demo_evaluates_the_checkpoint_that_fit_names() -> None:
    """With --val-shards, trainer.fit names best.pt as the one to use."""
    commands = (Path(__file__).parents[1] / "demo.sh").read_text().replace("\\\n", "")
    assert "--val-shards" in commands
    assert re.findall(r"--checkpoint demo/run/(\S+)", commands) == ["best.pt"]
