"""A judge behind a chat endpoint in OpenAI's form."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Sequence
from functools import cached_property
from typing import Any

from manifests.identities import digest_of
from workers.judges.base import UNPARSABLE, Answer, Judge, JudgeRequest, Try, read_try
from workers.judges.pictures import LABELS, data_uri, pictures
from workers.judges.prompt import read_prompt
from workers.judges.rubric import json_schema
from workers.judges.settings import OpenAISettings

_SHOWN = 300
"""Characters of a server's own message that are kept."""


class OpenAIJudge(Judge):
    """Asks an endpoint with the `openai` client, which waits and tries again (with jitter, heeding `Retry-After`).

    One request holds one triplet. A budget is that of one worker: `share` of the run's.
    """

    def __init__(self, settings: OpenAISettings, *, share: float = 1.0) -> None:
        self.settings = settings
        self.title = settings.model
        self.prompt = read_prompt(settings.prompt)
        self._constrains = settings.json_schema != "off"
        self._share = share
        self._requests = self._tokens = 0

    @cached_property
    def digest(self) -> str:
        """Return the digest of model name, parameters and prompt; an endpoint does not show its weights."""
        return digest_of([self.settings.identity(), self.prompt.digest])

    def judge(self, requests: Sequence[JudgeRequest]) -> list[Answer]:
        """Return an answer for each request; so many at a time are under way as the settings allow."""
        return asyncio.run(self._judge(requests))

    async def _judge(self, requests: Sequence[JudgeRequest]) -> list[Answer]:
        from openai import AsyncOpenAI

        places = asyncio.Semaphore(self.settings.concurrency)
        async with AsyncOpenAI(
            api_key=self._key() or "none",
            base_url=self.settings.base_url,
            timeout=self.settings.timeout,
            max_retries=self.settings.retries,
        ) as client:

            async def one(request: JudgeRequest) -> Answer:
                async with places:
                    return await self._answer(client, request)

            return list(await asyncio.gather(*map(one, requests)))

    async def _answer(self, client: Any, request: JudgeRequest) -> Answer:
        start = time.monotonic()
        messages = self._messages(request)
        tries: list[Try] = []
        spent = {"requests": 0, "tokens_in": 0, "tokens_out": 0}
        failure = detail = None
        while len(tries) < 2 and not (tries and tries[-1].verdict):
            if self._spent():
                failure, detail = "judge_failed:budget", "the budget of the judge is spent; raise judge.budget"
                break
            if tries:
                again = self.prompt.again.format(error=tries[-1].fault)
                messages += [{"role": "assistant", "content": tries[-1].text}, {"role": "user", "content": again}]
            asked = await self._ask(client, messages, spent)
            if isinstance(asked, tuple):
                failure, detail = asked
                break
            tries.append(read_try(asked))
        verdict = tries[-1].verdict if tries else None
        if verdict is None and failure is None:
            failure, detail = UNPARSABLE, tries[-1].fault
        texts = tuple(each.text for each in tries)
        return Answer(verdict, texts, failure, detail, seconds=time.monotonic() - start, **spent)

    async def _ask(self, client: Any, messages: list[dict[str, Any]], spent: dict[str, int]) -> str | tuple[str, str]:
        """Return the text of one answer, or a failure and its detail."""
        import openai

        try:
            completion = await self._complete(client, messages, spent)
        except openai.APITimeoutError:
            return "judge_failed:timeout", f"no answer within {self.settings.timeout:g} s, {self._tried()}"
        except openai.APIConnectionError as error:
            return "judge_failed:connection", f"{type(error.__cause__ or error).__name__}, {self._tried()}"
        except openai.APIStatusError as error:
            return f"judge_failed:http_{error.status_code}", self._words(error)
        except (openai.APIError, ValueError) as error:  # a body that is no JSON, or none of the protocol
            return "judge_failed:protocol", f"the endpoint's answer is not in OpenAI's form ({type(error).__name__})"
        usage = getattr(completion, "usage", None)
        read, written = getattr(usage, "prompt_tokens", 0) or 0, getattr(usage, "completion_tokens", 0) or 0
        spent["tokens_in"] += read
        spent["tokens_out"] += written
        self._tokens += read + written
        choices = getattr(completion, "choices", None)
        message = getattr(choices[0], "message", None) if isinstance(choices, list) and choices else None
        return str(getattr(message, "content", None) or "")

    async def _complete(self, client: Any, messages: list[dict[str, Any]], spent: dict[str, int]) -> Any:
        import openai

        try:
            return await self._send(client, messages, spent, constrained=self._constrains)
        except (openai.BadRequestError, openai.UnprocessableEntityError):
            if not self._constrains or self.settings.json_schema == "on":
                raise
            answer = await self._send(client, messages, spent, constrained=False)
            self._constrains = False  # what was refused was the constraint, since without it the request is answered
            return answer

    async def _send(
        self, client: Any, messages: list[dict[str, Any]], spent: dict[str, int], *, constrained: bool
    ) -> Any:
        schema = {"type": "json_schema", "json_schema": {"name": "verdict", "schema": json_schema(), "strict": True}}
        spent["requests"] += 1
        self._requests += 1
        answered = await client.chat.completions.with_raw_response.create(
            model=self.settings.model,
            messages=messages,
            temperature=self.settings.temperature,
            max_tokens=self.settings.max_tokens,
            **({"response_format": schema} if constrained else {}),
            extra_body=self.settings.extra_body or None,
        )
        spent["requests"] += answered.retries_taken
        self._requests += answered.retries_taken
        return answered.parse()

    def _messages(self, request: JudgeRequest) -> list[dict[str, Any]]:
        content: list[dict[str, Any]] = []
        for label, picture in zip(LABELS, pictures(request, self.settings.image_side), strict=True):
            uri = data_uri(picture, self.settings.image_format)
            content += [{"type": "text", "text": f"{label}:"}, {"type": "image_url", "image_url": {"url": uri}}]
        content.append({"type": "text", "text": self.prompt.question})
        return [{"role": "system", "content": self.prompt.system}, {"role": "user", "content": content}]

    def _spent(self) -> bool:
        budget = self.settings.budget
        return any(
            most is not None and used >= most * self._share
            for most, used in ((budget.requests, self._requests), (budget.tokens, self._tokens))
        )

    def _key(self) -> str:
        return os.environ.get(self.settings.api_key_env, "") if self.settings.api_key_env else ""

    def _words(self, error: Any) -> str:
        """Return a server's own message, cut short, and without our key should the server repeat it."""
        body = error.body if isinstance(error.body, dict) else {}
        said = " ".join(str(body.get("message") or error.message).split())
        key = self._key()
        return (said.replace(key, "***") if key else said)[:_SHOWN]

    def _tried(self) -> str:
        return f"after {self.settings.retries + 1} tries"
