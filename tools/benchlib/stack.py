"""tools/bench stack: the stack in the middle (serve, a relay) and a DPDK peer on both of its sides (drive), over pairs of memif.
Each figure is for one busy core of the relay: loops that found nothing to do do not count. testpmd's io forwarding stands in the
relay's place in the same run.
"""
import os
import shutil
import signal
import subprocess
import tempfile
import time

from . import base
from .base import Stack, say

# name -> load, service behind the relay, options of both stacks
SMALL = ["--buffer", "131072"]  # what is under way stays in the caches
LOADS = {"rr": ("rr", "echo", []), "many": ("rr", "echo", []), "connect": ("connect", "once", []), "send": ("send", "discard", []),
         "receive": ("receive", "source", []), "send-128k": ("send", "discard", SMALL), "receive-128k": ("receive", "source", SMALL)}
WARM_S = 1.5
MEMORY = 1024
MBUFS, MBUFS_MANY = 32768, 131072  # of many connections tens of thousands of replies wait for a delayed ACK
FRAME = 1514  # the largest that memif takes


def devices(work, role):
    return [f"--vdev=net_memif{i},role={role},id={i},socket={work}/memif,socket-abstract=no" for i in range(2)]


def eal(work, name):
    role = "client" if name == "drive" else "server"
    return ["--no-huge", "-m", str(MEMORY), f"--file-prefix=slbench-{os.getpid()}-{name}", *devices(work, role)]


def ports(mine):
    return [x for i in range(2) for x in ("--port", f"net_memif{i}=10.0.{i + 1}.{mine}/24")]


def window(relay, drive, seconds):
    """Two lines of each, some seconds apart."""
    time.sleep(WARM_S)
    first = relay.fresh(), drive.fresh()
    time.sleep(seconds)
    return first, (relay.fresh(), drive.fresh())


def difference(first, last):
    if isinstance(last, dict):
        return {k: difference(first.get(k, 0) if isinstance(first, dict) else 0, v) for k, v in last.items() if isinstance(v, (dict, int, float))}
    return last - (first if isinstance(first, (int, float)) else 0)


def measure(work, name, args, stages):
    load, service, options = LOADS[name]
    nb = {"rr": args.clients, "many": args.many, "connect": args.clients}.get(name, args.streams)
    mbufs = MBUFS_MANY if name == "many" else MBUFS
    relay = Stack("serve", [*ports(1), "--listen", "relay,10.0.1.1:7000,10.0.2.2:7100", *options, "--max-conns", "65536", "--mbufs", str(mbufs), "--interval", "100",
                            *(["--stages"] if stages else [])], eal(work, "relay"))
    drive = None
    try:
        relay.ready()
        drive = Stack("drive", [*ports(2), "--listen", f"{service},10.0.2.2:7100", "--load", load, "--conns", str(nb), "--at-once", str(args.clients),
                                "--remote", "10.0.1.1:7000", *options, "--max-conns", "65536", "--mbufs", str(mbufs), "--interval", "100"], eal(work, "drive"), core=base.FIRST)
        if name == "many":
            drive.wait_for(lambda line: line["load"]["opened"] >= nb, 30, f"{nb} connections")
        (r0, d0), (r1, d1) = window(relay, drive, args.seconds)
    finally:
        if drive:
            drive.stop()
        relay.stop()
    r, d = difference(r0, r1), difference(d0, d1)
    busy_s = r["cycles"]["busy"] / r1["tsc_hz"]
    rx, tx = r["counters"].get("rx_packets", 0), r["counters"].get("tx_packets", 0)
    out = {"name": name, "busy_share": busy_s / r["t"], "packets": rx + tx, "cycles_per_packet": r["cycles"]["busy"] / max(1, rx + tx),
           "replies_per_busy_s": d["load"]["replies"] / busy_s, "closed_per_busy_s": d["load"]["closed"] / busy_s,
           "gbit_per_busy_s": r["services"]["bytes"] * 8 / busy_s / 1e9, "p50_us": d1["load"]["p50_us"], "p99_us": d1["load"]["p99_us"],
           "load_failed": d["load"]["failed"], "relay_errors": r.get("errors", {})}
    if stages:
        out["cycles_per_received_packet"] = {k: v / max(1, rx) for k, v in r["stages"].items()}
    return out


def testpmd(work, args, frame):
    """io forwarding between the same two ports; its own count of cycles for a packet and what came through."""
    command = ["dpdk-testpmd", "--no-huge", "-m", str(MEMORY), "--no-pci", "--no-shconf", "--no-telemetry", "--log-level=error",
               f"--lcores=0@{base.FIRST},1@{base.LAST}", "--main-lcore=0", f"--file-prefix=slbench-{os.getpid()}-pmd", *devices(work, "server"), "--",
               "--forward-mode=io", "--auto-start", "--total-num-mbufs=16384", "--record-core-cycles",
               "--no-lsc-interrupt", "--disable-link-check"]
    with open(f"{work}/testpmd", "wb") as log:
        pmd = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=log, stderr=subprocess.STDOUT)
    flood = None
    try:
        time.sleep(3)
        flood = Stack("flood", ["--port", "net_memif0", "--port", "net_memif1", "--frame", str(frame), "--interval", "100"], eal(work, "drive"), core=base.FIRST)
        flood.ready()
        time.sleep(WARM_S)
        first = flood.fresh()
        time.sleep(args.seconds)
        d = difference(first, flood.fresh())
    finally:
        if flood:
            flood.stop()
        pmd.send_signal(signal.SIGINT)
        try:
            pmd.wait(10)
        except subprocess.TimeoutExpired:
            pmd.kill()
            pmd.wait()
    lines = [x.strip() for x in base.tail(f"{work}/testpmd", 1000).splitlines() if "cycles" in x.lower()]
    return {"name": "testpmd", "frame": frame, "mpps": d.get("frames_in", 0) / d["t"] / 1e6, "says": lines}


def show(results):
    say("\nPer busy core of the relay (two legs); cycles for a packet over packets received and sent")
    for r in results:
        if "failed" in r:
            say(f"  {r['name']:12} failed: {r['failed']}")
        elif r["name"] == "testpmd":
            say(f"  testpmd io: {r['mpps']:.2f} M frames/s of {r['frame']} B, {r['mpps'] * r['frame'] * 8 / 1e3:.1f} Gbit/s; {'; '.join(r['says'])}")
        else:
            say(f"  {r['name']:12} {r['replies_per_busy_s']:10.0f} replies/s {r['closed_per_busy_s']:9.0f} connects/s {r['gbit_per_busy_s']:6.2f} Gbit/s "
                f"{r['cycles_per_packet']:6.0f} cycles/packet, busy {r['busy_share']:.0%}, p50 {r['p50_us']} us, p99 {r['p99_us']} us")
            for k, v in r.get("stages", {}).items():
                say(f"           {k:8} {v:7.0f} cycles for a received packet")


def main(args):
    base.setup("lab", "bench")
    wanted = args.only.split(",") if args.only else ["testpmd", *LOADS]
    results = []
    work = tempfile.mkdtemp(prefix="sluice-stack-bench.")

    def room():
        """Who is killed leaves its socket behind."""
        return tempfile.mkdtemp(dir=work)
    try:
        for name in wanted:
            say(f"{name} ...")
            try:
                if name == "testpmd":
                    results += [testpmd(room(), args, frame) for frame in (64, FRAME)]
                    continue
                got = measure(room(), name, args, False)
                got["stages"] = measure(room(), name, args, True)["cycles_per_received_packet"]
                results.append(got)
            except base.Broken as e:
                results.append({"name": name, "failed": str(e)})
    finally:
        shutil.rmtree(work, ignore_errors=True)
    show(results)
    return {"results": results}
