"""Answers what routes of analyses ask for: from the cache, or by a worker process, which gets the samples.

An answer has a tag of what it depends on: the series, the state of its points, and the query. A client that has the
answer of that tag gets 304.
"""

import asyncio
from collections.abc import Hashable
from typing import Any, Final

from litestar import Response

from tidemill.api.analyses import Analyses, Key, Work
from tidemill.api.body import ClientGoneError
from tidemill.api.reads_common import AnyRequest, ReadCall, ask_store, response_of
from tidemill.query.analysis import MAX_POINTS, AnalysedSeries, SampleArrays, task_subject
from tidemill.query.analysis_parameters import (
    AnalysisQuery,
)
from tidemill.query.answers import Page
from tidemill.query.states import answer_tag, unchanged

_CLIENT_GONE: Final = 499  # nobody reads this answer; it is counted
OTHERS: Final = 1  # the process of analyses that are no forecast
ANALYSIS_LIMIT: Final = f"Of at most {MAX_POINTS:,} values; `every` makes windows of more."
Computation = tuple[AnalysedSeries, Key, Work]  # what is analysed, the key of the answer, and the work that makes it


async def answer_analysis(
    call: ReadCall[Any], series: str, task: str, options: dict[str, Any], **chosen: Any
) -> Response[bytes]:
    """The answer of a task about the samples that the query of the call chooses; `chosen` as for `computation`."""
    _, key, work = await computation(call, series, task, options, **chosen)
    return await answer_computed(call, key, work)


async def computation(
    call: ReadCall[Any],
    series: str,
    task: str,
    options: dict[str, Any],
    *,
    prefer: int = OTHERS,
    latest: bool = False,
    most: int = MAX_POINTS,
    second: tuple[AnalysedSeries, AnalysisQuery] | None = None,
    depends_on: Hashable = None,
) -> Computation:
    """The computation of a task (of `analysis_tasks`, or `module:name`) about the samples that the query of the call
    chooses (`latest`: the last of them). `second` is another series, with the query of its samples; `depends_on` is
    what the answer depends on beside the samples and the query."""
    query, read = call.query, call.queries.analysis
    subject = await ask_store(lambda: read.subject(call.tenant, series, query.start, query.end))
    chosen = [(subject, query)] if second is None else [(subject, query), second]

    def samples() -> list[SampleArrays]:
        return [read.latest(each, wanted) if latest else read.samples(each, wanted, most) for each, wanted in chosen]

    def is_unchanged() -> bool:
        return all(read.is_unchanged(each) for each, _ in chosen)

    async def work() -> tuple[bytes, bool]:
        first, *others = await ask_store(samples)
        arguments = {"subject": task_subject(subject, query), "times_ns": first.times_ns, "values": first.values}
        arguments["options"] = options
        if others:
            arguments["second"] = (others[0].times_ns, others[0].values)
        body, lasting = await asyncio.gather(
            analyses_of(call.request).pool.call(task_name(task), arguments, prefer=prefer), ask_store(is_unchanged)
        )
        return body, lasting

    return subject, (task, *(each.key for each, _ in chosen), query, depends_on), work


async def answer_computed(call: ReadCall[Any], key: tuple[Any, ...], work: Any) -> Response[Any]:
    """The answer of a key, with the tag of what it depends on; none where the client has the answer of that tag."""
    tag = answer_tag(call.tenant, call.query, key[0], key)
    if tag in call.known:
        return response_of(call.request, unchanged(tag))
    try:
        body = await analyses_of(call.request).answer(key, work, call.request.receive)
    except ClientGoneError:
        return Response(b"", status_code=_CLIENT_GONE, media_type="application/json")
    return response_of(call.request, Page(body, etag=tag))


def analyses_of(request: AnyRequest) -> Analyses:
    """The analyses of the application of a request."""
    analyses: Analyses = request.app.state["analyses"]
    return analyses


def task_name(task: str) -> str:
    """The name by which worker processes know a task (of `analysis_tasks`, or `module:name`)."""
    return task if ":" in task else f"tidemill.query.analysis_tasks:{task}"
