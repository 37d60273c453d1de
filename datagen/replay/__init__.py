"""Predictions played back: the body over its video, turned beside it, and as an animated mesh."""
