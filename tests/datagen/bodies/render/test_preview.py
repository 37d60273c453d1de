"""The renderer of pictures to look at: the projected silhouette, sRGB colours, soft edges."""

import numpy as np
import pytest
from toy_person import lump, silhouette, tumble

from datagen.bodies.options import BodiesConfig
from datagen.bodies.render.camera import intrinsics
from datagen.bodies.render.preview import PreviewRenderer, softened
from datagen.bodies.smpl.mesh import Mesh

K = intrinsics(BodiesConfig())


@pytest.fixture(scope="module")
def renderer():
    return PreviewRenderer(K, 320, 240)


def test_a_body_fills_its_silhouette_in_its_colour(renderer):
    vertices, faces, *_ = lump()
    mesh, linear = Mesh(faces, len(vertices)), np.array([0.2, 0.5, 0.04])
    shades = np.full(len(vertices), 0.8, np.float32)
    look = np.tile(linear, (len(vertices), 1))
    # IEC 61966-2-1, written out
    expected = 255 * (1.055 * (0.8 * linear) ** (1 / 2.4) - 0.055)
    for here in tumble(vertices, 4):
        drawn = renderer.picture(mesh, here.astype(np.float32), shades, look)
        whole = np.zeros((240, 320, 4), np.uint8)
        height, width = drawn.colours.shape[:2]
        whole[drawn.top : drawn.top + height, drawn.left : drawn.left + width] = drawn.colours
        wanted = silhouette(here, faces, K)
        seen = whole[..., 3] > 127
        assert (wanted & seen).sum() / (wanted | seen).sum() > 0.99
        inside = whole[whole[..., 3] == 255][:, :3]
        assert len(inside) > 300 and np.abs(inside - expected).max() <= 1.5
        edge = whole[(whole[..., 3] > 0) & (whole[..., 3] < 255)].astype(float)
        assert len(edge) > 50  # colours are weighted by what they cover
        assert np.abs(edge[:, :3] - edge[:, 3:] / 255 * expected).max() < 3


def test_nothing_is_drawn_of_who_is_out_of_the_picture(renderer):
    vertices, faces, *_ = lump()
    mesh = Mesh(faces, len(vertices))
    ones = np.ones(len(vertices), np.float32), np.ones((len(vertices), 3))
    away = tumble(vertices, 1)[0] + [100, 0, 0]
    assert not renderer.picture(mesh, away.astype(np.float32), *ones).colours.size


def test_only_the_silhouette_is_softened():
    rng = np.random.default_rng(0)
    colours = np.zeros((20, 20, 4), np.uint8)
    colours[5:15, 5:15] = [*rng.integers(0, 255, 3), 255]
    colours[8:12, 8:12, :3] = rng.integers(0, 255, (4, 4, 3))
    soft = softened(colours)
    np.testing.assert_array_equal(soft[6:14, 6:14], colours[6:14, 6:14])
    assert (soft[5, 5:15, 3] < 255).all() and (soft[4, 6:14, 3] > 0).all()
    assert not soft[:4].any()
