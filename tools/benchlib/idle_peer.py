"""Both ends of `tools/bench idle`, each in its own namespace and process: `target` is a PostgreSQL server that knows one answer,
`client` opens many sessions, keeps them, and asks when it is told to (a word on stdin, a line of JSON back). `control` is an echo
through the kernel's TCP, by epoll: what the machine itself makes of the same exchange.
"""
import collections
import ctypes
import json
import resource
import selectors
import socket
import struct
import sys
import time

CONCURRENT = 32  # logins at a time
STEP_S = 30  # without any progress


def message(kind, body=b""):
    return kind + struct.pack("!I", len(body) + 4) + body


def cstr(text):
    return text.encode() + b"\0"


def messages(buffer):
    """Whole messages at the front of a bytearray, which are taken out of it."""
    got = []
    while len(buffer) >= 5:
        (size,) = struct.unpack_from("!I", buffer, 1)
        if len(buffer) < size + 1:
            break
        got.append((bytes(buffer[:1]), bytes(buffer[5:size + 1])))
        del buffer[:size + 1]
    return got


READY = message(b"Z", b"I")
ANSWER = (message(b"T", struct.pack("!H", 1) + cstr("?column?") + struct.pack("!IHIhiH", 0, 0, 23, 4, -1, 0))
          + message(b"D", struct.pack("!HI", 1, 1) + b"1") + message(b"C", cstr("SELECT 1")) + READY)
LOGGED_IN = (message(b"R", struct.pack("!I", 0)) + message(b"S", cstr("server_version") + cstr("15.0"))
             + message(b"S", cstr("client_encoding") + cstr("UTF8")) + message(b"S", cstr("standard_conforming_strings") + cstr("on"))
             + message(b"K", struct.pack("!II", 4711, 815)) + READY)


# ---- target ----

def target_step(conn, buffer, started):
    """True: still the startup message."""
    if not started:
        if len(buffer) < 4 or len(buffer) < struct.unpack_from("!I", buffer)[0]:
            return False
        del buffer[:struct.unpack_from("!I", buffer)[0]]
        conn.sendall(message(b"R", struct.pack("!I", 5) + b"salt"))
    for kind, _ in messages(buffer):
        if kind == b"p":
            conn.sendall(LOGGED_IN)
        elif kind == b"Q":
            conn.sendall(ANSWER)
    return True


def target(host, port):
    listener = socket.create_server((host, int(port)), backlog=4096)
    selector = selectors.DefaultSelector()
    selector.register(listener, selectors.EVENT_READ, None)
    print("ready", flush=True)
    while True:
        for key, _ in selector.select():
            if key.data is None:
                conn = listener.accept()[0]
                conn.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                selector.register(conn, selectors.EVENT_READ, [bytearray(), False])
                continue
            try:
                data = key.fileobj.recv(65536)
                key.data[0].extend(data)
                key.data[1] = target_step(key.fileobj, *key.data) if data else False
            except OSError:
                data = b""
            if not data:
                selector.unregister(key.fileobj)
                key.fileobj.close()


# ---- client ----

class Client:
    def __init__(self, host, port, token):
        self.address, self.token = (host, int(port)), token
        self.selector = selectors.DefaultSelector()
        self.open, self.failed = [], 0

    def begin(self):
        s = socket.create_connection(self.address, timeout=STEP_S)
        s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        body = struct.pack("!I", 196608) + cstr("user") + cstr("idle") + cstr("database") + cstr("idle") + b"\0"
        s.sendall(struct.pack("!I", len(body) + 4) + body)
        self.selector.register(s, selectors.EVENT_READ, bytearray())

    def done(self, s, good):
        self.selector.unregister(s)
        if good:
            self.open.append(s)
        else:
            self.failed += 1
            s.close()

    def go_on(self, s, buffer):
        data = s.recv(65536)
        buffer.extend(data)
        for kind, body in messages(buffer):
            if kind == b"R" and body == struct.pack("!I", 3):
                s.sendall(message(b"p", cstr(self.token)))
            elif kind == b"Z":
                self.done(s, True)
                return
            elif kind == b"E":
                print(body, file=sys.stderr, flush=True)
                data = b""
        if not data:
            self.done(s, False)

    def connect(self, n):
        began, left = time.monotonic(), n
        while left or self.selector.get_map():
            while left and len(self.selector.get_map()) < CONCURRENT:
                self.begin()
                left -= 1
            ready = self.selector.select(STEP_S)
            if not ready or self.failed > 100:
                break
            for key, _ in ready:
                try:
                    self.go_on(key.fileobj, key.data)
                except OSError as e:
                    print(e, file=sys.stderr, flush=True)
                    self.done(key.fileobj, False)
        return {"open": len(self.open), "failed": self.failed, "seconds": time.monotonic() - began}

    @staticmethod
    def ask(s):
        began, buffer = time.perf_counter(), bytearray()
        s.sendall(message(b"Q", cstr("select 1")))
        while not buffer.endswith(READY):
            data = s.recv(65536)
            if not data:
                raise OSError("closed")
            buffer.extend(data)
        return (time.perf_counter() - began) * 1e6

    def ask_many(self, n, gap):
        """Each session once, the least used first."""
        sessions = collections.deque(self.open)
        out = []
        for _ in range(n):
            time.sleep(gap)
            out.append(self.ask(sessions[0]))
            sessions.rotate(-1)
        self.open = list(sessions)
        return {"us": sorted(out)}


def echo_once(s, gap):
    time.sleep(gap)
    began = time.perf_counter()
    s.sendall(b"x")
    if s.recv(1) != b"x":
        raise OSError("no echo")
    return (time.perf_counter() - began) * 1e6


def echo_connection(host, port):
    s = socket.create_connection((host, int(port)), timeout=STEP_S)
    s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return s


def echo_many(end, control, n, gap):
    """One byte to the test service and back: the stack and the worker alone, no policy and no record. In turn with the control."""
    out = {"us": [], "control_us": []}
    with echo_connection(*end) as s, echo_connection(*control) as kernel:
        for _ in range(int(n)):
            out["us"].append(echo_once(s, float(gap)))
            out["control_us"].append(echo_once(kernel, float(gap)))
    return {k: sorted(v) for k, v in out.items()}


def control(host, port):
    with socket.create_server((host, int(port))) as server:
        print("ready", flush=True)
        while True:
            with server.accept()[0] as conn, selectors.DefaultSelector() as selector:
                conn.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                selector.register(conn, selectors.EVENT_READ)
                while selector.select() and (data := conn.recv(4096)):
                    conn.sendall(data)


# ---- between the packets, where they enter and leave the gateway's place ----

SO_ATTACH_FILTER, SO_TIMESTAMPNS, SO_RCVBUFFORCE, ETH_P_ALL, PACKET_OUTGOING = 26, 35, 33, 3, 4


def tap(interface, port):
    """A packet socket that keeps the frames of one TCP port over IPv4, with the kernel's time of each. Nobody waits at it: it wakes nobody."""
    code = [(0x28, 0, 0, 34), (0x15, 2, 0, port), (0x28, 0, 0, 36), (0x15, 0, 1, port), (0x06, 0, 0, 0xffff), (0x06, 0, 0, 0)]
    program = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *i) for i in code))
    s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
    s.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, struct.pack("HL", len(code), ctypes.addressof(program)))
    s.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
    s.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 16 << 20)
    s.bind((interface, ETH_P_ALL))
    s.setblocking(False)
    return s


def frames(s):
    """(when in us, whether it goes out) of each frame with payload."""
    while True:
        try:
            data, ancillary, _, address = s.recvmsg(2048, 128)
        except BlockingIOError:
            return
        payload = struct.unpack_from("!H", data, 16)[0] - 20 - (data[46] >> 4) * 4
        seconds, ns = struct.unpack("qq", ancillary[0][2][:16])
        if payload > 0:
            yield seconds * 1e6 + ns / 1e3, address[2] == PACKET_OUTGOING


def answered(s):
    """The times from a request to the answer."""
    out, came = [], None
    for when, goes_out in frames(s):
        if not goes_out:
            came = when
        elif came is not None:
            out.append(when - came)
            came = None
    return sorted(out)


def watch(*ends):
    """Each is INTERFACE PORT; a line on stdin asks for what was seen since the last one."""
    taps = [tap(interface, int(port)) for interface, port in zip(ends[::2], ends[1::2])]
    print("ready", flush=True)
    for _ in sys.stdin:
        print(json.dumps([answered(s) for s in taps]), flush=True)


def client(host, port, token):
    c = Client(host, port, token)
    can = {"connect": lambda n: c.connect(int(n)), "ask": lambda n, gap: c.ask_many(int(n), float(gap)),
           "echo": lambda at, far, far_port, n, gap: echo_many((host, at), (far, far_port), n, gap)}
    for line in sys.stdin:
        what, *args = line.split()
        print(json.dumps(can[what](*args)), flush=True)


if __name__ == "__main__":
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    {"target": target, "client": client, "control": control, "watch": watch}[sys.argv[1]](*sys.argv[2:])
