"""Options of endless keypoint clips."""

from __future__ import annotations

from dataclasses import dataclass

from trainer.errors import BadInput


@dataclass(frozen=True, kw_only=True)
class EndlessConfig:
    """Keypoint clips drawn from motions during training (not in the paper)."""

    distance: tuple[float, float] = (2.0, 9.0)
    """Least and greatest camera distance, metres; its logarithm is drawn uniformly."""
    pitch: tuple[float, float] = (-20.0, 50.0)
    """Least and greatest camera pitch, degrees; positive looks down."""
    roll: float = 8.0
    """Standard deviation of the camera's roll, degrees."""
    mirror: bool = True
    """Mirror half of the clips."""
    betas: float = 1.2
    """Standard deviation of the betas."""
    bones: float = 0.06
    """Relative standard deviation of each bone's length; the trunk's is 1.3 times that."""
    speed: float = 2.0
    """Largest factor by which a motion is sped up or slowed down; 3 in 10 clips are unchanged."""
    upper: float = 0.3
    """Chance that the upper body's motion is taken from another motion."""
    limbs: float = 0.3
    """Chance, for each arm and leg, that its motion is taken from another motion."""
    flex: float = 0.3
    """Relative standard deviation of the bending angle of knees and elbows."""
    turn: float = 12.0
    """Root mean square of the constant rotation added to joints in a clip, degrees."""
    tilt: float = 8.0
    """Standard deviation of the whole body's tilt, degrees."""
    noise: float = 0.012
    """Largest standard deviation of keypoint jitter, as a share of the person's box diagonal."""
    bias: float = 0.012
    """The same for an error that is constant over the clip (1.3 times as large at the hips)."""
    drift: float = 0.01
    """The same for an error that changes slowly."""
    drop: float = 0.06
    """Largest chance that a keypoint is missing in a frame."""
    gap: float = 0.3
    """Most chance, halved, that a keypoint is missing for a stretch of the clip."""
    outlier: float = 0.01
    """Chance that a keypoint is detected elsewhere on the person in a frame."""
    burst: float = 0.0
    """Chance that a joint is misplaced for a stretch of the clip; twice as large for wrists."""
    occluder: float = 0.25
    """Chance that a bar hides a part of the person for a stretch of the clip."""
    blackout: float = 0.2
    """Chance that the whole person is hidden for a stretch of the clip (total occlusion)."""
    fixed_levels: bool = False
    """Use the full level of noise, bias and drift in every clip instead of a random share of it."""

    def __post_init__(self) -> None:
        near, far = self.distance
        refuse(not 0 < near <= far, "distance", "two lengths above 0, the smaller first", near, far)
        low, high = self.pitch
        refuse(
            not -90 <= low <= high <= 90,
            "pitch",
            "two angles in [-90, 90], the smaller first",
            low,
            high,
        )
        refuse(not self.speed >= 1, "speed", "at least 1", self.speed)
        for name in SIZES:
            value = getattr(self, name)
            refuse(not 0 <= value < float("inf"), name, "a number of at least 0", value)
        for name in CHANCES:
            value = getattr(self, name)
            refuse(not 0 <= value <= 1, name, "in [0, 1]", value)


SIZES = ("roll", "betas", "bones", "flex", "turn", "tilt", "noise", "bias", "drift")
"""Options that are standard deviations."""
CHANCES = ("upper", "limbs", "drop", "gap", "outlier", "burst", "occluder", "blackout")
"""Options that are probabilities."""


def refuse(wrong: bool, name: str, rule: str, *values: float) -> None:
    """Raise BadInput for an option's values if `wrong`."""
    if wrong:
        given = " ".join(f"{value:g}" for value in values)
        raise BadInput(f"--endless.{name} must be {rule}, got {given}")


VALIDATION = EndlessConfig(
    distance=(2.5, 6.0), pitch=(-5.0, 35.0), roll=5.0, bones=0.04, speed=1.0, upper=0.0, limbs=0.0,
    flex=0.0, turn=0.0, tilt=0.0, noise=0.006, bias=0.006, drift=0.004, drop=0.04, gap=0.15,
    outlier=0.003, occluder=0.0, blackout=0.0, fixed_levels=True,
)  # fmt: skip
"""Settings for validation: unchanged motions, ordinary cameras and an ordinary detector."""
