"""Where a store is, and as whom it is asked."""

import msgspec


class StoreAddress(msgspec.Struct, frozen=True):
    """The address of a store, and the credentials and the database to use there."""

    host: str
    port: int
    user: str = "tidemill"
    password: str = ""
    database: str = "tidemill"
    secure: bool = False
