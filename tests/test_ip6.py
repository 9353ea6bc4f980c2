"""IP as hosts of both families see it: IPv6 on either side of the gateway, fragments, what the status says of the addresses."""
import contextlib
import os
import re
import socket
import struct

import pgwire
from labtest import (CLIENT as CLIENT_NS, LISTENER, api_ok, check, contains, eventually, latest_ended, marker, never_arrives, psql, run, same, sluice,
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


# ---- fragments: the client's kernel cuts what is longer than its route says ----

PATH_MTU = 1280
ECHO_BYTES = 1400


@contextlib.contextmanager
def narrow_route(family):
    route = ["ip", "-n", CLIENT_NS, f"-{family}", "route"]
    what = [f"{GATEWAY[family]}/{32 if family == 4 else 128}", "dev", "data0"]
    run([*route, "add", *what, "mtu", str(PATH_MTU)])
    try:
        yield
    finally:
        run([*route, "del", *what])


def checksum(data):
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xffff) + (total >> 16)
    return ~total & 0xffff


def echo(family, payload):
    """The payload that comes back. ICMPv6's checksum is the kernel's business."""
    with pgwire.namespace(CLIENT_NS):
        kind, protocol = (socket.AF_INET, socket.IPPROTO_ICMP) if family == 4 else (socket.AF_INET6, socket.IPPROTO_ICMPV6)
        sock = socket.socket(kind, socket.SOCK_RAW, protocol)
    with sock:
        if family == 4:
            sock.setsockopt(socket.IPPROTO_IP, 10, 0)  # IP_MTU_DISCOVER, IP_PMTUDISC_DONT: no DF
        request, reply = (8, 0) if family == 4 else (128, 129)
        head = struct.pack("!BBHHH", request, 0, 0, os.getpid() & 0xffff, 1)
        head = struct.pack("!BBHHH", request, 0, checksum(head + payload), os.getpid() & 0xffff, 1)
        sock.settimeout(5)
        sock.sendto(head + payload, (GATEWAY[family], 0))
        while True:
            got = sock.recv(65535)[20 if family == 4 else 0:]
            if got[0] == reply and got[4:8] == head[4:]:
                return got[8:]


def fragments_made(family):
    text = run(["ip", "netns", "exec", CLIENT_NS, "cat", "/proc/net/snmp" if family == 4 else "/proc/net/snmp6"]).stdout
    if family == 6:
        return int(re.search(r"^Ip6FragCreates\s+(\d+)", text, re.M).group(1))
    names, values = [line.split() for line in text.splitlines() if line.startswith("Ip:")]
    return int(values[names.index("FragCreates")])


@test
def fragments_are_put_together():
    payload = os.urandom(ECHO_BYTES)
    for family in (4, 6):
        before = fragments_made(family)
        with narrow_route(family):
            check(echo(family, payload) == payload, f"an echo of {ECHO_BYTES} bytes in fragments, IPv{family}")
        same(fragments_made(family) - before, 2, f"fragments of IPv{family} that the client's kernel made")
