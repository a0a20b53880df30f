"""Names of tenants: what may be one."""

import re
from typing import Final

from tidemill.errors import Fault, InputError

_TENANT: Final = re.compile(r"[a-z0-9][a-z0-9-]{0,62}", re.ASCII)


def check_tenant(name: str) -> str:
    """Return `name` if it can be a tenant's, else raise InputError. Short, so that it fits in keys, paths and hosts."""
    if _TENANT.fullmatch(name) is None:
        message = (
            f"'{name[:100]}' cannot be a tenant's name: 1 to 63 of a-z, 0-9 and -, starting with a letter or digit"
        )
        raise InputError(message, (Fault("tenant", "tenant_name", message),))
    return name
