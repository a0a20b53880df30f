"""A source that subscribes to a real broker: TLS and a login from files, topics to tags, retained and odd messages."""

import json
import re
import socket
import subprocess
from pathlib import Path

import msgspec
import paho.mqtt.client as paho
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.sources.conftest import until
from tests.support.mosquitto import needs_mosquitto, running_broker
from tidemill.errors import FeedDefinitionError, InputError
from tidemill.feeds.load import load_feed
from tidemill.feeds.topics import topic_fault, topic_template
from tidemill.sources.mqtt_connection import MqttMessage
from tidemill.sources.mqtt_session import MqttSession
from tidemill.sources.outbox import KeptRefusalError
from tidemill.sources.state import Cursor

FEED = """name = "plant"
[input]
on_fault = "reject"
[time]
format = "received"
[tags.device]
path = "$.topic.device"
[fields.level]
path = "$.message"
[source]
kind = "mqtt"
url = "URL"
timeout = "5s"
allow = ["127.0.0.0/8"]
MORE
[source.mqtt]
topics = ["plant/{device}/level"]
"""


def feed(url, more="", environment=None, secrets_folder=None, mqtt=""):
    text = FEED.replace("URL", url).replace("MORE", more) + mqtt
    return load_feed(text, environment=environment or {}, secrets_folder=secrets_folder)


def publish(port, *messages, tls=None, login=None):
    client = paho.Client(paho.CallbackAPIVersion.VERSION2)
    if login:
        client.username_pw_set(*login)
    if tls:
        client.tls_set(ca_certs=str(tls))
    client.connect("localhost", port)
    client.loop_start()
    for topic, payload, retain in messages:
        client.publish(topic, payload, qos=1, retain=retain).wait_for_publish(60)
    client.disconnect()
    client.loop_stop()


def certificate(folder):
    command = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=localhost"
    more = ["-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1", "-keyout", "key.pem", "-out", "ca.pem"]
    subprocess.run([*command.split(), *more], cwd=folder, check=True, capture_output=True)
    (folder / "key.pem").chmod(0o644)


@needs_mosquitto
def test_messages_come_over_tls_with_a_login_from_files(tmp_path, polling, intake, states):
    folder = tmp_path / "secrets"
    folder.mkdir()
    certificate(folder)
    (folder / "password").write_text("let-me-in\n")
    passwords = tmp_path / "passwords"
    subprocess.run(["mosquitto_passwd", "-c", "-b", str(passwords), "tidemill", "let-me-in"], check=True)
    lines = ["allow_anonymous false", f"password_file {passwords}"]
    lines += [f"certfile {folder}/ca.pem", f"keyfile {folder}/key.pem"]
    basic = f'basic = {{ user = "tidemill", password = "${{file:{folder}/password}}" }}'
    login = ("tidemill", "let-me-in")
    with running_broker(tmp_path / "broker", lines) as broker:
        kept = ("plant/old/level", "1.5", True)
        publish(broker.port, kept, tls=folder / "ca.pem", login=login)
        text = FEED.replace("URL", f"mqtts://localhost:{broker.port}").replace("MORE", basic)
        text += f'ca = "${{file:{folder}/ca.pem}}"\n'
        right = load_feed(text, environment={}, secrets_folder=folder)
        wrong = load_feed(text.replace("let", "set").replace('"plant"', '"wrong"').replace('"tidemill"', '"nobody"'),
                          environment={}, secrets_folder=folder)  # fmt: skip
        with polling(right, wrong):
            until(intake.bodies)
            odd = [
                ("plant/a/level", '{\n "x": 1}', False),
                ("plant/b/level", "21.5 °C", False),
                ("plant/c/level", b"\xff\xfe", False),
                ("plant/d/level", b"", False),
                ("plant/e/f/level", "9", False),
                ("plant/last/level", "7", False),
            ]
            publish(broker.port, *odd, tls=folder / "ca.pem", login=login)
            records = until(lambda: (r := read(intake)) and r[-1]["message"] == 7 and r)
            refused = until(lambda: states()["wrong"].state in ("failing", "open") and states()["wrong"])
        state = states()["plant"]
    assert [(record["topic"]["device"], record["message"], record["labels"]) for record in records] == [
        ("old", 1.5, ["retained"]),
        ("a", {"x": 1}, []),
        ("b", "21.5 °C", []),
        ("c", "//4=", []),
        ("d", None, []),
        ("last", 7, []),
    ]
    assert (state.state, state.payload_bytes > 0, state.cursor.startswith("tidemill-plant-")) == ("ok", True, True)
    assert "user and password" in refused.detail and "let-me-in" not in refused.detail


def read(intake):
    return [json.loads(line) for body in intake.bodies() for line in body.splitlines()]


def test_a_broker_that_is_not_there_is_a_state(polling, states):
    with polling(feed("mqtt://127.0.0.1:1")):
        state = until(lambda: (s := states().get("plant")) and s.state == "failing" and s)
    assert "look at source.url" in state.detail


def test_a_broker_that_never_answers_is_hung_up_on(polling, states):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"mqtt://127.0.0.1:{listener.getsockname()[1]}"
        silent = load_feed(FEED.replace("URL", url).replace("5s", "100ms").replace("MORE", ""), environment={})
        with polling(silent):
            state = until(lambda: (s := states().get("plant")) and s.failures >= 2 and s)
        assert "timed out" in state.detail
        for _ in range(2):
            connection = listener.accept()[0]
            connection.settimeout(60)
            while connection.recv(4096):
                pass  # the greeting, then the end
            connection.close()


def test_the_feed_of_the_page_is_one_that_loads():
    page = (Path(__file__).parents[2] / "docs/how-to/mqtt.md").read_text("utf-8")
    (text,) = re.findall(r"^```toml\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    plant = load_feed(text, environment={}, secrets_folder=None, with_source=False)
    assert list(plant.tags) == ["site", "device"] and [rule.code for rule in plant.rules] == ["retained"]
    mqtt = feed("mqtts://broker").source.mqtt
    assert mqtt.topics == ("plant/{device}/level",)


@pytest.mark.parametrize(
    ("before", "after", "words"),
    [
        ("mqtt://broker", "https://broker", "mqtts://host:port"),
        ('topics = ["plant/{device}/level"]', "topics = []", "say what to subscribe to"),
        ("{device}/level", "{device}x/level", "is no level"),
        ("plant/{device}", "#/{device}", "last level only"),
        ('on_fault = "reject"', 'on_fault = "refuse"', "does not refuse the others"),
        ("MORE", "drain = true", "'drain' is for kind = 'http'"),
        ("[source.mqtt]", "[source.mqtt]\nqos = 2", "qos"),
        ("[source.mqtt]", '[source.mqtt]\nkey = "x"', "belong together"),
    ],
)
def test_a_definition_that_cannot_work_says_why(before, after, words):
    text = FEED.replace("URL", "mqtt://broker").replace(before, after).replace("MORE", "")
    with pytest.raises(FeedDefinitionError) as refused:
        load_feed(text, environment={})
    assert words in " ".join(f"{fault.path} {fault.message}" for fault in refused.value.faults)


LEVELS = st.text(st.characters(exclude_characters="/+#{}\0", exclude_categories=["Cs"]), min_size=1, max_size=5)


@given(st.lists(LEVELS, min_size=1, max_size=5), st.data())
def test_a_template_gives_the_levels_of_a_topic(levels, data):
    named = data.draw(st.sets(st.integers(0, len(levels) - 1)))
    text = "/".join(f"{{n{number}}}" if number in named else level for number, level in enumerate(levels))
    template = topic_template(text)
    assert topic_fault(text) is None
    assert template.values("/".join(levels)) == {f"n{number}": levels[number] for number in named}
    assert template.values("/".join([*levels, "more"])) is None
    assert topic_template(f"{text}/#").values("/".join([*levels, "a", "b"])) is not None


def test_only_a_message_that_is_sent_again_is_known():
    first = MqttMessage("a", b"1", 1, False, 7, False)
    session = MqttSession(client_id="c").with_pending("k", b"{}\n", [first])
    again = MqttMessage("a", b"1", 1, False, 7, True)
    assert session.knows(again) and not session.knows(first)
    assert not session.knows(MqttMessage("a", b"2", 1, False, 7, True))
    assert MqttSession.decode(session.encode()) == session
    many = [MqttMessage("a", b"1", 1, False, number, False) for number in range(5_000)]
    assert len(session.with_pending("k", b"", many).taken) == 1000


def test_a_number_that_is_used_again_stands_for_the_new_message():
    first = MqttMessage("a", b"21.5", 1, False, 1, False)
    session = MqttSession(client_id="c").with_pending("k", b"{}\n", [first])
    again = MqttMessage("a", b"21.5", 1, False, 1, True)
    assert session.without([again]).knows(again)
    assert not session.without([first]).knows(again)  # as the same bytes came anew, and were cut before they were taken


@needs_mosquitto
def test_messages_that_nobody_keeps_stay_with_the_broker_and_long_ones_are_said(tmp_path, polling, intake, catalog):
    polls, refusals = [], [KeptRefusalError("bad", "r1"), InputError("too large"), InputError("not now")]
    take = intake.submit

    async def submit(*arguments, **more):
        if b'"a"' in arguments[2] and refusals:
            raise refusals.pop(0)
        return await take(*arguments, **more)

    intake.submit = submit
    with running_broker(tmp_path / "broker") as broker:
        plant = feed(broker.url, "max_bytes = 1_000\n", mqtt='protocol = "3.1.1"')
        with polling(plant, record=polls.extend):
            until(lambda: publish(broker.port, ("plant/first/level", "0", False)) or intake.bodies())
            publish(broker.port, ("plant/long/level", "7" * 1001, False))
            publish(broker.port, ("plant/last/level", '"a"', False))  # refused, and kept as refused
            until(lambda: len(refusals) == 2)
            publish(broker.port, ("plant/last/level", '"a"', False))  # refused twice, and kept by nobody
            until(lambda: "a" in [record["message"] for record in read(intake)])
            until(lambda: saved(catalog).pending_key == "", 60)
        with polling(plant, record=polls.extend):
            publish(broker.port, ("plant/last/level", "8", False))
            until(lambda: read(intake)[-1]["message"] == 8)
        assert (saved(catalog).pending_key, saved(catalog).pending) == ("", "")
    messages = [record["message"] for record in read(intake)]  # the first was sent until it came
    assert [message for message in messages if message != 0] == ["a", 8], (
        "any number of the first, which is sent until it comes"
    )
    until(lambda: len(polls) > 5)
    (long,) = [poll for poll in polls if poll.result == "too_large"]
    assert "1 messages of more than 1000 bytes were dropped" in long.detail
    assert [poll.receipt for poll in polls if poll.result == "payload_refused"] == ["r1", "", ""]


def saved(catalog):
    cursor = msgspec.json.decode(catalog.get("sources/default/plant/-/cursor").value, type=Cursor)
    return MqttSession.decode(cursor.token)
