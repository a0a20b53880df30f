"""Compiles [source.mqtt] to what a connection needs: the broker, the login, the filters to subscribe to."""

import ssl
import tempfile
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import msgspec

from tidemill.feeds.source import Source, SourceMqtt
from tidemill.feeds.topics import TopicTemplate, topic_template
from tidemill.model.time import NS_PER_S, duration_ns

DEFAULT_QUIET: Final = "60s"
_PORTS: Final = {"mqtt": 1883, "mqtts": 8883}


class MqttSpec(msgspec.Struct, frozen=True, kw_only=True):
    """A broker and a subscription. `quiet_s`: after so long without a message the ledger says `empty`; `session_s`: for
    so long the broker is to keep messages while nobody is connected. `ca`, `certificate`, `key`: PEM, or null."""

    host: str
    port: int
    tls: bool
    user: str | None
    password: str | None
    templates: tuple[TopicTemplate, ...]
    qos: int
    skip_retained: bool
    client_id: str | None
    session_s: int
    is_version_5: bool
    quiet_s: float
    ca: str | None
    certificate: str | None
    key: str | None

    def __repr__(self) -> str:
        return f"MqttSpec({self.host}:{self.port})"  # without the values: they may be secrets

    def values(self, topic: str) -> dict[str, str]:
        """The named levels of a topic, by the first template that it matches."""
        matches = (template.values(topic) for template in self.templates)
        return next((values for values in matches if values is not None), {})


def compile_mqtt(source: Source) -> MqttSpec | None:
    """The subscription of a source; None for a source of another kind."""
    mqtt: SourceMqtt | None = source.mqtt
    if mqtt is None:
        return None
    url = urlsplit(source.url)
    return MqttSpec(
        host=url.hostname or "",
        port=url.port or _PORTS[url.scheme],
        tls=url.scheme == "mqtts",
        user=source.basic.user if source.basic else None,
        password=source.basic.password if source.basic else None,
        templates=tuple(map(topic_template, mqtt.topics)),
        qos=mqtt.qos,
        skip_retained=mqtt.retained == "skip",
        client_id=mqtt.client_id,
        session_s=duration_ns(mqtt.session) // NS_PER_S,
        is_version_5=mqtt.protocol == "5",
        quiet_s=duration_ns(source.every or DEFAULT_QUIET) / NS_PER_S,
        ca=mqtt.ca,
        certificate=mqtt.certificate,
        key=mqtt.key,
    )


class NamedContext(ssl.SSLContext):
    """A context whose connections are to be of the host `name`, to whichever address of the host they are made."""

    name: str = ""

    def wrap_socket(self, sock: Any, *args: Any, **kwargs: Any) -> ssl.SSLSocket:
        """As SSLContext does, for the host `name`."""
        kwargs["server_hostname"] = self.name
        return super().wrap_socket(sock, *args, **kwargs)


def tls_context(spec: MqttSpec) -> ssl.SSLContext | None:
    """The context for a broker with TLS, else None. Reads files. Raises ValueError with a sentence for certificates
    that are none."""
    if not spec.tls:
        return None
    context = NamedContext(ssl.PROTOCOL_TLS_CLIENT)
    context.name = spec.host
    try:
        if spec.ca is None:
            context.load_default_certs()
        else:
            context.load_verify_locations(cadata=spec.ca)
        if spec.certificate is not None and spec.key is not None:
            with tempfile.TemporaryDirectory() as folder:  # OpenSSL reads a key from a file only
                pair = Path(folder, "pair.pem")
                pair.touch(0o600)
                pair.write_text(f"{spec.certificate}\n{spec.key}\n")
                context.load_cert_chain(pair)
    except (ssl.SSLError, ValueError) as error:
        reason = getattr(error, "reason", None) or "not PEM"
        raise ValueError(f"a certificate or key of [source.mqtt] cannot be used ({reason})") from None
    return context
