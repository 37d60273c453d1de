"""Small films with known people in them: disks for joints, moving over a noisy wall."""

import struct
from pathlib import Path

import cv2
import numpy as np

LIMBS = np.array(
    [(-9, 50), (-9, 25), (-8, 0), (8, 0), (9, 25), (9, 50),
     (-24, 0), (-20, -16), (-12, -32), (12, -32), (20, -16), (24, 0)], float,
)  # fmt: skip
"""The 12 limbs of a person, pixels about the pelvis, in record.KEYPOINTS' order."""


def write_keypoints(path: Path, points: np.ndarray, layout: str) -> None:
    """Write points [T,P,K,3] as the project's own .npz."""
    np.savez_compressed(path, keypoints=points.astype(np.float32), layout=np.array(layout))


def walk(frames: int, start: float = 60, speed: float = 2.0) -> np.ndarray:
    """Return float [T,12,3] limbs of somebody who walks to the right and swings the arms."""
    t = np.arange(frames)
    points = np.repeat(LIMBS[None], frames, 0)
    points[:, [6, 11], 0] += 8 * np.sin(t / 3)[:, None]
    points[..., 0] += (start + speed * t)[:, None]
    points[..., 1] += 90
    return np.concatenate([points, np.ones((frames, 12, 1))], -1)


def film(path: Path, people: list[np.ndarray], size=(320, 240), fps: float = 30.0) -> Path:
    """Write a video of people [T,12,3]: a bright disk a limb, red for the person's left."""
    rng = np.random.default_rng(0)
    wall = cv2.resize(rng.integers(20, 90, (24, 32, 3), np.uint8), size)
    fourcc = cv2.VideoWriter.fourcc(*("MJPG" if path.suffix == ".avi" else "mp4v"))
    writer = cv2.VideoWriter(str(path), fourcc, fps, size)
    assert writer.isOpened()
    for t in range(len(people[0])):
        picture = wall.copy()
        for person in people:
            for joint, (x, y, seen) in enumerate(person[t]):
                colour = (60, 60, 255) if 3 <= joint <= 5 or joint >= 9 else (255, 255, 255)
                if seen:
                    centre = (round(x * 16), round(y * 16))
                    cv2.circle(picture, centre, 3 << 4, colour, -1, cv2.LINE_AA, shift=4)
        writer.write(picture)
    writer.release()
    return path


def filmed(folder: Path, name: str, people: list[np.ndarray], **options) -> tuple[Path, Path]:
    """Write a video and its keypoints; return both."""
    folder.mkdir(parents=True, exist_ok=True)
    write_keypoints(folder / f"{name}.npz", np.stack(people, 1), "limbs")
    return film(folder / f"{name}.mp4", people, **options), folder / f"{name}.npz"


def turn(path: Path) -> None:
    """Set an .mp4's rotation flag: players turn its pictures by 90° clockwise."""
    data = bytearray(path.read_bytes())
    at = data.index(b"tkhd") + 44  # version 0: matrix after 40 bytes of content
    data[at : at + 36] = struct.pack(">9i", 0, 1 << 16, 0, -1 << 16, 0, 0, 0, 0, 1 << 30)
    path.write_bytes(data)


def retime(path: Path, spans: list[tuple[int, int]]) -> None:
    """Give an .mp4's frames uneven durations: [(frames, multiple of the old duration)]."""
    data = bytearray(path.read_bytes())
    at = data.index(b"stts")
    count, _, delta = struct.unpack(">III", data[at + 8 : at + 20])
    assert count == 1
    table = b"".join(struct.pack(">II", frames, delta * times) for frames, times in spans)
    data[at + 8 : at + 20] = struct.pack(">I", len(spans)) + table
    grown = 8 * (len(spans) - 1)
    for box in (b"stts", b"stbl", b"minf", b"mdia", b"trak", b"moov"):  # moov lies last
        place = data.index(box) - 4
        size = struct.unpack(">I", data[place : place + 4])[0]
        data[place : place + 4] = struct.pack(">I", size + grown)
    edit = data.find(b"edts")
    if edit > 0:
        data[edit : edit + 4] = b"free"  # an edit list would end the film at its old length
    path.write_bytes(data)
