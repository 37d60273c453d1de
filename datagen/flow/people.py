"""Image pairs of a rendered person before a moving scene, with exact flow on and off the person."""

# H W pixels of the rendered frame, S side of the pair

from __future__ import annotations

import cv2
import numpy as np

from datagen.flow.pairs import Layer, background_motion, cut, film, move, paint


def person_pair(
    rgb: np.ndarray,
    mask: np.ndarray,
    flow: np.ndarray,
    textures: list[np.ndarray],
    size: int,
    rng: np.random.Generator,
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return two images uint8 [S,S,3], the flow float32 [S,S,2] px and the person's mask [S,S].

    The crop holds the person with room to spare; the camera that moves the scene shifts the
    person with it, as datagen.clips does.

    Args:
        rgb: uint8 [2,H,W,3], two successive frames of datagen.bodies.library.Person.
        mask: bool [2,H,W]; flow: [H,W,2] px, the first frame's surface flow.
    """
    rows, columns = np.nonzero(mask[0])
    low = np.array([columns.min(), rows.min()])
    high = np.array([columns.max(), rows.max()])
    scale = 0.67 * size / max(1.0, float(np.hypot(*(high - low)))) * np.exp(rng.uniform(-0.2, 0.2))
    crop = np.diag([scale, scale, 1.0])
    crop[:2, 2] = size / 2 - scale * (low + high) / 2 + rng.uniform(-0.1, 0.1, 2) * size

    middle = np.array([size / 2, size / 2])
    camera = background_motion(middle, rng)
    first, second, field = paint([Layer(*cut(textures, size, rng, plain=0.05), camera)], size)
    shift = move(middle, camera) - middle
    drift = np.eye(3)
    drift[:2, 2] = shift
    maps = [crop, drift @ crop]
    covers = []
    for image, picture, cover, there in zip((first, second), rgb, mask, maps, strict=True):
        drawn = cv2.warpAffine(picture, there[:2], (size, size), flags=cv2.INTER_LINEAR)
        share = cv2.warpAffine(cover.astype(np.float32), there[:2], (size, size))[..., None]
        # the person's colours are zero outside the mask, so the warped ones carry its share
        image[:] = np.clip(np.rint(image * (1 - share) + drawn), 0, 255).astype(np.uint8)
        covers.append(share[..., 0] >= 0.5)
    surface = cv2.warpAffine(
        flow.astype(np.float32), crop[:2], (size, size), flags=cv2.INTER_NEAREST
    )
    inside = cv2.warpAffine(
        mask[0].astype(np.uint8), crop[:2], (size, size), flags=cv2.INTER_NEAREST
    )
    person = covers[0] & (inside > 0)
    field[person] = scale * surface[person] + shift
    first, second = film([first, second], rng)
    return first, second, field, person
