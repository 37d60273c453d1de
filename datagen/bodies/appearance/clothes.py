"""Clothes: the area that a garment covers, and the appearance of its fabric.

All functions take an Atlas (N texels on the body in T pose): a cut returns the coverage of each
texel, a fabric its colour. Lengths in metres, colours sRGB in 0..1.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from datagen.bodies.appearance.atlas import ARM, HEAD, LEG, TORSO, Atlas

EDGE = 0.006
"""Width over which a hem blends into the layer below, metres: one texel."""

# No beige, tan or brown, because these are skin colours.
PALETTE = {
    "black": (24, 24, 27), "charcoal": (56, 58, 62), "grey": (128, 130, 133),
    "light grey": (190, 191, 192), "white": (238, 238, 235), "navy": (28, 38, 74),
    "blue": (45, 88, 164), "sky": (132, 176, 219), "turquoise": (64, 188, 190),
    "teal": (28, 119, 120), "green": (46, 121, 66), "olive": (98, 102, 54),
    "lime": (160, 196, 72), "mint": (158, 213, 183), "yellow": (235, 196, 53),
    "mustard": (190, 140, 34), "orange": (226, 113, 38), "red": (190, 36, 42),
    "burgundy": (106, 24, 43), "pink": (232, 152, 175), "magenta": (186, 44, 123),
    "purple": (98, 58, 140), "lilac": (182, 160, 212),
}  # fmt: skip
DENIM = {"denim": (62, 84, 124), "light denim": (128, 152, 186), "dark denim": (36, 46, 70)}
LEATHER = {
    "black": (22, 21, 21), "brown": (70, 45, 30), "tan": (122, 84, 52), "grey": (84, 84, 86),
    "navy": (24, 30, 52), "red": (120, 26, 30), "white": (214, 212, 206),
}  # fmt: skip
PATTERNS = ("plain", "striped", "pinstriped", "checked", "plaid", "dotted", "printed", "mottled")
PATTERN_CHANCES = (0.34, 0.14, 0.06, 0.1, 0.08, 0.06, 0.16, 0.06)
SKIN_HUE = 0.09
"""A warm dye whose chromaticity is closer than this to the wearer's skin looks like bare skin,"""
SKIN_VALUE = 2.6
"""unless it is this many times as bright or as dark."""
WARM = 0.05
"""Least difference of red and blue chromaticity for a dye to look like skin; white has none."""


def below(
    value: Float[np.ndarray, "*shape"], limit: np.ndarray | float, edge: float = EDGE
) -> Float[np.ndarray, "*shape"]:
    """Return 1 where value < limit, 0 where it is above, with a linear ramp of width `edge`."""
    return np.clip((limit - value) / edge + 0.5, 0, 1)


# --- cuts --------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Neckline:
    """The opening of a top around the neck."""

    rise: float
    """Height of the opening above the neck joint, at the joint's depth."""
    depth: float
    """Additional depth of the front cut."""
    width: float
    """Half the width of the front cut."""
    pointed: bool
    """Whether the neckline is a V rather than round."""

    def opening(self, atlas: Atlas) -> np.ndarray:
        """Return the share of each texel inside the opening, [N] in 0..1."""
        x, y, z = atlas.position.T
        neck = atlas.joints["neck"]
        limit = (
            neck[1] + self.rise - 0.55 * np.minimum(z - neck[2], 0.07)
        )  # a bust does not lower it
        across = np.abs(x) / self.width
        cut = np.maximum(1 - across, 0) if self.pointed else np.exp(-(across**4))
        limit = limit - self.depth * cut * (z > neck[2] - 0.02)
        near = (atlas.arm < -0.25) & (y > neck[1] - 0.3)
        return near * (1 - below(y, limit))


def top_cut(atlas: Atlas, hem: float, sleeve: float, neckline: Neckline) -> Float[np.ndarray, " n"]:
    """Cover the trunk above a hem (metres above the pelvis) and the arms down to `sleeve`.

    sleeve: 0 shoulder, 1 elbow, 2 wrist (Atlas.arm).
    """
    y = atlas.position[:, 1]
    waist = 1 - below(y, atlas.joints["pelvis"][1] + hem)
    arm = below(atlas.arm, sleeve, EDGE / 0.26)
    head = (atlas.part == HEAD) & (y > atlas.joints["neck"][1] + max(neckline.rise, 0.0) + 0.03)
    return waist * arm * (1 - neckline.opening(atlas)) * ~head


def leg_cut(atlas: Atlas, waist: float, cuff: float) -> Float[np.ndarray, " n"]:
    """Cover everything below the waist (metres above the pelvis) down to `cuff`.

    cuff: 0 hip, 1 knee, 2 ankle (Atlas.leg).
    """
    y = atlas.position[:, 1]
    return (
        below(y, atlas.joints["pelvis"][1] + waist)
        * below(atlas.leg, cuff, EDGE / 0.4)
        * (atlas.part != ARM)
    )


def foot_cut(atlas: Atlas, top: float) -> Float[np.ndarray, " n"]:
    """Cover the feet from `top` (Atlas.leg: 2 the ankle joint) downwards."""
    return (1 - below(atlas.leg, top, EDGE / 0.4)) * (atlas.part == LEG)


# --- fabrics -----------------------------------------------------------------------------------


def looks_bare(colour: np.ndarray, skin: np.ndarray) -> bool:
    """Return whether cloth of this colour [3] could be mistaken for the skin [3]."""
    hue = colour / colour.sum()
    distance = np.linalg.norm(hue - skin / skin.sum())
    value = colour.sum() / skin.sum()
    warm = hue[0] - hue[2] > WARM
    return bool(warm and distance < SKIN_HUE and 1 / SKIN_VALUE < value < SKIN_VALUE)


def draw_colour(
    rng: np.random.Generator, skin: np.ndarray, palette: dict = PALETTE
) -> tuple[str, np.ndarray]:
    """Draw a named colour [3], slightly varied, that does not look like the wearer's skin [3]."""
    names = list(palette)
    for _ in range(50):
        name = names[rng.integers(len(names))]
        colour = np.array(palette[name]) / 255
        colour = np.clip(colour * rng.uniform(0.85, 1.12) + rng.normal(0, 0.015, 3), 0.03, 0.97)
        if not looks_bare(colour, skin):
            return name, colour
    return "navy", np.array(PALETTE["navy"]) / 255


def folds(atlas: Atlas, rng: np.random.Generator, waves: int = 4) -> np.ndarray:
    """Return a smooth random field [N] of about unit magnitude: the shading of creased cloth."""
    direction = rng.normal(size=(waves, 3))
    direction /= np.linalg.norm(direction, axis=1, keepdims=True)
    step = direction * (2 * np.pi / rng.uniform(0.06, 0.3, (waves, 1)))
    phase = rng.uniform(0, 2 * np.pi, waves)
    x, y, z = np.ascontiguousarray(atlas.position.T)
    field = np.zeros(len(x), np.float32)
    for (a, b, c), start in zip(step.astype(np.float32), phase.astype(np.float32), strict=True):
        field += np.cos(a * x + b * y + c * z + start)
    return field / np.float32(np.sqrt(waves / 2))


def fabric(
    atlas: Atlas, rng: np.random.Generator, pattern: str, colours: list[np.ndarray]
) -> np.ndarray:
    """Return the colour [N,3] of a patterned cloth; `colours` are its two or three dyes."""
    along, around = atlas.along, atlas.around
    first, second = colours[0], colours[1]
    third = colours[-1]
    pitch = rng.uniform(0.03, 0.11)
    duty = rng.uniform(0.25, 0.6)

    def bands(value: np.ndarray, period: float, share: float) -> np.ndarray:
        phase = np.mod(value / period, 1)
        return below(np.abs(phase - 0.5), share / 2, EDGE / period)[:, None]

    cloth = np.tile(first.astype(np.float32), (len(along), 1))
    if pattern == "striped":
        value = along if rng.random() < 0.75 else around
        cloth += (second - first) * bands(value, pitch, duty)
    elif pattern == "pinstriped":
        cloth += (second - first) * bands(around, rng.uniform(0.02, 0.035), 0.22)
    elif pattern == "checked":
        size = rng.uniform(0.025, 0.06)
        mix = (bands(along, size, 0.5) + bands(around, size, 0.5)) / 2
        cloth += (second - first) * mix
    elif pattern == "plaid":
        size = rng.uniform(0.06, 0.12)
        for value in (along, around):
            cloth += (second - cloth) * bands(value, size, 0.35) * 0.55
            cloth += (third - cloth) * bands(value + size / 2, size, 0.07) * 0.8
    elif pattern == "dotted":
        size = rng.uniform(0.035, 0.08)
        row = np.floor(along / size)
        dx = np.mod(around / size + 0.5 * np.mod(row, 2), 1) - 0.5
        dy = np.mod(along / size, 1) - 0.5
        dot = below(np.hypot(dx, dy), rng.uniform(0.2, 0.34), EDGE / size)
        cloth += (second - first) * dot[:, None]
    elif pattern == "printed":
        ink = chest_print(atlas, rng)
        cloth += (second - first) * ink[:, None]
    elif pattern == "mottled":
        blot = folds(atlas, rng, 12)
        cloth += (second - cloth) * below(-blot, rng.uniform(-0.4, 0.1), 0.1)[:, None]
        blot = folds(atlas, rng, 12)
        cloth += (third - cloth) * below(-blot, rng.uniform(-1.2, -0.6), 0.1)[:, None]
    return cloth


def worn(atlas: Atlas, rng: np.random.Generator, cloth: np.ndarray, depth: float) -> np.ndarray:
    """Shade cloth ([3] or [N,3]) with creases of relative `depth` and a fine weave."""
    weave = rng.standard_normal(len(atlas.position), np.float32)
    shade = 1 + np.float32(depth) * folds(atlas, rng) + np.float32(0.02) * weave
    return np.clip(cloth.astype(np.float32) * shade[:, None], 0, 1)


def chest_print(atlas: Atlas, rng: np.random.Generator) -> np.ndarray:
    """Return the ink [N] in 0..1 of a print on the chest, and sometimes on the back."""
    x, y, z = atlas.position.T
    shoulder = atlas.joints["left_shoulder"]
    half = rng.uniform(0.09, 0.14)
    centre = shoulder[1] - rng.uniform(0.15, 0.22)
    motif = MOTIFS[rng.integers(len(MOTIFS))](rng)
    front = z > shoulder[2] - 0.03
    sides = [front] if rng.random() < 0.6 else [front, ~front]
    ink = np.zeros(len(x), np.float32)
    size = len(motif)
    for side in sides:
        flip = 1 if side is front else -1  # read from outside, where right is the wearer's left
        column = np.floor(((x * flip) / half + 1) / 2 * size).astype(int)
        row = np.floor((1 - ((y - centre) / half + 1) / 2) * size).astype(int)
        inside = (
            side & (atlas.part == TORSO)
            & (column >= 0) & (column < size) & (row >= 0) & (row < size)
        )  # fmt: skip
        ink[inside] = motif[row[inside], column[inside]]
    return ink


def _disc(rng: np.random.Generator) -> np.ndarray:
    """Rings, or a full disc."""
    y, x = np.mgrid[-1:1:64j, -1:1:64j]
    radius = np.hypot(x, y)
    return ((radius < 0.95) & (np.mod(radius * rng.integers(1, 4), 1) > 0.25)).astype(np.float32)


def _blocks(rng: np.random.Generator) -> np.ndarray:
    """A symmetric figure of blocks."""
    half = rng.random((7, 4)) < 0.5
    figure = np.concatenate([half, half[:, -2::-1]], axis=1)
    return np.kron(figure, np.ones((9, 9))).astype(np.float32)


def _letters(rng: np.random.Generator) -> np.ndarray:
    """A number or a short word."""
    import cv2

    if rng.random() < 0.5:
        text = str(rng.integers(1, 100))
    else:
        text = "".join(chr(rng.integers(65, 91)) for _ in range(rng.integers(2, 5)))
    picture = np.zeros((64, 64), np.uint8)
    (width, height), _ = cv2.getTextSize(text, cv2.FONT_HERSHEY_DUPLEX, 1.0, 3)
    scale = min(60 / width, 44 / height)
    place = (int(32 - width * scale / 2), int(32 + height * scale / 2))
    cv2.putText(picture, text, place, cv2.FONT_HERSHEY_DUPLEX, scale, 255, 4, cv2.LINE_AA)
    return picture.astype(np.float32) / 255


def _band(rng: np.random.Generator) -> np.ndarray:
    """A broad bar or chevron across the chest."""
    y, x = np.mgrid[-1:1:64j, -1:1:64j]
    return (np.abs(y + rng.choice([0.0, 0.6]) * np.abs(x)) < 0.22).astype(np.float32)


MOTIFS: tuple[Callable[[np.random.Generator], np.ndarray], ...] = (_disc, _blocks, _letters, _band)
