"""The route that Prometheus writes to, `/api/v1/write`: remote write 1.0 and 2.0.

`204` means durable. Samples at fault (no finite number) are in the ledger and change no status: Prometheus would drop
the whole request at a 400. What cannot be read is `400`, which Prometheus does not send again.
"""

from typing import Final

from tidemill.api.auth import Authenticator
from tidemill.api.body import Incoming
from tidemill.api.front import Route
from tidemill.api.influx_routes import with_key
from tidemill.api.open_intake import OpenIntake
from tidemill.api.points_routes import query_values
from tidemill.api.problems import HttpAnswer, MediaTypeError
from tidemill.decode.open.options import OpenOptions
from tidemill.errors import Fault, InputError

DEFAULT_FEED: Final = "prometheus"
_V2: Final = b"io.prometheus.write.v2.request"


class PrometheusRoutes:
    """The handler of Prometheus' remote write."""

    def __init__(self, intake: OpenIntake, authenticator: Authenticator) -> None:
        self._intake, self._authenticator = intake, authenticator

    def routes(self) -> list[Route]:
        """The routes, for `Routes`."""
        return [Route("POST", "/api/v1/write", self.post_write)]

    async def post_write(self, incoming: Incoming) -> HttpAnswer:
        """A write request: `204` when it is durable."""
        given = query_values(incoming)
        principal = self._authenticator.authorize(with_key(incoming.headers, {}), "write", incoming.address)
        if unknown := [name for name in given if name != "feed"]:
            message = f"there is no parameter '{unknown[0][:60]}'; there is feed"
            raise InputError(f"{message}.", (Fault(f"$query.{unknown[0][:60]}", "unknown_key", message),))
        kind = incoming.headers.get(b"content-type", b"application/x-protobuf").lower()
        if not kind.startswith(b"application/x-protobuf"):
            raise MediaTypeError("A write request is application/x-protobuf, packed with snappy.")
        if incoming.headers.get(b"content-encoding", b"snappy").lower() != b"snappy":
            raise MediaTypeError("A write request is packed with snappy: Content-Encoding: snappy.")
        format = "prometheus2" if _V2 in kind else "prometheus"
        feed = given.get("feed", DEFAULT_FEED)
        taken = await self._intake.accept(incoming, principal, feed, format, OpenOptions(), coding="snappy")
        written = taken.check.records - taken.check.rejected
        headers = [
            (b"x-tidemill-receipt", taken.accepted.appended.receipt.encode()),
            (b"x-prometheus-remote-write-samples-written", b"%d" % written),
            (b"x-prometheus-remote-write-histograms-written", b"0"),
            (b"x-prometheus-remote-write-exemplars-written", b"0"),
        ]
        return HttpAnswer(204, headers, b"")
