"""Masks by the target's catalog: views and the like, what changes in it, and who has to wait for it."""

import re
import time

from labtest import admin, at_end, check, eventually, gateway_start, lab, psql, same, session, test
from pgwire import query

HIDDEN = "hidden"
CANARY = "c4n4ry-"

SCHEMA = """
drop schema if exists vault cascade;
create schema vault;
create table vault.people (id int primary key, code text, note text, tail text generated always as (right(code, 4)) stored);
insert into vault.people (id, code, note) values (1, 'c4n4ry-one-1111', 'first'), (2, 'c4n4ry-two-2222', 'second');
create view vault.v_copy as select id, code as plain from vault.people;
create view vault.v_again as select plain as x, id from vault.v_copy;
create view vault.v_calc as select id, 'it is ' || code as said, note from vault.people;
create view vault.v_union as select note as a from vault.people union all select code from vault.people;
create view vault.v_cte as with w as (select code as y from vault.people) select y from w;
create view vault.v_row as select p as whole from vault.people p;
create materialized view vault.mv as select code as m, id from vault.people;
create table vault.heirs (more text) inherits (vault.people);
insert into vault.heirs (id, code, note) values (3, 'c4n4ry-three-3333', 'third');
create table vault.parted (id int, code text) partition by range (id);
create table vault.parted_1 partition of vault.parted for values from (0) to (10);
insert into vault.parted values (1, 'c4n4ry-four-4444');
create table vault.holder (p vault.people);
insert into vault.holder select p from vault.people p;
alter schema vault owner to shop_app;
do $$ declare r record; begin
  for r in select c.oid::regclass as t, c.relkind as k from pg_class c where c.relnamespace = 'vault'::regnamespace and c.relkind in ('r', 'v', 'm', 'p') loop
    execute format('alter %s %s owner to shop_app', case r.k when 'v' then 'view' when 'm' then 'materialized view' else 'table' end, r.t);
  end loop;
end $$;
"""

# Statement, and what its rows are; None: anything that has no value of the hidden column.
READS = (
    ("select code from vault.people order by id", f"{HIDDEN}\n{HIDDEN}\n{HIDDEN}\n"),
    ("select id, code as id2, note from vault.people where id = 1", f"1|{HIDDEN}|first\n"),
    ("select plain from vault.v_copy where id = 1", f"{HIDDEN}\n"),
    ("select x from vault.v_again where id = 2", f"{HIDDEN}\n"),
    ("select id, note from vault.v_calc where id = 1", "1|first\n"),
    ("select said from vault.v_calc", None),
    ("select a from vault.v_union", None),
    ("select y from vault.v_cte", None),
    ("select whole from vault.v_row", None),
    ("select m from vault.mv where id = 1", f"{HIDDEN}\n"),
    ("select code from vault.heirs", f"{HIDDEN}\n"),
    ("select code from vault.parted", f"{HIDDEN}\n"),
    ("select code from vault.parted_1", f"{HIDDEN}\n"),
    ("select tail from vault.people", None),
    ("select p from vault.holder", None),
    ("select most_common_vals from pg_stats where schemaname = 'vault'", None),
)


def prepare():
    admin(SCHEMA, "bench")
    admin("analyze vault.people", "bench")
    at_end(lambda: admin("drop schema if exists vault cascade", "bench"))


def restart(**settings):
    lab("gateway", "stop")
    gateway_start(**settings)


def rows(w, sql):
    return [[v if v is None else v.decode() for v in r] for r in w.simple(sql)]


def read(sql, **more):
    done = psql("reader", "-c", sql, resource="origin", database="bench", **more)
    for part in (CANARY, "1111", "2222", "3333", "4444"):
        check(part not in done.stdout + done.stderr, f"{sql}: what is hidden comes out:\n{done.stdout}{done.stderr}")
    return done


@test
def origin_views_and_partitions():
    prepare()
    for sql, want in READS:
        done = read(sql)
        if want is not None:
            same(done.stdout, want, f"{sql} {done.stderr}")
    truth = psql("bench", "-c", "select code from vault.people where id = 1", resource="origin", database="bench").stdout
    same(truth, "c4n4ry-one-1111\n", "the caller whom no mask is for")


@test
def origin_changes_through_the_gateway():
    """The statement behind a change, of another session too, is read by the catalog as it is then."""
    prepare()
    with session("reader", "origin", database="bench") as reader, session("bench", "origin", database="bench") as owner:
        same(rows(reader, "select plain from vault.v_copy where id = 1"), [[HIDDEN]], "before")
        for i in range(5):
            owner.simple(f"create view vault.late{i} as select code as fresh from vault.people")
            same(rows(reader, f"select fresh from vault.late{i} limit 1"), [[HIDDEN]], f"a view that is new ({i})")
        owner.simple("begin")
        owner.simple("create view vault.later as select code as fresh, id from vault.people")
        owner.simple("commit")
        same(rows(reader, "select fresh from vault.later where id = 1"), [[HIDDEN]], "a view made in a transaction")
        owner.simple("create or replace view vault.later as select note as fresh, id from vault.people")
        same(rows(reader, "select fresh from vault.later where id = 1"), [["first"]], "a view that hides nothing any more")


@test
def origin_changes_behind_the_gateway():
    """What the gateway does not see it knows when what it knows is too old."""
    prepare()
    restart(GW_CATALOG_AGE="1s")
    try:
        with session("reader", "origin", database="bench") as reader:
            same(rows(reader, "select plain from vault.v_copy where id = 1"), [[HIDDEN]], "before")
            admin("create view vault.behind as select code as fresh, id from vault.people; grant select on vault.behind to public", "bench")
            for fresh, _ in rows(reader, "select fresh, id from vault.behind"):
                check(fresh is None or CANARY not in fresh, f"a view that is not known yet: {fresh}")
            admin("create or replace view vault.v_calc as select id, code as said, note from vault.people", "bench")
            eventually(lambda: rows(reader, "select said, id from vault.v_calc where id = 1") == [[HIDDEN, "1"]], "the view is known", 5)
            same(rows(reader, "select fresh, id from vault.behind where id = 1"), [[HIDDEN, "1"]], "and the new one")
    finally:
        restart()


SIDES = "".join(f"""
create table vault.side_{t} (id int, h text, hn int, hu uuid, t text);
insert into vault.side_{t} select i, 'c4n4ry-' || i, 100000 + i, md5(i::text)::uuid, '4000-1234-5678-' || 1000 + i from generate_series({first}, {first + 9}) i;
grant select on vault.side_{t} to public;
""" for t, first in (("a", 1), ("b", 6), ("c", 1)))


@test
def origin_masks_that_join():
    """Equal values have equal masks under one key: in two tables, on two workers, and after a restart; under another key they have others."""
    prepare()
    admin(SIDES, "bench")

    def side(w, name):
        return {int(r[0]): r[1:] for r in rows(w, f"select * from vault.side_{name}")}

    with session("reader", "origin", database="bench") as w:
        a, b, c = (side(w, t) for t in "abc")
    both = sorted(set(a) & set(b))
    same(both, [6, 7, 8, 9, 10], "rows of both tables")
    for column in range(4):
        joined = [(i, k) for i in a for k in b if a[i][column] == b[k][column]]
        same(sorted(joined), [(i, i) for i in both], f"a join on column {column} as it is masked")
        check(not {r[column] for r in a.values()} & {r[column] for r in c.values()}, f"column {column} under another key")
    check(all(re.fullmatch(r"\d{4}-\d{4}-\d{4}-\d{4}", r[3]) for r in a.values()), f"the form of tokens: {a}")
    check(not any(f"4000-1234-5678-{1000 + i}" == r[3] or str(100000 + i) == r[1] for i, r in a.items()), f"plain values: {a}")
    try:
        restart(GW_WORKERS=2)
        for _ in range(6):  # both workers, all but surely
            with session("reader", "origin", database="bench") as w:
                same((side(w, "a"), side(w, "b"), side(w, "c")), (a, b, c), "the same masks on another worker, after a restart")
    finally:
        restart()


@test
def origin_made_behind_the_gateway():
    """A name that the catalog does not have is asked for anew before the statement runs, once a second at most; what is not there then can hold
    anything."""
    prepare()
    with session("reader", "origin", database="bench") as reader:
        for n in range(2):
            time.sleep(1.1)
            admin(f"create view vault.unseen{n} as select code as fresh, id from vault.people; grant select on vault.unseen{n} to public", "bench")
            same(rows(reader, f"select id, upper(fresh), length(fresh || '') is null from vault.unseen{n} where id = 1")[0][:2], ["1", HIDDEN],
                 "a view that is asked for")
        admin("create view vault.unseen as select code as fresh, id from vault.people; grant select on vault.unseen to public", "bench")
        for sql in ("select upper(fresh) from vault.unseen", "select u from vault.unseen u", "copy vault.unseen to stdout",
                    "copy (select fresh from vault.unseen) to stdout", "select row_to_json(u) from vault.unseen u"):
            reader.send(query(sql))
            said = b"".join(body for _, body in reader.until("Z"))
            check(CANARY.encode() not in said and CANARY.upper().encode() not in said, f"{sql}: {said}")


@test
def origin_target_without_a_catalog():
    """Nobody whom masks of columns are for gets in when the target's catalog cannot be read."""
    prepare()
    admin("revoke select on pg_catalog.pg_rewrite from public", "bench")
    try:
        restart()
        done = read("select 1")
        check(done.returncode != 0, f"a session without a catalog: {done.stdout}")
        check("catalog" in done.stderr, done.stderr)
        truth = psql("bench", "-c", "select 1", resource="origin", database="bench")
        same(truth.stdout, "1\n", "the caller whom no mask is for")
    finally:
        admin("grant select on pg_catalog.pg_rewrite to public", "bench")
    eventually(lambda: read("select 1").stdout == "1\n", "sessions when the catalog can be read again", 5)
