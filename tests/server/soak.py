#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""soak.py PROGRAM [--seconds N] [--seed N]: graphd under mixed load for long, and an audit at the end.

Oracle: each worker has names of its own, and a mirror of what is under them. Every reply must be what the mirror says, at any time,
whoever else is busy; at the end all keys, hashes and edges are compared, and after a collection as many nodes must be alive as the
mirrors can reach. Clients come, go and vanish in the middle of requests; cycles are made and cut. A second server has a budget, and
is filled beyond it all the time: no write may be refused, and it must stay below it. Memory of both, looked at after a collection,
must not grow: the last looks are compared with those after a third of the time, if it was a minute or more. Both must end with no
value left.
"""
import argparse
import random
import sys
import threading
import time

from client import Mirror, Server, pack, until

WORKERS = 3
BUDGET = 32 << 20


class Fault(Exception):
    pass


class Worker(threading.Thread):
    """One client after the other, the same mirror."""

    def __init__(self, number, server, seed, end):
        super().__init__()
        self.prefix = b"w%d:" % number
        self.server, self.random, self.end = server, random.Random(seed * 1000 + number), end
        self.mirror, self.texts, self.hashes = Mirror(), {}, {}
        self.operations, self.fault = 0, None
        self.pause, self.paused = threading.Event(), threading.Event()

    def name(self, kind, count):
        return self.prefix + b"%s%d" % (kind, self.random.randrange(count))

    def graph(self):
        a, b, label = self.name(b"n", 80), self.name(b"n", 80), self.random.choice([b"x", b"friend"])
        what = self.random.random()
        if what < 0.45:
            return (b"GLINK", a, b, label), self.mirror.link(a, b, label)
        if what < 0.65:
            return (b"GUNLINK", a, b, label), self.mirror.unlink(a, b, label)
        if what < 0.9:
            return (b"GDROP", a), self.mirror.drop(a)
        return (b"GWALK", a, 2), sum(self.mirror.walk(a, 2).values())

    def text(self):
        key, what = self.name(b"t", 500), self.random.random()
        if what < 0.4:
            self.texts[key] = self.random.randbytes(self.random.choice([3, 60, 2000, 30000]))
            return (b"SET", key, self.texts[key]), "OK"
        if what < 0.9:
            return (b"GET", key), self.texts.get(key)
        return (b"DEL", key), int(self.texts.pop(key, None) is not None)

    def hash(self):
        key, field, what = self.name(b"h", 20), b"f%d" % self.random.randrange(30), self.random.random()
        fields = self.hashes.setdefault(key, {})
        if what < 0.5:
            fresh = field not in fields
            fields[field] = b"%d" % self.random.randrange(10 ** 9)
            return (b"HSET", key, field, fields[field]), int(fresh)
        if what < 0.8:
            return (b"HGET", key, field), fields.get(field)
        return (b"HDEL", key, field), int(fields.pop(field, None) is not None)

    def all_dropped(self):
        """All that was linked is garbage at once: otherwise what dropped nodes keep alive of each other would grow for ever."""
        return [((b"GDROP", name), self.mirror.drop(name)) for name in list(self.mirror.named)]

    def batch(self, client):
        if self.mirror.named and self.random.random() < 0.01:
            batch = self.all_dropped()
        else:
            kinds = [self.graph, self.graph, self.text, self.hash]
            batch = [self.random.choice(kinds)() for _ in range(self.random.choice([1, 10, 100]))]
        requests, wanted = zip(*batch)
        for request, got, want in zip(requests, client.pipeline(requests), wanted):
            got = len(got) if isinstance(got, list) else got
            if got != want:
                raise Fault(f"{request}: {str(got)[:200]}, must be {str(want)[:200]}")
        self.operations += len(requests)

    def nuisance(self):
        """A client that vanishes while it writes or reads; its request is not complete, or changes nothing."""
        client = self.server.client(receive_buffer=4096)
        client.send(self.random.choice([b"*3\r\n$3\r\nSET\r\n$5\r\n", pack("KEYS", "*") * 5, b"\0\1garbage\r\n", b"PING"]))
        client.vanish() if self.random.random() < 0.5 else client.close()

    def run(self):
        try:
            while time.monotonic() < self.end:
                client = self.server.client()
                for _ in range(self.random.randrange(1, 50)):
                    self.batch(client)
                client.close()
                self.nuisance()
                if self.pause.is_set():
                    self.paused.set()
                    until(lambda: not self.pause.is_set())
        except Exception as fault:  # the main thread shows it
            self.fault = fault
        self.paused.set()

    def audit(self, client):
        found = [f"{k}: text differs" for k, v in self.texts.items() if client("GET", k) != v]
        for key, fields in self.hashes.items():
            got = client("HGETALL", key)
            if dict(zip(got[::2], got[1::2])) != fields:
                found.append(f"{key}: hash differs")
        return found


class Filler(threading.Thread):
    """Writes more than there is room for."""

    def __init__(self, server, seed, end):
        super().__init__()
        self.server, self.random, self.end, self.fault, self.most = server, random.Random(seed), end, None, 0

    def run(self):
        try:
            client = self.server.client()
            while time.monotonic() < self.end:
                requests = [("SET", f"k{self.random.randrange(10 ** 6)}", self.random.randbytes(self.random.choice([10, 3000])))
                            for _ in range(300)]
                requests += [("GLINK", f"n{self.random.randrange(10 ** 5)}", f"n{self.random.randrange(10 ** 5)}", "l")
                             for _ in range(20)]
                for reply in client.pipeline(requests):
                    if reply != "OK" and reply not in (0, 1):
                        raise Fault(reply)
                self.most = max(self.most, int(client.info()["used_memory"]))
                time.sleep(0.005)
        except Exception as fault:
            self.fault = fault


def settled_rss(server):
    server.client().purge()
    return server.rss()


def audit(server, workers):
    client = server.client()
    merged, found = Mirror(), []
    for w in workers:
        found += w.audit(client)
        merged.named.update(w.mirror.named)
    found += merged.differences(client)
    wanted = {k for w in workers for k in [*w.texts, *(h for h, f in w.hashes.items() if f), *w.mirror.named]}
    found += [f"{k}: must not be there" for k in set(client("KEYS", "*")) - wanted]
    client.purge()
    alive, reachable = int(client.info()["nodes_alive"]), len(merged.alive())
    if alive != reachable:
        found.append(f"{alive} nodes are alive, {reachable} can be reached")
    return found


def watch(threads, servers, end):
    """Returns what memory each server had after each collection, and whoever failed."""
    looks, workers = [[] for _ in servers], [t for t in threads if isinstance(t, Worker)]
    every = max(2.0, (end - time.monotonic()) / 30)
    while time.monotonic() < end and not any(t.fault for t in threads):
        time.sleep(min(every, max(0.1, end - time.monotonic())))
        for w in workers:
            w.pause.set()
        for w in workers:
            w.paused.wait(120)
        for look, server in zip(looks, servers):
            look.append(settled_rss(server))
        for w in workers:
            w.paused.clear()
            w.pause.clear()
    return looks


def growth(looks):
    """The median of the last third over that of the middle third."""
    third = len(looks) // 3
    if third < 3:
        return None
    middle, last = (sorted(part)[third // 2] for part in (looks[third:2 * third], looks[-third:]))
    return last / middle


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("program")
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    arguments = parser.parse_args()
    print(f"seed {arguments.seed}")
    servers = [Server(arguments.program, "--threads", 2), Server(arguments.program, "--threads", 2, "--maxmemory", BUDGET)]
    end = time.monotonic() + arguments.seconds
    workers = [Worker(i, servers[0], arguments.seed, end) for i in range(WORKERS)]
    filler = Filler(servers[1], arguments.seed, end)
    for t in [*workers, filler]:
        t.start()
    looks = watch([*workers, filler], servers, end)
    for t in [*workers, filler]:
        t.join()
    found = [f"seed {arguments.seed}: {t.fault!r}" for t in [*workers, filler] if t.fault]
    if not found:
        found = audit(servers[0], workers)
    if filler.most > BUDGET * 1.3:
        found.append(f"{filler.most} bytes used, the budget is {BUDGET}")
    for what, look in zip(("mixed", "budget"), looks):
        grown = growth(look)
        print(f"{what}: memory after collections, kB: {' '.join(map(str, look))}; "
              f"the last third over the middle one: {'-' if grown is None else f'{grown:.2f}'}")
        if grown and grown > 1.25 and arguments.seconds >= 60:
            found.append(f"{what}: memory grows")
    for server in servers:
        status, said = server.end()
        if status != 0 or "0 values left" not in said:
            found.append(said)
    print(f"{sum(w.operations for w in workers)} operations, {len(found)} faults")
    for line in found[:30]:
        print("FAULT:", line)
    return bool(found)


if __name__ == "__main__":
    sys.exit(main())
