"""Fails unless every file named on the command line is a video that can be decoded to its last frame."""

import sys

import av

for path in sys.argv[1:]:
    with av.open(path) as media:
        frames = sum(1 for _ in media.decode(video=0))
    if not frames:
        sys.exit(f"{path} has no picture")
    print(f"{path}: {frames} frames")
if len(sys.argv) < 2:
    sys.exit("no videos")
