"""Hand-made messages through the whole path. A test's letter and number name an attack (D: on the stack and the sessions, P: on
the protocol and the policy): what is sent, and what must happen. "Nothing arrived" is asked of the log of the real PostgreSQL behind the gateway, which keeps every statement
and every step of the extended protocol.
"""
import contextlib
import os
import socket
import ssl
import struct
import subprocess
import time

import pgwire
from labtest import (DIR, LISTENER, CA, ROOT, admin, api, arrives, check, contains, eventually, gateway_memory, latest, latest_ended, marker,
                     never_arrives, psql, records, same, session, sessions, target_log, test, token, wire)
from pgwire import (Closed, ServerError, bind, cstr, describe, errors, execute, kinds, message, parse, query, row, startup, sync)
from rogue import READY, Rogue, complete, data_row, row_description
from test_limits import policy


def closes(w, seconds=8):
    """The messages until the gateway closes, which it must."""
    w.sock.settimeout(seconds)
    try:
        return w.drain()
    except (TimeoutError, socket.timeout) as e:
        raise AssertionError(f"the connection is still open after {seconds} s") from e


def ends(w, *parts, sqlstate=None):
    """Sends; the gateway must close, with at most an error before it."""
    try:
        w.send(*parts)
    except Closed:
        return
    got = closes(w)
    check(set(kinds(got)) <= set("ESN"), f"answers before the end: {kinds(got)}")
    if sqlstate and errors(got):
        same(errors(got)[-1]["C"], sqlstate, "SQLSTATE")


def works():
    """Others are not affected."""
    with session("agent-8") as w:
        same(w.simple("select 1"), [[b"1"]], "a session of somebody else")


def denied(w, *parts, state=b"I"):
    """Sends; the answer is one error 42501 and ReadyForQuery. Returns the messages."""
    w.send(*parts)
    got = w.until("Z")
    same([e["C"] for e in errors(got)], ["42501"], "errors")
    same(got[-1][1], state, "transaction status")
    return got


def recorded(verdict):
    """The commands with this verdict in the two newest sessions of the agent."""
    mine = [s for s in sessions(10) if s["user"] == "agent-7"][:2]
    return [r for s in mine for r in records(s["id"]) if r["kind"] == "command" and r["verdict"] == verdict]


# ---- framing ----

@test
def p01_typed_length_below_four():
    mark = marker()
    for kind in "QPBEDCSFHdcfp":
        for length in range(4):
            with session() as w:
                ends(w, kind.encode() + struct.pack("!I", length) + query(f"select '{mark}'"), sqlstate="08P01")
    for length in (0, 3, 7):
        with wire() as w:
            ends(w, struct.pack("!I", length) + b"\0" * 16)
        with wire() as w:
            w.start_tls()
            ends(w, struct.pack("!I", length) + b"\0" * 16)
    never_arrives(mark)


@test
def p02_length_of_gigabytes():
    mark, before = marker(), gateway_memory()
    for length in (0x7fffffff, 0x80000000, 0xffffffff):
        for kind in "QPBdFp":
            with session() as w:
                ends(w, kind.encode() + struct.pack("!I", length) + f"select '{mark}'".encode())
        with wire() as w:
            w.start_tls()
            ends(w, struct.pack("!II", length, pgwire.PROTOCOL_30))
    check(gateway_memory() - before < 64 << 20, f"memory grew by {(gateway_memory() - before) >> 20} MiB")
    never_arrives(mark)


@test
def p03_sizes_that_overflow():
    mark = marker()
    for size in (0x7fffffff, 0xfffffffe, 0x80000000):
        body = cstr("") + cstr("") + struct.pack("!HH", 0, 3) + struct.pack("!I", size) + b"x" * 8 + struct.pack("!I", size) + b"y" * 8
        with session() as w:
            w.send(parse(f"select '{mark}', $1, $2, $3"))
            ends(w, message("B", body), sync())
    for n in (0xffff, 0x8000):
        with session() as w:
            ends(w, message("P", cstr("") + cstr(f"select '{mark}2'") + struct.pack("!H", n)), sync())
        with session() as w:
            ends(w, message("B", cstr("") + cstr("") + struct.pack("!H", n)), sync())
    never_arrives(mark + "2")


@test
def p03_trailing_and_missing_bytes():
    mark = marker()
    for bad in (message("Q", f"select '{mark}'".encode()), message("Q", cstr(f"select '{mark}'") + b"x"), message("Q", b""),
                message("S", b"x"), message("E", b"\0\0\0"), message("P", cstr("") + f"select '{mark}'".encode())):
        with session() as w:
            ends(w, bad, sync())
    never_arrives(mark)


@test
def p03_unknown_message_type():
    for kind in (b"\0", b"~", b"z", b"R", b"T", b"\xff"):
        with session() as w:
            ends(w, kind + struct.pack("!I", 4))


# ---- start-up ----

@test
def p05_second_startup():
    mark = marker()
    for again in (startup({"user": "bench", "database": "bench"}), struct.pack("!II", 8, pgwire.SSL_REQUEST),
                  struct.pack("!IIII", 16, pgwire.CANCEL_REQUEST, 1, 1)):
        with session() as w:
            ends(w, again, query(f"select '{mark}'"))
    never_arrives(mark)


@test
def p06_silence():
    """The lab's deadline for a login is 5 s. All the while others log in."""
    quiet = [wire(20) for _ in range(6)]
    quiet[1].send(struct.pack("!II", 8, pgwire.SSL_REQUEST))
    quiet[2].request(pgwire.SSL_REQUEST)
    quiet[3].send(b"\0\0")
    quiet[4].start_tls()
    quiet[5].start_tls()
    quiet[5].send(startup({"user": "shop", "database": "shop"}))
    began = time.monotonic()
    works()
    for w in quiet:
        closes(w, max(1.0, 12 - (time.monotonic() - began)))
        w.close()
    check(time.monotonic() - began > 2, f"closed after {time.monotonic() - began:.1f} s: nobody can log in by hand")
    works()


@test
def p08_gssenc_first():
    with wire() as w:
        same(w.request(pgwire.GSSENC_REQUEST), b"N", "the answer to GSSENCRequest")
        w.login("shop", "shop", token("agent-7"))
        same(w.simple("select 8"), [[b"8"]], "a select")
    with wire() as w:
        w.request(pgwire.GSSENC_REQUEST)
        ends(w, struct.pack("!II", 8, pgwire.GSSENC_REQUEST))


@test
def p08_bytes_behind_ssl_request():
    """CVE-2021-23214: what comes in clear behind the request for TLS must not count as said inside of it."""
    mark = marker()
    with wire() as w:
        w.send(struct.pack("!II", 8, pgwire.SSL_REQUEST) + startup({"user": "shop", "database": "shop"}))
        try:
            if w.exactly(1) != b"S":
                return  # refused with an error
            w.start_tls(ask=False)
            w.send(startup({"user": "shop", "database": "shop"}))
            w.authenticate(token("agent-7"))
            w.simple(f"select '{mark}'")
        except (Closed, ssl.SSLError, OSError):
            pass
        else:
            raise AssertionError("the login goes on")
    never_arrives(mark)


@test
def p11_password_malformed():
    for bad in (message("p"), message("p", b"no zero"), message("p", b"\0"), message("p", cstr(token("agent-7")) + b"more"),
                message("p", b"SCRAM-SHA-256\0\xff\xff\xff\xff"), message("p", b"SCRAM-SHA-256\0\x7f\xff\xff\xffn,,n=,r="),
                query("select 1"), message("p", b"e" * 100000 + b"\0")):
        with wire() as w:
            w.start_tls()
            w.send(startup({"user": "shop", "database": "shop"}))
            same(w.receive(), ("R", struct.pack("!I", 3)), "the request for a password")
            ends(w, bad)
    works()


@test
def p11_target_scram_malformed():
    """The same towards the target: its SCRAM messages are cut, huge or empty; its final one is not verified."""
    sasl = struct.pack("!I", 10)
    auths = (message("R", sasl), message("R", sasl + b"SCRAM-SHA-256"), message("R", sasl + b"PLAIN\0\0"),
             message("R", struct.pack("!I", 11) + b"r=,s=,i="), message("R", b"\0"), b"R" + struct.pack("!I", 0x7fffffff) + b"x" * 64,
             message("R", struct.pack("!I", 12) + b"v=AAAA"), message("E", b""), message("Z", b"I"))
    for auth in auths:
        with Rogue(auth=auth):
            done = psql("reader", "-c", "select 1", resource="rogue", timeout=30)
            same(done.returncode, 2, f"psql against a target that says {auth[:24]!r}")
    scram = message("R", sasl + b"SCRAM-SHA-256\0\0")
    for after in (b"r=short,s=AAAA,i=4096", b"r=,s=,i=0", b"e=other", b"i=4096", b"x" * 5000, b"r=a,s=AAAA,i=99999999999999999999"):
        with Rogue(auth=scram, after_auth=message("R", struct.pack("!I", 11) + after)):
            done = psql("reader", "-c", "select 1", resource="rogue", timeout=30)
            same(done.returncode, 2, f"psql against a target that says {after[:24]!r}")
    works()


@test
def p13_error_without_sqlstate():
    bare = message("E", b"SERROR\0Msomething is wrong\0\0")
    empty = message("E", b"\0")
    with Rogue(answers={"p13 bare": bare + READY, "p13 empty": empty + READY, "p13 fine": row_description("x") + data_row(b"ok") +
                        complete("SELECT 1") + READY}):
        with session("reader", "rogue") as w:
            for text, part in (("bare", "withheld by a mask"), ("empty", "")):  # a mask of columns is for the caller
                w.send(query(f"select 'p13 {text}'"))
                got = w.until("Z")
                same(kinds(got), "EZ", f"the answer to {text}")
                contains(str(errors(got)), part, "the error")
            same(w.simple("select 'p13 fine'"), [[b"ok"]], "the next statement")


@test
def p13_target_breaks_the_protocol():
    """Rows without their description, with too many values, lengths that lie: the flow ends, the gateway does not."""
    # The column is one that is masked: rows that nobody masks pass by their header alone.
    lies = {"a": data_row(b"x") + complete("SELECT 1") + READY,
            "b": row_description("ssn") + data_row(b"1", b"2") + complete("SELECT 1") + READY,
            "c": row_description("ssn") + message("D", struct.pack("!HI", 1, 0x7fffffff) + b"x"),
            "d": b"D" + struct.pack("!I", 3), "e": b"\0\0\0\0\0", "f": message("R", struct.pack("!I", 0)),
            "g": message("T", struct.pack("!H", 0xffff)), "h": message("G", b"\0\0\0") + READY}
    for name, answer in lies.items():
        with Rogue(answers={f"lie {name}": answer}):
            with session("reader", "rogue") as w:
                w.send(query(f"select 'lie {name}'"))
                try:
                    got = closes(w, 4)
                except AssertionError as e:
                    raise AssertionError(f"lie {name}: {e}") from e
                check("C" not in kinds(got), f"{name}: passed on as a success: {kinds(got)}")
    works()


@test
def p14_startup_parameters():
    mark = marker()
    evil = {"options": f"-c search_path={mark}", "replication": "true", "search_path": f"{mark}_s", "_pq_.command": mark,
            "session_authorization": f"{mark}_r", "role": f"{mark}_o"}
    for name, value in evil.items():
        since = os.path.getsize(f"{DIR}/pg/log")
        w = wire()
        try:
            w.login("shop", "shop", token("agent-7"), **{name: value})
        except (ServerError, Closed):
            pass  # refused
        else:
            same(w.simple("show search_path"), [[b'"$user", public']], f"search_path with {name}={value}")
            same(w.simple("select current_user, session_user"), [[b"shop_app", b"shop_app"]], f"the user with {name}={value}")
        finally:
            w.close()
        check(mark not in target_log(since), f"{name}={value} has reached the target")
        check("replication" not in target_log(since), f"{name}={value} has asked for replication")
    with session(application_name="a tool") as w:
        same(w.simple("show application_name"), [[b"a tool"]], "application_name, which is allowed")
    with session(options="-c intervalstyle=iso_8601 --application_name=a\\ tool") as w:
        same(w.simple("select interval '1 day', current_setting('application_name')"), [[b"P1D", b"a tool"]], "options that are allowed")


@test
def p14_replication_commands():
    with session() as w:
        for text in ("IDENTIFY_SYSTEM", "BASE_BACKUP", "START_REPLICATION 0/0", "CREATE_REPLICATION_SLOT x PHYSICAL"):
            denied(w, query(text))


# ---- statements ----

@test
def p15_batch():
    mark = marker()
    with session() as w:
        for text in (f"select '{mark}'; drop table orders", f"drop table orders; select '{mark}'",
                     f"begin; select '{mark}'; drop table orders; commit", f"select '{mark}';;drop table orders;"):
            denied(w, query(text))
        same(w.simple("select 1; select 2"), [[b"1"], [b"2"]], "a batch of what is allowed")
    never_arrives(mark)
    same(admin("select count(*) from orders"), "600", "orders")


@test
def p16_tokens_that_hide_nothing():
    """PostgreSQL sees no DROP in these: the gateway must not either."""
    for text, want in (("select /* drop /* table */ orders; */ 1", "1"), ("select $tag$; drop table orders;$tag$", "; drop table orders;"),
                       ("select $$'$$ || 'x'", "'x"), (r"select E'it\'s; drop table orders;'", "it's; drop table orders;"),
                       (r"select U&'d\0072op; drop table orders'", "drop; drop table orders"),
                       ("select 'a'\n'; drop table orders'", "a; drop table orders"), ("select '\\'", "\\"),
                       ("select 1 -- '; drop table orders", "1"), ('select 1 as "; drop table orders; --"', "1"),
                       ("select $a$ $b$ $a$ || $b$; drop table orders$b$", " $b$ ; drop table orders")):
        with session() as w:
            same(w.simple(text), [[want.encode()]], text)


@test
def p16_tokens_that_hide_a_drop():
    """And here it does."""
    mark = marker()
    for text in ("select 1 /* /* */ */; drop table orders", "select $a$ $b$ $a$; drop table orders; --$b$",
                 r"select 'a\'; drop table orders; --'", r"select E'a\\'; drop table orders; --'", "select 1 --\n; drop table orders",
                 r"select U&'\'; drop table orders; --'", "select 1; DrOp\ntable\torders", "select 1;/**/drop/**/table/**/orders",
                 "select $1a$; drop table orders; --$1a$", "\ufeffdrop table orders", "drop\u00a0table orders", 'select "a""; drop table orders; --"; drop table orders',
                 "select 'a' -- '\n; drop table orders; --'", "select $x$", "select 'open", "select /* open", 'select "open'):
        with session() as w:
            w.send(query(f"{text} /* {mark} */"))
            got = w.until("Z")
            same([e["C"] for e in errors(got)], ["42501"], text)
    never_arrives(mark)
    same(admin("select count(*) from orders"), "600", "orders")


READ_ONLY_DENIES = (
    "do $$ begin delete from orders; end $$", "prepare p as delete from orders", "prepare p as select 1", "execute p",
    "explain analyze delete from orders", "explain (analyze, verbose) update orders set quantity = 1",
    "with x as (delete from orders returning *) select * from x", "with x as (insert into products values (1,'x',1) returning 1) table x",
    "select * into copied from orders", "create table copied as select 1", "copy orders to program 'touch /tmp/sluice-p17'",
    "copy orders from program 'true'", "copy orders to '/tmp/sluice-p17'", "copy orders from '/etc/passwd'", "call x()",
    "select 1 from orders for update; delete from orders", "merge into orders o using products p on false when not matched then do nothing",
    "refresh materialized view x", "lock table orders", "notify x", "listen x", "vacuum", "checkpoint", "load 'x'",
    "set session authorization postgres", "set role postgres", "reset all", "security label on table orders is 'x'",
    "comment on table orders is 'x'", "grant all on orders to public", "alter system set work_mem = 1", "import foreign schema x from server y into z")


@test
def p17_read_only_denies():
    mark = marker()
    with session("reader") as w:
        same(w.simple("select count(*) from orders"), [[b"600"]], "a read")
        for text in READ_ONLY_DENIES:
            try:
                denied(w, query(f"{text} /* {mark} */"))
                denied(w, parse(f"{text} /* {mark} */"), bind(), execute(), sync())
            except AssertionError as e:
                raise AssertionError(f"{text}: {e}") from e
    never_arrives(mark)
    check(not os.path.exists("/tmp/sluice-p17"), "COPY TO PROGRAM has run")


FUNCTIONS_DENIED = (
    "pg_read_file('/etc/passwd')", "pg_read_binary_file('/etc/passwd')", "pg_ls_dir('/')", "pg_stat_file('/etc/passwd')", "lo_import('/etc/passwd')",
    "lo_export(1, '/tmp/sluice-p18')", "dblink('', 'delete from orders')", "dblink_exec('', 'delete from orders')", "dblink_connect('x')",
    "set_config('role', 'postgres', false)", "setval('x', 1)", "nextval('x')", "pg_terminate_backend(1)", "pg_cancel_backend(1)",
    "pg_reload_conf()", "lo_from_bytea(0, 'x')", "lo_unlink(1)", "query_to_xml('delete from orders', true, true, '')",
    "pg_switch_wal()", "pg_rotate_logfile()", "pg_notify('x', 'y')")


@test
def p18_functions_that_act():
    mark, wrong = marker(), []
    with session("reader") as w:
        for call in FUNCTIONS_DENIED:
            name = call.split("(")[0]
            for text in (f"select {call}", f"select pg_catalog.{call}", f"select * from {call} x", f'select "{name}"{call[len(name):]}',
                         f"select {name.upper()} /* */ {call[len(name):]}", f"select 1 where exists (select {call})"):
                try:
                    denied(w, query(f"{text} /* {mark} */"))
                except AssertionError as e:
                    wrong.append(f"{text}: {e}")
    check(not wrong, "\n".join(wrong))
    never_arrives(mark)
    check(not os.path.exists("/tmp/sluice-p18"), "lo_export has run")


@test
def p18_set_that_changes_the_reading():
    with session() as w:
        for text in ("set standard_conforming_strings = off", "set client_encoding = 'SJIS'", "set names 'GBK'", "set session authorization x",
                     "set role x", "select set_config('standard_conforming_strings', 'off', false)", "set local standard_conforming_strings to off"):
            try:
                denied(w, query(text))
            except AssertionError as e:
                raise AssertionError(f"{text}: {e}") from e


@contextlib.contextmanager
def builder():
    """A session that may write and define, and no more: in particular no DO."""
    with policy(("Role", "builder", "groups: [readers], resources: [bench], allow: [write, ddl]")), session("reader", resource="bench") as w:
        yield w


def no_do_runs(*before):
    """Where these turn standard_conforming_strings off, the last text is a DO."""
    with builder() as w:
        w.send(*(query(text) for text in before), query("select '\\' || $$'; do 'begin end'; -- $$"))
        tags = [body for _ in range(len(before) + 1) for kind, body in w.until("Z") if kind == "C"]
        check(b"DO\0" not in tags, f"a role without do ran one: {tags}")


@test
def p18_settings_through_a_view():
    no_do_runs("create temp view vs as select * from pg_settings", "update vs set setting = 'off' where name = 'standard_conforming_strings'")


@test
def p18_function_of_the_target_that_sets():
    """What the gateway cannot know of is reported by the target before its ReadyForQuery: a text sent along waits for it, or is not read."""
    admin("create or replace function public.reads_otherwise() returns text language sql as $$select set_config('standard_conforming_strings', 'off', false)$$",
          "bench")
    try:
        no_do_runs("select reads_otherwise()")
        with builder() as w:
            w.send(parse("select reads_otherwise()") + bind() + execute() + parse("select '\\' || $$'; do 'begin end'; -- $$") + bind() + execute() + sync())
            same(errors(w.until("Z"))[0]["C"], "42501", "the answer to a text that hangs on what ran before it")
        with builder() as w:
            w.send(parse("begin") + bind() + execute() + parse("select 'x' like 'y' escape '\\'") + bind() + execute()
                   + parse("select 'a\\b', 'é'") + bind() + execute() + sync())
            same(errors(w.until("Z")), [], "errors of texts that do not")
    finally:
        admin("drop function public.reads_otherwise()", "bench")


@test
def p18_functions_under_another_name():
    no_do_runs("create aggregate pg_temp.sc (text, bool) (sfunc = set_config, stype = text, initcond = 'standard_conforming_strings')",
               "select pg_temp.sc('off', false)")


# ---- the extended protocol ----

@test
def p19_denied_parse_in_a_pipeline():
    """One error, all discarded up to Sync, nothing upstream: not even the part that would be allowed."""
    mark = marker()
    with session() as w:
        got = denied(w, parse(f"drop table orders /* {mark}a */"), bind(), describe(), execute(), parse(f"select '{mark}b'", "s2"),
                     bind(statement="s2"), execute(), sync())
        same(kinds(got), "EZ", "the answer")
        w.send(parse(f"select '{mark}c'"), bind(), execute(), sync())
        same(kinds(w.until("Z")), "12DCZ", "the next pipeline")
        w.send(bind(statement="s2"), execute(), sync())
        same(errors(w.until("Z"))[0]["C"], "26000", "the statement of the discarded Parse")
    arrives(mark + "c")
    never_arrives(mark + "a", mark + "b")


@test
def p19_denied_parse_behind_an_allowed_one():
    mark = marker()
    with session() as w:
        got = denied(w, parse(f"select '{mark}a'"), bind(), execute(), parse(f"drop table orders /* {mark}b */"), bind(), execute(), sync())
        same(kinds(got), "12DCEZ", "the answers, in order")
        same(row(got[2][1]), [mark.encode() + b"a"], "the row")
    never_arrives(mark + "b")


@test
def p19_two_syncs():
    mark = marker()
    with session() as w:
        w.send(parse(f"drop table orders /* {mark} */"), bind(), execute(), sync(), parse("select 19"), bind(), execute(), sync())
        same(kinds(w.until("Z")), "EZ", "the first part")
        same(kinds(w.until("Z")), "12DCZ", "the second part")
    never_arrives(mark)


@test
def p21_each_execute_is_recorded():
    mark = marker()
    with session() as w:
        w.send(parse(f"select $1::int + 1 as {mark}", "s1"), sync())
        w.until("Z")
        for i in range(5):
            w.send(bind([str(i).encode()], statement="s1"), execute(), sync())
            got = w.until("Z")
            same([row(b) for k, b in got if k == "D"], [[str(i + 1).encode()]], f"execution {i}")
    mine = eventually(lambda: latest("agent-7"), "the session")
    runs = [r for r in records(mine["id"]) if r["kind"] == "command" and mark in r.get("text", "") and r["phase"] in ("execute", 3)]
    same([r["params"] for r in runs], [[str(i)] for i in range(5)], "the recorded parameters of each execution")


@test
def p22_function_call():
    mark = marker()
    oid = int(admin("select oid from pg_proc where proname = 'pg_ls_dir' and pronargs = 1"))
    argument = struct.pack("!I", 1) + b"/"
    whole = struct.pack("!IHHH", oid, 1, 0, 1) + argument + struct.pack("!H", 0)
    broken = struct.pack("!IHHH", oid, 9, 0, 1) + argument
    with session() as w:
        denied(w, message("F", whole))
        w.simple(f"select '{mark}'")
    with session() as w:
        w.send(message("F", broken))
        try:
            got = w.until("Z")
            check(errors(got) and "V" not in kinds(got), f"a malformed FunctionCall: {kinds(got)}")
        except Closed:
            pass
    arrives(mark)
    check(recorded("deny"), "the FunctionCall is not recorded")


@test
def p23_denied_simple_query():
    with session() as w:
        denied(w, query("drop table orders"), state=b"I")
        same(w.simple("select 23"), [[b"23"]], "the next query")
        w.simple("begin")
        w.simple("insert into orders values (9200, 1, 1, 1, '2026-01-01')")
        w.send(query("drop table orders"))
        got = w.until("Z")
        same([e["C"] for e in errors(got)], ["42501"], "errors")
        if got[-1][1] == b"T":  # the target's own state: the transaction goes on
            same(w.simple("select 24"), [[b"24"]], "the next query in the transaction")
        else:
            same(got[-1][1], b"E", "transaction status")
            try:
                w.simple("select 24")
                raise AssertionError("status says failed, and the transaction goes on")
            except ServerError as e:
                same(e.fields["C"], "25P02", "the next query in a failed transaction")
        w.simple("rollback")
        same(w.simple("select count(*) from orders where id = 9200"), [[b"0"]], "what the transaction did")


@test
def p24_deny_while_rows_stream():
    with session(timeout=30) as w:
        w.send(query("select i, repeat('x', 200) from generate_series(1, 20000) i"), query("drop table orders"), query("select 24"))
        first, second, third = w.until("Z"), w.until("Z"), w.until("Z")
        same([row(b)[0] for k, b in first if k == "D"], [str(i).encode() for i in range(1, 20001)], "the rows, in order")
        same((kinds(first)[0], kinds(first)[-2:]), ("T", "CZ"), "the first answer")
        same((kinds(second), errors(second)[0]["C"]), ("EZ", "42501"), "the denial")
        same(kinds(third), "TDCZ", "the third answer")


@test
def p24_deny_in_a_pipeline_behind_rows():
    with session(timeout=30) as w:
        w.send(parse("select generate_series(1, 20000)"), bind(), execute(), parse("drop table orders"), bind(), execute(), sync())
        got = w.until("Z")
        same((kinds(got).count("D"), kinds(got).replace("D", "")), (20000, "12CEZ"), "the answers, in order")


@test
def p24_hold_behind_rows():
    """A hold answers in its turn too: the notice comes behind the rows of the statement before."""
    mark = marker()
    with session(timeout=30) as w:
        w.send(query("select generate_series(1, 5000)"), query(f"update products set name = '{mark}' where id = 1"))
        first = w.until("Z")
        same((kinds(first).count("D"), kinds(first).replace("D", "")), (5000, "TCZ"), "the first answer")
        second = w.until("Z")
        same(kinds(second), "NEZ", "the notice and, after 5 s, the refusal")
    never_arrives(mark)


# ---- masks and cutting ----

@test
def p27_binary_format_of_a_masked_column():
    """Masked too or refused, never passed."""
    truth = admin("select ssn from customers where id = 5").encode()
    with session() as w:
        w.send(parse("select ssn from customers where id = 5"), bind(results=[1]), describe(), execute(), sync())
        try:
            got = w.until("Z")
        except Closed:
            return
        check(all(truth not in b for _, b in got), "the value in binary format is in clear")


@test
def p27_copy_of_masked_columns():
    truth = admin("select ssn from customers where id = 5")
    for sql in ("copy customers to stdout", "copy (select ssn from customers where id = 5) to stdout",
                "copy (select ssn from customers where id = 5) to stdout (format binary)"):
        done = psql("agent-7", "-c", sql)
        check(truth not in done.stdout + done.stderr, f"the value is in clear: {sql}")


@test
def p30_one_byte_at_a_time():
    mark = marker()
    with session() as w:
        for byte in query(f"drop table orders /* {mark} */") + query("select 30"):
            w.send(bytes([byte]))
        same((kinds(w.until("Z")), kinds(w.until("Z"))), ("EZ", "TDCZ"), "the answers")
        for byte in parse("select 31") + bind() + execute() + sync():
            w.send(bytes([byte]))
        same(kinds(w.until("Z")), "12DCZ", "the extended answers")
    never_arrives(mark)


# ---- D05 ----

def tls_by_hand(w, pieces=1, session=None, context=None):
    """A handshake whose ClientHello goes out in that many segments. Returns the SSL object."""
    context = context or ssl.create_default_context(cafile=CA)
    same(w.request(pgwire.SSL_REQUEST), b"S", "the answer to SSLRequest")
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = context.wrap_bio(incoming, outgoing, server_hostname=LISTENER[0], session=session)
    while True:
        try:
            tls.do_handshake()
            done = True
        except ssl.SSLWantReadError:
            done = False
        hello = outgoing.read()
        step = max(1, -(-len(hello) // pieces))
        for at in range(0, len(hello), step):
            w.send(hello[at:at + step])
            if pieces > 1:
                time.sleep(0.001)
        if done:
            return tls, incoming, outgoing
        pieces = 1
        part = w.sock.recv(65536)
        if not part:
            raise Closed("within the handshake")
        incoming.write(part)


@test
def d05_client_hello_in_100_segments():
    """It is put together, and the connection is as any other: without a login it gets nothing."""
    mark = marker()
    with wire() as w:
        tls, _, outgoing = tls_by_hand(w, 100)
        same(tls.version(), "TLSv1.3", "the version")
        tls.write(pgwire.query(f"select '{mark}'"))  # where a startup message is due
        w.send(outgoing.read())
        end = time.monotonic() + 8
        with contextlib.suppress(ConnectionError):
            while w.sock.recv(65536):
                check(time.monotonic() < end, "the connection stays")
    never_arrives(mark)


@test
def d05_no_tickets():
    """There is no session to resume, so none with another's identity, and no data before the handshake is done."""
    context = ssl.create_default_context(cafile=CA)
    for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
        context = ssl.create_default_context(cafile=CA)
        context.maximum_version = version
        sessions = []
        for _ in range(2):
            with wire() as w:
                try:
                    tls, incoming, outgoing = tls_by_hand(w, session=sessions[0] if sessions else None, context=context)
                except (ssl.SSLError, Closed):
                    check(version == ssl.TLSVersion.TLSv1_2, "no TLS 1.3")
                    break  # 1.2 may be refused
                check(not tls.session_reused, "a session was resumed")
                tls.write(pgwire.startup({"user": "shop", "database": "shop"}))
                w.send(outgoing.read())
                incoming.write(w.sock.recv(65536))  # tickets would come before the answer
                same(tls.read(1), b"R", "the answer to the startup message")
                check(tls.session is None or not tls.session.has_ticket, "a ticket was handed out")
                if tls.session:
                    sessions.append(tls.session)


# ---- D08, D09: the same for the stack alone is in test_tcp.py ----

SLOW = 8
SLOW_MEMORY = 64 << 20  # resident, for so many sessions of 100 MB each; buffers that are touched for the first time count too


@test
def d08_client_does_not_read():
    """100 MB of rows each that nobody takes: the target waits, the gateway holds a bounded part, others work."""
    before, slow = gateway_memory(), []
    try:
        for _ in range(SLOW):
            slow.append(session("bench", "bench"))
            slow[-1].send(query("select repeat('x', 1000) from generate_series(1, 100000)"))
        grown = []
        for _ in range(2):
            for _ in range(20):
                works()
                time.sleep(0.1)
            grown.append(gateway_memory() - before)
        check(max(grown) < SLOW_MEMORY and grown[1] - grown[0] < SLOW_MEMORY / 8, f"memory grew by {[n >> 10 for n in grown]} KiB")
        got = slow[0].until("Z")
        same(kinds(got).count("D"), 100000, "rows of one that reads in the end")
    finally:
        for w in slow:
            w.abort()


def backends(mark):
    return int(admin(f"select count(*) from pg_stat_activity where query like '%{mark}%' and pid <> pg_backend_pid()"))


@test
def d08_client_is_reset_behind_what_it_did_not_read():
    """Rows wait for the client and a message of its for room: with its RST both sessions end, and the target's."""
    for last in (message("X"), query("select 'never'"), query("select 'never'") + message("X")):
        mark, w = marker(), session("bench", "bench")
        w.send(query(f"select '{mark}', repeat('x', 1000) from generate_series(1, 100000)"))
        eventually(lambda m=mark: backends(m) == 1, "the target at work")
        time.sleep(1)
        w.send(last)
        time.sleep(0.5)
        same(backends(mark), 1, "statements that wait for the client")
        w.abort()
        eventually(lambda m=mark: backends(m) == 0, "the end of the statement")
        same(latest_ended("bench")["state"], "ended", "the session")


@test
def d08_client_is_reset_behind_replies_that_it_waits_for():
    """A statement waits for a lock, and behind it is more than a session keeps in its queue of replies: with the client's RST
    the session ends, and the target's statement is cancelled."""
    with session("bench", "bench") as holder:
        holder.simple("select pg_advisory_lock(4711)")
        mark, w = marker(), session("bench", "bench")
        w.send(query(f"select '{mark}', pg_advisory_lock(4711)"))
        eventually(lambda: backends(mark) == 1, "the target at work")
        w.send(query("select 1") * 8000)
        time.sleep(1)
        w.abort()
        eventually(lambda: backends(mark) == 0, "the end of the statement")


@test
def d08_last_word_to_a_client_that_has_sent_more():
    """A session is ended by an operator while bytes of the client wait to be read: it is told so all the same."""
    for more in (0, 1, 8000):
        with session("bench", "bench") as holder:
            holder.simple("select pg_advisory_lock(4712)")
            mark, w = marker(), session("bench", "bench")
            mine = latest("bench")["id"]
            w.send(query(f"select '{mark}', pg_advisory_lock(4712)"))
            eventually(lambda m=mark: backends(m) == 1, "the target at work")
            w.send(query("select 1") * more)
            time.sleep(1)
            api("noc", "DELETE", f"/v1/sessions/{mine}")
            same([e["C"] for e in errors(closes(w))], ["57P01"], f"what the client hears behind {more} more statements")


@test
def d08_target_does_not_read():
    """COPY into a table that another has locked: the client's window closes, and opens again."""
    admin("drop table if exists d08; create table d08 (t text); grant all on d08 to public", "bench")
    before, slow = gateway_memory(), []
    row_bytes = b"y" * 1023 + b"\n"
    locked = subprocess.Popen([f"{ROOT}/tools/lab/lab", "admin", "-d", "bench", "-q", "-c",
                               "begin; lock table d08 in access exclusive mode; select pg_sleep(5); commit"], stdout=subprocess.DEVNULL)
    try:
        eventually(lambda: admin("select count(*) from pg_locks where mode = 'AccessExclusiveLock' and relation = 'd08'::regclass", "bench") == "1",
                   "the lock")
        sent = 0
        for _ in range(SLOW):
            slow.append(session("bench", "bench"))
            slow[-1].send(query("copy d08 from stdin"))
            slow[-1].sock.settimeout(0.3)
        for w in slow:
            data = pgwire.message("d", row_bytes * 64)
            with contextlib.suppress(OSError, Closed):
                for _ in range(160):
                    w.sock.sendall(data)
                    sent += len(data)
        grown = gateway_memory() - before
        check(grown < SLOW_MEMORY, f"memory grew by {grown >> 10} KiB, {sent >> 10} KiB were taken")
        works()
    finally:
        for w in slow:
            w.abort()
        locked.wait(30)
        eventually(lambda: admin("drop table if exists d08", "bench") is not None, "the table's end", 10)


@test
def d09_stalled_logins():
    """Hundreds that stop somewhere before they are known: the oldest of them give way, a new session starts at once."""
    stalled, idle = [], [session("agent-8") for _ in range(4)]
    try:
        for i in range(600):
            w = wire(5)
            stalled.append(w)
            with contextlib.suppress(Closed, OSError):
                if i % 3 == 1:
                    w.send(struct.pack("!II", 8, pgwire.SSL_REQUEST))
                elif i % 3 == 2:
                    w.send(struct.pack("!II", 8, pgwire.SSL_REQUEST) + b"\x16\x03\x01")
            if i % 100 == 99:
                began = time.monotonic()
                works()
                check(time.monotonic() - began < 3, f"a new session took {time.monotonic() - began:.1f} s")
        for w in idle:
            same(w.simple("select 9"), [[b"9"]], "a session that was there before")
    finally:
        for w in stalled + idle:
            w.close()


@test
def p33_database_name_is_no_conninfo():
    for name in ("host=10.99.5.1 dbname=shop", "postgresql://x/shop", "shop' or 1", "shop?sslmode=disable", "a" * 1000, "shop\x01", "../shop"):
        w = wire()
        try:
            w.login("shop", name, token("agent-7"))
            raise AssertionError(f"a session with the database {name!r}")
        except (ServerError, Closed):
            pass
        finally:
            w.close()
    works()
