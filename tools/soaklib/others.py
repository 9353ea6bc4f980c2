"""A caller who is locked out again and again, and clients with real drivers."""
import threading

import psycopg
import psycopg2
from labtest import CLIENT, Failure, api, conninfo, token
from pgwire import Closed, ServerError, errors, kinds, namespace

from .base import COPY_RESOURCE, DATABASE, HIDDEN, RESOURCE, ROWS, TABLES, Talk, Wrong, ask, direct, equal, expect
from .scripts import eventually, plain

DENIALS = 4  # what the breaker takes; a session's first statement is one


class Locked(threading.Thread):
    """One identity: denied too often, locked, released, and let in again."""

    def __init__(self, world):
        super().__init__(name="locks")
        self.world, self.rng, self.db = world, world.random("locks"), direct()

    def run(self):
        while not self.world.stop.wait(self.rng.uniform(0, 3 * self.world.pace)):
            try:
                self.once()
            except (Wrong, Failure, ServerError, Closed, OSError, LookupError) as e:
                self.world.finding(f"locks: {type(e).__name__} {e}")
            finally:
                self.release()
        self.db.close()

    def release(self):
        for lock in api("noc", "GET", "/v1/locks")[1]["locks"]:
            api("noc", "DELETE", f"/v1/locks/{lock['id']}")

    def once(self):
        with Talk(self.world, self.rng, "reader") as other, Talk(self.world, self.rng, "reader") as t:
            other.command("begin", "BEGIN", state=b"T")
            other.command(f"insert into own values ('{other.mark}', 1, 'x')", "INSERT 0 1")
            for _ in range(DENIALS - 2):
                s, text = t.statement("select 1 from never", "never")
                t.denied(s, t.ask(text), "statement")
            self.ended(other)
            self.ended(t)
        eventually(lambda: ask(self.db, "select count(*) from pg_stat_activity where application_name = %s", other.mark) == [(0,)],
                   "the end of a locked session at the target")
        equal(ask(self.db, "select count(*) from own where k = %s", other.mark), [(0,)], "rows of a locked session")
        self.shut_out()
        (lock,) = api("noc", "GET", "/v1/locks")[1]["locks"]
        equal((lock["user"], lock["breaker"], lock["denials"]), ("reader", "Breaker/soak-breaker", DENIALS), "the lock")
        equal(api("noc", "DELETE", f"/v1/locks/{lock['id']}")[0], 200, "the release")
        self.world.count("identities locked and released")
        for talk in (other, t):
            talk.parted = True
            self.world.audits.append(talk)
        # Without a denial: the next round begins from 0.
        with Talk(self.world, self.rng, "reader", known=False) as again:
            s, text = again.statement(f"select '{again.mark}'")
            again.rows(s, again.ask(text), [[again.mark]], "a session after the release")
            again.goodbye()
        self.world.count("sessions", 3)

    def ended(self, t):
        got = t.drain()
        expect(got and kinds(got)[-1] == "E", f"{t.mark}: a locked session hears {got}")
        equal((errors(got)[-1]["C"]), "57P01", f"{t.mark}: what a locked session hears: {errors(got)}")

    def shut_out(self):
        try:
            Talk(self.world, self.rng, "reader").close()
        except ServerError as e:
            equal(e.fields["C"], "28000", "the SQLSTATE of a locked identity")
            return
        raise Wrong("a locked identity was let in")


class Drivers(threading.Thread):
    """psycopg2 and psycopg with rows of their own. What they read is looked through value by value."""

    def __init__(self, world):
        super().__init__(name="drivers")
        self.world, self.rng, self.db = world, world.random("drivers"), direct()

    def run(self):
        while not self.world.stop.wait(self.rng.uniform(0, 2 * self.world.pace)):
            for round_ in (self.psycopg2_round, self.psycopg_round):
                try:
                    round_(f"sk_{self.rng.getrandbits(64):016x}")
                except (Wrong, psycopg.Error, psycopg2.Error, OSError, LookupError) as e:
                    self.world.finding(f"drivers, {round_.__name__}: {type(e).__name__} {e}")
                self.world.count("sessions of drivers")
        self.db.close()

    def connect(self, module, mark, resource=RESOURCE):
        info = conninfo(resource, DATABASE, application_name=mark, password=token("agent-8"))
        with namespace(CLIENT):
            return module.connect(info)

    def probe(self, cursor, denied):
        """By the driver's own way of passing parameters; a denial is its exception for 42501."""
        table, i = self.rng.choice(TABLES), self.rng.randint(1, ROWS)
        versions, since = self.world.versions, self.world.versions.in_force
        try:
            cursor.execute(f"select id, ver, secret, plain from {table} where id = %s", (i,))
            (got,) = cursor.fetchall()
            version = int(got[1][1:])
            equal(got, (i, got[1], HIDDEN, plain(table, i)), f"a row of {table}")
            expect(not versions.denies(version, {table}), f"{table} is read, which version {version} denies")
        except denied as e:
            message = str(e).split("ERROR:")[-1].split()[0] if "ERROR:" in str(e) else str(e).split()[0]
            version = int(message[1:])
            expect(versions.denies(version, {table}), f"{table} is not read, which version {version} allows: {e}")
            self.world.count("denied")
        expect(since <= version <= versions.posted, f"version {version}, in force {since} to {versions.posted}")

    def own(self, cursor, mark):
        rows = [(mark, i, f"{mark} {i}") for i in range(self.rng.randint(1, 30))]
        cursor.executemany("insert into own values (%s, %s, %s)", rows)
        cursor.execute("select * from own where k = %s order by id", (mark,))
        equal([tuple(r) for r in cursor.fetchall()], rows, f"{mark}: rows of our own")
        return rows

    def psycopg2_round(self, mark):
        c = self.connect(psycopg2, mark)
        try:
            c.autocommit = True
            with c.cursor() as cursor:
                for _ in range(3):
                    self.probe(cursor, psycopg2.errors.InsufficientPrivilege)
            c.autocommit = False
            with c.cursor() as cursor:
                rows = self.own(cursor, mark)
                commit = self.rng.random() < 0.5
                (c.commit if commit else c.rollback)()
                equal(ask(self.db, "select * from own where k = %s order by id", mark), rows if commit else [], f"{mark}: what is there")
                cursor.execute("delete from own where k = %s", (mark,))
                equal(cursor.rowcount, len(rows) if commit else 0, f"{mark}: rows deleted")
            c.commit()
        finally:
            c.close()

    def psycopg_round(self, mark):
        c = self.connect(psycopg, mark, COPY_RESOURCE)
        try:
            c.prepare_threshold = 1
            with c.cursor() as cursor:
                rows = self.own(cursor, mark)
                with cursor.copy("copy own from stdin (format binary)") as copy:
                    copy.set_types(["text", "int4", "text"])
                    for i in range(1000, 1200):
                        copy.write_row((mark, i, f"{mark} {i}"))
                with cursor.copy(f"copy (select * from own where k = '{mark}' order by id) to stdout") as copy:
                    got = [tuple(r) for r in copy.rows()]
                equal(got, [(mark, str(i), v) for _, i, v in rows] + [(mark, str(i), f"{mark} {i}") for i in range(1000, 1200)], f"{mark}: COPY")
                with c.pipeline():
                    for i in range(10):
                        cursor.execute("select %s::text, %s::int", (mark, i))
                    got = [tuple(cursor.fetchone())]
                    while cursor.nextset():
                        got.append(tuple(cursor.fetchone()))
                equal(got, [(mark, i) for i in range(10)], f"{mark}: a pipeline")
            c.rollback()
            equal(ask(self.db, "select count(*) from own where k = %s", mark), [(0,)], f"{mark}: what was rolled back")
        finally:
            c.close()
