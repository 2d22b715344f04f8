#!/usr/bin/env python3
"""Whether the simulator's JSON is valid against the schemas it was asked for.

    test_sim_schema.py /path/to/sheaf

Hundreds of schemas, written by hand and drawn at random, go to `sheaf sim` as response formats,
as tools and as Gemini's responseSchema. The judge is Python's jsonschema, which knows nothing of
the simulator. Where this interpreter has no jsonschema, one that has it is looked for: Debian's
python3-jsonschema belongs to /usr/bin/python3, which need not be the first python3 of the PATH."""

import glob
import json
import os
import random
import re
import subprocess
import sys

try:
    import jsonschema
except ImportError:
    tried = os.environ.get("SHEAF_PYTHONS_TRIED", "").split(":")
    for other in ["/usr/bin/python3"] + sorted(glob.glob("/usr/local/bin/python3.*[0-9]")):
        if other in tried or not os.access(other, os.X_OK):
            continue
        os.environ["SHEAF_PYTHONS_TRIED"] = ":".join(tried + [other])
        os.execv(other, [other] + sys.argv)
    sys.exit("FAILED: no Python here has jsonschema; on Debian: apt-get install python3-jsonschema")

import datetime
import http.client
import unittest
import uuid

SHEAF = ""
DRAFT = "https://json-schema.org/draft/2020-12/schema"
CHOICES = 6  # drawn for each schema
RANDOM_SCHEMAS = 300

# ---- The simulator ----


class Simulator:
    """`sheaf sim` in the background; one connection to it."""

    def __init__(self, *options):
        self.process = subprocess.Popen(
            [SHEAF, "sim", "--port", "0", *options], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        line = self.process.stdout.readline()
        found = re.search(r"http://([0-9.]+):(\d+)", line)
        if not found:
            self.process.kill()
            raise AssertionError("sheaf sim said: " + line + self.process.communicate()[1])
        self.connection = http.client.HTTPConnection(found.group(1), int(found.group(2)), timeout=60)

    def post(self, path, body):
        self.connection.request("POST", path, json.dumps(body), {"content-type": "application/json"})
        answer = self.connection.getresponse()
        text = answer.read()
        if answer.status != 200:
            raise AssertionError("%d %s for %s" % (answer.status, text[:400], json.dumps(body)[:400]))
        return json.loads(text)

    def stop(self):
        self.connection.close()
        self.process.terminate()
        self.process.wait(20)
        self.process.stdout.close()
        self.process.stderr.close()

    # Each of these answers texts that ought to be JSON.

    def as_format(self, schema, choices=CHOICES):
        wanted = {"type": "json_schema", "json_schema": {"name": "x", "strict": False, "schema": schema}}
        body = {
            "model": "m",
            "n": choices,
            "messages": [{"role": "user", "content": "go"}],
            "response_format": wanted,
        }
        return [one["message"]["content"] for one in self.post("/v1/chat/completions", body)["choices"]]

    def as_tool(self, schema, choices=1):
        tool = {"type": "function", "function": {"name": "f", "parameters": schema}}
        body = {"model": "m", "n": choices, "messages": [{"role": "user", "content": "go"}], "tools": [tool]}
        body["tool_choice"] = "required"
        texts = []
        for choice in self.post("/v1/chat/completions", body)["choices"]:
            texts += [call["function"]["arguments"] for call in choice["message"]["tool_calls"]]
        return texts

    def as_gemini(self, schema, text):
        body = {"contents": [{"role": "user", "parts": [{"text": text}]}]}
        body["generationConfig"] = {"responseMimeType": "application/json", "responseSchema": schema}
        answer = self.post("/v1beta/models/g:generateContent", body)
        return [answer["candidates"][0]["content"]["parts"][0]["text"]]


# ---- The judge ----

FORMATS = jsonschema.FormatChecker(formats=["email", "ipv4", "ipv6", "date"])


def judges(name):
    """Makes a function of a text the judge of a format; what is no text is none of its business."""

    def register(function):
        return FORMATS.checks(name, ValueError)(lambda value: not isinstance(value, str) or function(value))

    return register


@judges("date-time")
def is_date_time(text):
    return bool(re.search(r"\dT\d.*Z$", text)) and bool(datetime.datetime.fromisoformat(text.replace("Z", "+00:00")))


@judges("time")
def is_time(text):
    return text.endswith("Z") and datetime.time.fromisoformat(text[:-1]) is not None


@judges("uuid")
def is_uuid(text):
    return str(uuid.UUID(text)) == text


@judges("hostname")
def is_hostname(text):
    return re.fullmatch(r"([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z]+", text) is not None


@judges("uri")
def is_uri(text):
    return re.fullmatch(r"[a-z][a-z0-9+.-]*://[a-z0-9.-]+(/[A-Za-z0-9._~/-]*)?", text) is not None


@judges("duration")
def is_duration(text):
    return re.fullmatch(r"P(?!$)(\d+D)?(T(?=\d)(\d+H)?(\d+M)?(\d+S)?)?", text) is not None


def complaints(schema, text, judge=jsonschema.Draft202012Validator):
    """What is wrong with the text, as a list of sentences."""
    try:
        value = json.loads(text)
    except ValueError as error:
        return ["no JSON: %s" % error]
    return [error.message for error in judge(schema, format_checker=FORMATS).iter_errors(value)]


# ---- Schemas by hand ----

NODE = {
    "type": "object",
    "properties": {"value": {"type": "integer"}, "next": {"anyOf": [{"$ref": "#/$defs/node"}, {"type": "null"}]}},
    "required": ["value", "next"],
    "additionalProperties": False,
}
EXPRESSION = {
    "anyOf": [
        {
            "type": "object",
            "properties": {
                "op": {"enum": ["+", "*"]},
                "left": {"$ref": "#/$defs/expression"},
                "right": {"$ref": "#/$defs/expression"},
            },
            "required": ["op", "left", "right"],
            "additionalProperties": False,
        },
        {"type": "object", "properties": {"number": {"type": "number"}}, "required": ["number"]},
    ]
}


def wrapped(schema):
    return {"type": "object", "properties": {"v": schema}, "required": ["v"], "additionalProperties": False}


PATTERNS = [
    r"^[a-z]+$",
    r"^[A-Z]{3}-\d{4}$",
    r"^\+?[1-9]\d{1,14}$",
    r"^#([0-9a-fA-F]{3}|[0-9a-fA-F]{6})$",
    r"^(foo|bar|baz)$",
    r"^\d{3}-\d{2}-\d{4}$",
    r"^[^@\s]+@[^@\s]+\.[a-z]{2,}$",
    r"^v\d+\.\d+\.\d+(-[0-9A-Za-z.-]+)?$",
    r"colou?r",
    r"^$",
    r"^(?:a|b(?:c|d){2,3})+e*$",
    r"^\w+\s\w+$",
    r"^[\w.-]{5,10}$",
    r"^(?=.*\d)(?=.*[a-z])[a-z\d]{6,}$",
    r"^(?!admin)[a-z]{5}$",
    r"^https?://[a-z]+\.example/\S*$",
    r"^[^a-zA-Z0-9]{3}$",
    r"^.{7}$",
    r"\d",
    r"^[\u00e4\u00f6\u00fc]{2}$",
    r"^a{0}b$",
    r"^\\\/\.$",
    r"^[-+]?\d*\.?\d+$",
    r"^([01]\d|2[0-3]):[0-5]\d$",
    r"^x{3,}$",
    r"^[\]-a]+$",
    r"^\x41\u0042$",
    r"\bword\b",
    r"^(a|)b$",
    r"^\S{2}\D\W$",
    r"^(?<year>\d{4})-(?<month>0[1-9]|1[0-2])$",
    r"^[a-z0-9]+(?:-[a-z0-9]+)*$",
    r"a|b|^c$",
    r"^[A-Fa-f0-9]{64}$",
    r"^(\d{1,3}\.){3}\d{1,3}$",
]

PLAIN = {
    "nothing": {},
    "true": {"type": "object", "properties": {"a": True}, "required": ["a"]},
    "string": {"type": "string"},
    "exact length": {"type": "string", "minLength": 7, "maxLength": 7},
    "long": {"type": "string", "minLength": 500},
    "short": {"type": "string", "maxLength": 2},
    "empty": {"type": "string", "maxLength": 0},
    "integer": {"type": "integer"},
    "one integer": {"type": "integer", "minimum": 41.5, "maximum": 42.5},
    "negative": {"type": "integer", "maximum": -1},
    "open interval": {"type": "integer", "exclusiveMinimum": 3, "exclusiveMaximum": 5},
    "multiple": {"type": "integer", "multipleOf": 7, "minimum": 50},
    "two multiples": {"type": "integer", "allOf": [{"multipleOf": 6}, {"multipleOf": 10}]},
    "multiple of a half": {"type": "integer", "multipleOf": 2.5, "minimum": 1},
    "large": {"type": "integer", "minimum": 10**15, "maximum": 10**15 + 3},
    "huge": {"type": "integer", "minimum": 10**20},
    "number": {"type": "number"},
    "probability": {"type": "number", "minimum": 0, "maximum": 1},
    "narrow": {"type": "number", "exclusiveMinimum": 0.12345, "exclusiveMaximum": 0.12346},
    "tiny": {"type": "number", "exclusiveMinimum": 0, "maximum": 1e-18},
    "cents": {"type": "number", "multipleOf": 0.01, "minimum": 1},
    "tenths": {"type": "number", "multipleOf": 0.1, "exclusiveMinimum": 5, "maximum": 6},
    "huge number": {"type": "number", "minimum": 1e200},
    "boolean": {"type": "boolean"},
    "null": {"type": "null"},
    "types": {"type": ["string", "integer", "null"]},
    "bounded types": {"type": ["string", "number"], "minLength": 3, "maximum": 2},
    "enum": {"enum": ["a", 1, None, True, {"b": [1, 2]}, [], 1.5]},
    "enum and type": {"type": "integer", "enum": ["a", 2, "b", 4, None]},
    "enum and bounds": {"enum": [1, 5, 9], "minimum": 4, "maximum": 6},
    "enum and pattern": {"enum": ["ab", "cd", "ef"], "pattern": "^c"},
    "escaped enum": {"enum": ['quote " and \\ and \u00e9 and \U0001f600']},
    "const": {"const": {"kind": "x", "n": [1]}},
    "const and ref": {"$ref": "#/$defs/s", "const": "q", "$defs": {"s": {"type": "string"}}},
    "array": {"type": "array", "items": {"type": "integer"}},
    "array of anything": {"type": "array"},
    "fixed array": {"type": "array", "items": {"type": "boolean"}, "minItems": 5, "maxItems": 5},
    "empty array": {"type": "array", "maxItems": 0},
    "long array": {"type": "array", "items": {"type": "integer"}, "minItems": 200},
    "tuple": {
        "type": "array",
        "prefixItems": [{"type": "string"}, {"type": "integer"}],
        "items": False,
        "minItems": 2,
    },
    "tuple and more": {"type": "array", "prefixItems": [{"const": 1}], "items": {"const": 2}, "minItems": 3},
    "unique booleans": {"type": "array", "items": {"type": "boolean"}, "uniqueItems": True, "minItems": 2},
    "unique enum": {"type": "array", "items": {"enum": [1, 2, 3, 4]}, "uniqueItems": True, "minItems": 4},
    "unique small": {
        "type": "array",
        "items": {"type": "integer", "minimum": 0, "maximum": 9},
        "uniqueItems": True,
        "minItems": 6,
    },
    "many unique": {"type": "array", "items": {"type": "integer"}, "uniqueItems": True, "minItems": 1100},
    "unique objects": {"type": "array", "items": wrapped({"type": "boolean"}), "uniqueItems": True, "minItems": 2},
    "contains": {"type": "array", "items": {"type": "integer"}, "contains": {"minimum": 900}, "maxItems": 4},
    "contains two": {"type": "array", "contains": {"const": "x"}, "minContains": 2, "minItems": 3},
    "nested arrays": {
        "type": "array",
        "minItems": 1,
        "items": {
            "type": "array",
            "minItems": 1,
            "items": {"type": "array", "items": {"type": "null"}, "minItems": 1},
        },
    },
    "object": {"type": "object", "properties": {"a": {"type": "string"}, "b": {"type": "integer"}}},
    "closed object": wrapped({"type": "string"}),
    "no members": {"type": "object", "additionalProperties": False},
    "required without property": {"type": "object", "required": ["x"]},
    "required of the others": {"type": "object", "required": ["x"], "additionalProperties": {"type": "integer"}},
    "map": {"type": "object", "additionalProperties": {"type": "integer"}},
    "map of maps": {
        "type": "object",
        "additionalProperties": {"type": "object", "additionalProperties": {"type": "boolean"}},
    },
    "least members": {"type": "object", "minProperties": 3, "additionalProperties": {"type": "integer"}},
    "least of the optional": {
        "type": "object",
        "properties": {k: {"type": "null"} for k in "abcdef"},
        "minProperties": 5,
        "additionalProperties": False,
    },
    "most members": {
        "type": "object",
        "properties": {k: {"type": "null"} for k in "abcdef"},
        "maxProperties": 2,
        "required": ["d"],
    },
    "pattern properties": {
        "type": "object",
        "patternProperties": {"^x-[a-z]{2}$": {"type": "integer"}},
        "additionalProperties": False,
        "minProperties": 2,
    },
    "pattern and property": {
        "type": "object",
        "properties": {"a1": {"minimum": 3}},
        "patternProperties": {r"\d": {"type": "integer"}},
        "required": ["a1", "b2"],
    },
    "property names": {"type": "object", "propertyNames": {"pattern": "^[A-Z]{4}$"}, "minProperties": 3},
    "listed names": {"type": "object", "propertyNames": {"enum": ["p", "q", "r"]}, "minProperties": 3},
    "dependent": {
        "type": "object",
        "properties": {"a": {"const": 1}, "b": {"const": 2}, "c": {"const": 3}},
        "dependentRequired": {"a": ["b"], "b": ["c"]},
        "minProperties": 1,
    },
    "dependent schema": {
        "type": "object",
        "properties": {"a": {"type": "integer"}},
        "dependentSchemas": {"a": {"required": ["b"], "properties": {"b": {"const": 1}}}},
    },
    "names with escapes": {
        "type": "object",
        "properties": {'a"b': {"const": 1}, "c\\d": {"const": 2}, "\u00e9\n": {"const": 3}},
        "required": ['a"b', "c\\d", "\u00e9\n"],
    },
    "any of": {"anyOf": [{"type": "string"}, {"type": "integer"}, {"type": "array", "items": {"type": "null"}}]},
    "any of beside": {
        "type": "object",
        "properties": {"a": {"type": "integer"}},
        "required": ["a"],
        "anyOf": [{"required": ["b"]}, {"required": ["c"]}],
    },
    "any of impossible": {"anyOf": [{"type": "string", "minLength": 5, "maxLength": 2}, False, {"type": "integer"}]},
    "one of": {"oneOf": [{"type": "integer"}, {"type": "number", "minimum": 10}]},
    "one of kinds": {
        "oneOf": [
            {"type": "object", "properties": {"kind": {"const": k}, k: {"type": "string"}}, "required": ["kind", k]}
            for k in ("cat", "dog", "cow")
        ]
    },
    "one of exclusive": {"type": "integer", "oneOf": [{"multipleOf": 3}, {"multipleOf": 5}]},
    "all of": {
        "allOf": [
            {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"]},
            {"properties": {"b": {"type": "integer"}}, "required": ["b"]},
        ]
    },
    "all of the same": {
        "allOf": [
            {"properties": {"a": {"type": "integer", "minimum": 5}}},
            {"properties": {"a": {"maximum": 6}}, "required": ["a"]},
        ],
        "type": "object",
    },
    "all of any of": {
        "allOf": [
            {"anyOf": [{"type": "integer"}, {"type": "string"}]},
            {"anyOf": [{"type": "string"}, {"type": "null"}]},
        ]
    },
    "not": {"type": "integer", "minimum": 0, "maximum": 4, "not": {"enum": [0, 1, 2, 3]}},
    "not a property": {
        "type": "object",
        "properties": {"a": {"const": 1}, "b": {"const": 2}},
        "not": {"required": ["a"]},
    },
    "if": {
        "type": "object",
        "properties": {"k": {"enum": ["a", "b"]}, "x": {"type": "integer"}},
        "required": ["k"],
        "if": {"properties": {"k": {"const": "a"}}},
        "then": {"required": ["x"]},
        "else": {"not": {"required": ["x"]}},
    },
    "ref": {
        "$defs": {"p": wrapped({"type": "string"})},
        "type": "array",
        "items": {"$ref": "#/$defs/p"},
        "minItems": 1,
    },
    "definitions": {
        "definitions": {"p": {"type": "integer"}},
        "type": "object",
        "properties": {"x": {"$ref": "#/definitions/p"}},
        "required": ["x"],
    },
    "ref of ref": {
        "$defs": {"a": {"$ref": "#/$defs/b"}, "b": {"$ref": "#/$defs/c"}, "c": {"const": 5}},
        "$ref": "#/$defs/a",
    },
    "ref beside": {"$defs": {"a": {"type": "integer", "minimum": 10}}, "$ref": "#/$defs/a", "maximum": 12},
    "ref with escapes": {"$defs": {"a/b~c d": {"const": 1}}, "$ref": "#/$defs/a~1b~0c%20d"},
    "ref into properties": {
        "type": "object",
        "properties": {"a": {"type": "boolean"}, "b": {"$ref": "#/properties/a"}},
        "required": ["a", "b"],
    },
    "ref into a list": {"$defs": {"l": {"anyOf": [{"const": 1}, {"const": 2}]}}, "$ref": "#/$defs/l/anyOf/1"},
    "ref by id": {"$defs": {"a": {"$id": "http://a.example/b", "const": 3}}, "$ref": "http://a.example/b"},
    "ref with hexadecimal": {"$defs": {"a/b": {"const": 1}}, "$ref": "#/$defs/a%7E1b"},
    "anchor": {"$defs": {"a": {"$anchor": "here", "const": 3}}, "$ref": "#here"},
    "list": {"$ref": "#/$defs/node", "$defs": {"node": NODE}},
    "expression": {"$ref": "#/$defs/expression", "$defs": {"expression": EXPRESSION}},
    "self": {
        "type": "object",
        "properties": {
            "name": {"type": "string"},
            "child": {"$ref": "#"},
            "children": {"type": "array", "items": {"$ref": "#"}},
        },
        "required": ["name", "children"],
        "additionalProperties": False,
    },
    "mutual": {
        "$defs": {
            "a": {"type": "object", "properties": {"b": {"$ref": "#/$defs/b"}}},
            "b": {"type": "object", "properties": {"a": {"$ref": "#/$defs/a"}}, "required": ["a"]},
        },
        "$ref": "#/$defs/a",
    },
    "wide tree": {
        "$ref": "#/$defs/t",
        "$defs": {
            "t": {
                "type": "object",
                "properties": {k: {"anyOf": [{"$ref": "#/$defs/t"}, {"type": "null"}]} for k in "abcdefgh"},
                "required": list("abcdefgh"),
            }
        },
    },
    "recursive any of first": {
        "$ref": "#/$defs/j",
        "$defs": {
            "j": {
                "anyOf": [
                    {"type": "array", "items": {"$ref": "#/$defs/j"}, "minItems": 2},
                    {"type": "object", "additionalProperties": {"$ref": "#/$defs/j"}},
                    {"type": "integer"},
                ]
            }
        },
    },
    "recursive all of": {
        "$ref": "#/$defs/c",
        "$defs": {
            "c": {
                "allOf": [{"$ref": "#/$defs/base"}],
                "type": "object",
                "properties": {"sub": {"oneOf": [{"$ref": "#/$defs/c"}, {"type": "null"}]}},
                "required": ["sub"],
            },
            "base": {"properties": {"id": {"type": "integer"}}, "required": ["id"]},
        },
    },
    "recursive in an array": {
        "$ref": "#/$defs/t",
        "$defs": {
            "t": {
                "type": "array",
                "minItems": 2,
                "maxItems": 2,
                "items": {"anyOf": [{"$ref": "#/$defs/t"}, True, {"type": "integer"}]},
            }
        },
    },
    "any of recursive all of": {
        "$ref": "#/$defs/x",
        "$defs": {
            "x": {"anyOf": [{"allOf": [{"$ref": "#/$defs/y"}, {"required": ["y"]}]}, {"type": "boolean"}]},
            "y": {"type": "object", "properties": {"y": {"$ref": "#/$defs/x"}}},
        },
    },
    "base64": {"type": "string", "format": "byte", "pattern": "^([A-Za-z0-9+/]{4})+$"},
    "one value too many": {"type": "array", "items": {"type": "boolean"}, "uniqueItems": True},
    "unknown format": {"type": "string", "format": "no-such-thing", "minLength": 4},
    "short email": {"type": "string", "format": "email", "maxLength": 12},
    "shortest email": {"type": "string", "format": "email", "maxLength": 6},
    "long email": {"type": "string", "format": "email", "minLength": 200, "maxLength": 210},
    "short hostname": {"type": "string", "format": "hostname", "maxLength": 7},
    "long hostname": {"type": "string", "format": "hostname", "minLength": 150},
    "short uri": {"type": "string", "format": "uri", "maxLength": 9},
    "long uri": {"type": "string", "format": "uri", "minLength": 300, "maxLength": 300},
    "paths": {
        "type": "array",
        "prefixItems": [
            {"type": "string", "format": "uri-reference"},
            {"type": "string", "format": "json-pointer"},
            {"type": "string", "format": "regex"},
        ],
    },
    "deep": None,  # below
    "many members": {
        "type": "object",
        "properties": {"p%d" % i: {"type": "integer"} for i in range(150)},
        "required": ["p%d" % i for i in range(150)],
        "additionalProperties": False,
    },
    "by words only": {"minLength": 3, "maxLength": 3},
    "by items only": {"items": {"type": "integer"}, "minItems": 1},
    "by bounds only": {"minimum": 3, "maximum": 4},
    "annotations": {
        "title": "t",
        "description": "d",
        "type": "string",
        "default": "x",
        "examples": ["y"],
        "deprecated": True,
        "readOnly": False,
        "$comment": "c",
        "$schema": DRAFT,
    },
}

DEEP = {"type": "integer"}
for _ in range(24):
    DEEP = wrapped(DEEP)
PLAIN["deep"] = DEEP

OLDER = [
    (
        jsonschema.Draft4Validator,
        {"type": "integer", "minimum": 3, "exclusiveMinimum": True, "maximum": 5, "exclusiveMaximum": True},
    ),
    (
        jsonschema.Draft7Validator,
        {
            "type": "array",
            "items": [{"const": 1}, {"type": "string"}],
            "additionalItems": {"type": "null"},
            "minItems": 4,
        },
    ),
    (
        jsonschema.Draft7Validator,
        {"type": "array", "items": [{"const": 1}, {"type": "string"}], "additionalItems": False, "minItems": 2},
    ),
    (
        jsonschema.Draft7Validator,
        {"definitions": {"a": {"$id": "#name", "const": 7}}, "allOf": [{"$ref": "#/definitions/a"}]},
    ),
]

FORMAT_NAMES = ["date-time", "date", "time", "duration", "email", "hostname", "uri", "uuid", "ipv4", "ipv6"]

# ---- Schemas at random: none of them contradicts itself ----


class Drawn:
    def __init__(self, seed):
        self.random = random.Random(seed)

    def schema(self, depth=0):
        r = self.random
        makers = [self.string, self.number, self.integer, self.listed, self.simple]
        if depth < 4:
            makers += [self.object, self.object, self.array, self.choice, self.merged]
        made = r.choice(makers)(depth)
        if r.random() < 0.2:
            made["description"] = 'some "text" with \\ and \u20ac'
        return made

    def string(self, _):
        r = self.random
        kind = r.randrange(4)
        if kind == 0:
            return {"type": "string", "format": r.choice(FORMAT_NAMES)}
        if kind == 1:
            return {"type": "string", "pattern": r.choice(PATTERNS)}
        least = r.randrange(30)
        made = {"type": "string", "minLength": least}
        if kind == 2:
            made["maxLength"] = least + r.randrange(10)
            if r.random() < 0.5:
                made["pattern"] = r.choice([r"^[a-z]*$", r"^\w*$", r"^[0-9a-f]*$", r"^(ab|c|-)*$"])
        return made

    def number(self, _):
        r = self.random
        low = round(r.uniform(-1000, 1000), r.randrange(5))
        made = {"type": "number"}
        if r.random() < 0.6:
            made[r.choice(["minimum", "exclusiveMinimum"])] = low
        if r.random() < 0.6:
            made[r.choice(["maximum", "exclusiveMaximum"])] = low + r.choice([0.001, 1, 77.5, 1e6])
        if r.random() < 0.2:
            return {"type": "number", "minimum": low, "multipleOf": r.choice([0.5, 0.25, 3, 10])}
        return made

    def integer(self, _):
        r = self.random
        low, step = r.randrange(-1000, 1000), r.randrange(1, 12)
        made = {"type": "integer"}
        if r.random() < 0.5:
            made["multipleOf"] = step
        if r.random() < 0.6:
            made["minimum"] = low
        if r.random() < 0.6:
            made["maximum"] = low + step + r.randrange(50)
        return made

    def listed(self, _):
        r = self.random
        values = [None, True, False, 0, -3, 2.5, "", "a", "\u00fc", [], [1, "b"], {}, {"k": [None]}]
        return {"enum": r.sample(values, r.randrange(1, 6))} if r.random() < 0.7 else {"const": r.choice(values)}

    def simple(self, _):
        r = self.random
        return r.choice(
            [{"type": "boolean"}, {"type": "null"}, {"type": r.sample(["string", "integer", "null", "boolean"], 2)}]
        )

    def object(self, depth):
        r = self.random
        names = r.sample(
            ["a", "b", "c", "name", "two words", "x-y", "\u00e9", "snake_case", "camelCase"], r.randrange(0, 6)
        )
        made = {"type": "object", "properties": {name: self.schema(depth + 1) for name in names}}
        made["required"] = [name for name in names if r.random() < 0.6]
        if r.random() < 0.5:
            made["additionalProperties"] = False
        elif r.random() < 0.4:
            made["additionalProperties"] = self.schema(depth + 1)
            made["minProperties"] = r.randrange(4)
        if r.random() < 0.2:
            made["maxProperties"] = max(len(made["required"]), made.get("minProperties", 0)) + r.randrange(2)
        return made

    def array(self, depth):
        r = self.random
        made = {"type": "array", "items": self.schema(depth + 1)}
        if r.random() < 0.5:
            made["minItems"] = r.randrange(4)
        if r.random() < 0.5:
            made["maxItems"] = made.get("minItems", 0) + r.randrange(4)
        if r.random() < 0.3:
            made["prefixItems"] = [self.schema(depth + 1) for _ in range(r.randrange(1, 3))]
        elif r.random() < 0.3:
            made = {"type": "array", "items": {"type": "integer"}, "uniqueItems": True, "minItems": r.randrange(5)}
        return made

    def choice(self, depth):
        r = self.random
        if r.random() < 0.5:
            return {"anyOf": [self.schema(depth + 1) for _ in range(r.randrange(1, 4))]}
        return {
            "oneOf": [
                {
                    "type": "object",
                    "properties": {"tag": {"const": i}, "of": self.schema(depth + 1)},
                    "required": ["tag", "of"],
                }
                for i in range(r.randrange(1, 4))
            ]
        }

    def merged(self, depth):
        parts = [
            {"type": "object", "properties": {"m%d" % i: self.schema(depth + 1)}, "required": ["m%d" % i]}
            for i in range(self.random.randrange(1, 4))
        ]
        return (
            {"allOf": parts}
            if self.random.random() < 0.5
            else dict(parts[0], allOf=parts[1:]) if parts[1:] else parts[0]
        )


def drawn_pattern(r, depth=0):
    """A regular expression without assertions inside, so that something matches it, written as
    both ECMAScript and Python read it."""

    def atom():
        kind = r.randrange(8)
        if kind == 0 and depth < 3:
            return "(" + r.choice(["", "?:"]) + drawn_pattern(r, depth + 1) + ")"
        if kind == 1:
            inside = r.sample(["a-f", "0-3", r"\d", "_", r"\]", "\u00e9", "."], r.randrange(1, 4))
            return "[" + r.choice(["", "^"]) + "".join(inside) + r.choice(["", "-"]) + "]"
        if kind == 2:
            return r.choice([r"\d", r"\w", r"\s", r"\D", r"\W", r"\S", r"\.", r"\t", r"\x41", r"\u20ac", "."])
        return r.choice("abcxyz019 _-@")

    def repeated():
        return atom() + r.choice(["", "", "", "*", "+", "?", "{2}", "{1,3}", "{2,}", "{0}", "*?", "+?"])

    def both():
        return "".join(repeated() for _ in range(r.randrange(1, 5)))

    inside = "|".join(both() for _ in range(r.choice([1, 1, 1, 2, 3])))
    return inside if depth else r.choice(["^(?:%s)$", "^(?:%s)", "%s"]) % inside


# ---- Gemini's dialect, and what it means ----

GEMINI = [
    {
        "type": "OBJECT",
        "properties": {"b": {"type": "STRING"}, "a": {"type": "INTEGER"}},
        "required": ["a", "b"],
        "propertyOrdering": ["a", "b"],
    },
    {"type": "ARRAY", "items": {"type": "NUMBER", "minimum": 2, "maximum": 3}, "minItems": "2", "maxItems": "3"},
    {"type": "STRING", "format": "enum", "enum": ["UP", "DOWN"]},
    {
        "type": "OBJECT",
        "properties": {"n": {"type": "STRING", "nullable": True}, "m": {"type": "BOOLEAN"}},
        "required": ["n", "m"],
    },
    {"type": "STRING", "minLength": "3", "maxLength": "4", "pattern": "^[a-c]*$"},
    {"anyOf": [{"type": "INTEGER"}, {"type": "OBJECT", "properties": {"x": {"type": "NULL"}}, "required": ["x"]}]},
]


def translated(schema):
    """JSON Schema for a schema of Gemini's."""
    made = {}
    for word, value in schema.items():
        if word == "type":
            value = [value.lower(), "null"] if schema.get("nullable") else value.lower()
        elif word in ("minItems", "maxItems", "minLength", "maxLength"):
            value = int(value)
        elif word == "properties":
            value = {name: translated(one) for name, one in value.items()}
        elif word == "items":
            value = translated(value)
        elif word == "anyOf":
            value = [translated(one) for one in value]
        if word not in ("nullable", "propertyOrdering", "format"):
            made[word] = value
    return made


# ---- Tests ----


class SimSchema(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.sim = Simulator("--seed", "11")

    @classmethod
    def tearDownClass(cls):
        cls.sim.stop()

    def judge(self, name, schema, texts, *judges):
        self.assertGreater(len(texts), 0, name)
        for text in texts:
            self.assertLess(len(text), 1 << 20, name)
            wrong = complaints(schema, text, *judges)
            self.assertEqual(
                [], wrong, "%s: %s is not valid against %s" % (name, text[:600], json.dumps(schema)[:600])
            )

    def test_the_judge_refuses_what_is_wrong(self):
        self.assertTrue(complaints({"type": "integer", "minimum": 5}, "4"))
        self.assertTrue(complaints({"type": "string", "format": "uuid"}, '"no"'))
        self.assertTrue(complaints({"type": "string", "format": "date-time"}, '"2026-02-30T01:02:03Z"'))
        self.assertTrue(complaints(PLAIN["list"], '{"value":1,"next":{"value":"x","next":null}}'))
        self.assertTrue(complaints(PLAIN["unique booleans"], "[true,true]"))
        self.assertTrue(complaints({}, "{"))

    def test_schemas_by_hand_are_obeyed(self):
        for name, schema in PLAIN.items():
            with self.subTest(name):
                self.judge(name, schema, self.sim.as_format(schema, 3 * CHOICES))

    def test_schemas_by_hand_are_obeyed_as_members(self):
        for name, schema in PLAIN.items():
            if "$ref" not in json.dumps(schema):  # References would lead elsewhere.
                with self.subTest(name):
                    self.judge(name, wrapped(schema), self.sim.as_format(wrapped(schema)))

    def test_older_drafts_are_understood(self):
        for judge, schema in OLDER:
            with self.subTest(schema=schema):
                self.judge(judge.__name__, schema, self.sim.as_format(schema), judge)

    def test_patterns_are_obeyed(self):
        for pattern in PATTERNS:
            # Python spells the named groups of ECMAScript with a P, and escapes in sets as itself.
            judged = {"type": "string", "pattern": pattern.replace("(?<", "(?P<")}
            with self.subTest(pattern):
                self.judge(pattern, judged, self.sim.as_format({"type": "string", "pattern": pattern}, 3 * CHOICES))

    def test_random_patterns_are_obeyed(self):
        for seed in range(200):
            pattern = drawn_pattern(random.Random(seed))
            schema = {"type": "string", "pattern": pattern}
            with self.subTest(seed=seed, pattern=pattern):
                self.judge(pattern, schema, self.sim.as_format(schema))

    def test_patterns_and_lengths_meet(self):
        for pattern, least, most in [
            ("^[a-z]+$", 32, 32),
            (r"^\d*$", 0, 0),
            ("^(ab)*$", 9, 10),
            ("^a?b?c?d?$", 3, 4),
            ("^[A-Z]+-[0-9]+$", 20, 21),
            ("x", 12, 15),
            ("^[^/]+/[^/]+$", 50, 60),
        ]:
            schema = {"type": "string", "pattern": pattern, "minLength": least, "maxLength": most}
            with self.subTest(pattern):
                self.judge(pattern, schema, self.sim.as_format(schema, 3 * CHOICES))

    def test_formats_are_obeyed(self):
        for name in FORMAT_NAMES:
            schema = wrapped({"type": "string", "format": name})
            with self.subTest(name):
                self.judge(name, schema, self.sim.as_format(schema, 3 * CHOICES))

    def test_random_schemas_are_obeyed(self):
        for seed in range(RANDOM_SCHEMAS):
            schema = Drawn(seed).schema()
            judged = json.loads(json.dumps(schema).replace("(?<", "(?P<"))
            with self.subTest(seed=seed):
                self.judge("seed %d" % seed, judged, self.sim.as_format(schema))

    def test_tools_get_arguments_of_their_schema(self):
        for seed in range(60):
            schema = Drawn(1000 + seed).object(0)
            judged = json.loads(json.dumps(schema).replace("(?<", "(?P<"))
            with self.subTest(seed=seed):
                self.judge("seed %d" % seed, judged, self.sim.as_tool(schema))

    def test_gemini_s_dialect_is_understood(self):
        for schema in GEMINI:
            for text in "abcdef":
                with self.subTest(schema=schema):
                    self.judge("gemini", translated(schema), self.sim.as_gemini(schema, text))

    def test_gemini_s_order_of_properties_is_kept(self):
        text = self.sim.as_gemini(GEMINI[0], "order")[0]
        self.assertEqual(["a", "b"], list(json.loads(text)))

    def test_an_impossible_schema_gives_an_empty_object(self):
        for schema in [
            {"type": "string", "minLength": 2, "maxLength": 1},
            {"allOf": [{"type": "string"}, {"type": "null"}]},
            {"$ref": "#/$defs/none"},
            {"$ref": "#"},
            {"enum": []},
            {"anyOf": []},
            {"type": "integer", "minimum": 2, "maximum": 1},
            {"type": "array", "minItems": 2, "maxItems": 1},
            {"type": "array", "uniqueItems": True, "minItems": 3, "items": {"type": "boolean"}},
            {"type": "object", "required": ["a"], "additionalProperties": False},
            {"not": {}},
        ]:
            with self.subTest(schema=schema):
                self.assertEqual(["{}"], self.sim.as_format(schema, 1))

    def test_what_may_be_chosen_is_chosen(self):
        """Of 64 draws of two equal ways, one is missing with odds of 2^-63; of six, below 10^-4 each
        way, and it always comes out the same."""
        schema = {
            "type": "object",
            "properties": {
                "optional": {"type": "null"},
                "any": {"anyOf": [{"const": 1}, {"const": 2}]},
                "one": {"enum": [1, 2, 3, 4, 5, 6]},
                "maybe": {"type": ["integer", "null"]},
                "many": {"type": "array", "items": {"type": "integer"}},
            },
            "required": ["any", "one", "maybe", "many"],
        }
        values = [json.loads(text) for text in self.sim.as_format(schema, 64)]
        self.assertEqual({True, False}, {"optional" in value for value in values})
        self.assertEqual({1, 2}, {value["any"] for value in values})
        self.assertEqual({1, 2, 3, 4, 5, 6}, {value["one"] for value in values})
        self.assertEqual({True, False}, {value["maybe"] is None for value in values})
        self.assertGreater(len({len(value["many"]) for value in values}), 1)
        self.assertGreater(len({json.dumps(value["many"]) for value in values}), 40)

    def test_the_same_request_gives_the_same_and_another_seed_another(self):
        schema = wrapped({"type": "array", "items": {"type": "integer"}, "minItems": 8})
        one, other = Simulator("--seed", "5"), Simulator("--seed", "5")
        third = Simulator("--seed", "6")
        try:
            first = one.as_format(schema)
            self.assertEqual(first, other.as_format(schema))
            self.assertNotEqual(first, third.as_format(schema))
            self.assertEqual(CHOICES, len(set(first)))
        finally:
            for simulator in (one, other, third):
                simulator.stop()


if __name__ == "__main__":
    if len(sys.argv) < 2 or not os.access(sys.argv[1], os.X_OK):
        sys.exit("usage: test_sim_schema.py /path/to/sheaf")
    SHEAF = sys.argv.pop(1)
    if (
        "built without the simulator"
        in subprocess.run([SHEAF, "sim", "--port", "no"], capture_output=True, text=True).stderr
    ):
        print("skipped: this sheaf was built without the simulator")
        sys.exit(77)
    unittest.main(verbosity=1)
