"""The report of a data set: sums over manifests, what is worrying, one page, any file system."""

import json
import re
import shutil
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import cv2
import fsspec
import numpy as np
import pytest

from datagen.common import checksum
from datagen.common.errors import BadInput
from datagen.common.record import SMPL_PARENTS
from datagen.inspect import main as inspect
from datagen.output.layout import Layout
from datagen.output.statistics import total
from datagen.report import page, pictures
from datagen.report.findings import findings
from datagen.report.histogram import Histogram
from datagen.report.reader import DataSetReader
from datagen.report.summary import QuarantineSummary, Summary, summarize

YAW = [5, 1, 1, 1, 1, 1, 1, 1]


def shard_line(index: int, clips: int = 8, flow: float = 2.0) -> dict:
    """A line as datagen.output.statistics makes it."""
    return {
        "kind": "shard", "name": f"shard-{index:06d}.tar", "shard": index, "clips": clips,
        "bytes": 1000, "sha256": "0", "seconds": {"compose": 1.0, "flow": 2.0, "total": 4.0},
        "statistics": {
            "flow": {"mean": flow, "p50": flow, "p95": 3 * flow},
            "visible": 0.9, "occluded": 0.06, "off_frame": 0.04, "totally_occluded": 0.01,
            "camera_step": 1.0, "camera_drift": 10.0,
            "coverage": {"yaw": YAW, "elbow": [4, 3, 2, 1, 0, 0]},
            "followed": {"hip": [1.0, 5.0], "shoulder": [1.0, 5.0], "wrist": [6.0, 10.0],
                         "ankle": [2.0, 10.0]},
            "people": {"gender female": clips // 2, "gender male": clips - clips // 2,
                       "skin tone 3": clips},
        },
    }  # fmt: skip


def write(folder: Path, **manifests: list[dict]) -> DataSetReader:
    """Write a data set without tars."""
    (folder / "shards").mkdir(parents=True)
    metadata = {
        "version": 1, "fingerprint": "f", "config": {"clips": {}, "output": {"seed": 0}},
        "clip_length": 31, "image_size": 224, "fps": 30, "shards": 2, "clips_per_shard": 8,
        "flow": {"name": "dis", "stride": 4}, "split": "train",
    }  # fmt: skip
    (folder / "shards" / "dataset.json").write_text(json.dumps(metadata))
    (folder / "manifests").mkdir()
    for name, lines in manifests.items():
        text = "".join(json.dumps(line) + "\n" for line in lines)
        (folder / "manifests" / f"{name}.jsonl").write_text(text)
    return DataSetReader(str(folder / "shards"))


@pytest.mark.parametrize("shards", [1, 2, 3, 6])
def test_the_median_of_few_shards_is_numpys(shards):
    rng = np.random.default_rng(shards)
    for values in (rng.uniform(0, 100, shards), rng.choice([0.0, 0.31, 90.0], shards)):
        histogram = Histogram(np.array([0, 1, 2, 4, 8, 16, 32, 64]))
        for value in values:
            histogram.add(value, 16)
        for share in (0, 0.25, 0.5, 0.9, 1):
            expected = np.quantile(np.repeat(values, 16), share)
            assert histogram.quantile(share) == pytest.approx(expected)


def test_shards_add_up_as_the_writer_adds_them(tmp_path):
    lines = [shard_line(0), shard_line(1, clips=24, flow=4.0)]
    shards = summarize(write(tmp_path, shards=lines)).shards
    expected = total(lines)
    assert (shards.shards, shards.clips, shards.bytes) == (2, 32, 2000)
    assert shards.histograms["flow.mean"].mean == pytest.approx(expected["flow"]["mean"])
    assert shards.coverage["yaw"].tolist() == expected["coverage"]["yaw"]
    assert {name: sums.tolist() for name, sums in shards.followed.items()} == expected["followed"]
    assert shards.shown_motion == pytest.approx(
        {"hip": 0.8, "shoulder": 0.8, "wrist": 0.4, "ankle": 0.8}
    )
    assert shards.genders == {"female": 16, "male": 16}
    assert shards.tones["3"] == 32 and shards.tones["10"] == 0 and len(shards.tones) == 10
    assert shards.seconds["flow"] == 4


def test_a_shard_made_again_counts_once_and_a_torn_line_not_at_all(tmp_path):
    source = write(tmp_path, shards=[shard_line(0, clips=3), shard_line(1), shard_line(0)])
    with open(tmp_path / "manifests" / "shards.jsonl", "a") as file:
        file.write('{"shard": 2, "cl')
    assert [line["clips"] for line in source.latest("shards", "shard")] == [8, 8]


def test_people_scenes_and_quarantine_are_summed(tmp_path):
    clip = {"frames": 100, "gender": "male", "in_view": [[0, 60]], "betas": [1.0, 0, 0],
            "look": {"skin_tone": 4, "garments": ["plain blue shorts"]}}  # fmt: skip
    body = {"kind": "body", "name": "walk_2_mirrored", "subject": "walk", "bytes": 10,
            "frames": 200, "clips": [clip, {**clip, "betas": [-1.0, 0, 0]}]}  # fmt: skip
    window = {"start": 0, "segments": 30, "inliers": 9, "inlier_ratio": 0.9, "max_shift": 1.5,
              "drift": 7.0}  # fmt: skip
    scene = {"kind": "background", "name": "a", "group": "a", "bytes": 5, "windows": [window] * 2,
             "rejected": {"cut": 3}}  # fmt: skip
    bad = [{"kind": "input", "name": f"v{i}", "reason": f"/x/v{i}.mp4 has {i} frames"}
           for i in range(3)]  # fmt: skip
    source = write(
        tmp_path, shards=[shard_line(0)], bodies=[body], backgrounds=[scene], quarantine=bad
    )
    summary = summarize(source)
    people, scenes = summary.people, summary.scenes
    assert people.motions == {"walk": 200} and people.frames_in_view == 120
    assert people.betas.mean.tolist() == [0, 0, 0] and people.betas.deviation[0] == 1
    assert people.garments == {"shorts": 2}
    # The library has more than the clips show, so both say which they count.
    assert "library: 1 motion, mirror images included, of 1 subject became 2 people" in page.people(
        summary
    )
    assert "library: 2 windows of 1 scene of 1 group" in page.scenes(summary)
    assert scenes.windows == 2 and scenes.rejected == {"cut": 3}
    assert scenes.histograms["drift"].mean == 7
    assert summary.quarantine.count == 3 and len(summary.quarantine.reasons) == 1


def test_what_was_repaired_later_is_not_in_quarantine(tmp_path):
    bad = [{"kind": "footage", "name": name, "reason": "broken"} for name in ("a", "b")]
    bad += [{"kind": "shard", "name": shard_line(i)["name"], "reason": "broken"} for i in (1, 2)]
    made = [{**shard_line(0), "source": "a"}, shard_line(1)]
    left = summarize(write(tmp_path, shards=made, quarantine=bad)).quarantine
    assert [line["name"] for line in left.lines] == ["b", "shard-000002.tar"]


def test_footage_is_known_by_its_own_frames(tmp_path):
    made = [{**shard_line(i), "statistics": {"frames": 900}} for i in range(3)]
    bad = [{"kind": "footage", "name": "b", "reason": "broken"}]
    summary = summarize(write(tmp_path, shards=made, quarantine=bad))
    summary.dataset.update(real=True, clip_length=288)
    html = page.header(summary, "name")
    assert "Real footage: clips of at most 288 frames" in html
    assert "<b>90 s</b><span>of video" in html
    assert "In quarantine: 1 inputs or shards (25%), see below." in html


def levels(summary: Summary) -> dict[str, str]:
    return {finding.text: finding.level for finding in findings(summary)}


def test_findings_tell_good_from_worrying(tmp_path):
    good = summarize(write(tmp_path / "a", shards=[shard_line(0, 8), shard_line(1, 8)]))
    assert "bad" not in levels(good).values()
    good.shards.coverage["yaw"] = np.array([99, 1])
    title = "Direction people face"
    assert any(title in text for text in levels(good)) and f"<h3>{title}" in page.balance(good)
    assert levels(good)["Complete: 2 shards, 16 clips."] == "good"
    shown = "80% of the shoulders' and hips' motion, 60% of wrists' and ankles'."
    assert levels(good)[f"The flow explains {shown}"] == "good"
    assert "<td>hips</td>" in page.distributions(good)
    late = [shard_line(0, 8)]
    late[0]["statistics"]["followed"] |= {"hip": [9.0, 10.0], "shoulder": [9.0, 10.0]}
    found = levels(summarize(write(tmp_path / "late", shards=late)))
    assert any("hardly follows" in text for text, level in found.items() if level == "bad")

    short = summarize(write(tmp_path / "b", shards=[shard_line(0, 8, flow=0.05)]))
    found = levels(short)
    assert any("1 of 2 shards" in text for text, level in found.items() if level == "bad")
    assert any("almost zero" in text for text, level in found.items() if level == "bad")

    big = [shard_line(0, 200), shard_line(1, 200)]
    big[0]["statistics"]["people"] = {"gender male": 200, "skin tone 3": 200}
    found = levels(summarize(write(tmp_path / "c", shards=big)))
    assert any("skin tone 1, 2, 4" in text for text, level in found.items() if level == "bad")
    assert found["Genders: female 25%, male 75%."] == "bad"
    assert any("fewer than" in text or "clips of 8" in text for text in found)


def test_the_quarantine_keeps_its_first_lines_only():
    quarantine = QuarantineSummary()
    for i in range(1000):
        quarantine.add({"kind": "input", "name": f"n{i}", "reason": "broken"})
    assert quarantine.count == 1000 and len(quarantine.lines) == 200


class Balanced(HTMLParser):
    """Checks that every tag is closed and nothing is loaded from elsewhere."""

    VOID = frozenset({"img", "input", "meta", "br"})

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []

    def handle_starttag(self, tag, attrs):
        if tag not in self.VOID:
            self.open.append(tag)
        for name, value in attrs:
            if name in ("src", "href"):
                assert value.startswith("data:"), value

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def checked(html: str) -> str:
    parser = Balanced()
    parser.feed(html)
    assert not parser.open
    assert "http" not in re.sub(r"data:[^\"]*|http://www.w3.org/\S*", "", html)
    return html


def test_the_page_is_whole_without_any_picture(tmp_path):
    lines = [{"kind": "input", "name": "<b>evil", "reason": "a & b < c"}]
    source = write(tmp_path, shards=[shard_line(0), shard_line(1)], quarantine=lines)
    html = checked(page.page(summarize(source), "name", "where"))
    assert "&lt;b&gt;evil" in html and "a &amp; b &lt; c" in html and "<b>evil" not in html
    empty = checked(page.page(summarize(write(tmp_path / "empty")), "name", "where"))
    assert "No shard is finished" in empty


def test_clips_are_read_from_the_first_of_spread_shards(small_set):
    source = DataSetReader(str(small_set))
    records = list(pictures.chosen(source, [0, 1], 3))
    assert [record.key for record in records] == ["000000_0000", "000000_0001", "000001_0000"]
    record = records[0]
    assert record.frames is not None and record.frames.shape == (6, 64, 64, 3)
    assert record.flow.shape[0] == 6 and record.meta["person"]
    assert source.record("000001_0001").key == "000001_0001"
    with pytest.raises(BadInput, match="000001_0099"):
        source.record("000001_0099")


def test_a_clip_composed_anew_is_the_one_in_the_shard(small_set):
    source = DataSetReader(str(small_set))
    for record in pictures.chosen(source, [0, 1], 4):
        clip = pictures.recompose(source, record).clip
        for name, value in record.labels.items():
            assert np.array_equal(getattr(clip, name), value), name


def test_the_film_and_the_skeleton_are_the_clips(small_set):
    record = next(pictures.chosen(DataSetReader(str(small_set)), [0], 1))
    film = pictures.film(record, side=64)
    assert film.shape == (6 * 128, 128, 3)
    shown = record.labels["occluded"] == 0
    first = int(np.flatnonzero(shown)[0])
    assert np.array_equal(film[first * 128 : first * 128 + 64, :64], record.frames[first])
    html = pictures.player(record)
    data = json.loads(re.findall(r'application/json">(.*?)</script>', html)[0])
    joints = np.array(data["joints"])
    assert joints.shape == (6, 24, 3) and len(data["bones"]) == 23
    true = record.labels["joints3d"][:, :24]
    for parent, child, _ in data["bones"]:
        assert parent == SMPL_PARENTS[child]
        found = np.linalg.norm(joints[:, child] - joints[:, parent], axis=-1)
        assert np.allclose(
            found, np.linalg.norm(true[:, child] - true[:, parent], axis=-1), atol=2e-3
        )
    assert abs(joints[:, 0].mean(axis=0)).max() < 1e-3


def test_a_long_piece_is_played_as_far_as_a_jpeg_holds(small_set):
    record = next(pictures.chosen(DataSetReader(str(small_set)), [0], 1))
    assert "of 6 frames" not in pictures.player(record)
    labels = {name: np.repeat(value, 32, 0) for name, value in record.labels.items()}
    long = replace(record, labels=labels, flow=np.repeat(record.flow, 32, 0), frames=None)
    html = pictures.player(long)
    assert "The first 186 of 192 frames." in checked(html)
    data = json.loads(re.findall(r'application/json">(.*?)</script>', html)[0])
    assert len(data["joints"]) == 186


def test_the_command_writes_one_page_or_a_folder(small_set, tmp_path, capsys):
    assert inspect([str(small_set), "--clips", "2", "--out", str(tmp_path / "one.html")]) == 0
    assert [path.name for path in tmp_path.iterdir()] == ["one.html"]
    html = checked((tmp_path / "one.html").read_text())
    assert "superpixel" in html and "Complete: 2 shards, 4 clips." in html
    assert inspect([str(small_set), "--clips", "2", "--out", str(tmp_path / "folder")]) == 0
    names = sorted(path.name for path in (tmp_path / "folder").iterdir())
    assert names == ["clip-000000_0000.png", "clip-000001_0000.png", "report.html", "sources.png"]
    sheet = cv2.imread(str(tmp_path / "folder" / "sources.png"))
    assert sheet is not None and sheet.shape[1] == 7 * 162 - 2
    assert inspect([str(tmp_path), "--out", str(tmp_path / "x.html")]) == 2
    assert "dataset.json" in capsys.readouterr().err
    assert inspect([str(small_set), "--clips", "401"]) == 2
    assert "--clips must lie in [1, 400], got 401" in capsys.readouterr().err


def test_without_its_library_the_clips_are_shown_from_their_records(small_set, tmp_path, capsys):
    copy = tmp_path / "copy"
    shutil.copytree(small_set, copy / "shards")
    shutil.copytree(small_set.parent / "manifests", copy / "manifests")
    assert inspect([str(copy / "shards"), "--out", str(tmp_path / "x.html")]) == 0
    assert "--library" in capsys.readouterr().out
    assert "superpixel outlined" not in (tmp_path / "x.html").read_text()


def test_a_library_elsewhere_is_found_by_the_saved_options(small_set, tmp_path, capsys):
    """As datagen.verify finds what --library named when the shards were made."""
    copy = tmp_path / "copy"
    shutil.copytree(small_set, copy / "shards")
    shutil.copytree(small_set.parent / "manifests", copy / "manifests")
    layout = Layout(copy / "shards")
    saved = json.loads(layout.config.read_text())
    saved["options"]["output"]["library"] = str(small_set.parent / "library")
    layout.config.write_text(json.dumps(checksum.added(checksum.removed(saved))))
    assert inspect([str(copy / "shards"), "--out", str(tmp_path / "x.html")]) == 0
    assert "without their sources" not in capsys.readouterr().out
    assert "superpixel outlined" in (tmp_path / "x.html").read_text()


def test_a_remote_data_set_is_read_by_ranges(small_set, tmp_path, capsys):
    memory = fsspec.filesystem("memory")
    memory.put(str(small_set.parent / "manifests"), "/far/manifests", recursive=True)
    memory.put(str(small_set), "/far/shards", recursive=True)
    try:
        source = DataSetReader("memory://far/shards")
        assert source.name == "far" and not source.local
        near = DataSetReader(str(small_set)).record("000001_0001")
        far = source.record("000001_0001")
        assert np.array_equal(near.flow, far.flow) and near.meta == far.meta
        assert inspect(["memory://far/shards", "--out", str(tmp_path / "far.html")]) == 0
        assert "remote" in capsys.readouterr().out
        checked((tmp_path / "far.html").read_text())
    finally:
        memory.rm("/far", recursive=True)


def test_a_url_that_nothing_reads_is_one_sentence(capsys):
    assert inspect(["foo://bucket/shards"]) == 2
    error = capsys.readouterr().err
    assert "foo://bucket/shards cannot be opened: Protocol not known" in error
    assert error.count("\n") == 1


def test_a_damaged_shard_is_named(small_set, tmp_path, capsys):
    copy = tmp_path / "shards"
    shutil.copytree(small_set, copy)
    shutil.copytree(small_set.parent / "manifests", tmp_path / "manifests")
    path = copy / "shard-000000.tar"
    path.write_bytes(path.read_bytes()[:3000])
    assert inspect([str(copy), "--out", str(tmp_path / "x.html")]) == 2
    error = capsys.readouterr().err
    assert "shard-000000.tar" in error and "datagen.verify" in error and error.count("\n") == 1


def test_shards_of_keypoints_alone_have_a_page_without_pictures(tmp_path, capsys):
    from footage_world import filmed, walk

    from datagen.footage.dataset import ingest
    from datagen.footage.options import FootageConfig
    from datagen.footage.video_source import FootageVideo

    video, keypoints = filmed(tmp_path, "walker", [walk(12)])
    cfg = FootageConfig(out=tmp_path / "shards", image_size=64, keypoints_only=True)
    ingest([FootageVideo(video, "walker", keypoints, layout="limbs")], cfg)
    capsys.readouterr()
    report = tmp_path / "report.html"
    assert inspect([str(tmp_path / "shards"), "--out", str(report)]) == 0
    printed = capsys.readouterr().out
    assert printed == f"Look at: {report} (1 record of keypoints only, without pictures)\n"
    html = checked(report.read_text())
    assert "Real footage, only keypoints" in html and "flow by" not in html


def test_real_footage_is_shown_too(tmp_path, capsys):
    from footage_world import filmed, walk

    from datagen.ingest import main as ingest

    video, keypoints = filmed(tmp_path / "films", "walker", [walk(12)])
    out = tmp_path / "real"
    assert ingest(["video", str(video), "--keypoints", str(keypoints), "--out", str(out)]) == 0
    assert inspect([str(out), "--out", str(tmp_path / "pictures")]) == 0
    html = checked((tmp_path / "pictures" / "report.html").read_text())
    assert "Real footage" in html and "Complete: 1 shard, 1 clip." in html
    assert "Balance" not in html and "No input is in quarantine" not in html
    assert html.count("<canvas") == 1  # nothing is known in 3D
    assert (tmp_path / "pictures" / "clip-000000_0000.png").stat().st_size > 10_000
