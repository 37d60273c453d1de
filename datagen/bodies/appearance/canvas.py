"""A texture being painted: texel colours, coverage, and the random draws."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from datagen.bodies.appearance.atlas import Atlas


@dataclass
class Canvas:
    """The colours of one person's N texels while layers are painted."""

    atlas: Atlas
    colours: np.ndarray
    """float32 [N,3] sRGB in 0..1."""
    covered: np.ndarray
    """float32 [N] in 0..1: share of a texel covered by clothes."""
    meta: dict = field(default_factory=dict)
    """The random draws, in a form for JSON."""

    @staticmethod
    def blank(atlas: Atlas) -> Canvas:
        """Return an empty canvas."""
        count = len(atlas.position)
        return Canvas(atlas, np.zeros((count, 3), np.float32), np.zeros(count, np.float32))

    def paint(self, cover: np.ndarray, colours: np.ndarray, cloth: bool = False) -> None:
        """Blend colours ([3] or [N,3]) over the texels with opacity `cover` [N] in 0..1."""
        at = np.flatnonzero(cover)
        share = cover[at].astype(np.float32)
        layer = colours if colours.ndim == 1 else colours[at]
        below = self.colours[at]
        self.colours[at] = below + (layer.astype(np.float32) - below) * share[:, None]
        if cloth:
            self.covered[at] = np.maximum(self.covered[at], share)
