"""The training pairs: drawn scenes with random crops, flips and colour changes."""

# S side of an image

from __future__ import annotations

from functools import lru_cache
from typing import Literal

import numpy as np
import torch
from jaxtyping import Bool, Float, UInt8
from torch import Tensor
from torch.utils.data import Dataset

from datagen.common.seeds import generator
from datagen.flow.training.options import TrainFlowConfig
from datagen.flow.training.pairs import make_pair
from datagen.flow.training.people import PersonPairs, person_pair, render_people
from datagen.flow.training.textures import load_textures


class Pairs(Dataset):
    """Drawn pairs; the n-th depends only on (seed, split, n).

    The splits share no photo and no subject. Training pairs are cropped, transposed and mirrored.
    On a CPU, drawing costs as much as learning, so each scene is used about `repeats` times with
    different augmentation, from a slowly changing pool of `pool` scenes.
    """

    def __init__(
        self, cfg: TrainFlowConfig, split: Literal["train", "val"], repeats: int = 1,
        pool: int = 1024,
    ) -> None:  # fmt: skip
        self._textures = load_textures(cfg.textures, split)
        self._people = None
        if cfg.people:
            self._people = PersonPairs(render_people(cfg.out / "people", split, cfg.seed))
        self._cfg = cfg
        self._split = split
        self._repeats = repeats
        self._pool = pool if repeats > 1 else 1
        self._scene = lru_cache(maxsize=self._pool if repeats > 1 else 0)(self._draw)

    def _draw(self, index: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        size = self._cfg.size
        rng = generator(self._cfg.seed, "flow", self._split, index)
        if self._people and rng.random() < self._cfg.people:
            person = self._people.draw(rng)
            first, second, flow, mask = person_pair(*person, self._textures, size, rng)
        else:
            first, second, flow = make_pair(self._textures, size, rng)
            mask = np.zeros((size, size), bool)
        return np.concatenate((first, second), -1), flow.astype(np.float16), mask

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor, Tensor]:
        """Return the pair uint8 [6,S,S], its flow float32 [2,S,S] px and the person's mask [S,S].

        The mask shows the rendered person in the first image; it is empty without one.
        """
        rng = generator(self._cfg.seed, "flow", self._split, "draw", index)
        pair, flow, mask = self._scene(index // self._repeats + int(rng.integers(self._pool)))
        if self._split == "train":
            if side := self._cfg.crop:
                x, y = rng.integers(0, self._cfg.size - side + 1, 2)
                part = slice(y, y + side), slice(x, x + side)
                pair, flow, mask = pair[part], flow[part], mask[part]
            pair, flow, mask = turn(pair, flow, mask, rng)
        pair = np.ascontiguousarray(pair.transpose(2, 0, 1))
        flow = np.ascontiguousarray(flow.transpose(2, 0, 1), np.float32)
        mask = np.ascontiguousarray(mask)
        return torch.from_numpy(pair), torch.from_numpy(flow), torch.from_numpy(mask)


def turn(
    pair: UInt8[np.ndarray, "s s 6"],
    flow: Float[np.ndarray, "s s 2"],
    mask: Bool[np.ndarray, "s s"],
    rng: np.random.Generator,
) -> tuple[UInt8[np.ndarray, "s s 6"], Float[np.ndarray, "s s 2"], Bool[np.ndarray, "s s"]]:
    """Return pair, flow and mask mirrored or transposed, with permuted colour channels."""
    if rng.random() < 0.5:
        pair, flow, mask = pair[:, ::-1], flow[:, ::-1] * np.array([-1, 1]), mask[:, ::-1]
    if rng.random() < 0.5:
        pair, flow, mask = pair[::-1], flow[::-1] * np.array([1, -1]), mask[::-1]
    if rng.random() < 0.5:
        pair, flow, mask = pair.transpose(1, 0, 2), flow.transpose(1, 0, 2)[..., ::-1], mask.T
    colours = rng.permutation(3)
    return pair[..., np.concatenate((colours, colours + 3))], flow, mask
