"""Inference over whole clips, and the errors of its predictions."""
