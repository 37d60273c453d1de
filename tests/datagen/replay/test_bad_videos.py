"""Videos that phones, cuts and mistakes make: a right result or one sentence each."""

from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from footage_world import film as disks
from footage_world import walk

from datagen.common.frames import frame_times, read_frames
from datagen.footage.detection.pose_detector import PoseDetector
from datagen.footage.detector import detect
from datagen.footage.video_source import FootageVideo, unread
from datagen.overlay import main as overlay

FIXTURES = Path(__file__).parents[2] / "fixtures" / "detector"
POINT = FIXTURES / "point.mp4"


def encoded(path: Path, pictures: list[np.ndarray], rate: int = 30, **options: str) -> Path:
    """Write pictures as H.264 and return the path."""
    with av.open(str(path), "w", options=options) as file:
        stream = file.add_stream("libx264", rate=rate, options={"crf": "12", "preset": "fast"})
        stream.height, stream.width = pictures[0].shape[:2]
        for picture in pictures:
            file.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        file.mux(stream.encode())
    return path


@pytest.fixture(scope="module")
def pictures() -> list[np.ndarray]:
    return list(read_frames(POINT, range(12)))


@pytest.fixture(scope="module")
def expected(pictures) -> np.ndarray:
    """What MediaPipe's own package finds in these pictures [T,33,2]."""
    with np.load(FIXTURES / "point.npz") as file:
        return file["keypoints"][: len(pictures), 0, :, :2]


def found(video: Path, folder: Path) -> np.ndarray:
    """Return the keypoints [T,33,3] of a video."""
    detect(video, PoseDetector(), folder / "found.npz")
    with np.load(folder / "found.npz") as file:
        return file["keypoints"][:, 0]


def apart(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.median(np.linalg.norm(a - b, axis=-1)))


def test_240_frames_a_second_are_detected_at_30(pictures, expected, tmp_path):
    video = encoded(tmp_path / "a.mp4", [one for one in pictures[:6] for _ in range(8)], 240)
    points = found(video, tmp_path)
    used = np.flatnonzero(points[..., 2].any(1))
    np.testing.assert_array_equal(used, np.arange(0, 48, 8))
    assert apart(points[used, :, :2], expected[:6]) < 1


def test_1_frame_a_second_is_one_person(pictures, tmp_path):
    """Filters of 30 a second would lag behind by seconds; tracks would break at every step."""
    walk_by = [np.roll(pictures[0], 9 * t, axis=1) for t in range(9)]
    video = encoded(tmp_path / "a.mp4", walk_by, 1)
    points = found(video, tmp_path)
    with np.load(FIXTURES / "point.npz") as file:
        first = file["keypoints"][0, 0, :, :2]
    off = points[:, :, :2] - first - (9 * np.arange(9)[:, None, None] * (1, 0))
    assert np.abs(np.median(off, axis=(1, 2))).max() < 3
    source = FootageVideo(video, "a", tmp_path / "found.npz")
    (track,) = source.open().tracks
    assert len(track) == 9
    np.testing.assert_allclose(track.time, np.arange(9), atol=1e-3)


@pytest.mark.slow
def test_8k_is_seen_as_well(pictures, expected, tmp_path):
    large = [cv2.resize(one, (4320, 4320), interpolation=cv2.INTER_CUBIC) for one in pictures[:3]]
    large = [cv2.copyMakeBorder(one, 0, 0, 1680, 1680, cv2.BORDER_REPLICATE) for one in large]
    points = found(encoded(tmp_path / "a.mp4", large), tmp_path)[:, :, :2]
    back = (points + 0.5 - (1680, 0)) * 320 / 4320 - 0.5
    assert apart(back, expected[:3]) < 3  # of 320; the crops' feedback begins in the whole picture


def test_a_cut_file_is_used_as_far_as_it_goes(pictures, tmp_path):
    whole = encoded(tmp_path / "a.mp4", pictures, movflags="+faststart")
    cut = tmp_path / "cut.mp4"
    cut.write_bytes(whole.read_bytes()[: whole.stat().st_size * 6 // 10])
    frames = len(frame_times(cut))
    assert 2 < frames < 12
    points = np.zeros((frames, 17, 3))
    points[:, :, :2] = np.random.default_rng(0).uniform(90, 200, (17, 2))
    points[:, :, 2] = 1
    assert list(unread(12, frames).values()) == [12 - frames] and not unread(301, 300)


def test_hdr_has_its_colours(pictures, tmp_path):
    """PQ of BT.2020, written out, with 203 nits for white (ITU-R BT.2408)."""
    video = tmp_path / "a.mp4"
    with av.open(str(video), "w") as file:
        coding = {"x265-params": "log-level=none:colorprim=9:transfer=16:colormatrix=9"}
        coding |= {"crf": "10", "preset": "ultrafast"}
        stream = file.add_stream("libx265", rate=30, options=coding)
        stream.height, stream.width = pictures[0].shape[:2]
        stream.pix_fmt = "yuv420p10le"
        for picture in pictures[:3]:
            file.mux(stream.encode(pq_frame(picture)))
        file.mux(stream.encode())
    for seen, meant in zip(read_frames(video, range(3)), pictures, strict=False):
        assert np.abs(seen.astype(int) - meant).mean() < 15
        assert np.abs(seen.astype(int) - meant).mean() < 0.6 * np.abs(pq_grey(meant) - meant).mean()


def pq(nits: np.ndarray) -> np.ndarray:
    """Return SMPTE ST 2084's signal 0 to 1."""
    y = np.clip(nits / 10000, 0, 1) ** (2610 / 16384)
    return ((3424 / 4096 + 2413 / 128 * y) / (1 + 2392 / 128 * y)) ** (2523 / 32)


def pq_signal(picture: np.ndarray) -> np.ndarray:
    """Return the signal [H,W,3] of an sRGB picture."""
    to_2020 = np.array(
        [[0.6274, 0.3293, 0.0433], [0.0691, 0.9195, 0.0114], [0.0164, 0.0880, 0.8956]]
    )
    value = picture / 255
    linear = np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4)
    return pq(203 * linear @ to_2020.T)


def pq_grey(picture: np.ndarray) -> np.ndarray:
    """Return what a program shows that takes the signal for sRGB."""
    return 255 * pq_signal(picture)


def pq_frame(picture: np.ndarray) -> av.VideoFrame:
    """Return 10 bits of Y'CbCr in BT.2020."""
    red, green, blue = np.moveaxis(pq_signal(picture), -1, 0)
    luma = 0.2627 * red + 0.678 * green + 0.0593 * blue
    planes = [64 + 876 * luma]
    for chroma in ((blue - luma) / 1.8814, (red - luma) / 1.4746):
        half = cv2.resize(chroma, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
        planes.append(512 + 896 * half)
    frame = av.VideoFrame(picture.shape[1], picture.shape[0], "yuv420p10le")
    for plane, values in zip(frame.planes, planes, strict=True):
        rows = np.zeros((values.shape[0], plane.line_size // 2), np.uint16)
        rows[:, : values.shape[1]] = values.round()
        plane.update(rows.tobytes())
    frame.colorspace, frame.color_range = 9, 1
    return frame


def test_what_shows_nobody_is_one_sentence(tmp_path, capsys):
    (tmp_path / "zero.mp4").write_bytes(b"")
    (tmp_path / "text.mp4").write_text("no video")
    with av.open(str(tmp_path / "sound.mp4"), "w") as file:
        stream = file.add_stream("aac", rate=44100, layout="mono")
        frame = av.AudioFrame.from_ndarray(
            np.zeros((1, 1024), np.float32), format="fltp", layout="mono"
        )
        frame.sample_rate = 44100
        file.mux(stream.encode(frame))
        file.mux(stream.encode())
    (tmp_path / "empty").mkdir()
    disks(tmp_path / "nobody.mp4", [walk(12)])
    for name, words in (
        ("zero.mp4", "cannot be read as a video"),
        ("text.mp4", "cannot be read as a video"),
        ("sound.mp4", "it has no pictures"),
        ("empty", "holds neither videos nor pictures"),
        ("absent.mp4", "does not exist"),
        ("nobody.mp4", "no person was detected in any frame"),
    ):
        assert overlay([str(tmp_path / name), "--out", str(tmp_path / "out")]) == 2
        out, printed = capsys.readouterr()
        assert words in printed and name in printed and "Traceback" not in printed
        assert ("Detecting" in out) == (name == "nobody.mp4")  # others are refused before
        assert len([line for line in printed.splitlines() if line.startswith("error:")]) == 1


def test_a_person_who_is_not_there_is_one_sentence(tmp_path, capsys):
    """Three people, of whom the sixth is wanted; and keypoints of another video."""
    video = disks(tmp_path / "three.mp4", [walk(12)])
    beside = np.array([[[0, 0]], [[90, 0]], [[0, 90]]])
    limbs = np.random.default_rng(0).uniform(60, 120, (3, 17, 2)) + beside
    points = np.concatenate([np.tile(limbs, (12, 1, 1, 1)), np.ones((12, 3, 17, 1))], -1)
    np.save(tmp_path / "three.npy", points)
    np.save(tmp_path / "short.npy", points[:9])
    for file, more, words in (
        ("three.npy", ["--person", "5", "--layout", "coco17"], "(5) is seen"),
        ("short.npy", ["--layout", "coco17"], "12"),
        ("three.npy", ["--person", "sixth"], "--person must be"),
        ("three.npy", ["--min-frames", "13", "--layout", "coco17"], "seen in at least 13 frames"),
        ("thre.npy", ["--layout", "coco17"], f"do you mean {tmp_path / 'three.npy'}?"),
    ):
        line = [str(video), "--keypoints", str(tmp_path / file), *more]
        assert overlay([*line, "--out", str(tmp_path / "out")]) == 2
        printed = capsys.readouterr().err
        assert words in printed and "Traceback" not in printed, printed
    assert overlay([str(video.with_suffix(""))]) == 2
    assert f"(do you mean {video}?)" in capsys.readouterr().err
