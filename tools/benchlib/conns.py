"""tools/bench conns: many connections through the relay, a DPDK peer on both sides: all opened with one exchange each, all idle,
all used once more, all closed, and again. Afterwards nothing may be left: sessions, connections, mbufs; and a second round may
not need more memory than the first.
"""
import os
import shutil
import tempfile

from . import base
from .base import Broken, Stack, say
from .stack import devices, ports

# One pair of addresses and a port has ports for about 49,000 connections, those of a minute ago (TIME_WAIT) counted.
LISTENERS = 8
PHASE_S = 300


def eal(work, name, conns):
    role = "client" if name == "drive" else "server"
    return ["--no-huge", "-m", str(512 + conns // 100), f"--file-prefix=slconns-{os.getpid()}-{name}", *devices(work, role)]


def run(work, conns, hold, rounds):
    listen, far, remote = [], [], []
    for i in range(LISTENERS):
        listen += ["--listen", f"relay,10.0.1.1:{7000 + i},10.0.2.2:{7100 + i}"]
        far += ["--listen", f"echo,10.0.2.2:{7100 + i}"]
        remote += ["--remote", f"10.0.1.1:{7000 + i}"]
    common = ["--max-conns", str(2 * conns + 4096), "--mbufs", str(65536 + conns), "--interval", "100"]
    relay = Stack("serve", [*ports(1), *listen, *common], eal(work, "relay", conns))
    drive = None
    try:
        start = relay.ready().lines[-1]
        drive = Stack("drive", [*ports(2), *far, *remote, *common, "--load", "conns", "--conns", str(conns), "--hold", str(hold),
                                "--rounds", str(rounds), "--stay"], eal(work, "drive", conns), core=base.FIRST)
        idle = []
        for i in range(rounds):
            drive.wait_for(lambda line, i=i: line["load"]["round"] == i and line["load"]["phase"] == "idle", PHASE_S, f"all open, round {i + 1}")
            line = relay.fresh()
            idle.append((line["services"]["sessions"], line["heap_bytes"] - start["heap_bytes"], line["rss_bytes"] - start["rss_bytes"],
                         line["mbufs"]["free"]))
            drive.wait_for(lambda line, i=i: line["load"]["round"] > i, 2 * PHASE_S + hold, f"all closed, round {i + 1}")
        # It stays: memif's driver does not always survive a peer that goes while it polls.
        last = drive.wait_for(lambda line: line["load"]["phase"] == "done", 60, "the end of the load")
        relay.wait_for(lambda line: line["conns"] == 0 and line["mbufs"]["free"] >= line["mbufs"]["at_start"] - 256, 90,
                       "a relay with nothing left")
        end = relay.fresh()
    finally:
        if drive:
            drive.stop()
        relay.stop()
    return idle, last, start, end


def check(conns, rounds, idle, last, end):
    problems = []
    if last["load"]["failed"] or last["load"]["replies"] != 2 * conns * rounds:
        problems.append(f"{last['load']['failed']} connections failed, {last['load']['replies']} replies of {2 * conns * rounds}")
    if any(i[0] != conns for i in idle):
        problems.append(f"sessions while idle: {[i[0] for i in idle]}")
    if end["services"]["sessions"] or end["conns"]:
        problems.append(f"left behind: {end['services']['sessions']} sessions, {end['conns']} connections")
    if end["mbufs"]["free"] < end["mbufs"]["at_start"] - 256:
        problems.append(f"mbufs: {end['mbufs']}")
    if len(idle) > 1 and idle[-1][1] > idle[0][1] * 1.05 + (1 << 20):
        problems.append(f"heap while idle grew from {idle[0][1]} to {idle[-1][1]} bytes")
    return problems


def measure(conns, hold, rounds):
    work = tempfile.mkdtemp(prefix="sluice-conns.")
    try:
        idle, last, start, end = run(work, conns, hold, rounds)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    problems = check(conns, rounds, idle, last, end)
    out = {"name": "conns", "conns": conns, "rounds": rounds, "heap_per_session": idle[0][1] / conns, "rss_per_session": idle[0][2] / conns,
           "phase_us": last["load"]["phase_us"], "mbufs": end["mbufs"], "start_heap": start["heap_bytes"]}
    if problems:
        out["failed"] = "; ".join(problems)
    return out


def main(args):
    base.setup("lab", "bench")
    try:
        r = measure(args.conns, args.hold, args.rounds)
    except Broken as e:
        r = {"name": "conns", "failed": str(e)}
    if "failed" in r:
        say(f"failed: {r['failed']}")
    if "conns" in r:
        say(f"{r['conns']} relayed connections, {r['rounds']} rounds: {r['heap_per_session']:.0f} bytes of heap and {r['rss_per_session']:.0f} resident "
            f"for each session (two connections and the relay), idle; open, idle, use, close took "
            f"{', '.join(f'{x / 1e6:.1f} s' for x in r['phase_us'])}; mbufs {r['mbufs']}")
    return {"results": [r]}
