"""test_anthropic.py: PyPI `anthropic` against the simulator, synchronous and asynchronous."""
import asyncio
from typing import List

import anthropic
import jsonschema
import pydantic

from support import TOOLS, WORDS, Case

ASK = {"model": "claude-sim", "max_tokens": 512, "messages": [{"role": "user", "content": WORDS}]}
CLAUDE_TOOLS = [{"name": name, "input_schema": schema} for name, schema in TOOLS.items()]


def fault(name):
    return {"x-sheaf-fault": name}


class Person(pydantic.BaseModel):
    name: str
    tags: List[str]
    age: int


class AnthropicCase(Case):
    def client(self, sim, **options):
        options = dict({"api_key": "sk-ant-test", "max_retries": 0, "timeout": 20}, **options)
        client = anthropic.Anthropic(base_url=sim.url, **options)
        self.addCleanup(client.close)
        return client


class Calls(AnthropicCase):
    def test_models_are_listed_and_told_by_name(self):
        client = self.client(self.sim("--models", "claude-sim,claude-sim-mini"))
        self.assertEqual(sorted(model.id for model in client.models.list()),
                         ["claude-sim", "claude-sim-mini"])
        self.assertEqual(client.models.retrieve("claude-sim").type, "model")

    def test_a_message_has_text_reason_and_honest_usage(self):
        sim = self.sim()
        message, received, billed = self.during(
            sim, lambda: self.client(sim).messages.create(**ASK))
        self.assertEqual([block.text for block in message.content], ["echo: " + WORDS])
        self.assertEqual(message.stop_reason, "end_turn")
        self.assertTrue(message._request_id)
        self.assertEqual(received, 1)
        self.usage_is_honest(billed, message.usage.input_tokens, message.usage.output_tokens)

    def test_count_tokens_is_what_will_be_billed(self):
        client = self.client(self.sim())
        count = client.messages.count_tokens(model="claude-sim", messages=ASK["messages"])
        self.assertEqual(count.input_tokens, client.messages.create(**ASK).usage.input_tokens)

    def test_the_stream_helper_puts_the_message_together(self):
        sim = self.sim()

        def work():
            with self.client(sim).messages.stream(**ASK) as stream:
                return "".join(stream.text_stream), stream.get_final_message()

        (text, final), _, billed = self.during(sim, work)
        self.assertEqual(text, "echo: " + WORDS)
        self.assertEqual(final.content[0].text, text)
        self.assertEqual(final.stop_reason, "end_turn")
        self.usage_is_honest(billed, final.usage.input_tokens, final.usage.output_tokens)

    def test_an_asynchronous_client_streams_many_at_once(self):
        sim = self.sim("--latency", "fixed:20", "--itl", "1")

        async def one(client, n):
            body = dict(ASK, messages=[{"role": "user", "content": "number %d" % n}])
            async with client.messages.stream(**body) as stream:
                return await stream.get_final_text()

        async def several():
            async with anthropic.AsyncAnthropic(api_key="k", base_url=sim.url,
                                                max_retries=0) as client:
                return await asyncio.gather(*[one(client, n) for n in range(40)])

        self.assertEqual(asyncio.run(several()), ["echo: number %d" % n for n in range(40)])

    def test_max_tokens_cuts(self):
        client = self.client(self.sim("--answer", "lorem:200:0.1"))
        message = client.messages.create(**dict(ASK, max_tokens=6))
        self.assertEqual(message.stop_reason, "max_tokens")
        self.assertEqual(message.usage.output_tokens, 6)

    def test_tool_calls_fit_whole_and_streamed(self):
        client = self.client(self.sim())
        body = dict(ASK, max_tokens=4096, tools=CLAUDE_TOOLS, tool_choice={"type": "any"})
        whole = client.messages.create(**body)
        with client.messages.stream(**body) as stream:
            streamed = stream.get_final_message()
        for message in (whole, streamed):
            self.assertEqual(message.stop_reason, "tool_use")
            for block in message.content:
                if block.type == "tool_use":
                    jsonschema.validate(block.input, TOOLS[block.name])

    def test_pydantic_models_are_parsed(self):
        client = self.client(self.sim())
        message = client.messages.parse(**ASK, output_format=Person)
        self.assertIsInstance(message.parsed_output, Person)


class Errors(AnthropicCase):
    def test_each_status_has_its_class(self):
        client = self.client(self.sim())
        for name, kind, status, error in (
                ("429", anthropic.RateLimitError, 429, "rate_limit_error"),
                ("500", anthropic.InternalServerError, 500, "api_error"),
                ("529", anthropic.InternalServerError, 529, "overloaded_error")):
            with self.subTest(name), self.assertRaises(kind) as caught:
                client.messages.create(**ASK, extra_headers=fault(name))
            self.assertEqual(caught.exception.status_code, status)
            self.assertEqual(caught.exception.body["error"]["type"], error)
            self.assertEqual(caught.exception.body["type"], "error")

    def test_key_model_and_body_have_their_classes(self):
        sim = self.sim("--key", "sk-right", "--models", "claude-sim")
        with self.assertRaises(anthropic.AuthenticationError) as caught:
            self.client(sim).messages.create(**ASK)
        self.assertEqual(caught.exception.body["error"]["type"], "authentication_error")
        client = self.client(sim, api_key="sk-right")
        with self.assertRaises(anthropic.NotFoundError):
            client.messages.create(**dict(ASK, model="claude-none"))
        with self.assertRaises(anthropic.BadRequestError) as caught:
            client.messages.create(**dict(ASK, max_tokens="ten"))
        self.assertIn("max_tokens", caught.exception.body["error"]["message"])

    def test_reset_and_stall_are_connection_errors(self):
        client = self.client(self.sim())
        with self.assertRaises(anthropic.APIConnectionError) as caught:
            client.messages.create(**ASK, extra_headers=fault("reset"))
        self.assertNotIsInstance(caught.exception, anthropic.APITimeoutError)
        with self.assertRaises(anthropic.APITimeoutError):
            client.messages.create(**ASK, extra_headers=fault("stall"), timeout=0.3)

    def test_an_error_inside_a_stream_is_raised(self):
        client = self.client(self.sim())
        with self.assertRaises(anthropic.APIError):
            with client.messages.stream(**ASK, extra_headers=fault("late-error")) as stream:
                stream.get_final_message()

    def test_default_retries_get_through_and_bill_once(self):
        for name in ("429", "500", "529", "reset"):
            with self.subTest(name):
                sim = self.sim()
                client = anthropic.Anthropic(api_key="k", base_url=sim.url, timeout=20)
                self.addCleanup(client.close)
                message, received, billed = self.during(sim, lambda: client.messages.create(
                    **ASK, extra_headers=fault(name)))
                self.assertEqual(message.stop_reason, "end_turn")
                self.assertEqual(received, 2)
                self.assertEqual(billed["requests"], 1)

    def test_a_bad_request_and_a_bad_key_are_sent_once(self):
        sim = self.sim("--key", "right")
        for key, change in (("right", {"max_tokens": -1}), ("wrong", {})):
            client = self.client(sim, api_key=key, max_retries=2)
            with self.assertRaises((anthropic.BadRequestError, anthropic.AuthenticationError)):
                client.messages.create(**dict(ASK, **change))
        self.assertEqual(sim.stats()["received"], 2)
