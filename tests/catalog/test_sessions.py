"""The life of a session: begun with a key, used, kept over restarts and in every process, and over for good."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, invariant, rule

from tidemill.catalog.keys import SESSIONS_PREFIX, KeyRing, create_key, revoke_key
from tidemill.catalog.sessions import IDLE_S, LONGEST_S, MAX_A_KEY, SKEW_S, WRITE_AFTER_S, SessionRing
from tidemill.catalog.sqlite import SqliteCatalog

NS = 10**9
START_NS = 1_800_000_000 * NS


class Clock:
    """A clock that the test sets."""

    def __init__(self) -> None:
        self.now_ns = START_NS

    def __call__(self) -> int:
        return self.now_ns

    def pass_s(self, seconds: float) -> None:
        self.now_ns += int(seconds * NS)


@contextmanager
def rings(catalog: SqliteCatalog, clock: Clock) -> Iterator[tuple[KeyRing, SessionRing]]:
    """What a process has: its keys and its sessions."""
    keys = KeyRing(catalog)
    sessions = SessionRing(catalog, keys, clock)
    sessions.follow()
    yield keys, sessions
    sessions.close()
    keys.close()


@pytest.fixture
def clock() -> Clock:
    return Clock()


def test_a_token_is_random_and_only_its_hash_is_kept(catalog: SqliteCatalog, tmp_path: Path, clock: Clock) -> None:
    info, _ = create_key(catalog, "default", ["read"])
    with rings(catalog, clock) as (_, sessions):
        tokens = {sessions.begin(info.key_id, secure=False) for _ in range(5)}
    assert len(tokens) == 5 and all(len(token) == 43 for token in tokens)
    kept = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    assert not any(token.encode() in kept for token in tokens)


def test_a_session_has_what_its_key_has(catalog: SqliteCatalog, clock: Clock) -> None:
    info, _ = create_key(catalog, "acme", ["read", "write"])
    with rings(catalog, clock) as (_, sessions):
        principal = sessions.principal(sessions.begin(info.key_id, secure=False), secure=False)
        assert principal is not None
        assert (principal.tenant, principal.scopes, principal.key_id) == ("acme", {"read", "write"}, info.key_id)


@pytest.mark.parametrize("token", ["", "x", "\ud800", "x" * 100_000])
def test_no_other_token_is_one(catalog: SqliteCatalog, clock: Clock, token: str) -> None:
    info, _ = create_key(catalog, "acme", ["read"])
    with rings(catalog, clock) as (_, sessions):
        sessions.begin(info.key_id, secure=False)
        assert sessions.principal(token, secure=False) is None


def test_a_session_that_began_over_tls_counts_only_over_tls(catalog: SqliteCatalog, clock: Clock) -> None:
    info, _ = create_key(catalog, "acme", ["read"])
    with rings(catalog, clock) as (_, sessions):
        for secure in (True, False):
            token = sessions.begin(info.key_id, secure=secure)
            assert sessions.principal(token, secure=secure) is not None
            assert sessions.principal(token, secure=not secure) is None


def test_a_session_is_over_when_it_was_idle_or_is_old(catalog: SqliteCatalog, clock: Clock) -> None:
    info, _ = create_key(catalog, "acme", ["read"])
    with rings(catalog, clock) as (_, sessions):
        idle, used = (sessions.begin(info.key_id, secure=False) for _ in range(2))
        while clock.now_ns - START_NS < (LONGEST_S - IDLE_S) * NS:
            clock.pass_s(IDLE_S - 1)
            assert sessions.principal(used, secure=False) is not None
        assert sessions.principal(idle, secure=False) is None
        clock.now_ns = START_NS + LONGEST_S * NS - 1
        assert sessions.principal(used, secure=False) is not None
        clock.pass_s(1e-9)
        assert sessions.principal(used, secure=False) is None
        assert sessions.keep() == 2
        assert not catalog.list(SESSIONS_PREFIX)


def test_a_session_from_the_future_is_over(catalog: SqliteCatalog, clock: Clock) -> None:
    info, _ = create_key(catalog, "acme", ["read"])
    with rings(catalog, clock) as (_, sessions):
        token = sessions.begin(info.key_id, secure=False)
        clock.pass_s(-SKEW_S)
        assert sessions.principal(token, secure=False) is not None
        clock.pass_s(-1)
        assert sessions.principal(token, secure=False) is None


def test_a_session_that_ended_does_not_come_back_with_a_late_use(catalog: SqliteCatalog, clock: Clock) -> None:
    info, _ = create_key(catalog, "acme", ["read"])
    with rings(catalog, clock) as (_, here), rings(catalog, clock) as (_, there):
        token = here.begin(info.key_id, secure=False)
        clock.pass_s(WRITE_AFTER_S)
        assert there.principal(token, secure=False) is not None
        here.end(token)
        there.keep()
        assert not catalog.list(SESSIONS_PREFIX)
        assert there.principal(token, secure=False) is None


def test_sessions_of_a_key_are_bounded_and_the_unused_one_ends(catalog: SqliteCatalog, clock: Clock) -> None:
    info, _ = create_key(catalog, "acme", ["read"])
    other, _ = create_key(catalog, "acme", ["read"])
    with rings(catalog, clock) as (_, sessions):
        of_other = sessions.begin(other.key_id, secure=False)
        tokens = []
        for _ in range(MAX_A_KEY):
            clock.pass_s(1)
            tokens.append(sessions.begin(info.key_id, secure=False))
        clock.pass_s(1)
        assert sessions.principal(tokens[0], secure=False) is not None
        newest = sessions.begin(info.key_id, secure=False)
        alive = [token for token in [*tokens, newest, of_other] if sessions.principal(token, secure=False)]
        assert alive == [tokens[0], *tokens[2:], newest, of_other]


def test_a_look_is_no_use(catalog: SqliteCatalog, clock: Clock) -> None:
    """An open stream looks twice a second whether its reader may still read: nobody need sit at the browser."""
    info, secret = create_key(catalog, "acme", ["read"])
    with rings(catalog, clock) as (keys, sessions):
        token = sessions.begin(info.key_id, secure=False)
        used = keys.uses()
        clock.pass_s(IDLE_S - 60)
        assert sessions.principal(token, secure=False, is_use=False) is not None
        assert keys.authenticate(secret, is_use=False) is not None and keys.uses() == used
        clock.pass_s(60)
        assert sessions.principal(token, secure=False, is_use=False) is None


class SessionLife(RuleBasedStateMachine):
    """Two processes that share one catalog, and restart. What is known of every session by its history decides whether
    each of the processes takes it."""

    tokens = Bundle("tokens")

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.catalog = SqliteCatalog(Path(self.folder.name) / "catalog.sqlite")
        self.clock = Clock()
        self.processes = [self.start(), self.start()]
        self.created: dict[str, int] = {}
        self.used: dict[str, int] = {}
        self.ended: set[str] = set()
        self.key_of: dict[str, str] = {}

    def start(self) -> tuple[KeyRing, SessionRing]:
        keys = KeyRing(self.catalog)
        sessions = SessionRing(self.catalog, keys, self.clock)
        sessions.refresh()
        return keys, sessions

    def synchronize(self) -> None:
        """What watches do within a second."""
        for keys, sessions in self.processes:
            keys.refresh()
            sessions.refresh()

    @initialize()
    def make_keys(self) -> None:
        self.keys = [create_key(self.catalog, "default", ["admin"])[0].key_id for _ in range(3)]
        self.synchronize()

    @rule(target=tokens, process=st.integers(0, 1), number=st.integers(0, 2))
    def begin(self, process: int, number: int) -> str:
        key_id = self.keys[number]
        token = self.processes[process][1].begin(key_id, secure=False)
        self.created[token] = self.used[token] = self.clock.now_ns
        self.key_of[token] = key_id
        self.synchronize()
        return token

    @rule(token=tokens, process=st.integers(0, 1))
    def use(self, token: str, process: int) -> None:
        expected = self.is_alive(token)
        principal = self.processes[process][1].principal(token, secure=False)
        assert (principal is not None) == expected
        if expected:
            self.used[token] = self.clock.now_ns
            self.processes[process][1].keep()
            self.synchronize()

    @rule(token=tokens, process=st.integers(0, 1))
    def sign_out(self, token: str, process: int) -> None:
        self.processes[process][1].end(token)
        self.ended.add(token)
        self.synchronize()

    @rule(number=st.integers(0, 2))
    def revoke(self, number: int) -> None:
        revoke_key(self.catalog, self.keys[number])
        self.ended |= {token for token, key_id in self.key_of.items() if key_id == self.keys[number]}
        self.synchronize()
        assert not self.catalog.list(f"{SESSIONS_PREFIX}{self.keys[number]}/")
        self.keys[number] = create_key(self.catalog, "default", ["admin"])[0].key_id
        self.synchronize()

    @rule(hours=st.sampled_from([1, 5, 11, 12, 24, 7 * 24]))
    def wait(self, hours: int) -> None:
        self.clock.pass_s(hours * 3600)

    @rule(process=st.integers(0, 1))
    def restart(self, process: int) -> None:
        self.processes[process] = self.start()

    @rule(process=st.integers(0, 1))
    def keep(self, process: int) -> None:
        self.processes[process][1].keep()
        self.synchronize()

    def is_alive(self, token: str) -> bool:
        now = self.clock.now_ns
        return (
            token not in self.ended
            and now - self.created[token] < LONGEST_S * NS
            and now - self.used[token] < IDLE_S * NS
        )

    @invariant()
    def what_is_kept_is_a_session_of_a_key_that_is_there(self) -> None:
        if self.created:
            held = {entry.key.split("/")[1] for entry in self.catalog.list(SESSIONS_PREFIX)}
            assert held <= set(self.keys)

    def teardown(self) -> None:
        self.catalog.close()
        self.folder.cleanup()


SessionLife.TestCase.settings = settings(max_examples=40, stateful_step_count=30)
TestSessionLife = SessionLife.TestCase
