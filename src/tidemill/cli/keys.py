"""`tidemill key ...`: API keys: create, list, revoke. Says what the first key changes for everybody else."""

from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from tidemill.cli.common import DataOption, TenantOption, err, open_catalog, out
from tidemill.settings import DEFAULT_TENANT, load_settings

app = typer.Typer(no_args_is_help=True, rich_markup_mode="markdown", help="API keys: create, list, revoke.")


@app.command("create")
def create_key(
    tenant: TenantOption,
    scope: Annotated[str, typer.Option(help="Comma-separated: read, write, admin (admin means all).")],
    name: Annotated[str, typer.Option(help="A note to tell keys apart by.")] = "",
    data: DataOption = None,
) -> None:
    """Create a key and print it, once: only its hash is kept.

    The first key of a data folder ends open access: from then on every request needs one. What was stored without a
    key belongs to the tenant `default`: a key of another tenant does not see it.
    Example: `tidemill key create --tenant default --scope read,write,admin`
    """
    from tidemill.catalog.keys import create_key as create
    from tidemill.catalog.keys import ever_keys, list_keys
    from tidemill.data_folder import mark_closed
    from tidemill.service import feed_texts

    catalog = open_catalog(data)
    folder = load_settings({"data": data}).folder
    first = not ever_keys(catalog)
    info, secret = create(catalog, tenant, tuple(part.strip() for part in scope.split(",") if part.strip()), name)
    mark_closed(folder)
    feed_texts(catalog, tenant)  # a new tenant starts with the recipes
    of_default = any(key.tenant == DEFAULT_TENANT for key in list_keys(catalog))
    for line in _consequences(folder, data, first=first, shut_out=not of_default):
        _say(line)
    _say(f"Key {info.key_id} for tenant {info.tenant} with scope {','.join(info.scopes)}. Shown once:")
    print(secret)


def _consequences(folder: Path, data: str | None, *, first: bool, shut_out: bool) -> list[str]:
    """What a key changes for others. `first`: of the folder; `shut_out`: the tenant `default` has no key."""
    from tidemill.catalog.keys import FIRST_KEY, FIRST_KEY_SOURCES

    lines = [FIRST_KEY, FIRST_KEY_SOURCES] if first else []
    if shut_out and (folder / "log").exists():
        where = f" --data {data}" if data else ""
        command = f"tidemill key create{where} --tenant {DEFAULT_TENANT} --scope read,write,admin"
        lines.append(
            f"What was stored without a key is the tenant {DEFAULT_TENANT}'s, and no key reads it now. "
            f"To go on with it, create one of that tenant: {command}"
        )
    return lines


def _say(line: str) -> None:
    err.print(line, highlight=False, markup=False, soft_wrap=True)


@app.command("list")
def list_keys(data: DataOption = None) -> None:
    """List the keys, without their secrets.

    Example: `tidemill key list --data data`
    """
    from tidemill.catalog.keys import list_keys as listed
    from tidemill.model.time import format_instant

    table = Table("id", "tenant", "scopes", "name", "created", box=None)
    for info in listed(open_catalog(data, make=False)):
        table.add_row(info.key_id, info.tenant, ",".join(info.scopes), info.name, format_instant(info.created_ns))
    out.print(table)


@app.command("revoke")
def revoke_key(key_id: str, data: DataOption = None) -> None:
    """Revoke a key; running servers refuse it within a second.

    Example: `tidemill key revoke 5f2c81d09a3be764`
    """
    from tidemill.catalog.keys import revoke_key

    revoke_key(open_catalog(data, make=False), key_id)
    out.print(f"Key {key_id} is revoked.")
