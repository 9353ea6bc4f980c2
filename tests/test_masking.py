"""What masks hide cannot be learnt: planted values in columns of every type, and every way known to us to read them.

Each way is tried past the gateway first, where it must bring a planted value; through the gateway it must not, in any form that
canary.Eyes knows. Questions about secret columns must be answered the same whether the guess is right or wrong.
"""
import base64
import contextlib
import functools
import json
import re
import threading

import psycopg
import workload
from canary import Eyes, make, word
from canary_ways import QUESTIONS, SCRIPTS, SELECTS
from cutter import Cutter
from labtest import (CA, CLIENT, DIR, LISTENER, ROOT, admin, at_end, check, eventually, gateway_log, latest, lab, psql, records, replies,
                     run, same, session, sessions, test, token)
from pgwire import Closed, bind, describe, execute, fields, kinds, namespace, parse, query, row, sync

USER = "agent-7"
TRIES = {"ways": 0, "questions": 0}


# ---- the world ----

class Reply:
    """What came of one statement: all of its bytes, the values of its rows, and its shape for comparison."""

    def __init__(self):
        self.raw, self.rows, self.shape = b"", [], []


@functools.lru_cache(maxsize=None)
def world():
    canaries, plant, vault, activity = make()
    admin("create database vault owner shop_app", "postgres")
    with open(f"{DIR}/shop_app.password", encoding="ascii") as f:
        password = f.read().strip()
    lab("direct", "psql", "-X", "-q", "-v", "ON_ERROR_STOP=1", "-d", "vault", "-f", "-", stdin=plant + workload.SCHEMA)
    admin(f"""
        create extension dblink; create extension postgres_fdw;
        create server self foreign data wrapper dblink_fdw options (host '{DIR}/pg/socket', dbname 'vault');
        create user mapping for shop_app server self options (user 'shop_app', password '{password}');
        create server loop foreign data wrapper postgres_fdw options (host '{DIR}/pg/socket', dbname 'vault');
        create user mapping for shop_app server loop options (user 'shop_app', password '{password}');
        create foreign table remote.people (id int, name text, dept text, c_text text) server loop options (schema_name 'public', table_name 'people');
        create foreign table remote.folks (a int options (column_name 'id'), b text options (column_name 'c_text'))
          server loop options (schema_name 'public', table_name 'people');
        create foreign table remote.viewed (fine text options (column_name 'x')) server loop options (schema_name 'public', table_name 'people_view');
        create view remote.again as select b as d, lower(fine) as e from remote.folks, remote.viewed;
        create server far foreign data wrapper postgres_fdw options (host '{DIR}/pg/socket,{DIR}/pg/socket', dbname 'vault');
        create user mapping for shop_app server far options (user 'shop_app', password '{password}');
        create foreign table remote.far (fine text options (column_name 'x')) server far options (schema_name 'public', table_name 'people_view');
        create extension file_fdw; create server files foreign data wrapper file_fdw;
        copy people (c_text) to '{DIR}/pg/socket/people.txt';
        create foreign table remote.file (line text) server files options (filename '{DIR}/pg/socket/people.txt');
        create view dblink_view as select x from dblink('self', 'select c_text from people') as t (x text);
        grant usage on foreign server self to shop_app; grant usage on schema remote to shop_app;
        grant select on all tables in schema remote to shop_app; grant select on dblink_view to shop_app;
        alter view remote.again owner to shop_app; alter view dblink_view owner to shop_app""", "vault")
    talk = direct()
    talk.run(f"/* canary-in-a-statement {activity.words[0]} */ select 1")
    at_end(talk.close)
    return Eyes(canaries), vault


class Libpq:
    """A session of libpq. format: None simple, 0 and 1 extended with values in text, in binary."""

    def __init__(self, conninfo, netns=None, form=None):
        if netns:
            with namespace(netns):
                self.c = psycopg.connect(conninfo, autocommit=True).pgconn
        else:
            self.c = psycopg.connect(conninfo, autocommit=True).pgconn
        self.form, self.now = form, None
        self.c.notice_handler = self._notice

    def close(self):
        self.c.finish()

    def _notice(self, result):
        if self.now is not None:
            self.now.raw += b"".join(result.error_field(f) or b"" for f in psycopg.pq.DiagnosticField)

    def _result(self, result, reply):
        status = psycopg.pq.ExecStatus(result.status).name
        reply.shape.append((status, result.error_field(psycopg.pq.DiagnosticField.SQLSTATE), result.command_status))
        reply.raw += result.error_message or b""
        for i in range(result.nfields):
            reply.raw += b" " + (result.fname(i) or b"")
        for r in range(result.ntuples):
            values = [result.get_value(r, i) for i in range(result.nfields)]
            reply.rows.append(values)
            reply.raw += b"\n" + b"|".join(v or b"" for v in values)
        if status != "COPY_OUT":
            return
        while True:
            n, data = self.c.get_copy_data(0)
            if n <= 0:
                break
            reply.raw += bytes(data)

    def run(self, sql):
        reply = self.now = Reply()
        if self.form is None:
            self.c.send_query(sql.encode())
        else:
            self.c.send_query_params(sql.encode(), None, result_format=self.form)
        while (result := self.c.get_result()) is not None:
            self._result(result, reply)
        self.c.consume_input()
        while note := self.c.notifies():
            reply.raw += b"\n" + note.extra
        reply.shape.append(reply.rows)
        return reply


class Bare:
    """A session of bare messages. portal: rows are fetched one at a time, in binary."""

    def __init__(self, resource="vault", portal=False):
        self.w, self.portal = session(USER, resource=resource, database="vault", timeout=20), portal

    def close(self):
        self.w.close()

    def run(self, sql):
        if self.portal:
            self.w.send(parse(sql), bind(results=[1]), describe(), *[execute(rows=1)] * 3, execute(), sync())
        else:
            self.w.send(query(sql))
        reply = Reply()
        for kind, body in self.w.until("Z"):
            reply.raw += kind.encode() + body
            reply.shape.append((kind, fields(body).get("C") if kind in "EN" else body))
            if kind == "D":
                reply.rows.append(row(body))
        return reply


class Named(Bare):
    """Statements and portals that the protocol has named, and SQL goes on with."""

    def __init__(self, how):
        super().__init__()
        self.how = how

    def run(self, sql):
        if not sql.startswith(("select", "with", "table")):
            return super().run(sql)
        replies_ = [super(Named, self).run("begin")]
        self.w.send(parse(sql, "s"), bind(portal="p", statement="s"), sync())
        self.w.until("Z")
        replies_ += [super(Named, self).run(t) for t in (self.how, "rollback", "deallocate all")]
        reply = Reply()
        for r in replies_:
            reply.raw += r.raw
            reply.rows += r.rows
        return reply


class Anew(Bare):
    """SQL closes a portal of the protocol and declares a cursor of its name, and the protocol's Execute reads that."""

    def __init__(self, closes):
        super().__init__()
        self.closes = closes

    def run(self, sql):
        if not sql.startswith(("select", "with", "table")):
            return super().run(sql)
        replies_ = [super(Anew, self).run(t) for t in ("begin", "savepoint a")]
        self.w.send(parse("select 1"), bind(portal="p"), sync())
        self.w.until("Z")
        replies_ += [super(Anew, self).run(t) for t in (self.closes, f"declare p cursor for {sql}")]
        self.w.send(execute("p"), sync())
        reply = Reply()
        for kind, body in self.w.until("Z"):
            reply.raw += kind.encode() + body
            if kind == "D":
                reply.rows.append(row(body))
        super().run("rollback")
        return reply


def direct():
    with open(f"{DIR}/shop_app.password", encoding="ascii") as f:
        return Libpq(f"host={DIR}/pg/socket user=shop_app dbname=vault password={f.read().strip()}")


def libpq(form=None):
    return Libpq(f"host={LISTENER[0]} port={LISTENER[1]} user=vault dbname=vault sslmode=verify-full sslrootcert={CA} password={token(USER)}",
                 CLIENT, form)


# ---- ways ----

def ways():
    """name -> statements."""
    return {n: [s] for n, s in SELECTS.items()} | SCRIPTS


def wrapped(before, after):
    """Each SELECT inside something else."""
    return {n: [*before(s), *after] for n, s in SELECTS.items() if s.startswith(("select", "with", "table"))}


def attempt(talk, statements):
    """The replies to a way, and the session is as it was before."""
    got = []
    try:
        got = [talk.run(s) for s in statements]
    finally:
        if len(statements) > 1:
            talk.run("rollback")
            talk.run("discard all")
    return got


def seen(eyes, replies_):
    return next(filter(None, (eyes.see(r.raw, r.rows) for r in replies_)), None)


def side_by_side(todo, work, sides=4):
    """Several threads of work(take), where take gives the next item. What goes wrong in one is raised."""
    todo, problems = list(todo), []

    def take():
        while todo and not problems:
            with contextlib.suppress(IndexError):
                yield todo.pop()

    def thread():
        try:
            work(take())
        except Exception as e:  # pylint: disable=broad-except
            problems.append(e)

    threads = [threading.Thread(target=thread) for _ in range(sides)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    if problems:
        raise problems[0]


def try_all(open_session, tries, what):
    """No way brings a planted value, and no way ends the session."""
    eyes, _ = world()
    leaks = []

    def work(take):
        talk = open_session()
        for name, statements in take:
            try:
                found = seen(eyes, attempt(talk, statements))
            except (Closed, psycopg.Error, OSError) as e:
                leaks.append(f"{name}: the session ended: {e}")
                talk.close()
                talk = open_session()
                continue
            if found:
                leaks.append(f"{name}: a planted value of type {found.kind}")
        talk.close()

    side_by_side(tries.items(), work)
    TRIES["ways"] += len(tries)
    check(not leaks, f"{what}: {len(leaks)} of {len(tries)} ways\n" + "\n".join(leaks))


@test
def masking_ways_work_without_a_gateway():
    eyes, _ = world()
    talk, blind = direct(), []
    for name, statements in ways().items():
        got = attempt(talk, statements)
        if not seen(eyes, got):
            blind.append(f"{name}: {[(r.raw[:200]) for r in got]}")
    talk.close()
    check(not blind, f"{len(blind)} ways bring nothing, so they prove nothing:\n" + "\n".join(blind))


@test
def masking_simple():
    try_all(Bare, ways(), "bare messages, simple protocol")


@test
def masking_libpq_text():
    try_all(lambda: libpq(0), {n: s for n, s in ways().items() if not any(";" in t for t in s)}, "libpq, values in text")


@test
def masking_libpq_binary():
    try_all(lambda: libpq(1), {n: s for n, s in ways().items() if not any(";" in t for t in s)}, "libpq, values in binary")


@test
def masking_portals():
    try_all(lambda: Bare(portal=True), {n: [s] for n, s in SELECTS.items()}, "portals, one row at a time, in binary")


def a_few():
    return {n: [s] for n, s in list(SELECTS.items())[:6]}


@test
def masking_named_portals():
    try_all(lambda: Named("fetch all from p"), {n: [s] for n, s in SELECTS.items()}, "portals of the protocol, FETCH")


@test
def masking_named_statements():
    try_all(lambda: Named("execute s"), a_few(), "statements of the protocol, EXECUTE")


@test
def masking_portal_made_anew():
    for closes in ("rollback to a", "close p", "close all"):
        try_all(lambda how=closes: Anew(how), a_few(), f"a portal made anew behind {closes}")


@test
def masking_late_fetch():
    """A FETCH or EXECUTE that is bound over what is harmless, and is executed when its name means something else."""
    eyes, _ = world()
    secret = "select c_text || '' as v from people"
    ways_ = {
        "fetch": ("declare c cursor for select 'x'::text as v", "fetch all from c", "close c", f"declare c cursor for {secret}"),
        "execute": ("prepare q as select 'x'::text as v", "execute q", "deallocate q", f"prepare q as {secret}"),
    }
    leaks = []
    for name, (harmless, late, away, anew) in ways_.items():
        with contextlib.closing(Bare()) as talk:
            talk.run("begin")
            talk.run(harmless)
            talk.w.send(parse(late), bind(portal="x"), sync())
            talk.w.until("Z")
            talk.run(away)
            talk.run(anew)
            talk.w.send(execute("x"), sync())
            if eyes.see(b"".join(body for _, body in talk.w.until("Z"))):
                leaks.append(name)
    check(not leaks, f"what masks hide was read by a late {leaks}")


@test
def masking_fetch_in_one_text():
    """The rows of a portal of FETCH that has run are its own; what describes them is the cursor that has its name by then."""
    eyes, _ = world()
    with contextlib.closing(Bare()) as talk:
        talk.run("begin")
        talk.run("declare c cursor for select c_text as v from people")
        talk.w.send(parse("fetch all from c"), bind(portal="f"), execute("f", 1), sync())
        talk.w.until("Z")
        talk.w.send(query("close c; declare c cursor for select name from people; fetch all from f"))
        got = talk.w.until("Z")
    check(not eyes.see(b"".join(body for _, body in got)), f"what masks hide was read by a FETCH that another cursor describes: {kinds(got)}")


@test
def masking_texts_read_in_another_way():
    """What turns standard_conforming_strings off is told by the target too late for what was sent along: that must not be read as if it were on."""
    eyes, _ = world()
    tries = {"set_config": ["select set_config('standard_conforming_strings', 'off', false)"],
             "view of settings": ["create temp view vs as select * from pg_settings",
                                  "update vs set setting = 'off' where name = 'standard_conforming_strings'"]}
    leaks = []
    for name, before in tries.items():
        with contextlib.closing(Bare()) as talk:
            talk.w.send(*(query(t) for t in before), query("select '\\' || $$', c_text || '' from people; -- $$"))
            try:
                raw = b"".join(body for _ in range(len(before) + 1) for _, body in talk.w.until("Z"))
            except Closed:
                continue
            if eyes.see(raw):
                leaks.append(name)
    check(not leaks, f"what masks hide was read behind {leaks}")


@test
def masking_cursors():
    try_all(libpq, wrapped(lambda s: ["begin", f"declare c cursor for {s}"], ["fetch 1 from c", "fetch all from c", "commit"]), "cursors")


@test
def masking_copy():
    tries = {}
    for form in ("text", "csv", "binary"):
        tries |= {f"{n}, {form}": s for n, s in wrapped(lambda s, form=form: [f"copy ({s}) to stdout (format {form})"], []).items()}
    try_all(libpq, tries, "COPY")


@test
def masking_psql():
    eyes, _ = world()
    leaks, tried = [], []

    def work(take):
        for names in take:
            lines = []
            for name in names:
                lines += [f"\\echo WAY {name}", *(t + ";" for t in all_ways[name]), *(["rollback;", "discard all;"] if len(all_ways[name]) > 1 else [])]
            done = psql(USER, "-q", "-f", "-", resource="vault", stdin="\n".join(lines) + "\n", timeout=120)
            parts = re.split(r"^WAY (.*)$", done.stdout, flags=re.M)[1:]
            tried.extend(parts[::2])
            leaks.extend(n for n, out in zip(parts[::2], parts[1::2])
                         if eyes.see(out.encode(), [[v.encode() for v in line.split("|")] for line in out.splitlines()]))
            if eyes.see(done.stderr.encode()):
                leaks.append(f"errors and notices of {names}")

    all_ways = ways()
    side_by_side([list(all_ways)[i::8] for i in range(8)], work)
    same(sorted(tried), sorted(all_ways), "ways that psql came to")
    TRIES["ways"] += len(tried)
    check(not leaks, f"psql: {leaks}")


@test
def masking_node_pg():
    eyes, _ = world()
    tries = {n: s for n, s in ways().items() if not any(t.startswith("copy") for t in s)}
    env = {"PGHOST": LISTENER[0], "PGPORT": str(LISTENER[1]), "PGUSER": "vault", "PGDATABASE": "vault", "PGPASSWORD": token(USER),
           "PGSSLROOTCERT": CA}
    done = run(["ip", "netns", "exec", CLIENT, "node", f"{ROOT}/tools/lab/clients/ways.mjs"], env=env, timeout=120, stdin=json.dumps(tries))
    leaks, seen_ways = [], 0
    for line in done.stdout.splitlines():
        name, raw, rows = json.loads(line)
        seen_ways += 1
        if eyes.see(raw.encode(), [[None if v is None else base64.b64decode(v) for v in r] for r in rows]):
            leaks.append(name)
    same(seen_ways, len(tries), "ways that node came to")
    TRIES["ways"] += seen_ways
    check(not leaks, f"node pg: {leaks}")


@test
def masking_cut_at_every_byte():
    """The target's reply comes one byte at a time. Nothing planted comes of it; what the caller gets of a statement that stands alone (and is
    not in a session with a history) is the same as when it comes whole."""
    eyes, _ = world()
    wrong = []

    def work(take):
        whole, cut = Bare("vault"), Bare("vault-cut")
        for name, statements in take:
            a, b = attempt(whole, statements), attempt(cut, statements)
            if seen(eyes, b):
                wrong.append(f"{name}: a planted value")
            elif len(statements) == 1 and a[0].shape != b[0].shape:
                wrong.append(f"{name}: {a[0].shape} whole, {b[0].shape} cut")
        whole.close()
        cut.close()

    with Cutter() as cutter:
        cutter.cut = True
        side_by_side(ways().items(), work, 6)
    TRIES["ways"] += len(ways())
    check(not wrong, f"{len(wrong)} wrong:\n" + "\n".join(wrong))


# ---- questions about secrets ----

def ask(talk, question, guess):
    """How a question is answered, without what differs from one denial to the next."""
    pieces, whole, pin = guess
    talk.run("begin")
    reply = talk.run(question.replace("{p}", pieces).replace("{whole}", whole).replace("{pin}", pin).replace("{known}", guesses()[0][0]))
    talk.run("rollback")
    talk.run("discard all")
    text = re.sub(rb"[0-9A-Z]{26}(\.\d+)?", b"ID", reply.raw.replace(pieces.encode(), b"GUESS").replace(pieces.lower().encode(), b"GUESS"))
    return reply.shape, text


def guesses():
    _, vault = world()
    (right, pin), wrong = vault[0], "z" + word()[1:]
    return (right[:6], right, pin), (wrong[:6], wrong, str(int(pin) ^ 5))


@test
def masking_questions_work_without_a_gateway():
    right, wrong = guesses()
    talk = direct()
    same_ = [n for n, q in QUESTIONS.items() if n != "sleep" and ask(talk, q, right) == ask(talk, q, wrong)]
    talk.close()
    check(not same_, f"questions that tell nothing, so they prove nothing: {same_}")


@test
def masking_questions():
    right, wrong = guesses()
    for form, what in ((None, "simple"), (1, "binary")):
        talk = libpq(form)
        told = [n for n, q in QUESTIONS.items() if ask(talk, q, right) != ask(talk, q, wrong)]
        talk.close()
        TRIES["questions"] += len(QUESTIONS)
        check(not told, f"{what}: {len(told)} of {len(QUESTIONS)} questions about a secret are answered: {told}")


@test
def masking_functions_of_the_server_are_known():
    """What is said to compute only is neither volatile in the server's catalog, nor does it run a text; and no name is missing."""
    with open(f"{ROOT}/policies/sql/sql_builtins.c", encoding="ascii") as f:
        tables = {name: set("".join(re.findall(r'"([^"]*)"', text)).split())
                  for name, text in re.findall(r"static const char (\w+)_names\[\] =(.*?);", f.read(), re.S)}
    same(sorted(tables), ["acts", "pure", "reads", "value"], "the tables of names")
    server = dict(line.split("|") for line in admin(
        "select proname, string_agg(distinct provolatile::text, '') from pg_proc where pronamespace = 11 group by 1").splitlines())
    known = set().union(*tables.values())
    same(sorted(set(server) - known), [], "functions of the server that are in no table")
    # Of the session and the moment, not of any table; TABLESAMPLE's methods.
    told = {"random", "clock_timestamp", "timeofday", "gen_random_uuid", "current_query", "currval", "lastval", "txid_status", "bernoulli", "system"}
    wrong = sorted(n for n in (tables["value"] | tables["pure"]) - told if "v" in server.get(n, ""))
    volatile = sorted(n for n in wrong if not n.startswith("pg_"))
    print(f"{len(server)} functions, {len(wrong)} volatile ones that only tell", end=" ", flush=True)
    same(volatile, [], "volatile functions that are said to compute only")
    texts = {"query_to_xml", "cursor_to_xml", "table_to_xml", "schema_to_xml", "database_to_xml", "ts_stat", "ts_rewrite", "lo_get", "pg_read_file"}
    same(sorted(texts & (tables["value"] | tables["pure"])), [], "functions that read what their arguments name")


@test
def masking_drivers_read_every_type():
    """A masked value is one of its type: psycopg makes objects of all of them, from text and from binary."""
    world()
    with namespace(CLIENT):
        c = psycopg.connect(f"host={LISTENER[0]} port={LISTENER[1]} user=vault dbname=vault sslmode=verify-full sslrootcert={CA} password={token(USER)}",
                            autocommit=True)
    with c:
        for binary in (False, True):
            cursor = c.cursor(binary=binary).execute("select * from people order by id")
            got = cursor.fetchall()
            same([r[:2] for r in got], [(1, "person 1"), (2, "person 2")], f"binary={binary}")
            same({d.name for r in got for d, v in zip(cursor.description, r) if v is None} - {"c_money"}, set(), f"columns that are NULL: {got}")


@test
def masking_tables_of_ones_own():
    """A table that the session makes in a transaction that goes on is in no catalog yet: it is its own, so nothing of it is refused. What is
    called like it and was there before is not."""
    world()
    with session(USER, resource="vault", database="vault") as w:
        w.simple("begin")
        w.simple("create temp table mine (a text, n int)")
        w.simple("insert into mine values ('x', 1)")
        same(w.simple("select count(*), upper(max(a)) from mine where n = 1"), [[b"1", b"X"]], "a table of the session's own")
        w.simple("update mine set a = a || '!' where n = 1")
        w.simple("rollback")
        same(w.simple("select id, name from people where id = 1"), [[b"1", b"person 1"]], "the session goes on")


# ---- what is not masked ----

PLAIN = (
    "select * from plain order by id",
    "select id, name, amount * 2, at + interval '1 day' from plain where id < 20 order by id",
    "select count(*), sum(amount), min(at), array_agg(name order by id) from plain",
    "select tags[1], doc ->> 'i', lower(name) from plain where doc @> '{\"i\": 7}'",
    "select id, name, dept from people order by id",
    "select count(*) from people",
    "select dept, count(*) from people group by dept order by dept",
    "select p.id, upper(p.name), q.amount from people p join plain q on q.id = p.id where p.name like 'person%' order by 1",
    "select id, owner, note from vault where owner = 'owner 1'",
    "with q as (select id, name from people) select q.name || '!' from q order by 1",
    "select x.id, x.name from people_view x order by 1",
    "select exists (select 1 from people where id = 1), current_database()",
    "select name from plain p where exists (select * from vault v where v.id = p.id) order by 1", "select exists (select * from people where id = 1)",
    "select row_to_json(p) from plain p where id = 1",
    "select generate_series(1, 5), pi(), 'text'::text",
    "copy plain to stdout", "copy (select id, name from people order by id) to stdout (format csv, header)", "copy plain to stdout (format binary)",
    "explain (costs off) select id, name from people where id = 1",
    "update plain set name = name where id = 1 returning id, name",
    "select nothing from plain", "select 1 / 0", "values (1, 'a'), (2, null)",
)


def untouched(statements, portals=(False, True)):
    """Byte for byte what the target said."""
    world()
    with Cutter() as cutter:
        talk = Bare("vault-cut")
        said, differ = cutter.said[-1], []
        for portal in portals:
            talk.portal = portal
            for sql in statements:
                at = len(said)
                reply = talk.run(sql)
                if bare(bytes(said[at:])) != reply.raw:
                    want, got = bare(bytes(said[at:])), reply.raw
                    i = next((i for i, (a, b) in enumerate(zip(want, got)) if a != b), min(len(want), len(got)))
                    differ.append(f"{sql}: from byte {i} of {len(got)} {got[i:i + 200]}, the target said {want[i:i + 200]} of {len(want)}")
        talk.close()
    check(not differ, "\n".join(differ))


@test
def masking_leaves_the_rest_alone():
    untouched(PLAIN)


@test
def masking_leaves_workloads_alone():
    untouched(workload.QUESTIONS)
    untouched([s for n in range(30) for s in workload.transaction(n)])


def bare(stream):
    """Messages without their lengths, as Bare keeps them; of descriptions of columns the first: the gateway asks for one with each Execute."""
    out, at, described = b"", 0, False
    while at < len(stream):
        n = int.from_bytes(stream[at + 1:at + 5], "big")
        if stream[at:at + 1] not in b"Tn" or not described:
            out += stream[at:at + 1] + stream[at + 5:at + 1 + n]
        described |= stream[at:at + 1] in b"Tn"
        at += 1 + n
    return out


@test
def masking_is_counted_and_recorded_masked():
    eyes, _ = world()
    with session(USER, resource="vault", database="vault") as w:
        w.simple("select c_text, c_int, name from people")
    mine = latest(USER)["id"]
    eventually(lambda: any(r["kind"] == "result" for r in records(mine)), "the result's record")
    result = next(r for r in records(mine) if r["kind"] == "result")
    same(result["masked"], 4, "masked fields in the outcome")
    check(eyes.see(replies(records(mine))) is None, "a record holds a planted value")


@test
def masking_records_and_log_hold_nothing():
    eyes, _ = world()
    for s in sessions(50):
        if s["user"] == USER and s["resource"].startswith("vault"):
            recs = records(s["id"])
            found = eyes.see(replies(recs))
            check(found is None, f"the recorded replies of session {s['id']} hold a planted value of type {found and found.kind}")
            found = eyes.see(json.dumps([r for r in recs if r["kind"] not in ("data", "command", "more")]).encode())
            check(found is None, f"the records of session {s['id']} hold a planted value")
    check(eyes.see(gateway_log(100000).encode()) is None, "the gateway's log holds a planted value")
    print(f"{TRIES['ways']} tries to read, {TRIES['questions']} questions", end=" ", flush=True)
