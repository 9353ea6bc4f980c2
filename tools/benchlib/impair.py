"""tools/bench impair: Linux -> Sluice's relay -> Linux under impairments of the client's wire, beside Linux -> Linux through the
same impairment (frames passed on by the same ports and the same shim, no TCP in between). Goodput by iperf3, both ways; digests
of streams both ways through the relay and of one to the echo service and back; one to the discard service is counted.
`--bytes 0` leaves the streams out, `--seconds 0` iperf3.
"""
import json
import os
import statistics
import time

from . import base
from .base import Broken, IP, endpoint, say

# parts per million and microseconds, each on the client's wire, in both directions
CASES = {
    "none": "",
    # Segments of 64 KB, which the wire beside it cannot pass on.
    "none with offloads": None,
    "loss 0.1 %": "drop=1000",
    "loss 1 %": "drop=10000",
    "loss 5 %": "drop=50000",
    "reordering 25 %": "reorder=250000,overtake=500",
    # The least round-trip time is what a Linux sender's tolerance grows by: here the gateway's being a hop nearer counts for nothing.
    "reordering 25 % at 0.2 ms": "reorder=250000,overtake=500,delay=100,queue=65536",
    "duplication 5 %": "duplicate=50000",
    "corruption 1 %": "corrupt=10000",
    "delay 50 ms": "delay=25000,queue=65536",
}
PORT_IPERF, PORT_UP, PORT_DOWN, PORT_ECHO, PORT_DISCARD = 5201, 5301, 5302, 5303, 5304
PREFIX = os.environ.get("LAB_PREFIX", "slimpair")
LEAST_MBIT = 1  # slower than this a stream is given up, where iperf3 has not said what to expect
SEED = 20261121


def options(case, run=0):
    return ["--impair", f"seed={SEED + run},{CASES[case]}"] if CASES[case] else []


def gateway(wires, case, families=(4,), run=0):
    listen = []
    for f in families:
        for port in (PORT_IPERF, PORT_UP, PORT_DOWN):
            listen += ["--listen", f"relay,{endpoint(IP[f]['gw_client'], port)},{endpoint(IP[f]['target'], port)}"]
        listen += ["--listen", f"echo,{endpoint(IP[f]['gw_client'], PORT_ECHO)}", "--listen", f"discard,{endpoint(IP[f]['gw_client'], PORT_DISCARD)}"]
    plain = ["--software-checksum"] if CASES[case] == "" else []
    return wires.gateway_up(*listen, *plain, *options(case, run), families=families)


def stream(wires, ns, *args):
    return wires.start(ns, "/usr/bin/python3", f"{base.HERE}/stream.py", *[str(a) for a in args])


def outcome(process, seconds):
    try:
        out, err = process.communicate(timeout=seconds)
    except Exception as e:
        process.kill()
        out, err = process.communicate()
        raise Broken(f"a stream does not end within {seconds} s: {out}{err}") from e
    if process.returncode:
        raise Broken(f"a stream failed: {err.strip()[-400:]}")
    return json.loads(out.strip().splitlines()[-1])


def digest(wires, direction, nb, seconds, family=4, connect_to=None, listen_on=None):
    """Sends nb bytes; what arrives must have the same digest. Returns the goodput in Mbit/s."""
    ip = IP[family]
    port = PORT_UP if direction == "up" else PORT_DOWN
    roles = ("receive", "send") if direction == "up" else ("send", "receive")
    far = stream(wires, wires.target, "listen", listen_on or ip["target"], port, roles[0], nb)
    if far.stdout.readline().strip() != "listening":
        raise Broken(f"no listener: {far.stderr.read()}")
    near = stream(wires, wires.client, "connect", connect_to or ip["gw_client"], port, roles[1], nb)
    near_out, far_out = outcome(near, seconds), outcome(far, seconds)
    sent, got = (near_out, far_out) if direction == "up" else (far_out, near_out)
    if got["received"] != nb or got["received_sha256"] != sent["sent_sha256"]:
        raise Broken(f"{direction}: {got['received']} of {nb} bytes arrived, digest {got['received_sha256']}, sent {sent['sent_sha256']}")
    return nb * 8 / max(got["seconds"], 1e-6) / 1e6


def echo(wires, nb, seconds, family=4):
    """The same against the gateway's own echo."""
    near = stream(wires, wires.client, "connect", IP[family]["gw_client"], PORT_ECHO, "both", nb)
    out = outcome(near, seconds)
    if out["received"] != nb or out["received_sha256"] != out["sent_sha256"]:
        raise Broken(f"echo: {out['received']} of {nb} bytes came back, digests {out['received_sha256']} and {out['sent_sha256']}")
    return nb * 8 / max(out["seconds"], 1e-6) / 1e6


def discard(wires, nb, seconds, family=4):
    """Bytes that nobody sends back: the service must have taken each of them."""
    before = wires.stack.fresh()["services"]["bytes"]
    out = outcome(stream(wires, wires.client, "connect", IP[family]["gw_client"], PORT_DISCARD, "send", nb), seconds)
    got = wires.stack.fresh()["services"]["bytes"] - before
    if got != nb:
        raise Broken(f"discard: {got} of {nb} bytes were taken")
    return nb * 8 / max(out["whole_seconds"], 1e-6) / 1e6


def iperf(wires, host, reverse, seconds, congestion):
    """Mbit/s as the receiver counts them. The congestion control is that of whichever kernel sends."""
    args = ["iperf3", "-c", host, "-p", str(PORT_IPERF), "-t", str(seconds), "-J", "-C", congestion] + (["-R"] if reverse else [])
    done = wires.run(wires.client, "taskset", "-c", str(base.FIRST), *args, check=False, timeout=seconds + 60)
    try:
        return json.loads(done.stdout)["end"]["sum_received"]["bits_per_second"] / 1e6
    except (ValueError, KeyError) as e:
        raise Broken(f"iperf3 against {host}: {done.stdout[-300:]}{done.stderr[-300:]}") from e


def one_way(wires, host, reverse, seconds, congestion):
    """With a server of its own: one whose client's FIN was lost takes no other for a while."""
    server = wires.start(wires.target, "iperf3", "-s", "-p", str(PORT_IPERF))
    time.sleep(0.5)
    try:
        return iperf(wires, host, reverse, seconds, congestion)
    finally:
        server.kill()
        server.wait()


def goodput(wires, host, seconds, congestion):
    return [one_way(wires, host, reverse, seconds, congestion) for reverse in (False, True)]


def medians(runs):
    return [statistics.median(r[i] for r in runs) for i in range(2)]


def compare(wires, case, args):
    """Runs one after the other, each with dice of its own, which all paths get."""
    runs = {"linux": [], "beside": [], "sluice": []}
    for run in range(args.runs):
        wires.wire_up(*options(case, run))
        runs["linux"].append(goodput(wires, IP[4]["wire_target"], args.seconds, args.congestion))
        if args.beside:
            runs["beside"].append(goodput(wires, IP[4]["wire_target"], args.seconds, args.beside))
        gateway(wires, case, run=run)
        runs["sluice"].append(goodput(wires, IP[4]["gw_client"], args.seconds, args.congestion))
    out = {f"{who}_runs": r for who, r in runs.items() if r}
    out.update({f"{who}_mbit": medians(r) for who, r in runs.items() if r})
    return out


def streams(wires, case, nb, up, down):
    """nb bytes each; up and down are what a goodput is expected to be: there is patience for a tenth of it."""
    gateway(wires, case)
    limit = {d: 60 + 10 * nb * 8 / 1e6 / max(mbit, LEAST_MBIT) for d, mbit in (("up", up), ("down", down))}
    out = {d: digest(wires, d, nb, limit[d]) for d in ("up", "down")}
    out["echo"] = echo(wires, nb, limit["up"] + limit["down"])
    out["discard"] = discard(wires, nb, limit["up"])
    return out


def measure(wires, case, args):
    out = {"case": case, "impair": CASES[case], "bytes": args.bytes, "congestion": args.congestion, "beside": args.beside}
    if args.seconds:
        out.update(compare(wires, case, args))
    if args.bytes:
        out["stream_mbit"] = streams(wires, case, args.bytes, *out.get("sluice_mbit", (0, 0)))
    last = wires.down()
    out["errors"], out["retransmits"] = last.get("errors"), last.get("counters", {}).get("tcp_retransmits", 0)
    return out


def show_goodput(results, args):
    beside = f" | Linux, {args.beside}" if args.beside else ""
    say("\nGoodput, Mbit/s (iperf3): Linux -> Sluice relay -> Linux, and Linux -> Linux through the same impairment\n")
    say(f"| client's wire, both ways | up: Sluice | Linux, {args.congestion} | ratio{beside} | down: Sluice | Linux, {args.congestion} | ratio{beside} |")
    say("|---|---|---|---|---|---|---|" + ("---|---|" if beside else ""))
    for r in (r for r in results if "linux_mbit" in r):
        cells = []
        for i in range(2):
            ours, linux = r["sluice_mbit"][i], r["linux_mbit"][i]
            cells.append(f"{ours:.1f} | {linux:.1f} | {ours / max(linux, 0.01):.2f}" + (f" | {r['beside_mbit'][i]:.1f}" if beside else ""))
        say(f"| {r['case']} | {' | '.join(cells)} |")


def show_streams(results):
    say("\nStreams through the gateway, Mbit/s; digests equal, of discard each byte counted\n")
    say("| client's wire, both ways | MiB each | relay up | relay down | echo | discard | retransmissions |")
    say("|---|---|---|---|---|---|---|")
    for r in (r for r in results if "stream_mbit" in r):
        cells = " | ".join(f"{r['stream_mbit'][k]:.1f}" for k in ("up", "down", "echo", "discard"))
        say(f"| {r['case']} | {r['bytes'] >> 20} | {cells} | {r['retransmits']} |")


def show(results, args):
    if args.seconds:
        show_goodput(results, args)
    if args.bytes:
        show_streams(results)
    for r in (r for r in results if "failed" in r):
        say(f"failed: {r['case']}: {r['failed']}")


def main(args):
    base.setup("lab", "bench")
    cases = args.only.split(",") if args.only else list(CASES)
    unknown = [c for c in cases if c not in CASES]
    if unknown:
        raise Broken(f"no such case: {', '.join(unknown)}; there are: {', '.join(CASES)}")
    results = []
    with base.Wires(PREFIX) as wires:
        for case in cases:
            say(f"{case} ...")
            try:
                results.append(measure(wires, case, args))
            except Broken as e:
                results.append({"case": case, "failed": str(e)})
                say(f"  {e}")
    show(results, args)
    return {"results": results}
