"""`tidemill source try`: fetches one answer of a source, decodes it, and drafts a feed. It saves nothing.

It fetches with the same safe client as the poller; `allow` names the private networks that the client may reach.
"""

import asyncio
import os
import re
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Any, Final

import msgspec

from tidemill.cli.common import open_catalog, variable_scope
from tidemill.errors import FeedDefinitionError, InputError, NotFoundError
from tidemill.feeds.definition import Feed
from tidemill.feeds.load import load_feed
from tidemill.feeds.variables import VariableScope
from tidemill.sources.addresses import AddressPolicy
from tidemill.sources.draft import SECRET_NAME, DraftOptions, draft_feed
from tidemill.sources.http import Fetched, FetchFailure, FetchLimits, HttpClient
from tidemill.sources.oauth import OAuthTokens, TokenError
from tidemill.sources.preview import Preview, preview_answer
from tidemill.sources.redact import Redaction
from tidemill.sources.source_spec import SourceSpec, compile_specs
from tidemill.sources.structure import Structure, first_odd_shape, guess_structure

_REFERENCE: Final = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)(?::-([^}]*))?\}")
_ANY_STATUS: Final = range(100, 600)
_LONG: Final = 6  # characters of a secret that is hidden also in the body: a shorter one may be an ordinary word
_OPTIONS: Final = {
    "source.timeout": "--timeout",
    "source.url": "the URL",
    "[source] headers": "--header",
    "of [source] ": "",
}
_HINTS: Final = {401: "give credentials with --header", 403: "give credentials with --header", 404: "look at the URL"}


class TrialResult(msgspec.Struct, frozen=True):
    """The decoded answer. `why`: the reason in words, where nothing could be decoded."""

    structure: Structure | None = None
    preview: Preview | None = None
    draft: str | None = None
    why: str = ""


class _Policy(AddressPolicy, frozen=True):
    """An AddressPolicy that collects the networks that would have to be allowed."""

    lacking: list[str] = []

    def remedy(self, addresses: Any) -> str:
        """The words that tell the caller how to allow these addresses."""
        self.lacking.extend(dict.fromkeys(map(_network, addresses)))
        return "give this option too"


class Trial:
    """Fetches `url`, or the first request of the feed's own source. After `fetch`: `answer`, `failure` (a sentence),
    `lacking` (networks to allow) and `notes`, all without secrets."""

    def __init__(self, url: str, feed: Feed | None, wish: DraftOptions, *, timeout_s: float) -> None:
        pull = _pull(feed) if not url else None
        self.feed, self.wish = feed, wish
        self.shown_url = url
        self.notes: list[str] = []
        self.answer: Fetched | None = None
        self.failure = ""
        filled: list[str] = []
        self._headers = {name: _filled(text, filled) for name, text in wish.headers.items()}
        self._pull = pull
        self._url, self._body = _first_of(pull) if pull else (_filled(url, filled), None)
        for name, text in self._headers.items():
            if SECRET_NAME.search(name):
                filled += [text, text.split()[-1]]
        if pull is not None:
            self._headers = {**pull.headers, **self._headers}
            filled += pull.secrets
            self.notes.append("This is what the feed's own source asks first.")
        self._empty = pull.empty_status if pull else (204,)
        self._hide = Redaction(tuple(dict.fromkeys(filled))).hide
        self._hide_long = Redaction(tuple(text for text in dict.fromkeys(filled) if len(text) >= _LONG)).hide
        self._limits = FetchLimits(timeout_s, timeout_s * 3)
        try:
            self._policy = _Policy(AddressPolicy.parse(",".join(wish.allow)).allowed, lacking=[])
        except ValueError as error:
            raise InputError(f"--allow: {error}") from None

    @property
    def lacking(self) -> list[str]:
        """The networks that --allow has to name for this answer."""
        return self._policy.lacking

    def fetch(self) -> Fetched | None:
        """The answer if it can be decoded; else None, and `failure` says why."""
        answer = asyncio.run(self._fetch())
        if isinstance(answer, FetchFailure):
            self.failure = self._hide(_in_options(answer.message))
            return None
        self.answer = answer = msgspec.structs.replace(answer, body=self._hidden(answer.body))
        if answer.status in self._empty:
            self.failure = f"The source has nothing to give now: it answered {answer.status}."
        elif answer.status != 200:
            hint = _HINTS.get(answer.status)
            self.failure = f"The server answered {answer.status}" + (f": {hint}." if hint else ".")
        elif not answer.body.strip():
            self.failure = "The answer has no body."
        if self.failure:
            return None
        if 'rel="next"' in answer.link or "rel=next" in answer.link:
            self.notes.append("The answer has a next page: [source.page] with by = 'link' in the feed follows it.")
        return answer

    def _hidden(self, body: bytes) -> bytes:
        """A body without the secrets that some servers send back; secrets shorter than _LONG stay."""
        try:
            return self._hide_long(body.decode()).encode()
        except UnicodeDecodeError:
            return body  # binary records

    def _hide_tokens(self, tokens: tuple[str, ...]) -> None:
        hide, hide_long, more = self._hide, self._hide_long, Redaction(tokens).hide
        self._hide, self._hide_long = lambda text: more(hide(text)), lambda text: more(hide_long(text))

    async def _fetch(self) -> Fetched | FetchFailure:
        client = HttpClient(self._policy)
        try:
            headers = self._headers
            if self._pull is not None and self._pull.oauth2 is not None:
                tokens = OAuthTokens(self._pull.oauth2, client, self._limits)
                headers = {**headers, **await tokens.authorization_header()}
                self._hide_tokens(tokens.secrets)
            return await client.get(self._url, headers, self._limits, _ANY_STATUS, body=self._body)
        except TokenError as error:
            return FetchFailure("token", error.message, 0.0)
        finally:
            client.close()


def load_given_feed(file: Path | None, name: str, data: str | None, tenant: str, *, with_source: bool) -> Feed | None:
    """The feed of a file, or of a data folder; None when neither is named. Raises InputError, NotFoundError."""
    if file is not None and name:
        raise InputError("either --decode or --feed, not both")
    if file is not None:
        try:
            text = file.read_bytes().decode()
        except (OSError, UnicodeDecodeError) as error:
            raise InputError(f"Cannot read {file}: {getattr(error, 'strerror', None) or error}") from None
        return _load(text, str(file), variable_scope(tenant), with_source=with_source)
    if not name:
        return None
    from tidemill.catalog.feeds import CatalogFeeds

    catalog = open_catalog(data, make=False)
    try:
        kept, reach = CatalogFeeds(catalog).current(tenant, name), variable_scope(tenant, catalog)
    finally:
        catalog.close()
    if kept is None:
        raise NotFoundError(f"Tenant '{tenant}' has no feed '{name}'. `tidemill feed list` names its feeds.")
    return _load(kept.text, name, reach, with_source=with_source)


def decode_answer(trial: Trial, answer: Fetched, limit: int, now_ns: int) -> TrialResult:
    """The answer decoded by the trial's feed, or by a feed that is drafted for the answer."""
    if trial.feed is not None:
        made = preview_answer(trial.feed, answer.body, answer.content_type, now_ns, limit)
        return TrialResult(
            preview=made, why="" if made else f"The answer is none of {', '.join(trial.feed.input.formats)}."
        )
    wish = trial.wish
    structure = guess_structure(answer.body, wish.records)
    is_guess = wish.records is None and not wish.fields and not wish.time
    if is_guess and (structure is None or (structure.count < 2 and structure.kind == "objects")):
        odd = first_odd_shape(answer.body)
        if odd is not None:
            why = f"{odd.sentence} No path can name them; write a feed with what the reference says of paths."
            return TrialResult(why=why)
    if structure is None or wish.format not in ("", structure.format):
        return TrialResult(structure, why=_unlike(structure, wish))
    environment = variable_scope("default").variables
    text = draft_feed(trial.shown_url, structure, wish, environment)
    if text is None:
        why = "Nothing in the records looks like a number; name one with --field NAME=PATH."
        return TrialResult(structure, why=why)
    feed = load_feed(text, source="the draft", environment=environment)
    made = preview_answer(feed, answer.body, answer.content_type, now_ns, limit)
    return TrialResult(structure, made, text)


def _unlike(structure: Structure | None, wish: DraftOptions) -> str:
    if structure is not None:
        return f"The answer is {structure.format}, not {wish.format}."
    if wish.records is not None:
        return f"There is no object, and no array of objects, at {wish.records}."
    return (
        "The answer is no JSON with objects in it, or has them in lists in a list: [input] records = '$[*][*]' reads "
        "those. For this and other formats write a feed and give it with --decode."
    )


def _load(text: str, source: str, reach: VariableScope, *, with_source: bool) -> Feed:
    try:
        return load_feed(
            text,
            source=source,
            environment=reach.variables,
            with_source=with_source,
            secrets_folder=reach.secrets_folder,
        )
    except FeedDefinitionError as error:
        raise InputError(error.message, error.faults) from None


def _pull(feed: Feed | None) -> SourceSpec:
    pulls = compile_specs("default", feed) if feed is not None else []
    if not pulls or not pulls[0].url:
        raise InputError("Say what to ask: a URL, or a feed that has a [source] with one")
    return pulls[0]


def _first_of(pull: SourceSpec) -> tuple[str, bytes | None]:
    """The URL of a source's first request (its first window, its first page), and the body of the request."""
    url, values = pull.url, dict(pull.item_values)
    if pull.windows is not None:
        import time

        window = pull.windows.next_window(None, time.time_ns())
        values |= pull.windows.placeholder_values(window) if window else {}
        url = pull.windows.fill_url(url, window) if window else url
    if pull.paging is not None:
        values |= pull.paging.placeholder_values(None)
        url = pull.paging.page_url(url, None)
    return url, None if pull.body is None else pull.body.encode(values)


def _filled(text: str, secrets: list[str]) -> str:
    """A text with its variables filled in from this shell's environment, whose values are added to `secrets`. Raises
    InputError for a variable without a value."""

    def value_of(match: re.Match[str]) -> str:
        name, default = match.groups()
        value = os.environ.get(name, default)
        if value is None:
            raise InputError(f"the environment has no {name}; set it, or give a default: ${{{name}:-...}}")
        secrets.append(value)
        return value

    return _REFERENCE.sub(value_of, text)


def _network(address: Any) -> str:
    """The network to allow for an address: all of loopback for an IPv4 loopback address, else the single address."""
    ip = ip_address(str(address).partition("%")[0])
    ip = getattr(ip, "ipv4_mapped", None) or ip  # ::ffff:127.0.0.1 is another spelling of IPv4
    if ip.version == 4 and ip.is_loopback:
        return "127.0.0.0/8"
    return str(ip_network(ip))


def _in_options(message: str) -> str:
    for key, option in _OPTIONS.items():
        message = message.replace(key, option)
    return message
