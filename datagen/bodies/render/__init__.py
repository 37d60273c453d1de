"""Cameras, lights and OpenGL rendering of the body."""
