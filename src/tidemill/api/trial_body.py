"""Decodes the body of `POST /v1/feeds/trial`: a definition, and at most one sample."""

import base64
import binascii
from typing import Final

import msgspec

from tidemill.api.json_body import convert_document, decode_document, refuse_faults
from tidemill.errors import Fault
from tidemill.feeds.convert import Table
from tidemill.model.time import parse_instant

MAX_SAMPLE: Final = 1 << 20  # bytes; a sample is for people, and is judged again with every key that they press
MAX_DEFINITION: Final = 256 << 10  # bytes, as of `PUT /v1/feeds/{feed}`
MAX_SHOWN: Final = 1000
_SAMPLES: Final = ("sample", "sample_base64", "receipt")


class TrialBody(Table, frozen=True, kw_only=True):
    """A definition (TOML), and the sample to try it on: a text, bytes in Base64, or the bytes of a receipt; without any
    only the definition is checked. `feed`: the feed that the definition is a version of, where it names none.
    `content_type` as a request with the sample would have it; `received_at` (RFC 3339): when the sample counts as
    received (default: now; of a receipt, when it was). Answered are `limit` records from the index `first` on."""

    definition: str
    feed: str | None = None
    sample: str | None = None
    sample_base64: str | None = None
    receipt: str | None = None
    content_type: str | None = None
    received_at: str | None = None
    first: int = 0
    limit: int = 200


class TrialRequest(msgspec.Struct, frozen=True):
    """A body without faults: the sample's bytes (null: none, or those of `body.receipt`), and the time of receipt in ns
    (null: not given)."""

    body: TrialBody
    sample: bytes | None
    received_ns: int | None


def decode_trial(raw: bytes) -> TrialRequest:
    """The request of a body. Raises InputError naming every fault by its path."""
    body, faults = convert_document(decode_document(raw), TrialBody)
    if body is None:
        refuse_faults(faults)
    assert body is not None
    sample = _sample(body, faults)
    received_ns = _received_ns(body, faults)
    if len(body.definition.encode("utf-8", "surrogatepass")) > MAX_DEFINITION:
        faults.append(Fault("$.definition", "too_long", f"a definition has at most {MAX_DEFINITION >> 10} KiB"))
    if not 1 <= body.limit <= MAX_SHOWN:
        faults.append(Fault("$.limit", "out_of_range", f"must be 1 to {MAX_SHOWN}"))
    if not 0 <= body.first < 1 << 20:
        faults.append(Fault("$.first", "out_of_range", "must be the index of a record, 0 to 1048575"))
    refuse_faults(faults)
    return TrialRequest(body, sample, received_ns)


def _sample(body: TrialBody, faults: list[Fault]) -> bytes | None:
    given = [name for name in _SAMPLES if getattr(body, name) is not None]
    if len(given) > 1:
        faults.append(Fault(f"$.{given[1]}", "conflict", f"give one of {', '.join(_SAMPLES)}, not {len(given)}"))
        return None
    sample: bytes | None = None
    if body.sample is not None:
        sample = body.sample.encode("utf-8", "surrogatepass")
    elif body.sample_base64 is not None:
        try:
            sample = base64.b64decode(body.sample_base64, validate=True)
        except (ValueError, binascii.Error) as error:
            faults.append(Fault("$.sample_base64", "undecodable", f"must be Base64 (RFC 4648): {error}"))
    if sample is not None and len(sample) > MAX_SAMPLE:
        message = f"has {len(sample):,} bytes; a sample has at most {MAX_SAMPLE:,}"
        faults.append(Fault(f"$.{given[0]}", "too_long", message))
    return sample


def _received_ns(body: TrialBody, faults: list[Fault]) -> int | None:
    if body.received_at is None:
        return None
    try:
        return parse_instant(body.received_at)
    except ValueError as error:
        faults.append(Fault("$.received_at", "time_invalid", str(error)))
        return None
