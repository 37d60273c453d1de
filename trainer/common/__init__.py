"""Foundations: files written whole, smooth curves, the options of endless clips."""
