"""One soak, from the tables to the summary."""
import os
import time

from labtest import DIR, Failure, admin, direct as as_app, gateway_alive, gateway_log

from . import behind, load
from .base import DATABASE, ROWS, TABLES, World
from .others import Drivers, Locked
from .scripts import Client, plain
from .versions import Reloader, Versions

JOIN_S = 180


def tables(clients):
    """Everything made up anew, as the application's user."""
    admin(f"drop database if exists {DATABASE} with (force)", "postgres")
    admin(f"create database {DATABASE} owner shop_app", "postgres")
    sql = ["create table never (id int, k text)", "create table own (k text, id int, v text, primary key (k, id))",
           "create table free (id int primary key, ver text)", "insert into free values (1, '-')",
           "create table held_free (id int primary key, v text)", f"insert into held_free select g, 'free' from generate_series(0, {clients}) g"]
    for t in ("held", "held_short"):
        sql += [f"create table {t} (id int primary key, ver text, v text)", f"insert into {t} select g, '-', 'new' from generate_series(0, {clients}) g"]
    for t in TABLES:
        sql += [f"create table {t} (id int primary key, ver text, secret text, plain text)",
                f"insert into {t} select g, '-', 'cnry' || substr(md5(g::text || '{t}'), 1, 12), '{plain(t, '')}' || g from generate_series(1, {ROWS}) g"]
    as_app("psql", "-X", "-q", "-v", "ON_ERROR_STOP=1", "-d", DATABASE, "-c", "; ".join(sql))


def size(path):
    return os.path.getsize(path) if os.path.exists(path) else 0


def soak(seconds, clients, seed, rate, reload_s, pace, scale=2, verbose=True):
    """Runs it on the lab and the gateway that stand; the World with everything that was counted and found."""
    world = World(seed, pace=pace, verbose=verbose)
    gw_from, pg_from, since_us = size(f"{DIR}/gw/log"), size(f"{DIR}/pg/log"), time.time_ns() // 1000
    tables(clients)
    load.prepare(scale)
    world.versions = Versions(world)
    world.versions.post()
    before = behind.pools()
    commands = behind.counter("commands")
    until = time.monotonic() + seconds
    sampler, auditor = behind.Sampler(world), behind.Auditor(world)
    loads = [load.Pgbench(world, "tpcb-like", 4, rate, 300, until), load.Pgbench(world, "select-only", 2, 3 * rate, 290, until)]
    threads = [Client(world, n, clients) for n in range(clients)] + [Locked(world), Drivers(world), Reloader(world, reload_s), sampler, *loads]
    for t in (auditor, *threads):
        t.daemon = True
        t.start()
    progress(world, until)
    world.stop.set()
    for t in threads:
        t.join(JOIN_S)
        if t.is_alive():
            world.finding(f"{t.name} does not end")
    auditor.over.set()
    auditor.join(JOIN_S)
    if auditor.is_alive():
        world.finding(f"{len(world.audits)} sessions are not audited")
    at_the_end(world, loads, since_us, before, commands, gw_from, pg_from)
    sampler.judge()
    return world


def progress(world, until):
    last = time.monotonic()
    while time.monotonic() < until:
        time.sleep(min(0.5, max(0, until - time.monotonic())))
        if not gateway_alive():
            world.finding(f"sluiced has ended:\n{gateway_log(12)}")
            return
        if time.monotonic() - last >= 60:
            last = time.monotonic()
            c = world.counts
            print(f"{time.strftime('%H:%M:%S')} {c['sessions']} sessions, {c['denied']} denied, {c['held']} held, {c['policy versions']} versions, "
                  f"{c['commands whose records agree']} commands audited, {len(world.audits)} sessions to audit, {len(world.findings)} wrong, "
                  f"{len(world.leaks)} leaks, {behind.memory() >> 20} MB, store {size(f'{DIR}/gw/store/data.mdb') >> 20} MB", flush=True)


def at_the_end(world, loads, since_us, before, commands, gw_from, pg_from):
    checks = (world.versions.restore,
              lambda: behind.nothing_left(world),
              lambda: load.balanced(world, next(p.transactions for p in loads if p.script == "tpcb-like")),
              lambda: behind.all_counted(world, loads, since_us, commands),
              lambda: behind.pools_flat(world, before),
              lambda: behind.logs(world, gw_from, pg_from))
    for check in checks:
        try:
            check()
        except (Failure, OSError, LookupError, TypeError, ValueError) as e:
            world.finding(f"at the end: {type(e).__name__} {e}")


def summary(world, seconds):
    print(f"---- {seconds} s, seed {world.seed}")
    for name, n in sorted(world.counts.items()):
        print(f"{n:>12}  {name}")
    print(f"{len(world.findings):>12}  wrong answers or states")
    print(f"{len(world.leaks):>12}  leaked bytes (marks of others, canaries)")
    for text in (world.findings + world.leaks)[:40]:
        print(f"  {text[:400]}")
    return 1 if world.findings or world.leaks else 0
