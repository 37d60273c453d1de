"""All readers of files that others made: of bodies and motions, footage, networks and data sets."""

from __future__ import annotations

import functools
import hashlib
import io
import json
import tempfile
from pathlib import Path
from typing import Any

import body_readers as bodies
import cv2
import footage_readers as footage
import numpy as np
import torch
from cases import ROOT, Case, Reader, made, npz, odd

# videos and footage


@functools.cache
def video_bytes(name: str = "a.mp4", code: str = "mp4v") -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        path = str(Path(folder, name))
        writer = cv2.VideoWriter(path, cv2.VideoWriter.fourcc(*code), 30, (64, 48))
        for t in range(6):
            frame = np.full((48, 64, 3), 40 * t, np.uint8)
            cv2.circle(frame, (10 + 8 * t, 24), 8, (0, 0, 255), -1)
            writer.write(frame)
        writer.release()
        return Path(path).read_bytes()


def videos() -> list[Case]:
    return [Case({"a.mp4": video_bytes()}, "a.mp4", "boxes"),
            Case({"a.avi": video_bytes("a.avi", "MJPG")}, "a.avi")]  # fmt: skip


def read_video(path: Path) -> Any:
    from datagen.common.frames import frame_times, read_frames, thin
    from datagen.common.video import read_stretches

    times = frame_times(path)
    numbers, rate = thin(times)
    assert len(numbers) and 0 < rate <= 1000, f"rate {rate}"
    (stretch,) = read_stretches(path, [range(min(3, len(times)))], 32, 24, [0.5])
    return times, rate, stretch, list(read_frames(path, numbers[:2]))


# flow and networks


@functools.cache
def small_state() -> dict[str, torch.Tensor]:
    torch.manual_seed(0)
    return torch.nn.Sequential(torch.nn.Conv2d(2, 3, 3), torch.nn.Conv2d(3, 2, 3)).state_dict()


def flow_weights() -> list[Case]:
    content = {"state_dict": small_state(), "best_EPE": 1.9}
    return [Case({"a.pth": saved(content)}, "a.pth", "torch", content)]


def saved(content: Any) -> bytes:
    stream = io.BytesIO()
    torch.save(content, stream)
    return stream.getvalue()


def read_flow_weights(path: Path) -> Any:
    from datagen.flow.checkpoint import fill, read_checkpoint

    state, _ = read_checkpoint(path)
    network = torch.nn.Sequential(torch.nn.Conv2d(2, 3, 3), torch.nn.Conv2d(3, 2, 3))
    fill(network, state, path, "the test's network")
    return dict(network.state_dict())


def checkpoint() -> list[Case]:
    content = torch.load(made() / "run" / "last.pt", weights_only=True)
    return [Case({"last.pt": saved(content)}, "last.pt", "torch", content)]


def read_checkpoint(path: Path) -> Any:
    from datagen.replay.checkpoint import checkpoint_info
    from trainer.model.checkpoint import load_model

    for call in (checkpoint_info, lambda path: load_model(path, torch.device("cpu"))):
        result = call(path)
    model = result[0]
    return dict(model.state_dict())


def release() -> list[Case]:
    folder = ROOT / "trainer" / "assets" / "motion-joints"
    files = {name: (folder / name).read_bytes() for name in ("model.safetensors", "config.json")}
    return [Case(files, "config.json", "json"), Case(files, "model.safetensors", "safetensors")]


def read_release(path: Path) -> Any:
    return read_checkpoint(path.with_name("model.safetensors"))


def reduced_body() -> list[Case]:
    from trainer_fixtures import toy_body

    data = npz(toy_body(np.random.default_rng(0)))
    return [Case({"body.npz": data}, "body.npz", "npz")]


def read_reduced_body(path: Path) -> Any:
    from trainer.model.body import BodyJoints, read_body

    return dict(BodyJoints(read_body(path)).state_dict())


def predictions() -> list[Case]:
    from predictions import prediction

    maps = np.tile(np.array([[1.0, 0, 0], [0, 1.0, 0]]), (3, 1, 1))
    arrays = prediction(np.zeros((3, 72)), np.zeros((3, 10)), np.ones((3, 3)), maps)
    return [Case({"p.npz": npz(arrays)}, "p.npz", "npz")]


def read_predictions(path: Path) -> Any:
    from datagen.replay.prediction import read_motion

    return read_motion(path)


def frame_errors() -> list[Case]:
    n, e = 6, 3
    arrays = {
        "names": np.array(["a", "b", "c"]), "keys": np.array(["x", "y"]),
        "clip": np.repeat([0, 1], 3), "frame": np.tile(np.arange(3), 2),
        "counted": np.ones(n, bool), "occluded": np.zeros(n, bool),
        "error": np.full((n, e), 50, np.float32), "mpjpe": np.full(n, 50, np.float32),
        "visibility": np.full((n, e), 2, np.uint8), "truth": np.zeros((n, e, 3), np.float16),
        "predicted": np.zeros((n, e, 3), np.float16),
    }  # fmt: skip
    return [Case({"frames.npz": npz(arrays)}, "frames.npz", "npz")]


def read_frame_errors(path: Path) -> Any:
    from trainer.analysis.runs import Run

    return Run(str(path.parent)).frames


# what the launcher has written


def people_file() -> list[Case]:
    path = next(p for p in made().rglob("*.h5") if "scene" not in p.name)
    return [Case({"a.h5": path.read_bytes()}, "a.h5", "h5")]


def read_people_file(path: Path) -> Any:
    from datagen.bodies.storage import clip_lengths, read_person

    return clip_lengths(path), read_person(path, 0, 0, 4, flow=True)


def scene_file() -> list[Case]:
    path = next(p for p in made().rglob("*.h5") if "scene" in p.name)
    return [Case({"a.h5": path.read_bytes()}, "a.h5", "h5")]


def read_scene_file(path: Path) -> Any:
    from datagen.backgrounds.library import read_background

    return read_background(path, 0)


def dataset_files(*names: str) -> dict[str, bytes]:
    shards = made() / "shards"
    return {name: (shards / name).read_bytes() for name in names}


def shard() -> list[Case]:
    name = "shard-000000.tar"
    return [Case(dataset_files(name, "dataset.json", "body.npz"), name, "tar")]


def read_shard(path: Path) -> Any:
    """Read as the trainer does."""
    from trainer.data.dataset import open_dataset
    from trainer.data.loader import wanted_arrays
    from trainer.data.records import decode, members_of, read_shard

    arrays = wanted_arrays("rgb+flow+keypoints") | {"rgb"}
    dataset = open_dataset(path.parent)
    found = []
    for record in read_shard(dataset.shards[0]):
        found.append(decode(record.load(members_of(arrays)), arrays, dataset))
    return found


def read_reported(path: Path) -> Any:
    """Read as the report does."""
    from datagen.report.reader import DataSetReader

    return list(DataSetReader(str(path.parent)).records(0, 1))


def reported_garbage(found: Any) -> str:
    """Look at the arrays; meta.json is shown as text."""
    return odd([[one.flow, one.labels, one.frames] for one in found])


def verified() -> list[Case]:
    folder = made() / "shards"
    names = ["shard-000000.tar", "dataset.json", "croissant.json", "body.npz", "README.md"]
    names += [f"manifests/{path.name}" for path in (made() / "manifests").iterdir()]
    files = {
        name: (made() if name.startswith("manifests") else folder).joinpath(name).read_bytes()
        for name in names
    }
    forms = {".json": "json", ".jsonl": "lines", ".tar": "tar"}
    targets = [name for name in names if Path(name).suffix in forms]
    return [Case(files, name, forms[Path(name).suffix]) for name in targets]


def read_verified(path: Path) -> Any:
    """Verify a data set, whose manifest has the shard's own SHA-256: what is in it is looked at."""
    from datagen.common import checksum
    from datagen.verify import main

    folder = path.parent.parent if path.parent.name == "manifests" else path.parent
    lines = folder / "manifests" / "shards.jsonl"
    if path.suffix == ".tar":
        data = path.read_bytes()
        line = json.loads(lines.read_text().splitlines()[0])
        line |= {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
        lines.write_text(json.dumps(checksum.added(line)) + "\n")
    elif path == lines:  # as whoever writes it on purpose would
        path.write_bytes(b"".join(map(_checksum_added, path.read_bytes().splitlines())))
    return main([str(folder)])


def _checksum_added(text: bytes) -> bytes:
    from datagen.common import checksum

    try:
        line = json.loads(text)
        return json.dumps(checksum.added(line) if isinstance(line, dict) else line).encode() + b"\n"
    except (ValueError, RecursionError):
        return text + b"\n"


def dataset() -> list[Case]:
    files = dataset_files("shard-000000.tar", "dataset.json", "body.npz")
    return [Case(files, "dataset.json", "json")]


def read_dataset(path: Path) -> Any:
    from datagen.report.reader import DataSetReader
    from trainer.data.dataset import open_dataset

    return open_dataset(path.parent), DataSetReader(str(path.parent)).dataset


def dataset_garbage(found: Any) -> str:
    one, _ = found
    numbers = [one.clip_length, one.image_size, one.flow_stride, one.clips_per_shard]
    if not all(type(n) is int and 1 <= n < 1 << 16 for n in numbers) or not 0 < one.fps <= 1000:
        return f"sizes {numbers}, {one.fps} a second"
    if not all(
        0 <= n < len(one.joints) for n in (*one.keypoints, *one.evaluation_joints, *one.mirror)
    ):
        return "joints that there are not"
    return odd([one.clips, one.person_diagonal])


READERS = (
    Reader("amass", bodies.amass, bodies.motion, bodies.motion_garbage),
    Reader("surreal_npz", bodies.surreal_npz, bodies.motion, bodies.motion_garbage),
    Reader("bvh", bodies.bvh, bodies.motion, bodies.motion_garbage),
    Reader("amc", bodies.amc, bodies.motion, bodies.motion_garbage),
    Reader("deepmimic", bodies.deepmimic, bodies.motion, bodies.motion_garbage),
    Reader("subjects", bodies.subjects, bodies.motion, bodies.motion_garbage, 1),
    Reader("body_npz", bodies.body_npz, bodies.body, lambda value: odd(value, 1e4)),
    Reader("body_pkl", bodies.body_pkl, bodies.body, lambda value: odd(value, 1e4)),
    Reader("regressor", bodies.regressor, bodies.read_regressor, lambda value: odd(value, 1e4), 2),
    Reader("uv_map", bodies.uv_map, bodies.read_uv, share=1),
    Reader("pictures", bodies.pictures, bodies.read_picture),
    Reader(
        "surreal_labels",
        bodies.surreal_labels,
        bodies.read_surreal_labels,
        lambda value: odd(value, 1e5),
    ),
    Reader("surreal_masks", bodies.surreal_masks, bodies.read_surreal_masks, share=2),
    Reader("videos", videos, read_video),
    Reader("keypoints", footage.keypoint_files, footage.read_keypoints),
    Reader("cameras", footage.cameras, footage.read_calibration, lambda value: odd(value, 1e9), 1),
    Reader("trc", footage.trc, footage.read_trc, share=1),
    Reader("threedpw", footage.threedpw, footage.read_threedpw, lambda value: odd(value, 1e6)),
    Reader("kinetics", footage.kinetics, footage.read_kinetics, share=1),
    Reader("flow_weights", flow_weights, read_flow_weights, lambda value: odd(value, 1e10), 2),
    Reader("checkpoint", checkpoint, read_checkpoint, lambda value: odd(value, 1e10), 1),
    Reader("release", release, read_release, lambda value: odd(value, 1e10), 1),
    Reader("reduced_body", reduced_body, read_reduced_body),
    Reader("predictions", predictions, read_predictions),
    Reader("frame_errors", frame_errors, read_frame_errors, share=2),
    Reader("joints_c3d", footage.joints_c3d, footage.read_c3d, share=1),
    Reader("people_file", people_file, read_people_file),
    Reader("scene_file", scene_file, read_scene_file, lambda value: odd(value, 1e9)),
    Reader("shard", shard, read_shard),
    Reader("report", shard, read_reported, reported_garbage),
    Reader("verify", verified, read_verified),
    Reader("dataset", dataset, read_dataset, dataset_garbage),
)
