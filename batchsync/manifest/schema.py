"""A JSON Schema of YAML and JSON manifests, made of the declarations that the reader goes by, for editors."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from batchsync.manifest.columns import AUDIO_PART, COLUMNS, DEPRECATED, MODE_PART, PLAIN, VIDEO_PARTS
from batchsync.manifest.spec import LEAST_END, LEAST_FPS
from batchsync.manifest.values import MAX_ID, MAX_NUMBER
from batchsync.model.job import AUDIO_EXTENSIONS, VIDEO_EXTENSIONS, Mode

Schema = dict[str, Any]

DESCRIPTIONS = {
    "id": "Your own name for the job, unique within a ledger. Without one, a job is known by what it asks for.",
    "name": "What the vendor's library shows.",
    "video": "A path (from the manifest's folder), an https:// address, api-assets/…, library or YouTube.",
    "audio": "A path (from the manifest's folder), an https:// address, api-assets/…, or library.",
    "start_seconds": "Where the clip begins, in seconds; 0 if left out.",
    "end_seconds": "Where the clip ends, in seconds; for local files it may be left out: the shorter file's length.",
    "max_fps_limit": "Never more frames per second than this: fewer frames, fewer credits.",
    "generation_mode": "lite (if left out), standard or pro: 1, 1 and 2 credits per frame.",
    "output": "A path under the output directory, with {id}, {name}, {tag.key}, …; {id}.mp4 if left out.",
    "width": "Deprecated by the vendor: not sent.",
    "height": "Deprecated by the vendor: not sent.",
    "assets.video_source": "Where the vendor's request body has its video from.",
    "assets.video_file_path": "The video, as in the vendor's request body.",
    "assets.youtube_url": "A YouTube address, as in the vendor's request body.",
    AUDIO_PART: "The audio, as in the vendor's request body.",
    MODE_PART: "lite, standard or pro, as in the vendor's request body.",
    "tags": "Anything that you want to group the bill by: your own keys and values.",
    "assets": "The inputs, as in the vendor's request body.",
    "style": "The mode, as in the vendor's request body.",
}
_SCALAR: Schema = {"type": ["string", "number", "boolean", "null"]}
_TEMPLATE: Schema = {"type": "string", "pattern": r"\{[^{}]+\}"}
_TAG = r"^tag\.[^{}]{1,100}$"
_SUMMARY = "A manifest of batchsync: videos and voices for lip-sync, an entry a job."


def schema() -> Schema:
    """The schema, draft 2020-12."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "batchsync manifest",
        "description": _SUMMARY,
        "if": {"type": "array"},
        "then": {"type": "array", "minItems": 1, "items": {"$ref": "#/$defs/complete"}},
        "else": {
            "if": {"anyOf": [{"required": [key]} for key in ("video", "audio", "assets")]},
            "then": {"$ref": "#/$defs/complete"},
            "else": {"$ref": "#/$defs/document"},
        },
        "$defs": {
            "document": _document(),
            "complete": {"$ref": "#/$defs/job", "allOf": [_one_of("video"), _one_of("audio")]},
            "job": _mapping({column: _value(column) for column in COLUMNS}, "One job."),
            "defaults": _mapping(
                {c: _value(c) for c in COLUMNS if c != "id"}, "What entries have unless they say it."
            ),
            "matrix": _matrix(),
        },
    }


def _document() -> Schema:
    matrix = {"$ref": "#/$defs/matrix"}
    said = "Entries in which every list is an axis and all else a template: every combination is a job."
    return {
        "type": "object",
        "additionalProperties": False,
        "anyOf": [{"required": ["jobs"]}, {"required": ["matrix"]}],
        "properties": {
            "version": {"enum": [1, "1"], "description": "The version of this format: 1."},
            "defaults": {"anyOf": [{"$ref": "#/$defs/defaults"}, {"type": "null"}]},
            "jobs": {"type": ["array", "null"], "items": {"$ref": "#/$defs/job"}, "description": "The jobs."},
            "matrix": {"anyOf": [matrix, {"type": "array", "items": matrix}, {"type": "null"}], "description": said},
        },
    }


def _one_of(role: str) -> Schema:
    """A job has a video and an audio, in its own keys or in the vendor's."""
    parts = VIDEO_PARTS[1:] if role == "video" else (AUDIO_PART,)
    inner = [part.partition(".")[2] for part in parts]
    nested = {"properties": {"assets": {"anyOf": [{"required": [key]} for key in inner]}}, "required": ["assets"]}
    return {"anyOf": [{"required": [role]}, nested, *({"required": [part]} for part in parts)]}


def _mapping(columns: Mapping[str, Schema], description: str) -> Schema:
    """An entry with these columns, flat or nested as the vendor has them, and tags."""
    properties = {name: columns[name] for name in (*PLAIN, *DEPRECATED) if name in columns}
    for group in ("assets", "style"):
        inner = {name.partition(".")[2]: value for name, value in columns.items() if name.startswith(f"{group}.")}
        properties[group] = {
            "type": ["object", "null"],
            "properties": inner,
            "additionalProperties": False,
            "description": DESCRIPTIONS[group],
        }
        properties |= {name: value for name, value in columns.items() if name.startswith(f"{group}.")}
    properties["tags"] = {
        "type": ["object", "null"],
        "propertyNames": {"pattern": _TAG.replace(r"tag\.", "")},
        "additionalProperties": _SCALAR,
        "description": DESCRIPTIONS["tags"],
    }
    return {
        "type": "object",
        "description": description,
        "properties": properties,
        "patternProperties": {_TAG: _SCALAR},
        "additionalProperties": False,
    }


def _matrix() -> Schema:
    """As a job, but a value may be a template or a list; lists under other names are axes of the user's own."""
    found = _mapping(
        {column: _templated(_value(column)) for column in COLUMNS}, "Every list is an axis, all else a template."
    )
    axis = _axis(_SCALAR)
    found["properties"]["tags"]["additionalProperties"] = {"anyOf": [_SCALAR, axis]}
    found["patternProperties"] = {_TAG: {"anyOf": [_SCALAR, axis]}}
    rule = {"type": "object", "minProperties": 1}
    found["properties"]["exclude"] = {
        "anyOf": [rule, {"type": "array", "items": rule}, {"type": "null"}],
        "description": "Combinations that make no job: those that have all the values of one of these.",
    }
    found["additionalProperties"] = axis | {"description": "An axis of your own: {its name} stands for its values."}
    return found


def _templated(value: Schema) -> Schema:
    description = value["description"]
    plain = {key: item for key, item in value.items() if key != "description"}
    return {"anyOf": [plain, _TEMPLATE, _axis(plain)], "description": description}


def _axis(items: Schema) -> Schema:
    return {"type": "array", "minItems": 1, "uniqueItems": True, "items": items}


def _value(column: str) -> Schema:
    """The schema of a column's value. Scalars may be written with or without quotes."""
    described = {"description": DESCRIPTIONS[column]}
    role = column.rpartition(".")[2]
    if role == "generation_mode":
        return {"enum": [*map(str, Mode), None]} | described
    if role == "video_source":
        return {"enum": ["file", "youtube", None]} | described
    if role in ("video", "video_file_path"):
        return {"type": ["string", "null"], "pattern": _source(VIDEO_EXTENSIONS)} | described
    if role in ("audio", "audio_file_path"):
        return {"type": ["string", "null"], "pattern": _source(AUDIO_EXTENSIONS)} | described
    least = {"start_seconds": 0, "end_seconds": LEAST_END, "max_fps_limit": LEAST_FPS}.get(column)
    if least is not None:
        digits = r"^\s*[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?\s*$"
        limits = {"minimum": least, "maximum": MAX_NUMBER, "pattern": digits}
        return {"type": ["number", "string", "null"]} | limits | described
    if column == "id":
        return _SCALAR | {"maxLength": MAX_ID} | described
    return _SCALAR | described | ({"deprecated": True} if column in DEPRECATED else {})


def _source(extensions: frozenset[str]) -> str:
    """A pattern of what may name a file of these kinds; JSON Schema has no switch for the case of letters."""
    either = "|".join(
        "".join(f"[{char}{char.upper()}]" if char.isalpha() else char for char in extension)
        for extension in sorted(extensions)
    )
    return rf"^\s*$|^\s*([hH][tT][tT][pP][sS]://|api-assets/)|\.({either})\s*$"
