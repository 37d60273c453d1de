"""Foundations: files written whole, smooth curves."""
