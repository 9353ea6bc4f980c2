"""What all threads of a soak share, and a session that reads every byte it is sent with suspicion."""
import collections
import random
import re
import struct
import threading
import time
from dataclasses import dataclass, field

import pgwire
import psycopg2
from labtest import CA, CLIENT, DIR, LISTENER, token
from pgwire import CANCEL_REQUEST, Wire, errors, message, query

RESOURCE, COPY_RESOURCE, DATABASE = "soak", "soakcopy", "soak"  # the second one has no masks: COPY TO is refused where there are any
TABLES = [f"w{i}" for i in range(8)]  # each version denies some of them
WORDS = [f"word_{c}" for c in "abcd"]  # and some of these, wherever they stand in a text
ROWS = 20  # of each of the tables
HIDDEN = "[hidden]"
KEY = re.compile(rb"sk_[0-9a-f]{16}")  # of one session; stands in everything that is a session's own
CANARY = re.compile(rb"cnry[0-9a-f]{12}")  # stands in the masked columns: no caller may ever see one
JUDGED = re.compile(r"^V(\d+) (no|never)$")
LATE_CANCEL_S = 60  # PostgreSQL says itself that a cancel request may come late; on a slow machine, that is


class Wrong(AssertionError):
    """An answer that is not the right one."""


@dataclass
class Sent:
    """One statement: what its record must say."""
    number: int
    objects: frozenset  # tables and words in it that a version may deny
    phases: tuple  # of its command records
    held: bool = False
    optional: bool = False  # may be dropped before it is judged, behind a failure or a cut connection
    verdict: str = None  # what the answer said, where it did
    version: int = None
    failed: bool = False  # the answer was an error
    bindings: int = 1


@dataclass
class World:
    seed: int
    stop: threading.Event = field(default_factory=threading.Event)
    counts: collections.Counter = field(default_factory=collections.Counter)
    findings: list = field(default_factory=list)
    leaks: list = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)
    audits: collections.deque = field(default_factory=collections.deque)
    versions: object = None
    verbose: bool = True
    pace: float = 1.0  # how much the clients rest between scripts

    def count(self, what, n=1):
        with self.lock:
            self.counts[what] += n

    def finding(self, text):
        with self.lock:
            self.findings.append(text)
        print(f"WRONG {time.strftime('%H:%M:%S')} {text}", flush=True)

    def leak(self, text):
        with self.lock:
            self.leaks.append(text)
        print(f"LEAK {time.strftime('%H:%M:%S')} {text}", flush=True)

    def say(self, text):
        if self.verbose:
            print(text, flush=True)

    def random(self, name):
        return random.Random(f"{self.seed}.{name}")


def expect(condition, text):
    if not condition:
        raise Wrong(text)


def equal(got, want, what):
    expect(got == want, f"{what}: {got!r:.600}, not {want!r:.600}")


def row(body):
    """DataRow as text."""
    return [v if v is None else v.decode() for v in pgwire.row(body)]


def direct():
    """The database itself, past the gateway."""
    c = psycopg2.connect(host=f"{DIR}/pg/socket", user="postgres", dbname=DATABASE)
    c.autocommit = True
    return c


def ask(connection, sql, *params):
    with connection.cursor() as cursor:
        cursor.execute(sql, params)
        return cursor.fetchall()


class Talk(Wire):
    """One session. Statements carry its key and a number: their records are found by them, and whoever reads another's key has a leak."""

    def __init__(self, world, rng, client="agent-7", resource=RESOURCE, timeout=60, known=True):
        super().__init__(CLIENT, LISTENER, CA, timeout)
        self.world, self.rng, self.client = world, rng, client
        self.mark = f"sk_{rng.getrandbits(64):016x}"
        self.sent, self.newest, self.cancels, self.id = [], 0, [], None
        self.parted = False  # cut by ourselves: the last statements may not have come through
        try:
            self.login(resource, DATABASE, token(client), application_name=self.mark)
            if known:
                self.learn_id()
        except BaseException:
            self.close()
            raise

    def learn_id(self):
        """A denial names its event, which begins with the session's id."""
        s, text = self.statement("select 1 from never", "never")
        got = self.ask(text)
        self.denied(s, got, "never")
        self.id = re.match(r"event (\w{26})\.\d+$", errors(got)[0]["D"]).group(1)

    # ---- bytes ----

    def receive(self):
        kind, body = super().receive()
        self.scan(body)
        return kind, body

    def scan(self, data):
        for found in KEY.findall(data):
            if found.decode() != self.mark:
                self.world.leak(f"{self.mark} reads {found.decode()}: {data[:200]!r}")
        for found in CANARY.findall(data):
            self.world.leak(f"{self.mark} reads the canary {found.decode()}: {data[:200]!r}")
        self.world.count("bytes of replies looked through", len(data))

    # ---- statements ----

    def statement(self, sql, *objects, phases=("simple",), held=False):
        s = Sent(len(self.sent), frozenset(objects), phases, held)
        self.sent.append(s)
        return s, f"{sql} /* {self.mark}.{s.number} */"

    def ask(self, text):
        self.send(query(text))
        return self.until("Z")

    def judged(self, s, version, denied, since=0):
        """The answer told the version: one that was in force between the question and the answer, not older than the one before it."""
        v = self.world.versions
        expect(since <= version <= v.posted, f"{self.mark}.{s.number}: judged by version {version}, in force {since} to {v.posted}")
        expect(version >= self.newest, f"{self.mark}.{s.number}: judged by version {version} behind version {self.newest}")
        expect(denied == v.denies(version, s.objects), f"{self.mark}.{s.number}: {'denied' if denied else 'allowed'} by version {version}")
        self.newest, s.version, s.verdict, s.failed = version, version, "deny" if denied else "allow", denied

    def denied(self, s, got, what, state=b"I", since=0):
        """Exactly one error of the gateway's, then ReadyForQuery."""
        equal("".join(k for k, _ in got), "EZ", f"{self.mark}: the answer to a denied {what}")
        self.refusal(s, errors(got)[0], since)
        equal(got[-1][1], state, f"{self.mark}: the transaction's state behind a denied {what}")

    def refusal(self, s, e, since=0):
        equal(e["C"], "42501", f"{self.mark}.{s.number}: the SQLSTATE of {e}")
        m = JUDGED.match(e["M"])
        expect(m, f"{self.mark}.{s.number}: denied by {e['M']!r}")
        if self.id:
            expect(e.get("D", "").startswith(f"event {self.id}."), f"{self.mark}.{s.number}: another session's event: {e}")
        self.judged(s, int(m.group(1)), True, since)
        self.world.count("denied")

    def rows(self, s, got, want, what):
        """Rows and success, nothing else."""
        values = [row(b) for k, b in got if k == "D"]
        equal("".join(k for k, _ in got if k != "D"), "TCZ", f"{self.mark}.{s.number}: the answer to {what} ({errors(got)})")
        equal(values, want, f"{self.mark}.{s.number}: rows of {what}")
        s.verdict = s.verdict or "allow"

    def command(self, sql, tag, *objects, state=None):
        """A statement without rows that must succeed."""
        s, text = self.statement(sql, *objects)
        got = self.ask(text)
        equal([(k, b) for k, b in got if k == "C"], [("C", tag.encode() + b"\0")], f"{self.mark}.{s.number}: {sql} ({errors(got)})")
        equal("".join(k for k, _ in got), "CZ", f"{self.mark}.{s.number}: {sql}")
        if state:
            equal(got[-1][1], state, f"{self.mark}.{s.number}: the transaction's state behind {sql}")
        s.verdict = "allow"

    # ---- cancel requests ----

    def cancel(self, key=None):
        """One cancel request, ours or a forged one."""
        if key is None:
            self.cancels.append(time.monotonic())
        with Wire(CLIENT, LISTENER, CA, 20) as w:
            w.start_tls()
            w.send(struct.pack("!II", 8 + len(key or self.key), CANCEL_REQUEST) + (key or self.key))
            w.drain()
        self.world.count("cancel requests" if key is None else "cancel requests, forged")

    def was_cancelled(self, got):
        """A 57014 that one of our own cancel requests accounts for."""
        if [e["C"] for e in errors(got)] != ["57014"]:
            return False
        recent = [t for t in self.cancels if time.monotonic() - t < LATE_CANCEL_S]
        expect(recent, f"{self.mark}: cancelled by nobody: {errors(got)}")
        self.cancels.remove(recent[0])
        self.world.count("statements cancelled")
        return True

    # ---- the end ----

    def goodbye(self):
        """In order; what was recorded of it is compared with what was seen."""
        self.send(message("X"))
        self.close()
        if self.id:
            self.world.audits.append(self)

    def cut(self, reset):
        self.parted = True
        (self.abort if reset else self.close)()
        self.world.audits.append(self)
