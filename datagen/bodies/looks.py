"""People's looks: skin, hair, face and clothes, painted on the body's own texture.

A look is drawn, not looked up: every person is new, nobody is bare, and skin tones cover the whole
human range in equal shares. With SURREAL's texture scans at hand, `dress` wears one of those.

N painted texels, H W texels; colours sRGB.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from datagen.bodies import clothes
from datagen.bodies.atlas import HEAD, Atlas, atlas, vertex_colours
from datagen.bodies.clothes import Neckline, below, draw_colour
from datagen.bodies.model import Body

__all__ = ["dress", "vertex_colours"]

SKIN_TONES = (
    (246, 237, 228), (243, 231, 219), (247, 234, 208), (234, 218, 186), (215, 189, 150),
    (160, 126, 86), (130, 92, 67), (96, 65, 52), (58, 49, 42), (41, 36, 32),
)  # fmt: skip
"""The ten tones of the Monk Skin Tone scale (2022), lightest first."""
HAIR = {
    "black": (22, 19, 18), "dark brown": (50, 34, 25), "brown": (88, 58, 38),
    "light brown": (134, 96, 62), "blond": (205, 168, 108), "red": (142, 62, 28),
    "grey": (150, 148, 146), "white": (222, 220, 216),
}  # fmt: skip


@dataclass
class Canvas:
    """The colours of one person's texels while layers are painted over each other."""

    atlas: Atlas
    colours: np.ndarray
    covered: np.ndarray
    """float32 [N]: how much of a texel clothes cover."""
    meta: dict = field(default_factory=dict)

    def paint(self, cover: np.ndarray, colours: np.ndarray, cloth: bool = True) -> None:
        """Lay colours ([3] or [N,3]) over the texels that `cover` [N] in 0..1 names."""
        self.colours += (colours - self.colours) * cover[:, None].astype(np.float32)
        if cloth:
            self.covered = np.maximum(self.covered, cover)


def dress(body: Body, rng: np.random.Generator) -> tuple[np.ndarray, dict]:
    """Draw a person's look.

    Returns a texture uint8 [H,W,3] RGB for the body's UVs (one texel a vertex if it has none; see
    vertex_colours) and what was drawn: skin_tone 1 (lightest) to 10, hair, and the garments.
    """
    canvas = paint(body, rng)
    texture = canvas.atlas.texture(np.round(canvas.colours * 255).astype(np.uint8))
    return np.ascontiguousarray(texture), canvas.meta


def paint(body: Body, rng: np.random.Generator) -> Canvas:
    """Draw a look and keep its layers (see dress)."""
    places = atlas(body)
    count = len(places.position)
    canvas = Canvas(places, np.zeros((count, 3), np.float32), np.zeros(count, np.float32))
    skin = _skin(canvas, rng)
    colour = _hair_colour(rng, canvas.meta["skin_tone"])
    _face(canvas, rng, skin, colour)
    feminine = rng.random() < {"female": 0.9, "male": 0.0}.get(body.gender, 0.45)
    _hair(canvas, rng, skin, colour, feminine)
    _garments(canvas, rng, skin, feminine)
    return canvas


def _skin(canvas: Canvas, rng: np.random.Generator) -> np.ndarray:
    """Paint the whole body in one of ten tones, drawn evenly; return the tone [3]."""
    tone = int(rng.integers(1, 11))
    at = np.clip(tone - 1 + rng.uniform(-0.45, 0.45), 0, 9)
    scale = np.array(SKIN_TONES) / 255
    skin = np.array([np.interp(at, range(10), scale[:, c]) for c in range(3)])
    skin = np.clip(skin * [0.94, 0.86, 0.82] + rng.normal(0, 0.01, 3), 0.05, 1)
    shade = 1 + 0.025 * clothes.folds(canvas.atlas, rng, 8)
    canvas.colours[:] = np.clip(skin * shade[:, None], 0, 1)
    canvas.meta["skin_tone"] = tone
    # Palms and soles are lighter than dark skin.
    hand = (canvas.atlas.arm > 2.1) & (canvas.atlas.around < 0)
    light = skin + (np.array([0.78, 0.6, 0.5]) - skin) * (0.35 if tone > 5 else 0.1)
    canvas.paint(hand.astype(np.float32) * 0.7, light, cloth=False)
    return skin


def _hair_colour(rng: np.random.Generator, tone: int) -> str:
    names = list(HAIR)
    chances = np.array(
        [5, 4, 3, 2, 2, 1, 1.2, 0.6] if tone <= 5 else [9, 3, 0.6, 0.2, 0.1, 0.1, 1, 0.5]
    )
    return str(rng.choice(names, p=chances / chances.sum()))


def _face(canvas: Canvas, rng: np.random.Generator, skin: np.ndarray, hair: str) -> None:
    """Paint eyes, brows, lips and cheeks: hints, a few pixels in the picture."""
    places = canvas.atlas
    x, y, z = places.position.T
    face = _Face.of(places)
    reach = np.abs(x)
    ahead = (places.part == HEAD) & (z > face.centre[2])
    eyeball = np.isfinite(places.eye)
    iris = np.array([(60, 40, 28), (70, 92, 120), (80, 96, 62)][rng.choice(3, p=[0.7, 0.18, 0.12])])
    canvas.paint(eyeball.astype(np.float32), np.array([0.9, 0.89, 0.87]), cloth=False)
    canvas.paint(below(places.eye, 0.62, 0.1), iris / 255, cloth=False)
    canvas.paint(below(places.eye, 0.3, 0.1), np.array([0.03, 0.03, 0.03]), cloth=False)
    if not eyeball.any():
        socket = np.hypot((reach - 0.032) / 0.014, (y - face.eyes) / 0.007)
        canvas.paint(below(socket, 1, 0.3) * ahead, iris / 255 * 0.6, cloth=False)
    brow = np.hypot(
        (reach - 0.034) / 0.022, (y - face.eyes - 0.022 - 0.1 * (reach - 0.03)) / 0.0055
    )
    brow_colour = np.minimum(np.array(HAIR[hair]) / 255, skin * 0.6)
    canvas.paint(below(brow, 1, 0.3) * ahead * ~eyeball * 0.8, brow_colour, cloth=False)
    lips = np.hypot(x / 0.025, (y - face.mouth) / 0.009)
    red = skin * np.array([0.86, 0.62, 0.62]) + np.array([0.06, 0, 0.01])
    canvas.paint(below(lips, 1, 0.3) * ahead * 0.8, red, cloth=False)
    cheek = np.hypot((reach - 0.045) / 0.03, (y - face.eyes + 0.045) / 0.025)
    canvas.paint(below(cheek, 1, 1) * ahead * 0.12, np.array([0.8, 0.35, 0.3]), cloth=False)


@dataclass(frozen=True)
class _Face:
    centre: np.ndarray
    eyes: float
    mouth: float

    @staticmethod
    def of(places: Atlas) -> _Face:
        """Place the features: from the eyeballs if the mesh has them, else by the head's height."""
        x, y, z = places.position.T
        head, crown = places.joints["head"], places.joints["crown"]
        upper = (places.part == HEAD) & (y > (head[1] + crown[1]) / 2)
        centre_z = (z[upper].min() + z[upper].max()) / 2
        eyeball = np.isfinite(places.eye)
        eyes = float(y[eyeball].mean()) if eyeball.any() else head[1] + 0.36 * (crown[1] - head[1])
        centre = np.array([0, eyes + 0.03, centre_z])
        return _Face(centre=centre, eyes=eyes, mouth=eyes - 0.61 * (crown[1] - eyes))


def _hair(
    canvas: Canvas, rng: np.random.Generator, skin: np.ndarray, name: str, feminine: bool
) -> None:
    """Paint hair, a beard, a cap or a headscarf."""
    places = canvas.atlas
    x, y, z = places.position.T
    face = _Face.of(places)
    turn = np.abs(np.arctan2(x, z - face.centre[2]))  # 0 in front, pi behind
    head = places.part == HEAD
    colour = np.array(HAIR[name]) / 255
    colour = np.clip(colour * rng.uniform(0.85, 1.15), 0.02, 0.95)
    strand = 1 + 0.12 * np.cos(turn * rng.uniform(30, 50) + 3 * np.cos(y * 60)) * rng.uniform(
        0.4, 1
    )
    strand = strand + rng.normal(0, 0.05, len(x))
    coat = np.clip(colour * strand[:, None], 0, 1).astype(np.float32)
    styles = (
        ("short", "bob", "long", "tied", "headscarf")
        if feminine
        else ("short", "cropped", "shaved", "bob", "bald", "cap")
    )
    chances = (0.14, 0.26, 0.34, 0.18, 0.08) if feminine else (0.44, 0.2, 0.08, 0.1, 0.08, 0.1)
    style = str(rng.choice(styles, p=chances))
    front = face.eyes + rng.uniform(0.052, 0.068)
    nape = {"short": -0.05, "cropped": -0.035, "shaved": -0.03, "tied": -0.06, "cap": -0.04}
    low = face.eyes + nape.get(style, -0.12)
    line = np.interp(
        turn,
        [0, 0.7, 1.15, 1.45, 1.75, 2.2, np.pi],
        [front, front - 0.003, front - 0.03, face.eyes - 0.02, face.eyes, low, low],
    )
    ear = head & (np.abs(x) > 0.072) & (y < face.eyes + 0.035) & (turn > 1.0)
    if style in ("bob", "long"):
        length = {"bob": -0.13, "long": -0.30 - rng.uniform(0, 0.12)}[style]
        line = np.interp(
            turn,
            [0, 0.7, 1.0, 1.3, np.pi],
            [front, front - 0.003, front - 0.04, face.eyes + length / 2, face.eyes + length],
        )
        ear = np.zeros_like(ear)
    cover = (1 - below(y, line)) * ~ear
    if style == "long":  # also over the shoulders' back
        cover = cover * (places.arm < -0.2) * (head | (turn > 1.6))
    else:
        cover = cover * (head | (turn > 1.9)) * (places.arm < -0.4)
    strength = {"shaved": 0.45, "cropped": 0.85, "bald": 0.0}.get(style, 1.0)
    if style in ("cap", "headscarf"):
        _, dye = draw_colour(rng, skin)
        if style == "headscarf":
            neck = places.joints["neck"][1]
            oval = np.hypot(x / 0.062, (y - face.eyes + 0.035) / 0.092) < 1
            cover = (
                (1 - below(y, neck - 0.02)) * ~(oval & (z > face.centre[2])) * (places.arm < -0.3)
            )
        else:
            canvas.paint(cover * 0.9, coat, cloth=False)
            cover = (1 - below(y, front - 0.012 + 0.0 * turn)) * head
        cloth = np.tile(dye.astype(np.float32), (len(x), 1))
        canvas.paint(cover, clothes.worn(places, rng, cloth, 0.04))
    else:
        canvas.paint(cover * strength, coat, cloth=False)
    canvas.meta["hair"] = style if style in ("bald", "cap", "headscarf") else f"{style}, {name}"
    if not feminine and rng.random() < 0.35:
        jaw = head & (z > face.centre[2] - 0.02) & (turn < 1.35)
        chin = below(
            y,
            np.interp(
                turn,
                [0, 0.35, 0.9, 1.35],
                [face.mouth + 0.02, face.mouth + 0.012, face.mouth + 0.02, face.eyes - 0.01],
            ),
        )
        bottom = 1 - below(y, places.joints["head"][1] - 0.01)
        lips = np.hypot(x / 0.025, (y - face.mouth) / 0.009) < 1
        canvas.paint(jaw * chin * bottom * ~lips * rng.uniform(0.35, 0.95), coat, cloth=False)
        canvas.meta["hair"] += ", beard"


SLEEVES = {
    "sleeveless": -0.12,
    "cap": 0.3,
    "short": 0.6,
    "elbow": 0.95,
    "three-quarter": 1.5,
    "long": 1.96,
}
TROUSERS = {"shorts": (0.55, 0.95), "capri": (1.25, 1.6), "trousers": (1.88, 2.05)}
SKIRTS = {"short skirt": (0.55, 0.75), "knee skirt": (0.85, 1.1), "long skirt": (1.5, 1.9)}


def _garments(canvas: Canvas, rng: np.random.Generator, skin: np.ndarray, feminine: bool) -> None:
    """Paint shoes, legwear, a top and sometimes a jacket, in the order they are put on."""
    places = canvas.atlas
    one_piece = feminine and rng.random() < 0.22
    lower = str(rng.choice(["trousers", "jeans", "shorts", "capri", "leggings", "skirt"],
                           p=[0.22, 0.24, 0.12, 0.06, 0.14, 0.22] if feminine
                           else [0.36, 0.36, 0.24, 0.04, 0.0, 0.0]))  # fmt: skip
    sleeve = str(rng.choice(list(SLEEVES), p=[0.14, 0.12, 0.3, 0.06, 0.08, 0.3] if feminine
                            else [0.05, 0.0, 0.45, 0.06, 0.04, 0.4]))  # fmt: skip
    neckline = Neckline(
        rise=float(rng.uniform(-0.035, 0.0)),
        depth=float(rng.choice([0.0, 0.02, 0.05, 0.09 if feminine else 0.05])),
        width=float(rng.uniform(0.06, 0.09)),
        pointed=bool(rng.random() < 0.35),
    )
    _feet(canvas, rng, skin)
    waist = rng.uniform(0.04, 0.12)
    if one_piece or lower == "skirt":
        kind = str(rng.choice(list(SKIRTS), p=[0.25, 0.5, 0.25]))
        if rng.random() < 0.4:
            tights = draw_colour(rng, skin, {"black": (24, 24, 27), "charcoal": (56, 58, 62)})[1]
            canvas.paint(clothes.leg_cut(places, waist, 2.0), tights)
        cut = clothes.leg_cut(places, waist, rng.uniform(*SKIRTS[kind]))
    else:
        kind = lower if lower in TROUSERS else "trousers"
        cut = clothes.leg_cut(places, waist, rng.uniform(*TROUSERS[kind]))
        kind = lower
    if one_piece:
        cloth, name = _cloth(places, rng, skin)
        top = clothes.top_cut(places, 0.0, SLEEVES[sleeve], neckline)
        canvas.paint(np.maximum(cut, top), cloth)
        canvas.meta["garments"] += [f"{name} {kind.replace('skirt', 'dress')}, {sleeve} sleeves"]
        return
    cloth, name = _cloth(places, rng, skin, lower)
    canvas.paint(cut, cloth)
    canvas.meta["garments"] += [f"{name} {kind}"]

    tucked = rng.random() < (0.4 if feminine else 0.2)
    hem = waist - 0.012 if tucked else rng.uniform(-0.1, 0.01)
    cloth, name = _cloth(places, rng, skin)
    top = clothes.top_cut(places, hem, SLEEVES[sleeve], neckline)
    canvas.paint(top, cloth)
    if tucked and rng.random() < 0.6:
        y = places.position[:, 1] - places.joints["pelvis"][1] - waist
        belt = below(np.abs(y + 0.005), 0.017) * (places.part != clothes.ARM)
        canvas.paint(belt, draw_colour(rng, skin)[1] * 0.5)
    canvas.meta["garments"] += [f"{name} top, {sleeve} sleeves"]
    if rng.random() < 0.2:
        _jacket(canvas, rng, skin)


def _cloth(places: Atlas, rng: np.random.Generator, skin: np.ndarray, kind: str = "top"):
    """Draw a fabric: its colours [N,3] and its name."""
    palette = clothes.DENIM if kind == "jeans" else clothes.PALETTE
    chances = np.array(clothes.PATTERN_CHANCES)
    if kind in ("trousers", "leggings", "shorts", "capri"):
        chances = np.array([0.7, 0.04, 0.06, 0.05, 0.06, 0.0, 0.0, 0.09])
    pattern = "plain" if kind == "jeans" else str(rng.choice(clothes.PATTERNS, p=chances))
    names, dyes = zip(*(draw_colour(rng, skin, palette) for _ in range(3)), strict=True)
    cloth = clothes.fabric(places, rng, pattern, list(dyes))
    if kind == "jeans":  # worn pale on the thighs
        _, y, z = places.position.T
        hip, knee = places.joints["left_hip"], places.joints["left_knee"]
        pale = np.exp(-(((y - (0.6 * hip[1] + 0.4 * knee[1])) / 0.14) ** 2)) * (z > hip[2])
        cloth = cloth + 0.12 * rng.random() * pale[:, None]
    cloth = clothes.worn(places, rng, cloth, float(rng.uniform(0.02, 0.06)))
    return cloth, f"{pattern} {names[0]}"


def _feet(canvas: Canvas, rng: np.random.Generator, skin: np.ndarray) -> None:
    """Paint socks and shoes, or leave the feet bare."""
    places = canvas.atlas
    kind = str(rng.choice(["shoes", "trainers", "boots", "bare"], p=[0.35, 0.4, 0.15, 0.1]))
    canvas.meta["garments"] = [] if kind == "bare" else [kind]
    if kind == "bare":
        return
    if kind != "boots" and rng.random() < 0.6:
        sock = draw_colour(rng, skin)[1]
        canvas.paint(clothes.foot_cut(places, rng.uniform(1.6, 1.9)), sock)
    name, colour = draw_colour(rng, skin)
    if kind == "shoes":
        colour = colour * 0.45
    top = rng.uniform(1.45, 1.75) if kind == "boots" else rng.uniform(1.97, 2.15)
    cloth = np.tile(colour.astype(np.float32), (len(places.position), 1))
    canvas.paint(clothes.foot_cut(places, top), clothes.worn(places, rng, cloth, 0.03))
    ground = places.position[:, 1].min()
    sole = below(places.position[:, 1], ground + 0.022)
    rubber = np.array([0.9, 0.9, 0.88]) if kind == "trainers" else np.array([0.08, 0.07, 0.06])
    canvas.paint(sole, rubber)
    canvas.meta["garments"] = [f"{name} {kind}"]


def _jacket(canvas: Canvas, rng: np.random.Generator, skin: np.ndarray) -> None:
    """Paint an open jacket over the rest."""
    places = canvas.atlas
    x, y, z = places.position.T
    cloth, name = _cloth(places, rng, skin, "trousers")
    neckline = Neckline(rise=0.0, depth=0.0, width=0.08, pointed=False)
    cover = clothes.top_cut(places, rng.uniform(-0.12, -0.02), 1.96, neckline)
    spread = rng.uniform(0.03, 0.08) * (0.6 + 0.8 * (y - y.min()) / np.ptp(y))
    front = z > places.joints["spine3"][2] + 0.02
    cover = cover * (1 - below(np.abs(x), spread) * front)
    canvas.paint(cover, cloth)
    canvas.meta["garments"] += [f"{name} jacket"]
