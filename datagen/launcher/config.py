"""Every option of a data set: those of the five stages and of who does the work."""

from __future__ import annotations

from dataclasses import dataclass, field, fields

from datagen.backgrounds.options import BackgroundsConfig
from datagen.bodies.options import BodiesConfig
from datagen.clips.options import ClipsConfig
from datagen.cluster.options import ClusterConfig
from datagen.common.options import arguments, require
from datagen.common.record import STRIP_ROWS
from datagen.flow.options import FlowConfig
from datagen.output.options import OutputConfig


@dataclass(frozen=True, kw_only=True)
class LaunchConfig:
    """Make a data set: people → scenes → clips → flow → tar shards."""

    bodies: BodiesConfig = field(default_factory=BodiesConfig)
    backgrounds: BackgroundsConfig = field(default_factory=BackgroundsConfig)
    clips: ClipsConfig = field(default_factory=ClipsConfig)
    flow: FlowConfig = field(default_factory=FlowConfig)
    output: OutputConfig = field(default_factory=OutputConfig)
    cluster: ClusterConfig = field(default_factory=ClusterConfig)

    def __post_init__(self) -> None:
        frames, longest = self.clips.clip_length + 1, self.bodies.max_clip_frames
        require(
            self.bodies.surreal is not None or frames <= longest,
            f"--clip-length {self.clips.clip_length} needs people's clips of {frames} frames; "
            f"give --max-clip-frames {frames} or more, got {longest}",
        )
        strip = self.clips.clip_length * self.clips.image_size
        require(
            not self.output.rgb or strip <= STRIP_ROWS,
            f"a clip's frames are one JPEG strip of at most {STRIP_ROWS:,} pixels; --clip-length "
            f"times --image-size is {strip:,}, give less or --no-rgb",
        )
        require(
            self.flow.flow != "dis" or not self.cluster.flow_gpus,
            "--flow dis needs no GPU; name a network with --flow or leave --flow-gpus out",
        )

    def arguments(self) -> list[str]:
        """Return the command line that gives this configuration: what differs from the default."""
        return [word for stage in fields(self) for word in arguments(getattr(self, stage.name))]
