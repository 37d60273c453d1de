"""Pixels: layers are composited as whole frames would be, then cropped without fringe or alias."""

import cv2
import numpy as np
import pytest
from toy_layers import H, W, make_person

from datagen.clips.compositing import Layers, composite, crop_frames, shrink_kernel


@pytest.mark.parametrize("scale", [1.0, 1.3, 2.2])
def test_the_same_as_whole_frames_then_crop(scale, background):
    """Off the silhouettes, and beyond the frame too, where the composited frame's edge repeats."""
    person = make_person(np.random.default_rng(9))
    person.rgb = np.stack([cv2.GaussianBlur(f, (0, 0), 2) for f in person.rgb])
    person.rgb *= person.mask[..., None]
    scene = np.stack([cv2.GaussianBlur(f, (0, 0), 2) for f in background.frames])
    offsets = np.tile([150.0, 60.0], (32, 1))  # half of the person leaves the frame
    cut = np.zeros((32, H, W), np.uint8)
    cut[:, 150:190, 200:280] = 255
    maps = np.tile([[[scale, 0, 112 - 290 * scale], [0, scale, 112 - 200 * scale]]], (32, 1, 1))
    crops, _ = composite(Layers(person.rgb, person.mask, offsets, scene, cut), maps, 224)
    for t in range(0, 32, 8):
        mask = np.zeros((H, W), bool)
        mask[60:, 150:] = person.mask[t, : H - 60, : W - 150]
        rgb = np.zeros_like(scene[t])
        rgb[60:, 150:] = person.rgb[t, : H - 60, : W - 150]
        mask &= cut[t] == 0
        whole = np.where(mask[..., None], rgb, scene[t])
        edge = cv2.morphologyEx(mask.astype(np.uint8), cv2.MORPH_GRADIENT, np.ones((3, 3)))
        theirs, edge = (
            cv2.warpAffine(image, maps[t], (224, 224), borderMode=cv2.BORDER_REPLICATE)
            for image in (whole, edge * np.uint8(255))
        )
        off_edge = edge == 0
        assert off_edge.mean() > 0.8
        difference = np.abs(crops[t].astype(int) - theirs).max(axis=-1)
        assert difference[off_edge].max() <= 3
        assert np.abs(crops[t].astype(int) - theirs).mean() < 1


@pytest.mark.parametrize("scale", [0.4, 0.7, 1.0, 1.6, 3.0])
def test_edges_have_no_fringe(scale):
    """A person of the background's own colour disappears: no dark or bright rim at any scale."""
    mask = np.zeros((1, H, W), bool)
    mask[0, 60:180, 130:190] = True
    colour = np.array([200, 90, 30], np.uint8)
    layers = Layers(
        mask[..., None] * colour,
        mask,
        np.array([[0.3, 0.6]]),
        np.broadcast_to(colour, (1, H, W, 3)).copy(),
        None,
    )
    maps = np.array([[[scale, 0, 112 - 160 * scale], [0, scale, 112 - 120 * scale]]])
    crops, _ = composite(layers, maps, 224)
    assert np.abs(crops.astype(int) - colour).max() <= 1


@pytest.mark.parametrize("scale", [0.2, 0.4, 0.7, 0.9])
def test_shrinking_does_not_alias(scale):
    """A shrunken checkerboard is grey as area averaging makes it, its mean kept."""
    y, x = np.mgrid[:H, :W]
    board = np.repeat((((x + y) % 2) * 255).astype(np.uint8)[None, ..., None], 3, axis=3)
    nobody = np.zeros((1, H, W), bool)
    layers = Layers(np.zeros_like(board), nobody, np.zeros((1, 2)), board, None)
    maps = np.array([[[scale, 0, 16 - 160 * scale], [0, scale, 16 - 120 * scale]]])
    crop = composite(layers, maps, 32)[0].astype(float)
    plain = cv2.warpAffine(board[0], maps[0], (32, 32), flags=cv2.INTER_LINEAR).astype(float)
    assert abs(crop.mean() - 127.5) < 2 and crop.std() <= plain.std()
    kernel = shrink_kernel(scale)
    taps = np.arange(len(kernel)) - len(kernel) // 2
    assert kernel.sum() == pytest.approx(1)
    assert (kernel * taps**2).sum() == pytest.approx((1 / scale**2 - 1) / 12)


@pytest.mark.parametrize("scale", [1.0, 1.37, 2.9])
def test_real_footage_is_cropped_as_opencv_does(scale, background):
    smooth = np.stack([cv2.GaussianBlur(f, (0, 0), 2) for f in background.frames[:3]])
    maps = np.tile([[[scale, 0, 40.3 - 60 * scale], [0, scale, 90.8 - 50 * scale]]], (3, 1, 1))
    crops = crop_frames(smooth, maps, 224)
    for frame, crop in zip(smooth, crops, strict=True):
        theirs = cv2.warpAffine(
            frame, maps[0], (224, 224), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
        )
        assert np.abs(crop.astype(int) - theirs).max() <= 2


def test_footage_far_larger_than_the_crop_is_averaged():
    video = np.random.default_rng(0).integers(0, 256, (1, 800, 800, 3), np.uint8)
    maps = np.array([[[0.25, 0, -0.375], [0, 0.25, -0.375]]])  # pixel centres: (x + 0.5) / 4 - 0.5
    ours = crop_frames(video, maps, 200)[0].astype(float)
    theirs = cv2.resize(video[0], (200, 200), interpolation=cv2.INTER_AREA).astype(float)
    assert np.corrcoef(ours.ravel(), theirs.ravel())[0, 1] > 0.9
    assert ours.std() == pytest.approx(theirs.std(), rel=0.2)


@pytest.mark.parametrize("scale", [0.06, 0.107, 0.19])
def test_a_spot_of_large_footage_keeps_its_place_width_and_light(scale):
    """Against the closed form: a Gaussian spot, averaged over the width of a crop's pixel."""
    x, y, sigma, size = 431.3, 650.8, 40.0, 128
    rows, columns = np.mgrid[:1087, :1001]  # no multiples of a square
    spot = 20 + 200 * np.exp(-((columns - x) ** 2 + (rows - y) ** 2) / 2 / sigma**2)
    video = np.repeat(spot[None, ..., None], 3, 3).round().astype(np.uint8)
    maps = np.array([[[scale, 0, 60.4 - scale * x], [0, scale, 70.9 - scale * y]]])
    crop = crop_frames(video, maps, size)[0, ..., 0].astype(float) - 20
    places = np.arange(size)
    assert (crop.sum(0) * places).sum() / crop.sum() == pytest.approx(60.4, abs=0.05)
    assert (crop.sum(1) * places).sum() / crop.sum() == pytest.approx(70.9, abs=0.05)
    assert crop.sum() == pytest.approx(200 * 2 * np.pi * (sigma * scale) ** 2, rel=0.02)
    variance = (crop.sum(0) * (places - 60.4) ** 2).sum() / crop.sum()
    assert variance == pytest.approx((sigma * scale) ** 2 + 1 / 12, rel=0.05)
