"""The parts of the protocol beyond a query and its rows: COPY in all formats, portals, LISTEN and NOTIFY, large objects, FunctionCall. Each
against the real PostgreSQL, as it is allowed (role with `any`, resource bench) and as it is denied (shop).
"""
import contextlib
import hashlib
import struct
import time

from labtest import (CA, CLIENT, LISTENER, admin, arrives, check, contains, eventually, latest, live, marker, never_arrives, pending, records, run, same,
                     session, sluice, test, token, wire)
import pgwire
from test_limits import policy
from pgwire import Closed, bind, describe, errors, execute, fields, kinds, message, parse, query, row, sync

FLUSH = message("H")
COPY_DONE = message("c")
FORMATS = ("text", "csv", "binary")


def bench(timeout=20, **params):
    return session("bench", "bench", timeout=timeout, **params)


@contextlib.contextmanager
def table(name, columns="i int, t text, b bytea, n numeric"):
    admin(f"drop table if exists {name}; create table {name} ({columns}); grant all on {name} to public", "bench")
    try:
        yield
    finally:
        admin(f"drop table if exists {name}", "bench")


def copy_out(w, sql):
    """What the server sends: (columns, data)."""
    w.send(query(sql))
    got = w.until("Z")
    same(kinds(got).replace("d", ""), "HcCZ", f"the messages of {sql} ({errors(got)})")
    return struct.unpack("!bH", got[0][1][:3]), b"".join(b for k, b in got if k == "d")


def copy_in(w, sql, data, piece=1000):
    w.send(query(sql))
    same(kinds(w.until("GE")), "G", f"the answer to {sql}")
    w.send(*(message("d", data[at:at + piece]) for at in range(0, len(data), piece)), COPY_DONE)
    got = w.until("Z")
    same(kinds(got), "CZ", f"the end of {sql} ({errors(got)})")
    return got[0][1]


# ---- COPY ----

@test
def copy_in_and_out_in_each_format():
    """Out, in again and out once more: the same bytes, and the same as the server gives to itself."""
    made = "select i, E'zeile\\t\\\\ \\n\"ä, ' || i, decode(md5(i::text), 'hex'), i / 7.0 from generate_series(1, 3000) i union all select null, null, null, null"
    with table("copied"), bench() as w:
        w.simple(f"insert into copied {made}")
        for form in FORMATS:
            (binary, columns), data = copy_out(w, f"copy copied to stdout (format {form})")
            same((binary, columns), (form == "binary", 4), f"{form}: CopyOutResponse")
            check(len(data) > 100000, f"{form}: only {len(data)} bytes")
            w.simple("truncate copied")
            same(copy_in(w, f"copy copied from stdin (format {form})", data), b"COPY 3001\0", f"{form}: the tag")
            same(hashlib.sha256(copy_out(w, f"copy copied to stdout (format {form})")[1]).hexdigest(), hashlib.sha256(data).hexdigest(),
                 f"{form}: what came back")
        same(w.simple(f"select count(*) from (({made}) except table copied) x"), [[b"0"]], "rows that have changed")


@test
def copy_in_a_pipeline_of_its_own():
    """COPY by Execute, in and out; the Sync comes behind its data, as libpq sends it."""
    with table("copied", "t text"), bench() as w:
        w.send(parse("copy copied from stdin"), bind(), execute(), FLUSH)
        same(kinds(w.until("G")), "12G", "the answers")
        w.send(message("d", b"one\ntwo\n"), COPY_DONE, sync())
        same(kinds(w.until("Z")), "CZ", "the end")
        w.send(parse("copy copied to stdout"), bind(), execute(), sync())
        got = w.until("Z")
        same((kinds(got), b"".join(b for k, b in got if k == "d")), ("12HddcCZ", b"one\ntwo\n"), "COPY TO")


@test
def copy_fail_and_errors():
    """CopyFail, a line that is none, CopyData that comes late: an error in its place, the transaction's own state, nothing is in the table."""
    with table("copied", "i int"), bench() as w:
        for state, begin in ((b"I", None), (b"E", "begin")):
            if begin:
                w.simple(begin)
            w.send(query("copy copied from stdin"), message("d", b"1\n2\n"), message("f", b"changed my mind\0"))
            got = w.until("Z")
            same((kinds(got), got[-1][1], errors(got)[0]["C"]), ("GEZ", state, "57014"), "CopyFail")
            contains(errors(got)[0]["M"], "changed my mind")
        w.simple("rollback")
        w.send(query("copy copied from stdin"))
        same(kinds(w.until("G")), "G", "the answer")
        w.send(message("d", b"1\nnot a number\n"))
        same(errors(w.until("E"))[0]["C"], "22P02", "the error of a line")
        w.send(message("d", b"2\n"), COPY_DONE, query("select 7"))  # the first two are stepped over
        got = w.until("Z")
        same(kinds(got), "Z", "the end of the COPY")
        same([row(b) for k, b in w.until("Z") if k == "D"], [[b"7"]], "the next statement")
        same(w.simple("select count(*) from copied"), [[b"0"]], "rows")


@test
def copy_denied():
    """Both ways, by either protocol, inside a transaction and outside: no CopyInResponse, and no data can follow."""
    mark = marker()
    with session("reader") as w:
        for sql in (f"copy orders from stdin -- {mark}", f"copy orders (id) from stdin with (format binary) -- {mark}",
                    f"copy (delete from orders returning id) to stdout -- {mark}", f"copy orders to program 'cat' -- {mark}"):
            w.send(query(sql))
            got = w.until("Z")
            same((kinds(got), errors(got)[0]["C"], got[-1][1]), ("EZ", "42501", b"I"), sql)
            w.send(parse(sql), bind(), execute(), sync())
            got = w.until("Z")
            same((kinds(got), errors(got)[0]["C"]), ("EZ", "42501"), sql)
        w.simple("begin")
        w.send(query(f"copy orders from stdin -- {mark}"))
        got = w.until("Z")
        same((kinds(got), got[-1][1]), ("EZ", b"E"), "inside a transaction")
        w.simple("rollback")
        same(w.simple("select 1"), [[b"1"]], "the next statement")
        w.send(message("d", b"1\n"), COPY_DONE)  # that nobody asked for: stepped over, as PostgreSQL does
        same(w.simple("select 2"), [[b"2"]], "the statement behind it")
    never_arrives(mark)
    same(admin("select count(*) from orders"), "600", "orders")


@test
def copy_cancelled():
    """A cancel in the middle of either direction ends it with 57014, and the session goes on."""
    def cancel(w):
        with wire() as c:
            c.start_tls()
            c.send(struct.pack("!II", 8 + len(w.key), pgwire.CANCEL_REQUEST) + w.key)
            c.drain()

    with table("copied", "t text"), bench() as w:
        w.send(query("copy copied from stdin"), message("d", b"x\n" * 100))
        same(kinds(w.until("G")), "G", "the answer")
        eventually(lambda: admin("select count(*) from pg_stat_progress_copy", "bench") == "1", "COPY at the target")
        cancel(w)
        time.sleep(0.5)
        w.send(message("d", b"y\n" * 100))  # PostgreSQL sees the cancel with the next data
        same(errors(w.until("E"))[0]["C"], "57014", "the error")
        w.send(message("d", b"z\n"), COPY_DONE)
        same(kinds(w.until("Z")), "Z", "the end")
        same(w.simple("select count(*) from copied"), [[b"0"]], "rows")
        w.send(query("copy (select generate_series(1, 50000000)) to stdout"))
        same(kinds(w.until("d")), "Hd", "the first data")
        cancel(w)
        got = w.until("Z")
        same((errors(got)[0]["C"], kinds(got).replace("d", "")), ("57014", "EZ"), "the end of COPY TO")
        same(w.simple("select 5"), [[b"5"]], "the next statement")


# ---- portals ----

@test
def portals_and_partial_execute():
    """Rows are fetched in parts from two portals in turn; Describe and Flush in between; each Execute is recorded with the portal's statement."""
    mark = marker()
    with bench() as w:
        w.simple("begin")
        w.send(parse(f"select g, '{mark}' from generate_series($1::int, $2::int) g", "s"), describe("S", "s"),
               bind([b"1", b"5"], "a", "s"), bind([b"11", b"15"], "b", "s"), describe("P", "a"), FLUSH)
        got = w.until("T") + w.until("T")
        same(kinds(got), "1tT22T", "Describe of statement and portal")
        seen = {"a": [], "b": []}
        for name, count, end in (("a", 2, "s"), ("b", 4, "s"), ("a", 2, "s"), ("b", 4, "C"), ("a", 0, "C")):
            w.send(execute(name, count), FLUSH)
            got = w.until("sCE")
            same(kinds(got)[-1], end, f"the end of a part of {name} ({errors(got)})")
            seen[name] += [int(row(b)[0]) for k, b in got if k == "D"]
        same(seen, {"a": [1, 2, 3, 4, 5], "b": [11, 12, 13, 14, 15]}, "rows")
        w.send(message("C", b"Pa\0"), execute("a"), sync())
        got = w.until("Z")
        same((kinds(got), errors(got)[0]["C"], got[-1][1]), ("3EZ", "34000", b"E"), "Execute of a portal that is closed")
        w.simple("rollback")
        w.send(bind([b"1", b"9"], "c", "s"), execute("c", 3), sync())
        same(kinds(w.until("Z")), "2DDDsZ", "a portal outside of a transaction")
        w.send(execute("c", 3), sync())
        same(errors(w.until("Z"))[0]["C"], "34000", "it is gone with its transaction")
    recs = records(latest("bench")["id"])
    runs = [r for r in recs if r["kind"] == "command" and r["phase"] == "execute"]
    # The third is the Execute behind Close: a command of its own, whose parameters are not known any more.
    same([r.get("params") for r in runs], [["1", "5"], ["11", "15"], None, ["1", "9"]], "parameters recorded")
    check(all(mark in r["text"] for r in runs), f"the statement of each: {runs}")


@test
def executes_that_run_nothing():
    """An Execute of a portal that has completed, or that a Close before it took away, does nothing at the target: the record of the Execute
    that ran has the parameters."""
    with bench() as w:
        w.simple("create temp table once (i int)")
        w.simple("begin")
        w.send(parse("insert into once values ($1)", "ins", (23,)), bind([b"9300"], "p", "ins"), execute("p"), execute("p"), sync())
        got = w.until("Z")
        same((kinds(got), errors(got)[0]["C"]), ("12CEZ", "55000"), "an INSERT executed twice")
        w.simple("rollback")
        w.simple("begin")
        w.send(parse("select $1::int", "sel", (23,)), bind([b"77"], "q", "sel"), execute("q"), execute("q"), sync())
        got = w.until("Z")
        same((kinds(got), [row(b) for k, b in got if k == "D"]), ("12DCCZ", [[b"77"]]), "a SELECT executed twice")
        w.send(bind([b"78"], "r", "sel"), message("C", b"Pr\0"), execute("r"), sync())
        got = w.until("Z")
        same((kinds(got), errors(got)[0]["C"]), ("23EZ", "34000"), "an Execute behind its Close")
        w.simple("rollback")
    runs = [r for r in records(latest("bench")["id"]) if r["kind"] == "command" and r["phase"] == "execute"]
    same([r.get("params") for r in runs if r.get("params")], [["9300"], ["77"], ["78"]], f"parameters recorded ({runs})")


@test
def portal_of_a_denied_statement():
    """Bind and Describe of what was denied never reach the target; a portal made before stays as it was."""
    mark = marker()
    with session("reader") as w:
        w.send(message("Q", b"begin\0"), parse("select generate_series(1, 3)", "s"), bind([], "keep", "s"), execute("keep", 1), FLUSH)
        same(kinds(w.until("s")), "CZ12Ds", "the portal")
        w.send(parse(f"delete from orders -- {mark}", "d"), bind([], "p", "d"), describe("P", "p"), execute("p"), sync())
        got = w.until("Z")
        same((kinds(got), errors(got)[0]["C"], got[-1][1]), ("EZ", "42501", b"E"), "the denial")
        w.simple("rollback")
        w.send(describe("P", "p"), sync())
        same(errors(w.until("Z"))[0]["C"], "34000", "Describe of what was never made")
    never_arrives(mark)


# ---- LISTEN and NOTIFY ----

@test
def listen_and_notify():
    """Allowed: what another session notifies comes between statements, whole, and while the session only waits."""
    channel, long = marker(), "ä" * 3000
    with bench() as w, bench() as other:
        w.simple(f"listen {channel}")
        other.simple(f"notify {channel}, 'first'")
        kind, body = w.receive()
        same((kind, body[4:]), ("A", channel.encode() + b"\0first\0"), "what came while nothing was asked")
        other.simple(f"begin; select pg_notify('{channel}', '{long}'); notify {channel}; commit")
        w.send(query("select 1"))
        got = w.until("Z")
        while kinds(got).count("A") < 2:
            got.append(w.receive())
        same([b[4:].decode() for k, b in got if k == "A"], [f"{channel}\0{long}\0", f"{channel}\0\0"], "two more")
        same([row(b) for k, b in got if k == "D"], [[b"1"]], "the statement")
        w.send(parse("select 2"), bind(), execute(), sync(), query(f"unlisten {channel}"))
        same(kinds(w.until("Z") + w.until("Z")).replace("A", ""), "12DCZCZ", "the pipeline")
        other.simple(f"notify {channel}, 'nobody'")
        same(w.simple("select 3"), [[b"3"]], "after UNLISTEN")


@test
def listen_and_notify_denied():
    channel = marker()
    with session("reader") as w:
        for sql in (f"listen {channel}", f"notify {channel}, 'x'", f"unlisten {channel}", f"select pg_notify('{channel}', 'x')"):
            w.send(query(sql))
            got = w.until("Z")
            same((kinds(got), errors(got)[0]["C"]), ("EZ", "42501"), sql)
            w.send(parse(sql), bind(), execute(), sync())
            got = w.until("Z")
            same((kinds(got), errors(got)[0]["C"]), ("EZ", "42501"), sql)
    never_arrives(channel)


# ---- FunctionCall and large objects ----

def function_call(oid, *args):
    body = struct.pack("!IHHH", oid, 1, 1, len(args))
    return message("F", body + b"".join(struct.pack("!i", len(a)) + a for a in args) + struct.pack("!H", 1))


def oid_of(name, nargs):
    return int(admin(f"select oid from pg_proc where proname = '{name}' and pronargs = {nargs}", "bench"))


@test
def p22_function_call_is_denied_and_recorded():
    """By a role that may write; with a rule about the function or none. The record names the function by its number, with its arguments."""
    oid = oid_of("int4pl", 2)
    for client, resource in (("agent-7", "shop"), ("reader", "shop")):
        with session(client, resource) as w:
            w.send(function_call(oid, struct.pack("!i", 2), struct.pack("!i", 3)), query("select 22"))
            got = w.until("Z")
            same((kinds(got), errors(got)[0]["C"], got[-1][1]), ("EZ", "42501", b"I"), f"FunctionCall by {client}")
            same([row(b) for k, b in w.until("Z") if k == "D"], [[b"22"]], "the next statement")
            w.simple("begin")
            w.send(function_call(oid, struct.pack("!i", 2), struct.pack("!i", 3)))
            got = w.until("Z")
            same((kinds(got), got[-1][1]), ("EZ", b"E"), "inside a transaction")
        found = [r for r in records(latest(client)["id"]) if r["kind"] == "command" and r["text"] == f"function call {oid}"]
        same([(r["verdict"], r["params"]) for r in found], [("deny", ["binary:0:00000002", "binary:0:00000003"])] * 2, "the records")


@test
def p22_function_call_that_is_allowed():
    with bench() as w:
        w.send(function_call(oid_of("int4pl", 2), struct.pack("!i", 2), struct.pack("!i", 3)))
        got = w.until("Z")
        same((kinds(got), got[0][1]), ("VZ", struct.pack("!ii", 4, 5)), f"the sum ({errors(got)})")
        w.send(function_call(1))
        got = w.until("Z")
        same((kinds(got), got[-1][1]), ("EZ", b"I"), "a function that does not exist")
        same(w.simple("select 1"), [[b"1"]], "the next statement")
    found = [r for r in records(latest("bench")["id"]) if r["kind"] == "command" and r["text"].startswith("function call")]
    same([r["verdict"] for r in found], ["allow", "allow"], "the records")


LIBPQ_LO = """
import ctypes, sys
pq = ctypes.CDLL("libpq.so.5")
pq.PQconnectdb.restype = pq.PQexec.restype = ctypes.c_void_p
pq.PQerrorMessage.restype = ctypes.c_char_p
c = ctypes.c_void_p(pq.PQconnectdb(sys.argv[1].encode()))
assert pq.PQstatus(c) == 0, pq.PQerrorMessage(c)
sql = lambda s: pq.PQclear(ctypes.c_void_p(pq.PQexec(c, s)))
data, got = bytes(range(256)) * 1000, ctypes.create_string_buffer(256001)
sql(b"begin")
oid = pq.lo_creat(c, 0x60000)
if oid == 0:
    print("denied", pq.PQerrorMessage(c).decode())
    sql(b"rollback")
    pq.PQfinish(c)
    sys.exit(0)
fd = pq.lo_open(c, oid, 0x60000)
assert pq.lo_write(c, fd, data, len(data)) == len(data), pq.PQerrorMessage(c)
assert pq.lo_lseek(c, fd, 0, 0) == 0
n = pq.lo_read(c, fd, got, 256001)
assert n == len(data) and got.raw[:n] == data, n
assert pq.lo_close(c, fd) == 0 and pq.lo_unlink(c, oid) == 1
sql(b"commit")
print("ok")
pq.PQfinish(c)
"""


def libpq_lo(client, resource):
    info = (f"host={LISTENER[0]} port={LISTENER[1]} user={resource} dbname={resource} sslmode=verify-full sslrootcert={CA} "
            f"password={token(client)}")
    return run(["ip", "netns", "exec", CLIENT, "/usr/bin/python3", "-c", LIBPQ_LO, info]).stdout.strip()


@test
def large_objects():
    """libpq's lo_* calls are FunctionCalls, and those of SQL are functions that act: both need a role that may do anything."""
    same(libpq_lo("bench", "bench"), "ok", "libpq's large objects")
    contains(libpq_lo("agent-7", "shop"), "denied", "libpq's large objects of an agent")
    with bench() as w:
        data = bytes(range(256)) * 4000
        w.send(parse("select lo_from_bytea(0, $1)", types=[17]), bind([data], formats=[1]), execute(), sync())
        (oid,), = [row(b) for k, b in w.until("Z") if k == "D"]
        w.send(parse("select lo_get($1)", types=[26]), bind([oid], results=[1]), execute(), sync())
        same([row(b) for k, b in w.until("Z") if k == "D"], [[data]], "the object")
        same(w.simple(f"select lo_unlink({oid.decode()})"), [[b"1"]], "its end")
    with session("agent-7") as w:
        for call in ("lo_creat(-1)", "lo_from_bytea(0, 'x')", "lo_get(1)", "lo_put(1, 0, 'x')", "lo_unlink(1)", "lo_open(1, 131072)", "loread(0, 1)"):
            w.send(query(f"select {call}"))
            got = w.until("Z")
            same((kinds(got), errors(got)[0]["C"]), ("EZ", "42501"), call)


# ---- what is open when a session is ended ----

@test
def p34_transaction_open_at_a_kill():
    """An operator ends a session inside a transaction: rolled back at the target, its locks are gone, and the connection is not used again."""
    with table("open34", "i int"), bench() as w:
        w.simple("begin")
        w.simple("insert into open34 values (1)")
        pid = w.simple("select pg_backend_pid()")[0][0].decode()
        sluice("noc", "sessions", "kill", live("bench")["id"])
        got = w.drain()
        same([fields(b)["S"] for k, b in got if k == "E"], ["FATAL"], "what the client hears")
        eventually(lambda: admin(f"select count(*) from pg_stat_activity where pid = {pid}", "bench") == "0", "the end of the target's session")
        same(admin("select count(*) from open34", "bench"), "0", "rows")
        with bench() as other:
            check(other.simple("select pg_backend_pid()")[0][0].decode() != pid, "the connection was used again")
            other.simple("truncate open34")


@test
def p34_transaction_open_at_a_denial():
    """The denial fails the transaction: what was done in it cannot be committed. A client that just goes away leaves nothing behind."""
    with session("agent-7") as w:
        w.simple("begin")
        w.simple("insert into orders values (9340, 1, 1, 1, '2026-01-01')")
        w.send(query("drop table orders"))
        same(w.until("Z")[-1][1], b"E", "the state")
        w.send(query("commit"))
        got = w.until("Z")
        same((got[0][1], got[-1][1]), (b"ROLLBACK\0", b"I"), "COMMIT")
        w.simple("begin")
        w.simple("insert into orders values (9341, 1, 1, 1, '2026-01-01')")
        w.abort()
    eventually(lambda: admin("select count(*) from pg_stat_activity where usename = 'shop_app' and state like 'idle in transaction%'") == "0", "rolled back")
    same(admin("select count(*) from orders where id in (9340, 9341)"), "0", "rows")


# ---- segments and records ----

@test
def p30_messages_across_tls_records():
    """Cut in other places than the messages: two in one record, one over many, a header split; the same verdicts."""
    mark = marker()
    with session("agent-7") as w:
        stream = (query(f"drop table orders /* {mark} */") + query("select 30") + parse(f"select '{mark}'::text, $1::text") +
                  bind([b"y" * 40000]) + execute() + sync() + query(f"drop table orders /* {mark} */"))
        for step in (3, 7, 1000, 16384, 20000, len(stream)):
            for at in range(0, len(stream), step):
                w.send(stream[at:at + step])  # each is a record of its own, or several over 16 KB
            got = [w.until("Z") for _ in range(4)]
            same([kinds(g) for g in got], ["EZ", "TDCZ", "12DCZ", "EZ"], f"pieces of {step} bytes")
            same(row(got[2][2][1]), [mark.encode(), b"y" * 40000], f"the row, pieces of {step} bytes")
    arrives(mark)
    check(admin("select count(*) from orders") == "600", "orders")


def in_steps(w, steps):
    for step in steps:
        w.send(*step)
        w.until("Z")


def lives(w):
    w.send(query("select 1"))
    try:
        return kinds(w.until("Z"))
    except Closed:
        return "closed"


CURSOR = [[query("begin")], [query("declare c cursor for select 1")]]
FETCH_BOUND = [parse("fetch all from c"), bind(portal="f"), sync()]
FETCH_PARSED = [parse("fetch all from c", name="s"), sync()]
GONE = {
    "a portal": (CURSOR + [FETCH_BOUND, [query("close c")]], [execute("f"), sync()], "34000"),
    "a portal, described": (CURSOR + [FETCH_BOUND, [query("close c")]], [describe(name="f"), sync()], "34000"),
    "a portal, the cursor closed by the protocol": (CURSOR + [FETCH_BOUND], [message("C", b"Pc\0"), execute("f"), sync()], "34000"),
    "a pipeline": (CURSOR, [parse("close c"), bind(portal="x"), parse("fetch all from c"), bind(), execute("x"), execute(), sync()], "34000"),
    "a statement": (CURSOR + [FETCH_PARSED, [query("close c")]], [describe("S", "s"), sync()], "26000"),
    "a statement that is forgotten": (CURSOR + [FETCH_PARSED, [query("prepare a as select 1")], [query("deallocate a")], [query("prepare b as select 1")],
                                                [query("close c")]], [describe("S", "s"), sync()], "26000"),
    "a FETCH of the portal": (CURSOR + [[parse("fetch all from c"), bind(portal="f"), execute("f", 1), sync()], [query("close c")]],
                              [query("fetch all from f")], "0A000"),
    "a FETCH of the portal, in one text": (CURSOR + [[parse("fetch all from c"), bind(portal="f"), execute("f", 1), sync()]],
                                           [query("close c; fetch all from f")], "0A000"),
    "a FETCH of the portal, bound": (CURSOR + [FETCH_BOUND, [query("close c")]], [parse("fetch all from f"), bind(), describe(), sync()], "0A000"),
    "a statement that SQL runs, unread": (CURSOR + [[parse("select 1"), bind(), execute(), parse("fetch all from c /* \u00e9] */", name="s"), sync()],
                                                    [query("close c")]], [parse("execute s"), describe("S"), sync()], "0A000"),
    "a statement that SQL runs": (CURSOR + [FETCH_PARSED, [query("close c")]], [parse("execute s"), describe("S"), sync()], "0A000"),
}


@test
def fetch_of_a_cursor_that_has_gone():
    """PostgreSQL 15 dies of its Describe, and with it go all sessions; the gateway adds one to an Execute."""
    other = session()
    for name, (steps, last, code) in GONE.items():
        w = session("bench", "bench") if "SQL" in name else session()
        in_steps(w, steps)
        w.send(*last)
        try:
            codes = [e["C"] for e in errors(w.until("Z"))]
        except Closed:
            codes = ["closed"]
        same((codes, lives(other)), ([code], "TDCZ"), f"{name}, and another session beside it")


@test
def execute_behind_a_query():
    """PostgreSQL 15 runs a Query as the portal without a name. One that failed in a transaction stays, over memory that is free: an Execute of it ends
    the server, sooner or later."""
    other, w, got = session(), session(), []
    in_steps(w, [[query("begin")], [parse("select 1"), bind(), execute(), sync()], [query("fetch from nobody")]])
    with contextlib.suppress(Closed):
        for i in range(50):
            in_steps(w, [[query("; ".join(["select 1 as a, 2 as b, 3 as c from x", "move 1 in f", "show all"][:1 + i % 3]))]])
            w.send(execute(), sync())
            got += [e["C"] for e in errors(w.until("Z"))]
    same((got, lives(other)), (["34000"] * 50, "TDCZ"), "Execute behind a Query that failed, and another session beside it")


CLOSE_S = message("C", b"Ss\0")


@test
def bind_of_what_sql_prepared():
    """SQL's PREPARE is approved once, for one text: Bind does not run it by the name that a statement of Parse had."""
    away = {
        "closed behind a Parse that fails": [[parse("select 1 from nowhere"), CLOSE_S, parse("select 1", "s"), sync()], [CLOSE_S, sync()]],
        "deallocated by Execute": [[parse("deallocate s"), bind(), execute(), sync()]],
    }
    with policy(("Role", "prepares", "groups: [agents], resources: [shop], allow: [read, update, prepare]")):
        for how, steps in away.items():
            mark = marker()
            run_it = bind([b"15"], statement="s") + execute() + sync()
            with session(timeout=20) as w:
                in_steps(w, [[parse("select 1 where $1 > 0", "s", (23,)), sync()]])
                w.send(*(m for step in steps for m in step))  # in one flight
                for _ in steps:
                    w.until("Z")
                w.send(query(f"prepare s (int) as update customers set city = '{mark}' where id = $1"), run_it)
                sluice("alice", "approvals", "approve", pending(mark)["id"])
                got = w.until("Z") + w.until("Z")
                w.send(run_it)
                got += w.until("Z")
            same((kinds(got), [e["C"] for e in errors(got)]), ("NCZEZEZ", ["26000", "26000"]), f"PREPARE and Binds behind it, {how}")
            same(admin(f"select count(*) from customers where city = '{mark}'"), "0", f"rows that were changed, {how}")


@test
def fetch_of_a_cursor_that_is_another():
    """PostgreSQL 15 sends the new cursor's rows as values of the old one's types: a number is a pointer's length then, and what lies behind it in the
    server's memory goes out."""
    numbers = [[query("close c")], [query("declare c cursor for select 8000::int4")]]
    texts = [[query("begin")], [query("declare c cursor for select repeat('x', 3)")]]
    tries = {
        "a portal": texts + [[parse("fetch all from c"), bind(portal="f", results=[1]), sync()]] + numbers + [[execute("f"), sync()]],
        "EXECUTE of a statement": texts + [FETCH_PARSED] + numbers + [[query("execute s")]],
    }
    for name, steps in tries.items():
        w = session("bench", "bench")
        in_steps(w, steps[:-1])
        w.send(*steps[-1])
        same([len(row(b)[0]) for k, b in w.until("Z") if k == "D"], [], f"{name}: bytes of the server's memory in values that came")


@test
def fetch_of_a_cursor_goes_on():
    """As drivers fetch: bound and run in one go, in parts over several Syncs, by a statement with a name whose cursor was opened anew."""
    w = session()
    in_steps(w, CURSOR[:1] + [[query("declare c cursor for select generate_series(1, 6)")]])
    w.send(parse("fetch 2 from c"), bind(), describe(), execute(), sync())
    same([row(b) for k, b in w.until("Z") if k == "D"], [[b"1"], [b"2"]], "at once")
    w.send(parse("fetch 3 from c", name="s"), describe("S", "s"), bind(portal="f", statement="s"), execute("f", 2), sync())
    same([row(b) for k, b in w.until("Z") if k == "D"], [[b"3"], [b"4"]], "the first part")
    w.send(execute("f", 2), sync())
    same([row(b) for k, b in w.until("Z") if k == "D"], [[b"5"]], "the second part")
    in_steps(w, [[query("close c")], [query("declare c cursor for select 7")]])
    w.send(bind(statement="s"), describe(), execute(), sync())
    same([row(b) for k, b in w.until("Z") if k == "D"], [[b"7"]], "another cursor")
    w.send(parse("select 8"), bind(portal="p"), execute("p", 1), parse("select 9"), bind(), execute(), execute("p", 1), sync())
    same([row(b) for k, b in w.until("Z") if k == "D"], [[b"8"], [b"9"]], "a portal, with another statement between")


@test
def statements_that_sql_deallocates():
    """psycopg drops what it has prepared and needs no more by SQL, in a pipeline by the extended protocol: as many as it likes, one after
    the other."""
    w = session("bench", "bench")
    for i in range(600):
        end = f'DEALLOCATE "_pg3_{i}"'
        w.send(parse(f"select {i}", name=f"_pg3_{i}"), bind(statement=f"_pg3_{i}"), execute(), sync())
        same(errors(w.until("Z")), [], f"statement {i}")
        w.send(*([query(end)] if i % 2 == 0 else [parse(end), bind(), describe(), execute(), sync()]))
        same(errors(w.until("Z")), [], f"its end, {i}")
