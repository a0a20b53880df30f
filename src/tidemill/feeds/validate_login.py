"""Validates the body and the credentials of a [source]: one body, one way to authenticate."""

from collections.abc import Iterator
from typing import Final

from tidemill.feeds.convert import DefinitionFault
from tidemill.feeds.source import Source

LOGIN_KEYS: Final = ("body", "basic", "api_key", "oauth2")


def login_faults(source: Source) -> Iterator[DefinitionFault]:
    """Every fault of `body`, `basic`, `api_key` and `oauth2`."""
    yield from _body_faults(source)
    written = {name.lower() for name in source.headers}
    ways = [name for name in ("basic", "oauth2") if getattr(source, name) is not None]
    if "authorization" in written:
        ways.append("headers.Authorization")
    key = source.api_key
    if key is not None:
        if (key.header is None) == (key.param is None):
            message = "say how the key is sent: header = 'X-Api-Key' or param = 'key', not both"
            yield DefinitionFault(("source", "api_key", "header"), "conflict" if key.header else "missing", message)
        if key.header is not None and key.header.lower() == "authorization":
            ways.append("api_key")
        if key.prefix and key.header is None:
            yield DefinitionFault(("source", "api_key", "prefix"), "conflict", "a prefix is for a key in a header")
    if len(ways) > 1:
        message = f"all of them are sent as the header Authorization ({', '.join(ways)}); keep one"
        yield DefinitionFault(("source", ways[0]), "conflict", message)
    oauth2 = source.oauth2
    if oauth2 is not None:
        if not oauth2.token_url.startswith(("http://", "https://")):
            yield DefinitionFault(("source", "oauth2", "token_url"), "bad_url", "write it as https://host/path")
        if not oauth2.client_secret and not oauth2.refresh_token:
            message = "a client without a secret needs a refresh_token"
            yield DefinitionFault(("source", "oauth2", "client_secret"), "missing", message)


def _body_faults(source: Source) -> Iterator[DefinitionFault]:
    body = source.body
    if body is None:
        return
    given = [name for name in ("json", "form", "text", "graphql") if getattr(body, name) is not None]
    if len(given) != 1:
        message = f"a body is one of json, form, text and graphql; this has {', '.join(given) or 'none'}"
        yield DefinitionFault(("source", "body"), "conflict" if given else "missing", message)
    if body.variables and body.graphql is None:
        yield DefinitionFault(("source", "body", "variables"), "conflict", "variables are for graphql")
