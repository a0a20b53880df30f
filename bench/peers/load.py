"""The load: points of hosts with fields, a record a host every ten seconds, as line protocol and as NDJSON."""

from collections.abc import Iterator
from functools import cached_property
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from tidemill.model.time import NS_PER_S, format_instant, parse_instant

START_NS: Final = parse_instant("2026-01-01T00:00:00Z")
STEP_S: Final = 10
TABLE: Final = "cpu"
SINGLE: Final = "single"  # the table of the writes of one point
BodyFormat = Literal["line_protocol", "ndjson"]


class Load:
    """`points` of `hosts` x `fields`, in batches of `batch` records. Values have three decimals; the same each time."""

    def __init__(self, points: int, hosts: int, fields: int, batch: int) -> None:
        self.hosts, self.fields, self.batch = hosts, fields, batch
        self.instants = max(1, points // (hosts * fields))

    @property
    def points(self) -> int:
        """How many points the load has."""
        return self.instants * self.hosts * self.fields

    @property
    def end_ns(self) -> int:
        """The end of the range of its times, excluded."""
        return START_NS + self.instants * STEP_S * NS_PER_S

    @cached_property
    def values(self) -> NDArray[np.float64]:
        """The values by instant, host and field."""
        return np.round(np.random.default_rng(1).normal(50, 15, (self.instants, self.hosts, self.fields)), 3)

    def bodies(self, form: BodyFormat) -> list[bytes]:
        """The bodies of the batches, in the order of time."""
        records = self._lines() if form == "line_protocol" else self._documents()
        bodies, lines = [], []
        for line in records:
            lines.append(line)
            if len(lines) == self.batch:
                bodies.append("\n".join(lines).encode())
                lines.clear()
        return [*bodies, "\n".join(lines).encode()] if lines else bodies

    def single(self, form: BodyFormat, number: int) -> bytes:
        """The body of one point of the table SINGLE, after the load."""
        at = self.end_ns + number * NS_PER_S
        if form == "line_protocol":
            return f"{SINGLE},host=h0 f0={number}.5 {at}".encode()
        return f'{{"time":"{format_instant(at)}","host":"h0","f0":{number}.5}}'.encode()

    def _lines(self) -> Iterator[str]:
        names = [f"f{field}=" for field in range(self.fields)]
        for instant, hosts in enumerate(self.values.tolist()):
            at = START_NS + instant * STEP_S * NS_PER_S
            for host, values in enumerate(hosts):
                pairs = ",".join([f"{name}{value}" for name, value in zip(names, values, strict=True)])
                yield f"{TABLE},host=h{host} {pairs} {at}"

    def _documents(self) -> Iterator[str]:
        names = [f'"f{field}":' for field in range(self.fields)]
        for instant, hosts in enumerate(self.values.tolist()):
            at = format_instant(START_NS + instant * STEP_S * NS_PER_S)
            for host, values in enumerate(hosts):
                pairs = ",".join([f"{name}{value}" for name, value in zip(names, values, strict=True)])
                yield f'{{"time":"{at}","host":"h{host}",{pairs}}}'
