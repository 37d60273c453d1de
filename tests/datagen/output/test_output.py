"""Manifests, layout, fingerprint and guard: what makes a run resumable and refuses a mix."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from datagen.backgrounds.options import BackgroundsConfig
from datagen.bodies.options import BodiesConfig
from datagen.clips.options import ClipsConfig
from datagen.common import checksum
from datagen.common.errors import BadInput, BadOption
from datagen.common.files import whole
from datagen.launcher import saved_options
from datagen.launcher.config import LaunchConfig
from datagen.launcher.identity import describe, guard, identity
from datagen.output import dataset, fingerprint
from datagen.output.layout import Layout
from datagen.output.manifest import Manifest
from datagen.output.options import OutputConfig


def test_whole_leaves_nothing_behind_when_the_writer_fails(tmp_path: Path) -> None:
    target = tmp_path / "a" / "file"
    with pytest.raises(RuntimeError), whole(target) as temporary:
        temporary.write_text("half")
        raise RuntimeError
    assert list(target.parent.iterdir()) == []
    with whole(target) as temporary:
        temporary.write_text("all")
    assert target.read_text() == "all"


def test_manifest_survives_a_torn_last_line(tmp_path: Path) -> None:
    manifest = Manifest(tmp_path / "m.jsonl")
    assert manifest.lines() == []
    manifest.append({"shard": 0, "clips": 1})
    with open(manifest.path, "ab") as file:
        file.write(b'{"shard": 1, "cl')
    assert manifest.lines() == [{"shard": 0, "clips": 1}]
    manifest.append({"shard": 1, "clips": 2})
    manifest.append({"shard": 0, "clips": 3})
    assert [line["shard"] for line in manifest.lines()] == [0, 1, 0]
    assert manifest.latest("shard")[0]["clips"] == 3


def test_manifests_lie_beside_a_folder_called_shards_and_inside_any_other() -> None:
    assert Layout(Path("shards")).manifests == Path("manifests")
    assert Layout(Path("a/shards")).library == Path("a/library")
    assert Layout(Path("out/x")).manifests == Path("out/x/manifests")


def test_fingerprint_ignores_how_many_and_where_but_no_option_that_decides_bytes() -> None:
    base = LaunchConfig()
    of = lambda cfg: fingerprint.digest(identity(cfg))  # noqa: E731
    more = replace(base, output=OutputConfig(num_shards=9, out=Path("elsewhere")))
    assert of(more) == of(base)
    for changed in (
        replace(base, output=OutputConfig(seed=1)),
        replace(base, output=OutputConfig(clips_per_shard=3)),
        replace(base, clips=ClipsConfig(clip_length=16)),
        replace(base, backgrounds=BackgroundsConfig(segments_min=10)),
    ):
        assert of(changed) != of(base)


def test_a_moved_folder_is_the_same_input_and_an_added_file_is_not(tmp_path: Path) -> None:
    def of(folder: Path) -> str:
        cfg = LaunchConfig(backgrounds=BackgroundsConfig(videos=folder))
        return fingerprint.digest(identity(cfg))

    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "x.mp4").write_bytes(b"123")
    first = of(tmp_path / "a")
    (tmp_path / "a").rename(tmp_path / "b")
    assert of(tmp_path / "b") == first
    (tmp_path / "b" / "y.mp4").write_bytes(b"123")
    assert of(tmp_path / "b") != first


def test_other_embedded_assets_make_another_library(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A release with other bodies must not go on with people rendered of the ones before."""
    (tmp_path / "walks").mkdir()
    (tmp_path / "walks" / "walk.npz").write_bytes(b"1")
    cfg = LaunchConfig(output=OutputConfig(out=tmp_path / "x", num_shards=1))
    moved = replace(cfg, bodies=BodiesConfig(motions=(tmp_path / "walks",)))
    before, moved_before = identity(cfg), identity(moved)
    assert before["embedded bodies"] == moved_before["embedded bodies"]
    assert "embedded motions" in before and "embedded motions" not in moved_before
    layout = Layout(tmp_path / "x")
    dataset.write(layout, describe(cfg, "dis", 4, 0))
    layout.shard(0).touch()
    monkeypatch.setattr("datagen.launcher.identity.assets", lambda kind: f"new {kind}")
    people, scenes = fingerprint.library_folders(identity(cfg))
    assert people != fingerprint.library_folders(before)[0]
    assert scenes != fingerprint.library_folders(before)[1]
    with pytest.raises(BadInput, match=r"embedded bodies \w{8} → embedded bodies new"):
        guard(layout, cfg)
    assert len(fingerprint.differences(before, moved_before)) == 1


def test_a_path_where_nothing_is_is_named(tmp_path: Path) -> None:
    missing = LaunchConfig(backgrounds=BackgroundsConfig(videos=tmp_path / "nowhere"))
    with pytest.raises(BadInput, match=r"--videos .*nowhere: no such"):
        identity(missing)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (lambda: BodiesConfig(width=0), "--width"),
        (lambda: BodiesConfig(depth_mean=0), "--depth-mean"),
        (lambda: BackgroundsConfig(slic_compactness=0), "--slic-compactness"),
        (lambda: BackgroundsConfig(min_inlier_ratio=2), "--min-inlier-ratio"),
        (lambda: BackgroundsConfig(max_contest=-0.1), "--max-contest"),
        (lambda: BackgroundsConfig(min_inliers=-1), "--min-inliers"),
        (lambda: LaunchConfig(clips=ClipsConfig(clip_length=100)), "--max-clip-frames 101"),
        (lambda: LaunchConfig(clips=ClipsConfig(image_size=2113)), "--no-rgb"),  # 65,503 px
    ],
)
def test_impossible_options_are_refused(options: Callable[[], object], words: str) -> None:
    with pytest.raises(BadOption, match=words):
        options()


def test_guard_names_the_options_that_differ(tmp_path: Path) -> None:
    cfg = LaunchConfig(output=OutputConfig(out=tmp_path, num_shards=1))
    layout = Layout(tmp_path)
    guard(layout, cfg)
    dataset.write(layout, describe(cfg, "dis", 4, 0))
    guard(layout, replace(cfg, clips=ClipsConfig(occluders=False)))  # no shard yet
    layout.shard(0).touch()
    guard(layout, replace(cfg, output=replace(cfg.output, num_shards=5)))
    with pytest.raises(BadInput, match="--occluders → --no-occluders"):
        guard(layout, replace(cfg, clips=ClipsConfig(occluders=False)))
    with pytest.raises(BadInput, match="no --video-limit → --video-limit 24"):
        guard(layout, replace(cfg, backgrounds=BackgroundsConfig(video_limit=24)))


def test_guard_refuses_shards_of_unknown_origin(tmp_path: Path) -> None:
    (tmp_path / "shard-000000.tar").write_bytes(b"")
    with pytest.raises(BadInput, match=r"no dataset\.json"):
        guard(Layout(tmp_path), LaunchConfig())


def test_dataset_json_is_named_when_missing_or_damaged(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"holds no dataset\.json"):
        dataset.read(Layout(tmp_path))
    (tmp_path / "shards").mkdir()
    (tmp_path / "shards" / "dataset.json").write_text("{}")
    with pytest.raises(BadInput, match=r"do you mean .*/shards\?"):
        dataset.read(Layout(tmp_path))
    (tmp_path / "dataset.json").write_text('{"half')
    with pytest.raises(BadInput, match="damaged"):
        dataset.read(Layout(tmp_path))
    (tmp_path / "dataset.json").write_text('{"flow": {"stride": 0}}')
    with pytest.raises(BadInput, match="stride of flow is 0"):
        dataset.read(Layout(tmp_path))
    motions = {"labels_only": True, "flow": {"stride": 0}}  # without pictures there is no flow
    (tmp_path / "dataset.json").write_text(json.dumps(motions))
    assert dataset.read(Layout(tmp_path)) == motions


def test_dataset_json_says_all_the_trainer_needs() -> None:
    content = json.loads(json.dumps(describe(LaunchConfig(), "dis", 4, 12)))
    assert len(content["joints"]) == 38 and len(content["keypoints"]) == 12
    assert [content["joints"][i] for i in content["evaluation_joints"][:2]] == [
        "lsp_right_ankle",
        "lsp_right_knee",
    ]
    mirror = content["mirror"]
    assert [mirror[i] for i in mirror] == list(range(38))


def test_a_former_options_value_stays_part_of_the_identity(tmp_path: Path) -> None:
    """Data sets of earlier releases are continued, and `verify --repair` reads their options."""
    layout = Layout(tmp_path / "x")
    cfg = LaunchConfig(output=OutputConfig(out=tmp_path / "x", num_shards=1))
    assert identity(cfg)["backgrounds"]["slic_time_spacing"] == 0.25
    saved_options.write(layout, cfg)
    content = json.loads(layout.config.read_text())
    content["options"]["backgrounds"]["slic_time_spacing"] = 0.25
    layout.config.write_text(json.dumps(checksum.added(content)))
    assert saved_options.read(layout) == cfg
    content["options"]["backgrounds"]["slic_time_spacing"] = 0.5
    layout.config.write_text(json.dumps(checksum.added(content)))
    with pytest.raises(BadInput, match="there is no option slic_time_spacing"):
        saved_options.read(layout)


def test_one_stride_is_the_number_that_it_was(tmp_path: Path) -> None:
    cfg = LaunchConfig(
        bodies=BodiesConfig(stride=(9,)), output=OutputConfig(out=tmp_path / "x", num_shards=1)
    )
    assert identity(cfg)["bodies"]["stride"] == 9
    three = replace(cfg, bodies=BodiesConfig(stride=(50, 30, 70)))
    assert identity(three)["bodies"]["stride"] == [50, 30, 70]
    layout = Layout(tmp_path / "x")
    saved_options.write(layout, cfg)
    content = json.loads(layout.config.read_text())
    content["options"]["bodies"]["stride"] = 9
    layout.config.write_text(json.dumps(checksum.added(content)))
    assert saved_options.read(layout) == cfg


def test_data_sets_of_videos_at_their_stored_rate_go_on_so_alone(tmp_path: Path) -> None:
    """Before there was --video-rate, frames were taken as stored; embedded scenes know no rate."""
    assert "video_rate" not in identity(LaunchConfig())["backgrounds"]
    (tmp_path / "videos").mkdir()
    (tmp_path / "videos" / "a.mp4").write_bytes(b"1")
    layout = Layout(tmp_path / "x")
    cfg = LaunchConfig(
        backgrounds=BackgroundsConfig(videos=tmp_path / "videos", video_rate="stored"),
        output=OutputConfig(out=tmp_path / "x", num_shards=1),
    )
    now = replace(cfg, backgrounds=replace(cfg.backgrounds, video_rate="30"))
    assert identity(now)["backgrounds"]["video_rate"] == "30"
    assert "video_rate" not in identity(cfg)["backgrounds"]
    scenes = [fingerprint.library_folders(identity(each))[1] for each in (cfg, now)]
    assert scenes[0] != scenes[1]
    dataset.write(layout, describe(cfg, "dis", 4, 0))
    layout.shard(0).touch()
    guard(layout, cfg)
    with pytest.raises(BadInput, match="--video-rate stored → --video-rate 30"):
        guard(layout, now)
    saved_options.write(layout, cfg)
    content = json.loads(layout.config.read_text())
    del content["options"]["backgrounds"]["video_rate"]
    layout.config.write_text(json.dumps(checksum.added(content)))
    assert saved_options.read(layout) == cfg
