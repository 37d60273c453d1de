"""People's appearance: skin, hair, face and clothes, painted on the body's own texture.

Appearances are drawn at random: every person is new and dressed, and skin tones cover the whole
human range uniformly. If SURREAL's texture scans are given, `dress` uses one of them.

N painted texels, H W texels; lengths in metres, colours sRGB in 0..1.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from datagen.bodies.appearance import clothes
from datagen.bodies.appearance.atlas import ARM, Atlas, atlas
from datagen.bodies.appearance.canvas import Canvas
from datagen.bodies.appearance.clothes import Neckline, below, draw_colour
from datagen.bodies.appearance.scans import draw_scan
from datagen.bodies.appearance.skin import draw_hair_colour, paint_face, paint_hair, paint_skin
from datagen.bodies.smpl.model import Body

FEMININE = {"female": 0.9, "male": 0.0, "neutral": 0.45}
"""Probability of women's fashion by the body's gender."""
SLEEVES = {
    "sleeveless": -0.12, "cap-sleeved": 0.3, "short-sleeved": 0.6, "elbow-sleeved": 0.95,
    "three-quarter-sleeved": 1.5, "long-sleeved": 1.96,
}  # fmt: skip
"""Ends of sleeves (Atlas.arm: 0 shoulder, 1 elbow, 2 wrist)."""
SLEEVE_CHANCES = {
    True: (0.14, 0.12, 0.3, 0.06, 0.08, 0.3),
    False: (0.05, 0.0, 0.45, 0.06, 0.04, 0.4),
}
LEGWEAR = {
    "trousers": (1.88, 2.05), "jeans": (1.88, 2.05), "leggings": (1.85, 2.0),
    "shorts": (0.55, 0.95), "capri": (1.25, 1.6), "skirt": (0.55, 1.1),
}  # fmt: skip
"""Smallest and largest ends of legwear (Atlas.leg: 0 hip, 1 knee, 2 ankle). Skirts end at
the knee at the latest, because a longer one would visibly be painted on two legs."""
LEGWEAR_CHANCES = {
    True: (0.22, 0.24, 0.14, 0.12, 0.06, 0.22),
    False: (0.36, 0.36, 0, 0.24, 0.04, 0),
}
LEGWEAR_PATTERNS = (0.7, 0.04, 0.06, 0.05, 0.06, 0.0, 0.0, 0.09)
"""Probabilities of clothes.PATTERNS for legwear and jackets: mostly plain, never a chest print."""
DARK = {"black": (24, 24, 27), "charcoal": (56, 58, 62), "burgundy": (70, 20, 32)}


def dress(
    body: Body, rng: np.random.Generator, textures: Path | None = None
) -> tuple[UInt8[np.ndarray, "h w 3"], dict]:
    """Draw a person's appearance.

    textures: folder of SURREAL's texture scans to use instead (they need SMPL's own UVs).
    Returns a texture uint8 [H,W,3] RGB for the body's UVs (one texel per vertex without UVs, see
    atlas.vertex_colours) and the draws: skin_tone 1 (lightest) to 10, hair and garments, or the
    texture's name.

    Raises:
        BadInput: the folder has no usable scan, or the body has no UVs.
    """
    if textures is not None:
        return draw_scan(body, rng, textures)
    canvas = paint(body, rng)
    colours = np.round(canvas.colours * 255).astype(np.uint8)
    return np.ascontiguousarray(canvas.atlas.texture(colours)), canvas.meta


def paint(body: Body, rng: np.random.Generator) -> Canvas:
    """Draw an appearance as `dress` does; return the canvas with each texel's coverage."""
    canvas = Canvas.blank(atlas(body))
    feminine = bool(rng.random() < FEMININE[body.gender])
    skin = paint_skin(canvas, rng)
    hair = draw_hair_colour(rng, canvas.meta["skin_tone"])
    paint_face(canvas, rng, skin, hair)
    canvas.meta["garments"] = []
    _wear_shoes(canvas, rng, skin)
    _wear_clothes(canvas, rng, skin, feminine)
    # Hair last: long hair falls over the collar. Female bodies have no beard, whatever they wear.
    paint_hair(canvas, rng, skin, hair, feminine or body.gender == "female")
    return canvas


def _wear_shoes(canvas: Canvas, rng: np.random.Generator, skin: np.ndarray) -> None:
    """Paint socks and shoes, or leave the feet bare."""
    places = canvas.atlas
    kind = str(rng.choice(["shoes", "trainers", "boots", "bare"], p=[0.35, 0.4, 0.15, 0.1]))
    if kind == "bare":
        return
    if kind != "boots" and rng.random() < 0.6:
        sock = draw_colour(rng, skin)[1]
        canvas.paint(clothes.foot_cut(places, rng.uniform(1.6, 1.9)), sock, cloth=True)
    name, leather = draw_colour(
        rng, skin, clothes.PALETTE if kind == "trainers" else clothes.LEATHER
    )
    top = rng.uniform(1.45, 1.75) if kind == "boots" else rng.uniform(1.97, 2.15)
    upper = clothes.worn(places, rng, leather, 0.03)
    canvas.paint(clothes.foot_cut(places, top), upper, cloth=True)
    height = places.position[:, 1]
    rubber = np.array([0.9, 0.9, 0.88]) if kind == "trainers" else np.array([0.08, 0.07, 0.06])
    canvas.paint(below(height, height.min() + 0.022), rubber, cloth=True)
    canvas.meta["garments"].append(f"{name} {kind}")


def _wear_clothes(
    canvas: Canvas, rng: np.random.Generator, skin: np.ndarray, feminine: bool
) -> None:
    """Paint legwear and a top, or a dress, and sometimes a jacket."""
    places, garments = canvas.atlas, canvas.meta["garments"]
    one_piece = feminine and rng.random() < 0.22
    kind = "skirt" if one_piece else str(rng.choice(list(LEGWEAR), p=LEGWEAR_CHANCES[feminine]))
    sleeve = str(rng.choice(list(SLEEVES), p=SLEEVE_CHANCES[feminine]))
    depths = (0.0, 0.02, 0.05, 0.075) if feminine else (0.0, 0.015, 0.03, 0.05)
    neckline = Neckline(
        rise=float(rng.uniform(-0.035, 0.0)),
        depth=float(rng.choice(depths)),
        width=float(rng.uniform(0.06, 0.09)),
        pointed=bool(rng.random() < 0.35),
    )
    waist = float(rng.uniform(0.04, 0.12))
    cuff = float(rng.uniform(*LEGWEAR[kind]))
    if kind == "skirt" and rng.random() < 0.4:
        name, knit = draw_colour(rng, skin, DARK)
        canvas.paint(clothes.leg_cut(places, waist, 2.0), knit, cloth=True)
        garments.append(f"{name} tights")
    legs = clothes.leg_cut(places, waist, cuff)
    if one_piece:
        cloth, name = _draw_cloth(places, rng, skin)
        trunk = clothes.top_cut(places, 0.0, SLEEVES[sleeve], neckline)
        canvas.paint(np.maximum(legs, trunk), cloth, cloth=True)
        garments.append(f"{name} {sleeve} dress")
    else:
        cloth, name = _draw_cloth(places, rng, skin, kind)
        canvas.paint(legs, cloth, cloth=True)
        garments.append(f"{name} {kind}")
        tucked = rng.random() < (0.4 if feminine else 0.2)
        hem = waist - 0.012 if tucked else float(rng.uniform(-0.1, 0.01))
        cloth, name = _draw_cloth(places, rng, skin)
        canvas.paint(clothes.top_cut(places, hem, SLEEVES[sleeve], neckline), cloth, cloth=True)
        garments.append(f"{name} {sleeve} top")
        if tucked and rng.random() < 0.6:
            height = places.position[:, 1] - np.float32(places.joints["pelvis"][1] + waist)
            belt = below(np.abs(height + 0.005), 0.017) * (places.part != ARM)
            canvas.paint(belt, draw_colour(rng, skin, clothes.LEATHER)[1], cloth=True)
    if rng.random() < 0.2:
        _wear_jacket(canvas, rng, skin)


def _wear_jacket(canvas: Canvas, rng: np.random.Generator, skin: np.ndarray) -> None:
    """Paint an open jacket over the other clothes."""
    places = canvas.atlas
    x, y, z = places.position.T
    cloth, name = _draw_cloth(places, rng, skin, "jacket")
    collar = Neckline(rise=0.0, depth=0.0, width=0.08, pointed=False)
    cover = clothes.top_cut(places, rng.uniform(-0.12, -0.02), SLEEVES["long-sleeved"], collar)
    gap = rng.uniform(0.03, 0.08) * (0.6 + 0.8 * (y - y.min()) / np.ptp(y))
    front = z > places.joints["spine3"][2] + 0.02
    canvas.paint(cover * (1 - below(np.abs(x), gap) * front), cloth, cloth=True)
    canvas.meta["garments"].append(f"{name} jacket")


def _draw_cloth(
    places: Atlas, rng: np.random.Generator, skin: np.ndarray, kind: str = "top"
) -> tuple[np.ndarray, str]:
    """Draw a fabric for a kind of garment: its colours [N,3] and its name."""
    chances = clothes.PATTERN_CHANCES if kind == "top" else LEGWEAR_PATTERNS
    pattern = "plain" if kind == "jeans" else str(rng.choice(clothes.PATTERNS, p=chances))
    palette = clothes.DENIM if kind == "jeans" else clothes.PALETTE
    names, dyes = zip(*(draw_colour(rng, skin, palette) for _ in range(3)), strict=True)
    cloth = clothes.fabric(places, rng, pattern, list(dyes))
    if kind == "jeans":  # faded on the thighs
        _, y, z = places.position.T
        hip, knee = places.joints["left_hip"], places.joints["left_knee"]
        thigh = np.float32(0.6 * hip[1] + 0.4 * knee[1])
        pale = np.exp(-(((y - thigh) / np.float32(0.14)) ** 2)) * (z > hip[2])
        cloth = cloth + np.float32(0.12 * rng.random()) * pale[:, None]
    return clothes.worn(places, rng, cloth, float(rng.uniform(0.02, 0.06))), f"{pattern} {names[0]}"
