"""Renders a clip's person: colour, mask, depth and exact surface flow, in one pass per frame.

The context is pyrender's (EGL, or OSMesa if EGL is missing), but not the renderer: pyrender
rebuilds and uploads a mesh per frame, lights it per pixel and blends silhouettes by multisampling.
Here, a clip's triangles, texture and vertices of all frames are uploaded once, shading is per
vertex (`datagen.bodies.render.light`), and there is no anti-aliasing, as in SURREAL.
Colour and flow are two targets of the same draw call, and only the person's bounding box is read
back.
`benchmarks/render.py` measures what this saves.

T frames, V vertices, U corners (`datagen.bodies.smpl.mesh`), H W pixels.
"""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
from jaxtyping import Float

from datagen.bodies.render.camera import FAR, NEAR, clip_matrix
from datagen.bodies.render.gl_advice import advice
from datagen.bodies.render.gl_context import open_platform
from datagen.bodies.smpl.mesh import Mesh
from datagen.common.errors import BadMachine

CHUNK = 50
"""Frames uploaded at a time. OSMesa's context is also replaced at this interval, because it leaks
about 3.3 MB per frame."""

VERTEX_SHADER = """
#version 330 core
layout(location = 0) in vec4 now;    // camera frame, metres; w: light factor
layout(location = 1) in vec3 next;   // the same point one frame later
layout(location = 2) in vec3 look;   // u, v; or the linear colour of a body without texture
uniform mat4 clip;
out vec4 step_and_light;
out vec3 at_look;
void main() {
    gl_Position = clip * vec4(now.xyz, 1.0);
    step_and_light = vec4(next - now.xyz, now.w);
    at_look = look;
}
"""

FRAGMENT_SHADER = """
#version 330 core
in vec4 step_and_light;
in vec3 at_look;
uniform sampler2D skin;              // sRGB, so a look-up gives linear light
uniform bool textured;
uniform vec2 focal, centre;
layout(location = 0) out vec4 colour;
layout(location = 1) out vec4 motion;  // u, v in pixels; depth in metres
void main() {
    vec3 paint = textured ? texture(skin, at_look.xy).rgb : at_look;
    vec3 light = clamp(paint * step_and_light.w, 0.0, 1.0);
    vec3 dark = 12.92 * light, bright = 1.055 * pow(light, vec3(1.0 / 2.4)) - 0.055;
    colour = vec4(mix(dark, bright, step(vec3(0.0031308), light)), 1.0);

    float depth = 1.0 / gl_FragCoord.w;
    vec2 ray = gl_FragCoord.xy - 0.5 - centre;  // focal * xy / depth of the point seen here
    vec2 moved = (ray * depth + focal * step_and_light.xy)
               / max(depth + step_and_light.z, NEAREST);
    motion = vec4(all(equal(step_and_light.xyz, vec3(0.0))) ? vec2(0.0) : moved - ray, depth, 1.0);
}
""".replace("NEAREST", str(NEAR))


@dataclass(frozen=True)
class Rendered:
    """One rendered frame; everything is 0 outside the person."""

    rgb: np.ndarray
    """uint8 [H,W,3] sRGB."""
    depth: np.ndarray
    """float32 [H,W] metres; > 0 is the person's mask."""
    flow: np.ndarray
    """float32 [H,W,2], (x, y) displacement in pixels of the visible surface point to the next
    frame."""

    @property
    def mask(self) -> np.ndarray:
        """bool [H,W]: the person's pixels."""
        return self.depth > 0


class Renderer:
    """Renders clips for one camera; create one per process and keep it.

    Args:
        camera: K [3,3].
        width, height: size of the pictures, pixels.
    """

    fragment_shader = FRAGMENT_SHADER

    def __init__(self, camera: np.ndarray, width: int, height: int) -> None:
        self.camera, self.width, self.height = camera, width, height
        self._open()

    def render(
        self, mesh: Mesh, vertices: np.ndarray, shades: np.ndarray, look: np.ndarray
    ) -> Iterator[Rendered]:
        """Yield a picture for each frame; the last one has zero flow.

        Args:
            mesh: the body's triangles.
            vertices: float32 [T,V,3], camera frame, metres.
            shades: float32 [T,V], irradiance factor at each vertex (`render.light`).
            look: the texture, uint8 [h,w,3] sRGB with row 0 at v = 1; or, for a mesh without uv,
                linear colours float [V,3].
        """
        frames = len(vertices)
        for start in range(0, frames, CHUNK):
            if start and self.backend == "osmesa":
                self._close()
                self._open()
            self._platform.make_current()
            if start == 0 or self.backend == "osmesa":
                self._upload_look(mesh, look)
            stop = min(start + CHUNK, frames)
            last = min(stop, frames - 1)  # the frame after the chunk, or the clip's last one
            corners = np.empty((stop - start + 1, len(mesh.corners), 4), np.float32)
            for row, frame in enumerate([*range(start, stop), last]):
                corners[row, :, :3] = vertices[frame].take(mesh.corners, axis=0)
                corners[row, :, 3] = shades[frame].take(mesh.corners)
            self._upload_vertices(corners)
            for frame in range(stop - start):
                self._platform.make_current()  # another renderer may have drawn since the yield
                yield self._draw(mesh, frame, vertices[start + frame])
        if self.backend == "osmesa":
            self._close()
            self._open()

    def close(self) -> None:
        """Free the context."""
        self._close()

    def _open(self) -> None:
        """Create the context and its objects. Raises BadMachine if this machine cannot render."""
        self.backend, self._platform = open_platform(self.width, self.height)
        import OpenGL.error
        import OpenGL.GL

        self._gl = cast(Any, OpenGL.GL)  # its names are created at run time
        try:
            self._prepare()
        except (
            OpenGL.error.Error,
            RuntimeError,
        ) as error:  # the context is too old for our shaders
            reason = " ".join(str(error).split()).split(", cArguments")[0][:200]
            raise BadMachine(advice(f"{self.backend}: {reason}")) from error

    def _prepare(self) -> None:
        """Create all objects in the context that live as long as the renderer."""
        gl = self._gl
        self.driver = gl.glGetString(gl.GL_RENDERER).decode()
        gl.glBindVertexArray(gl.glGenVertexArrays(1))
        self._indices, self._vertices, self._looks = (int(b) for b in gl.glGenBuffers(3))
        for place in range(3):
            gl.glEnableVertexAttribArray(place)
        self._make_program()
        self._make_texture()
        self._make_targets()
        gl.glViewport(0, 0, self.width, self.height)
        gl.glEnable(gl.GL_DEPTH_TEST)
        gl.glEnable(gl.GL_SCISSOR_TEST)
        gl.glDisable(gl.GL_DITHER)
        gl.glCullFace(gl.GL_BACK)
        gl.glFrontFace(gl.GL_CW)  # rows run downwards, which reverses the orientation of triangles
        gl.glClearColor(0, 0, 0, 0)
        gl.glPixelStorei(gl.GL_PACK_ALIGNMENT, 1)
        gl.glPixelStorei(gl.GL_UNPACK_ALIGNMENT, 1)

    def _close(self) -> None:
        self._platform.delete_context()

    def _make_program(self) -> None:
        from OpenGL.GL import shaders

        gl = self._gl
        self._program = shaders.compileProgram(
            shaders.compileShader(VERTEX_SHADER, gl.GL_VERTEX_SHADER),
            shaders.compileShader(self.fragment_shader, gl.GL_FRAGMENT_SHADER),
        )
        gl.glUseProgram(self._program)
        clip = clip_matrix(self.camera, self.width, self.height)
        gl.glUniformMatrix4fv(self._uniform("clip"), 1, gl.GL_TRUE, clip)
        gl.glUniform2f(self._uniform("focal"), self.camera[0, 0], self.camera[1, 1])
        gl.glUniform2f(self._uniform("centre"), self.camera[0, 2], self.camera[1, 2])

    def _make_texture(self) -> None:
        gl = self._gl
        gl.glBindTexture(gl.GL_TEXTURE_2D, gl.glGenTextures(1))
        settings = {
            gl.GL_TEXTURE_WRAP_S: gl.GL_CLAMP_TO_EDGE,
            gl.GL_TEXTURE_WRAP_T: gl.GL_CLAMP_TO_EDGE,
            gl.GL_TEXTURE_MAG_FILTER: gl.GL_LINEAR,
            gl.GL_TEXTURE_MIN_FILTER: gl.GL_LINEAR_MIPMAP_LINEAR,
            # A person covers about a quarter of the texture's size: two mip levels prevent
            # flickering stripes; more would bleed across the seams.
            gl.GL_TEXTURE_MAX_LEVEL: 2,
        }
        for name, value in settings.items():
            gl.glTexParameteri(gl.GL_TEXTURE_2D, name, value)

    def _make_targets(self) -> None:
        """Bind a frame buffer with colour, motion and a depth buffer."""
        gl = self._gl
        gl.glBindFramebuffer(gl.GL_FRAMEBUFFER, gl.glGenFramebuffers(1))
        targets = {
            gl.GL_COLOR_ATTACHMENT0: gl.GL_RGBA8,
            gl.GL_COLOR_ATTACHMENT1: gl.GL_RGBA32F,
            gl.GL_DEPTH_ATTACHMENT: gl.GL_DEPTH_COMPONENT24,
        }
        for place, kind in targets.items():
            buffer = gl.glGenRenderbuffers(1)
            gl.glBindRenderbuffer(gl.GL_RENDERBUFFER, buffer)
            gl.glRenderbufferStorage(gl.GL_RENDERBUFFER, kind, self.width, self.height)
            gl.glFramebufferRenderbuffer(gl.GL_FRAMEBUFFER, place, gl.GL_RENDERBUFFER, buffer)
        gl.glDrawBuffers(2, [gl.GL_COLOR_ATTACHMENT0, gl.GL_COLOR_ATTACHMENT1])
        status = gl.glCheckFramebufferStatus(gl.GL_FRAMEBUFFER)
        if status != gl.GL_FRAMEBUFFER_COMPLETE:
            raise RuntimeError(f"{self.driver} cannot render to two targets (status {status})")

    def _upload_look(self, mesh: Mesh, look: np.ndarray) -> None:
        """Upload a clip's constant data: triangles, texture and its coordinates."""
        gl = self._gl
        gl.glBindBuffer(gl.GL_ELEMENT_ARRAY_BUFFER, self._indices)
        gl.glBufferData(
            gl.GL_ELEMENT_ARRAY_BUFFER, mesh.triangles.nbytes, mesh.triangles, gl.GL_STATIC_DRAW
        )
        (gl.glEnable if mesh.closed else gl.glDisable)(gl.GL_CULL_FACE)
        values = look[mesh.corners] if mesh.uv is None else mesh.uv
        values = np.ascontiguousarray(values, np.float32)
        gl.glBindBuffer(gl.GL_ARRAY_BUFFER, self._looks)
        gl.glBufferData(gl.GL_ARRAY_BUFFER, values.nbytes, values, gl.GL_STATIC_DRAW)
        gl.glVertexAttribPointer(2, values.shape[1], gl.GL_FLOAT, gl.GL_FALSE, 0, None)
        gl.glUniform1i(self._uniform("textured"), mesh.uv is not None)
        if mesh.uv is None:
            return
        texture = np.ascontiguousarray(look[::-1])  # OpenGL's v runs up
        gl.glTexImage2D(
            gl.GL_TEXTURE_2D, 0, gl.GL_SRGB8, texture.shape[1], texture.shape[0], 0,
            gl.GL_RGB, gl.GL_UNSIGNED_BYTE, texture,
        )  # fmt: skip
        gl.glGenerateMipmap(gl.GL_TEXTURE_2D)

    def _upload_vertices(self, corners: np.ndarray) -> None:
        """Upload a chunk's corners float32 [frames + 1, U, 4]."""
        gl = self._gl
        gl.glBindBuffer(gl.GL_ARRAY_BUFFER, self._vertices)
        gl.glBufferData(gl.GL_ARRAY_BUFFER, corners.nbytes, corners, gl.GL_STREAM_DRAW)

    def _draw(self, mesh: Mesh, frame: int, vertices: np.ndarray) -> Rendered:
        """Render a frame of the uploaded chunk and read back the person's bounding box."""
        rgb = np.zeros((self.height, self.width, 3), np.uint8)
        depth = np.zeros((self.height, self.width), np.float32)
        flow = np.zeros((self.height, self.width, 2), np.float32)
        left, top, right, bottom = bounding_box(vertices, self.camera, self.width, self.height)
        if left >= right or top >= bottom:
            return Rendered(rgb, depth, flow)

        gl = self._gl
        stride = 16  # bytes of a corner
        for place, size, ahead in ((0, 4, 0), (1, 3, 1)):
            offset = ctypes.c_void_p((frame + ahead) * len(mesh.corners) * stride)
            gl.glVertexAttribPointer(place, size, gl.GL_FLOAT, gl.GL_FALSE, stride, offset)
        extent = (left, top, right - left, bottom - top)
        gl.glScissor(*extent)
        gl.glClear(gl.GL_COLOR_BUFFER_BIT | gl.GL_DEPTH_BUFFER_BIT)
        gl.glDrawElements(gl.GL_TRIANGLES, mesh.triangles.size, gl.GL_UNSIGNED_INT, None)

        colour = np.empty((bottom - top, right - left, 4), np.uint8)
        motion = np.empty((bottom - top, right - left, 4), np.float32)
        gl.glReadBuffer(gl.GL_COLOR_ATTACHMENT0)
        gl.glReadPixels(*extent, gl.GL_RGBA, gl.GL_UNSIGNED_BYTE, colour)
        gl.glReadBuffer(gl.GL_COLOR_ATTACHMENT1)
        gl.glReadPixels(*extent, gl.GL_RGBA, gl.GL_FLOAT, motion)
        rgb[top:bottom, left:right] = colour[..., :3]
        flow[top:bottom, left:right] = motion[..., :2]
        depth[top:bottom, left:right] = motion[..., 2]
        return Rendered(rgb, depth, flow)

    def _uniform(self, name: str) -> int:
        return self._gl.glGetUniformLocation(self._program, name)


def bounding_box(
    vertices: Float[np.ndarray, "v 3"], camera: Float[np.ndarray, "3 3"], width: int, height: int
) -> tuple[int, int, int, int]:
    """Return (left, top, right, bottom), exclusive, of the pixels that vertices [V,3] may cover."""
    z = vertices[:, 2]
    if z.max() <= NEAR or z.min() >= FAR:
        return 0, 0, 0, 0
    if z.min() <= NEAR:  # part of it is behind the camera: the projected box is meaningless
        return 0, 0, width, height
    x = camera[0, 0] * vertices[:, 0] / z + camera[0, 2]
    y = camera[1, 1] * vertices[:, 1] / z + camera[1, 2]
    left, top = max(0, int(x.min()) - 1), max(0, int(y.min()) - 1)
    return left, top, min(width, int(x.max()) + 3), min(height, int(y.max()) + 3)
