"""Numbers that tell whether a shard looks as it should, kept in its manifest line."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from datagen import record

if TYPE_CHECKING:
    from datagen.bodies.library import Person
    from datagen.clips.compose import Clip

_KEYPOINTS = [record.JOINTS.index(name) for name in record.KEYPOINTS]


@dataclass
class Statistics:
    """Running means over the clips of a shard."""

    sums: defaultdict[str, float] = field(default_factory=lambda: defaultdict(float))
    people: Counter[str] = field(default_factory=Counter)
    clips: int = 0

    def add(self, person: Person, clip: Clip, flow: np.ndarray) -> None:
        """Count one clip; `flow` is the estimate before total occlusion zeroes it."""
        speed = np.linalg.norm(flow.astype(np.float32), axis=1)
        self.clips += 1
        self.sums["flow_px"] += float(speed.mean())
        self.sums["seen_keypoints"] += float(clip.joints2d[:, _KEYPOINTS, 2].mean())
        self.sums["behind_occluder"] += float((clip.visibility[:, _KEYPOINTS] == 1).mean())
        self.sums["totally_occluded"] += float(clip.occluded.mean())
        self.sums["camera_px"] += float(np.linalg.norm(clip.offsets[-1]))
        self.people[f"gender {person.meta['gender']}"] += 1
        if "skin_tone" in (look := person.meta.get("look", {})):
            self.people[f"skin tone {look['skin_tone']}"] += 1

    def line(self) -> dict[str, Any]:
        """Return the means over clips and the counts of people, ready for JSON."""
        means = {name: round(total / self.clips, 4) for name, total in self.sums.items()}
        return {**means, "people": dict(sorted(self.people.items()))}
