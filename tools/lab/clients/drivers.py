#!/usr/bin/python3
"""Each way in which a Python driver talks to a server, one after the other: prints "WAY ok" for each. The connection is in PGHOST and so
on. Usage: drivers.py psycopg2|psycopg|asyncpg|pg8000"""
import asyncio
import io
import os
import ssl
import sys
import threading

ROWS = 2000
LINES = "".join(f"{i}\tzeile ä {i}\n" for i in range(ROWS))


def say(way):
    print(f"{way} ok", flush=True)


def same(got, want):
    assert got == want, f"{got!r}, not {want!r}"


def with_psycopg2():
    import psycopg2
    import psycopg2.extras
    c = psycopg2.connect("")
    c.autocommit = True
    cur = c.cursor()
    cur.execute("select 42, 'ä'")
    same(cur.fetchall(), [(42, "ä")])
    cur.execute("select %s * 2, %s::text", (21, None))
    same(cur.fetchall(), [(42, None)])
    say("plain")
    cur.execute("prepare twice (int) as select $1 * 2")
    for n in (1, 2, 3):
        cur.execute("execute twice (%s)", (n,))
        same(cur.fetchone(), (n * 2,))
    say("prepared")
    c.autocommit = False
    with c.cursor("server_side") as named:
        named.itersize = 100
        named.execute("select generate_series(1, 1000)")
        same(sum(r[0] for r in named), 500500)
    c.commit()
    say("cursor")
    cur.execute("create temp table lines (i int, t text)")
    cur.copy_expert("copy lines from stdin", io.StringIO(LINES))
    out = io.StringIO()
    cur.copy_expert("copy (select * from lines order by i) to stdout", out)
    same(out.getvalue(), LINES)
    c.commit()
    say("copy")
    threading.Timer(0.3, c.cancel).start()
    try:
        cur.execute("select pg_sleep(30)")
        raise AssertionError("was not cancelled")
    except psycopg2.errors.QueryCanceled:  # pylint: disable=no-member
        c.rollback()
    cur.execute("select 1")
    same(cur.fetchone(), (1,))
    say("cancel")
    c.close()


def with_psycopg():
    import psycopg
    c = psycopg.connect("", autocommit=True)
    same(c.execute("select 42, 'ä'").fetchall(), [(42, "ä")])
    same(c.execute("select %s * 2, %s::text", (21, None)).fetchall(), [(42, None)])
    say("plain")
    for n in (1, 2, 3):
        same(c.execute("select %s * 2", (n,), prepare=True).fetchone(), (n * 2,))
    say("prepared")
    with c.pipeline():
        cursors = [c.execute("select %s::int", (n,)) for n in range(50)]
    same([x.fetchone()[0] for x in cursors], list(range(50)))
    try:
        with c.pipeline():
            c.execute("select 1 / %s", (0,))
            c.execute("select 2")
        raise AssertionError("no error")
    except psycopg.errors.DivisionByZero:
        pass
    same(c.execute("select 3").fetchone(), (3,))
    # It keeps 100 of them prepared, and drops those before when it knows how they went.
    cursors = []
    with c.pipeline() as pipeline:
        for n in range(400):
            cursors.append(c.execute(f"select {n}, %s::int", (n,), prepare=True))
            if n % 50 == 0:
                pipeline.sync()
    same([x.fetchone() for x in cursors], [(n, n) for n in range(400)])
    say("pipelined")
    cur = c.cursor(binary=True)
    same(cur.execute("select %b::int8, %b::bytea, 1.5::numeric, now() is not null", (-7, b"\x00\xff")).fetchone()[:2], (-7, b"\x00\xff"))
    say("binary")
    c.execute("create temp table lines (i int, t text)")
    with cur.copy("copy lines from stdin") as copy:
        copy.write(LINES)
    with cur.copy("copy (select * from lines order by i) to stdout") as copy:
        same(b"".join(bytes(x) for x in copy).decode(), LINES)
    say("copy")
    threading.Timer(0.3, c.cancel).start()
    try:
        c.execute("select pg_sleep(30)")
        raise AssertionError("was not cancelled")
    except psycopg.errors.QueryCanceled:
        pass
    same(c.execute("select 1").fetchone(), (1,))
    say("cancel")
    c.close()


async def with_asyncpg():
    import asyncpg
    tls = ssl.create_default_context(cafile=os.environ["PGSSLROOTCERT"])
    c = await asyncpg.connect(ssl=tls)
    await c.execute("select 42; select 43")
    same(tuple(await c.fetchrow("select 42, 'ä'")), (42, "ä"))
    say("plain")
    twice = await c.prepare("select $1::int * 2")
    same([await twice.fetchval(n) for n in (1, 2, 3)], [2, 4, 6])
    say("prepared")
    same(tuple(await c.fetchrow("select $1::int8, $2::bytea, $3::numeric(4,1)", -7, b"\x00\xff", 3))[:2], (-7, b"\x00\xff"))
    say("binary")
    await c.execute("create temp table lines (i int, t text)")
    await c.executemany("insert into lines values ($1, $2)", [(n, str(n)) for n in range(200)])
    same(await c.fetchval("select count(*) from lines"), 200)
    say("pipelined")
    await c.execute("truncate lines")
    await c.copy_records_to_table("lines", records=[(i, f"zeile ä {i}") for i in range(ROWS)])
    out = io.BytesIO()
    await c.copy_from_query("select * from lines order by i", output=out)
    same(out.getvalue().decode(), LINES)
    say("copy")
    try:
        await c.execute("select pg_sleep(30)", timeout=0.3)
        raise AssertionError("was not cancelled")
    except asyncio.TimeoutError:
        pass
    same(await c.fetchval("select 1"), 1)
    say("cancel")
    await c.close()


def with_pg8000():
    import pg8000
    env = os.environ
    # Its own login speaks TLS; this version verifies no certificate.
    c = pg8000.connect(user=env["PGUSER"], host=env["PGHOST"], port=int(env["PGPORT"]), database=env["PGDATABASE"], password=env["PGPASSWORD"],
                       ssl=True)
    cur = c.cursor()
    cur.execute("select 42, 'ä'")
    same([tuple(r) for r in cur.fetchall()], [(42, "ä")])
    say("plain")
    for n in (1, 2, 3):
        cur.execute("select %s::int * 2", (n,))
        same(cur.fetchone()[0], n * 2)
    say("prepared")
    cur.execute("create temp table lines (i int, t text)")
    cur.execute("copy lines from stdin", stream=io.BytesIO(LINES.encode()))
    out = io.BytesIO()
    cur.execute("copy (select * from lines order by i) to stdout", stream=out)
    same(out.getvalue().decode(), LINES)
    c.rollback()
    say("copy")
    c.close()


if __name__ == "__main__":
    driver = globals()[f"with_{sys.argv[1]}"]
    if asyncio.iscoroutinefunction(driver):
        asyncio.run(driver())
    else:
        driver()
