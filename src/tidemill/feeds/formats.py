"""The formats that a feed can take: Tidemill's own, and those of installed decoders (`decode/plugin.py`)."""

import logging
from functools import cache
from typing import Any, Final

from tidemill.plugins import DECODERS, load_plugins

log = logging.getLogger(__name__)

JSON_FORMATS: Final = ("json", "ndjson")
LAYOUT_FORMATS: Final = ("binary", "base64", "hex")
TABLE_FORMATS: Final = ("line_protocol", "csv", "arrow", "parquet")
OPEN_FORMATS: Final = ("ndjson", *TABLE_FORMATS)


@cache
def plugin_decoders() -> dict[str, Any]:
    """The decoders of installed packages by the name of their format; a class is instantiated. An object that is no
    decoder is logged as an error and left out."""
    decoders = {}
    for name, given in load_plugins(DECODERS).items():
        if name in (*JSON_FORMATS, *LAYOUT_FORMATS, *TABLE_FORMATS):
            log.error("a plug-in cannot take over the format '%s'", name)
            continue
        try:
            decoder = given() if isinstance(given, type) else given
            if not callable(decoder.records) or not isinstance(decoder.media_types, tuple):
                raise TypeError("it needs a method 'records' and a tuple of 'media_types'")
        except Exception as error:  # code of another package may raise anything
            log.error("the decoder '%s' cannot be used: %s: %s", name, type(error).__name__, error)
        else:
            decoders[name] = decoder
    return decoders


def known_formats() -> tuple[str, ...]:
    """Every format that a feed may name."""
    return (*JSON_FORMATS, *LAYOUT_FORMATS, *TABLE_FORMATS, *plugin_decoders())
