"""Smoothing of noisy, partly unknown sequences by a penalty on their second differences.

Whittaker's smoother: the values that minimise

    Σ w_l (x_l − y_l)² + Σ s (x_{l+1} − 2 x_l + x_{l−1})².

It is the best estimate for noise of variance 1/w and accelerations of variance 1/s, and it bridges
gaps (w = 0) with cubics. Letters: L samples, C sequences.
"""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor


def smooth(
    values: Float[Tensor, "l c"], weight: Float[Tensor, "l _"], stiffness: float
) -> Float[Tensor, "l c"]:
    """Return values [L, C] smoothed; weights [L, C or 1] are 1/variance, 0 where unknown.

    The stiffness is 1/variance of the second difference. Solved by a banded LDLᵀ factorization in
    float64: time and memory grow with L. A sequence without known values is returned as 0.
    """
    w = weight.double().cpu().numpy()
    y = np.where(w > 0, values.double().cpu().numpy(), 0.0)
    length = len(y)
    # One or two known samples do not determine a line's slope; the flattest line is used.
    top = w.max(0, keepdims=True) if length else w
    ridge = np.where(top > 0, 1e-9 * top, 1.0)
    mean = (w * y).sum(0) / np.maximum(w.sum(0), 1e-300)
    first, second = np.zeros((length, 1)), np.zeros((length, 1))
    main = np.zeros((length, 1))
    if length > 2:
        main[:-2] += stiffness
        main[1:-1] += 4 * stiffness
        main[2:] += stiffness
        first[1:-1] -= 2 * stiffness
        first[2:] -= 2 * stiffness
        second[2:] += stiffness
    solved = _solve(main + w + ridge, first, second, w * (y - mean))
    return torch.from_numpy(solved + mean).to(values)


def _solve(main: np.ndarray, first: np.ndarray, second: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Return the solution x [L, C] of the symmetric pentadiagonal system with these diagonals.

    main [L, C], first [L, 1] and second [L, 1]: row l's entries at columns l, l − 1 and l − 2.
    """
    length = len(main)
    d, l1, l2 = np.empty_like(main), np.zeros_like(main), np.zeros_like(main)
    z = b.copy()
    for i in range(length):
        d[i] = main[i]
        if i > 1:
            l2[i] = second[i] / d[i - 2]
            z[i] -= l2[i] * z[i - 2]
        if i > 0:
            l1[i] = first[i] - (l2[i] * d[i - 2] * l1[i - 1] if i > 1 else 0)
            l1[i] /= d[i - 1]
            d[i] -= l1[i] ** 2 * d[i - 1]
            z[i] -= l1[i] * z[i - 1]
        if i > 1:
            d[i] -= l2[i] ** 2 * d[i - 2]
    x = z / d
    for i in range(length - 2, -1, -1):
        x[i] -= l1[i + 1] * x[i + 1]
        if i + 2 < length:
            x[i] -= l2[i + 2] * x[i + 2]
    return x
