"""Real footage: turns videos of people, keypoints and ground truth into records."""
