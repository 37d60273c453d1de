"""Applies both networks to pictures: detects people, and one person's joints."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import UInt8

from datagen.footage.detection import anchors, landmarks, roi
from datagen.footage.detection.models import Model
from datagen.footage.detection.roi import Roi

LEAST_PRESENCE = 0.5
"""Confidence above which a crop counts as showing a person (mediapipe.solutions.pose's)."""


@dataclass(frozen=True, eq=False)
class Reading:
    """The landmark network's prediction for one crop, unsmoothed."""

    points: np.ndarray
    """float64 [33,2] pixels, edge to edge."""
    visibility: np.ndarray
    """float64 [33] 0 to 1."""
    circle: np.ndarray
    """float64 [2,2] the middle of the hips and the point above the head, pixels."""
    world: np.ndarray
    """float64 [33,3] metres from the middle of the hips, in the image axes."""


class PoseDetector:
    """The person detector and the landmark network, applied to pictures uint8 [H,W,3] RGB."""

    def __init__(self, threads: int = 1) -> None:
        self._detection = Model("pose_detection", threads)
        self._landmarks = Model("pose_landmark_full", threads)

    def find(self, picture: UInt8[np.ndarray, "h w 3"], frame: Roi) -> list[Roi]:
        """Return the crops of the people in a part of a picture, the most confident first.

        People cut by the part's edge are skipped: half a body looks like a smaller person.
        """
        seen = roi.view(picture, frame, self._detection.side, cv2.BORDER_CONSTANT)
        raw, logits = self._detection(seen.astype(np.float32) / 127.5 - 1)
        people, _ = anchors.suppress(*anchors.decode(raw, logits))
        placed = roi.to_picture(people, frame)
        height, width = picture.shape[:2]
        uncut = roi.inside(placed[:, :2], frame, width, height)
        return [roi.circumscribed(*one[2:4]).scaled(roi.MARGIN) for one in placed[uncut]]

    def read(self, picture: UInt8[np.ndarray, "h w 3"], crop: Roi) -> Reading | None:
        """Return the person in a crop; None if there is none."""
        seen = roi.view(picture, crop, self._landmarks.side, cv2.BORDER_REPLICATE)
        raw, presence, _, heatmap, world = self._landmarks(seen.astype(np.float32) / 255)
        if presence[0] <= LEAST_PRESENCE:
            return None
        points = landmarks.refine(landmarks.decode(raw), heatmap)
        placed = roi.to_picture(points[:, :2], crop)
        joints = world.astype(np.float64).reshape(-1, 3)[landmarks.BODY]
        joints[:, :2] = roi.rotate(joints[:, :2], crop.angle)
        visibility = points[landmarks.BODY, 3]
        return Reading(placed[landmarks.BODY], visibility, placed[landmarks.CROP], joints)
