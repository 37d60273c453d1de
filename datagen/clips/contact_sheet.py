"""Pictures of a clip: the network's inputs and the labels, side by side.

Functions take arrays and return a uint8 RGB image, without files or a display. They are used for
clips from `compose`, records read from a shard, the demo and the notebooks.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from jaxtyping import Float, Num, Shaped, UInt8

from datagen.common.record import EVAL_JOINTS, KEYPOINTS, SMPL_JOINTS

LEFT, RIGHT, MIDDLE = (255, 140, 0), (30, 144, 255), (240, 240, 240)
OCCLUDER, TOTAL = (255, 0, 255), (220, 30, 30)
TITLE = 24  # px, height of the row with a sheet's column titles

_FIRST = len(SMPL_JOINTS)
_LIMBS = ("ankle-knee", "knee-hip", "wrist-elbow", "elbow-shoulder", "hip-shoulder")
_TRUNK = ("left_hip-right_hip", "left_shoulder-right_shoulder", "neck-head_top")


def _bones() -> list[tuple[int, int, tuple[int, int, int]]]:
    named = [(bone, MIDDLE) for bone in _TRUNK]
    for side, colour in (("left", LEFT), ("right", RIGHT)):
        named += [(f"{side}_" + limb.replace("-", f"-{side}_"), colour) for limb in _LIMBS]
    ends = [([EVAL_JOINTS.index(f"lsp_{e}") for e in bone.split("-")], c) for bone, c in named]
    return [(a, b, colour) for (a, b), colour in ends]


BONES = _bones()
"""Bones between evaluation joints: first, second, colour. Orange is the person's left."""


def clip_sheet(
    frames: UInt8[np.ndarray, "_ s s 3"],
    joints2d: Float[np.ndarray, "t 38 3"],
    *,
    flow: Float[np.ndarray, "t 2 h w"] | None = None,
    occluded: Num[np.ndarray, " t"] | None = None,
    occluder: UInt8[np.ndarray, "_ s s"] | None = None,
    columns: int = 8,
) -> UInt8[np.ndarray, "rows columns 3"]:
    """Draw a clip: rows are RGB, labels, flow, heatmaps; columns are frames spread over the clip.

    Args:
        frames: uint8 [T or T+1,S,S,3] RGB.
        joints2d: [T,38,3] x, y in crop pixels, seen.
        flow: [T,2,h,w] pixels at S, any stride; its row is omitted if None.
        occluded: [T], 1 for total occlusion: the frame is dimmed and has a red border.
        occluder: uint8 [T or T+1,S,S] coverage, outlined in magenta in the rows RGB and labels.
        columns: frames to show.

    Returns:
        uint8 image of 3 or 4 rows of S×S cells, two white pixels apart, with titles at the left.
    """
    shown = evenly(len(joints2d), columns)
    largest = flow_scale(flow[shown]) if flow is not None else 1.0
    rows: list[list[np.ndarray]] = []
    for t in shown:
        hidden = occluded is not None and bool(occluded[t])
        picture = dim(frames[t]) if hidden else frames[t].copy()
        if occluder is not None:
            picture = outline(picture, occluder[t] > 127)
        cells = [caption(picture, f"{t}"), skeleton(picture, joints2d[t])]
        if flow is not None:
            size = frames.shape[1:3]
            cells.append(flow_to_colour(enlarge(flow[t], size), largest))
        points = joints2d[t, _FIRST : _FIRST + len(KEYPOINTS)]
        cells.append(heat(dim(frames[t]), points * (not hidden)))
        if hidden:
            cells = [frame(cell, TOTAL) for cell in cells]
        rows.append(cells)
    whole = grid([cell for line in zip(*rows, strict=True) for cell in line], len(shown))
    names = ["picture", "labels", *(["flow"] if flow is not None else []), "heatmaps"]
    return np.rot90(titled(np.rot90(whole, -1), names[::-1]))  # titles read upwards


def skeleton(
    image: UInt8[np.ndarray, "s s 3"], joints2d: Num[np.ndarray, "38 3"]
) -> UInt8[np.ndarray, "s s 3"]:
    """Return image [S,S,3] with the evaluation joints in joints2d [38,3] and their bones.

    The person's left is orange, its right blue; unseen joints are hollow and their bones thin.
    """
    image = image.copy()
    points = joints2d[_FIRST : _FIRST + len(EVAL_JOINTS)]
    size = max(1, round(image.shape[0] / 112))
    known = (points != 0).any(axis=1)  # real footage has undetected joints
    for a, b, colour in BONES:
        if not (known[a] and known[b]):
            continue
        seen = points[a, 2] > 0 and points[b, 2] > 0
        _line(image, points[a], points[b], colour, size if seen else 1)
    for x, y, seen in points[known]:
        centre = _fixed((x, y))
        cv2.circle(
            image, centre, (size + 1) << 4, (0, 0, 0), -1 if seen else 1, cv2.LINE_AA, shift=4
        )
        if seen:
            cv2.circle(image, centre, size << 4, (255, 255, 255), -1, cv2.LINE_AA, shift=4)
    return image


def heat(
    image: UInt8[np.ndarray, "s s 3"], keypoints: Num[np.ndarray, "k 3"], sigma: float = 10.0
) -> UInt8[np.ndarray, "s s 3"]:
    """Return image [S,S,3] overlaid with the heatmaps of keypoints [K,3], one hue per keypoint.

    Peak 1, standard deviation `sigma` px at S = 224, as in the trainer's inputs.
    """
    size = image.shape[0]
    sigma *= size / 224
    y, x = np.mgrid[:size, : image.shape[1]].astype(np.float32)
    hsv = np.full((1, max(len(keypoints), 1), 3), 255, np.uint8)
    hsv[..., 0] = np.linspace(0, 180, hsv.shape[1], endpoint=False)
    colours = cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB)[0]
    glow = np.zeros(image.shape, np.float32)
    for (px, py, seen), colour in zip(keypoints, colours, strict=False):
        if seen > 0:
            peak = np.exp(-((x - px) ** 2 + (y - py) ** 2) / (2 * sigma**2))
            glow = np.maximum(glow, peak[..., None] * colour)
    return np.maximum(image, glow.astype(np.uint8))


def flow_to_colour(
    flow: Float[np.ndarray, "2 h w"], largest: float | None = None
) -> UInt8[np.ndarray, "h w 3"]:
    """Return uint8 [h,w,3]: flow [2,h,w] in the colours of Baker et al.; white means no motion.

    Hue shows direction (red right, yellow down, cyan left, blue up), saturation shows speed; a
    speed of `largest` px (default: the 99th percentile) is fully saturated, faster flow is darker.
    """
    u, v = np.asarray(flow, np.float32) / (largest or flow_scale(flow))
    speed = np.hypot(u, v)
    wheel = colour_wheel()
    turn = (np.arctan2(-v, -u) / np.pi + 1) / 2 * (len(wheel) - 1)
    low = np.floor(turn).astype(int)
    part = (turn - low)[..., None]
    colour = (1 - part) * wheel[low] + part * wheel[(low + 1) % len(wheel)]
    within = (speed <= 1)[..., None]
    speed = speed[..., None]
    colour = np.where(within, 1 - speed * (1 - colour), colour * 0.75)
    return (colour * 255).round().astype(np.uint8)


def flow_scale(flow: Float[np.ndarray, "*batch 2 h w"]) -> float:
    """Return the speed in pixels to show fully saturated in a picture of flow [...,2,h,w]."""
    speed = np.linalg.norm(np.asarray(flow, np.float32), axis=-3)
    return max(float(np.percentile(speed, 99)), 0.5)


def colour_wheel() -> Float[np.ndarray, "55 3"]:
    """Return the 55 colours [55,3] in 0..1 of Baker et al., IJCV 2011 (Middlebury's wheel)."""
    corners = np.array(
        [(1, 0, 0), (1, 1, 0), (0, 1, 0), (0, 1, 1), (0, 0, 1), (1, 0, 1), (1, 0, 0)], float
    )
    steps = (15, 6, 4, 11, 13, 6)
    return np.concatenate(
        [
            start + (end - start) * np.arange(n)[:, None] / n
            for start, end, n in zip(corners[:-1], corners[1:], steps, strict=True)
        ]
    )


def enlarge(flow: Float[np.ndarray, "2 h w"], size: Sequence[int]) -> Float[np.ndarray, "2 h2 w2"]:
    """Return flow [2,h,w] resized to [2,H,W]; its values are already pixels at H×W."""
    height, width = size
    channels = [
        cv2.resize(channel, (width, height), interpolation=cv2.INTER_LINEAR)
        for channel in np.asarray(flow, np.float32)
    ]
    return np.stack(channels)


def outline(
    image: UInt8[np.ndarray, "h w 3"],
    mask: Shaped[np.ndarray, "h w"],
    colour: tuple[int, int, int] = OCCLUDER,
) -> UInt8[np.ndarray, "h w 3"]:
    """Return image [H,W,3] with the border of mask [H,W] drawn on it."""
    contours, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
    return cv2.drawContours(image.copy(), contours, -1, colour, 1)


def evenly(length: int, count: int) -> list[int]:
    """Return up to `count` indices below `length`, evenly spread and including both ends."""
    return np.linspace(0, length - 1, min(count, length)).round().astype(int).tolist()


def dim(image: UInt8[np.ndarray, "h w 3"]) -> UInt8[np.ndarray, "h w 3"]:
    """Return the image at 40 % of its brightness."""
    return (image * 0.4).astype(np.uint8)


def frame(
    image: UInt8[np.ndarray, "h w 3"], colour: tuple[int, int, int]
) -> UInt8[np.ndarray, "h w 3"]:
    """Return the image with a border of the colour."""
    image = image.copy()
    height, width = image.shape[:2]
    cv2.rectangle(image, (0, 0), (width - 1, height - 1), colour, max(3, height // 56))
    return image


def caption(image: UInt8[np.ndarray, "h w 3"], text: str) -> UInt8[np.ndarray, "h w 3"]:
    """Return the image with a short text on a dark label in its upper left corner."""
    image = image.copy()
    scale, font = image.shape[0] / 448, cv2.FONT_HERSHEY_SIMPLEX
    (width, height), below = cv2.getTextSize(text, font, scale, 1)
    label = image[: height + below + 6, : width + 8]
    label[:] = label // 5  # darkened, so that lines and bright areas do not hide the text
    return cv2.putText(image, text, (4, height + 4), font, scale, (255, 255, 255), 1, cv2.LINE_AA)


def grid(
    images: Sequence[UInt8[np.ndarray, "h w 3"]], columns: int, gap: int = 2
) -> UInt8[np.ndarray, "h2 w2 3"]:
    """Return equally sized images [H,W,3] in rows of `columns`, on white."""
    height, width = images[0].shape[:2]
    rows = -(-len(images) // columns)
    sheet = np.full((rows * (height + gap) - gap, columns * (width + gap) - gap, 3), 255, np.uint8)
    for index, image in enumerate(images):
        row, column = divmod(index, columns)
        y, x = row * (height + gap), column * (width + gap)
        sheet[y : y + height, x : x + width] = image
    return sheet


def titled(image: UInt8[np.ndarray, "h w 3"], titles: Sequence[str]) -> UInt8[np.ndarray, "h2 w 3"]:
    """Return a sheet with a white title row above its columns of equal width."""
    head = np.full((TITLE, image.shape[1], 3), 255, np.uint8)
    cell = image.shape[1] / len(titles)
    for index, title in enumerate(titles):
        (width, height), _ = cv2.getTextSize(title, cv2.FONT_HERSHEY_SIMPLEX, 0.5, 1)
        scale = 0.5 * min(1.0, (cell - 4) / width)
        left = round(index * cell + (cell - 2 * scale * width) / 2)
        place = (left, (TITLE + height) // 2)
        cv2.putText(head, title, place, cv2.FONT_HERSHEY_SIMPLEX, scale, (0, 0, 0), 1, cv2.LINE_AA)
    return np.concatenate([head, image])


def _fixed(point: Sequence[float] | np.ndarray) -> tuple[int, int]:
    """Return a point in OpenCV's units of 1/16 px, clipped so that drawing cannot overflow."""
    x, y = np.clip(np.nan_to_num(np.asarray(point[:2], np.float64)), -4096, 4096) * 16
    return round(float(x)), round(float(y))


def _line(
    image: np.ndarray,
    a: Sequence[float] | np.ndarray | np.ndarray,
    b: Sequence[float] | np.ndarray | np.ndarray,
    colour: tuple[int, int, int],
    width: int,
) -> None:
    cv2.line(image, _fixed(a), _fixed(b), (0, 0, 0), width + 1, cv2.LINE_AA, shift=4)
    cv2.line(image, _fixed(a), _fixed(b), colour, width, cv2.LINE_AA, shift=4)
