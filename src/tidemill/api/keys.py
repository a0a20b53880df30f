"""The routes of a tenant's API keys: list, make, revoke. For keys with the scope `admin`.

The secret of a key is in one answer, that to the request which made it; the catalog has its hash. `tidemill key` does
the same for every tenant, at the machine of the server.
"""

from typing import Annotated, Final

import msgspec
from anyio import to_thread
from litestar import Response, delete, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath

from tidemill.api.json_body import convert_document, decode_document, refuse_faults
from tidemill.api.openapi_struct_body import struct_body
from tidemill.api.reads_common import AnyRequest, answers_with, problem_spec
from tidemill.api.services import Services
from tidemill.catalog.key_uses import read_key_uses
from tidemill.catalog.keys import (
    FIRST_KEY,
    FIRST_KEY_SOURCES,
    KeyInfo,
    Principal,
    Scope,
    create_key,
    ever_keys,
    list_keys,
    revoke_but_last_admin,
)
from tidemill.catalog.sessions import SessionRing
from tidemill.data_folder import mark_closed
from tidemill.errors import AccessError, Fault, InputError
from tidemill.model.time import format_instant

MAX_NAME: Final = 100
_ADMIN: Final = {"scope": "admin"}


class KeyBody(msgspec.Struct, frozen=True):
    """What `POST /v1/keys` takes: the scopes of the new key, and a note to tell it apart by."""

    scopes: Annotated[
        list[Scope],
        msgspec.Meta(description="One or more; `admin` includes `read` and `write`. None that your own key lacks."),
    ]
    name: Annotated[
        str, msgspec.Meta(description=f"A note to tell keys apart by, of at most {MAX_NAME} characters.")
    ] = ""


class KeyItem(msgspec.Struct, frozen=True):
    """A key without its secret. `scopes` as they were given. `last_used_at`: to the minute, by itself or by a session;
    null: never since this is recorded. `sessions`: browsers that are signed in with it. `current`: this request is sent
    with it, or with one of its sessions. Times are RFC 3339."""

    id: str
    name: str
    scopes: list[Scope]
    created_at: str
    last_used_at: str | None
    sessions: int
    current: bool


class KeyItems(msgspec.Struct, frozen=True):
    """The keys of a tenant, oldest first."""

    items: list[KeyItem]


class CreatedKey(msgspec.Struct, frozen=True):
    """A new key. `secret` is shown in this answer and never again. `notes`: what the first key of all changes for
    others, a sentence each."""

    key: KeyItem
    secret: str
    notes: list[str]


class RevokedKey(msgspec.Struct, frozen=True):
    """A key that is revoked for good. `sessions`: how many sessions ended with it."""

    id: str
    sessions: int


@get(
    "/v1/keys",
    tags=["admin"],
    summary="List the keys",
    operation_id="listKeys",
    responses=answers_with(KeyItems, "The keys of this tenant."),
    opt=_ADMIN,
)
async def get_keys(
    principal: NamedDependency[Principal], services: NamedDependency[Services], sessions: NamedDependency[SessionRing]
) -> KeyItems:
    """The keys of this tenant, without their secrets: when each was made and used last, and how many browsers are
    signed in with it."""

    def items() -> list[KeyItem]:
        uses = read_key_uses(services.catalog)
        for key_id, used_ns in services.keys.uses().items():
            uses[key_id] = max(used_ns, uses.get(key_id, 0))
        counts = sessions.counts()
        return [
            _item(info, uses.get(info.key_id, 0), counts.get(info.key_id, 0), principal)
            for info in list_keys(services.catalog, principal.tenant)
        ]

    return KeyItems(await to_thread.run_sync(items))


@post(
    "/v1/keys",
    tags=["admin"],
    summary="Make a key",
    operation_id="createKey",
    operation_class=struct_body(KeyBody),
    status_code=201,
    responses=answers_with(CreatedKey, "The key, and its secret, once.", 400, status=201),
    opt=_ADMIN,
)
async def post_key(
    request: AnyRequest, principal: NamedDependency[Principal], services: NamedDependency[Services]
) -> Response[CreatedKey]:
    """Makes a key for this tenant. Its secret is in this answer only. While access is open, the first key ends that for
    everybody, so it has the scope `admin`."""
    body, faults = convert_document(decode_document(await request.body()), KeyBody)
    refuse_faults(faults)
    assert body is not None
    _check_body(body, principal)

    def make() -> tuple[KeyInfo, str, list[str]]:
        first = not ever_keys(services.catalog)
        if first and "admin" not in body.scopes:
            message = "The first key ends open access: give it the scope 'admin', or nobody could make another."
            raise InputError(message, (Fault("$.scopes", "first_key", message),))
        info, secret = create_key(services.catalog, principal.tenant, body.scopes, body.name)
        mark_closed(services.settings.folder)
        services.keys.refresh()
        return info, secret, [FIRST_KEY, FIRST_KEY_SOURCES] if first else []

    info, secret, notes = await to_thread.run_sync(make)
    created = CreatedKey(_item(info, 0, 0, principal), secret, notes)
    headers = {"Cache-Control": "no-store", "Location": f"/v1/keys/{info.key_id}"}
    return Response(created, status_code=201, headers=headers)


@delete(
    "/v1/keys/{key:str}",
    tags=["admin"],
    summary="Revoke a key",
    operation_id="revokeKey",
    status_code=200,
    responses={
        **answers_with(RevokedKey, "The key is revoked, and its sessions are over.", 404),
        409: problem_spec("It is the last key with the scope admin."),
    },
    opt=_ADMIN,
)
async def delete_key(
    key: FromPath[str],
    principal: NamedDependency[Principal],
    services: NamedDependency[Services],
    sessions: NamedDependency[SessionRing],
) -> RevokedKey:
    """Revokes a key of this tenant for good, and ends its sessions: this server refuses both from this answer on,
    others within a second. The last key with the scope `admin` is not revoked here, because nobody could make another;
    `tidemill key revoke` does it."""

    def revoke() -> RevokedKey:
        count = sessions.counts().get(key, 0)
        revoke_but_last_admin(services.catalog, key, principal.tenant)
        services.keys.refresh()
        sessions.refresh()
        return RevokedKey(key, count)

    return await to_thread.run_sync(revoke)


def _check_body(body: KeyBody, principal: Principal) -> None:
    """Raise InputError for no scope or a name that is too long, AccessError for a scope that the sender lacks."""
    faults = []
    if not body.scopes:
        faults.append(Fault("$.scopes", "missing", "name one or more of read, write, admin"))
    if len(body.name) > MAX_NAME:
        faults.append(Fault("$.name", "too_long", f"has at most {MAX_NAME} characters"))
    refuse_faults(faults)
    for scope in body.scopes:
        if scope not in principal.scopes:
            raise AccessError(f"A key gives no scope that it lacks: '{scope}'.", missing_scope=scope)


def _item(info: KeyInfo, used_ns: int, sessions: int, principal: Principal) -> KeyItem:
    return KeyItem(
        id=info.key_id,
        name=info.name,
        scopes=list(info.scopes),
        created_at=format_instant(info.created_ns),
        last_used_at=format_instant(used_ns // _MINUTE_NS * _MINUTE_NS) if used_ns else None,
        sessions=sessions,
        current=info.key_id == principal.key_id,
    )


_MINUTE_NS: Final = 60 * 10**9
KEY_ROUTES: Final = [get_keys, post_key, delete_key]
