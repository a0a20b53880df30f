"""The contracts `location`, `dropzone` and `signals` in their smallest form, in memory: what the simulators are tested
against. `lie` names one way in which it breaks its contract, so that a test can see whether a simulator notices."""

import json
import math
import statistics
from datetime import datetime, timedelta
from fractions import Fraction
from urllib.parse import parse_qs

import tzfpy

from tidemill.model.time import NS_PER_S, format_instant, parse_duration_ns, parse_instant, parse_wall
from tidemill.model.zones import zone

FIELDS = {"lat": (-90, 90), "long": (-180, 180), "accuracy": (0, math.inf), "speed": (0, math.inf)}


class Reference:
    def __init__(self, lie=""):
        self.lie = lie
        self.fixes, self.rows, self.series = {}, {}, {}
        self.submitted = set()
        self.receipts = 0

    async def __call__(self, scope, receive, send):
        body, more = b"", True
        while more:
            message = await receive()
            body += message.get("body", b"")
            more = message.get("more_body", False)
        query = {name: values[0] for name, values in parse_qs(scope["query_string"].decode()).items()}
        status, document = self.answer(scope["method"], scope["path"], query, body)
        kind = b"application/problem+json" if status >= 400 else b"application/json"
        await send({"type": "http.response.start", "status": status, "headers": [(b"content-type", kind)]})
        await send({"type": "http.response.body", "body": b"" if status == 204 else json.dumps(document).encode()})

    def answer(self, method, path, query, body):
        match (method, path.strip("/").split("/")):
            case "PUT", ["location"]:
                return self.taken(200, self.location, body)
            case "GET", ["v1", "feeds", "location", "rollups"]:
                return 200, self.rollups(query)
            case "POST", ["v1", "feeds", "dropzone"]:
                return self.taken(202, self.dropzone, body)
            case "GET", ["v1", "feeds", "dropzone", "rows"]:
                start, end = parse_instant(query["start"]), parse_instant(query["end"])
                return 200, [row for row in self.rows.values() if start <= parse_instant(row["time"]) < end]
            case "POST", ["v1", "series"]:
                return 201, self.store(json.loads(body))
            case "GET", ["v1", "series", "count"]:
                return 200, {"count": len(self.series)}
            case "DELETE", ["v1", "series", identity] if identity in self.series:
                if self.lie != "deleted series stay":
                    del self.series[identity]
                return 204, None
            case "GET", ["v1", "series", identity, *rest] if identity in self.series:
                return 200, metrics(self.series[identity]) if rest else self.series[identity]
        return 404, {"status": 404}

    def taken(self, status, take, body):
        try:
            document = json.loads(body, parse_constant=lambda _: 1 / 0)
        except (ValueError, ZeroDivisionError):
            try:
                document = [json.loads(line) for line in body.splitlines() if b"}" in line[-1:]]
                assert len(document) > 1
            except (ValueError, AssertionError):
                return 400, {"errors": [{"path": "$"}]}
        self.receipts += 1
        faults = take(document, f"r{self.receipts}")
        if faults and self.lie != "broken records are taken":
            return 400, {"errors": [{"path": path} for path in faults]}
        return status, {"id": f"r{self.receipts}", "bytes": len(body)}

    def location(self, fix, receipt):
        if not isinstance(fix, dict):
            return ["$[0]"]
        faults = [f"$.{name}" for name, (low, high) in FIELDS.items() if not number(fix.get(name), low, high)]
        if not isinstance(fix.get("user_id"), str):
            faults.append("$.user_id")
        try:
            instant = self.instant(fix)
        except (KeyError, TypeError, ValueError):
            faults.append("$.timestamp")
        if not faults:
            user = fix["user_id"]
            known = {(user, instant)} | ({(user, fix["timestamp"])} if self.lie != "a border makes two" else set())
            if self.lie == "last wins" or not known & self.submitted:
                self.fixes[user, instant] = fix
            self.submitted |= known
        return faults

    def instant(self, fix):
        wall, offset = parse_wall(fix["timestamp"])
        if offset is None:
            where = zone(tzfpy.get_tz(fix["long"], fix["lat"]))
            local = datetime(1970, 1, 1) + timedelta(microseconds=wall // 1000)
            offset = 0 if self.lie == "local is UTC" else int(local.replace(tzinfo=where).utcoffset().total_seconds())
        return wall - offset * NS_PER_S

    def rollups(self, query):
        minutes = {}
        for (user, instant), fix in self.fixes.items():
            if user == query["user_id"]:
                minutes.setdefault(instant // (60 * NS_PER_S) * 60 * NS_PER_S, []).append(fix)
        return [
            {"minute": format_instant(minute), "user_id": query["user_id"], "count": len(fixes)}
            | {name: statistics.fmean(fix[name] for fix in fixes) for name in FIELDS}
            for minute, fixes in minutes.items()
        ]

    def dropzone(self, documents, receipt):
        one = isinstance(documents, dict)
        faults, rows = [], []
        for place, document in enumerate([documents] if one else documents):
            path = "$" if one else f"$[{place}]"
            data = document.get("data")
            if not isinstance(data, list) or not data:
                faults.append(f"{path}.data")
                data = []
            faults += [f"{path}.data[{n}]" for n, value in enumerate(data) if not number(value)]
            try:
                time = format_instant(parse_instant(document["time_stamp"]))
            except (KeyError, TypeError, ValueError):
                faults.append(f"{path}.time_stamp")
            if not faults:
                rows.append({"time": time, "receipt": receipt, "count": len(data), **deviations(data)})
        if not faults:
            for row in rows:
                if self.lie == "rows stay":
                    self.rows.setdefault(row["time"], row)
                else:
                    self.rows[row["time"]] = row
        return faults

    def store(self, document):
        values = document["values"]
        if "times" in document:
            times = document["times"]
        else:
            rate = document.get("sample_rate_hz")
            step = Fraction(NS_PER_S) / Fraction(rate) if rate else Fraction(*parse_duration_ns(document["interval"]))
            start = parse_instant(document["start"])
            times = [format_instant(start + round(step * n)) for n in range(len(values))]
        if self.lie == "values are rounded":
            values = [value and round(value, 6) for value in values]
        identity = document["name"].encode().hex()
        self.series[identity] = {"id": identity, "values": values, "times": times}
        return {"id": identity, "count": len(values)}


def number(value, low=-math.inf, high=math.inf):
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return is_number and math.isfinite(value) and low <= value <= high


def deviations(data):
    return {
        "mean": statistics.fmean(data),
        "stddev": statistics.stdev(data) if len(data) > 1 else None,
        "stddev_pop": statistics.pstdev(data),
    }


def metrics(series):
    present = [value for value in series["values"] if value is not None]
    return {
        "count": len(present),
        "missing": len(series["values"]) - len(present),
        "min": min(present),
        "max": max(present),
        "first": present[0],
        "last": present[-1],
        "mean": statistics.fmean(present),
        "rms": math.sqrt(statistics.fmean(value * value for value in present)),
    }
