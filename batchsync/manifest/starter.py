"""The starter manifest that `batchsync init` writes."""

from __future__ import annotations

STARTER = """\
# A manifest for batchsync: every entry of `jobs` is one lip-sync job.
#   batchsync plan FILE    checks it and says what it would cost; sends nothing that costs anything
#   batchsync run FILE     runs it; running it again resumes
# Editors check and complete it with this first line, after `batchsync manifest schema > batchsync.schema.json`:
#   # yaml-language-server: $schema=batchsync.schema.json
version: 1

# What every job has unless it says otherwise. All of it may be left out.
defaults:
  generation_mode: lite        # lite, standard or pro: 1, 1 and 2 credits per frame
  # max_fps_limit: 24          # never more frames per second than this: fewer frames, fewer credits
  # output: "{tag.lang}/{id}.mp4"

jobs:
  - id: intro-es               # yours to choose, unique in a ledger; without one, a job is known by its contents
    name: Intro in Spanish     # what the vendor's library shows
    video: media/intro.mp4     # paths start at this file's folder
    audio: media/intro-es.wav
    start_seconds: 0           # 0 if left out
    end_seconds: 12.5          # left out: the shorter of the two local files
    tags: {lang: es}           # yours, for reports and outputs

  # A video may also be an https:// address, a Magic Hour library address, a YouTube address, or a file
  # that is at the vendor already (api-assets/...). Then end_seconds is needed.
  # - id: outro-fr
  #   video: https://cdn.example.com/outro.mp4
  #   audio: media/outro-fr.wav
  #   end_seconds: 8
  #   generation_mode: pro
  #   output: fr/outro.mp4     # a path under the output directory; {id}.mp4 if left out
  #   tags: {lang: fr}

# Many jobs of one kind: every list is an axis, all else a template, and every combination a job.
# matrix:
#   - video: [media/intro.mp4, media/outro.mp4]
#     lang: [fr, de]             # an axis of your own
#     audio: "media/{video.stem}-{lang}.wav"
#     id: "{video.stem}-{lang}"
#     tags: {lang: "{lang}"}
#     exclude: [{video: media/outro.mp4, lang: de}]
"""


def starter() -> str:
    """A commented YAML manifest to start from."""
    return STARTER
