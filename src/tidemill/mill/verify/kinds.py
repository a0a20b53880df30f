"""What can be found not to add up: each a class with a stable code, whose docstring is what it means."""

from typing import ClassVar, Final


class FindingKind:
    """A kind of finding."""

    code: ClassVar[str]


class LogUnapplied(FindingKind):
    """The log holds a payload below the place that the mill has reached, and the store has no row of it."""

    code = "log_unapplied"


class LogDiffers(FindingKind):
    """A payload's row in the store is not of the receipt, feed or sha256 that the log has at its place."""

    code = "log_differs"


class LogDamaged(FindingKind):
    """An entry of the log is not what was appended, by its sha256 or its seal, or a file of the log is damaged. The
    server skips what it cannot mend; `tidemill verify --repair` puts back what a copy is left of."""

    code = "log_damaged"


class LogShort(FindingKind):
    """The log ends before what was durable in it, or before what was applied from it."""

    code = "log_short"


class CatalogDamaged(FindingKind):
    """The catalog's file is damaged, or a feed's text does not have the sha256 that it was applied with."""

    code = "catalog_damaged"


class TableDamaged(FindingKind):
    """A part of a table of the store cannot be read, or does not have the checksums with which it was written."""

    code = "table_damaged"


class PartDetached(FindingKind):
    """The store set a broken part of a table aside when it started: no question reads its rows."""

    code = "part_detached"


class PayloadBytes(FindingKind):
    """The bytes of a payload do not have the length or the sha256 that its row says, or are there though they were
    deleted."""

    code = "payload_bytes"


class PayloadState(FindingKind):
    """A payload's state is none that there is, or says that bytes were deleted which no deletion names."""

    code = "payload_state"


class PayloadDoubled(FindingKind):
    """Two payloads have the same place in the log."""

    code = "payload_doubled"


class PayloadUnreadable(FindingKind):
    """An applied payload cannot be decoded: the catalog lacks its feed's version, or decoding it fails."""

    code = "payload_unreadable"


class ReceiptSum(FindingKind):
    """The accepted and the rejected records of a receipt do not add up to the records in its bytes."""

    code = "receipt_sum"


class ReceiptRejected(FindingKind):
    """A receipt says that more or fewer records were rejected than the ledger holds (recovered ones do not count)."""

    code = "receipt_rejected"


class ReceiptReasons(FindingKind):
    """The reasons that a receipt counts are not those of its records in the ledger."""

    code = "receipt_reasons"


class ReceiptAccepted(FindingKind):
    """A receipt that was refused or set aside says that records were accepted."""

    code = "receipt_accepted"


class ReceiptNulls(FindingKind):
    """A receipt counts more or fewer null values than its bytes hold, or names other times as the first and the last of
    its records: `why` may miss records without a value."""

    code = "receipt_nulls"


class RecordUnknown(FindingKind):
    """The ledger names a record that the payload does not hold."""

    code = "record_unknown"


class RecordUnaccounted(FindingKind):
    """A record counts as accepted, but what it says makes no points: it is missing in the ledger."""

    code = "record_unaccounted"


class PointMissing(FindingKind):
    """A point of an accepted record neither stands nor was replaced, and no deletion and no retention explains it."""

    code = "point_missing"


class PointDiffers(FindingKind):
    """A point that stands, or that was replaced, has another value than its record gives it, to the bit."""

    code = "point_differs"


class PointRejected(FindingKind):
    """A point stands of a record that was rejected."""

    code = "point_rejected"


class PointStranger(FindingKind):
    """Points stand that name a payload which does not make them."""

    code = "point_stranger"


class PointOrphan(FindingKind):
    """Points stand that name no payload."""

    code = "point_orphan"


class ReplacedOrphan(FindingKind):
    """Replaced values name no payload."""

    code = "replaced_orphan"


class RejectionOrphan(FindingKind):
    """Rejections name no payload of their feed."""

    code = "rejection_orphan"


class RollupDiffers(FindingKind):
    """A published rollup window is not what the points that stand make of it."""

    code = "rollup_differs"


class RollupMissing(FindingKind):
    """Points stand in a window that has no published rollup."""

    code = "rollup_missing"


class RollupEmpty(FindingKind):
    """A rollup window is published, and no point stands in it."""

    code = "rollup_empty"


def _kinds(of: type[FindingKind]) -> dict[str, str]:
    return {kind.code: " ".join((kind.__doc__ or "").split()) for kind in of.__subclasses__()}


MEANINGS: Final = _kinds(FindingKind)
