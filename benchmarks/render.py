"""Speed of this renderer compared with the usual use of pyrender, on the same frames.

python -m benchmarks.render            |  a quick look: --frames 10 --rounds 1

Usual: per frame trimesh.Trimesh -> Mesh.from_trimesh -> a scene with three lights -> render, as in
the renderers of VIBE, SPIN and similar projects; it gives colour and depth. Ours gives colour,
depth and exact surface flow, shading included. With equal lighting (per-vertex colours, FLAT, no
multisampling) both pictures are compared pixel by pixel. Both draw on one thread, as in a worker
beside others.
"""

from __future__ import annotations

import json
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import tyro

from datagen.bodies.motion.sources import find_motions, load_motion
from datagen.bodies.options import BodiesConfig
from datagen.bodies.render import light
from datagen.bodies.render.camera import FAR, NEAR, View, into_camera, intrinsics
from datagen.bodies.render.renderer import Renderer
from datagen.bodies.smpl.mesh import Mesh
from datagen.bodies.smpl.model import load_bodies

CFG = BodiesConfig()
K = intrinsics(CFG)
OUR_STAGES = {"_upload_vertices": "upload", "_draw": "draw and read"}
USUAL_STAGES = {"_mesh": "trimesh and mesh", "_draw": "upload, draw and read"}


@dataclass(frozen=True, kw_only=True)
class Options:
    """Compare the renderer with the usual use of pyrender."""

    frames: int = 60
    """Frames of one clip."""
    rounds: int = 5
    """Alternating rounds in which both draw the clip; the median counts."""


def main(options: Options) -> None:
    """Print both speeds, the time per stage, the largest differences, and the JSON line."""
    body = load_bodies(None)["neutral"]
    motion = load_motion(find_motions(None)[0], body.rest_joints())
    frames = min(options.frames, len(motion.pose))
    pose, trans = into_camera(
        View(0.5, 7.0), motion.pose[:frames], motion.trans[:frames], body.rest_joints()[0]
    )
    vertices, _ = body.forward(pose, np.zeros(10, np.float32), trans)
    rng = np.random.default_rng(0)
    texture = rng.integers(40, 220, (512, 512, 3), dtype=np.uint8)
    lamp = light.draw_light(rng)
    print(f"{frames} frames of {body.num_vertices} vertices, {CFG.width}x{CFG.height}")

    renderer = Renderer(K, CFG.width, CFG.height)
    mesh = Mesh(body.faces, body.num_vertices, body.uv, body.face_uv)
    usual = Usual(body.faces)
    took: dict[str, list[float]] = defaultdict(list)
    ours, baseline = [], []
    for _ in range(options.rounds + 1):  # the first warms both up
        with seconds(ours):
            with seconds(took["ours: normals and light"]):
                shades = np.stack([light.shade(mesh.normals(frame), lamp) for frame in vertices])
            with timed(renderer, OUR_STAGES, took):
                drawn = renderer.render(mesh, vertices, shades, texture)
                assert all(picture.mask.any() for picture in drawn)
        with seconds(baseline), timed(usual, USUAL_STAGES, took):
            for frame in vertices:
                usual.render(frame)
    fps, usual_fps = (frames / float(np.median(times[1:])) for times in (ours, baseline))

    print(f"ours, with light and exact flow   {fps:8.1f} frames/s")
    print(f"pyrender, usual use               {usual_fps:8.1f} frames/s")
    for stage, times in took.items():
        per_frame = sum(times) / (options.rounds + 1) / frames
        print(f"  {stage:36s}{1e3 * per_frame:8.2f} ms per frame")
    compare(renderer, usual, Mesh(body.faces, body.num_vertices), vertices, shades)
    print(
        json.dumps(
            {
                "name": "Rendering (against pyrender from trimesh)",
                "ours": round(fps, 1),
                "baseline": round(usual_fps, 1),
                "ratio": round(fps / usual_fps, 2),
                "unit": "frames/s",
            }
        )
    )


class Usual:
    """pyrender as used in its examples and in the field's renderers."""

    def __init__(self, faces: np.ndarray) -> None:
        import pyrender

        self.pyrender, self.faces = cast(Any, pyrender), faces
        self.renderer = self.pyrender.OffscreenRenderer(CFG.width, CFG.height)
        fx, fy, cx, cy = (float(v) for v in (K[0, 0], K[1, 1], K[0, 2], K[1, 2]))
        # its principal point differs by half a pixel, as its pixels are areas and ours points
        self.camera = self.pyrender.IntrinsicsCamera(fx, fy, cx + 0.5, cy + 0.5, NEAR, FAR)

    def render(self, vertices: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Draw vertices [V,3] with lights; return colour and depth."""
        scene = self._scene(self._mesh(vertices))
        for place in ((0, -1, 1), (0, 1, 1), (1, 1, 2)):
            pose = np.eye(4)
            pose[:3, 3] = place
            lamp = self.pyrender.PointLight(color=[1.0, 1.0, 1.0], intensity=50)
            scene.add(lamp, pose=pose)
        return self._draw(scene, self.pyrender.RenderFlags.RGBA)

    def render_flat(self, vertices: np.ndarray, colours: np.ndarray) -> tuple[Any, Any]:
        """Draw vertices with colours uint8 [V,3] without lights."""
        scene = self._scene(self._mesh(vertices, colours))
        return self._draw(scene, self.pyrender.RenderFlags.FLAT)

    def _mesh(self, vertices: np.ndarray, colours: np.ndarray | None = None) -> Any:
        import trimesh

        points = vertices * np.array(
            [1, -1, -1], np.float32
        )  # OpenGL's camera: y up, looks along -z
        mesh = trimesh.Trimesh(points, self.faces, vertex_colors=colours, process=False)
        return self.pyrender.Mesh.from_trimesh(mesh, smooth=True)

    def _draw(self, scene: Any, flags: int) -> tuple[np.ndarray, np.ndarray]:
        return self.renderer.render(scene, flags=flags)

    def _scene(self, mesh: Any) -> Any:
        scene = self.pyrender.Scene(bg_color=[0.0, 0.0, 0.0, 0.0], ambient_light=(0.3, 0.3, 0.3))
        scene.add(mesh)
        scene.add(self.camera, pose=np.eye(4))
        return scene


def compare(
    renderer: Renderer, usual: Usual, mesh: Mesh, vertices: np.ndarray, shades: np.ndarray
) -> None:
    """Print the difference of pictures with equal vertex colours; stop if above rounding."""
    linear = np.clip(shades, 0.2, 1)[..., None] * np.array([0.8, 0.5, 0.3], np.float32)
    encoded = np.where(linear < 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    alone, colours_off, depths_off = 0, [], []
    with single_sample(usual):
        for frame in range(0, len(vertices), 10):
            one = np.ones((1, vertices.shape[1]), np.float32)
            here = vertices[frame : frame + 1]
            mine = next(renderer.render(mesh, here, one, linear[frame]))
            colours = np.rint(255 * encoded[frame]).astype(np.uint8)
            rgb, depth = usual.render_flat(vertices[frame], colours)
            alone += int(((depth > 0) != mine.mask).sum())
            both = (depth > 0) & mine.mask
            colours_off.append(np.abs(rgb[both].astype(int) - mine.rgb[both]).max(-1))
            depths_off.append(np.abs(depth[both] - mine.depth[both]))
    colour, depth = np.concatenate(colours_off), np.concatenate(depths_off)
    print(
        f"equal light: of {len(colour)} person pixels {alone} are drawn by only one; colours "
        f"differ by {colour.mean():.2f} levels on average, by more than 2 in "
        f"{(colour > 2).mean():.2%} (we interpolate light, pyrender its sRGB code); "
        f"depth by {1e3 * depth.max():.2f} mm at most"
    )
    if alone > 0.001 * len(colour) or colour.mean() > 1 or depth.max() > 1e-3:
        raise SystemExit("the two renderers do not draw the same picture")


@contextmanager
def single_sample(usual: Usual) -> Iterator[None]:
    """Make pyrender draw without multisampling, which it has no option for."""
    from pyrender import renderer as module

    multisampled = module.glRenderbufferStorageMultisample
    module.glRenderbufferStorageMultisample = lambda target, _, *rest: multisampled(
        target, 0, *rest
    )
    cast(Any, usual.renderer)._renderer._delete_main_framebuffer()  # the next call makes it again
    try:
        yield
    finally:
        module.glRenderbufferStorageMultisample = multisampled


@contextmanager
def seconds(times: list[float]) -> Iterator[None]:
    """Append the duration of the block."""
    start = time.perf_counter()
    yield
    times.append(time.perf_counter() - start)


@contextmanager
def timed(thing: Any, methods: dict[str, str], took: dict[str, list[float]]) -> Iterator[None]:
    """Time methods of an object while the block runs."""

    def wrap(method: Any, times: list[float]) -> Any:
        def call(*args: Any, **kwargs: Any) -> Any:
            with seconds(times):
                return method(*args, **kwargs)

        return call

    side = "ours" if isinstance(thing, Renderer) else "usual"
    for name, label in methods.items():
        setattr(thing, name, wrap(getattr(thing, name), took[f"{side}: {label}"]))
    try:
        yield
    finally:
        for name in methods:
            delattr(thing, name)


if __name__ == "__main__":
    main(tyro.cli(Options))
