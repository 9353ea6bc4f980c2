"""The checking clients: random scripts, each answer compared with what is right."""
import threading
import time

from labtest import api
from pgwire import Closed, ServerError, bind, describe, errors, execute, kinds, message, parse, query, sync

from .base import COPY_RESOURCE, HIDDEN, ROWS, TABLES, WORDS, Talk, Wrong, ask, direct, equal, expect, row

LARGE_ROW, LARGE_ROWS = 15_000, 1500  # times the mark in one row; rows
FENCE_S = 0.8  # after a cancel request, what it may still hit
SLOW = 30  # seconds for something that must come


def eventually(condition, what, seconds=SLOW):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if condition():
            return
        time.sleep(0.05)
    raise Wrong(f"{what}: not within {seconds} s")


def plain(table, i):
    return f"plain {table} {i}"


class Client(threading.Thread):
    """One thread, one session after the other."""

    SCRIPTS = (("probe", 6), ("probe_extended", 5), ("word", 2), ("pipeline", 6), ("prepared", 3), ("portal", 2), ("own_rows", 5), ("denied_effect", 3),
               ("hold", 3), ("hold_in_pipeline", 1), ("hold_expires", 1), ("hold_cancelled", 1), ("cancel_running", 2), ("cancel_forged", 1),
               ("large", 2), ("copy", 2))
    LAST = (("goodbye", 6), ("cut_in_transaction", 3), ("cut_in_reply", 2), ("cut_in_copy", 1), ("cut_while_held", 1), ("killed", 1))

    def __init__(self, world, number, of):
        super().__init__(name=f"client {number}")
        # Together, the clients begin with each script once, however short the time is.
        self.first = [name for name, _ in self.SCRIPTS][number::of]
        self.world, self.number = world, number
        self.rng = world.random(self.name)
        self.db = direct()
        self.talk = self.since = None
        self.names = 0

    # ---- the frame ----

    def pick(self, table):
        names, weights = zip(*table)
        name = self.rng.choices(names, weights)[0]
        return name, getattr(self, name)

    def run(self):
        while not self.world.stop.is_set():
            try:
                self.one_session()
            except (Wrong, ServerError, Closed, OSError, ValueError, LookupError, AttributeError) as e:
                self.world.finding(f"{self.name}, {self.doing}, {self.talk and self.talk.mark}: {type(e).__name__} {e}")
                if self.talk:
                    self.talk.close()
        self.db.close()

    def one_session(self):
        self.doing, self.talk = "login", None
        with self.open() as self.talk:
            while self.first:
                self.doing = self.first.pop()
                self.one_script(getattr(self, self.doing))
            for _ in range(self.rng.randint(3, 14)):
                if self.world.stop.is_set():
                    break
                self.doing, script = self.pick(self.SCRIPTS)
                self.one_script(script)
            self.doing, last = self.pick(self.LAST)
            last(self.talk)
            self.world.count(f"end {self.doing}")

    def one_script(self, script):
        script(self.talk)
        self.world.count(f"script {self.doing}")
        self.world.stop.wait(self.rng.uniform(0, self.world.pace))

    def open(self, **more):
        t = Talk(self.world, self.rng, self.rng.choice(("agent-7", "agent-8", "bob")), **more)
        self.world.count("sessions")
        return t

    def now(self):
        """The version that is in force before what is sent next."""
        return self.world.versions.in_force

    # ---- what each version judges differently ----

    def probe_of(self):
        table, i = self.rng.choice(TABLES), self.rng.randint(1, ROWS)
        return table, i, f"select id, ver, secret, 'x' || secret || 'y' as mixed, plain from {table}"

    def masked_row(self, t, s, values, table, i, since):
        """One row of a table: the version that masked it is the one that judged it."""
        v = values[1] or ""
        expect(v[:1] == "V" and v[1:].isdigit(), f"{t.mark}.{s.number}: the mask's text is {v!r}")
        equal(values, [str(i), v, HIDDEN, HIDDEN, plain(table, i)], f"{t.mark}.{s.number}: the row of {table}")
        t.judged(s, int(v[1:]), False, since)

    def probe(self, t):
        table, i, sql = self.probe_of()
        since = self.now()
        s, text = t.statement(f"{sql} where id = {i}", table)
        got = t.ask(text)
        if kinds(got) == "EZ":
            return t.denied(s, got, table, since=since)
        equal(kinds(got), "TDCZ", f"{t.mark}.{s.number}: the answer to a probe of {table} ({errors(got)})")
        return self.masked_row(t, s, row(got[1][1]), table, i, since)

    def probe_extended(self, t):
        table, i, sql = self.probe_of()
        since = self.now()
        s, text = t.statement(f"{sql} where id = $1::int", table, phases=("prepare", "execute"))
        t.send(parse(text), bind([str(i).encode()]), describe(), execute(), sync())
        got = t.until("Z")
        if "E" in kinds(got):
            # Denied as Parse, or by the next version as Bind.
            expect(kinds(got) in ("EZ", "1EZ"), f"{t.mark}.{s.number}: the answer to a denied probe: {kinds(got)} {errors(got)}")
            s.phases = s.phases[:len(kinds(got)) - 1]
            return t.refusal(s, errors(got)[0], since)
        equal(kinds(got), "12TDCZ", f"{t.mark}.{s.number}: the answer to an extended probe")
        return self.masked_row(t, s, row(got[3][1]), table, i, since)

    def word(self, t):
        """A rule by pattern: allowed, nothing but the record says by which version."""
        word, since = self.rng.choice(WORDS), self.now()
        s, text = t.statement(f"select '{t.mark} {word}'", word)
        got = t.ask(text)
        if kinds(got) == "EZ":
            return t.denied(s, got, word, since=since)
        return t.rows(s, got, [[f"{t.mark} {word}"]], word)

    # ---- pipelines ----

    def pipeline(self, t):
        """Several statements and a Sync, and one more behind it: answers in their order, and nothing behind a failure."""
        since, items, out = self.now(), [], []
        for _ in range(self.rng.randint(2, 7)):
            kind = self.rng.choices(("probe", "mark", "never", "fail"), (6, 5, 1, 1))[0]
            if kind == "probe":
                table, i, sql = self.probe_of()
                s, text = t.statement(f"{sql} where id = $1::int", table, phases=("prepare", "execute"))
                value = str(i)
            else:
                table, i = kind, None
                sql = {"mark": "select $1::text", "never": "select $1::text from never", "fail": "select 1 / $1::int"}[kind]
                s, text = t.statement(sql, *(["never"] if kind == "never" else []), phases=("prepare", "execute"))
                value = "0" if kind == "fail" else f"{t.mark} {s.number}"
            items.append((kind, s, table, i, value))
            out += [parse(text), bind([value.encode()]), execute()]
        behind, text = t.statement(f"select 'behind {t.mark}'")
        t.send(*out, sync(), query(text))
        got = t.until("Z")
        self.pipeline_answers(t, items, got[:-1], since)
        t.rows(behind, t.until("Z"), [[f"behind {t.mark}"]], "what is behind a pipeline")

    def pipeline_answers(self, t, items, got, since):
        for at, (kind, s, table, i, value) in enumerate(items):
            mine, got = self.take(got)
            shape = kinds(mine)
            if shape == "12DC":
                if kind == "probe":
                    self.masked_row(t, s, row(mine[2][1]), table, i, since)
                else:
                    equal((kind, row(mine[2][1])), ("mark", [value]), f"{t.mark}.{s.number}: a row in a pipeline")
                    s.verdict = "allow"
                continue
            expect(shape in ("E", "1E", "12E") and not got, f"{t.mark}.{s.number}: in a pipeline of {[k for k, *_ in items]}: {shape}, then {kinds(got)}")
            if kind == "fail":
                equal(errors(mine)[0]["C"], "22012", f"{t.mark}.{s.number}: a division by zero")
                s.verdict, s.failed = "allow", True
            else:
                expect(shape != "12E", f"{t.mark}.{s.number}: denied behind BindComplete: {errors(mine)}")
                s.phases = s.phases[:len(shape)]
                t.refusal(s, errors(mine)[0], since)
            for _, dropped, *_ in items[at + 1:]:
                dropped.optional = dropped.failed = True
            return
        expect(not got, f"{t.mark}: more than was asked for: {kinds(got)}")

    @staticmethod
    def take(got):
        """The messages of one statement, and the rest."""
        for n, (kind, _) in enumerate(got):
            if kind in "CE":
                return got[:n + 1], got[n + 1:]
        return got, []

    def prepared(self, t):
        """Prepared once, executed under version after version: each Bind is judged anew."""
        table, i, sql = self.probe_of()
        self.names += 1
        name, since = f"p{self.names}", self.now()
        s, text = t.statement(f"{sql} where id = $1::int", table, phases=("prepare",))
        t.send(parse(text, name), sync())
        got = t.until("Z")
        if kinds(got) == "EZ":
            return t.refusal(s, errors(got)[0], since)
        equal(kinds(got), "1Z", f"{t.mark}.{s.number}: the answer to Parse")
        for _ in range(self.rng.randint(1, 4)):
            time.sleep(self.rng.uniform(0, 0.3))
            since, i = self.now(), self.rng.randint(1, ROWS)
            # The record has the text that was prepared, and so the number of the Parse.
            s.phases += ("execute",)
            t.send(bind([str(i).encode()], statement=name), describe(), execute(), sync())
            got = t.until("Z")
            if kinds(got) == "EZ":
                t.refusal(s, errors(got)[0], since)
            else:
                equal(kinds(got), "2TDCZ", f"{t.mark}.{s.number}: the answer to an Execute ({errors(got)})")
                self.masked_row(t, s, row(got[2][1]), table, i, since)
            s.verdict, s.version, s.failed = None, None, False  # several answers: the records are judged by their versions
        return t.command(f"deallocate {name}", "DEALLOCATE")

    def portal(self, t):
        """Fetched in parts, with reloads between them: it was judged once, and all of its rows are masked by that version."""
        table, _, sql = self.probe_of()
        since, step = self.now(), self.rng.randint(1, 6)
        s, text = t.statement(f"{sql} order by id", table, phases=("prepare", "execute"))
        t.command("begin", "BEGIN", state=b"T")
        t.send(parse(text), bind(portal="c"), sync())
        got = t.until("Z")
        if "E" in kinds(got):
            expect(kinds(got) in ("EZ", "1EZ"), f"{t.mark}.{s.number}: the answer to a denied portal: {kinds(got)} {errors(got)}")
            s.phases = s.phases[:len(kinds(got)) - 1]
            t.refusal(s, errors(got)[0], since)
            return t.command("rollback", "ROLLBACK", state=b"I")
        equal(kinds(got), "12Z", f"{t.mark}.{s.number}: the answer to Bind")
        rows, version = [], None
        while True:
            t.send(execute("c", step), sync())
            got = t.until("Z")
            new = [row(b) for k, b in got if k == "D"]
            rows += new
            if "s" not in kinds(got):
                break
            equal(kinds(got), "D" * step + "sZ", f"{t.mark}.{s.number}: a part of a portal ({errors(got)})")
            time.sleep(self.rng.uniform(0, 0.1))
        version, each = rows[0][1], [int(r[1][1:]) for r in rows]
        equal(each, sorted(each), f"{t.mark}.{s.number}: versions that masked the rows of one portal")
        equal(rows, [[str(i), f"V{each[i - 1]}", HIDDEN, HIDDEN, plain(table, i)] for i in range(1, ROWS + 1)], f"{t.mark}: the rows of {table}")
        s.version, s.verdict = int(version[1:]), "allow"
        expect(since <= s.version <= self.world.versions.posted, f"{t.mark}.{s.number}: judged by version {version}, in force {since}")
        expect(not self.world.versions.denies(s.version, s.objects), f"{t.mark}.{s.number}: allowed by version {version}")
        t.newest = max(t.newest, s.version)
        return t.command("commit", "COMMIT", state=b"I")

    # ---- rows of our own, and what must not happen to them ----

    def own_rows(self, t):
        """A transaction, or none, on rows that nobody else has; what is there in the end is what the client thinks."""
        base, model, rng = {}, {}, self.rng
        inside = rng.random() < 0.7
        if inside:
            t.command("begin", "BEGIN", state=b"T")
        state = b"T" if inside else b"I"
        for i in range(rng.randint(1, 5)):
            value = f"{t.mark} {rng.getrandbits(32)}"
            t.command(f"insert into own values ('{t.mark}', {i}, '{value}')", "INSERT 0 1", state=state)
            model[i] = value
        some = rng.choice(list(model))
        if rng.random() < 0.5:
            model[some] = f"{t.mark} changed"
            t.command(f"update own set v = '{model[some]}' where k = '{t.mark}' and id = {some}", "UPDATE 1", state=state)
        elif rng.random() < 0.5:
            t.command(f"delete from own where k = '{t.mark}' and id = {some}", "DELETE 1", state=state)
            del model[some]
        s, text = t.statement(f"select id, v from own where k = '{t.mark}' order by id")
        t.rows(s, t.ask(text), [[str(i), v] for i, v in sorted(model.items())], "rows of our own")
        if inside:
            model = self.end_transaction(t, model, base)
        there = ask(self.db, "select id, v from own where k = %s order by id", t.mark)
        equal(there, sorted(model.items()), f"{t.mark}: what is in the database")
        if model:
            t.command(f"delete from own where k = '{t.mark}'", f"DELETE {len(model)}", state=b"I")

    def end_transaction(self, t, model, base):
        how = self.rng.choice(("commit", "rollback", "denied"))
        if how == "commit":
            t.command("commit", "COMMIT", state=b"I")
            return model
        if how == "denied":
            since = self.now()
            s, text = t.statement(f"insert into never values (1, '{t.mark}')", "never")
            t.denied(s, t.ask(text), "statement in a transaction", b"E", since)
            s, text = t.statement("select 1")
            got = t.ask(text)
            equal((kinds(got), errors(got)[0]["C"], got[-1][1]), ("EZ", "25P02", b"E"), f"{t.mark}: in a transaction that has failed")
            s.verdict, s.failed = "allow", True
            if self.rng.random() < 0.5:
                t.command("commit", "ROLLBACK", state=b"I")
                return base
        t.command("rollback", "ROLLBACK", state=b"I")
        return base

    def denied_effect(self, t):
        """Whatever is denied has no effect, however it is sent."""
        sql = self.rng.choice((
            f"insert into never values (1, '{t.mark}')", f"with x as (insert into never values (2, '{t.mark}') returning 1) select * from x",
            f"insert into own values ('{t.mark}', 900, 'x'); insert into never values (3, '{t.mark}')",
            "copy never from stdin", f"insert into own select '{t.mark}', 901, k from never union all select '{t.mark}', 902, 'x'",
            f"explain analyze insert into never values (4, '{t.mark}')", "truncate never", "drop table never"))
        since = self.now()
        if self.rng.random() < 0.5 or ";" in sql:
            s, text = t.statement(sql, "never")
            t.denied(s, t.ask(text), sql, since=since)
        else:
            s, text = t.statement(sql, "never", phases=("prepare",))
            t.send(parse(text), bind(), execute(), sync())
            t.denied(s, t.until("Z"), sql, since=since)
        equal(ask(self.db, "select count(*) from never"), [(0,)], f"{t.mark}: rows behind {sql!r}")
        equal(ask(self.db, "select count(*) from own where k = %s", t.mark), [(0,)], f"{t.mark}: rows behind {sql!r}")

    # ---- held statements ----

    def held(self, t, value, table="held", extended=False):
        """Sends an UPDATE that is held; (statement, approval's id) once the client has been told. Each client has a row of its own."""
        since = self.now()
        s, text = t.statement(f"update {table} set v = '{value}' where id = {self.number} returning ver, v",
                              phases=("prepare", "execute") if extended else ("simple",), held=True)
        t.send(*([parse(text), bind(), describe(), execute(), sync()] if extended else [query(text)]))
        got = []
        while not got or got[-1][0] == "1":
            got.append(t.receive())
        equal(kinds(got), "1N" if extended and len(got) > 1 else "N", f"{t.mark}.{s.number}: what comes first from a hold ({errors(got)})")
        text = got[-1][1].split(b"\0M", 1)[1].split(b"\0", 1)[0].decode()
        expect(text.startswith("held for approval ") and text.endswith(" hold"), f"{t.mark}.{s.number}: the notice {text!r}")
        name, version = text.split()[3].rstrip(":"), int(text.split()[4][1:])
        expect(since <= version <= self.world.versions.posted, f"{t.mark}: held by version {version}, in force {since}")
        t.newest = max(t.newest, version)
        s.verdict, s.version = "hold", version
        self.world.count("held")
        return s, name

    def row_is(self, t, value, what, table="held"):
        equal(ask(self.db, f"select v from {table} where id = %s", self.number), [(value,)], f"{t.mark}: the row of a hold that was {what}")

    def before(self, table="held"):
        return ask(self.db, f"select v from {table} where id = %s", self.number)[0][0]

    def ran(self, t, s, got, value, extended=False):
        equal(kinds(got)[-4:], "TDCZ", f"{t.mark}.{s.number}: the answer to an approved statement ({errors(got)})")
        equal(row(got[-3][1]), [f"V{s.version}", value], f"{t.mark}.{s.number}: the row of an approved statement")

    def refused(self, t, s, got, state):
        expect(kinds(got) in ("EZ", "1EZ"), f"{t.mark}.{s.number}: the answer to a held statement: {kinds(got)}")
        equal(errors(got)[0]["C"], state, f"{t.mark}.{s.number}: {errors(got)}")
        s.failed = True

    def decide(self, approval, how):
        return api("alice", "POST", f"/v1/approvals/{approval}/{how}", {})[0]

    def hold(self, t):
        """Approved or refused by a person, perhaps while its client changes its mind."""
        extended, before = self.rng.random() < 0.5, self.before()
        value = f"{t.mark} {len(t.sent)}"
        s, approval = self.held(t, value, extended=extended)
        time.sleep(self.rng.uniform(0, 1))
        self.row_is(t, before, "not decided")
        how = self.rng.choice(("approve", "approve", "deny"))
        racing = self.rng.random() < 0.3
        if racing:
            rival = threading.Thread(target=t.cancel)
            rival.start()
        status = self.decide(approval, how)
        got = t.until("Z")
        if racing:
            rival.join()
            expect(status in (200, 409), f"{t.mark}: deciding with a cancel request beside: {status}")
        else:
            equal(status, 200, f"{t.mark}: {how}")
        if "E" in kinds(got):
            if not (racing and t.was_cancelled(got)):
                equal(how, "deny", f"{t.mark}: refused although approved: {errors(got)}")
                self.refused(t, s, got, "42501")
            s.failed = True
            self.row_is(t, before, "refused")
        else:
            equal((how, status), ("approve", 200), f"{t.mark}: it ran")
            self.ran(t, s, got, value)
            self.row_is(t, value, "approved")
        self.world.count(f"held, {'cancelled or ' if racing else ''}{how}")
        if racing:
            self.fence(t)

    def hold_in_pipeline(self, t):
        """What is before it is answered, what is behind it waits."""
        first, one = t.statement(f"select '{t.mark} first'")
        t.send(query(one))
        value, before = f"{t.mark} {len(t.sent)}", self.before()
        s, text = t.statement(f"update held set v = '{value}' where id = {self.number} returning ver, v", held=True)
        t.send(query(text))
        behind, last = t.statement(f"select v from held_free where id = {self.number}")
        t.send(query(last))
        t.rows(first, t.until("Z"), [[f"{t.mark} first"]], "what is before a hold")
        kind, body = t.receive()
        equal(kind, "N", f"{t.mark}: what comes first from a hold")
        approval = body.split(b"held for approval ")[1][:26].decode()
        s.verdict = "hold"
        s.version = int(body.split(b"held for approval ")[1][28:].split(b" ")[0][1:])
        t.sock.settimeout(0.5)
        try:
            expect(False, f"{t.mark}: behind a hold comes {t.receive()}")
        except TimeoutError:
            pass
        finally:
            t.sock.settimeout(60)
        how = self.rng.choice(("approve", "deny"))
        equal(self.decide(approval, how), 200, f"{t.mark}: {how}")
        got = t.until("Z")
        if how == "approve":
            self.ran(t, s, got, value)
        else:
            self.refused(t, s, got, "42501")
        t.rows(behind, t.until("Z"), [["free"]], "what is behind a hold")
        self.row_is(t, value if how == "approve" else before, how)

    def hold_expires(self, t):
        value, before = f"{t.mark} {len(t.sent)}", self.before("held_short")
        s, _ = self.held(t, value, "held_short", self.rng.random() < 0.5)
        got = t.until("Z")
        self.refused(t, s, got, "42501")
        expect("nobody approved" in errors(got)[0]["M"], f"{t.mark}: {errors(got)}")
        self.row_is(t, before, "not decided in time", "held_short")

    def hold_cancelled(self, t):
        value, before = f"{t.mark} {len(t.sent)}", self.before()
        s, approval = self.held(t, value, extended=self.rng.random() < 0.5)
        if self.rng.random() < 0.5:
            t.cancel(self.forged(t))
            time.sleep(0.2)
            equal(api("noc", "GET", f"/v1/approvals/{approval}")[1]["state"], "pending", f"{t.mark}: after a forged cancel request")
        t.cancel()
        got = t.until("Z")
        expect(t.was_cancelled(got), f"{t.mark}: the answer to a cancelled hold: {kinds(got)} {errors(got)}")
        s.failed = True
        equal(self.decide(approval, "approve"), 409, f"{t.mark}: approving what was cancelled")
        self.row_is(t, before, "cancelled")
        self.fence(t)

    # ---- cancel requests ----

    def forged(self, t):
        """A key that is nobody's: ours with another secret, or another number, or all of it invented."""
        rng, key = self.rng, t.key
        other = bytes(rng.getrandbits(8) for _ in range(len(key)))
        return rng.choice((key[:4] + other[4:], other[:4] + key[4:], other, key[:4] + b"\0" * (len(key) - 4), key[:-1] + bytes([key[-1] ^ 1])))

    def fence(self, t):
        """A cancel request that came too late for its statement hits this one, or nothing."""
        if not t.cancels:
            return
        s, text = t.statement(f"select pg_sleep({FENCE_S})")
        got = t.ask(text)
        if t.was_cancelled(got):
            s.failed = True
        else:
            equal(kinds(got), "TDCZ", f"{t.mark}: behind a cancel request ({errors(got)})")

    def cancel_running(self, t):
        what = self.rng.choice(("sleep", "rows"))
        sql = {"sleep": f"select '{t.mark}', pg_sleep(0.5)", "rows": f"select '{t.mark}', repeat('x', 1000) from generate_series(1, 3000)"}[what]
        s, text = t.statement(sql)
        t.send(query(text))
        rival = threading.Timer(self.rng.uniform(0, 0.4), t.cancel)
        rival.start()
        got = t.until("Z")
        rival.join()
        if t.was_cancelled(got):
            s.failed = True
            expect(set(kinds(got)) <= set("TDEZ"), f"{t.mark}: a cancelled reply: {sorted(set(kinds(got)))}")
        else:
            equal(kinds(got), "TDCZ" if what == "sleep" else "T" + "D" * 3000 + "CZ", f"{t.mark}.{s.number}: {what} ({errors(got)})")
        for kind, body in got:
            expect(kind != "D" or row(body)[0] == t.mark, f"{t.mark}: a row of somebody else: {body[:100]!r}")
        self.fence(t)

    def cancel_forged(self, t):
        """Keys that are no session's hit nobody: not this one, which waits, and none of the others."""
        s, text = t.statement(f"select '{t.mark}', pg_sleep(0.4)")
        t.send(query(text))
        for _ in range(3):
            t.cancel(self.forged(t))
        t.rows(s, t.until("Z"), [[t.mark, ""]], "what a forged cancel request is for")

    # ---- much data ----

    def large(self, t):
        since = self.now()
        if self.rng.random() < 0.5:
            n = self.rng.randint(1, LARGE_ROW)
            s, text = t.statement(f"select ver, repeat('{t.mark}', {n}) from free where id = 1")
            got = t.ask(text)
            equal(kinds(got), "TDCZ", f"{t.mark}.{s.number}: a large row ({errors(got)})")
            ver, value = row(got[1][1])
            expect(value == t.mark * n, f"{t.mark}.{s.number}: a large row of {len(value)} bytes is not what was asked for")
            t.judged(s, int(ver[1:]), False, since)
            return
        n, width = self.rng.randint(1, LARGE_ROWS), self.rng.randint(1, 20)
        s, text = t.statement(f"select g, repeat('{t.mark}', {width}) from generate_series(1, {n}) g")
        t.rows(s, t.ask(text), [[str(g), t.mark * width] for g in range(1, n + 1)], "many rows")

    def copy(self, _):
        """In and out, whole, given up, and denied; in a session of its own, where nothing is masked."""
        with self.open(resource=COPY_RESOURCE) as t:
            rows = [(i, f"{t.mark} {self.rng.getrandbits(64):x}") for i in range(self.rng.randint(1, 400))]
            data = [message("d", f"{t.mark}\t{i}\t{v}\n".encode()) for i, v in rows]
            s, text = t.statement("copy own from stdin")
            t.send(query(text))
            equal(kinds(t.until("GZ")), "G", f"{t.mark}: the answer to COPY FROM")
            give_up = self.rng.random() < 0.2
            t.send(*data, message("f", b"given up\0") if give_up else message("c"))
            got = t.until("Z")
            if give_up:
                equal((kinds(got), errors(got)[0]["C"]), ("EZ", "57014"), f"{t.mark}: a COPY that was given up")
                s.failed, rows = True, []
            else:
                equal(got[0], ("C", f"COPY {len(rows)}\0".encode()), f"{t.mark}: COPY FROM")
            equal(ask(self.db, "select id, v from own where k = %s order by id", t.mark), rows, f"{t.mark}: what COPY has brought")
            s, text = t.statement(f"copy (select k, id, v from own where k = '{t.mark}' order by id) to stdout")
            got = t.ask(text)
            equal(b"".join(b for k, b in got if k == "d"), "".join(f"{t.mark}\t{i}\t{v}\n" for i, v in rows).encode(), f"{t.mark}: COPY TO")
            equal(kinds(got).replace("d", ""), "HcCZ", f"{t.mark}: the messages of COPY TO")
            s, text = t.statement("copy never from stdin", "never")
            t.denied(s, t.ask(text), "COPY", since=self.now() and 0)
            t.command(f"delete from own where k = '{t.mark}'", f"DELETE {len(rows)}")
            t.goodbye()

    # ---- ways to end ----

    def goodbye(self, t):
        t.goodbye()

    def gone(self, t):
        """At the target nothing is left of the session, nor of its transaction."""
        eventually(lambda: ask(self.db, "select count(*) from pg_stat_activity where application_name = %s", t.mark) == [(0,)],
                   f"{t.mark}: the end of its session at the target")
        equal(ask(self.db, "select count(*) from own where k = %s", t.mark), [(0,)], f"{t.mark}: rows of a transaction that was cut")

    def cut_in_transaction(self, t):
        t.command("begin", "BEGIN", state=b"T")
        t.command(f"insert into own values ('{t.mark}', 1, '{t.mark}')", "INSERT 0 1", state=b"T")
        t.cut(self.rng.random() < 0.5)
        self.gone(t)

    def cut_in_reply(self, t):
        s, text = t.statement(f"select '{t.mark}', repeat('x', 1000) from generate_series(1, 20000)")
        s.optional = True
        t.send(query(text))
        for _ in range(self.rng.randint(0, 300)):
            t.receive()
        t.cut(self.rng.random() < 0.5)
        self.gone(t)

    def cut_in_copy(self, _):
        """And another one, which holds what this one began."""
        self.talk.goodbye()
        with self.open(resource=COPY_RESOURCE) as t:
            s, text = t.statement("copy own from stdin")
            s.optional = True
            t.send(query(text))
            equal(kinds(t.until("GZ")), "G", f"{t.mark}: the answer to COPY FROM")
            t.send(*[message("d", f"{t.mark}\t{i}\tx\n".encode()) for i in range(self.rng.randint(1, 2000))])
            t.cut(self.rng.random() < 0.5)
            self.gone(t)

    def cut_while_held(self, t):
        before = self.before()
        s, approval = self.held(t, f"{t.mark} cut")
        s.failed = True
        t.cut(self.rng.random() < 0.5)
        eventually(lambda: api("noc", "GET", f"/v1/approvals/{approval}")[1]["state"] == "cancelled", f"{t.mark}: its approval is cancelled")
        equal(self.decide(approval, "approve"), 409, f"{t.mark}: approving for a client that is gone")
        self.gone(t)
        self.row_is(t, before, "cut")

    def killed(self, t):
        """By an operator, in the middle of a transaction."""
        t.command("begin", "BEGIN", state=b"T")
        t.command(f"insert into own values ('{t.mark}', 1, '{t.mark}')", "INSERT 0 1", state=b"T")
        equal(api("noc", "DELETE", f"/v1/sessions/{t.id}")[0], 202, f"{t.mark}: ending the session")
        got = t.drain()
        equal((kinds(got), errors(got)[-1]["C"]), ("E", "57P01"), f"{t.mark}: what a session hears that is ended")
        t.cut(False)
        self.gone(t)
