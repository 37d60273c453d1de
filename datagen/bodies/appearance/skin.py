"""Paints skin of any human tone, face, hair and beard.

Distances in metres on the body in its rest pose, colours sRGB in 0..1. N painted texels.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from datagen.bodies.appearance import clothes
from datagen.bodies.appearance.atlas import HEAD, Atlas
from datagen.bodies.appearance.canvas import Canvas
from datagen.bodies.appearance.clothes import below, draw_colour

SKIN_TONES = (
    (246, 237, 228), (243, 231, 219), (247, 234, 208), (234, 218, 186), (215, 189, 150),
    (160, 126, 86), (130, 92, 67), (96, 65, 52), (58, 49, 42), (41, 36, 32),
)  # fmt: skip
"""The ten tones of the Monk Skin Tone scale (2022), lightest first."""
WARMTH = ((0.95, 0.87, 0.82), (1.4, 1.22, 1.12))
"""Factors on the lightest and the darkest swatch: the scale shows small flat patches on white, and
a whole body in its extreme tones would look like chalk or coal."""
HAIR = {
    "black": (22, 19, 18), "dark brown": (50, 34, 25), "brown": (88, 58, 38),
    "light brown": (134, 96, 62), "blond": (205, 168, 108), "red": (142, 62, 28),
    "grey": (150, 148, 146), "white": (222, 220, 216),
}  # fmt: skip
HAIR_CHANCES = {True: (5, 4, 3, 2, 2, 1, 1.2, 0.6), False: (9, 3, 0.6, 0.2, 0.1, 0.1, 1, 0.5)}
"""Weights in HAIR's order, for the lighter five and the darker five skin tones."""
IRIS = ((60, 40, 28), (70, 92, 120), (80, 96, 62))
STYLES = {
    True: {"short": 0.14, "bob": 0.26, "long": 0.34, "tied": 0.18, "headscarf": 0.08},
    False: {"short": 0.44, "cropped": 0.2, "shaved": 0.08, "bob": 0.1, "bald": 0.08, "cap": 0.1},
}
"""Probabilities of the hair styles, feminine and masculine."""
NAPE = {"short": -0.055, "cropped": -0.04, "shaved": -0.035, "tied": -0.06, "cap": -0.045}
"""Height of the hair's lower end at the back, relative to the eyes."""
COVER = {"shaved": 0.45, "cropped": 0.85, "bald": 0.0}
"""Opacity of the hair; 1 for other styles."""


@dataclass(frozen=True)
class Face:
    """Positions of a head's features."""

    centre: np.ndarray
    """The middle of the head [3]."""
    eyes: float
    """Height of the eyes."""
    mouth: float
    """Height of the mouth."""

    @staticmethod
    def of(atlas: Atlas) -> Face:
        """Locate the features from the eyeballs if the mesh has them, else from the head's
        height."""
        _, y, z = atlas.position.T
        head, crown = atlas.joints["head"], atlas.joints["crown"]
        upper = (atlas.part == HEAD) & (y > (head[1] + crown[1]) / 2)
        middle = (z[upper].min() + z[upper].max()) / 2
        eyeball = np.isfinite(atlas.eye)
        eyes = float(y[eyeball].mean()) if eyeball.any() else head[1] + 0.36 * (crown[1] - head[1])
        return Face(np.array([0, eyes + 0.03, middle]), eyes, eyes - 0.61 * (crown[1] - eyes))

    def around(self, atlas: Atlas) -> np.ndarray:
        """Return the angle [N] about the head's axis, radians: 0 in front, pi behind."""
        x, _, z = atlas.position.T
        return np.abs(np.arctan2(x, z - np.float32(self.centre[2])))


def paint_skin(canvas: Canvas, rng: np.random.Generator) -> np.ndarray:
    """Paint the whole body in one of ten tones, drawn uniformly; return the colour [3]."""
    tone = int(rng.integers(1, 11))
    at = np.clip(tone - 1 + rng.uniform(-0.45, 0.45), 0, 9)
    scale = np.array(SKIN_TONES) / 255 * np.linspace(*WARMTH, 10)
    skin = np.array([np.interp(at, range(10), scale[:, c]) for c in range(3)])
    skin = np.clip(skin + rng.normal(0, 0.01, 3), 0.05, 1)
    shade = 1 + np.float32(0.025) * clothes.folds(canvas.atlas, rng, 6)
    canvas.colours[:] = np.clip(skin.astype(np.float32) * shade[:, None], 0, 1)
    # Palms are lighter than the rest, especially with dark skin.
    palm = (canvas.atlas.arm > 2.1) & (canvas.atlas.around < 0)
    pale = skin + (np.array([0.78, 0.6, 0.5]) - skin) * (0.35 if tone > 5 else 0.1)
    canvas.paint(palm * 0.7, pale)
    canvas.meta["skin_tone"] = tone
    return skin


def draw_hair_colour(rng: np.random.Generator, tone: int) -> str:
    """Draw the name of a hair colour that is plausible for a skin tone 1..10."""
    chances = np.array(HAIR_CHANCES[tone <= 5])
    return str(rng.choice(list(HAIR), p=chances / chances.sum()))


def paint_face(canvas: Canvas, rng: np.random.Generator, skin: np.ndarray, hair: str) -> None:
    """Paint eyes, brows, lips and cheeks roughly: they cover only a few pixels."""
    atlas = canvas.atlas
    x, y, z = atlas.position.T
    face = Face.of(atlas)
    reach = np.abs(x)
    ahead = (atlas.part == HEAD) & (z > face.centre[2])
    eyeball = np.isfinite(atlas.eye)
    iris = np.array(IRIS[rng.choice(3, p=[0.7, 0.18, 0.12])]) / 255
    canvas.paint(eyeball, np.array([0.9, 0.89, 0.87]))
    canvas.paint(below(atlas.eye, 0.62, 0.1), iris)
    canvas.paint(below(atlas.eye, 0.3, 0.1), np.array([0.03, 0.03, 0.03]))
    if not eyeball.any():
        socket = np.hypot((reach - 0.032) / 0.014, (y - face.eyes) / 0.007)
        canvas.paint(below(socket, 1, 0.3) * ahead, iris * 0.6)
    arch = face.eyes + 0.0225 - 6 * (reach - 0.036) ** 2
    brow = np.hypot((reach - 0.034) / 0.021, (y - arch) / 0.004)
    canvas.paint(
        below(brow, 1, 0.4) * ahead * ~eyeball * 0.7, np.minimum(np.array(HAIR[hair]) / 255, skin)
    )
    red = skin * np.array([0.88, 0.66, 0.66]) + np.array([0.05, 0, 0.01])
    canvas.paint(below(_lips(x, y, face), 1, 0.3) * ahead * 0.8, red)
    cheek = np.hypot((reach - 0.045) / 0.03, (y - face.eyes + 0.045) / 0.025)
    canvas.paint(below(cheek, 1, 1) * ahead * 0.12, np.array([0.8, 0.35, 0.3]))


def paint_hair(
    canvas: Canvas, rng: np.random.Generator, skin: np.ndarray, hair: str, feminine: bool
) -> None:
    """Paint hair, or a cap or headscarf over it, and sometimes a beard."""
    atlas = canvas.atlas
    x, y, z = atlas.position.T
    face = Face.of(atlas)
    turn = face.around(atlas)
    head = atlas.part == HEAD
    chances = STYLES[feminine]
    style = str(rng.choice(list(chances), p=list(chances.values())))
    coat = _strands(rng, hair, turn, y)
    forehead = face.eyes + rng.uniform(0.052, 0.068)
    length = face.eyes - (0.30 + rng.uniform(0, 0.12))
    beard = not feminine and rng.random() < 0.35
    canvas.meta["hair"] = style if style in ("bald", "cap", "headscarf") else f"{style}, {hair}"

    if style == "headscarf":
        oval = np.hypot(x / 0.062, (y - face.eyes + 0.035) / 0.092) < 1
        cover = 1 - below(y, atlas.joints["neck"][1] - 0.02)
        cover = cover * ~(oval & (z > face.centre[2])) * (atlas.arm < -0.3)
        canvas.paint(cover, clothes.worn(atlas, rng, draw_colour(rng, skin)[1], 0.04), cloth=True)
    elif style in ("bob", "long"):
        low = length if style == "long" else face.eyes - 0.13
        side = face.eyes - (0.15 if style == "long" else 0.07)
        line = np.interp(
            turn,
            [0, 0.7, 1.0, 1.3, 2.1, np.pi],
            [forehead, forehead - 0.003, forehead - 0.04, side, low, low],
        )
        # Down the nape, then narrowing over the shoulder blades.
        neck = atlas.joints["neck"]
        half = 0.1 - 0.12 * np.clip(neck[1] - y, 0, 0.4)
        nape = (y > neck[1] - 0.02) & (turn > 1.75) & (np.abs(x) < 0.1)
        on_back = nape | ((y <= neck[1]) & (z < neck[2] - 0.02) & (np.abs(x) < half))
        canvas.paint((1 - below(y, line)) * (head | on_back), coat)
    else:
        low = face.eyes + NAPE.get(style, -0.05)
        line = np.interp(
            turn,
            [0, 0.7, 1.15, 1.35, 1.5, 1.8, 2.1, np.pi],
            [forehead, forehead - 0.003, forehead - 0.03, face.eyes - 0.02, face.eyes - 0.02,
             face.eyes - 0.01, low, low],
        )  # fmt: skip
        skull = head & (np.abs(y - face.eyes - 0.05) < 0.01)
        width = np.abs(x[skull]).max(initial=0)  # a coarse mesh may have no vertex there
        ear = (np.abs(x) > width * 0.98) & (y < face.eyes + 0.04)
        cover = (1 - below(y, line)) * ~ear * (head | (turn > 1.9))
        cover = cover * (atlas.arm < -0.4)
        canvas.paint(cover * COVER.get(style, 1.0), coat)
        if style == "cap":
            cloth = clothes.worn(atlas, rng, draw_colour(rng, skin)[1], 0.04)
            canvas.paint((1 - below(y, forehead - 0.012)) * head, cloth, cloth=True)
    if beard:
        _paint_beard(canvas, rng, face, coat)


def _paint_beard(canvas: Canvas, rng: np.random.Generator, face: Face, coat: np.ndarray) -> None:
    """Paint a beard, from stubble to full."""
    atlas = canvas.atlas
    x, y, z = atlas.position.T
    turn = face.around(atlas)
    jaw = (atlas.part == HEAD) & (z > face.centre[2] - 0.02) & (turn < 1.35)
    upper = np.interp(
        turn,
        [0, 0.35, 0.9, 1.35],
        [face.mouth + 0.02, face.mouth + 0.012, face.mouth + 0.02, face.eyes - 0.01],
    )
    cover = below(y, upper) * (1 - below(y, atlas.joints["head"][1] - 0.01))
    cover = cover * jaw * (_lips(x, y, face) > 1)
    canvas.paint(cover * rng.uniform(0.35, 0.95), coat)
    canvas.meta["hair"] += ", beard"


def _lips(x: np.ndarray, y: np.ndarray, face: Face) -> np.ndarray:
    """Return a field that is below 1 on the lips."""
    return np.hypot(x / 0.024, (y - face.mouth) / 0.0085)


def _strands(
    rng: np.random.Generator, hair: str, turn: np.ndarray, height: np.ndarray
) -> np.ndarray:
    """Return hair's colour [N,3], streaked from the crown downwards."""
    colour = np.clip(np.array(HAIR[hair]) / 255 * rng.uniform(0.85, 1.15), 0.02, 0.95)
    wave = turn * np.float32(rng.uniform(30, 50)) + 3 * np.cos(height * 60)
    streak = 1 + np.float32(0.12 * rng.uniform(0.4, 1)) * np.cos(wave)
    streak += np.float32(0.05) * rng.standard_normal(len(turn), np.float32)
    return np.clip(colour.astype(np.float32) * streak[:, None], 0, 1)
