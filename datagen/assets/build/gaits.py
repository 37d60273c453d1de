"""Walking and running from footsteps along a path."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.ndimage import gaussian_filter1d

from datagen.assets.build.puppet import NEUTRAL, SIDES
from datagen.bodies.motion.retarget import RATE


@dataclass(frozen=True)
class Gait:
    """Parameters of walking or running. Speeds in m/s, lengths in metres, angles in degrees."""

    seconds: float = 7.0
    speed: float | tuple[float, ...] = 1.3
    """One speed or several, spread evenly over the time; negative is backwards."""
    turn: float | tuple[float, ...] = 0.0
    """Degrees a second to the left, likewise."""
    sideways: bool = False
    """Go to the left instead of forward."""
    running: bool = False
    crouch: float = 0.0
    """Share of the standing height by which the pelvis is lower."""
    lean: float = 3.0
    width: float = 0.085
    lift: float = 0.06
    """How high the swinging ankle is raised."""
    swing: float = 1.0
    """Size of the arms' swing."""
    elbow: float = 0.0
    """How far the forearms are raised, 0 hanging to 1 as in running."""
    bounce: float = 1.0
    head: float = 0.0
    """Pitch of the head."""


def walk(gait: Gait) -> dict[str, np.ndarray]:
    """Return a puppet's controls [N, ...] that go as `gait` says."""
    count = round(gait.seconds * RATE) + 1
    speed, turn = _spread(gait.speed, count), _spread(gait.turn, count)
    heading = np.cumsum(np.radians(turn)) / RATE
    course = heading + (np.pi / 2 if gait.sideways else 0.0)
    ahead = np.stack([np.sin(course), np.cos(course)], axis=1)
    path = np.cumsum(speed[:, None] * ahead, axis=0) / RATE
    # step length and cadence grow together: step / cadence is constant (walk ratio)
    pace = np.maximum(np.abs(speed), 0.25)
    strides = 0.5 * (2.45 + 0.14 * pace if gait.running else np.sqrt(pace / 0.0063 / 60))
    if gait.sideways:  # short quick steps, because the feet must not cross
        strides = np.full(count, 1.3)
    phase = np.cumsum(strides) / RATE
    moving = np.clip(np.abs(speed) / 0.25, 0.0, 1.0)
    walker = _Walker(gait, phase, path, heading, speed, moving)
    controls = {
        name: np.repeat(np.array([value], dtype=np.float64), count, axis=0)
        for name, value in NEUTRAL.items()
    }
    for side in SIDES:
        controls[f"{side}_foot"] = walker.foot(side)
        controls[f"{side}_hand"], controls[f"{side}_elbow"] = walker.arm(side)
        controls[f"{side}_palm"][:] = 10.0 + 25.0 * gait.elbow
        # feet are in world coordinates, so the knees must not splay relative to the heading
        controls[f"{side}_knee"][:] = 4.0
    controls["pelvis"], controls["turn"], controls["spine"] = walker.trunk()
    controls["head"][:] = -0.5 * controls["spine"] * [1, 1, 0.6]
    controls["head"][:, 0] += gait.head - 0.4 * gait.lean
    return controls


@dataclass(frozen=True)
class _Walker:
    gait: Gait
    phase: np.ndarray
    path: np.ndarray
    heading: np.ndarray
    speed: np.ndarray
    moving: np.ndarray

    @property
    def duty(self) -> float:
        """Share of a stride during which a foot is on the ground."""
        return 0.36 if self.gait.running else 0.62

    def foot(self, side: str) -> np.ndarray:
        """Return the foot's control [N, 5]: planted, then swung to the next footprint."""
        sign = 1.0 if side == "left" else -1.0
        count, duty = len(self.phase), self.duty
        phase = self.phase + (0.0 if side == "left" else 0.5)
        step, within = np.floor(phase), phase % 1.0
        places: dict[int, np.ndarray] = {}
        for number in range(int(step.min()), int(step.max()) + 2):
            middle = number + 0.5 * duty - (0.0 if side == "left" else 0.5)
            places[number] = self._place(middle, sign)
        rows = np.empty((count, 5))
        for frame in range(count):
            here, there = places[int(step[frame])], places[int(step[frame]) + 1]
            share = np.clip((within[frame] - duty) / (1 - duty), 0.0, 1.0)
            eased = share**3 * (10 - 15 * share + 6 * share**2)
            mixed = here + eased * (there - here)
            vigour = self.moving[frame]
            rows[frame, :2] = sign * mixed[0], mixed[1]
            # runners' heels rise early in the swing, walkers' feet stay close to the ground
            rise = (
                np.sin(np.pi * share**0.7) ** 1.2
                if self.gait.running
                else (np.sin(np.pi * share**0.8) ** 1.5)
            )
            rows[frame, 2] = self.gait.lift * vigour * rise
            rows[frame, 3] = sign * mixed[2] + 7.0
            rows[frame, 4] = vigour * self._pitch(within[frame], share, self.speed[frame])
        rows[:, 2:] = gaussian_filter1d(rows[:, 2:], 0.8, axis=0)
        return rows

    def _place(self, phase: float, sign: float) -> np.ndarray:
        """Return x, z and heading (degrees) of the footprint whose stance is centred at phase."""
        frames = np.arange(len(self.phase))
        frame = np.interp(phase, self.phase, frames)
        if phase < self.phase[0] or phase > self.phase[-1]:  # before the start, after the end
            edge = 0 if phase < self.phase[0] else -1
            rate = max(float(self.phase[1] - self.phase[0]), 1e-6)
            beyond = (phase - self.phase[edge]) / rate / RATE * self.speed[edge]
        else:
            beyond = 0.0
        x, z = (np.interp(frame, frames, self.path[:, k]) for k in (0, 1))
        angle = np.interp(frame, frames, self.heading)
        course = angle + (np.pi / 2 if self.gait.sideways else 0.0)
        x, z = x + beyond * np.sin(course), z + beyond * np.cos(course)
        if self.gait.running:  # land under the body, push off far behind it
            x, z = x - 0.12 * np.sin(course), z - 0.12 * np.cos(course)
        out = sign * self.gait.width
        return np.array([x + out * np.cos(angle), z - out * np.sin(angle), np.degrees(angle)])

    def _pitch(self, within: float, share: float, speed: float) -> float:
        """Return the heel's elevation, degrees: strike, flat, roll off, swing."""
        if self.gait.sideways:
            return 12.0 * np.sin(np.pi * share)
        strength = np.clip(abs(speed) / 1.4, 0.3, 1.3)
        if self.gait.running:
            at = [0.0, 0.25 * self.duty, 0.55 * self.duty, self.duty, 0.62, 0.9, 1.0]
            degrees = [-6, 0, 6, 50, 65, 0, -6]
        elif speed < 0:  # toes land first
            at, degrees = [0.0, 0.2, 0.5, 0.62, 0.8, 1.0], [25, 2, 0, -8, 5, 25]
        else:
            at = [0.0, 0.1, 0.34, self.duty, 0.7, 0.85, 1.0]
            degrees = [-20, 0, 0, 42, 45, 0, -20]
        return strength * float(np.interp(within, at, degrees))

    def arm(self, side: str) -> tuple[np.ndarray, np.ndarray]:
        """Return hand and elbow controls; an arm swings with the other side's leg."""
        gait = self.gait
        lag = 0.5 if side == "left" else 0.0
        swing = np.cos(2 * np.pi * (self.phase + lag - 0.02)) * self.moving * gait.swing
        reach = np.clip(0.16 + 0.14 * np.abs(self.speed), 0.0, 0.5)
        angle = 0.1 + swing * reach * (1.15 if gait.running else 1.0)
        bend = np.clip(gait.elbow + 0.12 * np.maximum(swing, 0) * np.abs(self.speed), 0.0, 1.0)
        # the upper arm swings, the forearm is folded up by `bend`
        fold = np.radians(8 + 92 * bend)
        elbow = np.stack([0.13 + 0 * angle, -np.cos(angle), np.sin(angle)], axis=1) * 0.52
        forward = angle + fold
        inward = 0.02 - 0.16 * bend
        fore = np.stack([inward, -np.cos(forward), np.sin(forward)], axis=1) * 0.48
        pole = np.stack([0.25 + 0 * angle, -0.35 - 0.2 * bend, -0.9 + 0 * angle], axis=1)
        return elbow + fore, pole

    def trunk(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return controls of pelvis, its turn and the spine."""
        gait = self.gait
        # stance centres: left at duty/2, right half a stride later
        beat = 2 * np.pi * (self.phase - 0.5 * self.duty)
        side = np.cos(beat) * self.moving
        rise = np.cos(2 * beat) * self.moving * gait.bounce
        across = np.stack([np.cos(self.heading), -np.sin(self.heading)], axis=1)
        weight = (0.012 if gait.running else 0.024) * side
        place = self.path + weight[:, None] * across
        pace = np.clip(np.abs(self.speed), 0.0, 4.0)
        if gait.running:
            height = 0.95 - gait.crouch - (0.018 + 0.005 * pace) * rise
        else:
            height = 0.985 - gait.crouch + 0.013 * np.sqrt(pace) * rise
        pelvis = np.stack([place[:, 0], height, place[:, 1]], axis=1)
        stride = np.sin(beat) * self.moving * np.clip(pace / 1.4, 0, 1.6) * (not gait.sideways)
        turn = np.stack(
            [
                np.degrees(self.heading) + 5.0 * stride,
                gait.lean * 0.5 + 2.0 * rise * gait.running,
                2.5 * side,
            ],
            axis=1,
        )
        spine = np.stack(
            [gait.lean + 1.5 * rise, -3.5 * side, -(9.0 + 4 * gait.running) * stride], axis=1
        )
        return pelvis, turn, spine


def _spread(value: float | tuple[float, ...], count: int) -> np.ndarray:
    keys = np.atleast_1d(np.asarray(value, dtype=np.float64))
    if len(keys) == 1:
        return np.repeat(keys, count)
    spread = np.interp(np.linspace(0, len(keys) - 1, count), np.arange(len(keys)), keys)
    return gaussian_filter1d(spread, 8, mode="nearest")
