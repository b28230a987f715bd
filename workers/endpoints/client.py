"""A client of an endpoint in OpenAI's form, which counts what it spends and tells faults without telling secrets."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

from workers.endpoints.settings import EndpointSettings

Asked = TypeVar("Asked")
Answered = TypeVar("Answered")

_SHOWN = 300
"""Characters of a server's own message that are kept."""


@dataclass(frozen=True)
class Fault:
    """Why an endpoint gave no answer: a short reason to count by, and what was said, without the key."""

    reason: str
    detail: str


class Client:
    """One worker's way to an endpoint: bounded concurrency, the library's retries, and a share of the run's budget.

    The `openai` library waits and tries again by itself, with jitter, heeding `Retry-After`. The key is read from the
    environment when it is needed, and kept nowhere.
    """

    def __init__(self, settings: EndpointSettings, *, share: float = 1.0) -> None:
        self.settings = settings
        self.requests = 0
        self.cost = 0.0
        self._share = share

    def ask_all(
        self, asked: Sequence[Asked], one: Callable[[Any, Asked], Awaitable[Answered | Fault]]
    ) -> list[Answered | Fault]:
        """Return what `one(client, item)` answered for each item; a spent budget is answered with the fault `budget`.

        `client` is an `openai.AsyncOpenAI`; whatever of that library `one` raises becomes a fault.
        """
        return asyncio.run(self._ask_all(asked, one))

    async def _ask_all(
        self, asked: Sequence[Asked], one: Callable[[Any, Asked], Awaitable[Answered | Fault]]
    ) -> list[Answered | Fault]:
        places = asyncio.Semaphore(self.settings.concurrency)
        async with self._opened() as client:

            async def guarded(item: Asked) -> Answered | Fault:
                async with places:
                    if self.spent():
                        return Fault("budget", "the budget of the endpoint is spent; raise its `budget` to go on")
                    self.requests += 1
                    return await self._told(one(client, item))

            return list(await asyncio.gather(*map(guarded, asked)))

    def paid(self, retries: int) -> None:
        """Count an answer that has its price, and the tries before it."""
        self.requests += retries
        self.cost += self.settings.price

    def spent(self) -> bool:
        """Tell whether this worker's share of the budget is spent."""
        budget = self.settings.budget
        return any(
            most is not None and used >= most * self._share
            for most, used in ((budget.requests, self.requests), (budget.cost, self.cost))
        )

    def check(self) -> Fault | None:
        """Ask for the list of models, which costs nothing; return what is wrong with address or key, or None.

        An endpoint that has no such list is given the benefit of the doubt.
        """

        async def listed() -> Any:
            async with self._opened() as client:
                return await self._told(client.with_options(max_retries=0).models.list())

        found = asyncio.run(listed())
        wrong = ("connection", "timeout", "http_401", "http_403")
        return found if isinstance(found, Fault) and found.reason in wrong else None

    @asynccontextmanager
    async def _opened(self) -> AsyncIterator[Any]:
        from openai import AsyncOpenAI

        own = self.settings
        async with AsyncOpenAI(
            api_key=self._key() or "none", base_url=own.base_url, timeout=own.timeout, max_retries=own.retries
        ) as client:
            yield client

    async def _told(self, answer: Awaitable[Answered | Fault]) -> Answered | Fault:
        import openai

        try:
            return await answer
        except openai.APITimeoutError:
            self.requests += self.settings.retries
            return Fault("timeout", f"no answer within {self.settings.timeout:g} s, {self._tried()}")
        except openai.APIConnectionError as error:
            self.requests += self.settings.retries
            return Fault("connection", f"{type(error.__cause__ or error).__name__}, {self._tried()}")
        except openai.APIStatusError as error:
            self.requests += self.settings.retries if error.status_code >= 500 or error.status_code == 429 else 0
            return Fault(f"http_{error.status_code}", self._words(error))
        except (openai.APIError, ValueError) as error:  # a body that is no JSON, or none of the protocol
            return Fault("protocol", f"the endpoint's answer is not in OpenAI's form ({type(error).__name__})")

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
