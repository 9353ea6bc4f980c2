"""The ways into a session, on both sides: direct TLS, newer protocols, cancel keys, channel binding, PgBouncer as the target."""
import base64
import contextlib
import hashlib
import os
import shutil
import ssl
import struct
import subprocess
import threading
import time

import pgwire
from labtest import (CA, CLIENT, DIR, LISTENER, TARGET, admin, check, contains, eventually, gateway_memory, latest, latest_ended, marker, psql, records,
                     replies, same, session, test, token, wire)
from pgwire import Closed, ServerError, bind, describe, execute, kinds, parse, query, row, startup, sync
from rogue import READY, Rogue

PROTOCOL_32 = (3 << 16) + 2


# ---- direct TLS ----

@test
def p09_direct_tls():
    with wire() as w:
        w.start_tls(ask=False, alpn=["postgresql"])
        same(w.sock.selected_alpn_protocol(), "postgresql", "the protocol that was agreed on")
        w.send(startup({"user": "shop", "database": "shop"}))
        w.authenticate(token("agent-7"))
        same(w.simple("select 9"), [[b"9"]], "a select")
    # As libpq 17 has it with sslnegotiation=postgres: a request, and ALPN all the same.
    with wire() as w:
        same(w.request(pgwire.SSL_REQUEST), b"S", "the answer to SSLRequest")
        w.start_tls(ask=False, alpn=["postgresql"])
        w.send(startup({"user": "shop", "database": "shop"}))
        w.authenticate(token("agent-7"))


@test
def p09_direct_tls_without_alpn():
    for alpn in (None, ["http/1.1"], ["postgresq", "postgresql2"]):
        with wire() as w:
            try:
                w.start_tls(ask=False, alpn=alpn)
                w.send(startup({"user": "shop", "database": "shop"}))
                kind, _ = w.receive()
            except (Closed, ssl.SSLError, OSError):
                continue
            raise AssertionError(f"ALPN {alpn}: an answer {kind}")
    with session("agent-8") as w:
        same(w.simple("select 1"), [[b"1"]], "a session of somebody else")


@test
def p09_openssl_client():
    def client(*args):
        return subprocess.run(["ip", "netns", "exec", CLIENT, "openssl", "s_client", "-connect", f"{LISTENER[0]}:{LISTENER[1]}",
                               "-CAfile", CA, "-verify_return_error", *args], input="", capture_output=True, text=True, timeout=20,
                              check=False).stdout

    contains(client("-alpn", "postgresql"), "ALPN protocol: postgresql", "openssl's report")
    check("ALPN protocol" not in client("-alpn", "h2"), "a protocol of the web was agreed on")
    contains(client("-starttls", "postgres"), "Verify return code: 0 (ok)", "openssl's report of a request")


@test
def direct_tls_to_the_target():
    with Rogue(alpn=["postgresql"]) as target:
        with session("reader", "rogue-direct", database="rogue") as w:
            w.simple("select 1")
        same(target.agreed, ["postgresql"], "the protocols that were agreed on")
    # One that speaks TLS but not this protocol.
    with Rogue(alpn=["h2"]) as target:
        try:
            session("reader", "rogue-direct", database="rogue").close()
            raise AssertionError("a session with something else")
        except ServerError as e:
            same(e.fields["C"], "57P03", "SQLSTATE")
        same([m for m in target.seen], [], "what the other one has seen")


# ---- versions and cancel keys ----

@test
def p10_newer_protocol():
    for minor, negotiated, key_n in ((1, False, 4), (2, False, 32), (3, True, 32), (9999, True, 32)):
        with wire() as w:
            got = w.login("shop", "shop", token("agent-7"), version=(3 << 16) + minor)
            negotiate = [b for k, b in got if k == "v"]
            same(bool(negotiate), negotiated, f"3.{minor}: NegotiateProtocolVersion in {kinds(got)}")
            if negotiate:
                same(struct.unpack("!II", negotiate[0]), (PROTOCOL_32, 0), "what is spoken")
            same(len(w.key) - 4, key_n, f"3.{minor}: bytes of the cancel key")
            same(w.simple("select 1"), [[b"1"]], f"a select in 3.{minor}")
    with wire() as w:
        got = w.login("shop", "shop", token("agent-7"), **{"_pq_.a": "1", "_pq_.b": ""})
        same([b for k, b in got if k == "v"], [struct.pack("!II", 3 << 16, 2) + b"_pq_.a\0_pq_.b\0"], "options that are not known")
    for version in ((2 << 16), (4 << 16), 0, 1 << 16):
        with wire() as w:
            w.start_tls()
            w.send(startup({"user": "shop", "database": "shop"}, version))
            same(kinds(w.drain())[-1:], "E", f"the answer to version {version >> 16}")


@test
def p10_target_speaks_less():
    """The resource asks for 3.2; PostgreSQL 15 has 3.0."""
    with session("reader", "shop-newer", database="shop") as w:
        same(w.simple("select 1"), [[b"1"]], "a select")


@contextlib.contextmanager
def pgbouncer():
    """Debian's, before the lab's PostgreSQL: TLS, SCRAM, and nothing newer than 3.0."""
    where = f"{DIR}/bouncer"
    shutil.rmtree(where, ignore_errors=True)
    os.makedirs(where)
    for name in ("target.pem", "target.key"):
        shutil.copy(f"{DIR}/pki/{name}", where)
    with open(f"{DIR}/shop_app.password", encoding="ascii") as f:
        password = f.read().strip()
    with open(f"{where}/users", "w", encoding="ascii") as f:
        f.write(f'"shop_app" "{password}"\n')
    with open(f"{where}/ini", "w", encoding="ascii") as f:
        f.write(f"[databases]\nshop = host={DIR}/pg/socket\n[pgbouncer]\nlisten_addr = 10.99.2.2\nlisten_port = 5433\n"
                f"unix_socket_dir =\nauth_type = scram-sha-256\nauth_file = {where}/users\npool_mode = session\n"
                f"client_tls_sslmode = require\nclient_tls_cert_file = {where}/target.pem\n"
                f"client_tls_key_file = {where}/target.key\n"
                "ignore_startup_parameters = extra_float_digits,IntervalStyle\n")
    subprocess.run(["chown", "-R", "postgres:", where], check=True)
    with open(f"{where}/log", "wb") as log:
        p = subprocess.Popen(["ip", "netns", "exec", TARGET, "runuser", "-u", "postgres", "--", "pgbouncer", f"{where}/ini"],
                             stdout=log, stderr=log)
        try:
            def up():
                with open(f"{where}/log", encoding="utf-8") as f:
                    return "process up" in f.read()
            eventually(up, "PgBouncer is up")
            yield
        finally:
            subprocess.run(["pkill", "-P", str(p.pid)], check=False)
            p.terminate()
            p.wait(10)


@test
def p10_pgbouncer_as_the_target():
    with pgbouncer():
        for version in (pgwire.PROTOCOL_30, PROTOCOL_32):
            with wire() as w:
                w.login("bouncer", "shop", token("reader"), version)
                same(w.simple("select 10"), [[b"10"]], "a select")
        got = psql("reader", "-c", "select 11", resource="bouncer", database="shop")
        same(got.stdout.strip(), "11", f"psql's answer ({got.stderr})")


@test
def p26_cancel_keys():
    with session("reader", timeout=30) as other, wire(30) as w:
        w.login("shop", "shop", token("agent-8"), PROTOCOL_32)
        same(len(w.key), 36, "bytes of BackendKeyData")
        w.send(query("select count(*) from generate_series(1, 2000000000)"))
        pid, key = w.key[:4], w.key[4:]
        wrong = [key[:4], key[:-1], key + b"\0", bytes(32), key[:-1] + bytes([key[-1] ^ 1]), bytes(256), other.key[4:], bytes(4)]
        for k in wrong:
            cancel(pid + k)
        cancel(other.key[:4] + key)
        done = threading.Event()
        got = []
        threading.Thread(target=lambda: (got.extend(w.until("Z")), done.set()), daemon=True).start()
        check(not done.wait(1), "a wrong key has cancelled")
        for k in (b"", bytes(3), bytes(257)):
            cancel(pid + k)
        check(not done.wait(0.2), "a malformed key has cancelled")
        cancel(pid + key)
        check(done.wait(10), "the right key does not cancel")
        same([pgwire.fields(b)["C"] for k, b in got if k == "E"], ["57014"], "errors")
        same(other.simple("select 1"), [[b"1"]], "the other session")


@test
def p26_target_repeats_its_key():
    """A million times BackendKeyData, in the login or later: the first one too many ends that flow, memory is bounded, nobody else is touched."""
    many = pgwire.message("K", bytes(8)) * 1_000_000
    before = gateway_memory()
    with Rogue(after_auth=pgwire.message("R", struct.pack("!I", 0)) + many):
        try:
            session("reader", "rogue", database="rogue", timeout=30).close()
            raise AssertionError("a session with a million keys")
        except ServerError as e:
            same(e.fields["C"], "08006", "SQLSTATE")
    with Rogue(answers={"p26 more": many + READY}):
        with session("reader", "rogue", database="rogue", timeout=30) as w:
            same(len(w.key), 8, "bytes of the client's own key")
            w.send(query("select 'p26 more'"))
            got = w.drain()
            same((kinds(got), errors_of(got)[0]["C"]), ("E", "08006"), "the end")
    grown = gateway_memory() - before
    check(grown < 8 << 20, f"memory grew by {grown >> 10} KiB")
    with session("agent-8") as w:
        same(w.simple("select 1"), [[b"1"]], "a session of somebody else")


def cancel(pid_and_key):
    with wire() as c:
        c.start_tls()
        c.send(struct.pack("!II", 8 + len(pid_and_key), pgwire.CANCEL_REQUEST) + pid_and_key)
        c.drain()


@test
def cancel_key_is_not_recorded():
    """Who may read records could stop what others run."""
    mark = marker()
    with session("agent-7") as w:
        w.simple(f"select '{mark}'")
        key = w.key
    kept = replies(records(latest_ended("agent-7")["id"]))
    check(mark.encode() in kept, "the reply is not recorded")
    check(key not in kept and b"K\0\0\0" not in kept, "the session's cancel key is in its records")


# ---- the target's side of the login ----

@test
def channel_binding_required():
    """PostgreSQL 15 offers SCRAM-SHA-256-PLUS inside TLS."""
    with session("reader", "shop-bound", database="shop") as w:
        same(w.simple("select 1"), [[b"1"]], "a select")


@test
def channel_binding_missing():
    """A target that does not offer it, or that asks for nothing at all, while the resource requires it."""
    for auth in (pgwire.message("R", struct.pack("!I", 10) + b"SCRAM-SHA-256\0\0"), pgwire.message("R", struct.pack("!I", 0)),
                 pgwire.message("R", struct.pack("!I", 3)), pgwire.message("R", struct.pack("!I", 5) + b"salt")):
        with Rogue(auth=auth) as target:
            try:
                session("reader", "rogue-bound", database="rogue").close()
                raise AssertionError("a session without channel binding")
            except ServerError as e:
                same(e.fields["C"], "08004", "SQLSTATE")
                contains(e.fields["M"], "channel binding", "the message")
            time.sleep(0.1)
            same(target.seen, [], "what the target was told")


# ---- replies in the records ----

def data_of(recs, mark):
    """The commands under which reply data with this mark is recorded."""
    return sorted({r["cmd"] for r in recs if r["kind"] == "data" and mark.encode() in base64.b64decode(r.get("data") or "")})


def command_of(recs, mark, *phases):
    return sorted({r["cmd"] for r in recs if r["kind"] == "command" and mark in r["text"] and r["phase"] in phases})


@test
def replies_stand_beside_their_commands():
    """Replies of a pipeline come in one segment: the record of each says which command brought them."""
    for extended in (False, True):
        one, two = marker(), marker()
        with session("agent-7") as w:
            if extended:
                w.send(parse(f"select '{one}' as x"), bind(), execute(), parse(f"select '{two}' as x"), bind(), execute(), sync())
                w.until("Z")
            else:
                w.send(query(f"select '{one}' as x"), query(f"select '{two}' as x"))
                w.until("Z")
                w.until("Z")
        recs = records(latest_ended("agent-7")["id"])
        for mark in (one, two):
            same(data_of(recs, mark), command_of(recs, mark, "simple", "execute"), f"extended={extended}: commands of the reply with {mark}")


# ---- parameters and large messages ----

VALUES = (
    (16, "bool", "boolsend", ["true", "false"]), (17, "bytea", "byteasend", ["\\x00ff41", "\\x"]),
    (18, '"char"', "charsend", ["A"]), (19, "name", "namesend", ["pg_class"]), (25, "text", "textsend", ["a\u00e9", ""]),
    (1043, "varchar", "varcharsend", ["v"]), (1042, "char(3)", "bpcharsend", ["ab"]), (21, "int2", "int2send", ["-32768"]),
    (23, "int4", "int4send", ["2147483647"]), (20, "int8", "int8send", ["-9223372036854775808"]), (26, "oid", "oidsend", ["4294967295"]),
    (700, "float4", "float4send", ["1.5", "0.1", "NaN", "-Infinity"]), (701, "float8", "float8send", ["0.1", "1e+300", "-2.5", "NaN"]),
    (1700, "numeric", "numeric_send", ["0", "0.00", "-12345.6789", "1e30", "0.000012", "99999999.9999", "NaN", "Infinity"]),
    (2950, "uuid", "uuid_send", ["12345678-9abc-def0-1234-56789abcdef0"]), (114, "json", "json_send", ['{"a": [1]}']),
    (3802, "jsonb", "jsonb_send", ['{"a": [1, null]}']), (869, "inet", "inet_send", ["10.1.2.3", "10.1.2.3/8", "2001:db8::1", "::/0"]),
    (650, "cidr", "cidr_send", ["10.0.0.0/8"]), (1082, "date", "date_send", ["2026-11-21", "0044-03-15 BC", "infinity", "5874897-12-31"]),
    (1083, "time", "time_send", ["04:05:06.7", "24:00:00"]), (1266, "timetz", "timetz_send", ["04:05:06+05:30", "23:59:59.000001-08:00"]),
    (1114, "timestamp", "timestamp_send", ["1999-12-31 23:59:59.25", "infinity", "0001-01-01 00:00:00 BC"]),
    (1184, "timestamptz", "timestamptz_send", ["2026-01-02 03:04:05+00", "-infinity"]),
    (1186, "interval", "interval_send", ["1 year 2 mons 3 days 04:05:06.789", "-00:00:01", "0"]),
    (1007, "int4[]", "array_send", ["{1,NULL,3}", "{{1,2},{3,4}}", "{}"]), (1231, "numeric[]", "array_send", ["{1.50,-2}"]))


@test
def parameters_are_recorded_by_type():
    """What the target itself prints for a value is what the record of its binary form says."""
    cases = [(oid, name, send, v) for oid, name, send, values in VALUES for v in values]
    sql = " union all ".join(f"select {i}, encode({send}({quote(v)}::{name}), 'hex'), format('%s', {quote(v)}::{name})"
                             for i, (_, name, send, v) in enumerate(cases))
    want = [line.split("|", 2) for line in admin(f"set timezone to utc; set intervalstyle to postgres; select * from ({sql}) v(n) order by n",
                                                 ).splitlines() if "|" in line]
    same(len(want), len(cases), "values that the target has given")
    with session("agent-7") as w:
        for (oid, name, _, _), (_, binary, _) in zip(cases, want):
            w.send(parse("select 1 where $1 is null", types=[oid]), bind([bytes.fromhex(binary)], formats=[1]), execute(), sync())
            got = w.until("Z")
            check("E" not in kinds(got), f"{name}: {[pgwire.fields(b) for k, b in got if k == 'E']}")
    got = [r["params"] for r in records(latest("agent-7")["id"]) if r["kind"] == "command" and r["phase"] == "execute"]
    for (_, name, _, _), (_, _, printed), recorded in zip(cases, want, got):
        same(recorded, [printed], f"the recorded parameter of type {name}")


def quote(v):
    return "'" + v.replace("'", "''") + "'"


@test
def parameter_types_of_the_target():
    """Parse leaves the type open, as asyncpg and others do; the target says it when it is asked to describe the statement."""
    with session("agent-7") as w:
        w.send(parse("select 1 + $1::int8", name="s"), describe("S", "s"), sync())
        w.until("Z")
        w.send(bind([struct.pack("!q", 77)], statement="s", formats=[1]), execute(), sync())
        same([row(b) for k, b in w.until("Z") if k == "D"], [[b"78"]], "the sum")
    same([r["params"] for r in records(latest("agent-7")["id"]) if r.get("phase") == "execute"], [["77"]], "the recorded parameter")


@test
def many_parameters_and_columns():
    n = 65535
    with session("agent-7", timeout=30) as w:
        w.send(parse("select cardinality(array[" + ",".join(f"${i + 1}" for i in range(n)) + "]::int[])"),
               bind([b"1"] * n), execute(), sync())
        got = w.until("Z")
        same([row(b) for k, b in got if k == "D"], [[str(n).encode()]], f"parameters ({[pgwire.fields(b) for k, b in got if k == 'E']})")
        # Of this resource every column is looked at, for a mask by pattern.
        columns = ",".join(f"{i} as c{i}" for i in range(1600))
        same(w.simple("select " + columns), [[str(i).encode() for i in range(1600)]], "a row of 1,600 columns")
        w.send(parse("select " + columns), bind(), describe(), execute(), sync())
        got = w.until("Z")
        same([len(row(b)) for k, b in got if k == "D"], [1600], "columns in the extended protocol")


@test
def large_messages_stream():
    """A parameter and a row far over the message limit of 1 MB, with a bound on what the gateway holds of them."""
    size = int(os.environ.get("LARGE_BYTES", 24 << 20))
    with session("reader", "shop-bound", database="shop", timeout=300) as w:
        w.simple("select 1")
        before = gateway_memory()
        w.send(parse("select length($1), md5($1), $2::int", types=[25, 23]))
        w.send(bind([b"y" * size, b"5"]), execute(), sync())
        got = w.until("Z")
        md5 = hashlib.md5(b"y" * size).hexdigest().encode()
        same([row(b) for k, b in got if k == "D"], [[str(size).encode(), md5, b"5"]], f"the parameter ({errors_of(got)})")
        (value,), = w.simple(f"select repeat('x', {size})")
        check(value == b"x" * size, f"the row: {len(value)} bytes")
        grown = gateway_memory() - before
        check(grown < 24 << 20, f"memory grew by {grown >> 20} MiB over messages of {size >> 20} MiB")
    params = [r["params"] for r in records(latest("reader")["id"]) if r.get("phase") == "execute"][0]
    contains(params[0], f"...[{size} bytes]", "the recorded parameter")
    same(params[1], "[1 more parameters]", "what is recorded of the other one")


@test
def large_parameter_that_is_held():
    """Nobody can approve what nobody can read."""
    with session("agent-7", timeout=60) as w:
        w.send(parse("update customers set name = $1 where id = 1", types=[25]), bind([b"x" * (3 << 20)]), execute(), sync())
        got = w.until("Z")
        same([e["C"] for e in errors_of(got)], ["42501"], "errors")
        contains(errors_of(got)[0]["M"], "too large", "the message")
        same(w.simple("select 1"), [[b"1"]], "the session")


def errors_of(messages):
    return [pgwire.fields(b) for k, b in messages if k == "E"]
