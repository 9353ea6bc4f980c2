#!/usr/bin/python3
"""A stream of bytes with its SHA-256, over one TCP connection.

Usage: stream.py connect|listen HOST PORT send|receive|both BYTES [--slow MS]
`both`: sends and reads the same bytes back (through an echo). One line of JSON at the end.
"""
import argparse
import hashlib
import json
import os
import socket
import struct
import threading
import time

BLOCK = 1 << 20


class Source:
    """Bytes that do not repeat: a random block, each time with a number in front and from another offset."""

    def __init__(self, total):
        self.block, self.left, self.n = os.urandom(2 * BLOCK), total, 0

    def take(self):
        if self.left == 0:
            return b""
        at = (self.n * 4097) % BLOCK
        piece = (struct.pack("!Q", self.n) + self.block[at:at + BLOCK - 8])[:self.left]
        self.n += 1
        self.left -= len(piece)
        return piece


def send(sock, total, out):
    source, digest, sent = Source(total), hashlib.sha256(), 0
    while piece := source.take():
        sock.sendall(piece)
        digest.update(piece)
        sent += len(piece)
    sock.shutdown(socket.SHUT_WR)
    out.update(sent=sent, sent_sha256=digest.hexdigest())


def receive(sock, out, slow):
    digest, got, first = hashlib.sha256(), 0, None
    while piece := sock.recv(BLOCK):
        first = first or time.monotonic()
        digest.update(piece)
        got += len(piece)
        if slow:
            time.sleep(slow / 1000)
    out.update(received=got, received_sha256=digest.hexdigest(), seconds=time.monotonic() - (first or time.monotonic()))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("how", choices=["connect", "listen"])
    parser.add_argument("host")
    parser.add_argument("port", type=int)
    parser.add_argument("what", choices=["send", "receive", "both"])
    parser.add_argument("bytes", type=int, nargs="?", default=0)
    parser.add_argument("--slow", type=float, default=0, help="milliseconds between reads")
    args = parser.parse_args()
    family = socket.AF_INET6 if ":" in args.host else socket.AF_INET
    if args.how == "listen":
        with socket.create_server((args.host, args.port), family=family) as server:
            print("listening", flush=True)
            sock = server.accept()[0]
    else:
        sock = socket.socket(family, socket.SOCK_STREAM)
        sock.connect((args.host, args.port))
    out, began = {}, time.monotonic()
    if args.what == "both":
        sender = threading.Thread(target=send, args=(sock, args.bytes, out))
        sender.start()
        receive(sock, out, args.slow)
        sender.join()
    elif args.what == "send":
        send(sock, args.bytes, out)
        sock.recv(1)  # the other side's FIN: all has arrived
    else:
        receive(sock, out, args.slow)
    sock.close()
    out["whole_seconds"] = time.monotonic() - began
    print(json.dumps(out), flush=True)


if __name__ == "__main__":
    main()
