"""The routes of a browser's session: sign in with a key, who am I, sign out.

The key is given once, in the body of `POST /v1/session`; from then on a cookie stands for it that no script can read.
The key is never kept in the browser, and never part of a URL.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from typing import Annotated, Any, Final

import msgspec
from anyio import to_thread
from litestar import Response, delete, get, post
from litestar.di import NamedDependency

from tidemill import __version__
from tidemill.api.auth import Authenticator
from tidemill.api.front import client_address
from tidemill.api.json_body import convert_document, decode_document, refuse_faults
from tidemill.api.openapi_struct_body import struct_body
from tidemill.api.reads_common import AnyRequest, answers_with, problem_spec
from tidemill.api.session_cookies import SessionCookie, clear_cookie, csrf_token, read_cookie, set_cookie
from tidemill.api.wrong_keys import WrongKeys
from tidemill.catalog.contract import Catalog
from tidemill.catalog.key_uses import keep_key_uses
from tidemill.catalog.keys import SCOPES, KeyRing, Principal, Scope
from tidemill.catalog.sessions import SessionRing
from tidemill.errors import AccessError, TidemillError

_log = logging.getLogger(__name__)
WRONG_A_MINUTE: Final = 5
KEEP_EVERY_S: Final = 60.0
PUBLIC: Final[dict[str, Any]] = {"scope": None}
_WRONG_KEY: Final = {401: problem_spec("The key is not known."), 429: problem_spec("Too many wrong keys.")}
_NO_STORE: Final = {"Cache-Control": "no-store"}


class SignInBody(msgspec.Struct, frozen=True):
    """What `POST /v1/session` takes: a key."""

    key: Annotated[str, msgspec.Meta(description="The secret of a key, as `tidemill key create` prints it.")]


class SessionKey(msgspec.Struct, frozen=True):
    """The key that a request is sent with, without its secret. `name`: the note that it was made with, or empty."""

    id: str
    name: str


class SessionView(msgspec.Struct, frozen=True):
    """Who sends a request, by a key, by a session's cookie, or by nothing.

    `tenant`: null while nobody is signed in and access is not open; then `scopes` is empty. `scopes` is complete: who
    has `admin` has `read` and `write`. `key`: null in open access. `open_access`: no key is needed, as no key was ever
    made. `csrf`: what unsafe requests with the session carry as `X-Tidemill-CSRF`; null without a session. `version`:
    that of the server.
    """

    tenant: str | None
    scopes: list[Scope]
    key: SessionKey | None
    open_access: bool
    csrf: str | None
    version: str


class SignIn:
    """Begins, shows and ends the sessions of browsers. Lives in one event loop."""

    def __init__(self, keys: KeyRing, sessions: SessionRing, authenticator: Authenticator) -> None:
        self._keys, self._sessions, self._authenticator = keys, sessions, authenticator
        self._wrong = WrongKeys(WRONG_A_MINUTE)

    def view(self, headers: Mapping[bytes, bytes], address: str) -> SessionView:
        """Who sends a request. Raises AccessError and WrongKeysError for a wrong key in its headers."""
        principal = self._authenticator.principal(headers, address)
        cookie = self._authenticator.cookie(headers)
        by_session = cookie is not None and self._sessions.principal(cookie.token, secure=cookie.secure) is not None
        return self._view(principal, cookie if by_session else None)

    async def begin(self, secret: str, headers: Mapping[bytes, bytes], address: str, *, secure: bool) -> SessionCookie:
        """The cookie of a new session for the holder of a key; the session that the browser had is ended. Raises
        AccessError for an unknown key, WrongKeysError after too many."""
        principal = self._keys.authenticate(secret.strip())
        if principal is None:
            self._wrong.count(address)
            raise AccessError("This key is not known here. `tidemill key create` makes one.")
        await self.end(headers)
        token = await to_thread.run_sync(lambda: self._sessions.begin(principal.key_id, secure=secure))
        return SessionCookie(token, secure)

    def view_of(self, cookie: SessionCookie) -> SessionView:
        """The view of a session."""
        return self._view(self._sessions.principal(cookie.token, secure=cookie.secure), cookie)

    async def end(self, headers: Mapping[bytes, bytes]) -> None:
        """End the session of a request, if it has one. Durable on return."""
        cookie = read_cookie(headers)
        if cookie is not None:
            await to_thread.run_sync(self._sessions.end, cookie.token)

    def check_sign_out(self, headers: Mapping[bytes, bytes]) -> None:
        """Raise CrossSiteError or CsrfError where a request that ends a session is forged."""
        cookie = self._authenticator.cookie(headers)
        if cookie is not None and self._sessions.principal(cookie.token, secure=cookie.secure) is not None:
            self._authenticator.check_forgery(headers, cookie)

    def _view(self, principal: Principal | None, cookie: SessionCookie | None) -> SessionView:
        info = self._keys.info(principal.key_id) if principal is not None else None
        return SessionView(
            tenant=principal.tenant if principal is not None else None,
            scopes=[scope for scope in SCOPES if principal is not None and scope in principal.scopes],
            key=SessionKey(info.key_id, info.name) if info is not None else None,
            open_access=self._authenticator.is_open,
            csrf=csrf_token(cookie.token) if cookie is not None else None,
            version=__version__,
        )


@get(
    "/v1/session",
    opt=PUBLIC,
    tags=["admin"],
    summary="Who am I",
    operation_id="getSession",
    responses=answers_with(SessionView, "Who sends the request; nobody where `tenant` is null.") | _WRONG_KEY,
)
async def get_session(request: AnyRequest, sign_in: NamedDependency[SignIn]) -> Response[SessionView]:
    """The tenant, the scopes and the key of the request, by its key or by its session. Needs neither; a wrong key is
    refused, and a session that is over is none."""
    view = sign_in.view(_headers(request), client_address(request.scope))
    return Response(view, headers=_NO_STORE)


@post(
    "/v1/session",
    opt=PUBLIC,
    tags=["admin"],
    summary="Sign in",
    operation_id="signIn",
    operation_class=struct_body(SignInBody),
    status_code=201,
    responses=answers_with(SessionView, "Signed in; `Set-Cookie` has the session.", 400, status=201) | _WRONG_KEY,
)
async def post_session(request: AnyRequest, sign_in: NamedDependency[SignIn]) -> Response[SessionView]:
    """Begins a session for a browser with a key. The session is a cookie that no script can read; it ends 12 hours
    after its last use, 7 days after its start, with `DELETE /v1/session`, and when its key is revoked. Five wrong keys
    a minute from an address, then 429. With the session, every request that changes something carries
    `X-Tidemill-CSRF`."""
    body, faults = convert_document(decode_document(await request.body()), SignInBody)
    refuse_faults(faults)
    assert body is not None
    headers, secure = _headers(request), request.scope["scheme"] == "https"
    cookie = await sign_in.begin(body.key, headers, client_address(request.scope), secure=secure)
    sent = _NO_STORE | {"Set-Cookie": set_cookie(headers, cookie.token, secure=secure)}
    return Response(sign_in.view_of(cookie), status_code=201, headers=sent)


@delete(
    "/v1/session",
    opt=PUBLIC,
    tags=["admin"],
    summary="Sign out",
    operation_id="signOut",
    status_code=200,
    responses=answers_with(SessionView, "There is no session any more; who sends the request without it.")
    | _WRONG_KEY
    | {403: problem_spec("No page of ours sent it.")},
)
async def delete_session(request: AnyRequest, sign_in: NamedDependency[SignIn]) -> Response[SessionView]:
    """Ends the session of the request, in every process, before the answer. Without a session it changes nothing."""
    headers = _headers(request)
    sign_in.check_sign_out(headers)
    await sign_in.end(headers)
    cleared = clear_cookie(headers, secure=request.scope["scheme"] == "https")
    view = sign_in.view(headers, client_address(request.scope))
    return Response(view, headers=_NO_STORE | {"Set-Cookie": cleared})


def keep_sessions(catalog: Catalog, keys: KeyRing, sessions: SessionRing) -> Any:
    """A lifespan for Litestar: follows the sessions in the catalog, and writes when they and their keys were used."""

    @asynccontextmanager
    async def of_app(_: Any) -> AsyncIterator[None]:
        await asyncio.to_thread(sessions.follow)
        task = asyncio.create_task(_keep_writing(catalog, keys, sessions), name="sessions")
        try:
            yield
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
            sessions.close()
            await asyncio.to_thread(_write_uses, catalog, keys, sessions)

    return of_app


async def _keep_writing(catalog: Catalog, keys: KeyRing, sessions: SessionRing) -> None:
    while True:
        await asyncio.sleep(KEEP_EVERY_S)
        await asyncio.to_thread(_write_uses, catalog, keys, sessions)


def _write_uses(catalog: Catalog, keys: KeyRing, sessions: SessionRing) -> None:
    try:
        sessions.keep()
        keep_key_uses(catalog, keys)
    except TidemillError as error:
        _log.info("the sessions could not be looked after: %s", error.message)
    except Exception:
        _log.exception("the sessions could not be looked after")


def _headers(request: AnyRequest) -> dict[bytes, bytes]:
    return dict(request.scope["headers"])


SESSION_ROUTES: Final = [get_session, post_session, delete_session]
