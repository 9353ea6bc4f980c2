"""A PostgreSQL client of bare messages (protocol 3.0, manual chapter 55), for what no driver would send.

It speaks from inside a network namespace: the socket is made there and stays there.
"""
import contextlib
import ctypes
import os
import socket
import ssl
import struct

_libc = ctypes.CDLL(None, use_errno=True)
_CLONE_NEWNET = 0x40000000

PROTOCOL_30 = 196608
SSL_REQUEST = 80877103
GSSENC_REQUEST = 80877104
CANCEL_REQUEST = 80877102


@contextlib.contextmanager
def namespace(name):
    """The calling thread stands in the namespace; sockets made meanwhile belong to it for good."""
    here = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
    there = os.open(f"/run/netns/{name}", os.O_RDONLY)
    try:
        if _libc.setns(there, _CLONE_NEWNET):
            raise OSError(ctypes.get_errno(), "setns")
        yield
    finally:
        _libc.setns(here, _CLONE_NEWNET)
        os.close(here)
        os.close(there)


def message(kind, body=b""):
    return kind.encode() + struct.pack("!I", len(body) + 4) + body


def cstr(text):
    return (text.encode() if isinstance(text, str) else text) + b"\0"


def startup(params, version=PROTOCOL_30):
    body = struct.pack("!I", version) + b"".join(cstr(k) + cstr(v) for k, v in params.items()) + b"\0"
    return struct.pack("!I", len(body) + 4) + body


def query(sql):
    return message("Q", cstr(sql))


def parse(sql, name="", types=()):
    head = cstr(name) + cstr(sql) + struct.pack("!H", len(types))
    return message("P", head + b"".join(struct.pack("!I", t) for t in types))


def bind(params=(), portal="", statement="", formats=(), results=()):
    body = cstr(portal) + cstr(statement)
    body += struct.pack("!H", len(formats)) + b"".join(struct.pack("!H", f) for f in formats)
    body += struct.pack("!H", len(params))
    for p in params:
        body += struct.pack("!i", -1) if p is None else struct.pack("!I", len(p)) + p
    body += struct.pack("!H", len(results)) + b"".join(struct.pack("!H", f) for f in results)
    return message("B", body)


def describe(what="P", name=""):
    return message("D", what.encode() + cstr(name))


def execute(portal="", rows=0):
    return message("E", cstr(portal) + struct.pack("!I", rows))


def sync():
    return message("S")


def fields(body):
    """ErrorResponse, NoticeResponse: field code -> text."""
    return {f[:1].decode("latin1"): f[1:].decode("utf-8", "replace") for f in body.split(b"\0") if f}


def row(body):
    """DataRow: its values, None for NULL."""
    (n,), at, values = struct.unpack_from("!H", body), 2, []
    for _ in range(n):
        (size,) = struct.unpack_from("!i", body, at)
        at += 4
        values.append(None if size < 0 else body[at:at + size])
        at += max(size, 0)
    return values


def kinds(messages):
    return "".join(k for k, _ in messages)


def errors(messages):
    return [fields(b) for k, b in messages if k == "E"]


class Closed(Exception):
    """The other side has closed the connection."""


class ServerError(Exception):
    """An ErrorResponse where success was expected."""

    def __init__(self, body):
        self.fields = fields(body)
        super().__init__(f"{self.fields.get('S')} {self.fields.get('C')}: {self.fields.get('M')}")


class Wire:
    """One connection. Nothing is sent that the caller did not ask for, but for what login() says."""

    def __init__(self, netns, address, ca, timeout=10, port=None):
        """port: of ours, which other connections may have, too."""
        self.ca, self.host = ca, address[0]
        with namespace(netns):
            self.sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        self.sock.settimeout(timeout)
        if port:
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            self.sock.bind(("", port))
        self.sock.connect(address)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.buffer = b""
        self.parameters, self.key = {}, None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        with contextlib.suppress(OSError):
            self.sock.close()

    def abort(self):
        """Closes with RST."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close()

    # ---- bytes ----

    def send(self, *parts):
        try:
            self.sock.sendall(b"".join(parts))
        except (ConnectionError, ssl.SSLError) as e:
            raise Closed(str(e)) from e

    def exactly(self, n):
        parts, have = [self.buffer], len(self.buffer)
        while have < n:
            try:
                more = self.sock.recv(65536)
            except (ConnectionError, ssl.SSLEOFError, ssl.SSLZeroReturnError) as e:
                raise Closed(str(e)) from e
            if not more:
                raise Closed("end of stream")
            parts.append(more)
            have += len(more)
        got = b"".join(parts)
        out, self.buffer = got[:n], got[n:]
        return out

    def receive(self):
        """The next message: (type, body)."""
        head = self.exactly(5)
        (size,) = struct.unpack("!I", head[1:])
        return head[:1].decode("latin1"), self.exactly(size - 4)

    def until(self, ends="Z"):
        """Messages up to and with the first of one of these types."""
        got = []
        while True:
            got.append(self.receive())
            if got[-1][0] in ends:
                return got

    def drain(self):
        """All messages until the other side closes. TimeoutError when it does not."""
        got = []
        try:
            while True:
                got.append(self.receive())
        except Closed:
            return got

    # ---- login ----

    def request(self, code):
        self.send(struct.pack("!II", 8, code))
        return self.exactly(1)

    def start_tls(self, ask=True, alpn=None):
        """ask=False: direct TLS, as PostgreSQL 17 has it."""
        if ask:
            answer = self.request(SSL_REQUEST)
            if answer != b"S":
                raise Closed(f"no TLS: {answer + self.sock.recv(4096)!r}")
        context = ssl.create_default_context(cafile=self.ca)
        if alpn:
            context.set_alpn_protocols(alpn)
        self.sock = context.wrap_socket(self.sock, server_hostname=self.host)

    def authenticate(self, token):
        """Answers the request for a password and reads up to ReadyForQuery. The messages on the way."""
        before = [self.receive()]
        if before[-1][0] == "v":
            before.append(self.receive())
        kind, body = before[-1]
        if kind == "E":
            raise ServerError(body)
        if kind != "R" or body != struct.pack("!I", 3):
            raise Closed(f"not a request for a password: {kind} {body!r}")
        self.send(message("p", cstr(token)))
        return before + self.ready()

    def ready(self):
        got = self.until("ZE")
        for kind, body in got:
            if kind == "S":
                name, value = body.split(b"\0")[:2]
                self.parameters[name.decode()] = value.decode()
            elif kind == "K":
                self.key = body
        if got[-1][0] == "E":
            raise ServerError(got[-1][1])
        return got

    def login(self, user, database, token, version=PROTOCOL_30, **params):
        self.start_tls()
        self.send(startup({"user": user, "database": database, **params}, version))
        return self.authenticate(token)

    # ---- statements ----

    def simple(self, sql):
        """Rows of a simple query; ServerError when it failed."""
        self.send(query(sql))
        got = self.until("Z")
        for kind, body in got:
            if kind == "E":
                raise ServerError(body)
        return [row(body) for kind, body in got if kind == "D"]
