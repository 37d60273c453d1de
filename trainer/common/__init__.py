"""Foundations: command lines, --config, options, CPU or GPU, atomic writes, smoothing."""
