"""Endless keypoint clips: motions of shards become clips under virtual cameras as they are used."""
