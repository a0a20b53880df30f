"""Asks a server's `/readyz`, with nothing but the standard library: no key, and no proxy of the environment."""

import json
import urllib.error
import urllib.request
from typing import Any


def read_readiness(url: str, timeout_s: float) -> dict[str, Any]:
    """The answer of `/readyz`, also that of a server which is not ready (503): `ready` says which.

    Raises OSError where nothing answers, ValueError where what answers is no Tidemill.
    """
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(f"{url.rstrip('/')}/readyz", timeout=timeout_s) as answer:
            body = answer.read()
    except urllib.error.HTTPError as error:
        if error.code != 503:
            raise
        body = error.read()
    document = json.loads(body)
    if not isinstance(document, dict):
        raise ValueError("its /readyz is no JSON object")
    return document
