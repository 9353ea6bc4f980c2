"""Limits and breakers: commands, sessions, rows, bytes, and identities that are locked."""
import contextlib
import select
import time

from labtest import (admin, api, api_ok, check, contains, eventually, finish, gateway_start, lab, latest_ended, marker, psql, psql_start, records,
                     same, session, sluice, test)
from pgwire import Closed, ServerError, errors, kinds, query


def documents():
    got = api_ok("noc", "GET", "/v1/policies/current")["documents"]
    return got if isinstance(got, str) else "\n---\n".join(d if isinstance(d, str) else d["text"] for d in got)


@contextlib.contextmanager
def policy(*more):
    """The lab's policy and these documents: (kind, name, spec)."""
    before = documents()
    docs = "".join(f"\n---\n{{kind: {kind}, version: 1, metadata: {{name: {name}}}, spec: {{{spec}}}}}" for kind, name, spec in more)
    api_ok("admin", "POST", "/v1/policies", before + docs + "\n")
    try:
        yield
    finally:
        api_ok("admin", "POST", "/v1/policies", before)


def state_of(w, sql):
    """None, or the error's SQLSTATE."""
    try:
        w.simple(sql)
        return None
    except ServerError as e:
        return e.fields["C"]


@test
def limit_commands_a_second():
    with policy(("Limit", "pace", "roles: [reader], commands: {perSecond: 1, burst: 5}")):
        done = psql("reader", "-v", "VERBOSITY=verbose", *(a for i in range(8) for a in ("-c", f"select {i}")))
        same(done.stdout.split(), ["0", "1", "2", "3", "4"], f"what went in the burst ({done.stderr})")
        same(done.stderr.count("ERROR:  53400: Limit/pace: more than 1 commands a second"), 3, f"denials in {done.stderr}")
        eventually(lambda: psql("reader", "-c", "select 9").stdout == "9\n", "one more after a second")
        found = [r for r in records(latest_ended("reader")["id"]) if r["kind"] == "command"]
        check(found, "no command recorded")


@test
def longest_message_with_few_sessions():
    """A statement and a row of nearly 1 MB find their buffers in a gateway for two sessions, while another client reads nothing."""
    lab("gateway", "stop")
    gateway_start(GW_SESSIONS=2)
    try:
        with session("bench", "bench") as slow, session("bench", "bench") as w:
            slow.send(query("select repeat('y', 1000) from generate_series(1, 20000)"))
            for n in (60_000, 1_000_000):
                rows = w.simple(f"select length('{'x' * n}'), repeat('z', {n})")
                same([(int(a), len(b)) for a, b in rows], [(n, n)], f"{n} bytes")
            same(len([k for k, _ in slow.until("Z") if k == "D"]), 20000, "what the slow one reads at last")
    finally:
        lab("gateway", "stop")
        gateway_start()


@test
def half_messages_give_way():
    """The 17 large buffers of a gateway for 18 sessions keep messages that do not become whole. Who waits for one gets the oldest's, in 10 s."""
    lab("gateway", "stop")
    gateway_start(GW_SESSIONS=18)
    whole = query("/* " + "x" * 100_000)
    try:
        with contextlib.ExitStack() as stack:
            slow = [stack.enter_context(session("bench", "bench")) for _ in range(17)]
            w = stack.enter_context(session("bench", "bench", timeout=20))
            for s in slow:
                s.send(whole[:60_000])
            time.sleep(1)
            start = time.monotonic()
            same(w.simple(f"select length('{'x' * 60_000}')"), [[b"60000"]], "the answer to who waits")
            check(time.monotonic() - start > 5, "nobody waited")
            ended = 0
            for s in slow:
                if select.select([s.sock], [], [], 0)[0]:
                    ended += 1
                    same([e["C"] for e in errors(s.drain())], ["08P01"], "the last word to who gave way")
                else:
                    s.send(whole[60_000:])
                    same([e["C"] for e in errors(s.until("Z"))], ["42601"], "the answer to a message that became whole at last")
            same(ended, 1, "sessions that gave way")
    finally:
        lab("gateway", "stop")
        gateway_start()


@test
def limit_sessions_at_a_time():
    with policy(("Limit", "few", "roles: [reader], sessions: 2")):
        with session("reader"), session("reader"):
            try:
                session("reader").close()
                check(False, "a third session was let in")
            except ServerError as e:
                same(e.fields["C"], "53300", "the SQLSTATE of a session too many")
                contains(e.fields["M"], "Limit/few: more than 2 sessions at a time")
            session("agent-7").close()
        eventually(lambda: psql("reader", "-c", "select 1").returncode == 0, "a session when others have ended")


@test
def limit_rows_cut():
    """The result ends behind a whole row, the target stops working, and the session goes on."""
    mark = marker()
    with policy(("Limit", "data", "roles: [reader], rows: {perDay: 1000}, over: cut")):
        with session("reader", timeout=30) as w:
            w.send(query(f"select a, 'row ' || b from generate_series(1, 20000) a, generate_series(1, 20000) b -- {mark}"))
            got = w.until("Z")
            same(kinds(got), "T" + "D" * 1000 + "EZ", "the messages of a result that was cut")
            same(errors(got)[0]["C"], "53400", "its SQLSTATE")
            same(got[-1][1], b"I", "the transaction's state")
            eventually(lambda: admin(f"select count(*) from pg_stat_activity where state = 'active' and query like '%20000%{mark}%'"
                                     " and pid <> pg_backend_pid()") == "0", "the target has stopped")
            same(state_of(w, "select 1"), "53400", "the next statement")
            same(state_of(w, "begin"), None, "BEGIN")
            same(state_of(w, "select 1"), "53400", "a statement in a transaction")
            same(state_of(w, "rollback"), None, "ROLLBACK")
        with session("reader") as w:
            same(state_of(w, "copy (select 1) to stdout"), "53400", "COPY in another session")
        found = [r for r in records(latest_ended("reader")["id"]) if r["kind"] == "command"]
        check(any(r.get("rule") == "Limit/data" and r["verdict"] == "deny" for r in found), f"the record of a denial: {found}")


@test
def limit_bytes_outlive_a_restart():
    with policy(("Limit", "bytes", "roles: [reader], bytes: {perDay: 64K}")):
        same(len(psql("reader", "-c", "select repeat('x', 100000)", check_rc=True).stdout), 100001, "a result that goes over")
        contains(psql("reader", "-v", "VERBOSITY=verbose", "-c", "select 1").stderr, "53400: Limit/bytes", "the next one")
        lab("gateway", "stop")
        gateway_start()
        contains(psql("reader", "-v", "VERBOSITY=verbose", "-c", "select 1").stderr, "53400: Limit/bytes", "after a restart")
        same(psql("agent-7", "-c", "select 1").stdout, "1\n", "another caller")


def trip(times):
    """Denials one after the other; the state of the last one."""
    with session("reader") as w:
        return [state_of(w, "drop table customers") for _ in range(times)]


@test
def breaker_locks_until_released():
    """P34 too: what a transaction did before its identity was locked is rolled back at the target."""
    cred = api_ok("reader", "POST", "/v1/session-credentials", {"resources": ["shop"]})

    def by_credential():
        return psql(None, "-c", "select 1", resource=cred["username"], database="shop", password=cred["password"])

    with policy(("Breaker", "three", "roles: [reader], denials: 3, window: 1m")):
        try:
            same(by_credential().stdout, "1\n", "a session credential before")
            with session("reader") as other:
                other.simple("begin")
                other.simple("select count(*) from customers")
                same(trip(3), ["42501"] * 3, "denials")
                got = other.drain()
                same(kinds(got), "E", "what the other session hears")
                contains(errors(got)[0]["M"], "your identity was locked")
            # Its transaction has ended with it.
            eventually(lambda: admin("select count(*) from pg_stat_activity where state like 'idle in transaction%'") == "0", "rolled back")
            locked_out()
            contains(by_credential().stderr, "locked until an operator releases it")
            same(api("reader", "POST", "/v1/session-credentials", {"resources": ["shop"]})[0], 403, "another session credential")
            lab("gateway", "stop")
            gateway_start()
            locked_out()
            contains(by_credential().stderr, "locked until an operator releases it")
        finally:
            for lock in api_ok("noc", "GET", "/v1/locks")["locks"]:
                sluice("noc", "locks", "release", lock["id"])
        same(psql("reader", "-c", "select 1").stdout, "1\n", "after the release")
        same(by_credential().stdout, "1\n", "its session credential after the release")
        same(trip(2), ["42501"] * 2, "denials after the release")
        same(psql("reader", "-c", "select 1").stdout, "1\n", "they count from 0")


def locked_out():
    try:
        session("reader").close()
        check(False, "a locked identity was let in")
    except ServerError as e:
        same(e.fields["C"], "28000", "the SQLSTATE of a locked identity")
        contains(e.fields["M"], "locked until an operator releases it")
    (lock,) = api_ok("noc", "GET", "/v1/locks")["locks"]
    same((lock["user"], lock["breaker"], lock["denials"]), ("reader", "Breaker/three", 3), "the lock")
    contains(sluice("noc", "locks", "ls").stdout, lock["id"])
    same(api("alice", "DELETE", f"/v1/locks/{lock['id']}")[0], 403, "a release by somebody who is no operator")
    same(psql("agent-7", "-c", "select 1").stdout, "1\n", "another identity")


@test
def limit_is_shared_by_two_workers():
    """Sessions of one caller on two workers, at the same time: together they get what one would, and not a row more."""
    lab("gateway", "stop")
    gateway_start(GW_WORKERS=2)
    try:
        with policy(("Limit", "shared", "roles: [reader], rows: {perDay: 5000}, over: cut"),
                    ("Breaker", "ten", "roles: [reader], denials: 10, window: 1m")):
            began = [psql_start("reader", "-v", "FETCH_COUNT=50", "-c", "select n from generate_series(1, 2000) n") for _ in range(8)]
            rows = sum(len(finish(p)[1].split()) for p in began)
            check(4500 < rows <= 5000, f"{rows} rows of 5000")
            wires = [session("reader") for _ in range(8)]
            try:
                for i in range(10):
                    same(state_of(wires[i % 8], "drop table customers"), "42501", f"denial {i}")
                for w in wires:
                    try:
                        check(state_of(w, "select 1") is not None, "a session of a locked identity works")
                    except (Closed, OSError):
                        pass
            finally:
                for w in wires:
                    w.close()
    finally:
        for lock in api_ok("noc", "GET", "/v1/locks")["locks"]:
            api_ok("noc", "DELETE", f"/v1/locks/{lock['id']}")
        lab("gateway", "stop", check_rc=False)
        gateway_start()
