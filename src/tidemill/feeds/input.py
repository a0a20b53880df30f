"""How payloads come, as data: their formats, where records are, and the layout of binary ones."""

from typing import Literal

from tidemill.feeds.table import Table


class Layout(Table, frozen=True):
    """Binary records of a fixed size, one after the other; a payload is a header (`header_bytes`, may be 0) and any
    number of records of `record_bytes` each. What stands where: `at`, `in` and `type` of [time], tags, attributes and
    fields; bytes that nothing names are passed over. A payload of any other size is a fault, `wrong_size`. The time is
    an integer or `float64` (`type`) counted in the unit of its `format` (`unix_s` ...), or the time of receipt.
    Faults name a record and its member: `$[3].level`. The ledger keeps a rejected record's bytes in hexadecimal."""

    record_bytes: int
    header_bytes: int = 0


class Input(Table, frozen=True):
    """How a payload splits into records.

    `formats`: `json` and `ndjson`; or one of `binary` (records of a fixed [input.layout]), `base64` and `hex` (such
    bytes as text, spaces and line breaks passed over), whatever content type the payload has; or formats that
    installed decoders bring (entry-point group `tidemill.decoders`).
    `records` is where the record, or the array of records, is in a JSON document. `on_fault` says what a record that
    breaks the contract (not JSON, missing, wrong type, out of range, not finite) leads to: `refuse` answers 400 at once
    and keeps bytes and reasons in the ledger; `reject` takes the payload and rejects the record in the mill. To hold no
    record at all is such a fault for `refuse`, unless the feed has a source: that may have nothing to give.
    """

    formats: tuple[str, ...] = ("json", "ndjson")
    records: str = "$"
    on_fault: Literal["refuse", "reject"] = "refuse"
    layout: Layout | None = None
