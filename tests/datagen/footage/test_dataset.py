"""Videos with keypoints become records: right pixels, right frames, any length, nothing twice."""

import json
import shutil
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
import torch
from footage_world import film, filmed, records, turn, walk
from trainer_fixtures import network

from datagen import ingest, verify
from datagen.common.errors import BadInput
from datagen.common.frames import read_frames
from datagen.common.record import JOINTS, KEYPOINTS
from datagen.footage.video_source import FootageVideo, named
from trainer.data.dataset import open_dataset
from trainer.data.loader import read_clips, wanted_arrays
from trainer.data.records import Damaged
from trainer.errors import BadInput as NoTruth

LIMBS = [JOINTS.index(name) for name in KEYPOINTS]


def run(*args: object) -> int:
    return ingest.main([str(arg) for arg in args])


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    """A data set of one walker, unseen for a while, and a folder with what it was made of."""
    root = tmp_path_factory.mktemp("made")
    points = walk(60)
    points[20:26, :, 2] = 0
    video, keypoints = filmed(root, "walker", [points])
    assert run("video", video, "--keypoints", keypoints, "--out", root / "out") == 0
    return root


class TestRecord:
    def test_joints_lie_on_their_pixels_in_every_frame(self, made):
        (record,) = records(made / "out")
        checked = 0
        for t in np.flatnonzero(record["occluded"] == 0):
            for limb, (x, y, seen) in enumerate(record["joints2d"][t, LIMBS]):
                if not seen:
                    continue
                r, g, b = record["rgb"][t, round(float(y)), round(float(x))].astype(int)
                left = 3 <= limb <= 5 or limb >= 9
                assert (r > 150 and g < 120) if left else min(r, g, b) > 150, (t, limb, (r, g, b))
                checked += 1
        assert checked > 500

    def test_unseen_frames_are_empty_and_flagged(self, made):
        (record,) = records(made / "out")
        assert np.flatnonzero(record["occluded"]).tolist() == list(range(20, 26))
        assert not record["flow"][20:26].any() and record["flow"][26].any()
        assert record["rgb"][22].max() < 8 and not record["joints2d"][20:26, :, 2].any()

    def test_crop_maps_lead_back_to_the_video(self, made):
        (record,) = records(made / "out")
        maps, source = record["crop"].astype(float), record["source"]
        assert source.tolist() == list(range(60))
        seen = record["joints2d"][:, LIMBS]
        back = (seen[..., :2] - maps[:, None, :, 2]) / maps[:, [0, 1], [0, 1]][:, None]
        truth = walk(60)[..., :2]
        assert np.abs(back - truth)[seen[..., 2] > 0].max() < 1e-3

    def test_flow_follows_the_walker(self, made):
        """The crop follows too, so the wall moves in it as the crop's maps say."""
        (record,) = records(made / "out")
        maps = record["crop"].astype(float)
        for t in (5, 40, 50):
            middle = (112 - maps[t, :, 2]) / maps[t, [0, 1], [0, 1]]
            moved = maps[t + 1, [0, 1], [0, 1]] * middle + maps[t + 1, :, 2] - 112
            wall = np.median(record["flow"][t].astype(float), axis=(1, 2))
            assert wall == pytest.approx(moved, abs=0.5)
            assert abs(moved[0]) > 1

    def test_without_truth_nothing_is_valid(self, made):
        (record,) = records(made / "out")
        for name in ("valid", "joints3d", "pose", "betas", "trans", "camera"):
            assert not record[name].any(), name
        assert record["meta"]["person"] == record["meta"]["track"] == "walker"
        assert record["meta"]["keep"] == [0, 60] and record["meta"]["fps"] == 30

    def test_the_trainer_reads_it(self, made):
        dataset = open_dataset(made / "out", truth=False)
        (clip,) = read_clips(dataset, wanted_arrays("flow+keypoints"))
        assert not isinstance(clip, Damaged)
        assert clip[1]["flow"].shape == (60, 2, 56, 56)
        assert clip[1]["occluded"].sum() == 6

    def test_verify_passes_and_sees_damage(self, made, tmp_path, capsys):
        copy = tmp_path / "copy"
        shutil.copytree(made / "out", copy)
        assert verify.main([str(copy)]) == 0
        shard = copy / "shard-000000.tar"
        data = bytearray(shard.read_bytes())
        data[2000] ^= 1
        shard.write_bytes(data)
        assert verify.main([str(copy)]) == 1

    def test_the_same_command_again_does_nothing_and_gives_the_same_bytes(self, made, tmp_path):
        shard = made / "out" / "shard-000000.tar"
        before = shard.stat().st_mtime_ns
        args = ("video", made / "walker.mp4", "--keypoints", made / "walker.npz", "--out")
        assert run(*args, made / "out") == 0
        assert shard.stat().st_mtime_ns == before
        assert run(*args, tmp_path / "again") == 0
        assert (tmp_path / "again" / "shard-000000.tar").read_bytes() == shard.read_bytes()


def test_what_becomes_of_each_frame_is_printed(tmp_path, capsys):
    """A 60 fps film: a person for 90 frames; then nobody; then somebody else, for a moment."""
    person, other = walk(200, speed=0.3), walk(200, start=250, speed=0)
    person[:20, :, 2] = person[110:, :, 2] = 0
    other[:150, :, 2] = other[162:, :, 2] = 0
    video, keypoints = filmed(tmp_path, "walk", [person, other], fps=60)
    args = ["video", video, "--keypoints", keypoints, "--unlabelled", "31", "--out"]
    assert run(*args, tmp_path / "out") == 0
    assert (
        "left out of 200 frames: 100 thinned to about 30 a second, 49 with nobody detected, "
        "6 outside the chosen person's track, 14 too few for another clip of 31\n"
    ) in capsys.readouterr().out


class TestPixels:
    def test_a_turned_video_lands_on_its_joints(self, tmp_path):
        points = walk(40)
        video, _ = filmed(tmp_path, "phone", [points])
        turn(video)
        upright = points.copy()
        upright[..., 0], upright[..., 1] = 239 - points[..., 1], points[..., 0]
        np.save(tmp_path / "up.npy", upright)
        args = ("video", video, "--out", tmp_path / "out", "--keypoints", tmp_path / "up.npy")
        assert run(*args, "--layout", "limbs") == 0
        (record,) = records(tmp_path / "out")
        assert record["meta"]["size"] == [240, 320]
        x, y, seen = record["joints2d"][20, LIMBS[0]]
        assert seen and record["rgb"][20, round(float(y)), round(float(x))].min() > 150

    def test_keypoints_of_other_programs_count_stored_pixels(self, tmp_path):
        """Pixels that are shown half as high again as wide: a walker stored too wide is fixed."""
        points = walk(40)
        video, keypoints = filmed(tmp_path, "squat", [points])
        pictures = list(read_frames(video, range(40)))
        with av.open(str(video), "w") as container:
            stream = container.add_stream("libx264", rate=30, options={"crf": "10"})
            stream.width, stream.height, stream.pix_fmt = 320, 240, "yuv444p"
            stream.codec_context.sample_aspect_ratio = Fraction(2, 3)
            for picture in pictures:
                container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, "rgb24")))
            container.mux(stream.encode())
        args = ("video", video, "--keypoints", keypoints, "--out", tmp_path / "out")
        assert run(*args) == 0
        (record,) = records(tmp_path / "out")
        assert record["meta"]["size"] == [320, 360]
        for x, y, seen in record["joints2d"][20, LIMBS]:
            assert seen and record["rgb"][20, round(float(y)), round(float(x))].max() > 150


class TestPeople:
    def test_the_largest_is_followed_or_all(self, tmp_path):
        near, far = walk(40), walk(40, start=250, speed=-1)
        far[..., :2] = far[..., :2] * 0.5 + [100, 0]
        video, keypoints = filmed(tmp_path, "two", [far, near])
        args = ("video", video, "--keypoints", keypoints, "--out")
        assert run(*args, tmp_path / "one") == 0
        (largest,) = records(tmp_path / "one")
        assert run(*args, tmp_path / "both", "--person", "all") == 0
        both = records(tmp_path / "both")
        assert [r["meta"]["track"] for r in both] == ["two_0", "two_1"]
        assert (both[0]["crop"] == largest["crop"]).all()
        assert both[1]["crop"][0, 0, 0] == pytest.approx(2 * largest["crop"][0, 0, 0], rel=0.02)
        assert run(*args, tmp_path / "second", "--person", "1") == 0
        assert (records(tmp_path / "second")[0]["crop"] == both[1]["crop"]).all()

    def test_unlabelled_clips_for_the_adversary(self, tmp_path):
        video, keypoints = filmed(tmp_path, "walker", [walk(80, speed=1)])
        args = ("video", video, "--keypoints", keypoints, "--out", tmp_path / "out")
        assert run(*args, "--unlabelled", 31) == 0
        clips = records(tmp_path / "out")
        assert [len(clip["valid"]) for clip in clips] == [31, 31]
        assert [clip["source"][0] for clip in clips] == [0, 31]
        assert open_dataset(tmp_path / "out", truth=False).clip_length == 31
        with pytest.raises(NoTruth, match="footage without ground truth"):
            open_dataset(tmp_path / "out", "--val-shards")
        assert verify.main([str(tmp_path / "out")]) == 0


class TestBadInput:
    def test_each_costs_itself_only(self, made, tmp_path, capsys):
        (tmp_path / "text.mp4").write_text("no video")
        cut_off = tmp_path / "cut.mp4"
        cut_off.write_bytes((made / "walker.mp4").read_bytes()[:400])
        nobody, empty = filmed(tmp_path, "nobody", [walk(20) * [1, 1, 0]])
        short = tmp_path / "short.npz"
        shutil.copy(made / "walker.npz", short)
        longer = film(tmp_path / "longer.mp4", [walk(61)])
        videos = (tmp_path / "text.mp4", cut_off, nobody, longer, made / "walker.mp4")
        keypoints = (short, short, empty, short, made / "walker.npz")
        args = ("video", *videos, "--keypoints", *keypoints, "--out", tmp_path / "out")
        assert run(*args, "--max-bad", 1) == 0
        printed = capsys.readouterr().out
        for part in ("text.mp4 cannot be read", "cut.mp4 cannot be read", "has no person",
                     "60 frames, the video has 61"):  # fmt: skip
            assert part in printed, part
        lines = (tmp_path / "out/manifests/quarantine.jsonl").read_text().splitlines()
        assert [json.loads(line)["name"] for line in lines] == ["text", "cut", "nobody", "longer"]
        assert not any(json.loads(line)["traceback"] for line in lines)
        assert len(records(tmp_path / "out")) == 1 and verify.main([str(tmp_path / "out")]) == 0
        # Once more, with only the bad ones left to do, and after a kill before a line was written.
        (tmp_path / "out/shard-000004.tar").write_bytes(b"of nobody")
        assert run(*args, "--max-bad", 0.8) == 0
        assert len(list((tmp_path / "out").glob("*.tar"))) == 1

    def test_all_bad_is_an_error(self, tmp_path, capsys):
        (tmp_path / "text.mp4").write_text("no video")
        np.save(tmp_path / "x.npy", np.zeros((3, 17, 3)))
        args = ("video", tmp_path / "text.mp4", "--keypoints", tmp_path / "x.npy")
        assert run(*args, "--out", tmp_path / "out") == 2
        printed = capsys.readouterr()
        assert "text.mp4 cannot be read as a video (Invalid data" in printed.err
        assert "MP4" not in printed.err  # it has that name already
        assert "%" not in printed.err and not printed.out  # no work is shown for it
        (tmp_path / "more.mp4").write_text("no video either")
        args = ("video", *tmp_path.glob("*.mp4"), "--keypoints", *[tmp_path / "x.npy"] * 2)
        assert run(*args, "--out", tmp_path / "both") == 2
        printed = capsys.readouterr()
        assert (
            "2 of 2 inputs could not be used" in printed.err and "quarantine.jsonl" in printed.err
        )
        assert "text.mp4 cannot be read as a video (Invalid data" in printed.out

    def test_a_file_in_the_place_of_the_folder(self, made, tmp_path, capsys):
        (tmp_path / "taken").touch()
        args = ("video", made / "walker.mp4", "--keypoints", made / "walker.npz")
        assert run(*args, "--out", tmp_path / "taken") == 2
        assert "taken: Not a directory; name another path" in capsys.readouterr().err

    def test_keypoints_of_another_picture_size(self, made, tmp_path):
        with np.load(made / "walker.npz") as file:
            points = file["keypoints"] * [4, 4, 1]
        np.savez(tmp_path / "hd.npz", keypoints=points)
        with pytest.raises(BadInput, match="mostly outside the 320x240"):
            FootageVideo(made / "walker.mp4", "walker", tmp_path / "hd.npz").open()

    @pytest.mark.parametrize(
        ("args", "printed"),
        [
            (["video", "absent.mp4", "--keypoints", "x.npy"], "absent.mp4 does not exist"),
            (["video", "WALKER", "--keypoints", "x.npy"], "x.npy does not exist"),
            (["video", "WALKER"], "--keypoints FILE or --detector"),
            (
                ["video", "WALKER", "--keypoints", "a", "b"],
                "a file or folder for each of the 1 videos",
            ),
            (["video", ".", "--keypoints", "x.npy"], ". is a folder; give video files"),
            (["video", "WALKER", "--keypoints", "a", "--layout", "coco"], "must be one of limbs, "),
            (["video", "WALKER", "--keypoints", "a", "--threshold", "-1"], "not be negative"),
            (["video", "WALKER", "--keypoints", "a", "--min-frames", "0"], "at least 1, got 0"),
            (["video", "WALKER", "--keypoints", "a", "--image-size", "683"], "at most 682 for 96"),
            (["video", "WALKER", "--keypoints", "a", "--unlabelled", "300"], "at most 218 for 300"),
        ],
    )
    def test_refused_command_lines(self, made, tmp_path, capsys, args, printed):
        args = [str(made / "walker.mp4") if a == "WALKER" else a for a in args]
        try:
            assert run(*args, "--out", tmp_path / "out") == 2
        except SystemExit as stop:
            assert stop.code == 2
        captured = capsys.readouterr()
        assert printed in " ".join((captured.err + captured.out).replace("│", " ").split())

    def test_another_video_of_the_same_name_is_refused(self, made, tmp_path, capsys):
        shutil.copytree(made / "out", tmp_path / "out")
        video, keypoints = filmed(tmp_path / "other", "walker", [walk(30)])
        assert run("video", video, "--keypoints", keypoints, "--out", tmp_path / "out") == 2
        assert "already holds another walker" in capsys.readouterr().err

    def test_new_keypoints_replace_the_old_shard(self, made, tmp_path):
        shutil.copytree(made / "out", tmp_path / "out")
        np.savez(tmp_path / "new.npz", keypoints=walk(60)[:, None])
        args = ("video", made / "walker.mp4", "--keypoints", tmp_path / "new.npz")
        assert run(*args, "--out", tmp_path / "out") == 0
        (record,) = records(tmp_path / "out")
        assert not record["occluded"].any()

    def test_other_options_are_refused(self, made, tmp_path, capsys):
        args = ("video", made / "walker.mp4", "--keypoints", made / "walker.npz")
        assert run(*args, "--out", made / "out", "--image-size", 112) == 2
        assert "--image-size 224 → --image-size 112" in capsys.readouterr().err

    def test_names(self, made, tmp_path):
        (tmp_path / "b").mkdir()
        other = shutil.copy(made / "walker.mp4", tmp_path / "b" / "walker.mp4")
        assert sorted(named([made / "walker.mp4", Path(other)])) == [
            "b_walker", f"{made.name}_walker"
        ]  # fmt: skip


def test_predict_runs_over_footage(made):
    """The trainer's windows take a record of any length with frames that nobody is seen in."""
    from trainer.data.inputs import draw_inputs

    dataset = open_dataset(made / "out", truth=False)
    spec = dataset.input_spec(network(inputs="flow+keypoints", image_size=64))
    (clip,) = read_clips(dataset, wanted_arrays("flow+keypoints", targets=False))
    assert not isinstance(clip, Damaged)
    batch = {name: torch.from_numpy(value[None].copy()) for name, value in clip[1].items()}
    image = draw_inputs(batch, spec).image
    assert image is not None
    assert image.shape == (1, 60, 15, 64, 64)
    assert image[0, 22, :14].abs().max() == 0 and image[0, 22, 14].min() == 1
    assert image[0, 30, 2:14].amax((1, 2)).min() > 0.9
