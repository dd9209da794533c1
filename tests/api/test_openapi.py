"""The OpenAPI document against the server; what the other tests are answered is held against it too."""

from __future__ import annotations

import json
import re
from typing import Any

from jsonschema import ValidationError
from openapi_spec_validator import OpenAPIV31SpecValidator
from twisted.trial.unittest import SynchronousTestCase
from werkzeug.routing import Rule

from ccstore import __version__
from ccstore.api.app import Api
from ccstore.api.documents import openapi_document
from ccstore.api.reading_routes import ReadingRoutes
from ccstore.interfaces import StoreUnavailable
from tests.support.api_case import ApiTestCase, check_documented, operations
from tests.support.sinks import event
from tests.support.stores import ToldBackend


def _rules() -> list[Any]:
    """The routes, with those of the reading side where these are; Loki describes its own."""
    elsewhere = ("/api/v1", "/loki", "/prometheus")
    rules = [rule for rule in Api.app.url_map.iter_rules() if not rule.rule.startswith(elsewhere)]
    return rules + [
        Rule(f"/api/v1{rule.rule}", methods=rule.methods) for rule in ReadingRoutes.app.url_map.iter_rules()
    ]


def _filled(path: str) -> str:
    return path.format(number="x", label="host", cluster="alex", job="x", host="a0101")


def _examples(part: Any) -> int:
    """How many there are in a part of a document; a property of that name is none."""
    if isinstance(part, list):
        return sum(map(_examples, part))
    if not isinstance(part, dict):
        return 0
    own = sum(key in ("example", "examples") and "$ref" not in str(part[key]) for key in part)
    return own + sum(_examples(each) for key, each in part.items() if key not in ("example", "examples"))


#: The page, and the interface of Loki, have documents of their own.
_OF_OTHERS = ("/swagger", "/page", "/loki", "/prometheus")


class DocumentTests(SynchronousTestCase):
    def test_it_is_valid(self) -> None:
        errors = [error.message for error in OpenAPIV31SpecValidator(openapi_document()).iter_errors()]
        self.assertEqual(errors, [])

    def test_every_route_is_in_it_and_nothing_else(self) -> None:
        routes = {
            (method, re.sub("<(.*?)>", r"{\1}", rule.rule).rstrip("/"))
            for rule in _rules()
            if not rule.rule.startswith(_OF_OTHERS)
            for method in rule.methods - {"HEAD"}
        }
        self.assertEqual(routes, set(operations()))

    def test_every_route_is_there_with_and_without_the_last_slash(self) -> None:
        rules = {rule.rule for rule in _rules()}
        for rule in rules - {"/"}:
            if rule.startswith(_OF_OTHERS):
                continue
            self.assertLessEqual({rule.rstrip("/"), rule.rstrip("/") + "/"}, rules)

    def test_every_reference_leads_somewhere(self) -> None:
        document = openapi_document()
        for reference in re.findall(r'"\$ref": "#/([^"]+)"', json.dumps(document)):
            found: Any = document
            for step in reference.split("/"):
                found = found[step]
            self.assertIsInstance(found, dict)

    def test_whatever_takes_a_token_may_refuse_its_roles(self) -> None:
        for item in openapi_document()["paths"].values():
            for operation in item.values():
                responses = operation["responses"]
                self.assertEqual("401" in responses, "403" in responses, operation["operationId"])


class ServerTests(ApiTestCase):
    def setUp(self) -> None:
        self.start()

    async def test_it_is_served_with_the_version_of_the_daemon(self) -> None:
        answer = await self.ask("GET", "/api/openapi.json")
        self.assertEqual(answer.status, 200)
        self.assertEqual(answer.header("content-type"), "application/json")
        self.assertEqual(answer.json, openapi_document())
        self.assertEqual(answer.json["info"]["version"], __version__)

    async def test_everything_in_it_exists(self) -> None:
        for path, item in openapi_document()["paths"].items():
            for method in item:
                if "/tail" in path:
                    continue  # it would not end
                answer = await self.ask(method.upper(), _filled(path))
                self.assertNotEqual(answer.status, 405, (method, path))
                if answer.status == 404:
                    self.assertRegex(answer.error, "is no id of a|there is no|no message")

    async def test_each_body_has_an_example_and_what_one_writes_all_others_find(self) -> None:
        """As they stand, today and on any other day."""
        document = openapi_document()
        examples = {
            place: [content["example"] for content in operation["requestBody"]["content"].values()]
            for place, operation in operations().items()
            if "requestBody" in operation and not place[1].startswith("/api/v1")
        }
        (line,) = examples.pop(("POST", "/api/write"))
        self.assertEqual((await self.write(line.encode())).status, 200)
        self.assertEqual(set(examples), {("GET", "/api/query"), ("POST", "/api/query")})
        general = document["components"]["schemas"]["QueryRequest"]["examples"]
        for (method, path), given in examples.items():
            for question in [*given, *general]:
                answer = await self.ask(method, path, json.dumps(question).encode())
                (((entry),),) = answer.json["results"]
                self.assertEqual([row["Event"] for row in entry["data"]], ['{"jobId": 69}'])
        statuses = document["components"]["schemas"]["Error"]["properties"]["status"]["examples"]
        self.assertEqual(statuses, [(await self.query({"host": 1})).json["status"]])
        reading = [
            (path, operation["requestBody"]["content"]["application/json"]["example"])
            for (_, path), operation in operations().items()
            if "requestBody" in operation and path.startswith("/api/v1")
        ]
        for path, question in reading:
            if path.endswith("/messages"):
                answer = await self.ask("POST", path, json.dumps(question).encode())
                self.assertEqual([row["text"] for row in answer.json["messages"]], ['{"jobId": 69}'])
        # There are no other examples than these.
        self.assertEqual(_examples(document), 1 + len(examples) + 2 + len(reading))

    async def test_answers_of_every_kind_are_as_told(self) -> None:
        backend = ToldBackend()
        self.start(max_body=2000, max_rows=2, backend=backend)
        seen = set()
        answers = [
            await self.write(*[event(text) for text in "abc"]),
            await self.write(b"bad", event("d")),
            await self.write(b"bad", content_encoding="br"),
            await self.write(b"x" * 3000),
            await self.query({}, {"kind": "log"}),
            await self.query({"type-ids": ["0"]}, **{"for-all-nodes": ["a"]}),
            await self.query({"host": 1}),
            await self.ask("GET", "/api/query", b"{"),
            await self.ask("GET", "/api/stats"),
            await self.ask("GET", "/api/samples"),
            await self.ask("GET", "/metrics"),
            await self.ask("GET", "/ready"),
        ]
        backend.refusal = StoreUnavailable("the disk is full")
        answers.append(await self.write(event("e")))
        answers.append(await self.ask("GET", "/ready"))
        backend.figures = lambda: {}["nothing"]
        answers.append(await self.ask("GET", "/api/stats"))
        self.flushLoggedErrors(KeyError)
        for answer in answers:
            seen.add((answer.path.strip("/"), answer.status))
        told = {("api/write", status) for status in (200, 400, 413, 415, 503)}
        self.assertEqual(len(answers[9].json["receivers"]["api"]["samples"]), 1)
        told |= {
            ("api/samples", 200),
            ("metrics", 200),
            ("api/query", 200),
            ("api/query", 400),
            ("api/stats", 200),
            ("api/stats", 500),
        }
        self.assertLessEqual(told | {("ready", 200), ("ready", 503)}, seen)

    async def test_an_answer_that_is_not_as_told_would_be_found(self) -> None:
        answer = await self.ask("GET", "/health")
        answer.body = b'{"status": "ill"}'
        with self.assertRaises(ValidationError):
            check_documented(answer)
        answer.status = 418
        with self.assertRaises(AssertionError):
            check_documented(answer)
