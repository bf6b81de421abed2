"""Lists, watches, and everything that an API server may do in between; in virtual time."""

import asyncio
from collections.abc import Sequence

import pytest

from epp.edge.objects.kubernetes.errors import ApiError, Silent, Unreachable, status_error
from epp.edge.objects.kubernetes.reflector import (
    FORBIDDEN_RETRY_S,
    MISSING_RETRY_S,
    PAGE_OBJECTS,
    Condition,
    Named,
    Reflector,
    Sync,
)
from epp.edge.objects.kubernetes.resources import Resource, pods
from tests.support.scripted_api import (
    ScriptedApi,
    VirtualTime,
    bookmark,
    event,
    gone_event,
    named,
    page,
    refused,
    watch,
)

PODS = pods("default", "app=vllm")
DOWN = Unreachable("https://api.test cannot be asked: refused")


class Heard:
    """Follower that keeps the names that are there, and everything in order."""

    def __init__(self) -> None:
        self.versions: dict[str, str] = {}
        self.log: list[str] = []
        self.conditions: list[Condition] = []

    def listed(self, resource: Resource, objects: Sequence[Named]) -> None:
        self.versions = {found.meta.name: found.meta.resource_version for found in objects}
        self.log.append(f"listed {' '.join(sorted(self.versions))}".strip())

    def stored(self, resource: Resource, found: Named) -> None:
        self.versions[found.meta.name] = found.meta.resource_version
        self.log.append(f"stored {found.meta.name}")

    def removed(self, resource: Resource, name: str) -> None:
        del self.versions[name]
        self.log.append(f"removed {name}")

    def condition_changed(self, resource: Resource, condition: Condition) -> None:
        self.log.append(condition.sync.value)
        self.conditions.append(condition)


class Ran:
    """A reflector that ran until its script was at its end."""

    def __init__(self, *steps: object, half: float = 0.5) -> None:
        self.time = VirtualTime()
        self.heard = Heard()
        self.api = ScriptedApi(*steps)
        self.reflector = Reflector(
            self.api.as_server(), PODS, self.heard, clock=self.time.clock, sleep=self.time.sleep, random=lambda: half
        )

    async def to_the_end(self) -> "Ran":
        running = asyncio.ensure_future(self.reflector.run())
        ended = asyncio.ensure_future(self.api.idle.wait())
        await asyncio.wait((running, ended), return_when=asyncio.FIRST_COMPLETED)
        if running.done():
            running.result()
        running.cancel()
        await asyncio.wait((running,))
        return self

    @property
    def queries(self) -> list[dict[str, str]]:
        return [query for _, query in self.api.asked]

    @property
    def watched_from(self) -> list[str]:
        return [query["resourceVersion"] for query in self.queries if "watch" in query]


async def run(*steps: object) -> Ran:
    return await Ran(*steps).to_the_end()


async def test_a_list_and_then_a_watch_from_its_version() -> None:
    ran = await run(
        page(named("a", "3"), named("b", "4"), version="7"),
        watch(event("ADDED", named("c", "8")), event("MODIFIED", named("a", "9")), event("DELETED", named("b", "10"))),
    )
    assert ran.heard.log == ["listed a b", "synced", "stored c", "stored a", "removed b"]
    assert ran.heard.versions == {"a": "9", "c": "8"}
    listing, watching, again = ran.queries
    assert listing == {"labelSelector": "app=vllm", "limit": str(PAGE_OBJECTS)}
    assert watching == {
        "labelSelector": "app=vllm",
        "watch": "1",
        "allowWatchBookmarks": "true",
        "resourceVersion": "7",
        "timeoutSeconds": "450",
    }
    assert again["resourceVersion"] == "10", "the next watch goes on where the last one was"
    assert ran.api.asked[0][0] == "/api/v1/namespaces/default/pods"
    assert ran.time.sleeps == [], "an orderly end costs no wait"
    assert ran.reflector.lists == 1


async def test_a_list_comes_in_pages() -> None:
    ran = await run(
        page(named("a"), version="7", following="next"), page(named("b"), version="7", following="last"), page()
    )
    assert ran.heard.log == ["listed a b", "synced"]
    assert [query.get("continue") for query in ran.queries[:3]] == [None, "next", "last"]
    assert all(query["limit"] == str(PAGE_OBJECTS) for query in ran.queries[:3])


async def test_a_token_that_became_too_old_costs_one_list_without_pages() -> None:
    ran = await run(page(named("a"), following="next"), refused(410), page(named("a"), named("b"), version="9"))
    assert ran.heard.log == ["listed a b", "synced"]
    assert "limit" not in ran.queries[2]
    assert ran.watched_from == ["9"]
    assert ran.reflector.lists == 1


async def test_bookmarks_keep_the_version_fresh() -> None:
    ran = await run(page(version="5"), watch(bookmark("50")), watch(bookmark("90")))
    assert ran.watched_from == ["5", "50", "90"]
    assert ran.heard.log == ["listed", "synced"], "and are nothing else"


@pytest.mark.parametrize("gone", [watch(gone_event()), refused(410)], ids=["event", "status"])
async def test_a_forgotten_version_is_listed_anew(gone: object) -> None:
    ran = await run(page(named("a"), named("b"), version="5"), gone, page(named("b"), version="90"))
    assert ran.heard.log == ["listed a b", "synced", "listed b"]
    assert ran.watched_from == ["5", "90"]
    assert ran.reflector.lists == 2
    assert all(wait < 1 for wait in ran.time.sleeps)


async def test_a_version_that_was_forgotten_during_an_outage_is_listed_at_once_when_it_is_over() -> None:
    ran = await run(page(version="5"), watch(bookmark("8"), DOWN), *[DOWN] * 8, watch(gone_event()), page(version="90"))
    assert ran.watched_from[-1] == "90"
    assert ran.time.sleeps[-2:] == [3.75, 0.1875]


async def test_lists_whose_version_is_forgotten_at_once_are_not_repeated_without_a_pause() -> None:
    again = (page(version="5"), watch(gone_event()))
    ran = await run(*again, *again, *again, page(version="9"), watch(bookmark("10")), watch(gone_event()), page())
    assert ran.time.sleeps == [0.1875, 0.375, 0.75, 0.1875]


async def test_a_server_that_is_down_at_the_start_is_waited_for() -> None:
    ran = await run(DOWN, DOWN, DOWN, page(named("a")))
    assert ran.heard.log == ["waiting", "listed a", "synced"]
    assert ran.time.sleeps == [0.1875, 0.375, 0.75], "twice as long each time, with jitter"


async def test_a_server_that_goes_away_leaves_what_was_read_and_no_list_is_needed_afterwards() -> None:
    ran = await run(page(named("a"), version="5"), watch(bookmark("8"), DOWN), DOWN, DOWN, watch(bookmark("9")))
    assert ran.heard.log == ["listed a", "synced", "stale", "synced"]
    assert ran.heard.versions == {"a": "1"}
    assert ran.watched_from == ["5", "8", "8", "8", "9"]
    assert ran.reflector.lists == 1
    assert ran.time.sleeps == [0.1875, 0.375], "the first time it is asked again at once"


async def test_a_watch_that_breaks_off_and_can_be_begun_anew_is_no_trouble() -> None:
    ran = await run(page(named("a"), version="5"), watch(bookmark("8"), DOWN), watch(bookmark("9"), DOWN), watch())
    assert ran.heard.log == ["listed a", "synced"]
    assert ran.watched_from[:3] == ["5", "8", "9"]


async def test_the_longest_wait_for_a_server_that_is_away() -> None:
    ran = await run(*[DOWN] * 12, page())
    assert ran.time.sleeps[-3:] == [3.75, 3.75, 3.75]


async def test_what_a_server_asks_for_is_waited() -> None:
    busy = status_error(429, "GET /path", b"", "25")
    overloaded = status_error(503, "GET /path", b'{"details": {"retryAfterSeconds": 4}}')
    ran = await run(busy, overloaded, page())
    assert ran.time.sleeps == [25.0, 4.0]


async def test_a_silent_watch_is_begun_anew_and_is_no_trouble() -> None:
    ran = await run(page(named("a"), version="5"), watch(bookmark("8"), Silent("nothing for 90 s")), watch())
    assert ran.heard.log == ["listed a", "synced"]
    assert ran.watched_from[:2] == ["5", "8"]
    assert set(ran.api.silences_s) == {90.0}


async def test_watches_that_end_at_once_are_not_repeated_without_a_pause() -> None:
    ran = await run(page(version="5"), watch(), watch(), watch(), watch(bookmark("6")), watch())
    assert ran.time.sleeps == [0.1875, 0.375, 0.75, 0.1875], "and the pauses begin anew when one has worked"


async def test_a_line_that_is_no_event_is_trouble_with_the_server() -> None:
    ran = await run(page(named("a"), version="5"), watch(b"<html>"), watch(bookmark("6")))
    assert ran.heard.log == ["listed a", "synced", "stale", "synced"]
    ran = await run(b"<html>", page(named("a")))
    assert ran.heard.log == ["waiting", "listed a", "synced"]


async def test_a_missing_resource_has_no_objects_and_is_looked_for_again() -> None:
    ran = await run(refused(404), refused(404), page(named("a")))
    assert ran.heard.log == ["listed", "missing", "listed", "listed a", "synced"]
    assert ran.time.sleeps == [MISSING_RETRY_S, MISSING_RETRY_S]


async def test_a_resource_that_goes_takes_its_objects_along() -> None:
    ran = await run(page(named("a"), version="5"), watch(bookmark("6")), refused(404), refused(404), page())
    assert ran.heard.log[:4] == ["listed a", "synced", "listed", "missing"]


async def test_what_rbac_forbids_is_named_and_tried_again() -> None:
    ran = await run(refused(403, 'User "x" cannot list resource "pods"'), page(named("a")))
    assert ran.heard.conditions == [
        Condition(
            Sync.FORBIDDEN,
            "RBAC gives no right to list pods in namespace default; add it to the picker's Role "
            '(User "x" cannot list resource "pods")',
        ),
        Condition(Sync.SYNCED),
    ]
    assert ran.time.sleeps == [FORBIDDEN_RETRY_S]


async def test_a_right_that_is_taken_away_leaves_what_was_read() -> None:
    ran = await run(page(named("a"), version="5"), refused(403, "no"), refused(403, "no"), page(named("a")))
    assert ran.heard.log == ["listed a", "synced", "forbidden", "forbidden", "listed a", "synced"]
    assert ran.heard.versions == {"a": "1"}


async def test_any_other_refusal_is_repeated_in_the_servers_words() -> None:
    error: ApiError = refused(400, "unable to parse requirement")
    ran = await run(error, page())
    assert ran.heard.log == ["waiting", "listed", "synced"]
    assert "400 Bad Request: unable to parse requirement" in str(error)
