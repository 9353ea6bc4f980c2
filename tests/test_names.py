"""Random messages about names: portals and cursors, statements of Parse and of PREPARE, all by three names each. No reply may carry what a mask
hides, no session may end or stand still, and the target must live. NAMES_BATCHES and NAMES_SEED say how many, and which.
"""
import os
import random
import secrets

from labtest import at_end, check, lab, session, target_log, test
from pgwire import Closed, bind, describe, execute, message, parse, query, sync
from test_masking import USER, world

BATCHES = int(os.environ.get("NAMES_BATCHES", "1000"))
PORTALS, STATEMENTS = ("c", "f", "g"), ("s", "t", "u")
CLEAR = ("select name as v from people", "select id as v from people", "select name as v from people where false", "select id as v, name as w from people",
         "select 'é' as v -- \\'")
HIDDEN = ("select c_text as v from people", "select id as v, name as w, c_text as x from people", "select c_int as v from people", "table people",
          "select c_text || '' as v from people")
FUNCTIONS = """
    create function names_open(refcursor, text) returns refcursor language plpgsql as $$ begin open $1 for execute $2; return $1; end $$;
    create function names_close(refcursor) returns text language plpgsql as $$ begin close $1; return 'closed'; end $$;
"""


class Talker:
    """One session's dice."""

    def __init__(self, dice):
        self.dice = dice
        self.calls = dice.random() < 0.2  # once a function may have opened cursors, more is refused: most sessions go without
        self.texts = CLEAR + HIDDEN * dice.randint(1, 3)
        self.cursors, self.prepared = [], []  # what may be there

    def one(self, *ways):
        weights, what = zip(*ways)
        return self.dice.choices(what, weights)[0]()

    def some(self, there, names):
        return self.dice.choice(there if there and self.dice.random() < 0.9 else names)

    def portal(self):
        return self.some(self.cursors, PORTALS)

    def statement(self):
        return self.some(self.prepared, STATEMENTS)

    def new(self, there, names):
        """One that is not there, most times."""
        name = self.some([n for n in names if n not in there], names)
        there.append(name)
        return name

    def gone(self, there, name):
        if name in there:
            there.remove(name)
        return name

    def text(self):
        return self.dice.choice(self.texts)

    def declare(self):
        kind, hold = self.dice.choice(("", "", "scroll ", "binary ")), self.dice.choice(("", "", "with hold "))
        return f"declare {self.new(self.cursors, PORTALS)} {kind}cursor {hold}for {self.text()}"

    def fetch(self):
        name, rows = self.portal(), self.dice.choice(("all ", "1 ", "2 ", "", "next "))
        written = self.dice.choice((name, name.upper(), '"' + name + '"'))
        return f"fetch {rows}from {written}" + self.dice.choice(("", "", "", " /* é] */"))

    def call(self):
        if not self.calls:
            return self.text()
        return self.one((1, lambda: "select names_open('%s', '%s')" % (self.portal(), self.text().replace("'", "''"))),
                        (1, lambda: f"select names_close('{self.portal()}')"))

    def sql(self):
        return self.one(
            (14, self.text), (14, self.declare), (22, self.fetch), (4, self.call), (7, lambda: f"close {self.gone(self.cursors, self.portal())}"), (1, lambda: "close all"),
            (3, lambda: f"move 1 in {self.portal()}"), (3, lambda: "savepoint a"), (4, lambda: "rollback to a"), (1, lambda: "commit and chain"),
            (6, lambda: f"prepare {self.new(self.prepared, STATEMENTS)} as {self.text()}"), (10, lambda: f"execute {self.statement()}"),
            (3, lambda: f"deallocate {self.gone(self.prepared, self.statement())}"), (1, lambda: "deallocate all"), (1, lambda: "discard all"), (1, lambda: "select 1 / 0"),
            (2, lambda: f"explain analyze execute {self.statement()}"), (1, lambda: f"create temp table t{self.dice.randrange(99)} as execute {self.statement()}"),
            (1, lambda: f"copy ({self.text()}) to stdout"), (1, lambda: "fetch from nobody"), (1, lambda: ""))

    def several(self):
        texts = [self.sql()]
        while self.dice.random() < 0.4:
            texts.append(self.sql())
        return query("; ".join(texts))

    def run(self, portal, statement, rows):
        described = self.dice.choice((b"", b"", describe("P", portal)))
        return parse(self.sql(), statement) + bind(portal=portal, statement=statement, results=self.dice.choice(([], [], [1]))) + described + execute(portal, rows)

    def parse(self):
        name = self.dice.choice(("", self.new(self.prepared, STATEMENTS)))
        return parse(self.sql(), name), name

    def bind(self, statement):
        name = self.dice.choice(("", self.new(self.cursors, PORTALS)))
        return bind(portal=name, statement=statement, results=self.dice.choice(([], [], [1]))), name

    def run(self):
        parsed, statement = self.parse()
        bound, portal = self.bind(statement)
        return parsed + bound + self.dice.choice((b"", b"", describe("P", portal))) + execute(portal, self.dice.choice((0, 0, 1, 2)))

    def messages(self):
        portal, statement = self.dice.choice(("", self.portal(), self.portal())), self.dice.choice(("", self.statement()))
        return self.one(
            (10, lambda: self.parse()[0]), (14, lambda: self.bind(statement)[0]), (18, self.run), (18, lambda: execute(portal, self.dice.choice((0, 1, 2)))),
            (6, lambda: describe("P", portal)), (4, lambda: describe("S", statement)), (5, lambda: close("P", self.gone(self.cursors, portal))),
            (4, lambda: close("S", self.gone(self.prepared, statement))), (2, lambda: message("H")), (10, sync),
            (16, lambda: self.dice.choice((b"", sync())) + self.several()))


def close(what, name):
    return message("C", what.encode() + name.encode() + b"\0")


def play(w, sent):
    """All replies: they end with those to six Closes, which an aborted transaction answers, too."""
    w.send(sent + sync() + close("S", "nobody") * 6 + sync())
    got, kinds = [], ""
    while not kinds.endswith("333333Z"):
        got.append(w.receive())
        kinds += got[-1][0]
    return got[:-7]


def opened():
    w = session(USER, resource="vault", database="vault", timeout=20)
    play(w, query("begin") + query("savepoint a"))
    return w


def replay(tries):
    return "\n".join(f"{i}: {sent!r}" for i, sent in enumerate(tries))


@test
def names():
    eyes, _ = world()
    lab("direct", "psql", "-X", "-q", "-v", "ON_ERROR_STOP=1", "-d", "vault", "-f", "-", stdin=FUNCTIONS)
    seed, since = int(os.environ.get("NAMES_SEED", secrets.randbits(32))), len(target_log().encode())
    print(f"seed {seed} ", end="", flush=True)
    dice, rows = random.Random(seed), 0
    w, talker, tries = opened(), Talker(dice), []
    at_end(lambda: w.close())  # pylint: disable=unnecessary-lambda
    for _ in range(BATCHES):
        tries.append(b"".join(talker.messages() for _ in range(dice.randint(1, 2))))
        try:
            got = play(w, tries[-1])
        except (Closed, OSError) as e:
            check(False, f"the session ended: {e}\n{replay(tries)}\n{target_log(since)[-2000:]}")
        rows += sum(k == "D" for k, _ in got)
        found = eyes.see(b"".join(b for k, b in got if k in "DdENVT"), [])
        check(not found, f"a planted value\n{replay(tries)}")
        if got[-1] == ("Z", b"E"):
            play(w, query("rollback to a") if dice.random() < 0.5 else query("rollback") + query("begin") + query("savepoint a"))
            talker.cursors.clear()
        if len(tries) > 25:
            w.close()
            w, talker, tries = opened(), Talker(dice), []
    check("terminated by signal" not in target_log(since), target_log(since)[-2000:])
    check(rows > BATCHES / 20, f"{rows} rows of {BATCHES} batches prove nothing")
    print(f"{rows} rows", end=" ", flush=True)
