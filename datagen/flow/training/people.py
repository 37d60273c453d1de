"""Image pairs of a rendered person in a moving scene, with exact flow on and off the person."""

# H W pixels of the rendered frame, S side of the pair

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from datagen.bodies.library import build_person
from datagen.bodies.motion.sources import find_motions
from datagen.bodies.options import BodiesConfig
from datagen.bodies.storage import clip_lengths, read_person
from datagen.common.splits import Split, in_split
from datagen.flow.training.layers import Layer, paint, paint_over
from datagen.flow.training.pairs import background_motion, film
from datagen.flow.training.rigid2d import move, rigid
from datagen.flow.training.shapes import blob, draw_outline
from datagen.flow.training.textures import cut

PERSON_DIAGONAL = 0.67
"""Diagonal of the person's mask relative to the picture's side (150 of 224 px, HMR's rule)."""


def render_people(folder: Path, split: Split, seed: int) -> list[Path]:
    """Render the embedded motions of a split's subjects into `folder` and return the files.

    Every 50 frames, a new person continues the motion. Existing files are kept.
    """
    from tqdm import tqdm

    sources = find_motions(None)
    subjects = in_split((source.subject for source in sources), split, "subjects")
    # mirrored motions add nothing: training mirrors its pairs
    chosen = [s for s in sources if s.subject in subjects and not s.name.endswith("_mirrored")]
    cfg = BodiesConfig(max_clip_frames=50)
    paths = [folder / split / f"{source.name}.h5" for source in chosen]
    lacking = [pair for pair in zip(chosen, paths, strict=True) if not pair[1].exists()]
    for source, path in tqdm(lacking, desc="people", unit="motion", disable=not lacking):
        build_person(source, cfg, seed, path)
    return paths


class PersonPairs:
    """Pairs of successive frames of rendered people, drawn at random."""

    def __init__(self, paths: list[Path]) -> None:
        self._clips: list[tuple[Path, int, int]] = []
        for path in paths:
            self._clips += [(path, clip, frames) for clip, frames in enumerate(clip_lengths(path))]
        # a clip's last frame has no flow
        self._ends = np.cumsum([frames - 1 for *_, frames in self._clips])

    def draw(self, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return rgb uint8 [2,H,W,3], mask bool [2,H,W] and flow [H,W,2] px of a visible person."""
        while True:
            place = int(rng.integers(self._ends[-1]))
            index = int(np.searchsorted(self._ends, place, side="right"))
            path, clip, frames = self._clips[index]
            start = place - int(self._ends[index]) + frames - 1
            person = read_person(path, clip, start, 2, flow=True)
            if person.mask[0].sum() >= 100:
                return person.rgb, person.mask, person.flow[0].astype(np.float32)


def person_pair(
    rgb: np.ndarray,
    mask: np.ndarray,
    flow: np.ndarray,
    textures: list[np.ndarray],
    size: int,
    rng: np.random.Generator,
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return two images uint8 [S,S,3], the flow float32 [S,S,2] px and the person's mask [S,S].

    As in datagen.clips: the crop contains the person with a margin and follows it with jitter, the
    scene's camera motion also shifts the person, and a part of the scene may occlude the person.
    Other objects may move behind and in front.

    Args:
        rgb: uint8 [2,H,W,3], two successive frames of datagen.bodies.storage.Person.
        mask: bool [2,H,W]; flow: [H,W,2] px, the first frame's surface flow.
    """
    crop, scale = _crop(mask[0], size, rng)
    middle, square = np.array([size / 2, size / 2]), (size, size)
    camera = background_motion(middle, rng)
    shift = move(middle, camera) - middle
    drift = np.eye(3)
    drift[:2, 2] = shift
    unsteady = np.eye(3)
    if rng.random() < 0.7:
        unsteady = rigid(rng.laplace(0, 0.5, 2), 0, rng.laplace(0, 0.002), middle)
    seen = unsteady @ camera

    behind = [Layer(*cut(textures, size, rng, plain=0.05), seen)]
    for _ in range(rng.integers(0, 3)):
        behind += blob(textures, size, seen, rng)
    pair = paint(behind, size)
    outline = draw_outline(size, rng)[0] if rng.random() < 0.4 else None
    covers = []
    for image, picture, cover, there, scene in zip(
        pair[:2], rgb, mask, (crop, unsteady @ drift @ crop), (np.eye(3), seen), strict=True
    ):
        drawn = cv2.warpAffine(picture, there[:2], square, flags=cv2.INTER_LINEAR)
        share = cv2.warpAffine(cover.astype(np.float32), there[:2], square)
        if outline is not None:  # the occluding superpixel moves with the scene
            free = 1 - _fill(move(outline, scene), size)
            share, drawn = share * free, drawn * free[..., None]
        # the person's colours are zero outside the mask, so warped colours are premultiplied
        share = share[..., None]
        image[:] = np.clip(np.rint(image * (1 - share) + drawn), 0, 255).astype(np.uint8)
        covers.append(share[..., 0] >= 0.5)
    surface = cv2.warpAffine(flow, crop[:2], square, flags=cv2.INTER_NEAREST)
    inside = cv2.warpAffine(mask[0].astype(np.uint8), crop[:2], square, flags=cv2.INTER_NEAREST)
    person = covers[0] & (inside > 0)
    at = np.argwhere(person)[:, ::-1]
    pair[2][person] = move(at + scale * surface[person] + shift, unsteady) - at
    before = [blob(textures, size, seen, rng)[0] for _ in range(rng.binomial(2, 0.15))]
    if before:
        known = pair[2].copy()
        paint_over(pair, before)
        person &= (pair[2] == known).all(-1)
    first, second = film(list(pair[:2]), rng)
    return first, second, pair[2], person


def _crop(mask: np.ndarray, size: int, rng: np.random.Generator) -> tuple[np.ndarray, float]:
    """Return the 3x3 map from the frame to a crop around the person, and its scale."""
    rows, columns = np.nonzero(mask)
    low = np.array([columns.min(), rows.min()])
    high = np.array([columns.max(), rows.max()])
    diagonal = max(1.0, float(np.hypot(*(high - low))))
    # a person half outside the picture is not enlarged
    scale = min(2.5, PERSON_DIAGONAL * size / diagonal) * np.exp(rng.uniform(-0.3, 0.3))
    crop = np.diag([scale, scale, 1.0])
    crop[:2, 2] = size / 2 - scale * (low + high) / 2 + rng.uniform(-0.1, 0.1, 2) * size
    return crop, scale


def _fill(outline: np.ndarray, size: int) -> np.ndarray:
    """Return a polygon's coverage of each pixel, float32 [S,S] in 0..1."""
    cover = np.zeros((size, size), np.uint8)
    cv2.fillPoly(cover, [np.round(outline * 16).astype(np.int32)], (255,), cv2.LINE_AA, 4)
    return cover / np.float32(255)
