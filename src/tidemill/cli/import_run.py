"""A run of `tidemill import`: reads the chunks of files, leaves out what the journal has, sends the rest in order."""

import asyncio
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any, Final
from urllib.parse import quote

import msgspec
from rich.progress import TextColumn

from tidemill.cli.common import ShowProgress, err, out, progress_bar
from tidemill.cli.points_options import open_client
from tidemill.client import AsyncTidemill, InputProblemError, NotFoundProblemError, PayloadReceipt
from tidemill.client.files.chunks import CSV, JSON, LINES, NDJSON, FileChunk
from tidemill.client.files.csv_file import CsvDialect
from tidemill.client.files.formats import LINE_PROTOCOL, FeedTakes, file_format, read_chunks
from tidemill.client.files.inputs import InputFile
from tidemill.client.files.journal import ImportJournal
from tidemill.client.ordered import OrderedPayload, OrderedUploads
from tidemill.crash_points import reach
from tidemill.errors import AccessError, InputError, MissingPackageError, NotFoundError, TidemillError, UnavailableError

_FORMAT_OF: Final = {NDJSON: "ndjson", JSON: "json", LINES: "line_protocol", CSV: "csv"}
_OPEN_KINDS: Final = (LINE_PROTOCOL, "ndjson", "json")
_LOOK_S: Final = 0.2


class ImportTarget(msgspec.Struct, frozen=True):
    """Where to send: the server, the key, the feed; and for how long to go on trying. `precision`: the unit of times of
    line protocol in an open feed."""

    url: str
    key: str
    feed: str
    patience_s: float
    precision: str = "ns"

    @property
    def path(self) -> str:
        """The path of the feed, and of the route that takes its payloads."""
        return f"/v1/feeds/{quote(self.feed, safe='')}"

    @property
    def open_params(self) -> tuple[tuple[str, str], ...]:
        """The parameters of `POST /v1/points`, which takes payloads of open feeds."""
        return ("feed", self.feed), ("precision", self.precision)


class RefusedChunkError(InputError):
    """The feed refused a chunk: nothing behind it was sent."""


class ImportCounts(msgspec.Struct):
    """What a run has done: files read to their end; records and chunks sent now, and chunks that were sent before."""

    files: int = 0
    records: int = 0
    sent: int = 0
    known: int = 0


class ImportRun:
    """Sends files to one feed. After `send_files`, `show_outcome` says what became of the records."""

    def __init__(self, target: ImportTarget, journal: ImportJournal, label: str) -> None:
        self._target, self._journal, self._label = target, journal, label
        self._formats: tuple[str, ...] = ()
        self._open = False
        self._takes = FeedTakes()
        self._counts = ImportCounts()
        self._receipts: list[str] = []
        self._sending: dict[str, FileChunk] = {}

    def check_feed(self, inputs: Sequence[InputFile], wanted: str) -> None:
        """Read which formats the feed takes, and forget a journal whose receipts the server does not have: its data is
        another one. Raises NotFoundError for no such feed, unless all files are line protocol, which makes an open
        feed."""
        with open_client(self._target.url, self._target.key, patience_s=self._target.patience_s) as client:
            try:
                document = client.request("GET", self._target.path)
            except NotFoundError as error:
                self._open = all((wanted or file.kind) == LINE_PROTOCOL for file in inputs)
                if self._open:
                    self._formats, self._takes = ("line_protocol",), FeedTakes(plain_lines=True)
                    return
                hint = "`tidemill import --dry-run --draft FILE` drafts one, `tidemill feed apply FILE` makes it."
                raise NotFoundError(f"{error.message}. {hint}") from None
            declared = document["definition"]["input"]
            self._formats, self._open = tuple(declared["formats"]), bool(declared["open"])
            plain_csv = "csv" in self._formats and not self._open
            self._takes = FeedTakes(self._open, plain_csv, not declared["csv"]["columns"])
            last = self._journal.last_receipt
            if last is not None and not _has_receipt(client, last):
                self._journal.clear()

    def send_files(self, inputs: Sequence[InputFile], wanted: str, dialect: CsvDialect) -> list[str]:
        """Send the files in order; returns what is wrong with those that could not be read to their end. Raises the
        error of a chunk that was refused or not taken: nothing behind it was sent."""
        return asyncio.run(self._send_files(inputs, wanted, dialect))

    async def _send_files(self, inputs: Sequence[InputFile], wanted: str, dialect: CsvDialect) -> list[str]:
        faults: list[str] = []
        target, column = self._target, TextColumn("{task.percentage:>3.0f} %")
        with progress_bar(column) as show_progress:
            async with AsyncTidemill(target.url, target.key or None, patience_s=target.patience_s) as client:
                for file in inputs:
                    try:
                        kind = file_format(file, wanted)
                        if self._open and kind not in _OPEN_KINDS:
                            hint = "`tidemill import --dry-run --draft FILE` drafts a feed that says what is what."
                            raise InputError(f"{file.name}: an open feed takes {', '.join(_OPEN_KINDS)} files. {hint}")
                        chunks = read_chunks(file, kind, dialect, self._takes)
                        await self._send_file(client, file, self._payloads(file, chunks, show_progress))
                        self._counts.files += 1
                    except RefusedChunkError:
                        raise
                    except (InputError, MissingPackageError) as error:
                        faults.append(error.message)
        return faults

    async def _send_file(self, client: AsyncTidemill, file: InputFile, payloads: Iterator[OrderedPayload]) -> None:
        self._sending.clear()
        uploads = OrderedUploads(client).send_all(payloads)
        try:
            async for payload, receipt in uploads:
                self._note(file, self._sending.pop(payload.key), payload.key, receipt)
        except InputProblemError as problem:
            raise self._refusal(file, problem) from None
        except UnavailableError as error:
            again = "Run the same command again: it goes on where it was ended."
            raise UnavailableError(f"{error.message} {again}", error.retry_after_s) from None
        except AccessError as error:
            raise AccessError(f"{error.message} Give a key with scope write with --key or TIDEMILL_KEY.") from None
        finally:
            await uploads.aclose()

    def _payloads(
        self, file: InputFile, chunks: Iterator[FileChunk], show_progress: ShowProgress
    ) -> Iterator[OrderedPayload]:
        """The chunks that no earlier run has sent. Runs in another thread."""
        identity = f"{self._label}\n{self._target.feed}\n{file.identity}"
        for chunk in chunks:
            form = _FORMAT_OF[chunk.content_type]
            if form not in self._formats:
                taken = ", ".join(self._formats)
                raise InputError(
                    f"{file.name} is sent as {form}, and the feed takes {taken}: add it to [input] formats"
                )
            show_progress(file.name, chunk.done, chunk.total)
            key = chunk.key(identity)
            if key in self._journal:
                self._counts.known += 1
                continue
            self._sending[key] = chunk
            path, params = ("/v1/points", self._target.open_params) if self._open else (self._target.path, ())
            yield OrderedPayload(path, chunk.body, chunk.content_type, key, params)

    def _note(self, file: InputFile, chunk: FileChunk, key: str, receipt: PayloadReceipt) -> None:
        if receipt.state == "deleted":
            hint = "To import it again, give --label."
            message = f"{file.name}: its records were imported before, and deleted on request. {hint}"
            raise RefusedChunkError(message)
        reach("import.taken")
        self._journal.add(key, receipt.id)
        self._receipts.append(receipt.id)
        self._counts.sent += 1
        self._counts.records += chunk.records

    def _refusal(self, file: InputFile, problem: InputProblemError) -> "RefusedChunkError":
        """The error of the oldest chunk in flight, which the feed refused."""
        chunk = next(iter(self._sending.values()))
        span = f"{chunk.unit} {chunk.first} to {chunk.first + chunk.records - 1}"
        kept = f" The bytes are kept as payload {problem.receipt}." if problem.receipt else ""
        hint = '[input] on_fault = "reject" in the feed takes the other records of such a payload.'
        message = f"{file.name}: {span} were refused, and nothing behind was sent: {problem.message}{kept} {hint}"
        return RefusedChunkError(message, problem.errors)

    def show_counts(self) -> None:
        """Print what was sent."""
        counts = self._counts
        before = f"; {counts.known} payloads were sent before" if counts.known else ""
        files = f"{counts.files} file{'' if counts.files == 1 else 's'}"
        text = f"{counts.records:,} records of {files} sent in {counts.sent} payloads{before}"
        out.print(text, highlight=False, soft_wrap=True)

    def show_outcome(self, wait_s: float) -> None:
        """Print what was sent, and what became of it within `wait_s`."""
        self.show_counts()
        if not self._receipts:
            return
        accepted, rejected, reasons, applied = self._applied(time.monotonic() + wait_s)
        words = ", ".join(f"{reason} {count:,}" for reason, count in reasons.most_common())
        text = f"{accepted:,} accepted, {rejected:,} rejected{f' ({words})' if words else ''}"
        waiting = len(self._receipts) - applied
        if waiting:
            text += f"; {waiting} payloads are durable and wait to be applied"
        out.print(text, highlight=False, soft_wrap=True)
        if rejected:
            hint = f"`tidemill receipts --feed {self._target.feed}` and the ledger say why: GET /v1/rejections"
            out.print(hint, style="dim", highlight=False, markup=False, soft_wrap=True)

    def _applied(self, deadline: float) -> tuple[int, int, Counter[str], int]:
        """Sums of what was accepted and rejected, and of how many payloads that is known by the deadline."""
        accepted = rejected = applied = 0
        reasons = Counter[str]()
        with open_client(self._target.url, self._target.key) as client, progress_bar() as show_progress:
            for number, receipt in enumerate(self._receipts):
                show_progress("applied", number, len(self._receipts))
                try:
                    outcome = client.receipt(receipt)
                    while outcome.state == "stored" and time.monotonic() < deadline:
                        time.sleep(_LOOK_S)
                        outcome = client.receipt(receipt)
                except TidemillError as error:
                    err.print(error.message, style="yellow", highlight=False, markup=False, soft_wrap=True)
                    break
                if outcome.accepted is None:
                    break
                applied += 1
                accepted += outcome.accepted
                rejected += outcome.rejected or 0
                reasons.update(outcome.reasons)
        return accepted, rejected, reasons, applied


def _has_receipt(client: Any, receipt: str) -> bool:
    """Whether the server knows a receipt, and what it stands for was not deleted."""
    try:
        return bool(client.receipt(receipt).state != "deleted")
    except NotFoundProblemError:
        return False
