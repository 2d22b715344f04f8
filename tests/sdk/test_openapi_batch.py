"""test_openapi_batch.py: files and batch jobs of the simulator against the documents that the
providers publish of their APIs, in every state that a job can be in.

    wire, OpenAI, Anthropic, Gemini
"""
import http.client
import json
import time
import urllib.parse

from support import Case
from test_openapi import HEADERS, document

OPENAI, ANTHROPIC, GEMINI = HEADERS["openai"], HEADERS["anthropic"], HEADERS["gemini"]
TALK = [{"role": "user", "content": "x"}]
# What a job is made to do, and the end that it comes to at OpenAI.
ENDS = ((("--batch-time", "0"), "completed"),
        (("--batch-time", "0", "--batch-fail", "1"), "completed"),
        (("--batch-time", "0", "--batch-partial", "1"), "expired"),
        (("--batch-time", "100", "--batch-quirk", "stuck"), "cancelled"),
        (("--batch-time", "0", "--batch-rows", "1"), "failed"))

# ---- wire ----


def ask(sim, method, path, body=None, headers=None):
    at = urllib.parse.urlsplit(sim.url)
    wire = http.client.HTTPConnection(at.hostname, at.port, timeout=30)
    try:
        if isinstance(body, (dict, list)):
            headers = dict(headers or {}, **{"content-type": "application/json"})
            body = json.dumps(body)
        wire.request(method, path, body, headers or {})
        reply = wire.getresponse()
        text = reply.read()
        return reply.status, reply.headers, text
    finally:
        wire.close()


def without_nulls(value):
    """OpenAI's document leaves out what its service sends as null (recorded in its replies)."""
    if isinstance(value, list):
        return [without_nulls(item) for item in value]
    if not isinstance(value, dict):
        return value
    return {name: without_nulls(item) for name, item in value.items() if item is not None}


class Batches(Case):
    def fits(self, provider, schema, value):
        self.assertIsNone(document(provider).problem(schema, value), value)

    def ok(self, sim, method, path, body=None, headers=None):
        status, _, text = ask(sim, method, path, body, headers)
        self.assertEqual(status, 200, text)
        return json.loads(text)

    def until(self, sim, path, headers, is_over, each):
        for _ in range(2000):
            value = self.ok(sim, "GET", path, None, headers)
            each(value)
            if is_over(value):
                return value
            time.sleep(0.01)
        return self.fail("%s is not over" % path)

    # ---- OpenAI ----

    def upload(self, sim, rows):
        lines = "".join(json.dumps(row) + "\n" for row in rows)
        parts = ["--b\r\ncontent-disposition: form-data; name=\"purpose\"\r\n\r\nbatch\r\n",
                 "--b\r\ncontent-disposition: form-data; name=\"file\"; filename=\"x.jsonl\"\r\n"
                 "content-type: application/jsonl\r\n\r\n", lines, "\r\n--b--\r\n"]
        kind = {"content-type": "multipart/form-data; boundary=b"}
        return self.ok(sim, "POST", "/v1/files", "".join(parts), dict(OPENAI, **kind))

    def test_openai_s_batches_and_files_are_as_its_document_has_them(self):
        rows = [{"custom_id": name, "method": "POST", "url": "/v1/chat/completions",
                 "body": {"model": "m", "messages": TALK}} for name in ("a", "b")]
        for options, end in ENDS:
            with self.subTest(" ".join(options)):
                sim = self.sim(*options)
                file = self.upload(sim, rows)
                self.fits("openai", "OpenAIFile", without_nulls(file))
                made = self.ok(sim, "POST", "/v1/batches", {
                    "input_file_id": file["id"], "endpoint": "/v1/chat/completions",
                    "completion_window": "24h", "metadata": {"a": "b"}}, OPENAI)
                path = "/v1/batches/" + made["id"]
                if end == "cancelled":
                    made = self.ok(sim, "POST", path + "/cancel", "", OPENAI)
                self.fits("openai", "Batch", without_nulls(made))
                job = self.until(
                    sim, path, OPENAI,
                    lambda job: job["status"] in ("completed", "failed", "expired", "cancelled"),
                    lambda job: self.fits("openai", "Batch", without_nulls(job)))
                self.assertEqual(job["status"], end)
                listed = self.ok(sim, "GET", "/v1/batches?limit=5", None, OPENAI)
                self.fits("openai", "ListBatchesResponse", without_nulls(listed))
                files = self.ok(sim, "GET", "/v1/files", None, OPENAI)
                self.fits("openai", "ListFilesResponse", without_nulls(files))
                gone = self.ok(sim, "DELETE", "/v1/files/" + file["id"], None, OPENAI)
                self.fits("openai", "DeleteFileResponse", gone)

    def test_openai_s_rows_hold_bodies_as_its_document_has_them(self):
        sim = self.sim("--batch-time", "0")
        file = self.upload(sim, [{"custom_id": name, "method": "POST",
                                  "url": "/v1/chat/completions",
                                  "body": dict(model="m", messages=TALK, **more)}
                                 for name, more in (("a", {}), ("b", {"temperature": 9}))])
        made = self.ok(sim, "POST", "/v1/batches", {
            "input_file_id": file["id"], "endpoint": "/v1/chat/completions",
            "completion_window": "24h"}, OPENAI)
        job = self.until(sim, "/v1/batches/" + made["id"], OPENAI,
                         lambda job: job["status"] == "completed", lambda job: None)
        for member, schema in (("output_file_id", "CreateChatCompletionResponse"),
                               ("error_file_id", "ErrorResponse")):
            status, _, text = ask(sim, "GET", "/v1/files/%s/content" % job[member], None, OPENAI)
            self.assertEqual(status, 200)
            (row,) = [json.loads(line) for line in text.splitlines()]
            self.fits("openai", schema, row["response"]["body"])

    def test_errors_of_these_paths_are_as_the_documents_have_them(self):
        sim = self.sim()
        for provider, own, method, path, body in (
                ("openai", OPENAI, "GET", "/v1/batches/batch_none", None),
                ("openai", OPENAI, "GET", "/v1/files/file-none", None),
                ("openai", OPENAI, "POST", "/v1/batches", {}),
                ("openai", OPENAI, "POST", "/v1/files", {}),
                ("anthropic", ANTHROPIC, "GET", "/v1/messages/batches/msgbatch_none", None),
                ("anthropic", ANTHROPIC, "POST", "/v1/messages/batches", {}),
                ("anthropic", ANTHROPIC, "POST", "/v1/messages/batches", [])):
            with self.subTest("%s %s" % (method, path)):
                status, _, text = ask(sim, method, path, body, own)
                self.assertIn(status, (400, 404))
                self.fits(provider, "ErrorResponse", json.loads(text))

    # ---- Anthropic ----

    def test_anthropic_s_batches_are_as_its_document_has_them(self):
        requests = [{"custom_id": name, "params": {"model": "m", "max_tokens": 9, "messages": TALK}}
                    for name in ("a", "b")]
        requests.append({"custom_id": "wrong", "params": {"model": "m", "messages": TALK}})
        base, schema = "/v1/messages/batches", "MessageBatch"
        for options, end in ENDS[:4]:
            with self.subTest(" ".join(options)):
                sim = self.sim(*options)
                made = self.ok(sim, "POST", base, {"requests": requests}, ANTHROPIC)
                path = base + "/" + made["id"]
                if end == "cancelled":
                    made = self.ok(sim, "POST", path + "/cancel", "", ANTHROPIC)
                self.fits("anthropic", schema, made)
                self.until(sim, path, ANTHROPIC, lambda job: job["processing_status"] == "ended",
                           lambda job: self.fits("anthropic", schema, job))
                status, _, text = ask(sim, "GET", path + "/results", None, ANTHROPIC)
                self.assertEqual(status, 200)
                rows = [json.loads(line) for line in text.splitlines()]
                self.assertEqual(len(rows), 3)
                for row in rows:
                    self.fits("anthropic", "MessageBatchIndividualResponse", row)
                listed = self.ok(sim, "GET", base, None, ANTHROPIC)
                self.fits("anthropic", "ListResponse_MessageBatch_", listed)
                gone = self.ok(sim, "DELETE", path, None, ANTHROPIC)
                self.fits("anthropic", "DeleteMessageBatchResponse", gone)

    # ---- Gemini ----

    def operation(self, job):
        """The operation, and in it the batch; "@type" is what says which message follows."""
        self.fits("gemini", "Operation", job)
        batch = dict(job["metadata"])
        self.assertTrue(batch.pop("@type").endswith(".GenerateContentBatch"))
        self.fits("gemini", "GenerateContentBatch", batch)
        if "response" in job:
            output = dict(job["response"])
            self.assertTrue(output.pop("@type").endswith(".GenerateContentBatchOutput"))
            self.fits("gemini", "GenerateContentBatchOutput", output)

    def send_file(self, sim, text):
        start = dict(GEMINI, **{"x-goog-upload-protocol": "resumable",
                                "x-goog-upload-command": "start",
                                "x-goog-upload-header-content-type": "application/jsonl"})
        status, headers, _ = ask(sim, "POST", "/upload/v1beta/files", {"file": {}}, start)
        self.assertEqual(status, 200)
        at = urllib.parse.urlsplit(headers["x-goog-upload-url"])
        sent = self.ok(sim, "POST", at.path + "?" + at.query, text, {
            "x-goog-upload-offset": "0", "x-goog-upload-command": "upload, finalize"})
        self.fits("gemini", "File", sent["file"])
        return sent["file"]["name"]

    def test_gemini_s_jobs_and_files_are_as_its_document_has_them(self):
        good = {"contents": [{"role": "user", "parts": [{"text": "x"}]}]}
        wrong = dict(good, generationConfig={"temperature": 9})
        rows = [{"request": good, "metadata": {"key": "a"}}, {"request": wrong}]
        text = "".join(json.dumps({"key": "k", "request": row["request"]}) + "\n" for row in rows)
        for options, end in ENDS[:4]:
            for by_file in (False, True):
                with self.subTest("%s, %s" % (" ".join(options), "file" if by_file else "inline")):
                    sim = self.sim(*options)
                    config = {"requests": {"requests": rows}}
                    if by_file:
                        config = {"fileName": self.send_file(sim, text)}
                    batch = {"batch": {"displayName": "d", "inputConfig": config}}
                    self.fits("gemini", "BatchGenerateContentRequest", batch)
                    made = self.ok(sim, "POST", "/v1beta/models/m:batchGenerateContent", batch,
                                   GEMINI)
                    self.operation(made)
                    path = "/v1beta/" + made["name"]
                    if end == "cancelled":
                        self.assertEqual(self.ok(sim, "POST", path + ":cancel", {}, GEMINI), {})
                    job = self.until(sim, path, GEMINI, lambda job: job.get("done"), self.operation)
                    if by_file and end == "completed":
                        name = job["response"]["responsesFile"]
                        found = self.ok(sim, "GET", "/v1beta/" + name, None, GEMINI)
                        self.fits("gemini", "File", found)
                        _, _, lines = ask(sim, "GET", "/download/v1beta/%s:download" % name, None,
                                          GEMINI)
                        for line in lines.splitlines():
                            row = json.loads(line)
                            self.assertEqual(row.pop("key"), "k")
                            self.fits("gemini", "InlinedResponse", row)
                    listed = self.ok(sim, "GET", "/v1beta/batches", None, GEMINI)
                    self.fits("gemini", "ListOperationsResponse", listed)
                    files = self.ok(sim, "GET", "/v1beta/files", None, GEMINI)
                    self.fits("gemini", "ListFilesResponse", files)
