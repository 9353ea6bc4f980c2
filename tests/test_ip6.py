"""IPv6 on either side of the gateway: clients, targets and what the status says of the addresses."""
import re

from labtest import (LISTENER, api_ok, check, contains, eventually, latest_ended, marker, never_arrives, psql, same, sluice,
                     target_log, test)

GATEWAY = {4: LISTENER[0], 6: "fd99:1::1"}
CLIENT = {4: "10.99.1.2", 6: "fd99:1::2"}
RESOURCE = {4: "shop", 6: "shop6"}
TOWARDS_TARGET = {4: "10.99.2.1", 6: "fd99:2::1"}
ROWS = 3000


def through(client, target, sql, **more):
    """psql to the gateway by one family, the gateway to PostgreSQL by another."""
    return psql("reader", "-c", sql, resource=RESOURCE[target], database="shop", host=GATEWAY[client], **more)


def came_from(mark):
    """The address that the target says a statement came from."""
    line = eventually(lambda: next((x for x in target_log().splitlines() if mark in x), None), f"{mark} in the target's log")
    return re.search(r" host=(\S+)", line).group(1)


@test
def families_all_four():
    for client in (4, 6):
        for target in (4, 6):
            what = f"a client of IPv{client} and a target of IPv{target}"
            mark = marker()
            same(through(client, target, f"select '{mark}'", check_rc=True).stdout, mark + "\n", what)
            same(came_from(mark), TOWARDS_TARGET[target], f"{what}: the target's client")
            session = latest_ended("reader")
            contains(str(session), CLIENT[client], f"{what}: the session")
            same(session["resource"], RESOURCE[target], f"{what}: the session's resource")


@test
def families_bulk():
    """More than any window, in both directions."""
    for client, target in ((6, 6), (4, 6), (6, 4)):
        done = through(client, target, f"select repeat('0123456789', 100) from generate_series(1, {ROWS})", check_rc=True)
        same(done.stdout, ("0123456789" * 100 + "\n") * ROWS, f"{ROWS} rows, IPv{client} to IPv{target}")
        text = "abcdefghij" * 20_000
        done = psql("reader", resource=RESOURCE[target], database="shop", host=GATEWAY[client], check_rc=True,
                    stdin=f"select length('{text}')")
        same(done.stdout, "200000\n", f"a long statement, IPv{client} to IPv{target}")


@test
def families_policy_is_the_same():
    mark = marker()
    done = through(6, 6, f"delete from customers where name = '{mark}'")
    check(done.returncode != 0, "a delete by who may only read")
    contains(done.stderr, "ERROR:", "the denial")
    never_arrives(mark)


@test
def status_shows_addresses():
    ports = api_ok("noc", "GET", "/v1/status")["ports"]
    same([[a["address"] for a in p["addresses"]] for p in ports],
         [["10.99.1.1/24", "fd99:1::1/64"], ["10.99.2.1/24", "fd99:2::1/64"]], "the ports' addresses")
    for p in ports:
        for a in p["addresses"]:
            same(a["state"], "ready", a["address"])
    contains(sluice("noc", "status").stdout, "fd99:2::1/64", "sluice status")
