"""The renderer against the projected mesh, against ray casting, and against the texture itself."""

import gc
import os
import subprocess
import sys
from itertools import pairwise

import cv2
import numpy as np
import pytest
from surface_flow import surface_flow
from toy_person import checks, lump, silhouette, tumble

from datagen.bodies.options import BodiesConfig
from datagen.bodies.render.camera import intrinsics
from datagen.bodies.render.light import draw_light, shade
from datagen.bodies.render.renderer import Renderer, bounding_box
from datagen.bodies.smpl.mesh import Mesh, is_closed
from datagen.bodies.storage import decode_flow, encode_flow

K = intrinsics(BodiesConfig())
T = 12


@pytest.fixture(scope="module")
def renderer():
    return Renderer(K, 320, 240)


@pytest.fixture(scope="module")
def scene():
    vertices, faces, uv, face_uv = lump()
    clip = tumble(vertices, T)
    return clip, Mesh(faces, len(vertices), uv, face_uv)


@pytest.fixture(scope="module")
def pictures(renderer, scene):
    clip, mesh = scene
    return list(renderer.render(mesh, clip, np.ones(clip.shape[:2], np.float32), checks()))


def test_mask_is_the_projected_silhouette(scene, pictures):
    clip, mesh = scene
    for vertices, picture in zip(clip, pictures, strict=True):
        wanted = silhouette(vertices, mesh.faces, K)
        overlap = (wanted & picture.mask).sum() / (wanted | picture.mask).sum()
        assert overlap > 0.99


def test_depth_and_flow_equal_ray_casting(scene, pictures):
    clip, mesh = scene
    for t in (0, 5, 10):
        ys, xs = np.nonzero(pictures[t].mask)
        some = np.random.default_rng(t).choice(len(xs), 150, replace=False)
        pixels = np.c_[xs, ys][some]
        flow, depth = surface_flow(pixels, mesh.faces, clip[t], clip[t + 1], K)
        drawn = pictures[t].flow[pixels[:, 1], pixels[:, 0]]
        seen = np.isfinite(depth)
        assert seen.mean() > 0.95  # a border pixel's ray may just miss
        np.testing.assert_allclose(
            pictures[t].depth[pixels[:, 1], pixels[:, 0]][seen], depth[seen], atol=2e-3
        )
        error = np.linalg.norm(drawn - flow, axis=1)[seen]
        assert np.median(error) < 1e-3 and np.quantile(error, 0.97) < 0.02
    assert not pictures[-1].flow.any()


def test_warping_by_the_flow_gives_the_same_colours(scene, pictures):
    x, y = np.meshgrid(np.arange(320, dtype=np.float32), np.arange(240, dtype=np.float32))
    for now, later in pairwise(pictures):
        at = (x + now.flow[..., 0], y + now.flow[..., 1])
        warped = cv2.remap(later.rgb, *at, cv2.INTER_LINEAR)
        still_seen = cv2.remap(later.mask.astype(np.float32), *at, cv2.INTER_LINEAR) == 1
        inside = now.mask & still_seen
        assert inside.sum() > 0.8 * now.mask.sum()
        error = np.abs(warped.astype(int) - now.rgb)[inside]
        assert np.median(error) <= 2 and error.mean() < 4


def test_still_body_has_no_flow(renderer, scene):
    clip, mesh = scene
    still = np.repeat(clip[:1], 3, axis=0)
    for picture in renderer.render(mesh, still, np.ones(still.shape[:2], np.float32), checks()):
        assert picture.mask.any() and not picture.flow.any()


def test_colour_is_texture_times_light_in_linear_light(renderer, scene):
    clip, mesh = scene
    grey = np.full((8, 8, 3), 188, np.uint8)
    for factor in (0.25, 1.0, 1.5):
        shades = np.full((1, clip.shape[1]), factor, np.float32)
        picture = next(renderer.render(mesh, clip[:1], shades, grey))
        linear = ((188 / 255 + 0.055) / 1.055) ** 2.4 * factor
        wanted = 255 * (1.055 * min(linear, 1) ** (1 / 2.4) - 0.055)
        assert np.abs(picture.rgb[picture.mask].astype(float) - wanted).max() <= 1


def test_texture_is_neither_mirrored_nor_upside_down(renderer):
    # A quad before the camera, uv as the picture: u right, v up.
    quad = np.array([[[-1, -0.7, 6], [1, -0.7, 6], [1, 0.7, 6], [-1, 0.7, 6]]], np.float32)
    uv = np.array([[0, 1], [1, 1], [1, 0], [0, 0]], np.float32)
    faces = np.array([[0, 1, 2], [0, 2, 3]], np.int32)
    texture = np.zeros((64, 64, 3), np.uint8)
    texture[:32, :32] = (255, 0, 0)  # red at the top left
    texture[32:, 32:] = (0, 0, 255)  # blue at the bottom right
    picture = next(renderer.render(Mesh(faces, 4, uv, faces), quad, np.ones((1, 4)), texture))
    assert tuple(picture.rgb[80, 90]) == (255, 0, 0)
    assert tuple(picture.rgb[160, 230]) == (0, 0, 255)
    assert tuple(picture.rgb[160, 90]) == (0, 0, 0)


def test_vertex_colours_without_uv(renderer):
    vertices, faces, _, _ = lump()
    clip = tumble(vertices, 1)
    colours = np.broadcast_to(np.array([0.2140, 1, 0], np.float32), vertices.shape)
    mesh = Mesh(faces, len(vertices))
    picture = next(renderer.render(mesh, clip, np.ones(clip.shape[:2], np.float32), colours))
    assert (np.abs(picture.rgb[picture.mask].astype(int) - (127, 255, 0)) <= 1).all()


def test_rendering_twice_gives_equal_pictures(renderer, scene, pictures):
    clip, mesh = scene
    again = renderer.render(mesh, clip, np.ones(clip.shape[:2], np.float32), checks())
    for one, two in zip(pictures, again, strict=True):
        assert (one.rgb == two.rgb).all() and (one.flow == two.flow).all()


def test_long_clips_do_not_notice_their_chunks(renderer, monkeypatch, scene, pictures):
    clip, mesh = scene
    monkeypatch.setattr("datagen.bodies.render.renderer.CHUNK", 5)
    again = renderer.render(mesh, clip, np.ones(clip.shape[:2], np.float32), checks())
    for one, two in zip(pictures, again, strict=True):
        assert (one.rgb == two.rgb).all() and (one.flow == two.flow).all()


def test_bounding_box_keeps_every_pixel(scene, pictures):
    clip, _ = scene
    for vertices, picture in zip(clip, pictures, strict=True):
        left, top, right, bottom = bounding_box(vertices, K, 320, 240)
        ys, xs = np.nonzero(picture.mask)
        assert left <= xs.min() and xs.max() < right and top <= ys.min() and ys.max() < bottom
    assert bounding_box(clip[0] - [0, 0, 50], K, 320, 240) == (0, 0, 0, 0)
    assert bounding_box(clip[0] + [50, 0, 0], K, 320, 240)[0] >= 320


def test_normals_are_unit_and_outward():
    sphere = lump()[0]
    sphere = sphere / np.linalg.norm(sphere, axis=1, keepdims=True)
    _, faces, _, _ = lump()
    normals = Mesh(faces, len(sphere)).normals(sphere.astype(np.float32))
    used = np.unique(faces)
    assert ((normals * sphere)[used].sum(1) > 0.97).all()


def test_open_meshes_show_their_inside(renderer, scene, pictures):
    clip, mesh = scene
    assert mesh.closed and not is_closed(mesh.faces[:-1])
    upper = clip[0, mesh.faces, 1].mean(1) < 0
    half = Mesh(mesh.faces[upper], clip.shape[1])
    colours = np.ones((clip.shape[1], 3))
    picture = next(renderer.render(half, clip, np.ones(clip.shape[:2], np.float32), colours))
    wanted = silhouette(clip[0], half.faces, K)
    assert (wanted & picture.mask).sum() / (wanted | picture.mask).sum() > 0.98


def test_light_is_surreals_formula():
    rng = np.random.default_rng(0)
    normals = rng.normal(size=(100, 3))
    normals /= np.linalg.norm(normals, axis=1, keepdims=True)
    sh = draw_light(rng).astype(float)
    x, y, z = -normals[:, 2], normals[:, 1], -normals[:, 0]  # SURREAL's world from the camera's
    k = (
        0.429043 * sh[8] * (x * x - y * y) + 0.743125 * sh[6] * z * z + 0.886227 * sh[0]
        - 0.247708 * sh[6]
        + 2 * 0.429043 * (sh[4] * x * y + sh[7] * x * z + sh[5] * y * z)
        + 2 * 0.511664 * (sh[3] * x + sh[1] * y + sh[2] * z)
    )  # fmt: skip
    np.testing.assert_allclose(shade(normals, sh), np.maximum(k, 0), atol=1e-9)
    up, down = np.array([[0.0, -1, 0]]), np.array([[0.0, 1, 0]])
    lights = [draw_light(np.random.default_rng(seed)) for seed in range(300)]
    assert np.mean([shade(up, sh) - shade(down, sh) for sh in lights]) > 0.5  # from above


def test_renderers_of_a_process_do_not_disturb_each_other(renderer, scene, pictures):
    clip, mesh = scene
    shades = np.ones(clip.shape[:2], np.float32)
    other = Renderer(K, 320, 240)
    again = zip(
        renderer.render(mesh, clip, shades, checks()),
        other.render(mesh, clip[::-1], shades, checks()),
        strict=True,
    )
    for t, (picture, turned) in enumerate(again):
        np.testing.assert_array_equal(picture.rgb, pictures[t].rgb)
        np.testing.assert_array_equal(turned.rgb, pictures[T - 1 - t].rgb)
    other.close()
    del other
    gc.collect()
    Renderer(K, 8, 8)  # never closed
    gc.collect()
    picture = next(renderer.render(mesh, clip, shades, checks()))
    np.testing.assert_array_equal(picture.rgb, pictures[0].rgb)


def test_stored_flow_is_exact_to_a_256th_pixel():
    flow = np.random.default_rng(0).uniform(-30, 30, (1000, 2)).astype(np.float32)
    assert np.abs(decode_flow(encode_flow(flow)).astype(float) - flow).max() <= 1 / 64
    small = flow / 8
    assert np.abs(decode_flow(encode_flow(small)).astype(float) - small).max() <= 1 / 256 + 1e-6


def test_without_egl_osmesa_is_tried_and_the_remedy_named():
    """In its own process, for it breaks EGL; either OSMesa draws or the error names what to do."""
    code = (
        "import numpy as np; from datagen.bodies.render.renderer import Renderer;"
        "print(Renderer(np.eye(3, dtype=np.float32), 8, 8).backend)"
    )
    environment = {k: v for k, v in os.environ.items() if k != "PYOPENGL_PLATFORM"}
    environment["EGL_DEVICE_ID"] = "99"
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True
    )
    if done.returncode == 0:
        assert done.stdout.strip() == "osmesa"
    else:
        last = done.stderr.strip().splitlines()[-1]
        assert "Invalid device ID (99)" in last and "unset it" in last
