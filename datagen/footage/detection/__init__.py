"""MediaPipe's pose estimator (BlazePose) without MediaPipe: its two networks and their processing.

models → the networks, anchors → boxes, roi → crops, landmarks → joints, smoothing → smoothed
joints; pose_detector combines them. Settings and order follow the graph `pose_landmark_cpu` of
MediaPipe 0.10.21 (Apache-2.0), which `mediapipe.solutions.pose` runs.
"""
