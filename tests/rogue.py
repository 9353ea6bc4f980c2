"""A target that does not keep to the protocol: stands at the target's address, port 5433, and misbehaves as it is told.

It speaks just enough of the backend's side for a gateway to log in: TLS with the lab's certificate, MD5, and an empty
answer to every statement that the script does not know.
"""
import socket
import ssl
import struct
import threading

import pgwire
from labtest import DIR, TARGET
from pgwire import cstr, message

READY = message("Z", b"I")


def row_description(*names):
    body = struct.pack("!H", len(names))
    for n in names:
        body += cstr(n) + struct.pack("!IHIhiH", 0, 0, 25, -1, -1, 0)
    return message("T", body)


def data_row(*values):
    return message("D", struct.pack("!H", len(values)) + b"".join(struct.pack("!I", len(v)) + v for v in values))


def complete(tag):
    return message("C", cstr(tag))


class Rogue:
    """Use as a context. `auth`: bytes instead of the request for a password. `answers`: part of a statement -> bytes.
    `die_after`: part of a statement whose answer is the last thing it says. `alpn`: TLS begins with the connection, and must
    offer these; what was agreed on is in `agreed`."""

    def __init__(self, answers=None, auth=None, after_auth=b"", die_after=None, alpn=None):
        self.alpn, self.agreed = alpn, []
        self.answers, self.auth, self.after_auth, self.die_after = answers or {}, auth, after_auth, die_after
        self.seen, self.problems = [], []
        with pgwire.namespace(TARGET):
            self.listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.listener.bind(("10.99.2.2", 5433))
        self.listener.listen(8)
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(f"{DIR}/pki/target.pem", f"{DIR}/pki/target.key")
        if alpn:
            self.context.set_alpn_protocols(alpn)

    def __enter__(self):
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_):
        # close() alone does not wake a thread that waits in accept().
        try:
            self.listener.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self.listener.close()

    def _accept(self):
        while True:
            try:
                sock, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(sock,), daemon=True).start()

    def _serve(self, sock):
        sock.settimeout(20)
        try:
            if self.alpn:
                sock = self.context.wrap_socket(sock, server_side=True)
                self.agreed.append(sock.selected_alpn_protocol())
            (size, code) = struct.unpack("!II", self._exactly(sock, 8))
            if code == pgwire.SSL_REQUEST:
                sock.sendall(b"S")
                sock = self.context.wrap_socket(sock, server_side=True)
                (size, code) = struct.unpack("!II", self._exactly(sock, 8))
            self._exactly(sock, size - 8)
            sock.sendall(self.auth or message("R", struct.pack("!I", 5) + b"salt"))
            self._message(sock)
            sock.sendall(self.after_auth or message("R", struct.pack("!I", 0)))
            for name, value in (("server_version", "15.0"), ("client_encoding", "UTF8"), ("standard_conforming_strings", "on")):
                sock.sendall(message("S", cstr(name) + cstr(value)))
            sock.sendall(message("K", struct.pack("!II", 4711, 815)) + READY)
            while True:
                self._answer(sock, *self._message(sock))
        except (OSError, ssl.SSLError, EOFError) as e:
            self.problems.append(repr(e))
        finally:
            sock.close()

    @staticmethod
    def _exactly(sock, n):
        got = b""
        while len(got) < n:
            more = sock.recv(n - len(got))
            if not more:
                raise EOFError
            got += more
        return got

    def _message(self, sock):
        kind, size = struct.unpack("!cI", self._exactly(sock, 5))
        body = self._exactly(sock, size - 4)
        self.seen.append((kind.decode(), body))
        return kind.decode(), body

    def _answer(self, sock, kind, body):
        if kind == "X":
            raise EOFError
        for part, answer in self.answers.items():
            if part.encode() in body:
                sock.sendall(answer)
                if self.die_after and self.die_after.encode() in body:
                    raise EOFError
                return
        simple = {"P": message("1"), "B": message("2"), "D": message("n"), "E": complete("SELECT 0"), "S": READY, "H": b"", "C": message("3")}
        if kind == "Q":
            sock.sendall(row_description("a", "b", "c", "d", "e") + complete("SELECT 0") + READY)
        else:
            sock.sendall(simple.get(kind, b""))
