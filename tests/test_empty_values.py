"""An empty value (--out "", as from an unset shell variable) is refused in every command."""

import importlib
import sys
from pathlib import Path

import pytest

COMMANDS = {
    "datagen": ["launch", "ingest", "inspect", "overlay", "doctor", "flow.train", "verify"],
    "trainer": ["fit", "evaluate", "predict", "compare", "export", "tables"],
}


@pytest.mark.parametrize(
    "command", [f"{program}.{name}" for program, names in COMMANDS.items() for name in names]
)
@pytest.mark.parametrize(
    ("words", "named"),
    [
        (["--out", ""], "--out"),
        (["--out="], "--out"),
        (["--out", " "], "--out"),
        ([""], "argument"),
    ],
)
def test_every_command_refuses_an_empty_value(
    command: str, words: list[str], named: str, tmp_path: Path, monkeypatch, capsys
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["program", *words])
    main = importlib.import_module(command).main
    try:
        status = main()
    except SystemExit as stop:
        status = stop.code
    error = capsys.readouterr().err
    assert status == 2 and error.count("\n") == 1
    assert error.startswith("error: ") and f"{named} is empty" in error
    assert not list(tmp_path.iterdir())
