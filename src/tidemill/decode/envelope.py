"""Unwraps binary payloads: sent as they are, as base64, or as hexadecimal digits."""

import binascii
from typing import Final

_WHITE: Final = b" \t\r\n"


def unwrap(body: bytes, format: str) -> bytes:
    """The bytes of a payload of a format (`binary`, `base64`, `hex`); white space in text is ignored. Raises ValueError
    with a sentence."""
    if format == "binary":
        return body
    text = body.translate(None, _WHITE)
    try:
        if format == "hex":
            return binascii.unhexlify(text)
        return binascii.a2b_base64(text, strict_mode=True)
    except binascii.Error as error:
        name = "hexadecimal digits" if format == "hex" else "base64 (RFC 4648, with its padding)"
        raise ValueError(f"must be {name}: {str(error)[:1].lower()}{str(error)[1:]}") from None
