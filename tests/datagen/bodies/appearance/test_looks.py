"""Looks: everybody dressed, every skin tone, the same person from the same draws."""

from collections import Counter
from dataclasses import replace

import cv2
import numpy as np
import pytest

from datagen.bodies.appearance import clothes
from datagen.bodies.appearance.atlas import ARM, HEAD, LEG, TORSO, atlas, vertex_colours
from datagen.bodies.appearance.looks import dress, paint
from datagen.bodies.smpl.model import load_bodies
from datagen.common.errors import BadInput
from datagen.common.seeds import generator


@pytest.fixture(scope="module")
def bodies():
    return load_bodies(None)


@pytest.fixture(scope="module")
def coarse(bodies):
    """The bodies painted a texel a vertex: a tenth of the work."""
    return {gender: replace(body, uv=None, face_uv=None) for gender, body in bodies.items()}


def test_same_draws_same_look(bodies):
    first, meta = dress(bodies["female"], generator(3, "look"))
    again, same = dress(bodies["female"], generator(3, "look"))
    other, _ = dress(bodies["female"], generator(4, "look"))
    assert first.dtype == np.uint8 and first.shape == (*first.shape[:2], 3)
    assert np.array_equal(first, again) and meta == same
    assert (first != other).mean() > 0.5


def test_atlas_places_texels_on_the_body(bodies):
    """A texel's rest position is where its UV lies on the mesh."""
    body = bodies["male"]
    places = atlas(body)
    size = len(places.fill)
    face = np.random.default_rng(0).integers(0, len(body.faces), 3000)
    uv = body.uv[body.face_uv[face]].mean(1)
    texel = places.fill[((1 - uv[:, 1]) * size).astype(int), (uv[:, 0] * size).astype(int)]
    centre = body.v_template[body.faces[face]].mean(1)
    gap = np.linalg.norm(places.position[texel] - centre, axis=1)
    assert np.median(gap) < 0.004 and np.percentile(gap, 99) < 0.02
    for part, name in ((ARM, "left_elbow"), (LEG, "left_knee"), (TORSO, "spine2"), (HEAD, "crown")):
        near = np.linalg.norm(places.position - places.joints[name], axis=1) < 0.12
        assert (places.part[near] == part).mean() > 0.9, name


def test_nobody_is_bare(coarse):
    """Trunk and hips are covered on every person, in a colour that is not their skin's."""
    for gender, body in coarse.items():
        places = atlas(body)
        y = places.position[:, 1]
        chest, pelvis = places.joints["spine3"][1], places.joints["pelvis"][1]
        fork = places.joints["left_hip"][1] - 0.1
        trunk = (places.arm < -0.35) & (y > pelvis + 0.13) & (y < chest)
        hips = (places.part != ARM) & (y < pelvis + 0.03) & (y > fork)
        for k in range(25):
            canvas = paint(body, generator(k, gender))
            for region in (trunk, hips):
                assert canvas.covered[region].mean() > 0.995, (gender, k, canvas.meta)
            waist = (places.arm < -0.2) & (y > pelvis) & (y < chest)
            assert canvas.covered[waist].mean() > 0.97, (gender, k, canvas.meta)


def test_cloth_is_not_skin_coloured():
    rng = np.random.default_rng(0)
    for skin in (
        np.array([0.9, 0.8, 0.7]),
        np.array([0.63, 0.47, 0.35]),
        np.array([0.3, 0.2, 0.16]),
    ):
        drawn = [clothes.draw_colour(rng, skin) for _ in range(300)]
        assert len({name for name, _ in drawn}) > 12
        assert not any(clothes.looks_bare(colour, skin) for _, colour in drawn)
    assert clothes.looks_bare(np.array([0.65, 0.49, 0.32]), np.array([0.63, 0.47, 0.35]))


def test_looks_cover_the_range(coarse):
    """Ten skin tones in equal shares, and every kind of garment and pattern."""
    looks = [paint(coarse["neutral"], generator(k, "many")).meta for k in range(150)]
    tones = Counter(look["skin_tone"] for look in looks)
    assert set(tones) == set(range(1, 11)) and max(tones.values()) < 33
    words = Counter(word for look in looks for g in look["garments"] for word in g.split())
    for word in (
        *clothes.PATTERNS, "jeans", "trousers", "shorts", "skirt", "dress", "leggings", "jacket",
        "top", "trainers", "boots", "shoes", "sleeveless", "short-sleeved", "long-sleeved",
    ):  # fmt: skip
        assert words[word] > 0, word


def test_left_and_right_are_as_the_wearer_has_them(bodies):
    """A print reads from outside: its left column is at the wearer's right, in front."""
    places = atlas(bodies["male"])
    motif = np.zeros((64, 64), np.float32)
    motif[:, :20] = 1
    chosen, clothes.MOTIFS = clothes.MOTIFS, (lambda rng: motif,)
    try:
        ink = clothes.chest_print(places, np.random.default_rng(1))
    finally:
        clothes.MOTIFS = chosen
    front = (ink > 0) & (places.position[:, 2] > places.joints["spine3"][2])
    assert front.any() and (places.position[front, 0] < 0).all()


def test_vertex_colours_agree_with_the_texture(bodies):
    body = bodies["male"]
    texture, _ = dress(body, generator(1, "look"))
    colours = vertex_colours(body, texture)
    assert colours.shape == (body.num_vertices, 3) and colours.dtype == np.float32
    bare = replace(body, uv=None, face_uv=None)
    pixels, meta = dress(bare, generator(1, "look"))
    alone = vertex_colours(bare, pixels)
    assert alone.shape == colours.shape and meta["garments"]
    assert np.median(np.abs(alone - colours)) < 0.1  # one look, but weave and creases differ


def test_scans_are_worn_when_given(bodies, tmp_path):
    for gender, value in (("female", 50), ("male", 200)):
        (tmp_path / gender).mkdir()
        picture = np.full((128, 128, 3), (value, 0, 10), np.uint8)  # BGR on disk
        cv2.imwrite(str(tmp_path / gender / f"nongrey_{gender}_0001.png"), picture)
    texture, meta = dress(bodies["male"], generator(0, "scan"), textures=tmp_path)
    assert texture[0, 0].tolist() == [10, 0, 200]
    assert meta["texture"] == "male/nongrey_male_0001.png"
    with pytest.raises(BadInput, match="UV"):
        dress(replace(bodies["male"], uv=None), generator(0, "scan"), textures=tmp_path)


@pytest.mark.parametrize("shape", [(128, 64, 3), (8, 8, 3), None])
def test_bad_scans_are_named(bodies, tmp_path, shape):
    path = tmp_path / "skin.png"
    if shape is None:
        path.write_bytes(b"no picture")
    else:
        cv2.imwrite(str(path), np.zeros(shape, np.uint8))
    with pytest.raises(BadInput, match=r"skin\.png"):
        dress(bodies["male"], generator(0, "scan"), textures=tmp_path)


def test_empty_scan_folder(bodies, tmp_path):
    with pytest.raises(BadInput, match="--textures"):
        dress(bodies["male"], generator(0, "scan"), textures=tmp_path)
