"""What happens when something dies: the gateway, the client, the target, the provider."""
import ctypes
import os
import signal
import struct
import subprocess
import time

from labtest import (CLIENT, DIR, LISTENER, SLUICE, Failure, admin, api, api_ok, approval, check, contains, eventually, finish,
                     forget_tokens, gateway_alive, gateway_log, gateway_pid, gateway_start, lab, latest, live, marker, never_arrives, pending, psql,
                     psql_start, records, run, same, session, sessions, sluice, test, token, wire)
from pgwire import CANCEL_REQUEST, Closed, errors, kinds, query
from rogue import Rogue, data_row, row_description

SYS_TGKILL = 234  # x86-64, as what follows
PTRACE_GETREGS, PTRACE_SETREGS, PTRACE_ATTACH, PTRACE_DETACH, WALL = 12, 13, 16, 17, 0x40000000
REG_ORIG_RAX, REG_RIP, NO_SYSCALL = 15, 16, 2**64 - 1  # places in struct user_regs_struct
ID_DIGITS = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"


def pgbench_start(seconds, clients=8):
    env = {**os.environ, "PGPASSWORD": token("bench"), "PGSSLMODE": "verify-full", "PGSSLROOTCERT": f"{DIR}/pki/ca.pem"}
    return subprocess.Popen(["ip", "netns", "exec", CLIENT, "pgbench", "-n", "-S", "-h", LISTENER[0], "-U", "bench", "-c", str(clients),
                             "-T", str(seconds), "bench"], env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


@test
def client_dies_during_a_hold():
    mark = marker()
    waiting = psql_start("agent-7", "-c", f"update customers set city = '{mark}' where id = 20")
    found = pending(mark)
    waiting.kill()
    waiting.communicate()
    eventually(lambda: approval(found["id"])["state"] == "cancelled", "the approval is cancelled")
    status, answer = api("alice", "POST", f"/v1/approvals/{found['id']}/approve", {})
    same(status, 409, f"approving for a client that is gone ({answer})")
    never_arrives(mark)
    check(admin("select city from customers where id = 20") != mark, "the UPDATE has run")


@test
def client_cancels_during_a_hold():
    mark = marker()
    with session("agent-7", timeout=20) as w:
        w.send(query(f"update customers set city = '{mark}' where id = 21"))
        same(w.receive()[0], "N", "the notice")
        found = pending(mark)
        with wire() as forged:
            forged.start_tls()
            forged.send(struct.pack("!II", 16, CANCEL_REQUEST) + w.key[:4] + b"\0\0\0\0")
        time.sleep(0.5)
        same(approval(found["id"])["state"], "pending", "the approval after a cancel request with another key")
        with wire() as cancel:
            cancel.start_tls()
            cancel.send(struct.pack("!II", 16, CANCEL_REQUEST) + w.key)
            cancel.drain()
        got = w.until("Z")
        same((kinds(got), errors(got)[0]["C"]), ("EZ", "57014"), "the answer")
        same(w.simple("select 1"), [[b"1"]], "the session after a cancelled hold")
    eventually(lambda: approval(found["id"])["state"] == "cancelled", "the approval is cancelled")
    never_arrives(mark)


@test
def client_cancels_a_running_query():
    waiting = psql_start("bench", "-c", "select pg_sleep(30)", resource="bench")
    eventually(lambda: admin("select count(*) from pg_stat_activity where query like 'select pg_sleep(30)%' and state = 'active'") == "1",
               "the query runs")
    began = time.monotonic()
    waiting.send_signal(signal.SIGINT)
    _, _, err = finish(waiting, 15)
    contains(err, "canceling statement due to user request", "psql's messages")
    check(time.monotonic() - began < 5, "the query ran on after it was cancelled")


@test
def client_dies_in_a_transaction():
    mark = marker()
    w = session("agent-7")
    w.simple("begin")
    w.simple(f"insert into orders values (9100, 1, 1, 1, '2026-01-01') /* {mark} */")
    w.abort()
    eventually(lambda: admin("select count(*) from pg_stat_activity where usename = 'shop_app' and state like 'idle in transaction%'") == "0",
               "the target's session is gone")
    same(admin("select count(*) from orders where id = 9100"), "0", "rows of a transaction that was left open")


@test
def target_dies_mid_reply():
    mark = marker()
    waiting = psql_start("bench", "-v", "VERBOSITY=verbose", "-c", f"select i, '{mark}a' from generate_series(1, 2000) i", "-c",
                         f"select '{mark}b', pg_sleep(60)", resource="bench")
    pid = eventually(lambda: admin(f"select pid from pg_stat_activity where query like '%{mark}b%' and state = 'active' "
                                   "and pid <> pg_backend_pid()"), "the query runs")
    os.kill(int(pid), signal.SIGKILL)
    rc, out, err = finish(waiting, 20)
    check(rc != 0, "psql is content with half a reply")
    same(out.count(f"{mark}a"), 2000, "rows that came before")
    contains(err, "08006", "psql's messages")
    eventually(lambda: psql("agent-7", "-c", "select 1").stdout == "1\n", "a session when the target is back", 20)
    mine = next(s for s in sessions(20) if any(mark in r.get("text", "") for r in records(s["id"]) if r["kind"] == "command"))
    eventually(lambda: records(mine["id"])[-1]["kind"] == "end", "the session's end is recorded")
    check(any(r["kind"] == "data" for r in records(mine["id"])), "what the caller saw before is not recorded")
    sluice("noc", "sessions", "verify")


@test
def target_dies_between_messages():
    """The client hears why, in its own dialect, behind the rows that were whole."""
    with Rogue(answers={"dies here": row_description("x") + data_row(b"one") + data_row(b"two"), "dies at once": b""}, die_after="dies"):
        for text, rows in (("dies here", "TDD"), ("dies at once", "")):
            with session("reader", "rogue") as w:
                w.send(query(f"select '{text}'"))
                got = w.drain()
                same((kinds(got), [e["C"] for e in errors(got)]), (rows + "E", ["08006"]), text)


@test
def target_dies_within_a_message():
    """Half a row was sent on: no message can be put into it. The connection ends, and never with a success."""
    with Rogue(answers={"dies": row_description("x") + data_row(b"one") + data_row(b"y" * 60000)[:30000]}, die_after="dies"):
        with session("reader", "rogue") as w:
            w.send(query("select 'dies'"))
            try:
                got = w.drain()
            except TimeoutError as e:
                raise Failure("the connection stays open") from e
            check("C" not in kinds(got) and "Z" not in kinds(got), f"the client is told of success: {kinds(got)}")
    eventually(lambda: records(latest("reader")["id"])[-1]["kind"] == "end", "the session's end is recorded")


@test
def target_is_down():
    lab("target", "stop")
    try:
        began = time.monotonic()
        done = psql("agent-7", "-c", "select 1", timeout=40)
        same(done.returncode, 2, "psql's exit status")
        contains(done.stderr, "FATAL", "psql's messages")
        check(time.monotonic() - began < 15, f"psql was told after {time.monotonic() - began:.0f} s")
    finally:
        lab("target", "start")
    eventually(lambda: psql("agent-7", "-c", "select 1").stdout == "1\n", "a session when the target is back", 20)


@test
def target_is_an_impostor():
    """Another certificate for the same address: the credential is not shown to it."""
    lab("target", "impostor")
    try:
        done = psql("agent-7", "-c", "select 1")
        same(done.returncode, 2, "psql's exit status")
    finally:
        lab("target", "honest")
    eventually(lambda: psql("agent-7", "-c", "select 1").stdout == "1\n", "a session with the honest target", 20)


@test
def provider_is_down():
    """Keys that were fetched are good for a while; nothing is let in without a check."""
    psql("agent-7", "-c", "select 1", check_rc=True)
    good, bad = token("agent-7"), token("agent-7", "foreign")
    lab("provider", "stop")
    try:
        same(psql("agent-7", "-c", "select 1", password=good).stdout, "1\n", "a token whose key is known")
        same(psql("agent-7", "-c", "select 1", password=bad).returncode, 2, "a foreign token")
    finally:
        lab("provider", "start")


@test
def gateway_killed_under_load():
    direct_init()
    load = pgbench_start(15)
    try:
        time.sleep(3)
        same(load.poll(), None, "pgbench after three seconds")
        lab("gateway", "kill")
        verify = run([SLUICE, "store", "verify", f"{DIR}/gw/store"], check_rc=False)
        same(verify.returncode, 0, f"sluice store verify after kill -9:\n{verify.stdout}{verify.stderr}")
    finally:
        load.kill()
        load.communicate()
    gateway_start()
    forget_tokens()
    states = [s["state"] for s in sessions(50) if s["user"] == "bench"]
    check(states.count("gap") >= 8 and "live" not in states, f"sessions of the killed gateway: {states}")
    sluice("noc", "sessions", "verify")
    same(psql("agent-7", "-c", "select 1", check_rc=True).stdout, "1\n", "a session after the restart")


def worker_threads():
    """Worker's number -> thread id. EAL's thread 1 is worker 0."""
    pid, found = gateway_pid(), {}
    for t in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{t}/comm", encoding="ascii") as f:
            name = f.read().strip()
        if name.startswith("rte-worker-"):
            found[int(name.rsplit("-", 1)[1]) - 1] = int(t)
    return found


def worker_signal(number, what=signal.SIGSEGV):
    check(ctypes.CDLL(None).syscall(SYS_TGKILL, gateway_pid(), worker_threads()[number], int(what)) == 0, "tgkill")


def worker_jump(number):
    """The worker goes on at address 0, as after a call through a bad pointer: a fault of its own code."""
    libc, tid = ctypes.CDLL(None, use_errno=True), worker_threads()[number]
    libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
    libc.ptrace.restype = ctypes.c_long
    regs = (ctypes.c_ulonglong * 27)()
    check(libc.ptrace(PTRACE_ATTACH, tid, None, None) == 0, "ptrace")
    os.waitpid(tid, WALL)
    check(libc.ptrace(PTRACE_GETREGS, tid, None, regs) == 0, "the registers")
    regs[REG_RIP], regs[REG_ORIG_RAX] = 0, NO_SYSCALL
    check(libc.ptrace(PTRACE_SETREGS, tid, None, regs) == 0, "new registers")
    check(libc.ptrace(PTRACE_DETACH, tid, None, None) == 0, "detaching")


def worker_of(session_id):
    """The seventh of an id's sixteen bytes is its maker's number."""
    number = 0
    for c in session_id:
        number = number * 32 + ID_DIGITS.index(c)
    return number >> 72 & 0xff


def open_on_each(workers, nb):
    """At least nb sessions. Which worker serves a connection is chance: more are opened until each of these has one."""
    opened, reached, seen = [], set(), {s["id"] for s in sessions(100)}
    while len(opened) < nb or not workers <= reached:
        check(len(opened) < 4 * nb, f"workers {sorted(workers - reached)} serve none of {len(opened)} sessions")
        opened.append(session("agent-7", timeout=5))
        new = eventually(lambda: {s["id"] for s in sessions(100)} - seen, "the session is recorded")
        seen |= new
        reached |= {worker_of(i) for i in new}
    return opened


def answers(w):
    try:
        return w.simple("select 6") == [[b"6"]]
    except (Closed, OSError):
        return False


def backends():
    """Of the target's, those in an open transaction."""
    return int(admin("select count(*) from pg_stat_activity where state = 'idle in transaction'"))


def worker_dies(kill, number, opened, held=()):
    """Kills it; returns the sessions that live. Those of the dead one have ended on both sides, and in the records; what they
    waited for, of the approvals in `held`, is denied."""
    def states():
        return [s["state"] for s in sessions(100)]
    before, gaps = len(opened) + len(held), states().count("gap")
    kill(number)
    # Nothing is sent to the target: it hears of it all the same.
    eventually(lambda: backends() < len(opened), "the target hears that sessions have ended", 5)
    check(gateway_alive(), "the whole gateway has ended")
    alive = [w for w in opened if answers(w)]
    check(0 < len(alive) < len(opened), f"{len(alive)} of {len(opened)} sessions live")
    eventually(lambda: backends() == len(alive), f"{len(alive)} transactions at the target ({backends()})", 5)
    waiting = [approval(i)["state"] for i in held]
    check(set(waiting) <= {"pending", "denied"}, f"approvals: {waiting}")
    lost = before - len(alive) - waiting.count("pending")
    eventually(lambda: states().count("gap") - gaps == lost, f"{lost} sessions have a gap ({gaps} before, {states()})")
    same(states().count("live"), before - lost, "live sessions in the records")
    health = api_ok(None, "GET", "/v1/health")
    check(any(f"worker {number} has died" in r for r in health["reasons"]), f"health: {health}")
    contains(gateway_log(), f"worker {number}: SIGSEGV", "the log")
    return alive


@test
def drains_with_several_workers():
    """SIGTERM: sessions that run have five seconds, also those of a worker whose packets come in at another one that has none left."""
    lab("gateway", "stop")
    gateway_start(GW_WORKERS=5)
    opened, seen = [], {s["id"] for s in sessions(100)}
    try:
        for _ in range(40):
            w = session("agent-7", timeout=4)
            new = eventually(lambda: {s["id"] for s in sessions(100)} - seen, "the session is recorded")
            seen |= new
            if worker_of(new.pop()) >= 3:
                opened.append(w)
            else:
                w.close()
            if len(opened) == 6:
                break
        same(len(opened), 6, "sessions on workers 3 and 4")
        eventually(lambda: len([s for s in sessions(100) if s["state"] == "live"]) == 6, "the others have ended")
        for w in opened:
            same(w.simple("select 5"), [[b"5"]], "before")
        os.kill(gateway_pid(), signal.SIGTERM)
        time.sleep(1)
        for w in opened:
            w.send(query("select 6"))
        lost = 0
        for w in opened:
            try:
                lost += kinds(w.until("Z"))[-1:] != "Z"
            except (Closed, OSError):
                lost += 1
        same(lost, 0, "of 6 sessions those that got no answer in the five seconds of a drain")
    finally:
        for w in opened:
            w.close()
        eventually(lambda: not gateway_alive(), "sluiced ends", 40)
        lab("gateway", "stop", check_rc=False)
        gateway_start()
        forget_tokens()


@test
def d06_worker_crashes():
    """Its sessions end, on both sides and in the records; those of the others go on; new ones are served. The last one takes
    the gateway with it."""
    lab("gateway", "stop")
    gateway_start(GW_WORKERS=5)
    opened = []
    try:
        opened += [session("agent-7", timeout=5) for _ in range(6)]
        opened += open_on_each({0, 1, 2, 3, 4}, 12)
        for w in opened[6:]:
            w.simple("begin")
        marks = [marker() for _ in range(6)]
        for mark, w in zip(marks, opened):
            w.send(query(f"update customers set city = '{mark}' where id = 30"))
        held = [pending(mark)["id"] for mark in marks]
        alive = worker_dies(worker_signal, 0, opened[6:], held)
        for i, w in zip(held, opened):
            if approval(i)["state"] == "pending":
                sluice("alice", "approvals", "deny", i)
                same(errors(w.until("Z"))[0]["C"], "42501", "the answer to a denied hold")
                alive.append(w)
        fresh = open_on_each({1, 2, 3, 4}, 16)  # a fifth of them would have been the dead one's
        opened += fresh
        alive += fresh
        for w in fresh + opened[:6]:
            if w in alive:
                w.simple("begin")
        never_arrives(*marks)
        worker_dies(worker_jump, 1, alive)
        same(psql("agent-7", "-c", "select 1", check_rc=True).stdout, "1\n", "a session on the workers that are left")
        for last in 2, 3, 4:
            check(gateway_alive(), f"the gateway has ended with worker {last} alive")
            worker_signal(last)
        eventually(lambda: not gateway_alive(), "the gateway ends with its last worker")
    finally:
        for w in opened:
            w.close()
        lab("gateway", "stop", check_rc=False)
        gateway_start()
        forget_tokens()
    sluice("noc", "sessions", "verify")


@test
def gateway_stops_in_order():
    waiting = psql_start("bench", "-c", "select pg_sleep(60)", resource="bench")
    live("bench")
    pid, began = gateway_pid(), time.monotonic()
    os.kill(pid, signal.SIGTERM)
    eventually(lambda: not os.path.exists(f"/proc/{pid}"), "sluiced ends after SIGTERM", 40)
    took = time.monotonic() - began
    finish(waiting, 10)
    gateway_start()
    same(psql("agent-7", "-c", "select 1", check_rc=True).stdout, "1\n", f"a session after a stop ({took:.1f} s)")
    check(not any(s["state"] == "live" for s in sessions(50) if s["user"] == "bench"), "a session without an end")


def direct_init():
    """The bench database's tables, made once."""
    if admin("select to_regclass('pgbench_accounts') is null", "bench") == "t":
        lab("direct", "pgbench", "-i", "-q", "-s", "4", "bench", timeout=120)
