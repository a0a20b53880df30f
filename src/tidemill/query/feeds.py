"""A whole feed in its own shape: plain points, summary rows, and rollup windows.

The feed's definition is the caller's to find; a feed without the shape that is asked for is an InputError that says
where its data is instead.
"""

from collections.abc import Collection, Sequence
from typing import Any, Final

import msgspec

from tidemill.errors import Fault, InputError
from tidemill.feeds.definition import Feed
from tidemill.model.time import duration_ns
from tidemill.query import answers, evidence
from tidemill.query.answers import Page
from tidemill.query.cursor import encode
from tidemill.query.parameters import (
    END,
    FIELD,
    MARKED,
    ORDER,
    QUALITY,
    START,
    TAGS,
    UNIT,
    Asked,
    Parameter,
    limit,
    page_cursor,
    time_range,
)
from tidemill.query.readers import choice, word
from tidemill.query.series import Hidden
from tidemill.store.client import Store

POINTS_PARAMETERS: Final = (
    START, END, UNIT, FIELD, TAGS, QUALITY, MARKED, limit(100_000, 1_000_000), page_cursor(int, int, int)
)  # fmt: skip
EVIDENCE: Final = Parameter(
    "evidence",
    "Add what each window should have held, and what became of the rest.",
    choice("true", "false"),
    {"type": "string", "enum": ["true", "false"]},
    "false",
)
ROLLUP_PARAMETERS: Final = (START, END, UNIT, ORDER, TAGS, EVIDENCE, limit(1000, 10_000), page_cursor(int, str))
_WINDOW_NAMES: Final = {"1m": "minute", "1h": "hour", "1d": "day"}
_OWN: Final = frozenset(p.name for p in (*POINTS_PARAMETERS, *ROLLUP_PARAMETERS))
_LOWEST: Final = -(2**63)


class FeedPoint(msgspec.Struct, frozen=True):
    """One point of a feed."""

    time: str
    value: float


class FeedQueries:
    """Reads a feed's points and rollups."""

    def __init__(self, store: Store, hidden: Hidden) -> None:
        self._store, self._hidden = store, hidden

    def points(self, tenant: str, feed: Feed, asked: Asked) -> Page:
        """A JSON array of FeedPoint by POINTS_PARAMETERS, in time order; missing samples are left out.

        Raises InputError unless the feed has points and `field` names one of several fields.
        """
        if asked["quality"] is not None and asked["marked"] is not None:
            message = "no point is both good and marked; ask for one of them"
            raise InputError(message, (Fault("$query.quality", "contradiction", message),))
        span = time_range(asked)
        first, series, ordinal = asked["cursor"] or (span.first_ns, 0, _LOWEST)
        bound = {
            **matching(tenant, feed, asked, self._hidden(tenant)),
            "field": _field(feed, asked["field"]),
            "first": first,
            "first_series": series,
            "first_ordinal": ordinal,
            "last": span.last_ns,
            "good": int(asked["quality"] == "good"),
            "mark": asked["marked"] or "",
            "limit": asked["limit"],
        }
        beyond = self._store.rows("feed_points_ahead", **bound)
        following = encode(beyond[0]["ns"], beyond[0]["series"], beyond[0]["ordinal"]) if beyond else None
        return Page(answers.array(self._store.stream("feed_points", "JSONEachRow", **bound)), next=following)

    def rollups(self, tenant: str, feed: Feed, asked: Asked) -> Page:
        """A JSON array of windows by ROLLUP_PARAMETERS: when it begins (`minute`, `hour` or `day` for windows of that
        length, else `time`), the tags, each field's aggregates, and `count`.

        The mean of a field has the field's own name, other aggregates `<field>_<aggregate>`. `evidence` adds that of
        `query.evidence`. Raises InputError for a feed without rollups.
        """
        if feed.rollups is None:
            raise shapeless(feed, "rollups", "keeps no rollups")
        span, sign = time_range(asked), -1 if asked["order"] == "desc" else 1
        after_ns, after_tags = asked["cursor"] or (before(sign), "")
        rows = self._store.rows(
            "rollup_rows",
            **matching(tenant, feed, asked, self._hidden(tenant)),
            every_s=duration_ns(feed.rollups.every) // 10**9,
            first=span.first_ns,
            last=span.last_ns,
            sign=sign,
            after_ns=after_ns,
            after_tags=after_tags,
            limit=asked["limit"] + 1,
        )
        page = rows[: asked["limit"]]
        following = encode(page[-1]["ns"], page[-1]["tags_text"]) if len(rows) > len(page) else None
        windows = [_window(row, feed) for row in page]
        if asked["evidence"] == "true":
            added = evidence.of_rows(self._store, tenant, feed, page)
            windows = [window | more for window, more in zip(windows, added, strict=True)]
        return answers.encoded(windows, following)


def with_tags(known: Sequence[Parameter], feed: Feed) -> tuple[Parameter, ...]:
    """`known` and the feed's own tags by their plain names: `user_id=a1` for `tag.user_id=a1`.

    A tag with the name of another parameter is only reached as `tag.NAME`.
    """
    taken = {parameter.name for parameter in known}
    names = [name for name in feed.tags if name not in taken]
    return (*known, *(Parameter(name, f"Only where the tag {name} has this value.", word, {}) for name in names))


def tag_filter(feed: Feed, asked: Asked) -> dict[str, str]:
    """The tags that a request filters by, under either spelling. Raises InputError when the two contradict."""
    plain = {name: asked[name] for name in feed.tags if isinstance(asked.get(name), str) and name not in _OWN}
    dotted: dict[str, str] = asked["tag."]
    clash = [name for name, value in plain.items() if dotted.get(name, value) != value]
    if clash:
        faults = tuple(Fault(f"$query.{n}", "repeated", f"'{n}' and 'tag.{n}' contradict each other") for n in clash)
        raise InputError(faults[0].message, faults)
    return {**plain, **dotted}


def matching(tenant: str, feed: Feed, asked: Asked, hidden: Collection[int]) -> dict[str, Any]:
    """The values that every query over a feed binds: tenant, feed, hidden series and tags."""
    tags = tag_filter(feed, asked)
    return {
        "tenant": tenant,
        "feed": feed.name,
        "hidden": sorted(hidden),
        "tag_keys": list(tags),
        "tag_values": list(tags.values()),
    }


def shapeless(feed: Feed, asked_for: str, why: str) -> InputError:
    """The error of a feed that has no data in the shape that was asked for."""
    has = {"summary": "rows", "points": "points", "samples": "series"}[feed.shape.kind]
    where = f"/v1/series?feed={feed.name}" if has == "series" else f"/v1/feeds/{feed.name}/{has}"
    message = f"The feed '{feed.name}' {why}; its data is at {where}"
    return InputError(message, (Fault(f"$path.{asked_for}", "no_such_shape", message),))


def before(sign: int) -> int:
    """The place before every instant in ascending (1) or descending (-1) order."""
    return -(2**63) + 1 if sign > 0 else 2**63 - 1


def _field(feed: Feed, asked: str | None) -> str:
    """The field to read: the one asked for, or the only one. Raises InputError."""
    if feed.shape.kind != "points":
        raise shapeless(feed, "points", "does not keep its records as points")
    if asked is None and len(feed.fields) == 1 and feed.registers is None:
        return next(iter(feed.fields))
    if asked is None:
        known = ", ".join(feed.fields) or "its registers"
        message = f"the feed '{feed.name}' has several fields; choose one with field= ({known})"
        raise InputError(message, (Fault("$query.field", "missing", message),))
    if asked not in feed.fields and feed.registers is None:
        message = f"the feed '{feed.name}' has no field '{asked[:80]}'; it has {', '.join(feed.fields)}"
        raise InputError(message, (Fault("$query.field", "invalid", message),))
    return asked


def _window(row: dict[str, Any], feed: Feed) -> dict[str, Any]:
    """One rollup window as it is answered; fields in the feed's order, null where a field had no point."""
    aggregates = feed.rollups.aggregates if feed.rollups else ()
    found = {name: place for place, name in enumerate(row["fields"])}
    names = [*feed.fields, *sorted(set(found) - set(feed.fields))]
    begins = _WINDOW_NAMES.get(feed.rollups.every if feed.rollups else "", "time")
    window: dict[str, Any] = {begins: row["time"], **{tag: row["tags"].get(tag) for tag in feed.tags}}
    for name in names:
        for aggregate in aggregates:
            column = row["counts"] if aggregate == "count" else row[f"{aggregate}s"]
            key = name if aggregate == "mean" else f"{name}_{aggregate}"
            window[key] = column[found[name]] if name in found else None
    return {**window, "count": row["count"]}
