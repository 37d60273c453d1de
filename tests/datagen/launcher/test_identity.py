"""Inputs are known by their content: of files that are read, and of no others."""

import json
import os
import re
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
from instant_tasks import run
from motion_files import bvh_text

from datagen.backgrounds.options import BackgroundsConfig
from datagen.bodies.motion.sources import MotionSource, find_motions
from datagen.bodies.options import BodiesConfig
from datagen.common import checksum
from datagen.common.errors import BadInput, BadOption
from datagen.flow import weights
from datagen.flow.options import FlowConfig
from datagen.launcher import saved_options
from datagen.launcher.config import LaunchConfig
from datagen.launcher.contents import contents
from datagen.launcher.identity import describe, guard, identity
from datagen.launcher.library import add, finished
from datagen.output import dataset, fingerprint
from datagen.output.layout import Layout
from datagen.output.manifest import Manifest
from datagen.output.options import OutputConfig

BVH = "HIERARCHY\nMOTION\nFrames: 1\nFrame Time: {}\n"


@pytest.fixture
def inputs(tmp_path: Path) -> Path:
    """Folders of inputs of every kind; nothing reads more than their names and bytes here."""
    for name in (
        "motions/walk.bvh", "motions/01_01.amc", "motions/01.asf", "videos/a.mp4",
        "textures/male/skin.png", "body/basicmodel_m.npz", "body/smpl_uv.obj",
    ):  # fmt: skip
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(name.encode())
    (tmp_path / "motions/subjects.csv").write_text("walk,one\n")
    return tmp_path


def configured(inputs: Path) -> LaunchConfig:
    return LaunchConfig(
        bodies=BodiesConfig(
            motions=(inputs / "motions",), textures=inputs / "textures", body=inputs / "body"
        ),
        backgrounds=BackgroundsConfig(videos=inputs / "videos"),
        output=OutputConfig(out=inputs / "motions" / "shards", num_shards=1, split="all"),
    )


def changed_in_place(path: Path) -> None:
    """Change a byte; keep size, time and inode."""
    before, content = path.stat(), bytearray(path.read_bytes())
    content[-2] ^= 1
    with path.open("r+b") as file:
        file.write(content)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert (path.stat().st_size, path.stat().st_ino) == (before.st_size, before.st_ino)


@pytest.mark.parametrize(
    "name",
    [
        "motions/walk.bvh", "motions/01.asf", "motions/01_01.amc", "motions/subjects.csv",
        "videos/a.mp4", "textures/male/skin.png", "body/basicmodel_m.npz", "body/smpl_uv.obj",
    ],
)  # fmt: skip
def test_a_file_changed_in_place_is_another_input(inputs: Path, name: str) -> None:
    before = identity(configured(inputs))
    assert identity(configured(inputs)) == before
    changed_in_place(inputs / name)
    now = identity(configured(inputs))
    assert now != before and len(fingerprint.differences(before, now)) == 1


def test_a_file_that_nothing_reads_changes_nothing(inputs: Path) -> None:
    cfg = configured(inputs)
    before = identity(cfg)
    for folder in ("motions", "videos", "textures", "body"):
        for name in (".DS_Store", "README", "notes.txt", "._walk.bvh", ".x/walk.bvh", "Thumbs.db"):
            path = inputs / folder / name
            path.parent.mkdir(exist_ok=True)
            path.write_text(name)
    layout = Layout(cfg.output.out)
    dataset.write(layout, {**describe(LaunchConfig(), "dis", 4, 0), "config": before})
    for name in ("body.npz", "body-male.npz", "shard-000000.tar"):
        (layout.shards / name).touch()
    layout.library.mkdir()
    (layout.library / "x.h5").touch()
    assert identity(cfg) == before
    guard(layout, cfg)
    (inputs / "motions" / "body.npz").touch()  # lies beside no dataset.json: somebody's motion
    assert identity(cfg) != before


def test_only_the_content_of_inputs_that_are_used_counts(inputs: Path) -> None:
    (inputs / "motions" / "run.bvh").write_text("one")
    cfg = configured(inputs)
    cfg = replace(cfg, bodies=replace(cfg.bodies, motions_without="run"))
    before = identity(cfg)
    (inputs / "motions" / "run.bvh").write_text("two")
    assert identity(cfg) == before
    (inputs / "motions" / "run.bvh").rename(inputs / "motions" / "runs.bvh")
    assert identity(cfg) != before  # a name more or less may move subjects between splits


def test_an_older_releases_data_set_is_known_and_another_configuration_is_not(
    tmp_path: Path,
) -> None:
    cfg = LaunchConfig(output=OutputConfig(out=tmp_path, num_shards=1))
    layout = Layout(tmp_path)
    content = describe(cfg, "dis", 4, 0)
    dataset.write(layout, content)
    layout.shard(0).touch()
    guard(layout, cfg)
    bodies = content["config"]["bodies"]
    for old in ({"record": 2}, {"bodies": {**bodies, "motions": ["folder 0123456789abcdef"]}}):
        dataset.write(layout, {**content, "config": {**content["config"], **old}})
        with pytest.raises(BadInput, match=r"older release \(record .*choose another --out"):
            guard(layout, cfg)


def test_flow_weights_that_come_with_the_program_are_part_of_the_identity(monkeypatch) -> None:
    """A release may bring better ones; two kinds of flow must not mix, nor take one name."""
    monkeypatch.setattr(weights, "_embedded", lambda flow: weights.FIRST[flow])
    assert fingerprint.FLOW not in identity(LaunchConfig(flow=FlowConfig(flow="dis")))
    cfg = LaunchConfig(flow=FlowConfig(flow="pwc"))
    before = identity(cfg)
    assert before[fingerprint.FLOW] == "pwc-fb533cc8" and weights.flow_name(cfg.flow) == "pwc"
    monkeypatch.setattr(weights, "_embedded", lambda flow: "01234567")
    assert weights.flow_name(cfg.flow) == "pwc-01234567"
    lines = fingerprint.differences(before, identity(cfg))
    assert lines == ["embedded flow pwc-fb533cc8 → embedded flow pwc-01234567"]
    given = FlowConfig(flow="pwc", flow_weights=weights.EMBEDDED["pwc"])
    monkeypatch.undo()
    assert fingerprint.FLOW not in identity(LaunchConfig(flow=given))
    assert identity(LaunchConfig(flow=given))["flow"]["flow_weights"].startswith("file ")


def test_another_default_flow_is_named_with_the_option_that_keeps_the_former_one(
    tmp_path: Path,
) -> None:
    cfg = LaunchConfig(output=OutputConfig(out=tmp_path, num_shards=1))
    former = replace(cfg, flow=FlowConfig(flow="dis"))
    layout = Layout(tmp_path)
    dataset.write(layout, describe(former, "dis", 4, 0))
    layout.shard(0).touch()
    guard(layout, former)
    with pytest.raises(BadInput, match=r"--flow dis"):
        guard(layout, cfg)


def test_motions_alone_have_no_flow_to_differ_in(tmp_path: Path) -> None:
    cfg = LaunchConfig(output=OutputConfig(out=tmp_path, labels_only=True))
    known = identity(cfg)
    assert known["flow"]["flow"] == "dis" and fingerprint.FLOW not in known  # as it always was
    assert identity(replace(cfg, flow=FlowConfig(flow="dis"))) == known
    with pytest.raises(BadOption, match="omit --flow"):
        replace(cfg, flow=FlowConfig(flow="flownets"))


def test_two_data_sets_of_one_library_take_each_their_own_take_of_a_name(
    instant: None,
    tmp_path: Path,
    capsys,
) -> None:
    """A wrong frame rate is corrected in place: as many bytes, another motion."""
    (tmp_path / "m").mkdir()
    take, a, b = tmp_path / "m" / "take.bvh", tmp_path / "a", tmp_path / "b"
    take.write_text(BVH.format("0.0083333"))
    few = ("--num-shards", "1", "--clips-per-shard", "2", "--split", "all", "--video-limit", "1")
    words = (*few, "--motions", str(tmp_path / "m"))
    assert run(a, *words) == 0
    take.write_text(BVH.format("0.0333333"))
    capsys.readouterr()
    assert run(a, *words) == 2
    assert "--motions content" in capsys.readouterr().err
    assert run(b, *words, "--library", str(a / "library")) == 0
    lines = [Manifest(out / "manifests" / "bodies.jsonl").lines() for out in (a, b)]
    (one,), (two,) = lines
    assert one["name"] == two["name"] == "take" and one["content"] != two["content"]
    found = sorted(path.name for path in (a / "library").glob("bodies-*/*.h5"))
    assert found == sorted(f"take-{line['content'][:12]}.h5" for line in (one, two))


def test_an_input_that_changes_during_the_run_is_not_taken(tmp_path: Path) -> None:
    take, path = tmp_path / "take.bvh", tmp_path / "library" / "take.h5"
    take.write_text("one")
    (source,) = find_motions(tmp_path)
    before = contents([source], "motions")["take"]

    def build(path: Path) -> dict:
        path.parent.mkdir()
        path.write_text("rendered")
        take.write_text("two")
        return {"kind": "body", "name": "take", "bytes": 8}

    with pytest.raises(BadInput, match="was changed during the run"):
        add(path, build, source, before)
    assert not path.exists() and not finished(path.parent, {"take": before})


def test_a_library_of_embedded_sources_is_still_used(tmp_path: Path) -> None:
    """Their assets name the library's folder; releases before wrote no content."""
    line = {"kind": "body", "name": "walk", "bytes": 1, "source_bytes": None}
    (tmp_path / "walk.json").write_text(json.dumps(line))
    (tmp_path / "walk.h5").write_text("x")
    embedded = MotionSource("walk", "one", None)
    assert finished(tmp_path, contents([embedded], "motions")) == {"walk": line}
    assert contents([SimpleNamespace(name="x", path=None, group="g")], "videos") == {"x": None}


def test_own_code_is_an_input_like_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Another text of the module is another data set, with another library of scenes."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path, str(tmp_path)])
    code = tmp_path / "own_code_of_a_test.py"
    code.write_text("class Wall:\n    def render(self): ...\ndef make(): return {'a': Wall()}\n")
    name = "own_code_of_a_test:make"
    known = []
    for change in ("", "# another wall\n"):
        code.write_text(code.read_text() + change)
        scenes = LaunchConfig(backgrounds=BackgroundsConfig(scenes=name))
        known.append(identity(scenes))
        known.append(identity(LaunchConfig(flow=FlowConfig(flow=name))))
    scenes, flow, other_scenes, other_flow = known
    for old, new, option in ((scenes, other_scenes, "scenes"), (flow, other_flow, "flow")):
        (line,) = fingerprint.differences(old, new)
        assert line.startswith(f"code of --{option} ") and " → " in line
    people, walls = zip(*map(fingerprint.library_folders, (scenes, other_scenes)), strict=True)
    assert people[0] == people[1] and walls[0] != walls[1]
    plain = fingerprint.library_folders(identity(LaunchConfig()))[1]
    assert {fingerprint.library_folders(each)[1] for each in (flow, other_flow)} == {plain}


@pytest.mark.parametrize("option", ["scenes", "flow"])
def test_code_that_a_file_names_is_not_run(tmp_path: Path, option: str, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "evil.py").write_text("open('ran', 'w')\ndef make(): return {}\n")
    layout = Layout(tmp_path / "x", tmp_path / "library")
    saved_options.write(layout, LaunchConfig(), {})
    stage = "backgrounds" if option == "scenes" else "flow"
    content = json.loads(layout.config.read_text())
    content["options"][stage][option] = "evil:make"
    layout.config.write_text(json.dumps(checksum.added(content)))  # as who writes code would
    with pytest.raises(BadInput, match=f"--{option} evil:make is code, which only the command"):
        saved_options.read(layout)
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("pictures", [True, False])
def test_a_data_set_whose_performers_are_known_otherwise_is_recognised(
    instant: None, tmp_path: Path, capsys: pytest.CaptureFixture[str], pictures: bool
) -> None:
    """Made by a release that took each take for a person of its own: splits have moved."""
    (tmp_path / "m").mkdir()
    for name in ("07_01-a", "07_02-a"):
        (tmp_path / "m" / f"{name}.bvh").write_text(bvh_text(12))
    words = ["--num-shards", "1", "--split", "all", "--motions", str(tmp_path / "m")]
    words += ["--clips-per-shard", "2", "--video-limit", "1"] if pictures else ["--labels-only"]
    who = tmp_path / "m" / "subjects.csv"
    who.write_text("07_01-a,07_01-a\n07_02-a,07_02-a\n")
    assert run(tmp_path / "x", *words) == 0
    who.unlink()
    capsys.readouterr()
    assert run(tmp_path / "x", *words) == 2
    said = capsys.readouterr().err
    assert re.search(r"was made with (07_0.-a) as the performer of \1, which is now 07", said)
    assert "can be used for training, but to make more, choose another --out" in said
    (tmp_path / "m" / "07_01-a.bvh").write_text(bvh_text(13))
    who.write_text("07_01-a,07_01-a\n07_02-a,07_02-a\n")
    assert run(tmp_path / "x", *words) == 2
    assert "a file there was changed, added or removed" in capsys.readouterr().err


def test_another_flow_network_replaces_none() -> None:
    """DIS has no weights, so nothing is older about it."""
    old = {"flow": {"flow": "dis"}}
    new = {"flow": {"flow": "pwc"}, fingerprint.FLOW: "pwc-01234567"}
    assert "embedded flow none → embedded flow pwc-01234567" in fingerprint.differences(old, new)
    assert "embedded flow pwc-01234567 → embedded flow none" in fingerprint.differences(new, old)
    before = {"flow": {"flow": "pwc"}}  # of a release without the entry
    (line,) = fingerprint.differences(before, new)
    assert line == "embedded flow (older release) → embedded flow pwc-01234567"
