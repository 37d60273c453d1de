"""Shows predictions: the body over its video, rotated beside it, and as an animated mesh."""
