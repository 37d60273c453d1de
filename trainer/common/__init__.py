"""Foundations: options, files written whole, smooth curves."""
