"""Splits published as one repository: arranged, read by datasets and by the trainer, refused."""

import hashlib
import json
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest
import yaml

from datagen.launcher.identity import describe
from datagen.output import card, dataset, publication, shard
from datagen.output.layout import Layout
from datagen.output.manifest import Manifest
from datagen.publish import main as publish
from datagen.verify import main as verify
from tests.reliability import damage
from trainer.data.dataset import open_dataset
from trainer.data.loader import read_clips, wanted_arrays


def write(folder: Path, split: str, **changes: object) -> Path:
    """Write a finished split of noise."""
    layout = Layout(folder / "shards")
    layout.shards.mkdir(parents=True)
    options = damage.configuration(len(split))
    content = describe(options, "dis", 4, 0) | {"split": split} | changes
    dataset.write(layout, content)
    layout.body.write_bytes(b"a body")
    lines = {}
    for index in range(damage.SHARDS):
        made = shard.write(
            layout.shard(index), damage.records(index, len(split)), content["fingerprint"]
        )
        statistics = {"frames": 0}
        lines[index] = {"shard": index, **made, "statistics": statistics}
        Manifest(layout.manifests / "shards.jsonl").append(lines[index])
    card_statistics = card._statistics
    card._statistics = lambda lines: ""  # of noise
    try:
        card.write(layout, lines)
    finally:
        card._statistics = card_statistics
    return layout.shards


@pytest.fixture(scope="module")
def splits(tmp_path_factory) -> list[Path]:
    folder = tmp_path_factory.mktemp("splits")
    return [write(folder / name, name) for name in ("train", "val", "test")]


@pytest.fixture(scope="module")
def published(splits, tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("published") / "set"
    assert publish([*map(str, splits), "--to", str(out), "--write"]) == 0
    return out


def test_nothing_is_written_until_asked(splits, tmp_path, capsys):
    out = tmp_path / "x"
    assert publish([*map(str, splits), "--to", str(out)]) == 0
    printed = capsys.readouterr().out
    assert not out.exists() and "Nothing was written" in printed and "validation" in printed


def test_a_folder_has_the_splits_one_card_and_every_file_in_croissant(splits, published):
    assert {path.name for path in published.iterdir()} == {
        "README.md", "croissant.json", "train", "validation", "test",
    }  # fmt: skip
    front = yaml.safe_load((published / "README.md").read_text().split("---")[1])
    (config,) = front["configs"]
    assert config["data_files"] == [
        {"split": name, "path": f"{name}/shard-*.tar"} for name in ("train", "validation", "test")
    ]
    content = json.loads((published / "croissant.json").read_text())
    assert content["rai:personalSensitiveInformation"][0].startswith("None")
    for name in ("rai:dataCollection", "rai:dataBiases", "rai:dataUseCases"):
        assert len(content[name]) > 50
    listed = {file["contentUrl"]: file for file in content["distribution"] if "sha256" in file}
    files = {str(p.relative_to(published)) for p in published.rglob("*") if p.is_file()}
    assert {one["name"] for one in content["recordSet"]} >= {"train/labels", "test/flow"}
    assert files == listed.keys() | {"README.md", "croissant.json"}
    for name, file in listed.items():
        assert file["sha256"] == hashlib.sha256((published / name).read_bytes()).hexdigest()


def test_each_split_is_still_a_data_set(splits, published):
    assert verify([str(published / "train")]) == 0
    clips = list(read_clips(open_dataset(published / "validation"), wanted_arrays("flow")))
    assert len(clips) == damage.SHARDS * damage.CLIPS


def test_the_same_command_again_and_a_folder_of_something_else(splits, published, tmp_path, capsys):
    assert publish([*map(str, splits), "--to", str(published), "--write"]) == 0
    (tmp_path / "mine").write_text("x")
    assert publish([*map(str, splits), "--to", str(tmp_path), "--write"]) == 2
    assert "holds something else" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("case", "words"),
    [
        ("real", "footage of real people"),
        ("shard", "is missing or has another size"),
        ("croissant", r"no readable croissant.json"),
        ("unfinished", "has 3 of 9 shards"),
        ("other", "differ in image_size"),
        ("twice", "two of the folders are the split train"),
        ("many", "allows fewer than"),
        ("place", "--to takes a folder or hf://"),
    ],
)
def test_what_cannot_be_published_is_one_sentence(tmp_path, capsys, monkeypatch, case, words):
    changes = {"real": {"real": True}, "unfinished": {"shards": 9}}.get(case, {})
    folder = write(tmp_path / "a", "train", **changes)
    folders, to = [folder], "x"
    if case == "shard":
        (folder / "shard-000001.tar").write_bytes(b"")
    elif case == "croissant":
        (folder / "croissant.json").unlink()
    elif case == "other":
        folders.append(write(tmp_path / "b", "val", image_size=64))
    elif case == "twice":
        folders.append(write(tmp_path / "b", "train"))
    elif case == "many":
        monkeypatch.setattr(publication, "MOST_FILES", 5)
    elif case == "place":
        to = "s3://bucket/x"
    assert publish([*map(str, folders), "--to", to, "--write"]) == 2
    printed = capsys.readouterr().err
    assert words in printed and printed.count("\n") == 1


def test_an_upload_commits_every_file_and_the_card_last(splits, published, monkeypatch):
    """Against a stand-in of huggingface_hub's two calls: the hub itself was not at hand."""
    commits: list[list[str]] = []
    held: set[str] = set()

    class HfApi:
        def create_repo(self, name: str, *, repo_type: str, exist_ok: bool) -> None:
            assert (name, repo_type, exist_ok) == ("me/clips", "dataset", True)

        def list_repo_files(self, name: str, *, repo_type: str) -> list[str]:
            return sorted(held)

        def create_commit(self, name, operations, *, commit_message, repo_type) -> None:
            commits.append([one.path_in_repo for one in operations])
            held.update(commits[-1])

    module = ModuleType("huggingface_hub")
    module.HfApi = HfApi  # type: ignore[attr-defined]
    module.CommitOperationAdd = lambda **fields: SimpleNamespace(**fields)  # type: ignore[attr-defined]
    errors = ModuleType("huggingface_hub.errors")
    errors.HfHubHTTPError = OSError  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "huggingface_hub", module)
    monkeypatch.setitem(sys.modules, "huggingface_hub.errors", errors)
    assert publish([*map(str, splits), "--to", "hf://datasets/me/clips", "--write"]) == 0
    assert held == {str(p.relative_to(published)) for p in published.rglob("*") if p.is_file()}
    assert commits[-1] == ["croissant.json", "README.md"]
    commits.clear()
    assert publish([*map(str, splits), "--to", "hf://datasets/me/clips", "--write"]) == 0
    assert commits == [["croissant.json", "README.md"]]


def test_hugging_faces_library_reads_the_splits(published, monkeypatch, tmp_path):
    datasets = pytest.importorskip("datasets")
    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path))
    found = datasets.load_dataset(str(published), streaming=True)
    assert set(found) == {"train", "validation", "test"}
    record = next(iter(found["validation"]))
    exact = shard.read(published / "validation" / "shard-000000.tar")["000000_0000"]
    assert record["__key__"].endswith("000000_0000")
    assert record["meta.json"] == json.loads(exact["meta.json"])


def test_croissants_own_library_accepts_it(published):
    mlcroissant = pytest.importorskip("mlcroissant")
    found = mlcroissant.Dataset(str(published / "croissant.json"))
    assert found.metadata.name.startswith("motion-hmr-")
    assert found.metadata.data_biases and found.metadata.personal_sensitive_information
    record = next(iter(found.records("validation/flow")))
    exact = shard.read(published / "validation" / "shard-000000.tar")
    assert (
        exact[record["validation/flow/key"].decode()]["flow.npy"]
        == record["validation/flow/content"]
    )
