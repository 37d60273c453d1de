"""Options of stage 3, clips."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Literal

from datagen.common.options import option, require


@dataclass(frozen=True, kw_only=True)
class ClipsConfig:
    """Stage 3: composes a person and a scene into a labelled clip (the paper's Figure 2)."""

    clip_length: int = 31
    """Frames per clip, T; T+1 frames are composed so that every frame has flow to the next."""
    image_size: int = 224
    """Side of the square crop, pixels."""
    background: Literal["video", "static"] = "video"
    """`static` repeats one frame and drops camera motion (the paper's Table 2)."""
    track_camera: bool = True
    """Offset the person by the estimated camera motion (off in Table 2)."""
    occluders: bool = True
    """Occlude the person with a superpixel, and totally for some frames (off in Table 2)."""
    occluder_sampling: Literal["mixed", "touching", "uniform"] = "mixed"
    """Draw the superpixel from those touching the person, from all, or from either with equal
    probability (`mixed`). The paper specifies only "at random"."""
    drop_occluded_keypoints: float = 0.5
    """Probability that a joint behind the occluder counts as not seen. Our guess."""
    total_occlusion: float = 0.3
    """Share of clips with one period of total occlusion. Our guess for the paper's "some"."""
    total_occlusion_max: int = 10
    """Longest such period, frames. Our guess for the paper's "small number"."""
    flag_absent: bool = True
    """Flag frames that show none of the 12 limb keypoints (the person is outside the picture) as
    totally occluded, like empty frames of real tracks at test time. Our choice, as the paper
    specifies neither."""
    person_diagonal: float = 150.0
    """Diagonal of the box around the visible joints in the crop, pixels at 224 (HMR's rule)."""
    jitter_translation: float = 20.0
    """Range of the crop's shift, uniform ± pixels at 224 (HMMR)."""
    jitter_translation_step: float = 3.0
    """Change of the shift between frames, uniform ± pixels at 224 before smoothing (HMMR). 0 keeps
    the first draw for the whole clip."""
    jitter_scale: float = 0.3
    """Range of the crop's scale, uniform ± log2 (HMMR)."""
    jitter_scale_step: float = 0.05
    """Change of the scale between frames, uniform ± log2 before smoothing (HMMR). 0 keeps the first
    draw for the whole clip."""

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
