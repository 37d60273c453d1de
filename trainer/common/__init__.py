"""Foundations: command lines, --config, options, CPU or GPU, files written whole, smooth curves."""
