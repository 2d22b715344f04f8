"""test_openai.py: PyPI `openai` against the simulator, synchronous and asynchronous."""
import asyncio
import enum
import json
import math
import os
from typing import List, Optional

import jsonschema
import openai
import pydantic

from support import TOOLS, WORDS, Case

ASK = {"model": "gpt-sim", "messages": [{"role": "user", "content": WORDS}]}
CHAT_TOOLS = [
    {"type": "function", "function": {"name": name, "parameters": schema, "strict": True}}
    for name, schema in TOOLS.items()
]
FLAT_TOOLS = [
    {"type": "function", "name": name, "parameters": schema, "strict": True}
    for name, schema in TOOLS.items()
]


def fault(name):
    return {"x-sheaf-fault": name}


class Unit(enum.Enum):
    metre = "metre"
    second = "second"


class Step(pydantic.BaseModel):
    explanation: str
    output: Optional[str]


class Solution(pydantic.BaseModel):
    steps: List[Step]
    answer: float
    unit: Unit
    count: int


class OpenAICase(Case):
    def client(self, sim, **options):
        options = dict({"api_key": "sk-test", "max_retries": 0, "timeout": 20}, **options)
        client = openai.OpenAI(base_url=sim.url + "/v1", **options)
        self.addCleanup(client.close)
        return client


class Calls(OpenAICase):
    def test_models_are_listed_and_told_by_name(self):
        client = self.client(self.sim("--models", "gpt-sim,gpt-sim-mini"))
        self.assertEqual(sorted(model.id for model in client.models.list()),
                         ["gpt-sim", "gpt-sim-mini"])
        self.assertEqual(client.models.retrieve("gpt-sim").object, "model")
        with self.assertRaises(openai.NotFoundError):
            client.models.retrieve("gpt-none")

    def test_chat_has_text_reason_and_honest_usage(self):
        sim = self.sim()
        reply, received, billed = self.during(
            sim, lambda: self.client(sim).chat.completions.create(**ASK))
        self.assertEqual(reply.choices[0].message.content, "echo: " + WORDS)
        self.assertEqual(reply.choices[0].finish_reason, "stop")
        self.assertTrue(reply._request_id)
        self.assertEqual(received, 1)
        usage = reply.usage
        self.assertEqual(usage.total_tokens, usage.prompt_tokens + usage.completion_tokens)
        self.usage_is_honest(billed, usage.prompt_tokens, usage.completion_tokens)

    def test_a_chat_stream_joins_to_the_whole_text(self):
        sim = self.sim()
        client = self.client(sim)
        whole = client.chat.completions.create(**ASK)
        chunks = list(client.chat.completions.create(
            **ASK, stream=True, stream_options={"include_usage": True}))
        text = "".join(c.choices[0].delta.content or "" for c in chunks if c.choices)
        self.assertEqual(text, whole.choices[0].message.content)
        self.assertEqual(chunks[-1].choices, [])
        self.assertEqual(chunks[-1].usage.total_tokens, whole.usage.total_tokens)

    def test_the_stream_helper_tells_its_events(self):
        sim = self.sim()
        with self.client(sim).chat.completions.stream(**ASK) as stream:
            kinds = [event.type for event in stream]
            final = stream.get_final_completion()
        self.assertIn("content.delta", kinds)
        self.assertIn("content.done", kinds)
        self.assertEqual(final.choices[0].message.content, "echo: " + WORDS)

    def test_an_asynchronous_client_streams_many_at_once(self):
        sim = self.sim("--latency", "fixed:20", "--itl", "1")

        async def one(client, n):
            stream = await client.chat.completions.create(
                model="gpt-sim", messages=[{"role": "user", "content": "number %d" % n}],
                stream=True)
            return "".join([c.choices[0].delta.content or "" async for c in stream if c.choices])

        async def several():
            async with openai.AsyncOpenAI(api_key="k", base_url=sim.url + "/v1",
                                          max_retries=0) as client:
                return await asyncio.gather(*[one(client, n) for n in range(40)])

        self.assertEqual(asyncio.run(several()), ["echo: number %d" % n for n in range(40)])
        stats = sim.stats()
        self.assertEqual(stats["billed"]["requests"], 40)

    def test_max_tokens_cuts(self):
        client = self.client(self.sim("--answer", "lorem:200:0.1"))
        reply = client.chat.completions.create(**ASK, max_completion_tokens=5)
        self.assertEqual(reply.choices[0].finish_reason, "length")
        self.assertEqual(reply.usage.completion_tokens, 5)
        short = client.responses.create(model="gpt-sim", input=WORDS, max_output_tokens=16)
        self.assertEqual(short.status, "incomplete")
        self.assertEqual(short.incomplete_details.reason, "max_output_tokens")

    def test_several_choices_come(self):
        reply = self.client(self.sim()).chat.completions.create(**ASK, n=3)
        self.assertEqual(sorted(choice.index for choice in reply.choices), [0, 1, 2])

    def test_embeddings_are_the_same_in_both_formats(self):
        client = self.client(self.sim("--dimensions", "32"))
        texts = ["one", "two"]
        packed = client.embeddings.create(model="embed-sim", input=texts)
        plain = client.embeddings.create(model="embed-sim", input=texts, encoding_format="float")
        for a, b in zip(packed.data, plain.data):
            self.assertEqual(len(a.embedding), 32)
            for x, y in zip(a.embedding, b.embedding):
                self.assertTrue(math.isclose(x, y, rel_tol=1e-6, abs_tol=1e-9), (x, y))
        self.assertEqual(packed.usage, plain.usage)
        short = client.embeddings.create(model="embed-sim", input="one", dimensions=3)
        self.assertEqual(len(short.data[0].embedding), 3)

    def test_completions_of_a_prompt(self):
        reply = self.client(self.sim()).completions.create(
            model="gpt-sim", prompt="once upon a time", max_tokens=64)
        self.assertIn("once upon a time", reply.choices[0].text)
        self.assertEqual(reply.object, "text_completion")

    def test_tool_calls_fit_whole_and_streamed(self):
        client = self.client(self.sim())
        whole = client.chat.completions.create(**ASK, tools=CHAT_TOOLS, tool_choice="required")
        with client.chat.completions.stream(**ASK, tools=CHAT_TOOLS,
                                            tool_choice="required") as stream:
            streamed = stream.get_final_completion()
        for reply in (whole, streamed):
            self.assertEqual(reply.choices[0].finish_reason, "tool_calls")
            for call in reply.choices[0].message.tool_calls:
                jsonschema.validate(json.loads(call.function.arguments), TOOLS[call.function.name])

    def test_responses_whole_and_streamed(self):
        sim = self.sim()
        client = self.client(sim)
        whole, _, billed = self.during(
            sim, lambda: client.responses.create(model="gpt-sim", input=WORDS))
        self.assertEqual(whole.output_text, "echo: " + WORDS)
        self.usage_is_honest(billed, whole.usage.input_tokens, whole.usage.output_tokens)
        with client.responses.stream(model="gpt-sim", input=WORDS) as stream:
            kinds = [event.type for event in stream]
            final = stream.get_final_response()
        self.assertEqual(kinds[0], "response.created")
        self.assertEqual(kinds[-1], "response.completed")
        self.assertEqual(final.output_text, whole.output_text)

    def test_responses_call_functions_whole_and_streamed(self):
        client = self.client(self.sim())
        body = {"model": "gpt-sim", "input": WORDS, "tools": FLAT_TOOLS, "tool_choice": "required"}
        whole = client.responses.create(**body)
        with client.responses.stream(**body) as stream:
            list(stream)
            streamed = stream.get_final_response()
        for reply in (whole, streamed):
            calls = [item for item in reply.output if item.type == "function_call"]
            self.assertTrue(calls)
            for call in calls:
                jsonschema.validate(json.loads(call.arguments), TOOLS[call.name])

    def test_pydantic_models_are_parsed(self):
        client = self.client(self.sim())
        chat = client.chat.completions.parse(**ASK, response_format=Solution)
        self.assertIsInstance(chat.choices[0].message.parsed, Solution)
        response = client.responses.parse(model="gpt-sim", input=WORDS, text_format=Solution)
        self.assertIsInstance(response.output_parsed, Solution)
        with client.chat.completions.stream(**ASK, response_format=Solution) as stream:
            final = stream.get_final_completion()
        self.assertIsInstance(final.choices[0].message.parsed, Solution)

    def test_answers_are_valid_against_each_schema(self):
        client = self.client(self.sim())
        path = os.path.join(os.path.dirname(os.path.abspath(__file__)), "schemas.json")
        with open(path, encoding="utf-8") as file:
            corpus = json.load(file)
        for row in corpus:
            with self.subTest(row["name"]):
                reply = client.chat.completions.create(**ASK, response_format={
                    "type": "json_schema",
                    "json_schema": {"name": "a", "strict": row["strict"], "schema": row["schema"]},
                })
                jsonschema.Draft202012Validator(
                    row["schema"],
                    format_checker=jsonschema.Draft202012Validator.FORMAT_CHECKER,
                ).validate(json.loads(reply.choices[0].message.content))


class Errors(OpenAICase):
    def test_each_status_has_its_class(self):
        sim = self.sim()
        client = self.client(sim)
        for name, kind, status in (
                ("429", openai.RateLimitError, 429), ("quota", openai.RateLimitError, 429),
                ("500", openai.InternalServerError, 500), ("529", openai.InternalServerError, 503),
                ("502", openai.InternalServerError, 502)):
            with self.subTest(name), self.assertRaises(kind) as caught:
                client.chat.completions.create(**ASK, extra_headers=fault(name))
            self.assertEqual(caught.exception.status_code, status)
            if name == "quota":
                self.assertEqual(caught.exception.type, "insufficient_quota")
            if name == "429":
                self.assertEqual(caught.exception.code, "rate_limit_exceeded")

    def test_key_model_body_and_context_have_their_classes(self):
        sim = self.sim("--key", "sk-right", "--models", "gpt-sim", "--context", "80")
        with self.assertRaises(openai.AuthenticationError) as caught:
            self.client(sim).chat.completions.create(**ASK)
        self.assertEqual(caught.exception.code, "invalid_api_key")
        client = self.client(sim, api_key="sk-right")
        with self.assertRaises(openai.NotFoundError) as caught:
            client.chat.completions.create(**dict(ASK, model="gpt-none"))
        self.assertEqual(caught.exception.code, "model_not_found")
        with self.assertRaises(openai.BadRequestError) as caught:
            client.chat.completions.create(**ASK, extra_body={"max_tokens": "ten"})
        self.assertEqual(caught.exception.param, "max_tokens")
        self.assertEqual(caught.exception.type, "invalid_request_error")
        with self.assertRaises(openai.BadRequestError) as caught:
            client.chat.completions.create(
                model="gpt-sim", messages=[{"role": "user", "content": "word " * 500}])
        self.assertEqual(caught.exception.code, "context_length_exceeded")

    def test_reset_and_stall_are_connection_errors(self):
        client = self.client(self.sim())
        with self.assertRaises(openai.APIConnectionError) as caught:
            client.chat.completions.create(**ASK, extra_headers=fault("reset"))
        self.assertNotIsInstance(caught.exception, openai.APITimeoutError)
        with self.assertRaises(openai.APITimeoutError):
            client.chat.completions.create(**ASK, extra_headers=fault("stall"), timeout=0.3)

    def test_an_error_inside_a_stream_is_raised(self):
        client = self.client(self.sim())
        stream = client.chat.completions.create(
            **ASK, stream=True, extra_headers=fault("late-error"))
        with self.assertRaises(openai.APIError) as caught:
            list(stream)
        self.assertNotIsInstance(caught.exception, openai.APIStatusError)

    def test_a_cut_stream_is_noticed(self):
        client = self.client(self.sim())
        for name in ("truncate", "cut"):
            with self.subTest(name):
                got = []
                try:
                    for chunk in client.chat.completions.create(
                            **ASK, stream=True, extra_headers=fault(name)):
                        got.append(chunk)
                except Exception:  # noqa: BLE001 - which one is the transport's choice
                    continue
                self.assertFalse([c for c in got if c.choices and c.choices[0].finish_reason])

    def test_default_retries_get_through_and_bill_once(self):
        for name in ("429", "500", "529", "reset"):
            with self.subTest(name):
                sim = self.sim()
                client = openai.OpenAI(api_key="k", base_url=sim.url + "/v1", timeout=20)
                self.addCleanup(client.close)
                reply, received, billed = self.during(sim, lambda: client.chat.completions.create(
                    **ASK, extra_headers=fault(name)))
                self.assertEqual(reply.choices[0].finish_reason, "stop")
                self.assertEqual(received, 2)
                self.assertEqual(billed["requests"], 1)
                self.assertEqual([entry["status"] for entry in sim.ledger()][-1], 200)

    def test_a_bad_request_and_a_bad_key_are_sent_once(self):
        sim = self.sim("--key", "right")
        for key, body in (("right", {"n": "many"}), ("wrong", {})):
            client = self.client(sim, api_key=key, max_retries=2)
            with self.assertRaises((openai.BadRequestError, openai.AuthenticationError)):
                client.chat.completions.create(**ASK, extra_body=body)
        self.assertEqual(sim.stats()["received"], 2)

    def test_the_retry_waits_for_the_hint(self):
        sim = self.sim("--retry-after", "800")
        self.client(sim, max_retries=1).chat.completions.create(**ASK, extra_headers=fault("429"))
        first, second = sim.ledger()
        self.assertGreaterEqual(second["time_ms"] - first["time_ms"], 795)
