"""What is looked at behind the clients: records, memory, the log, what is left at the target."""
import base64
import re
import subprocess
import threading
import time

from labtest import DIR, SLUICE, Failure, api, gateway_pid, records

from .base import CANARY, KEY, ask, direct

SAMPLE_S = 10
GROWTH = 1.10, 16 << 20  # of the anonymous memory, from the first third to the last: a tenth and 16 MB
SLACK = 64  # mbufs
TEXT_KEY = re.compile(r"/\* (sk_[0-9a-f]{16})\.(\d+) \*/")
AUDIT_S = 60


class Auditor(threading.Thread):
    """Reads the records of each session that has ended, and compares them with what its client has seen."""

    def __init__(self, world):
        super().__init__(name="audit")
        self.world, self.over = world, threading.Event()

    def run(self):
        while not (self.over.is_set() and not self.world.audits):
            try:
                talk = self.world.audits.popleft()
            except IndexError:
                time.sleep(0.1)
                continue
            try:
                self.audit(talk, self.complete(talk))
            except Exception as e:  # pylint: disable=broad-except
                self.world.finding(f"records of {talk.mark}: {type(e).__name__} {e}")

    @staticmethod
    def complete(talk):
        """All records, once the session's end is among them."""
        end = time.monotonic() + AUDIT_S
        while True:
            got = records(talk.id)
            if got and got[-1]["kind"] == "end":
                return got
            if time.monotonic() > end:
                raise Failure(f"session {talk.id} has no end in the records: {got[-1:]}")
            time.sleep(0.2)

    def audit(self, talk, recs):
        commands = [r for r in recs if r["kind"] == "command"]
        for n, r in enumerate(recs):
            if r["n"] != n:
                raise Failure(f"record {n} is numbered {r['n']}")
        if recs[-1]["commands"] != len(commands):
            raise Failure(f"{len(commands)} commands recorded, {recs[-1]['commands']} counted")
        results = {}
        for r in recs:
            if r["kind"] == "result":
                results.setdefault(r["cmd"], []).append(r)
        phases = {}
        for r in commands:
            s = self.judgement(talk, r)
            phases.setdefault(s.number, []).append(r["phase"])
            self.outcome(talk, s, r, results.get(r["cmd"], []))
        for s in talk.sent:
            got = tuple(phases.get(s.number, ()))
            if got != s.phases and not (s.optional and got == s.phases[:len(got)]):
                raise Failure(f"statement {s.number}: recorded as {got}, not {s.phases}")
        self.replies(talk, recs)
        self.world.count("sessions whose records agree")
        self.world.count("commands whose records agree", len(commands))

    def judgement(self, talk, r):
        """The verdict is that of the version that the record names, and what the client was told."""
        m = TEXT_KEY.search(r["text"])
        if not m or m.group(1) != talk.mark:
            raise Failure(f"a command that was not sent: {r}")
        s, versions = talk.sent[int(m.group(2))], self.world.versions
        v = versions.number(r["policy_version"])
        if v is None:
            raise Failure(f"a version that is not known: {r}")
        want = "deny" if versions.denies(v, s.objects) else "hold" if s.held and r["phase"] != "prepare" else "allow"
        if r["verdict"] != want:
            raise Failure(f"version {v} says {want}, the record: {r}")
        if s.version is not None and r["phase"] == s.phases[-1] and (v, want) != (s.version, s.verdict):
            raise Failure(f"the client was told {s.verdict} by version {s.version}, the record says {want} by {v}: {r}")
        self.world.count(f"verdict {want}")
        return s

    @staticmethod
    def outcome(talk, s, r, results):
        if r["phase"] == "prepare" and r["verdict"] != "deny":
            return
        if not results and not talk.parted:
            raise Failure(f"no result of {r}")
        for result in results:
            if r["verdict"] == "deny" and (result["tag"], result["sqlstate"]) != ("refused", "42501"):
                raise Failure(f"the result of a denial: {result}")
            if s.failed and r["phase"] == s.phases[-1] and result["tag"] not in ("refused", "error", "not run", "cut", "cancelled", "lost"):
                raise Failure(f"the client was told of a failure, the record says {result} of {r}")

    @staticmethod
    def replies(talk, recs):
        """What is kept of replies is what was sent: nothing hidden, nothing of others."""
        data = b"".join(base64.b64decode(r["data"]) for r in recs if r["kind"] == "data" and r.get("data"))
        if CANARY.search(data):
            raise Failure("a canary in the records")
        others = {k.decode() for k in KEY.findall(data)} - {talk.mark}
        if others:
            raise Failure(f"marks of other sessions in the records: {others}")


def memory():
    """Anonymous bytes: without the store's pages, which are the disk's."""
    with open(f"/proc/{gateway_pid()}/status", encoding="ascii") as f:
        return int(re.search(r"RssAnon:\s+(\d+)", f.read()).group(1)) * 1024


class Sampler(threading.Thread):
    def __init__(self, world):
        super().__init__(name="memory")
        self.world, self.samples = world, []

    def run(self):
        while True:
            try:
                self.samples.append(memory())
            except (OSError, AttributeError) as e:
                self.world.finding(f"sluiced is gone: {e}")
                return
            if self.world.stop.wait(SAMPLE_S):
                return

    def judge(self):
        """Flat: what it takes in the last third is what it took in the first, after a warm-up."""
        s = self.samples[len(self.samples) // 10:]
        if len(s) < 12:
            return
        first, last = max(s[:len(s) // 3]), max(s[-(len(s) // 3):])
        self.world.say(f"anonymous memory: {first >> 20} MB at most in the first third, {last >> 20} MB in the last")
        if last > first * GROWTH[0] + GROWTH[1]:
            self.world.finding(f"memory grows: {first} to {last} bytes")


def status():
    return api("noc", "GET", "/v1/status")[1]


def counter(name):
    return sum(t["counters"].get(name, 0) for t in status()["threads"])


POOLS = ("rx_mbufs", "stack_mbufs", "record_blocks")


def pools():
    """What is in use of the workers' bounded pools: {name: count}."""
    threads = status()["threads"]
    return {name: sum(t["levels"][name] for t in threads) for name in POOLS}


def pools_flat(world, before, seconds=10):
    """As it was before, once all sessions have ended. Packets in a port's own queues come and go."""
    end = time.monotonic() + seconds
    while True:
        now = pools()
        if all(now[n] <= before[n] + SLACK for n in POOLS):
            break
        if time.monotonic() > end:
            world.finding(f"pools: {before} before, {now} afterwards")
            break
        time.sleep(0.5)
    world.say(f"pools: {before} before, {now} afterwards")


def sessions_since(since_us):
    got, before = [], ""
    while True:
        code, page = api("noc", "GET", f"/v1/sessions?limit=500{before}")
        if code != 200:
            raise Failure(f"the list of sessions: {code} {page}")
        found = page["sessions"]
        got += [s for s in found if s["started_us"] >= since_us]
        if not found or found[-1]["started_us"] < since_us:
            return got
        before = f"&before={found[-1]['id']}"


def all_counted(world, loads, since_us, commands):
    """Each command in the records of one session: as many as pgbench has sent, and as many as the workers have counted."""
    found = sessions_since(since_us)
    bench = [s for s in found if s.get("user") == "bench"]
    bad = [s for s in found if s["state"] not in ("ended", "refused")] + [s for s in bench if s["denied"]]
    if bad:
        world.finding(f"sessions: {bad[:3]}")
    for what, got, want in (("pgbench", sum(s["commands"] or 0 for s in bench), sum(p.commands for p in loads)),
                            ("all sessions", sum(s["commands"] or 0 for s in found), counter("commands") - commands)):
        world.count(f"commands recorded of {what}", got)
        if got != want:
            world.finding(f"{got} commands of {what} are recorded, {want} were judged")
    world.count("sessions recorded", len(found))


def nothing_left(world, seconds=30):
    """When all clients are gone: no session, no approval, no connection, no backend at the target."""
    end, left = time.monotonic() + seconds, None
    with direct() as db:
        while time.monotonic() < end:
            s = status()
            tcp = sum(len(api("noc", "GET", f"/v1/tcp?worker={w}")[1]["connections"]) for w in range(s["workers"]))
            backends = ask(db, "select count(*) from pg_stat_activity where usename = 'shop_app'")[0][0]
            left = {"sessions": s["live_sessions"], "approvals": s["pending_approvals"], "connections": tcp, "backends": backends}
            if not any(left.values()):
                return
            time.sleep(0.3)
    world.finding(f"left behind: {left}")


LOG_EXPECTED = re.compile(r'warn lock identity "reader" is locked: ')
# "protocol synchronization was lost" is how PostgreSQL ends a session that is cancelled within a COPY.
TARGET_BAD = re.compile(r"PANIC|invalid message|invalid frontend|insufficient data|unexpected message|08P01")


def logs(world, gw_from, pg_from):
    """Errors in the log that nobody expects, and a target that had something wrong sent to it."""
    with open(f"{DIR}/gw/log", encoding="utf-8", errors="replace") as f:
        f.seek(gw_from)
        bad = [line.strip() for line in f if re.search(r"Z (error|warn)", line) and not LOG_EXPECTED.search(line)]
    for line in bad[:10]:
        world.finding(f"in the log: {line}")
    world.count("lines of the log that are unexpected", len(bad))
    with open(f"{DIR}/pg/log", encoding="utf-8", errors="replace") as f:
        f.seek(pg_from)
        for line in f:
            if TARGET_BAD.search(line) and "LOG:" not in line:
                world.finding(f"in the target's log: {line.strip()}")


def verify(world):
    """The whole store, past the gateway."""
    done = subprocess.run([SLUICE, "store", "verify", f"{DIR}/gw/store", "--key", f"{DIR}/gw/checkpoint.key.pub"], capture_output=True, text=True,
                          check=False)
    print(done.stdout.strip(), flush=True)
    if done.returncode:
        world.finding(f"the records do not verify: {done.stdout}{done.stderr}")
