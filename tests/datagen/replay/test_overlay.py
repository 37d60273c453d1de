"""Predictions over their pictures: on the right pixel, in the right colours, as a valid mesh."""

import hashlib
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from predictions import S, maps_of, prediction, saved
from trainer_fixtures import write_shards

from datagen import overlay as command
from datagen.bodies.motion import embedded, sources
from datagen.bodies.options import BodiesConfig
from datagen.bodies.render.camera import View, into_camera, intrinsics, project
from datagen.bodies.render.renderer import Renderer
from datagen.bodies.smpl.mesh import Mesh
from datagen.clips import crop
from datagen.clips.compositing import crop_frames
from datagen.common.errors import BadInput
from datagen.common.frames import read_frames
from datagen.overlay import main as overlay
from datagen.replay import exports, pictures, results
from datagen.replay import predict as making
from datagen.replay import video_writer as films
from datagen.replay.bodies import warn_of_other_body
from datagen.replay.checkpoint import checkpoint_info
from datagen.replay.mesh_painter import painter, turned
from datagen.replay.names import KINDS
from datagen.replay.views import show
from trainer.evaluation.options import PredictConfig
from trainer.fit import fit
from trainer.predict import predict
from trainer.training.options import FitConfig

KEPT: list[Renderer] = []
"""A renderer that goes takes the drawing contexts of all others with it."""


def write_video(path: Path, frames: np.ndarray) -> Path:
    with films.film(path, 30) as film:
        for frame in frames:
            film.add(frame)
    return path


def test_a_body_whose_place_is_known_is_drawn_in_true_perspective(tmp_path):
    rng = np.random.default_rng(3)
    k = np.array([[700.0, 0, 300], [0, 710, 200], [0, 0, 1]], np.float32)
    transl = np.array([0.3, -0.2, 2.5]) + rng.normal(0, 0.2, (4, 3))
    points, maps = rng.normal(0, 0.5, (4, 9, 3)), maps_of(rng.uniform(0.6, 1.4, 4), 12.5)
    zero = np.zeros((4, 72)), np.zeros((4, 10)), np.ones((4, 3))
    made = prediction(*zero, maps)
    made |= {"transl": transl, "K": np.broadcast_to(k, (4, 3, 3)), "gravity": np.array([0, 1, 0])}
    read = saved(tmp_path / "placed.npz", made)
    for t in range(4):
        seen, _ = cv2.projectPoints(points[t], np.zeros(3), transl[t], k.astype(float), None)
        expected = seen[:, 0] @ maps[t, :, :2].T + maps[t, :, 2]
        drawn = read.in_crop(points[t : t + 1], slice(t, t + 1))[0]
        assert np.abs(drawn - expected).max() < 1e-2


def test_the_weak_camera_is_mapped_back_to_the_videos_pixels(tmp_path):
    """A dot of the video, found in its crop, given as the body's origin, is drawn on itself."""
    width, height, rng = 640, 360, np.random.default_rng(0)
    dots = rng.uniform((200, 120), (440, 240), (6, 2))
    x, y = np.meshgrid(np.arange(width), np.arange(height))
    glow = [np.exp(-((x - a) ** 2 + (y - b) ** 2) / (2 * 5**2)) for a, b in dots]
    frames = (np.stack(glow)[..., None] * [255, 255, 255]).astype(np.uint8)
    maps = maps_of(rng.uniform(0.6, 1.4, 6), 0)
    maps[:, :, 2] = 112 - maps[:, [0, 1], [0, 1]] * (dots + rng.uniform(-30, 30, (6, 2)))
    crops = crop_frames(frames, maps, S)[..., 0].astype(float)
    u = np.arange(S)
    total = crops.sum((1, 2))
    found = np.stack([(crops.sum(1) * u).sum(1) / total, (crops.sum(2) * u).sum(1) / total], 1)
    # x = s·(0 + t) in crop units, where pixels are ((x + 1)·S − 1)/2.
    s = rng.uniform(0.4, 1, 6)
    camera = np.concatenate([s[:, None], ((2 * found + 1) / S - 1) / s[:, None]], 1)
    zero = np.zeros((6, 72)), np.zeros((6, 10))
    made = prediction(*zero, camera, maps, size=np.array([width, height]))
    metadata = saved(tmp_path / "dot.npz", made)
    video = write_video(tmp_path / "dot.mp4", frames)
    for max_height, scale in ((720, 1.0), (180, 0.5)):
        under = pictures.of_video(metadata, video, max_height)
        assert (under.width, under.height) == (width * scale, height * scale)
        at = crop.transform(under.maps, metadata.in_crop(np.zeros((6, 1, 3))))[:, 0]
        assert np.abs(at - ((dots + 0.5) * scale - 0.5)).max() < 0.5 * scale
        for picture, place in zip(under.frames, at, strict=True):
            assert picture.time == pytest.approx(picture.place / 30, abs=1e-3)
            row, column = np.unravel_index(picture.image[..., 1].argmax(), picture.image.shape[:2])
            assert np.abs(place - (column, row)).max() < 3  # a codec's flat top of a dot 5 px wide


@pytest.mark.parametrize(("depth", "overlap"), [(7.0, 0.8), (60.0, 0.97)])
def test_truth_given_as_a_prediction_lies_on_the_person(body, tmp_path, depth, overlap):
    """The person as datagen renders it, in perspective; a weak camera fitted to its joints.

    At SURREAL's 7 m a foot half a metre nearer is seen 6 px off a weak camera's; from afar, where
    the weak camera is right, nothing may be off.
    """
    cfg = BodiesConfig(width=480, height=360, focal=130 * depth)
    k = intrinsics(cfg)
    name = next(n for n, _ in embedded.catalogue() if "walk" in n)
    source = next(s for s in sources.find_motions(None) if s.name == name)
    moving = sources.load_motion(source, body.rest_joints())
    frames = slice(0, 40, 8)
    betas = np.random.default_rng(3).normal(0, 1, 10).astype(np.float32)
    pose, trans = into_camera(
        View(0.7, depth), moving.pose[frames], moving.trans[frames], body.rest_joints(betas)[0]
    )
    vertices, joints = body.forward(pose, betas, trans)
    mesh = Mesh(body.faces, body.num_vertices)
    renderer = Renderer(k, cfg.width, cfg.height)
    KEPT.append(renderer)
    plain = np.ones(vertices.shape[:2], np.float32), np.ones((body.num_vertices, 3))
    truth = [picture.mask for picture in renderer.render(mesh, vertices, *plain)]

    seen = project(joints, k)
    maps = crop.crop_maps(np.concatenate([seen, np.ones((*seen.shape[:2], 1))], 2)[:, 24:], S)
    units = (2 * crop.transform(maps, seen) + 1) / S - 1
    camera = np.stack([fitted(a, b) for a, b in zip(joints - trans[:, None], units, strict=True)])
    shapes = np.tile(betas, (len(pose), 1))
    metadata = saved(tmp_path / "truth.npz", prediction(pose, shapes, camera, maps))

    shape = (cfg.height, cfg.width, 3)
    under = pictures.Pictures(
        cfg.width, cfg.height, crop.inverse(maps),
        iter([pictures.Picture(np.zeros(shape, np.uint8), t, t / 30) for t in range(len(pose))]),
        numbers=np.arange(len(pose)),
    )  # fmt: skip
    overlaps = []
    brush = painter(body, cfg.width, cfg.height)
    posed, _ = body.forward(pose, shapes, np.zeros((len(pose), 3)))
    at = crop.transform(under.maps, metadata.in_crop(posed))
    for mask, here, pixels in zip(truth, posed, at, strict=True):
        black, white = (
            brush.paint(np.full(shape, grey, np.uint8), here, pixels)[..., 0].astype(int)
            for grey in (0, 255)
        )
        drawn = white - black < 128  # the body covers most of the pixel
        overlaps.append((mask & drawn).sum() / (mask | drawn).sum())
        for step in ([3, 0], [0, -3]):  # and it would show if it were off by three pixels
            off = np.roll(drawn, step, axis=(1, 0))
            assert (mask & off).sum() / (mask | off).sum() < max(0.9, overlap)
    assert min(overlaps) > overlap, overlaps
    shown = list(show(metadata, body, under, degrees=60, opacity=1))
    assert len(shown) == len(pose)
    assert shown[0].over.shape == shape and shown[0].both.shape == (360, 480 + 360, 3)


def fitted(points: np.ndarray, units: np.ndarray) -> np.ndarray:
    """Return the weak camera s, tx, ty that sees points [J,3] nearest to units [J,2]."""
    zero, one = np.zeros(len(points)), np.ones(len(points))
    left = np.concatenate(
        [np.stack([points[:, 0], one, zero], 1), np.stack([points[:, 1], zero, one], 1)]
    )
    s, a, b = np.linalg.lstsq(left, units.T.ravel(), rcond=None)[0]
    return np.array([s, a / s, b / s])


def test_turning_is_about_the_upright_axis_through_the_pelvis():
    rng = np.random.default_rng(0)
    vertices, joints = rng.normal(0, 1, (3, 20, 3)), rng.normal(0, 1, (3, 38, 3))
    away = turned(vertices, joints, 60)
    np.testing.assert_allclose(away[..., 1], vertices[..., 1])
    old, new = vertices - joints[:, :1], away - joints[:, :1]
    np.testing.assert_allclose(np.linalg.norm(old, axis=2), np.linalg.norm(new, axis=2))
    turns = np.angle((new[..., 0] + 1j * new[..., 2]) / (old[..., 0] + 1j * old[..., 2]))
    np.testing.assert_allclose(np.abs(turns), np.pi / 3)


def test_the_examples_that_need_nothing_else_name_no_network():
    first, second = [line for line in (command.__doc__ or "").splitlines() if " -m " in line][:2]
    for example in (first, second):
        for option in ("--checkpoint", "--predictions", "--keypoints", "--body"):
            assert option not in example


@pytest.fixture(scope="module")
def predicted(tmp_path_factory) -> tuple[Path, Path]:
    """Toy shards with pictures, and an untrained network's predictions of them."""
    root = tmp_path_factory.mktemp("predicted")
    shards = write_shards(root / "shards", shards=1, clips=2, frames=6, size=64, rgb=True)
    options = FitConfig(
        shards=shards, out=root / "run", device="cpu", steps=1, batch_size=2, image_size=32,
        lstm_width=16, inputs="keypoints", backbone="small",
    )  # fmt: skip
    run = fit(options)
    config = PredictConfig(checkpoint=run / "last.pt", shards=shards, out=root / "p", device="cpu")
    assert predict(config) == 2
    return shards, root / "p"


def test_the_command_shows_stored_crops(predicted, tmp_path, capsys):
    shards, results = predicted
    options = ["--predictions", str(results), "--shards", str(shards), "--people", "1"]
    assert overlay([*options, "--out", str(tmp_path)]) == 0
    assert "give that body with --body" in capsys.readouterr().out  # a toy is not our body
    assert {path.name for path in tmp_path.iterdir()} == {
        *(f"000000_0000.{kind}" for kind in ("mp4", "png", "glb", "npz")), ".overlay.json"
    }  # fmt: skip
    frames = list(read_frames(tmp_path / "000000_0000.mp4", list(range(6))))
    assert frames[0].shape == (448, 896, 3)
    sheet = cv2.imread(str(tmp_path / "000000_0000.png"))
    assert sheet is not None and sheet.shape == (3 * 226 - 2, 6 * 226 - 2, 3)


def test_the_last_lines_say_what_to_look_at_and_what_the_rest_is(tmp_path, capsys):
    for person in "01":
        for kind in ("mp4", "png", "glb", "npz", "trc"):
            (tmp_path / f"a_{person}.{kind}").touch()
    films = sorted(tmp_path.glob("*.mp4"))
    results.conclude([*sorted(tmp_path.glob("a_0*")), *sorted(tmp_path.glob("a_1*"))])
    first, second, *rest = capsys.readouterr().out.splitlines()
    assert (first, second) == (f"Look at: {films[0]}", f"         {films[1]}")
    assert len(rest) == 8 and f"  markers, for OpenSim      {tmp_path / 'a_0.trc'}" in rest
    results.conclude([tmp_path / "a_0.png", tmp_path / "a_0.glb"])  # of a single picture
    assert capsys.readouterr().out.startswith(
        f"Look at: {tmp_path / 'a_0.png'}\n  mesh, for Blender"
    )
    results.conclude([tmp_path / "a_0.npz"])
    assert capsys.readouterr().out.startswith("Written:\n  motion, AMASS's layout")
    assert results.CONTENTS.keys() == {*KINDS}


@pytest.mark.parametrize(
    ("person", "expected"),
    [("largest", ""), ("all", "_2"), ("1", "_1"), ("0", "_0"), ("320,200.5", "_320-200.5")],
)
def test_a_person_who_is_asked_for_is_in_the_results_names(person, expected):
    assert making.suffix(person, Path("work/clip_2.npz")) == expected


def test_a_result_that_is_removed_meanwhile_is_one_sentence(
    predicted, tmp_path, capsys, monkeypatch
):
    """Its folder was, between two files: the command would name a film that is not there."""
    shards, results = predicted
    exported = exports.gltf.of_motion

    def of_motion(*args):
        (tmp_path / "000000_0000.mp4").unlink()
        return exported(*args)

    monkeypatch.setattr(exports.gltf, "of_motion", of_motion)
    options = ["--predictions", str(results), "--shards", str(shards), "--people", "1"]
    assert overlay([*options, "--out", str(tmp_path)]) == 2
    assert "000000_0000.mp4 has been removed since it was written" in capsys.readouterr().err


def test_crops_of_other_shards_are_not_shown(predicted, tmp_path, capsys):
    """Keys are the same in every data set; the crops' maps tell."""
    shards, results = predicted
    with np.load(results / "000000_0000.npz") as file:
        arrays = dict(file)
    arrays["crop"] = arrays["crop"] + np.float32(1)
    np.savez(tmp_path / "other.npz", **arrays)
    options = ["--predictions", str(tmp_path), "--shards", str(shards), "--out", str(tmp_path)]
    assert overlay(options) == 2
    assert "is not the one other was predicted from" in capsys.readouterr().err


KNOWN = hashlib.sha256(Path(__file__).read_bytes()).hexdigest()[:8]


@pytest.mark.parametrize(
    ("trained_on", "options", "expected"),
    [
        (("dis", 112), [], (112, "dis", None)),
        (("flownets", 224), [], (224, "flownets", None)),
        (("flownets", 112), ["--flow", "flownets", "--image-size", "112"],
         (112, "flownets", None)),
        (("", 112), ["--image-size", "64"], (64, "dis", None)),  # it sees no flow
        (("", 0), [], (224, "dis", None)),
        (("flownets", 224), ["--flow", "dis"], "--flow dis contradicts"),
        (("dis", 224), ["--image-size", "112"], "--image-size 112 contradicts"),
        (("raft_small-0a1b2c3d", 224), [], "begins with 0a1b2c3d; give them with --flow-weights"),
        (("raft_small-0a1b2c3d", 224), ["--flow-weights", __file__],
         "begins with 0a1b2c3d; give them with --flow-weights"),
        ((f"raft_small-{KNOWN}", 224), ["--flow-weights", __file__],
         (224, "raft_small", Path(__file__))),
        (("flownets", 224), ["--flow-weights", __file__], "omit --flow-weights"),
        (("farneback", 224), [], "farneback flow, which datagen does not have"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("inputs", ["flow+keypoints", "keypoints"])
def test_a_video_gets_the_crops_and_flow_of_the_checkpoint(
    tmp_path, capsys, monkeypatch, trained_on, options, expected, inputs
):
    made = []

    def make(source, videos, folder):
        made.append(source)
        raise BadInput("enough")

    monkeypatch.setattr(making, "make_shards", make)
    checkpoint, video = tmp_path / "last.pt", tmp_path / "v.mp4"
    flow, size = trained_on
    model = {"flow": flow, "stored_size": size, "person_diagonal": 180.0, "inputs": inputs}
    body = {"J_regressor": torch.zeros(24, 5), "v_template": torch.zeros(5, 3)}
    torch.save({"model": model, "body": body}, checkpoint)
    video.touch()
    options = ["--checkpoint", str(checkpoint), str(video), *options]
    assert overlay([*options, "--out", str(tmp_path / "out")]) == 2
    if isinstance(expected, str):
        assert expected in capsys.readouterr().err and not made
        return
    footage = made[0].footage
    assert (footage.image_size, footage.flow.flow, footage.flow.flow_weights) == expected
    assert footage.person_diagonal == 180
    # What keypoints alone decide needs no second pass over the video.
    assert footage.keypoints_only == (inputs == "keypoints" and "--flow" not in options)
    assert not footage.rgb


def test_another_body_than_the_checkpoints_is_remarked_upon(body, tmp_path, capsys):
    """Whatever body the shards have: a video's are made with the embedded one."""
    rest = body.rest_joints()
    far = {
        "J_regressor": torch.eye(24),
        "v_template": torch.tensor(rest) + torch.tensor([0, 0.02, 0]),
    }
    near = {**far, "v_template": torch.tensor(rest)}
    checkpoint = tmp_path / "last.pt"
    for trained, note in (
        (near, ""),
        (far, f"up to 2.0 cm from those of the body in {checkpoint}"),
    ):
        torch.save({"model": {}, "body": trained}, checkpoint)
        warn_of_other_body(checkpoint_info(checkpoint).rest, checkpoint, body)
        out = capsys.readouterr().out
        assert note in out and bool(note) == bool(out)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--predictions", "nowhere", "--shards", "{shards}"], "nowhere does not exist"),
        (["--predictions", "{results}", "--shards", "nowhere"], "holds no body.npz"),
        (["--predictions", "{results}", "--video", "{video}"], "predicted from no video"),
        (["--predictions", "{lifted}", "--shards", "{shards}"], "has joints but no body"),
        (
            ["--predictions", "{broken}", "--shards", "{shards}"],
            "is not a complete file of trainer.predict",
        ),
        (
            ["--predictions", "{results}", "--shards", "{shards}", "--image-size", "112"],
            "--image-size applies only to predictions made by this command",
        ),
        (
            ["--predictions", "{results}", "--shards", "{shards}", "--flow", "dis"],
            "--flow applies only to predictions made by this command",
        ),
        (["--video", "{video}", "--checkpoint", "nowhere.pt"], "nowhere.pt does not exist"),
        (["--video", "nowhere.mp4", "--checkpoint", "{broken}"], "nowhere.mp4 does not exist"),
        (["--video", "{video}", "--checkpoint", "."], ". is a folder"),
        (["--video", "{video}", "--checkpoint", "{broken}"], "is not a checkpoint of trainer.fit"),
    ],
)
def test_what_cannot_be_shown_is_one_sentence(predicted, tmp_path, capsys, options, words):
    shards, results = predicted
    np.savez(tmp_path / "lifted.npz", joints=np.zeros((2, 14, 3)))
    (tmp_path / "broken.npz").write_bytes(b"PK\x03\x04 no archive")
    video = write_video(tmp_path / "v.mp4", np.zeros((3, 64, 64, 3), np.uint8))
    names = {"shards": shards, "results": results, "video": video}
    names |= {name: tmp_path / f"{name}.npz" for name in ("lifted", "broken")}
    filled = [option.format(**names) for option in options]
    assert overlay([*filled, "--out", str(tmp_path / "out")]) == 2
    error = capsys.readouterr().err
    assert words in error and "Traceback" not in error
