"""Real footage: videos, keypoints and truth of people that were filmed, made into records."""
