"""The safe client over TLS: who is believed, and what it says of the others."""

import shutil
import socket
import ssl
import subprocess
import threading

import pytest

from tests.sources.answering import OK, get, redirect, serving

pytestmark = pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl makes the certificates")


AUTHORITY = """
[ca]
default_ca = own
[own]
database = issued
new_certs_dir = .
rand_serial = yes
default_md = sha256
policy = any
copy_extensions = copy
[any]
commonName = supplied
"""


def certified(folder, start, end):
    """A certificate of its own making for `localhost` and 127.0.0.1, valid from `start` to `end`, with its key."""
    (folder / "authority").write_text(AUTHORITY)
    (folder / "issued").touch()
    key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", "key.pem"]
    names = ["-subj", "/CN=test", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1", "-out", "request.pem"]
    signing = ["-batch", "-notext", "-config", "authority", "-selfsign", "-keyfile", "key.pem", "-in", "request.pem"]
    dates = ["-startdate", start, "-enddate", end, "-out", "certificate.pem"]
    for command in (["req", *key, *names], ["ca", *signing, *dates]):
        subprocess.run(["openssl", *command], cwd=folder, check=True, capture_output=True)
    return folder / "certificate.pem", folder / "key.pem"


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    return certified(tmp_path_factory.mktemp("tls"), "20200101000000Z", "20491231000000Z")


@pytest.fixture
def asked_names():
    return []


def serving_as(certificate):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate)
    return context


@pytest.fixture
def server_tls(certificate, asked_names):
    context = serving_as(certificate)
    context.sni_callback = lambda _socket, name, _context: asked_names.append(name)
    return context


@pytest.fixture
def trusting(certificate):
    """A client that believes the certificate, as it believes a public authority."""
    return ssl.create_default_context(cafile=certificate[0])


def test_certificate_is_verified_for_the_name_that_was_asked(server_tls, trusting, asked_names):
    with serving(OK, tls=server_tls) as server:
        named = server["url"].replace("127.0.0.1", "localhost")
        assert get(named, tls=trusting).body == b"ok"
        assert get(server["url"], tls=trusting).body == b"ok"
        assert asked_names == ["localhost", None], "an address is no name to ask for"


def test_certificate_for_another_name_is_refused(server_tls, trusting):
    with serving(OK, tls=server_tls) as server:
        answer = get(
            server["url"].replace("127.0.0.1", "127.0.0.2"), server["url"].replace("127.0.0.1", "0x7f.1"), tls=trusting
        )
        assert answer.reason == "tls" and "Hostname mismatch" in answer.message and "for this name" in answer.message
    assert server["requests"] == []


def test_certificate_of_nobody_known_is_refused(server_tls):
    with serving(OK, tls=server_tls) as server:
        answer = get(server["url"])
    assert answer.reason == "tls"
    assert "self-signed certificate" in answer.message and "one of a public authority" in answer.message
    assert server["requests"] == []


def test_certificate_that_has_expired_is_refused(tmp_path):
    old = certified(tmp_path, "20200101000000Z", "20200102000000Z")
    with serving(OK, tls=serving_as(old)) as server:
        answer = get(server["url"], tls=ssl.create_default_context(cafile=old[0]))
    assert answer.reason == "tls" and "certificate has expired" in answer.message and "in date" in answer.message


def test_redirect_from_https_to_http_is_not_followed(server_tls, trusting):
    with serving(OK) as plain, serving(redirect(plain["url"]), tls=server_tls) as server:
        answer = get(server["url"], tls=trusting)
    assert answer.reason == "redirects" and "from https to http" in answer.message
    assert plain["connections"] == 0


def test_tls_to_a_server_that_does_not_speak_it():
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def greet():
            connection, _ = listener.accept()
            with connection:
                connection.sendall(b"220 mail.example.org ESMTP\r\n")
                connection.recv(4096)

        thread = threading.Thread(target=greet)
        thread.start()
        answer = get(f"https://127.0.0.1:{listener.getsockname()[1]}/")
        thread.join(5)
    assert answer.reason == "tls"
