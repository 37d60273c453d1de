"""--config FILE: the same options as on the command line, which wins; refusals that name them."""

import json
from dataclasses import asdict

import pytest
import yaml

from datagen.common import cli as generator
from datagen.launcher import saved_options
from datagen.launcher.config import LaunchConfig
from datagen.output.layout import Layout
from trainer.common import cli as learner
from trainer.common import config_file as trainers
from trainer.errors import BadInput
from trainer.training.options import FitConfig
from trainer.training.run_folder import plain


def launched(*args: str) -> LaunchConfig:
    parsed: list[LaunchConfig] = []
    status = generator.run(LaunchConfig, lambda cfg: parsed.append(cfg) or 0, "", list(args))
    assert status == 0
    return parsed[0]


def fitted(monkeypatch, *args: object) -> FitConfig:
    parsed: list[FitConfig] = []
    monkeypatch.setattr("sys.argv", ["fit", *map(str, args)])
    learner.run(FitConfig, parsed.append, "")
    return parsed[0]


LAUNCH = {
    "num_shards": 7,
    "bodies": {"stride": 9, "camera_pitch": [-10, 30], "motions": ["amass", "embedded"]},
    "rgb": False,
    "flow": {"flow": "pwc"},
}
AS_WORDS = (
    "--num-shards 7 --stride 9 --camera-pitch -10 30 --motions amass embedded --no-rgb --flow pwc"
)


@pytest.mark.parametrize("kind", ["json", "yaml", "toml"])
def test_a_config_file_equals_the_command_line(tmp_path, kind) -> None:
    file = tmp_path / f"run.{kind}"
    if kind == "toml":
        tables = "[bodies]\nstride = 9\ncamera-pitch = [-10, 30]\nmotions = ['amass', 'embedded']\n"
        file.write_text(f"num-shards = 7\nrgb = false\n{tables}[flow]\nflow = 'pwc'\n")
    else:
        file.write_text(json.dumps(LAUNCH) if kind == "json" else yaml.safe_dump(LAUNCH))
    assert launched("--config", str(file)) == launched(*AS_WORDS.split())
    won = launched("--stride", "4", f"--config={file}", "--rgb")
    assert (won.bodies.stride, won.output.rgb, won.output.num_shards) == ((4,), True, 7)


def test_a_launchs_config_json_is_a_config_file(tmp_path) -> None:
    cfg = launched(*AS_WORDS.split(), "--out", str(tmp_path / "shards"), "--body", "some body.npz")
    layout = Layout(cfg.output.out)
    layout.manifests.mkdir(parents=True)
    file = tmp_path / "config.json"
    options = saved_options._plain(asdict(cfg))
    file.write_text(json.dumps({"fingerprint": "x", "options": options}))
    assert launched("--config", str(file)) == cfg


def test_a_runs_config_json_is_a_config_file(tmp_path, monkeypatch) -> None:
    words = "--shards a --clips endless --head joints --inputs keypoints --keypoints coordinates"
    words += " --endless.noise 0.5 --endless.pitch -5 40 --endless.no-mirror --val-shards b c"
    cfg = fitted(monkeypatch, *words.split())
    assert cfg.endless.pitch == (-5, 40) and not cfg.endless.mirror
    file = tmp_path / "config.json"
    file.write_text(json.dumps(plain(cfg)))
    assert fitted(monkeypatch, "--config", file) == cfg
    assert fitted(monkeypatch, "--config", file, "--endless.noise", 0.25).endless.noise == 0.25


@pytest.mark.parametrize(
    "name, text, reason",
    [
        ("a.yaml", "strid: 3", "no option strid; do you mean stride?"),
        ("a.yaml", "bodies: {flow: pwc}", "no option bodies.flow"),
        ("a.yaml", "[1, 2]", "holds a list instead of options"),
        ("a.yaml", "a: [", "is not YAML"),
        ("a.yaml", "a: !!python/object/apply:os.system [true]", "is not YAML"),
        ("a.toml", "a = ", "is not TOML"),
        ("a.json", "{", "is not JSON"),
        ("a.json", "[" * 100_000, "is not JSON"),
        ("a.ini", "", "is not a .toml, .yaml or .json file"),
        ("a.json", '{"motions": [{}]}', "motions must be a list of plain values"),
    ],
)
def test_an_unusable_config_file_is_named(tmp_path, name, text, reason, capsys) -> None:
    file = tmp_path / name
    file.write_text(text)
    assert generator.run(LaunchConfig, lambda cfg: 0, "", ["--config", str(file)]) == 2
    printed = capsys.readouterr().err
    assert printed.startswith(f"error: --config {file}") and reason in printed
    assert printed.count("\n") == 1


def test_a_value_of_another_kind_is_refused_by_the_parser(tmp_path, capsys) -> None:
    file = tmp_path / "a.json"
    file.write_text('{"stride": "many"}')
    assert generator.run(LaunchConfig, lambda cfg: 0, "", ["--config", str(file)]) == 2
    assert "--stride takes a whole number or several, not many" in capsys.readouterr().err


def test_a_missing_file(tmp_path) -> None:
    with pytest.raises(BadInput, match=r"gone.yaml does not exist$"):
        trainers.expand(FitConfig, ["--config", str(tmp_path / "gone.yaml")], prefixes=True)
    with pytest.raises(BadInput, match="needs a file"):
        trainers.expand(FitConfig, ["--config"], prefixes=True)


@pytest.mark.parametrize("command", ["launch", "ingest"])
def test_help_names_config_where_it_is_available(command, capsys) -> None:
    from importlib import import_module

    with pytest.raises(SystemExit):
        import_module(f"datagen.{command}").main(["--help"])
    assert ("--config FILE" in capsys.readouterr().out) == (command == "launch")
