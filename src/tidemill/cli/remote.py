"""Sends the requests of commands for which the client has no call of its own, and names the options in its errors."""

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from tidemill.cli.points_options import open_client
from tidemill.errors import InputError


class Remote:
    """A server, used as the tenant of the key. Every request is made once: the person who waits sees why at once."""

    def __init__(self, url: str, key: str) -> None:
        self.url, self._key = url, key

    def document(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, Any] | None = None,
        json: Any = None,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        renamed: tuple[str, str] = ("", ""),
    ) -> Any:
        """The document of a good answer. Raises the errors of the client; in the faults of an InputError the server's
        name of a text is replaced by ours (`renamed`: both)."""
        theirs, ours = renamed
        try:
            with open_client(self.url, self._key, patience_s=0) as client:
                return client.request(method, path, params, json=json, body=body, headers=headers)
        except InputError as error:
            if not theirs:
                raise
            moved = [msgspec.structs.replace(each, path=each.path.replace(theirs, ours, 1)) for each in error.faults]
            raise InputError(error.message.replace(theirs, ours), tuple(moved)) from None

    def lines(self, path: str, params: Mapping[str, Any]) -> Iterator[Any]:
        """Yields the documents of an answer with one document a line, as they come. Raises as `document`."""
        with open_client(self.url, self._key, patience_s=0) as client:
            yield from client.lines(path, params)
