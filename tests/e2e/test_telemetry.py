"""Contract 3: poll a data server, drop what is not to be trusted."""

import base64
import http.server
import json
import struct
import threading
import time

from tests.support.server import Server


class DataServer(http.server.ThreadingHTTPServer):
    """Hands out the given points, one a request, then 404."""

    def __init__(self, port: int, points: list[dict[str, object]]) -> None:
        self.points, self.served, self.guard = points, 0, threading.Lock()
        super().__init__(("127.0.0.1", port), Handler)


class Handler(http.server.BaseHTTPRequestHandler):
    server: DataServer
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        with self.server.guard:
            point = self.server.points[self.server.served] if self.server.served < len(self.server.points) else None
            self.server.served += point is not None
        body = json.dumps(point).encode() if point else b""
        self.send_response(200 if point else 404)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None: ...


def point(age_s: int, value: float, tags: list[str], *, as_base64: bool = False) -> dict[str, object]:
    raw = struct.pack("<f", value)
    encoded: object = base64.b64encode(raw).decode() if as_base64 else list(raw)
    return {"time": int(time.time()) - age_s, "value": encoded, "tags": tags}


def test_drains_rejects_with_every_reason_and_keeps_the_rest(server: Server, sources: dict[str, int]) -> None:
    points = [
        point(5, 1.5, []),
        point(5, 2.5, ["other"], as_base64=True),  # the same second: both stay
        point(7200, 3.5, []),
        point(5, 4.5, ["system"]),
        point(5, 5.5, ["suspect"]),
        point(7200, 6.5, ["system", "suspect"]),
        {"time": int(time.time()), "value": [1, 2, 3], "tags": []},
    ]
    source = DataServer(sources["telemetry"], points)
    thread = threading.Thread(target=source.serve_forever, daemon=True)
    thread.start()
    try:
        deadline = time.monotonic() + 30
        found: list[dict[str, object]] = []
        summary: dict[str, object] = {}
        while time.monotonic() < deadline and not (len(found) == 2 and summary.get("total") == 5):
            time.sleep(0.1)
            found = server.client.get("/v1/feeds/telemetry/points").json()
            summary = server.client.get("/v1/rejections/summary?feed=telemetry").json()
        assert sorted(p["value"] for p in found) == [1.5, 2.5]
        assert set(found[0]) == {"time", "value"}
        reasons = summary["by_reason"]
        assert isinstance(reasons, dict)
        wrong = {code: n for code, n in reasons.items() if code not in ("too_old", "internal", "suspect")}
        assert {code: reasons[code] for code in ("too_old", "internal", "suspect")} == {
            "too_old": 2,
            "internal": 2,
            "suspect": 2,
        }
        assert sum(wrong.values()) == 1
        items = server.client.get("/v1/rejections?feed=telemetry&reason=internal").json()["items"]
        assert sorted(len(item["reasons"]) for item in items) == [1, 3]
    finally:
        source.shutdown()
        source.server_close()
        thread.join()
