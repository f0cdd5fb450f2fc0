# SPDX-License-Identifier: MIT
"""A server that is started and watched, and a client for it: what the tests, the soak and the benchmark of graphd share."""
import atexit
import collections
import os
import re
import select
import signal
import socket
import subprocess
import time
import urllib.request

PATIENCE = 60  # seconds: more than any slow machine needs; only something broken takes as long


class Refusal(Exception):
    """An error reply."""


class Gone(Exception):
    """The server has closed the connection."""


def pack(*words):
    words = [w if isinstance(w, bytes) else str(w).encode() for w in words]
    return b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%s\r\n" % (len(w), w) for w in words)


class Client:
    def __init__(self, port, receive_buffer=0):
        self.socket = socket.socket()
        if receive_buffer:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.socket.settimeout(PATIENCE)
        self.socket.connect(("127.0.0.1", port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.held = bytearray()
        self.at = 0

    def close(self):
        self.socket.close()

    def vanish(self):
        """As when the cable is cut: the server gets a reset, no end."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        self.socket.close()

    def send(self, data):
        self.socket.sendall(data)

    def more(self):
        data = self.socket.recv(1 << 18)
        if not data:
            raise Gone
        if self.at > 1 << 20:
            del self.held[:self.at]
            self.at = 0
        self.held += data

    def line(self):
        while True:
            end = self.held.find(b"\r\n", self.at)
            if end >= 0:
                found = bytes(self.held[self.at:end])
                self.at = end + 2
                return found
            self.more()

    def reply(self, raising=True):
        line = self.line()
        kind, rest = line[:1], line[1:]
        if kind == b"+":
            return rest.decode()
        if kind == b"-":
            if raising:
                raise Refusal(rest.decode(errors="replace"))
            return Refusal(rest.decode(errors="replace"))
        if kind == b":":
            return int(rest)
        if kind == b"$":
            size = int(rest)
            if size < 0:
                return None
            while len(self.held) - self.at < size + 2:
                self.more()
            found = bytes(self.held[self.at:self.at + size])
            assert self.held[self.at + size:self.at + size + 2] == b"\r\n"
            self.at += size + 2
            return found
        assert kind == b"*", line
        return None if int(rest) < 0 else [self.reply(raising=False) for _ in range(int(rest))]

    def __call__(self, *words):
        self.send(pack(*words))
        return self.reply()

    def pipeline(self, requests):
        """Replies, errors among them as values. Sends and receives in turns, so that neither side's buffers fill up."""
        data, replies = b"".join(pack(*r) for r in requests), []
        self.socket.setblocking(False)
        try:
            while data:
                readable, _, _ = select.select([self.socket], [self.socket], [], PATIENCE)
                if readable:
                    self.more()
                try:
                    data = data[self.socket.send(data[:1 << 16]):]
                except BlockingIOError:
                    pass
        finally:
            self.socket.settimeout(PATIENCE)
        for _ in requests:
            replies.append(self.reply(raising=False))
        return replies

    def info(self):
        text = self("INFO").decode()
        return dict(line.split(":", 1) for line in text.split("\r\n") if ":" in line)

    def purge(self):
        return self("MEMORY", "PURGE")


class Server:
    def __init__(self, program, *flags, environment=None):
        words = [program, "--port", "0", *map(str, flags)]
        self.process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                                        env=dict(os.environ, **(environment or {})))
        atexit.register(self.process.kill)  # whatever fails: nothing is left running
        self.said, line = "", None
        while line != "" and not self.said.endswith(" friend\n"):
            line = self.process.stdout.readline()
            self.said += line
        found = re.search(r"port (\d+)", self.said)
        if not found:
            raise RuntimeError("the server does not start: " + self.said + self.process.stderr.read())
        self.port = int(found[1])
        found = re.search(r"http://.*:(\d+)/", self.said)
        self.metrics = int(found[1]) if found else None

    def client(self, **how):
        return Client(self.port, **how)

    def rss(self):
        """Kilobytes."""
        with open(f"/proc/{self.process.pid}/status") as status:
            return int(next(line for line in status if line.startswith("VmRSS")).split()[1])

    def get(self, port, path):
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=PATIENCE) as response:
            return response.status, response.headers["content-type"], response.read()

    def end(self, how=signal.SIGTERM):
        """Exit status, and all that it has said."""
        if how is not None:
            self.process.send_signal(how)
        try:
            out, err = self.process.communicate(timeout=PATIENCE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            out, err = self.process.communicate()
            return -1, self.said + out + err + "\n(it did not end)"
        return self.process.returncode, self.said + out + err


def until(what, seconds=PATIENCE):
    """Wait until what() is true."""
    end = time.monotonic() + seconds
    while not what():
        if time.monotonic() > end:
            return False
        time.sleep(0.01)
    return True


class Mirror:
    """What the graph must be: the same rules, written plainly (examples/graphd/graph.c)."""

    class Node:
        def __init__(self, name):
            self.name, self.out, self.into = name, {}, {}  # (label, name) -> Node

    def __init__(self):
        self.named = {}

    def node(self, name):
        if name in self.named:
            return 0
        self.named[name] = self.Node(name)
        return 1

    def drop(self, name):
        return int(self.named.pop(name, None) is not None)

    @staticmethod
    def cut(here, there, key, back, node):
        peer = here.pop(key, None)
        if peer is None:
            return 0
        if getattr(peer, there).get(back) is node:
            del getattr(peer, there)[back]
        return 1

    def link(self, a, b, label):
        self.node(a), self.node(b)
        na, nb = self.named[a], self.named[b]
        if na.out.get((label, b)) is nb:
            return 0
        self.cut(na.out, "into", (label, b), (label, a), na)
        self.cut(nb.into, "out", (label, a), (label, b), nb)
        na.out[label, b] = nb
        nb.into[label, a] = na
        return 1

    def unlink(self, a, b, label):
        na, nb = self.named.get(a), self.named.get(b)
        if na and self.cut(na.out, "into", (label, b), (label, a), na):
            return 1
        return self.cut(nb.into, "out", (label, a), (label, b), nb) if nb else 0

    def alive(self):
        """Nodes that something with a name leads to."""
        met, left = set(), list(self.named.values())
        while left:
            node = left.pop()
            if node not in met:
                met.add(node)
                left += node.out.values()
                left += node.into.values()
        return met

    def walk(self, name, depth):
        layer = [self.named[name]] if name in self.named else []
        met = set(layer)
        for _ in range(depth):
            layer = [n for m in layer for n in m.out.values()]
            layer = [n for n in collections.OrderedDict.fromkeys(layer) if n not in met]
            met.update(layer)
        return collections.Counter(n.name for n in met)

    def distance(self, a, b):
        """Nodes on a shortest way, 0 if there is none."""
        if a not in self.named or b not in self.named:
            return 0
        layer, met, length = [self.named[a]], {self.named[a]}, 1
        while layer:
            if self.named[b] in layer:
                return length
            layer = [n for m in layer for n in m.out.values() if n not in met and not met.add(n)]
            length += 1
        return 0

    def differences(self, client):
        """What the server has that is not here, or the other way round, as lines."""
        found = []
        names = set(client("KEYS", "*"))
        kinds = client.pipeline([("TYPE", n) for n in names])
        nodes = {n for n, kind in zip(names, kinds) if kind == "node"}
        found += [f"{n}: there, must not be" for n in nodes - self.named.keys()]
        found += [f"{n}: missing" for n in self.named.keys() - nodes]
        order = sorted(self.named)
        for direction, edges in ("OUT", "out"), ("IN", "into"):
            replies = client.pipeline([("GNEIGHBORS", n, direction) for n in order])
            for name, reply in zip(order, replies):
                wanted = sorted(getattr(self.named[name], edges))
                got = sorted(zip(reply[::2], reply[1::2])) if isinstance(reply, list) else reply
                if got != wanted:
                    found.append(f"{name} {direction}: {got}, must be {wanted}")
        return found
