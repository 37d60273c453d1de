"""Options of endless keypoint clips."""

from __future__ import annotations

from dataclasses import dataclass

from trainer.errors import BadInput


@dataclass(frozen=True, kw_only=True)
class EndlessConfig:
    """Keypoint clips drawn from motions while training. The paper has none of this."""

    distance: tuple[float, float] = (2.0, 9.0)
    """Least and greatest distance of the camera, metres; drawn uniformly in its logarithm."""
    pitch: tuple[float, float] = (-20.0, 50.0)
    """Least and greatest angle by which the camera looks down, degrees."""
    roll: float = 8.0
    """Standard deviation of the camera's roll, degrees."""
    mirror: bool = True
    """Show half of the clips in a mirror."""
    betas: float = 1.2
    """Standard deviation of the shape parameters."""
    bones: float = 0.06
    """Standard deviation of each bone's length, as a share of it; the trunk's is 1.3 times that."""
    speed: float = 2.0
    """Most that a motion is sped up or slowed down; 1 leaves it alone, as 3 in 10 clips are."""
    upper: float = 0.3
    """Chance that the upper body moves as in another motion."""
    limbs: float = 0.3
    """Chance, for each arm and each leg, that it moves as in another motion."""
    flex: float = 0.3
    """Standard deviation of the share by which knees and elbows bend more or less."""
    turn: float = 12.0
    """Root mean square of the angle by which joints are turned for a whole clip, degrees."""
    tilt: float = 8.0
    """Standard deviation of the tilt of the whole body, degrees."""
    noise: float = 0.012
    """Most standard deviation of a keypoint's jitter, as a share of the person's box diagonal."""
    bias: float = 0.012
    """The same of an error that holds for the clip (1.3 times as much at the hips)."""
    drift: float = 0.01
    """The same of an error that changes slowly."""
    drop: float = 0.06
    """Most chance that a keypoint of a frame is missing."""
    gap: float = 0.3
    """Most chance, halved, that a keypoint is missing for a stretch of the clip."""
    outlier: float = 0.01
    """Chance that a keypoint of a frame lies somewhere else on the person."""
    burst: float = 0.0
    """Chance that a joint is found in a wrong place for a stretch of the clip; wrists twice it."""
    occluder: float = 0.25
    """Chance that a bar hides a part of the person for a stretch of the clip."""
    blackout: float = 0.2
    """Chance that the whole person is hidden for a stretch of the clip (total occlusion)."""
    fixed_levels: bool = False
    """Whether noise, bias and drift have their full size in every clip, not a drawn share of it."""

    def __post_init__(self) -> None:
        near, far = self.distance
        refuse(not 0 < near <= far, "distance", "two lengths above 0, the lesser first", near, far)
        low, high = self.pitch
        refuse(
            not -90 <= low <= high <= 90, "pitch", "two of -90 to 90, the lesser first", low, high
        )
        refuse(not self.speed >= 1, "speed", "at least 1", self.speed)
        for name in SIZES:
            value = getattr(self, name)
            refuse(not 0 <= value < float("inf"), name, "a number of at least 0", value)
        for name in CHANCES:
            value = getattr(self, name)
            refuse(not 0 <= value <= 1, name, "in [0, 1]", value)


SIZES = ("roll", "betas", "bones", "flex", "turn", "tilt", "noise", "bias", "drift")
"""Options that are a spread."""
CHANCES = ("upper", "limbs", "drop", "gap", "outlier", "burst", "occluder", "blackout")
"""Options that are a chance."""


def refuse(wrong: bool, name: str, rule: str, *values: float) -> None:
    """Raise BadInput for an option's values if they are wrong."""
    if wrong:
        given = " ".join(f"{value:g}" for value in values)
        raise BadInput(f"--endless.{name} must be {rule}, got {given}")


VALIDATION = EndlessConfig(
    distance=(2.5, 6.0), pitch=(-5.0, 35.0), roll=5.0, bones=0.04, speed=1.0, upper=0.0, limbs=0.0,
    flex=0.0, turn=0.0, tilt=0.0, noise=0.006, bias=0.006, drift=0.004, drop=0.04, gap=0.15,
    outlier=0.003, occluder=0.0, blackout=0.0, fixed_levels=True,
)  # fmt: skip
"""What a network is validated on: motions as they are, ordinary cameras, an ordinary detector."""
