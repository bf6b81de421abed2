"""The picker's HTTP pages, as the local stack reads them."""

from http import HTTPStatus

import aiohttp
import msgspec

from epp.edge.observe.explained import ExplainedDecision
from epp.edge.observe.pool_reading import EndpointReading

MOST_DECISIONS = 1_000


class _Error(msgspec.Struct, frozen=True):
    message: str


class _Problem(msgspec.Struct, frozen=True):
    error: _Error


class PickerPages:
    """Reads the pages at `url`; every method raises aiohttp.ClientError while the picker is down.

    `token` is a bearer token for pages that are guarded.
    """

    def __init__(self, session: aiohttp.ClientSession, url: str, token: str = "") -> None:
        self._session = session
        self._url = url
        self._headers = {"Authorization": f"Bearer {token}"} if token else {}

    async def decisions(self, limit: int = MOST_DECISIONS) -> list[ExplainedDecision]:
        """The newest first."""
        return msgspec.json.decode(await self._get(f"/debug/decisions?limit={limit}"), type=list[ExplainedDecision])

    async def endpoints(self) -> list[EndpointReading]:
        """Every endpoint of the pool."""
        return msgspec.json.decode(await self._get("/debug/endpoints"), type=list[EndpointReading])

    async def metric(self, name: str) -> float:
        """The sum of all series of one metric, 0 when there is none."""
        page = (await self._get("/metrics")).decode()
        lines = (line for line in page.splitlines() if line.startswith((f"{name} ", f"{name}{{")))
        return sum(float(line.rpartition(" ")[2]) for line in lines)

    async def unready_reason(self) -> str:
        """Why requests shall not come, in the picker's own words; empty when they may."""
        async with self._session.get(f"{self._url}/readyz") as response:
            if response.status == HTTPStatus.OK:
                return ""
            return msgspec.json.decode(await response.read(), type=_Problem).error.message

    async def _get(self, path: str) -> bytes:
        async with self._session.get(self._url + path, headers=self._headers) as response:
            response.raise_for_status()
            return await response.read()
