"""MediaPipe's pose estimator (BlazePose) without MediaPipe: its two networks and what is around.

models → the networks, anchors → boxes, roi → crops, landmarks → joints, smoothing → steady joints;
pose_detector puts them together. Options and order are those of the graph `pose_landmark_cpu` of
MediaPipe 0.10.21 (Apache-2.0), which `mediapipe.solutions.pose` runs.
"""
