"""What one tenant asks for takes no other tenant's turn: feeds compile in threads, streams are shared out."""

import asyncio
import threading

import httpx
import pytest

from tests.api.samples import problem
from tests.support.api import Api
from tidemill.api import followers
from tidemill.api.followers import Followers
from tidemill.api.job_request import verification_of
from tidemill.catalog.verifications import CatalogVerifications
from tidemill.errors import UnavailableError
from tidemill.feeds.book import FeedBook
from tidemill.feeds.definition import Feed
from tidemill.mill.progress import PartitionProgress
from tidemill.model.verification import VerifyRequest

TEXT = 'name = "shared"\n[time]\nformat = "received"\n[fields.v]\npath = "$.v"\n'


class _Applied:
    stopped = False
    progress = PartitionProgress()

    async def moves(self, timeout_s: float) -> None:
        raise AssertionError  # it has ended before it looks


def test_a_feed_is_at_hand_when_its_put_is_answered(api: Api) -> None:
    assert api.client.put("/v1/feeds/shared", content=TEXT).status_code == 201
    feed = api.services.book.cached("default", "shared")
    assert feed is not None
    assert feed.version == 1


def test_a_feed_is_compiled_in_a_thread(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    assert api.client.put("/v1/feeds/shared", content=TEXT).status_code in (200, 201)
    threads, current = list[int](), FeedBook.current

    def seen(book: FeedBook, tenant: str, name: str) -> Feed:
        threads.append(threading.get_ident())
        return current(book, tenant, name)

    monkeypatch.setattr(FeedBook, "current", seen)
    loops = list[int]()
    api.call(lambda: loops.append(threading.get_ident()))
    api.services.book.refresh()
    for _ in range(3):
        assert api.client.post("/v1/feeds/shared", json={"v": 1}).status_code == 202
    assert threads  # once, or again where the book was refreshed by itself meanwhile
    assert loops[0] not in threads


def test_a_tenant_takes_some_of_the_streams(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(followers, "MAX_STREAMS", 3)
    monkeypatch.setattr(followers, "MAX_STREAMS_OF_TENANT", 2)

    async def story() -> None:
        streams = Followers(None, _Applied())  # type: ignore[arg-type]
        held = [streams.add_follower("a"), streams.add_follower("a")]
        with pytest.raises(UnavailableError, match="You have 2"):
            streams.add_follower("a")
        held.append(streams.add_follower("b"))
        with pytest.raises(UnavailableError, match="There are 3"):
            streams.add_follower("b")
        streams.remove_follower(held[0])
        held.append(streams.add_follower("a"))

    asyncio.run(story())


def test_a_tenant_has_one_verification_at_a_time(api: Api) -> None:
    jobs = CatalogVerifications(api.services.catalog)

    def ask(*tenants: str) -> httpx.Response:
        """The answer while verifications of these tenants are under way."""
        under_way = [verification_of(tenant, VerifyRequest(), 0) for tenant in tenants]
        for job in under_way:
            jobs.create(job)
        try:
            return httpx.get(f"{api.url}/v1/verify", trust_env=False)
        finally:
            for job in under_way:
                jobs.cancel(job.tenant, job.id, 0)

    for tenants in (["default"], ["a", "b"]):
        refused = ask(*tenants)
        problem(refused, 503, "unavailable")
        assert int(refused.headers["retry-after"]) >= 1
    for tenants in (["a"], ["a", "a"]):  # nobody is in its way; the store of this API is not there
        problem(ask(*tenants), 503, "store_unavailable")
    assert jobs.under_way() == []
