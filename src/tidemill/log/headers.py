"""What the log holds of an entry beside its body: enough to choose what is applied next, and how much at once."""

import msgspec

from tidemill.model.payload import Kind


class Header(msgspec.Struct, frozen=True, gc=False):
    """An entry of the log without its body: `size_bytes` is the length of that."""

    seq: int
    tenant: str
    feed: str
    kind: Kind
    size_bytes: int
