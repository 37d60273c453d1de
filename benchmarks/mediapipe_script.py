"""Run MediaPipe's pose model on frames from stdin, in a separate environment with Python 3.9+.

stdin: raw RGB frames of WIDTH x HEIGHT, one after the other; OUT is an .npz: `keypoints`
float32 [T,1,33,3] (x, y in pixels, visibility; 0 where no person is found) and `world` float32
[T,33,3], the model's own 3D joints in metres (NaN where no person is found).
"""

import sys

import mediapipe  # pyright: ignore[reportMissingImports]
import numpy as np


def main(out, width, height):
    """Read frames until stdin ends, then write OUT."""
    pose = mediapipe.solutions.pose.Pose(model_complexity=1)  # "full", the model in the wheel
    points, world = [], []
    size = width * height * 3
    while True:
        data = sys.stdin.buffer.read(size)
        if len(data) < size:
            break
        found = pose.process(np.frombuffer(data, np.uint8).reshape(height, width, 3))
        points.append(np.zeros((33, 3), np.float32))
        world.append(np.full((33, 3), np.nan, np.float32))
        if found.pose_landmarks:
            marks = found.pose_landmarks.landmark
            # Its coordinates run from edge to edge; ours have pixel centres at integers.
            points[-1][:] = [(m.x * width - 0.5, m.y * height - 0.5, m.visibility) for m in marks]
            world[-1][:] = [(m.x, m.y, m.z) for m in found.pose_world_landmarks.landmark]
    np.savez(
        out,
        keypoints=np.array(points, np.float32).reshape(-1, 1, 33, 3),
        world=np.array(world, np.float32).reshape(-1, 33, 3),
        layout=np.array("mediapipe33"),
    )


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
