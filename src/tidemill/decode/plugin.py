"""The contract of decoders from other packages: bytes of their format -> plain records, which the JSON readers check.

A package names its decoder in its metadata, the key being the format that a feed's [input] names:

    [project.entry-points."tidemill.decoders"]
    nmea = "their_package.nmea:Nmea"

A decoder must always return the same records for the same bytes: intake decodes to check, the mill to store, a replay
once more. Whatever it raises is a fault of that payload, `undecodable`.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import msgspec

from tidemill.decode.table_json import TableForm, table_json
from tidemill.feeds.formats import TABLE_FORMATS, plugin_decoders


class PayloadDecoder(Protocol):
    """A decoder: an object, or a class that is called without arguments once a process. Used by several threads."""

    media_types: tuple[str, ...]
    """Content types, lower case and without parameters, by which a payload is known to be of this format. A feed that
    takes no other format takes vague ones (text/plain, application/octet-stream, none) for it as well."""

    def records(self, body: bytes) -> Sequence[Mapping[str, Any]]:
        """The records of a payload, in order: members as JSON has them (texts, numbers, true, false, None, lists,
        mappings), where the feed's paths find them; bytes become base64 and datetimes RFC 3339. Raises ValueError with
        a sentence for bytes that are not of the format."""
        ...


def as_json(name: str, body: bytes, form: TableForm) -> bytes:
    """A payload of a table (read as `form` says) or of a plug-in's format as a JSON array of its records. Raises
    ValueError with a sentence for whatever the plug-in raises."""
    if name in TABLE_FORMATS:
        return table_json(name, body, form)
    try:
        records = [dict(record) for record in plugin_decoders()[name].records(body)]
        return _encode(records)
    except ValueError as error:
        raise ValueError(f"{error}" or f"the decoder '{name}' makes nothing of it") from None
    except (Exception, SystemExit) as error:  # of the plug-in's code: no payload may end a process
        raise ValueError(f"the decoder '{name}' failed: {type(error).__name__}: {error}") from None


def _encode(records: list[dict[str, Any]]) -> bytes:
    try:
        return json.dumps(records, ensure_ascii=False, default=msgspec.to_builtins).encode()
    except UnicodeEncodeError:  # half a surrogate pair: the strict reader names its path
        return json.dumps(records, default=msgspec.to_builtins).encode()
