"""Sends the commands' requests to a server, and turns problem documents into errors."""

from typing import TYPE_CHECKING, Any, Final

import msgspec

from tidemill.errors import (
    AccessError,
    ConflictError,
    Fault,
    InputError,
    NotFoundError,
    StartupError,
    TidemillError,
    UnavailableError,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    import httpx

_TIMEOUT_S: Final = 30.0
_LINE_TIMEOUT_S: Final = 300.0  # from one line to the next


class Remote:
    """A server, used as the tenant of the key."""

    def __init__(self, url: str, key: str, *, timeout_s: float = _TIMEOUT_S) -> None:
        self.url = url.rstrip("/")
        self._headers = {"Authorization": f"Bearer {key}"} if key else {}
        self._timeout_s = timeout_s

    def send_request(self, method: str, path: str, **options: Any) -> "httpx.Response":
        """The answer to one request, of any status; `options` are httpx's. Raises UnavailableError, StartupError."""
        import httpx  # here, because the import takes 0.2 s and commands on a data folder do not need it

        headers = self._headers | options.pop("headers", {})
        try:
            with httpx.Client(base_url=self.url, timeout=self._timeout_s, trust_env=False) as http:
                return http.request(method, path, headers=headers, **options)
        except (httpx.InvalidURL, httpx.HTTPError) as error:
            raise _no_answer(self.url, error) from None

    def document(self, method: str, path: str, **options: Any) -> Any:
        """The document of a good answer. Raises the error of a problem document."""
        return read_document(self.send_request(method, path, **options))

    def lines(self, method: str, path: str, **options: Any) -> "Iterator[Any]":
        """Yields the documents of an answer with one document a line, as they come. Raises as `document`."""
        import httpx

        try:
            with (
                httpx.Client(base_url=self.url, timeout=_LINE_TIMEOUT_S, trust_env=False) as http,
                http.stream(method, path, headers=self._headers, **options) as answer,
            ):
                if not answer.is_success:
                    answer.read()
                    read_document(answer)
                yield from (msgspec.json.decode(line) for line in answer.iter_lines() if line)
        except (httpx.InvalidURL, httpx.HTTPError) as error:
            raise _no_answer(self.url, error) from None


def _no_answer(url: str, error: Exception) -> TidemillError:
    """The error of a request that got no answer, with the options that name another server."""
    import httpx

    if isinstance(error, httpx.InvalidURL | httpx.UnsupportedProtocol):
        return StartupError(f"--url must be like http://127.0.0.1:8080, not '{url}'")
    why = str(error) or type(error).__name__
    if not isinstance(error, httpx.ConnectError):
        return UnavailableError(f"No answer from {url}: {why}")
    return UnavailableError(
        f"No answer from {url}: {why}. Is a server running there? `tidemill serve` starts one; name another with --url "
        "or TIDEMILL_URL."
    )


def read_document(answer: "httpx.Response", theirs: str = "", ours: str = "") -> Any:
    """The document of an answer. Raises the error of a problem document; in its texts the server's name of a text
    (`theirs`) is replaced by `ours`."""
    try:
        document = answer.json()
    except ValueError:
        document = None
    if not isinstance(document, dict):
        raise TidemillError(f"{answer.url} is no Tidemill: it answered {answer.status_code} and no JSON document.")
    if answer.is_success:
        return document
    detail = str(document.get("detail", answer.status_code)).replace(theirs, ours)
    if answer.status_code in (401, 403):
        raise AccessError(f"{detail} Give one with --key or TIDEMILL_KEY.")
    if answer.status_code == 404:
        raise NotFoundError(detail)
    if answer.status_code == 409:
        raise ConflictError(detail)
    if answer.status_code >= 500:
        raise UnavailableError(detail)
    faults = msgspec.convert(document.get("errors", []), tuple[Fault, ...])
    moved = (msgspec.structs.replace(fault, path=fault.path.replace(theirs, ours, 1)) for fault in faults)
    raise InputError(detail, tuple(moved))
