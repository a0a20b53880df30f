"""Prints the banner of `tidemill serve`: the server's address, whether keys are needed, and three commands to try."""

import threading
import time
import urllib.error
import urllib.request

from rich.console import Console

from tidemill.settings import Settings

_TRY = """
  Try it:
    curl -X PUT {url}/location{key} -d '{{"timestamp": "2017-01-01 13:05:12", "lat": 40.701, "long": -73.916, \
"accuracy": 11.3, "speed": 1.4, "user_id": "a1"}}'
    curl "{url}/v1/feeds/location/rollups?user_id=a1"{key}
    curl "{url}/v1/series?limit=5"{key}
"""


def announce_when_ready(console: Console, url: str, settings: Settings, *, open_access: bool) -> None:
    """Print the banner in a thread, as soon as `/readyz` answers 200."""
    arguments = (console, url, settings, open_access, time.monotonic())
    threading.Thread(target=_announce, args=arguments, name="banner", daemon=True).start()


def _announce(console: Console, url: str, settings: Settings, open_access: bool, started: float) -> None:
    while not _ready(url):
        time.sleep(0.1)
    access = "open access: loopback only and no key exists" if open_access else "keys are needed"
    took_s = time.monotonic() - started
    console.print(f"\n  Tidemill is ready at [bold]{url}[/bold]  ({took_s:.1f} s; {access})", highlight=False)
    console.print(f"  Data in {settings.folder}; API at {url}/docs", highlight=False)
    key = "" if open_access else ' -H "Authorization: Bearer $KEY"'
    console.print(_TRY.format(url=url, key=key), highlight=False, markup=False, soft_wrap=True)


def _ready(url: str) -> bool:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # without the environment's proxy
    try:
        with opener.open(f"{url}/readyz", timeout=2) as answer:
            return bool(answer.status == 200)
    except (OSError, urllib.error.URLError):
        return False
