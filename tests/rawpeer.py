"""A TCP peer of hand-made frames, for what no kernel would send.

It has an address and a MAC of its own on a namespace's wire, which the kernel there does not know, and answers for them.
"""
import os
import random
import select
import socket
import struct
import time

import pgwire

FIN, SYN, RST, PSH, ACK, URG = 1, 2, 4, 8, 16, 32
ETH_IP4, ETH_IP6, ETH_ARP, ETH_ALL = 0x0800, 0x86DD, 0x0806, 0x0003
TCP, ICMP6 = 6, 58
OUTGOING = 4  # of a packet socket's own frames


def checksum(data):
    if len(data) % 2:
        data += b"\0"
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def option_mss(n):
    return struct.pack("!BBH", 2, 4, n)


SACK_OK = b"\x04\x02\x01\x01"


def option_wscale(n):
    return struct.pack("!BBBB", 1, 3, 3, n)


class Segment:
    """A TCP segment that came for us."""

    def __init__(self, packet):
        self.sport, self.dport, self.seq, self.ack, off, self.flags, self.wnd, _, self.urp = struct.unpack("!HHIIBBHHH", packet[:20])
        self.options, self.data = packet[20:off // 16 * 4], packet[off // 16 * 4:]


class RawPeer:
    def __init__(self, namespace, device, address, gateway):
        self.family = socket.AF_INET6 if ":" in address else socket.AF_INET
        self.ip, self.gateway = socket.inet_pton(self.family, address), socket.inet_pton(self.family, gateway)
        self.mac, self.gateway_mac = b"\x02" + os.urandom(5), None
        with pgwire.namespace(namespace):
            self.sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_ALL))
            self.sock.bind((device, ETH_ALL))
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8 << 20)
        self._resolve()

    def close(self):
        self.sock.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    # ---- the link ----

    def _resolve(self):
        for _ in range(30):
            if self.family == socket.AF_INET:
                self.sock.send(b"\xff" * 6 + self.mac + struct.pack("!HHHBBH", ETH_ARP, 1, ETH_IP4, 6, 4, 1) + self.mac + self.ip +
                               b"\0" * 6 + self.gateway)
            else:
                self._neighbour(135, self.gateway, b"\x33\x33\xff" + self.gateway[13:], bytes.fromhex("ff0200000000000000000001ff") + self.gateway[13:],
                                1, 0)
            end = time.monotonic() + 0.2
            while self.gateway_mac is None and time.monotonic() < end:
                self._take(0.05)
            if self.gateway_mac:
                return
        raise TimeoutError("the gateway's address does not resolve")

    def _neighbour(self, kind, about, mac, to, option, flags):
        body = struct.pack("!BBHI", kind, 0, 0, flags) + about + struct.pack("!BB", option, 1) + self.mac
        pseudo = self.ip + to + struct.pack("!II", len(body), ICMP6)
        body = body[:2] + struct.pack("!H", checksum(pseudo + body)) + body[4:]
        self.sock.send(mac + self.mac + struct.pack("!HIHBB", ETH_IP6, 6 << 28, len(body), ICMP6, 255) + self.ip + to + body)

    def _arp(self, frame):
        op, mac, ip, to = struct.unpack("!H", frame[20:22])[0], frame[22:28], frame[28:32], frame[38:42]
        if op == 2 and ip == self.gateway:
            self.gateway_mac = mac
        elif op == 1 and to == self.ip:
            self.sock.send(mac + self.mac + struct.pack("!HHHBBH", ETH_ARP, 1, ETH_IP4, 6, 4, 2) + self.mac + self.ip + mac + ip)

    def _icmp6(self, frame):
        body = frame[54:]
        if body[0] == 136 and body[8:24] == self.gateway:
            self.gateway_mac = frame[6:12]
        elif body[0] == 135 and body[8:24] == self.ip:
            self._neighbour(136, self.ip, frame[6:12], frame[22:38], 2, 0x60000000)

    def _take(self, seconds):
        """The next frame from the wire: its segment if it is one for us, else None."""
        if not select.select([self.sock], [], [], max(seconds, 0))[0]:
            return None
        frame, where = self.sock.recvfrom(65536)
        if where[2] == OUTGOING:
            return None
        kind = struct.unpack("!H", frame[12:14])[0]
        if kind == ETH_ARP and self.family == socket.AF_INET:
            self._arp(frame)
        elif kind == ETH_IP6 and self.family == socket.AF_INET6 and frame[38:54] == self.ip and frame[20] == TCP:
            return Segment(frame[54:54 + struct.unpack("!H", frame[18:20])[0]])
        elif kind == ETH_IP6 and self.family == socket.AF_INET6 and frame[20] == ICMP6:
            self._icmp6(frame)
        elif kind == ETH_IP4 and self.family == socket.AF_INET and frame[30:34] == self.ip and frame[23] == TCP:
            return Segment(frame[34:14 + struct.unpack("!H", frame[16:18])[0]])
        return None

    # ---- segments ----

    def frame(self, sport, dport, seq, ack, flags, data=b"", options=b"", wnd=65535, urp=0, source=None):
        source = source or self.ip
        options += b"\0" * (-len(options) % 4)
        tcp = struct.pack("!HHIIBBHHH", sport, dport, seq & 0xFFFFFFFF, ack & 0xFFFFFFFF, (20 + len(options)) // 4 << 4, flags, wnd, 0, urp)
        tcp += options + data
        tcp = tcp[:16] + struct.pack("!H", checksum(source + self.gateway + struct.pack("!II", len(tcp), TCP) + tcp)) + tcp[18:]
        if self.family == socket.AF_INET6:
            ip = struct.pack("!IHBB", 6 << 28, len(tcp), TCP, 64) + source + self.gateway
            return self.gateway_mac + self.mac + struct.pack("!H", ETH_IP6) + ip + tcp
        ip = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(tcp), 0, 0x4000, 64, TCP, 0) + source + self.gateway
        ip = ip[:10] + struct.pack("!H", checksum(ip)) + ip[12:]
        return self.gateway_mac + self.mac + struct.pack("!H", ETH_IP4) + ip + tcp

    def send(self, *args, **more):
        self.sock.send(self.frame(*args, **more))

    def receive(self, port, seconds=2):
        """The next segment for that port of ours; None: there is none in time."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            s = self._take(left)
            if s and s.dport == port:
                return s
        return None

    def serve(self, seconds):
        """Answers for the address, and takes what comes."""
        end, got = time.monotonic() + seconds, []
        while (left := end - time.monotonic()) > 0:
            s = self._take(left)
            if s:
                got.append(s)
        return got

    def connect(self, dport, options=SACK_OK, wnd=65535, seconds=5):
        return RawConnection(self, dport, options, wnd, seconds)


class RawConnection:
    """Established by hand. snd and rcv are the next sequence numbers either way."""

    def __init__(self, peer, dport, options, wnd, seconds):
        self.peer, self.dport, self.sport, self.wnd = peer, dport, random.randrange(20000, 60000), wnd
        self.snd = self.iss = random.getrandbits(32)
        answer, end = None, time.monotonic() + seconds
        while answer is None and time.monotonic() < end:
            peer.send(self.sport, dport, self.snd, 0, SYN, options=options, wnd=min(wnd, 65535))
            answer = peer.receive(self.sport, 1)
        if answer is None or answer.flags & (SYN | ACK | RST) != SYN | ACK or answer.ack != (self.snd + 1) & 0xFFFFFFFF:
            raise ConnectionError(f"no handshake: {answer and vars(answer)}")
        self.answer = answer
        self.snd, self.rcv = (self.snd + 1) & 0xFFFFFFFF, (answer.seq + 1) & 0xFFFFFFFF
        self.send(b"", flags=ACK)

    def send(self, data, at=None, flags=PSH | ACK, **more):
        """At an offset from the first byte of the stream; by default behind what was sent."""
        seq = self.snd if at is None else self.iss + 1 + at
        self.peer.send(self.sport, self.dport, seq, self.rcv, flags, data=data, wnd=more.pop("wnd", self.wnd), **more)
        if at is None:
            self.snd = (self.snd + len(data)) & 0xFFFFFFFF

    def receive(self, seconds=2):
        return self.peer.receive(self.sport, seconds)

    def read(self, n, seconds=5, acknowledge=True):
        """n bytes in order; what comes is acknowledged."""
        got, end = b"", time.monotonic() + seconds
        while len(got) < n and (left := end - time.monotonic()) > 0:
            s = self.receive(left)
            if s is None:
                break
            if s.flags & RST:
                raise ConnectionResetError(f"reset, {len(got)} of {n} bytes there")
            ahead = (self.rcv - s.seq) & 0xFFFFFFFF
            if ahead < len(s.data):
                got += s.data[ahead:]
                self.rcv = (self.rcv + len(s.data) - ahead) & 0xFFFFFFFF
                if acknowledge:
                    self.send(b"", flags=ACK)
        return got

    def reset(self):
        self.peer.send(self.sport, self.dport, self.snd, self.rcv, RST | ACK)
