"""Reads local media files: size, content digest, duration, frame rate."""
