"""Between the gateway and the target, on the target's address: passes bytes on, one at a time if asked, and keeps what the target said."""
import os
import socket
import threading
import time

import pgwire
from labtest import DIR, TARGET

PORT = 5434
PAUSE = 0.0001


class Cutter:
    """Use as a context. While `cut` is set each byte of the target goes in a segment of its own, but for the
    gateway's own connection, which asks for the catalog. `said`: what the target has said on each
    connection, in order of connections."""

    def __init__(self):
        self.cut, self.said = False, []
        with pgwire.namespace(TARGET):
            self.listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.listener.bind(("10.99.2.2", PORT))
        self.listener.listen(32)

    def __enter__(self):
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_):
        try:
            self.listener.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self.listener.close()

    def _accept(self):
        while True:
            try:
                gateway, _ = self.listener.accept()
            except OSError:
                return
            gateway.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            target = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            target.connect(os.path.join(DIR, "pg/socket/.s.PGSQL.5432"))
            said = bytearray()
            self.said.append(said)
            whole = threading.Event()
            threading.Thread(target=self._forward, args=(gateway, target, whole), daemon=True).start()
            threading.Thread(target=self._back, args=(target, gateway, said, whole), daemon=True).start()

    @staticmethod
    def _forward(gateway, target, whole):
        try:
            while data := gateway.recv(65536):
                if b"pg_rewrite" in data:
                    whole.set()
                target.sendall(data)
            target.shutdown(socket.SHUT_WR)
        except OSError:
            target.close()

    def _back(self, target, gateway, said, whole):
        try:
            while data := target.recv(65536):
                said += data
                if not self.cut or whole.is_set():
                    gateway.sendall(data)
                    continue
                for i in range(len(data)):
                    gateway.sendall(data[i:i + 1])
                    time.sleep(PAUSE)
            gateway.shutdown(socket.SHUT_WR)
        except OSError:
            gateway.close()
