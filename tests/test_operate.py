"""What an operator sees of a gateway at work: its TCP connections and what happened to them; connections that must live long."""
import contextlib
import os
import re
import socket
import subprocess
import time

import pgwire
from labtest import (LISTENER, ROOT, admin, check, contains, eventually, finish, gateway_log, gateway_start, lab, marker, pending,
                     psql_start, same, session, sluice, test)


def connections():
    """The rows of `sluice tcp ls`: (id, state, receive queue, send queue, local, peer, the line below)."""
    rows, text = [], sluice("noc", "tcp", "ls").stdout
    for line in text.splitlines()[1:]:
        if line.startswith(" ") and rows:
            rows[-1] = rows[-1][:6] + [line.strip()]
        else:
            rows.append(line.split() + [""])
    for r in rows:
        check(len(r) == 7 and re.fullmatch("[0-9a-f]{16}", r[0]), f"not a row of tcp ls: {r}\n{text}")
    return rows


def legs():
    """Both connections of the one session that is live: the client's, and ours to the target."""
    rows = [r for r in connections() if r[1] == "ESTABLISHED"]
    client = [r for r in rows if r[4] == f"{LISTENER[0]}:{LISTENER[1]}"]
    target = [r for r in rows if r[5].endswith(":5432")]
    return (client[0], target[0]) if (len(client), len(target)) == (1, 1) else None


def trace(connection):
    return sluice("noc", "tcp", "trace", connection).stdout


@test
def tcp_is_listed_and_traced():
    """A live psql: both legs with figures that are alive, their events from the handshake on, and what is left when it is over."""
    waiting = psql_start("agent-7", "-c", "select 'begun'", "-c", "\\! sleep 4", "-c", "select 'over'")
    client, target = eventually(legs, "two legs in sluice tcp ls")
    for leg in (client, target):
        for name in ("mss:", "rtt:", "snd_wnd:", "rcv_wnd:", "bytes_sent:", "bytes_received:", "segs_out:", "segs_in:"):
            contains(leg[6], name, f"the figures of {leg[4]} {leg[5]}")
    events = trace(client[0])
    for name in ("open passive=1", "established", " rx ", " tx ", " acked "):
        contains(events, name, "the trace of the client's leg")
    check(events.index("open passive=1") < events.index("established") < events.index(" tx "), f"out of order:\n{events}")
    contains(trace(target[0]), "open passive=0", "the trace of the target's leg")
    contains(trace(target[0]), "established", "the trace of the target's leg")
    rc, out, err = finish(waiting)
    same((rc, out), (0, "begun\nover\n"), f"psql that was watched ({err})")
    eventually(lambda: not any(r[0] == client[0] for r in connections()), "the end of the connection in the list")
    check(sluice("noc", "tcp", "trace", "0123456789abcdef", check_rc=False).returncode != 0, "a trace of nothing")


# ---- cores ----


@test
def linux_leaves_the_workers_cores():
    """tools/isolate: the kernel's threads and queues and programs go to the cores that are left to them, and back; nothing is lost on the way."""
    def isolate(*args):
        return subprocess.run([f"{ROOT}/tools/isolate", *args], capture_output=True, text=True, check=False)

    def cores():
        """(KIND, ID) -> cores. The threads that serve the kernel's queues come and go by themselves."""
        rows = [line.split() for line in isolate("--show").stdout.splitlines()]
        names = {}
        for kind, name, _ in rows:
            if kind == "thread":
                with contextlib.suppress(OSError), open(f"/proc/{name}/comm", encoding="ascii", errors="replace") as f:
                    names[name] = f.read()
        return {(kind, name): where for kind, name, where in rows if kind != "thread" or not names.get(name, "kworker").startswith("kworker")}

    last = str(os.cpu_count() - 1)
    refused = isolate(str(os.cpu_count()))
    check(refused.returncode != 0 and "no such cores" in refused.stderr, f"a core that is not there: {refused}")
    check(isolate("--undo").returncode != 0, "nothing to undo, and undone")
    sleepers = [subprocess.Popen(["taskset", "-c", of, "sleep", "600"]) for of in ("0-" + last, "0", last)]
    before = cores()
    try:
        for _ in range(2):
            done = isolate("0")
            same(done.returncode, 0, f"isolate 0: {done.stderr}")
            now = cores()
            same([os.sched_getaffinity(p.pid) for p in sleepers], [{0}, {0}, {int(last)}], "the cores of a program, and of two that were given theirs")
            same((now["queues", "-"].replace(",", "").lstrip("0"), now["thread", "2"]), ("1", "0"), "the queues' cores, and those of threads to come")
            check(all(now[key] == "0" or now[key] == where for key, where in before.items() if key[0] != "queues" and key[1] != "default"),
                  f"something is elsewhere: {now}")
        sleepers.append(subprocess.Popen(["sleep", "600"]))
        same(os.sched_getaffinity(sleepers[-1].pid), {0}, "the cores of a program that is started then")
    finally:
        done = isolate("--undo")
        where = [os.sched_getaffinity(p.pid) for p in sleepers]
        for p in sleepers:
            p.kill()
            p.wait()
    same(done.returncode, 0, f"isolate --undo: {done.stderr}")
    same(cores(), before, "where it was")
    every = set(range(os.cpu_count()))
    same(where, [every, {0}, {int(last)}, every], "the cores of programs, afterwards")


# ---- connections that wait ----

USER_TIMEOUT_MS = 5000  # a client that gives up when its bytes are stuck for longer
PIPELINED, STATEMENT_BYTES = 45, 10_000  # more than a receive buffer (256 KiB), less than what a hold takes besides it


@test
def tcp_hold_outlives_user_timeout():
    """A hold longer than the client's patience with a shut window, with more behind the held statement than a buffer takes."""
    mark = marker()
    with session(timeout=30) as w:
        w.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, USER_TIMEOUT_MS)
        w.send(pgwire.query(f"update customers set city = '{mark}' where id = 17"))
        found = pending(mark)
        for i in range(PIPELINED):
            w.send(pgwire.query(f"select {i}, length('{'x' * STATEMENT_BYTES}')"))
        leg = eventually(lambda: next((r for r in connections() if int(r[2]) > 300_000), None), "a full receive queue")
        contains(leg[6], "rcv_wnd:", "the figures of a held connection")  # not shut: zero is not printed
        time.sleep(2 * USER_TIMEOUT_MS / 1000)
        check(mark not in admin("select city from customers where id = 17"), "the UPDATE has run")
        sluice("alice", "approvals", "approve", found["id"])
        same(pgwire.kinds(w.until("Z"))[-2:], "CZ", "the answer to the held UPDATE")
        for i in range(PIPELINED):
            rows = [pgwire.row(body) for kind, body in w.until("Z") if kind == "D"]
            same(rows, [[str(i).encode(), str(STATEMENT_BYTES).encode()]], f"the answer to statement {i} behind it")
        same(w.simple("select 'alive'"), [[b"alive"]], "the connection afterwards")
    same(admin("select city from customers where id = 17"), mark, "the row")


BAD_WIRE = "seed: 11, receive: { drop: 2%, duplicate: 2%, reorder: 3%, corrupt: 1% }, send: { drop: 2%, delay: 2ms, jitter: 1ms }"


@test
def tcp_over_a_bad_wire():
    """The same rows come, and the same go, over wires that lose, double, turn and damage packets."""
    lab("gateway", "stop")
    try:
        gateway_start(GW_IMPAIR=BAD_WIRE)
        contains(gateway_log(), "plays a bad network", "the log of a gateway on bad wires")
        with session(timeout=30) as w:
            for i in range(3):
                rows = w.simple(f"select g, repeat('x{i}', 100) from generate_series(1, 3000) g")
                same(rows, [[str(g).encode(), f"x{i}".encode() * 100] for g in range(1, 3001)], "rows over a bad wire")
            same(w.simple(f"select length('{'y' * 500_000}')"), [[b"500000"]], "a statement over a bad wire")
            leg = eventually(legs, "two legs in sluice tcp ls")[0]
            contains(leg[6], "retrans:", "the client leg's figures")
    finally:
        lab("gateway", "stop")
        gateway_start()
