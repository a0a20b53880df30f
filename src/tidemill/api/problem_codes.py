"""The table of problem codes: status, title and remedy of each. Answers and the docs page of problems use it."""

from typing import Final

import msgspec


class Meaning(msgspec.Struct, frozen=True):
    """The meaning of a problem code: its HTTP status, its title, and what to do about it."""

    status: int
    title: str
    help: str


PROBLEMS: Final[dict[str, Meaning]] = {
    "invalid": Meaning(
        400,
        "What was sent cannot be taken",
        "`errors` names every fault with its place. Of a payload that a feed refused, the bytes and the reasons are "
        "kept: `receipt` names them.",
    ),
    "feed_invalid": Meaning(400, "The feed definition is at fault", "`errors` names every fault with its line."),
    "unauthorized": Meaning(
        401, "A key is needed", "Send `Authorization: Bearer KEY` or `X-API-Key: KEY`; `tidemill key create` makes one."
    ),
    "forbidden": Meaning(403, "The key may not do this", "Use a key with the scope that `detail` names."),
    "cross_site": Meaning(
        403,
        "A page of another site sent this",
        "What changes something is taken from programs, and from pages of this server itself. A name of this server "
        "that it does not know goes into the setting TIDEMILL_HOSTS.",
    ),
    "csrf": Meaning(
        403,
        "The token of the page is missing",
        "Send `X-Tidemill-CSRF` with the value of `csrf` from `GET /v1/session`. Programs use a key and need none.",
    ),
    "not_found": Meaning(404, "No such thing", "It never was, it is gone, or it belongs to another tenant."),
    "method_not_allowed": Meaning(405, "The method is not allowed here", "The `Allow` header lists those that are."),
    "too_slow": Meaning(408, "The request took too long to arrive", "Send it again, whole, within the stated time."),
    "conflict": Meaning(
        409, "The request contradicts an earlier one", "Use a new Idempotency-Key for another body, or the same body."
    ),
    "not_deletable": Meaning(
        409,
        "This series cannot be deleted by itself",
        "Its points come from records that other series have points of, too. Delete records, by tags or range, with "
        "`DELETE /v1/feeds/{feed}/points`.",
    ),
    "gone": Meaning(410, "It was deleted on request", "Its receipt stays as a proof; the bytes do not come back."),
    "feed_removed": Meaning(
        410,
        "The feed was removed",
        "`detail` says when, and what became of its data. `PUT /v1/feeds/{feed}` with a definition brings it back.",
    ),
    "version_mismatch": Meaning(
        412, "Another version is in force", "Nothing was changed. Read that version, and make the change to it."
    ),
    "too_large": Meaning(413, "The body is over a stated limit", "`errors` names the limit. Send smaller payloads."),
    "series_limit": Meaning(
        422,
        "It would make more series than a tenant may have",
        "Nothing was kept. Take a tag that never repeats out of the tags, or raise the limit that `detail` names.",
    ),
    "uri_too_long": Meaning(414, "The request line is too long", "Shorten the URL."),
    "unsupported_media_type": Meaning(
        415, "The format cannot be read", "`detail` lists the content types and encodings that are taken."
    ),
    "range_not_satisfiable": Meaning(
        416,
        "There are no such bytes",
        "Ask for a range that begins before the end. `detail` has the size.",
    ),
    "expectation_failed": Meaning(417, "What is expected cannot be met", "Send `Expect: 100-continue`, or no Expect."),
    "misdirected": Meaning(
        421,
        "This server has no such name",
        "Use an address or a name that it has. An operator adds names with the setting TIDEMILL_HOSTS.",
    ),
    "query_limit": Meaning(
        422, "The question is too big", "Ask for a shorter range, fewer series or coarser steps, or page with `limit`."
    ),
    "series_unfit": Meaning(
        422, "The series is not fit for the question", "`detail` says why, and what can be asked of it instead."
    ),
    "not_enough_points": Meaning(
        422,
        "The series has too few values for the question",
        "`detail` says how many are needed and how many there are. Ask for a longer range, or for less.",
    ),
    "uneven_sampling": Meaning(
        422,
        "The series has no common interval",
        "Ask for windows of one length: `every=15m`, with `agg` for what a window is worth.",
    ),
    "wrong_keys": Meaning(
        429,
        "Too many wrong keys came from this address",
        "Send a right key, at once; or no more wrong ones for `Retry-After` seconds.",
    ),
    "headers_too_large": Meaning(
        431,
        "What a request has besides its body is over the stated limit",
        "Send fewer or shorter headers, chunk extensions and trailers.",
    ),
    "damaged": Meaning(
        500,
        "What is kept of it is damaged",
        "A disk changed bytes; `detail` names what and where, and `tidemill verify` lists all of it. An operator can "
        "run `tidemill verify --repair`, or put back a backup. The rest is served.",
    ),
    "internal": Meaning(
        500, "Something unexpected happened", "It is ours, not yours. Report the `incident` id; the server logged it."
    ),
    "log_lacks": Meaning(
        501,
        "The log of this server cannot do this",
        "`detail` says what, and what to do instead. It depends on how the server is run.",
    ),
    "unavailable": Meaning(503, "A part is not there now", "Send the same request again after `Retry-After` seconds."),
    "feed_damaged": Meaning(
        503, "A feed's definition is damaged in the catalog", "An operator puts the catalog back from a backup."
    ),
    "overloaded": Meaning(
        503, "Too much is in flight", "Nothing was stored. Send the same request again after `Retry-After` seconds."
    ),
    "log_unavailable": Meaning(
        503, "The log cannot make anything durable now", "Nothing was acknowledged. Send it again after `Retry-After`."
    ),
    "log_corrupt": Meaning(503, "The log is not what it was", "Nothing was acknowledged. An operator has to look."),
    "store_unavailable": Meaning(
        503, "The store cannot be reached", "Payloads are still accepted. Ask again after `Retry-After` seconds."
    ),
    "disk_full": Meaning(
        507, "Too little free disk to store anything", "Free some space on the server. Reads go on meanwhile."
    ),
}
