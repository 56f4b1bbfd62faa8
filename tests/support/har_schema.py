"""A JSON Schema of HTTP Archive 1.2, written from its specification, with all that it requires.

Facts:  http://www.softwareishard.com/blog/har-12-spec/ is the specification. Names that begin with
        an underscore are extensions; all other names must be those of the specification.
"""

from __future__ import annotations

from typing import Any

TEXT: dict[str, Any] = {"type": "string"}
COUNT: dict[str, Any] = {"type": "integer", "minimum": -1}
DATE: dict[str, Any] = {
    "type": "string",
    "pattern": r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)$",
}
TIME: dict[str, Any] = {"type": "number", "minimum": 0}
PHASE: dict[str, Any] = {
    "anyOf": [{"type": "number", "minimum": 0}, {"type": "number", "const": -1}]
}


def record(required: dict[str, Any], optional: dict[str, Any] | None = None) -> dict[str, Any]:
    """An object with these members, a comment, and extensions."""
    return {
        "type": "object",
        "properties": {**required, **(optional or {}), "comment": TEXT},
        "required": sorted(required),
        "patternProperties": {"^_": {}},
        "additionalProperties": False,
    }


def several(item: dict[str, Any]) -> dict[str, Any]:
    return {"type": "array", "items": item}


PAIR = record({"name": TEXT, "value": TEXT})
PRODUCT = record({"name": TEXT, "version": TEXT})
COOKIE = record(
    {"name": TEXT, "value": TEXT},
    {
        "path": TEXT,
        "domain": TEXT,
        "expires": DATE,
        "httpOnly": {"type": "boolean"},
        "secure": {"type": "boolean"},
    },
)
PARAMETER = record({"name": TEXT}, {"value": TEXT, "fileName": TEXT, "contentType": TEXT})
POST_DATA = record({"mimeType": TEXT, "params": several(PARAMETER), "text": TEXT})
CONTENT = record(
    {"size": {"type": "integer", "minimum": 0}, "mimeType": TEXT},
    {"compression": {"type": "integer"}, "text": TEXT, "encoding": TEXT},
)
REQUEST = record(
    {
        "method": TEXT,
        "url": {"type": "string", "pattern": "^https?://"},
        "httpVersion": TEXT,
        "cookies": several(COOKIE),
        "headers": several(PAIR),
        "queryString": several(PAIR),
        "headersSize": COUNT,
        "bodySize": COUNT,
    },
    {"postData": POST_DATA},
)
RESPONSE = record(
    {
        "status": {"type": "integer", "minimum": 0},
        "statusText": TEXT,
        "httpVersion": TEXT,
        "cookies": several(COOKIE),
        "headers": several(PAIR),
        "content": CONTENT,
        "redirectURL": TEXT,
        "headersSize": COUNT,
        "bodySize": COUNT,
    }
)
TIMINGS = record(
    {"send": TIME, "wait": TIME, "receive": TIME},
    {"blocked": PHASE, "dns": PHASE, "connect": PHASE, "ssl": PHASE},
)
ENTRY = record(
    {
        "startedDateTime": DATE,
        "time": TIME,
        "request": REQUEST,
        "response": RESPONSE,
        "cache": record({}),
        "timings": TIMINGS,
    },
    {"pageref": TEXT, "serverIPAddress": TEXT, "connection": TEXT},
)
HAR: dict[str, Any] = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "type": "object",
    "properties": {
        "log": record(
            {"version": {"const": "1.2"}, "creator": PRODUCT, "entries": several(ENTRY)},
            {"browser": PRODUCT, "pages": {"type": "array"}},
        )
    },
    "required": ["log"],
    "additionalProperties": False,
}
