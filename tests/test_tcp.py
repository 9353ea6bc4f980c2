"""The TCP stack alone, through sluice-stack and its test services, against Linux and against frames made by hand.

The wires are the lab's, in namespaces of their own; seeds are printed. d01 to d09 are attacks: segments that overlap, floods and
segments that lie, buffers and rings that run out, readers that do not read, thousands that do nothing.
"""
import contextlib
import os
import random
import resource
import select
import signal
import socket
import struct
import sys
import threading
import time

import pgwire
import rawpeer
from labtest import PREFIX, ROOT, Failure, at_end, check, eventually, same, test
from rawpeer import ACK, PSH, SYN, URG

sys.path.insert(0, os.path.join(ROOT, "tools"))
from benchlib import base, impair  # noqa: E402
from benchlib.base import IP, endpoint  # noqa: E402

ECHO, RELAY, SOURCE, DISCARD = 7000, 7001, 7002, 7003
FAMILIES = (4, 6)
RAW = {4: "10.99.1.77", 6: "fd99:1::77"}
MASK = 0xFFFFFFFF
PATIENCE_S = 3.5  # of a client that connects: two SYNs of Linux may be lost, no more

_wires = []


def wires():
    """Made on first use; they go with the run."""
    if not _wires:
        w = base.Wires(f"{PREFIX}tcp")
        w.__enter__()
        at_end(lambda: w.__exit__(None, None, None))
        _wires.append(w)
    return _wires[0]


@contextlib.contextmanager
def gateway(*options, families=FAMILIES, mbufs=32768):
    """sluice-stack with every test service on both families."""
    listen = []
    for f in families:
        ours = IP[f]["gw_client"]
        listen += ["--listen", f"echo,{endpoint(ours, ECHO)}", "--listen", f"source,{endpoint(ours, SOURCE)}",
                   "--listen", f"relay,{endpoint(ours, RELAY)},{endpoint(IP[f]['target'], RELAY)}",
                   "--listen", f"discard,{endpoint(ours, DISCARD)}"]
    w = wires()
    stack = w.gateway_up(*listen, "--adaptive", "--interval", "50", "--mbufs", str(mbufs), *options, families=families)
    try:
        for f in families:
            eventually(lambda f=f: answers(f), f"echo with IPv{f}", 10)
        yield stack
    finally:
        w.down()


def connect(port, family=4, timeout=5, receive_buffer=None):
    with pgwire.namespace(wires().client):
        s = socket.socket(socket.AF_INET6 if family == 6 else socket.AF_INET, socket.SOCK_STREAM)
    if receive_buffer:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
    s.settimeout(timeout)
    try:
        s.connect((IP[family]["gw_client"], port))
    except OSError:
        s.close()
        raise
    return s


def exchange(s, data=b"is there anybody?"):
    s.sendall(data)
    got = b""
    while len(got) < len(data) and (part := s.recv(65536)):
        got += part
    return got == data


def answers(family=4, port=ECHO):
    try:
        with connect(port, family, timeout=1) as s:
            return exchange(s)
    except OSError:
        return False


def listener(family=4, port=RELAY):
    """A server of the target's kernel."""
    with pgwire.namespace(wires().target):
        s = socket.create_server((IP[family]["target"], port), family=socket.AF_INET6 if family == 6 else socket.AF_INET, backlog=512)
    s.settimeout(5)
    return s


def raw(family=4):
    return rawpeer.RawPeer(wires().client, "data0", RAW[family], IP[family]["gw_client"])


def read_all(s, limit=1 << 20, progress=None):
    """What comes up to the end, or to the limit; progress(), if there is one, runs behind each MiB."""
    got = bytearray()
    told = 0
    while len(got) < limit and (part := s.recv(65536)):
        got += part
        if progress and len(got) >> 20 > told:
            told = len(got) >> 20
            progress()
    return bytes(got)


def nothing_left(stack, seconds=15):
    """No connection, no session, no buffer."""
    def gone():
        line = stack.fresh()
        return line["conns"] == 0 and line["services"]["sessions"] == 0 and line["mbufs"]["free"] >= line["mbufs"]["at_start"] - 64
    eventually(gone, "nothing left behind", seconds)


def errors(stack):
    return stack.fresh()["errors"]


# ---- the stream ----

IMPAIRED = [("loss 1 %", "drop=10000", 4), ("loss 5 %", "drop=50000", 6), ("reordering 25 %", "reorder=250000,overtake=500", 4),
            ("duplication 5 %", "duplicate=50000", 6), ("corruption 1 %", "corrupt=10000", 4),
            ("delay 50 ms", "delay=25000,queue=65536", 6),
            ("all of it", "drop=5000,duplicate=5000,reorder=50000,overtake=1000,corrupt=2000,delay=2000,jitter=1000,queue=65536", 4)]


@test
def digests_without_impairment():
    w = wires()
    for case, family in ((c, f) for c in ("none", "none with offloads") for f in FAMILIES):
        impair.gateway(w, case, families=(family,))
        for direction in ("up", "down"):
            impair.digest(w, direction, 4 << 20, 60, family)
        impair.echo(w, 4 << 20, 60, family)
        w.down()


def impaired(name, settings, family):
    seed = random.randrange(1 << 32)
    with gateway("--impair", f"seed={seed},{settings}", families=(family,)) as stack:
        try:
            # The relay's own port numbers are those of gateway() here.
            for direction in ("up", "down"):
                relay_digest(direction, 1 << 20, family)
            with connect(ECHO, family, 20) as s:
                check(exchange(s, os.urandom(200_000)), "the echo differs")
        except (Failure, OSError, base.Broken) as e:
            raise Failure(f"{name}, IPv{family}, seed {seed}: {e}") from e
        nothing_left(stack, 40)


def relay_digest(direction, nb, family, progress=None):
    """nb bytes through the relay; what arrives is what was sent. progress(source, sink) runs behind each MiB that arrived."""
    sent = os.urandom(nb)
    with listener(family) as server, connect(RELAY, family, 30) as near:
        server.settimeout(20)
        far = server.accept()[0]
        far.settimeout(30)
        source, sink = (near, far) if direction == "up" else (far, near)
        writer = threading.Thread(target=lambda: (source.sendall(sent), source.shutdown(socket.SHUT_WR)), daemon=True)
        writer.start()
        got = read_all(sink, nb + 1, progress and (lambda: progress(source, sink)))
        writer.join(10)
        sink.close()
        source.close()
        check(got == sent, f"{direction}: {len(got)} bytes of {nb} arrived, or others")


@test
def digests_under_loss():
    for case in IMPAIRED[:2]:
        impaired(*case)


@test
def digests_under_reordering_and_duplication():
    for case in IMPAIRED[2:4]:
        impaired(*case)


def sent_again(source, _):
    """Segments that Linux sent again on this connection: tcpi_total_retrans of linux/tcp.h."""
    return struct.unpack_from("=I", source.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 192), 100)[0]


def had_already(*_):
    """Segments of which the client's kernel told by a D-SACK that it had them."""
    with pgwire.namespace(wires().client), open("/proc/thread-self/net/netstat", encoding="ascii") as f:
        names, values = [line.split()[1:] for line in f if line.startswith("TcpExt:")]
    counts = dict(zip(names, map(int, values)))
    return counts["TCPDSACKOldSent"] + counts["TCPDSACKOfoSent"]


@test
def late_is_not_lost():
    """A quarter of all packets comes half a millisecond late. Who takes that for losses sends every tenth segment again, for good, and slowly.
    A connection learns it in its first MiB, and anew behind a pause of the machine: each MiB is looked at, and a quarter of them may be bad."""
    segments = (1 << 20) / 1448
    for family in FAMILIES:
        with gateway("--impair", f"seed={random.randrange(1 << 32)},reorder=250000,overtake=500", families=(family,)):
            for direction, count in (("up", sent_again), ("down", had_already)):
                seen = []
                relay_digest(direction, 24 << 20, family, lambda *ends, count=count, seen=seen: seen.append(count(*ends)))
                again = sorted(b - a for a, b in zip(seen, seen[1:]))
                check(len(again) >= 23 and again[-6] < segments * 0.04,
                      f"IPv{family}, {direction}: segments sent again in each MiB: {again}")


@test
def digests_under_corruption_and_delay():
    for case in IMPAIRED[4:]:
        impaired(*case)


@test
def relay_half_close():
    """Either side may end its half first; the other still speaks."""
    with gateway() as stack:
        for family in FAMILIES:
            with listener(family) as server:
                for first in ("client", "target"):
                    near = connect(RELAY, family)
                    far = server.accept()[0]
                    far.settimeout(5)
                    one, two = (near, far) if first == "client" else (far, near)
                    one.sendall(b"a question")
                    one.shutdown(socket.SHUT_WR)
                    same(read_all(two), b"a question", f"IPv{family}, {first} first: what came before the end")
                    for _ in range(20):
                        two.sendall(b"y" * 50_000)
                    two.close()
                    same(len(read_all(one, 2 << 20)), 1_000_000, f"IPv{family}, {first} first: the answer")
                    one.close()
        nothing_left(stack)


@test
def relay_passes_resets_on():
    with gateway() as stack, listener() as server:
        near = connect(RELAY)
        far = server.accept()[0]
        far.settimeout(5)
        near.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        near.close()
        try:
            same(far.recv(1), b"", "the target's end")
        except ConnectionResetError:
            pass
        far.close()
        server.close()
        with contextlib.suppress(ConnectionResetError), connect(RELAY) as refused:  # nobody listens there now
            same(refused.recv(1), b"", "the client's end")
        nothing_left(stack)


# ---- D01 ----

def overlap_case(rng, size):
    """Pieces of a stream with gaps and overlaps, each with bytes of its own; the last ones close what gaps are left.
    Returns [(offset, bytes)] and the stream if the first byte that came for a place wins."""
    pieces, want = [], bytearray(size)
    filled = [False] * size
    for i in range(rng.randrange(4, 24)):
        at = rng.randrange(size)
        pieces.append((at, bytes([65 + i % 50]) * min(rng.randrange(1, 400), size - at)))
    pieces += [(at, bytes([33 + at // 500]) * min(500, size - at)) for at in range(0, size, 500)]
    for at, data in pieces:
        for k, byte in enumerate(data):
            if not filled[at + k]:
                filled[at + k], want[at + k] = True, byte
    return pieces, bytes(want)


@test
def d01_overlapping_segments():
    """Whatever is sent twice with other bytes: target and client see one stream, of the bytes that came first."""
    seed = random.randrange(1 << 32)
    rng = random.Random(seed)
    with gateway() as stack:
        for family in FAMILIES:
            with raw(family) as peer, listener(family) as server:
                for port in [RELAY] * 6 + [ECHO] * 4:
                    pieces, want = overlap_case(rng, rng.randrange(600, 4000))
                    c = peer.connect(port)
                    far = None
                    if port == RELAY:
                        far = server.accept()[0]
                        far.settimeout(5)
                    for at, data in pieces:
                        c.send(data, at=at)
                    c.snd = (c.snd + len(want)) & MASK
                    if far:
                        got = b""
                        while len(got) < len(want) and (part := far.recv(65536)):
                            got += part
                        far.close()
                    else:
                        got = c.read(len(want))
                    c.reset()
                    check(got == want, f"seed {seed}, IPv{family}, port {port}: {len(got)} of {len(want)} bytes, or others than came first")
        nothing_left(stack)


# ---- D02 ----

def flood(peer, nb, port, rng):
    """SYNs from addresses all over the place, none of which answers."""
    for _ in range(nb):
        source = bytes([rng.randrange(11, 100), rng.randrange(256), rng.randrange(256), rng.randrange(1, 255)])
        frame = peer.frame(rng.randrange(1024, 65536), port, rng.getrandbits(32), 0, SYN, options=rawpeer.option_mss(1460), source=source)
        with contextlib.suppress(OSError):
            peer.sock.send(frame)


@contextlib.contextmanager
def flooding(port):
    """A flood for as long as the block lasts, by a process of its own, which also answers as the router of those addresses."""
    with raw(4) as peer:
        pid = os.fork()
        if pid == 0:
            try:
                rng = random.Random(1)
                while True:
                    flood(peer, 200, port, rng)
                    while select.select([peer.sock], [], [], 0)[0]:
                        peer._take(0)  # answers ARP  # pylint: disable=protected-access
            finally:
                os._exit(0)
        try:
            yield
        finally:
            os.kill(pid, 9)
            os.waitpid(pid, 0)


@test
def d02_syn_flood():
    """New clients get in all the while; what the flood leaves is bounded, and gone afterwards."""
    with gateway("--route", f"0.0.0.0/0,{RAW[4]}", "--backlog", "256") as stack:
        before = stack.fresh()
        with flooding(ECHO):
            eventually(lambda: stack.fresh()["counters"]["rx_packets"] - before["counters"]["rx_packets"] > 5000, "a flood", 10)
            slowest = 0
            for _ in range(40):
                began = time.monotonic()
                with connect(ECHO) as s:
                    check(exchange(s), "no echo")
                slowest = max(slowest, time.monotonic() - began)
            during = stack.fresh()
        check(during["counters"].get("tcp_cookies_sent", 0) > 0, f"the backlog was never full: {during['counters']}")
        check(slowest < PATIENCE_S, f"a client waited {slowest:.1f} s")
        check(during["conns"] < 1000, f"{during['conns']} connections in the flood")
        check(during["heap_bytes"] - before["heap_bytes"] < 8 << 20, f"heap grew from {before['heap_bytes']} to {during['heap_bytes']}")
        check(during["mbufs"]["free"] > before["mbufs"]["at_start"] - 4096, f"mbufs: {during['mbufs']}")


@test
def d02_tiny_mss():
    """A peer that asks for segments of one byte gets them no smaller than 48 less options, and all its bytes."""
    for family in FAMILIES:
        with gateway(families=(family,)) as stack, raw(family) as peer:
            c = peer.connect(ECHO, options=rawpeer.option_mss(1))
            data = os.urandom(1200)
            c.send(data)
            nb, got = 0, b""
            while len(got) < len(data) and (s := c.receive(3)):
                if s.data:
                    nb += 1
                    ahead = (c.rcv - s.seq) & MASK
                    if ahead < len(s.data):
                        got += s.data[ahead:]
                        c.rcv = (c.rcv + len(s.data) - ahead) & MASK
                    c.send(b"", flags=ACK)
            check(got == data, f"{len(got)} bytes of {len(data)} came back, or others")
            check(nb <= len(data) // 36 + 8, f"{nb} segments for {len(data)} bytes")
            c.reset()
            nothing_left(stack)


@test
def d02_zero_window():
    """A window that stays shut costs a bounded buffer and a probe now and then."""
    with gateway("--buffer", "65536", families=(4,)) as stack, raw() as peer:
        start = stack.fresh()
        c = peer.connect(SOURCE, wnd=0)
        c.send(b"go")
        segments = peer.serve(3)
        same(sum(len(s.data) for s in segments if s.dport == c.sport), 0, "bytes into a window of none")
        check(1 <= len(segments) <= 20, f"{len(segments)} segments in 3 s")
        used = start["mbufs"]["free"] - stack.fresh()["mbufs"]["free"]
        check(used < 200, f"{used} buffers for one peer that takes nothing")
        c.wnd = 20_000
        c.send(b"", flags=ACK)
        same(len(c.read(10_000)) >= 10_000, True, "bytes when the window opens")
        c.reset()
        nothing_left(stack)


@test
def d02_urgent_data():
    """The urgent byte stays where it is in the stream, whatever the pointer says."""
    with gateway() as stack:
        for family in FAMILIES:
            with raw(family) as peer:
                c = peer.connect(ECHO)
                for data, urp in ((b"before!after", 7), (b"x", 65535), (b"yz", 0)):
                    c.send(data, flags=PSH | ACK | URG, urp=urp)
                    same(c.read(len(data)), data, f"IPv{family}: what comes back with urgent pointer {urp}")
                c.reset()
        with connect(ECHO) as s:
            s.send(b"oob", socket.MSG_OOB)
            same(s.recv(10), b"oob", "out-of-band data of Linux, in line")
        nothing_left(stack)


BAD_OPTIONS = [b"\x01\x02\x04\x05", b"\x02\x00\x05\xb4", b"\x02\x04\x05\xb4\x02\x04\x05\xb4", b"\x05\x0b" + b"\0" * 9 + b"\1", b"\xfe\x28\0\0", b"\x08\x0b" + b"\0" * 10]


@test
def d02_bad_options():
    """Dropped and counted; the connection goes on with the next good segment."""
    with gateway() as stack:
        for family in FAMILIES:
            with raw(family) as peer:
                before = errors(stack).get("tcp_options", 0)
                for i, bad in enumerate(BAD_OPTIONS):
                    peer.send(30_000 + i, ECHO, 1, 0, SYN, options=bad)
                c = peer.connect(ECHO)
                for bad in BAD_OPTIONS:
                    c.send(b"not this", at=0, options=bad)
                c.send(b"but this")
                same(c.read(8), b"but this", f"IPv{family}: what comes back")
                eventually(lambda before=before: errors(stack).get("tcp_options", 0) - before >= 2 * len(BAD_OPTIONS),
                           f"a count of {2 * len(BAD_OPTIONS)} drops", 3)
                c.reset()
        nothing_left(stack)


@test
def d02_malformed_headers():
    """Flags of every kind, lengths that lie: nothing of it is answered with more than it brought, and the stack lives."""
    seed = random.randrange(1 << 32)
    rng = random.Random(seed)
    with gateway() as stack:
        for family in FAMILIES:
            with raw(family) as peer:
                for flags in range(256):
                    peer.send(rng.randrange(1024, 65536), ECHO, rng.getrandbits(32), rng.getrandbits(32), flags, data=b"x" * (flags % 3))
                for _ in range(300):
                    frame = bytearray(peer.frame(40_000, ECHO, rng.getrandbits(32), rng.getrandbits(32), rng.randrange(256), data=os.urandom(40)))
                    frame[rng.randrange(14, len(frame))] ^= rng.randrange(1, 256)
                    peer.sock.send(bytes(frame[:rng.randrange(30, len(frame) + 1)]))
                peer.serve(0.3)
            check(answers(family), f"no echo with IPv{family}, seed {seed}")
        nothing_left(stack, 80)


# ---- D04 ----

@test
def d04_no_buffers():
    """More is asked for than there are buffers: connections stall or end, none sees other bytes; then all is well again."""
    with gateway("--buffer", "262144", families=(4,), mbufs=1800) as stack:
        stuck = []
        for _ in range(40):  # each would hold more than a hundred buffers
            with contextlib.suppress(OSError):
                s = connect(SOURCE, timeout=1, receive_buffer=4096)
                s.send(b"go")
                stuck.append(s)
        check(len(stuck) > 5, f"only {len(stuck)} clients got in")
        time.sleep(1)
        line = stack.fresh()
        check(line["errors"].get("nomem", 0) > 0, f"there were always buffers: {line['mbufs']}")
        pattern = bytes(32 + i % 95 for i in range(16384))
        for s in stuck[:5]:
            s.settimeout(5)
            got = b""
            with contextlib.suppress(OSError):
                while len(got) < 16384 and (part := s.recv(16384 - len(got))):
                    got += part
            check(pattern.startswith(got), "other bytes than were sent")
        for s in stuck:
            s.close()
        eventually(answers, "an echo once the buffers are back", 20)
        nothing_left(stack, 30)


def stands_still(pid):
    """Each thread: SIGSTOP reaches the others only when one of them has taken it."""
    states = []
    for task in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{task}/stat", encoding="ascii") as f:
            states.append(f.read().rsplit(")", 1)[1].split()[0])
    return set(states) == {"T"}


@test
def d04_ring_full():
    """The worker does not look for a while and the port's ring runs over: what is lost is lost, none of it goes past the gateway, and
    the streams repair it."""
    with gateway(families=(4,)) as stack, raw() as peer:
        frames = [peer.frame(50_000 + i % 1000, DISCARD, i, i, ACK, data=b"z" * 1000) for i in range(3500)]
        data = os.urandom(500_000)
        with connect(ECHO, timeout=20) as s:
            before = stack.fresh()["counters"]["rx_packets"]
            os.kill(stack.process.pid, signal.SIGSTOP)
            try:
                eventually(lambda: stands_still(stack.process.pid), "every thread stands still")
                for frame in frames:
                    with contextlib.suppress(OSError):
                        peer.sock.send(frame)
                s.sendall(data[:50_000])
            finally:
                os.kill(stack.process.pid, signal.SIGCONT)
            got = b""
            writer = threading.Thread(target=s.sendall, args=(data[50_000:],), daemon=True)
            writer.start()
            while len(got) < len(data) and (part := s.recv(65536)):
                got += part
            check(got == data, "the echo differs")
            line = stack.fresh()
            check(line["errors"].get("tcp_no_conn", 0) < len(frames), f"nothing was lost: {line['counters']['rx_packets'] - before} frames came")
        nothing_left(stack)


# ---- D08 ----

@test
def d08_slow_readers():
    """Who does not read has a window that shuts: a session holds a bounded number of buffers on either side."""
    buffer_bytes, nb = 65536, 20
    with gateway("--buffer", str(buffer_bytes), families=(4,)) as stack, listener() as server:
        free = stack.fresh()["mbufs"]["free"]
        stuck = [connect(SOURCE, receive_buffer=4096) for _ in range(nb)]
        for s in stuck:
            s.send(b"go")
        time.sleep(1)
        for_clients = free - stack.fresh()["mbufs"]["free"]
        far = []
        for _ in range(nb):  # the target's side does not read
            s = connect(RELAY)
            far.append(server.accept()[0])
            far[-1].setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            s.setblocking(False)
            stuck.append(s)
        for _ in range(50):
            for s in stuck[nb:]:
                with contextlib.suppress(BlockingIOError):
                    s.send(b"u" * 65536)
            time.sleep(0.02)
        time.sleep(0.5)
        for_targets = free - stack.fresh()["mbufs"]["free"] - for_clients
        # By true size: twice a buffer in each direction's queue, in buffers of 2 KiB.
        cap = 2 * buffer_bytes // 2048 + 16
        check(for_clients > nb and for_targets > nb, f"nobody was slow: {for_clients} and {for_targets} buffers")
        check(for_clients <= nb * cap, f"{for_clients} buffers for {nb} clients that do not read, not {nb * cap}")
        check(for_targets <= 2 * nb * cap, f"{for_targets} buffers for {nb} targets that do not read, not {2 * nb * cap}")
        check(answers(), "others wait for them")
        for s in stuck + far:
            s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            s.close()
        nothing_left(stack, 30)


# ---- D09 ----

NB_IDLE = NB_STALLED = 10_000


def open_many(nb, port, at_once=200):
    """nb connections of the client's kernel, without waiting for each."""
    poll, done, started, pending = select.epoll(), [], 0, {}
    end = time.monotonic() + 30
    with pgwire.namespace(wires().client):
        while len(done) < nb and time.monotonic() < end:
            while started < nb and len(pending) < at_once:
                s = socket.socket(socket.AF_INET, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
                s.connect_ex((IP[4]["gw_client"], port))
                poll.register(s, select.EPOLLOUT)
                pending[s.fileno()] = s
                started += 1
            for fd, _ in poll.poll(1):
                s = pending.pop(fd)
                poll.unregister(fd)
                if s.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
                    s.close()
                    started -= 1
                else:
                    done.append(s)
    return done


@test
def d09_idle_and_stalled():
    """10,000 that do nothing and 10,000 that never finish the handshake: a new session starts at once."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    wires().run(wires().client, "sysctl", "-qw", "net.ipv4.ip_local_port_range=10000 65000")
    with gateway("--max-conns", "30000", "--route", f"0.0.0.0/0,{RAW[4]}", families=(4,)) as stack, raw() as peer, listener() as server:
        idle = open_many(NB_IDLE, ECHO)
        try:
            same(len(idle), NB_IDLE, "idle connections")
            before, rng = stack.fresh()["counters"]["rx_packets"], random.Random(2)
            flood(peer, NB_STALLED, ECHO, rng)
            flood(peer, NB_STALLED // 10, RELAY, rng)
            eventually(lambda: stack.fresh()["counters"]["rx_packets"] - before >= NB_STALLED, "the stalled ones", 5)
            for _ in range(10):
                began = time.monotonic()
                check(answers(), "no echo")
                with connect(RELAY) as near:
                    far = server.accept()[0]
                    near.sendall(b"hello")
                    same(far.recv(5), b"hello", "what reaches the target")
                    far.close()
                check(time.monotonic() - began < PATIENCE_S, f"a new session took {time.monotonic() - began:.1f} s")
            for s in random.sample(idle, 50):
                s.settimeout(5)
                check(exchange(s), "an idle connection does not answer")
            check(stack.fresh()["conns"] >= NB_IDLE, "idle connections were thrown out")
        finally:
            for s in idle:
                s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
                s.close()
        eventually(lambda: stack.fresh()["services"]["sessions"] < 100, "the idle ones' end", 10)
