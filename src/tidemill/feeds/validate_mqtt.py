"""Validates a [source] of kind `mqtt`: the broker, the topics, and that one bad message does not refuse the others."""

from collections.abc import Iterator
from typing import Final
from urllib.parse import urlsplit

from tidemill.feeds.convert import DefinitionFault
from tidemill.feeds.definition import Feed
from tidemill.feeds.source import Source, SourceMqtt
from tidemill.feeds.topics import topic_fault

_NOT_TAKEN: Final = (
    *("options", "params", "each", "headers", "body", "api_key", "oauth2", "cron", "drain", "rate", "window", "page"),
    *("error_path", "nothing", "skip_unchanged"),
)
_LONGEST_ID: Final = 128


def mqtt_faults(feed: Feed, source: Source) -> Iterator[DefinitionFault]:
    """Every fault of a source that subscribes to a broker."""
    yield from broker_faults(source.url)
    for name in _NOT_TAKEN:
        if getattr(source, name):
            message = f"'{name}' is for kind = 'http'; a broker is asked by [source.mqtt]"
            yield DefinitionFault(("source", name), "conflict", message)
    if "ndjson" not in feed.input.formats or feed.input.columns is not None or feed.input.root != "$":
        message = "messages come as lines of JSON, each a record: formats with 'ndjson', and no records or columns"
        yield DefinitionFault(("input", "formats"), "conflict", message)
    if feed.input.on_fault == "refuse":
        message = 'several messages are one payload: write on_fault = "reject", so that one does not refuse the others'
        yield DefinitionFault(("input", "on_fault"), "conflict", message)
    if source.mqtt is None:
        yield DefinitionFault(("source", "mqtt"), "missing", "say what to subscribe to: topics in [source.mqtt]")
    else:
        yield from _subscription_faults(source, source.mqtt)


def broker_faults(text: str) -> Iterator[DefinitionFault]:
    """The fault of a broker's address."""
    key = ("source", "url")
    if not text:
        yield DefinitionFault(key, "missing", "'url' is missing: mqtts://broker.example.com, or mqtt:// without TLS")
        return
    try:
        url = urlsplit(text)
        wrong = url.scheme not in ("mqtt", "mqtts") or not url.hostname or url.port == 0
    except ValueError:
        wrong = True
    if wrong or url.path.strip("/") or url.query or url.username:
        message = "the broker is mqtts://host:port (8883) or mqtt://host:port (1883); user and password are in basic"
        yield DefinitionFault(key, "bad_url", message)


def _subscription_faults(source: Source, mqtt: SourceMqtt) -> Iterator[DefinitionFault]:
    key = ("source", "mqtt")
    if not mqtt.topics:
        yield DefinitionFault(
            (*key, "topics"), "missing", "say what to subscribe to: topics = ['plant/{device}/state']"
        )
    for number, text in enumerate(mqtt.topics):
        if (fault := topic_fault(text)) is not None:
            yield DefinitionFault((*key, "topics", number), "bad_topic", fault)
    if mqtt.client_id is not None and not 1 <= len(mqtt.client_id) <= _LONGEST_ID:
        yield DefinitionFault((*key, "client_id"), "out_of_range", f"it has 1 to {_LONGEST_ID} characters")
    if (mqtt.certificate is None) != (mqtt.key is None):
        yield DefinitionFault((*key, "certificate"), "missing", "a client's certificate and its key belong together")
    if source.url.startswith("mqtt://") and (mqtt.ca or mqtt.certificate):
        yield DefinitionFault((*key, "ca"), "conflict", "certificates are for mqtts://")
