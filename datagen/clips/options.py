"""Options of stage 3, clips."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Literal

from datagen.common.options import option, require


@dataclass(frozen=True, kw_only=True)
class ClipsConfig:
    """Stage 3: a person and a scene become a labelled clip (the paper's Figure 2)."""

    clip_length: int = 31
    """Frames per clip T; T+1 are composed so that every frame has its flow to the next."""
    image_size: int = 224
    """Side of the square crop, pixels."""
    background: Literal["video", "static"] = "video"
    """`static` repeats one frame and drops camera motion (the paper's Table 2)."""
    track_camera: bool = True
    """Offset the person by the estimated camera motion (off in Table 2)."""
    occluders: bool = True
    """Occlude the person with a superpixel, and totally for a while (off in Table 2)."""
    occluder_sampling: Literal["mixed", "touching", "uniform"] = "mixed"
    """Draw the superpixel among those touching the person, among all, or either with even odds
    (`mixed`). The paper specifies only "at random"."""
    drop_occluded_keypoints: float = 0.5
    """Chance that a joint behind the occluder counts as unseen. Our guess."""
    total_occlusion: float = 0.3
    """Share of clips with one totally occluded stretch. Our guess for the paper's "some"."""
    total_occlusion_max: int = 10
    """Longest such stretch, frames. Our guess for the paper's "small number"."""
    flag_absent: bool = True
    """Flag frames that show none of the limbs' 12 keypoints (the person has left the picture) as
    totally occluded, as the empty frames of real tracks are at test time. Our choice: the paper
    specifies neither."""
    person_diagonal: float = 150.0
    """Diagonal of the visible-joint box in the crop, pixels at 224 (HMR's rule)."""
    jitter_translation: float = 20.0
    """Crop shift, uniform ± pixels at 224 (HMMR)."""
    jitter_translation_step: float = 3.0
    """Its steps from frame to frame, uniform ± pixels at 224 before smoothing (HMMR).
    0 holds the clip's first draw."""
    jitter_scale: float = 0.3
    """Crop scale, uniform ± log2 (HMMR)."""
    jitter_scale_step: float = 0.05
    """Its steps from frame to frame, uniform ± log2 before smoothing (HMMR).
    0 holds the clip's first draw."""

    def __post_init__(self) -> None:
        require(self.clip_length >= 2, f"--clip-length must be at least 2, got {self.clip_length}")
        require(self.image_size >= 16, f"--image-size must be at least 16, got {self.image_size}")
        for name in ("drop_occluded_keypoints", "total_occlusion"):
            value = getattr(self, name)
            require(0 <= value <= 1, f"{option(name)} must lie in [0, 1], got {value}")
        require(
            self.total_occlusion_max >= 1,
            f"--total-occlusion-max must be at least 1, got {self.total_occlusion_max}",
        )
        require(
            self.person_diagonal > 0,
            f"--person-diagonal must be positive, got {self.person_diagonal}",
        )
        for name in (item.name for item in fields(self) if item.name.startswith("jitter")):
            value = getattr(self, name)
            require(value >= 0, f"{option(name)} must not be negative, got {value}")
