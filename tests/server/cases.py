#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""cases.py PROGRAM [CASE ...]: graphd as clients see it. Prints TAP; exits 1 when a case fails."""
import os
import random
import resource
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
import traceback

from client import PATIENCE, Client, Gone, Mirror, Refusal, Server, pack, until

PROGRAM = sys.argv[1]
SEED = 1


class Skip(Exception):
    pass


class About:
    """A time that passes: this, or up to a minute less."""

    def __init__(self, most):
        self.most = most

    def __ne__(self, got):
        return not self.most - 60 <= got <= self.most or got <= 0


def same(got, wanted, what=""):
    if got != wanted:
        raise AssertionError(f"{what}: got {str(got)[:300]!r}, wanted {str(wanted)[:300]!r}")


def refused(client, words, *request):
    try:
        got = client(*request)
    except Refusal as refusal:
        if not str(refusal).startswith(words):
            raise AssertionError(f"{request}: refused with {refusal}, not {words}") from None
        return
    raise AssertionError(f"{request}: got {got}, wanted the error {words}")


def all_of(client, requests):
    for words, wanted in requests:
        if isinstance(wanted, Refusal):
            refused(client, str(wanted), *words.split())
        else:
            same(client(*words.split()), wanted, words)


# ---- With the server that all share -----------------------------------------------------------------------------------

NOT_A_NUMBER = Refusal("ERR value is not an integer or out of range")
WRONG = Refusal("WRONGTYPE Operation against a key holding the wrong kind of value")


def strings(server):
    all_of(server.client(), [
        ("PING", "PONG"), ("PING x", b"x"), ("ECHO y", b"y"), ("SELECT 0", "OK"), ("SELECT 1", Refusal("ERR DB index is out")),
        ("GET s", None), ("SET s 1", "OK"), ("get s", b"1"), ("SET s 2 NX", None), ("SET s 2 XX GET", b"1"), ("GET s", b"2"),
        ("SET t 2 XX", None), ("SETNX t 5", 1), ("SETNX t 6", 0), ("GETSET t 7", b"5"), ("MGET s t u", [b"2", b"7", None]),
        ("MSET a 1 b 2", "OK"), ("MSET a 1 b", Refusal("ERR wrong number of arguments for 'mset' command")),
        ("INCR n", 1), ("INCRBY n 41", 42), ("DECR n", 41), ("DECRBY n 40", 1), ("SET n 9223372036854775807", "OK"),
        ("INCR n", Refusal("ERR increment or decrement would overflow")), ("SET n 01", "OK"), ("INCR n", NOT_A_NUMBER),
        ("SET n -9223372036854775808", "OK"), ("INCR n", -9223372036854775807), ("SET n 9223372036854775808", "OK"),
        ("INCR n", NOT_A_NUMBER), ("SET n -0", "OK"), ("INCR n", NOT_A_NUMBER), ("SET n -", "OK"), ("INCR n", NOT_A_NUMBER),
        ("SET n 99999999999999999999", "OK"), ("INCR n", NOT_A_NUMBER), ("SET n x", "OK"), ("INCR n", NOT_A_NUMBER),
        ("APPEND n y", 2), ("GET n", b"xy"), ("STRLEN n", 2), ("STRLEN none", 0),
        ("EXISTS s t none s", 3), ("DEL s t none", 2), ("TYPE n", "string"), ("TYPE none", "none"),
        ("SET n 1 EX", Refusal("ERR syntax error")), ("SET n 1 EX 0", Refusal("ERR invalid expire time in 'set' command")),
        ("SET n 1 NX XX", Refusal("ERR syntax error")), ("SET n 1 EX x", NOT_A_NUMBER),
        ("GET", Refusal("ERR wrong number of arguments for 'get' command")),
        ("NONSENSE a b", Refusal("ERR unknown command 'NONSENSE', with args beginning with: 'a' 'b'")),
    ])


def keys_and_times(server):
    client = server.client()
    all_of(client, [
        ("FLUSHALL", "OK"), ("DBSIZE", 0), ("SET k v EX 100", "OK"), ("TTL k", About(100)), ("PERSIST k", 1), ("PERSIST k", 0),
        ("TTL k", -1), ("PTTL none", -2), ("EXPIRE k 100", 1), ("SET k v KEEPTTL", "OK"), ("TTL k", About(100)), ("SET k v", "OK"),
        ("TTL k", -1), ("EXPIRE none 1", 0), ("SETEX k 50 v", "OK"), ("TTL k", About(50)), ("APPEND k w", 2), ("TTL k", About(50)),
        ("EXPIRE k -1", 1), ("GET k", None), ("SET k v PX 100000", "OK"), ("PEXPIRE k 5000000", 1), ("TTL k", About(5000)),
        ("KEYS *", [b"k"]), ("KEYS [a-j]", []), ("KEYS [^k]", []), ("KEYS ?", [b"k"]), ("SCAN x", Refusal("ERR invalid cursor")),
        ("FLUSHALL", "OK"),
    ])
    odd = [b"", b"\0", b"\1", b"\0\1\2", b"\1\1", b"\1\2", b"\0\0", b"a\0b", b"a", bytes(range(256)) * 5]
    for i, key in enumerate(odd):
        same(client("SET", key, i), "OK")
    same([int(client("GET", key)) for key in odd], list(range(len(odd))), "keys of any bytes")
    same(sorted(client("KEYS", "*")), sorted(odd), "and shown as they are")
    client.pipeline([("SET", f"key:{i}", i) for i in range(3000)])
    cursor, seen = b"0", []
    while True:
        cursor, found = client("SCAN", cursor, "MATCH", "key:*", "COUNT", 100)
        seen += found
        if cursor == b"0":
            break
    same(sorted(seen), sorted(b"key:%d" % i for i in range(3000)), "SCAN")
    same(client("FLUSHALL"), "OK")


def expiry(server):
    client = server.client()
    client.pipeline([("SET", f"short:{i}", i, "PX", 30) for i in range(500)])
    same(client("SET", "long", 1, "EX", 1000), "OK")
    if not until(lambda: client("GET", "short:0") is None):
        raise AssertionError("it does not expire")
    if not until(lambda: client("DBSIZE") == 1):
        raise AssertionError("keys that nobody asks for stay")
    same(client("DEL", "long"), 1)


def hashes(server):
    client = server.client()
    all_of(client, [
        ("HSET h a 1 b 2", 2), ("HSET h a 3 c 4", 1), ("HGET h a", b"3"), ("HGET h z", None), ("HGET none a", None),
        ("HLEN h", 3), ("HMGET h a z c", [b"3", None, b"4"]), ("HEXISTS h a", 1), ("HEXISTS h z", 0), ("HDEL h a z", 1),
        ("HINCRBY h n 5", 5), ("HINCRBY h n -7", -2), ("HSET h w x", 1), ("HINCRBY h w 1", Refusal("ERR hash value is not an in")),
        ("GET h", WRONG), ("INCR h", WRONG), ("SET s 1", "OK"), ("HSET s a b", WRONG), ("HGETALL s", WRONG), ("HGETALL none", []),
        ("HSET h a", Refusal("ERR wrong number of arguments for 'hset' command")), ("TYPE h", "hash"), ("MGET h s", [None, b"1"]),
        ("HDEL h b c n w", 4), ("EXISTS h", 0), ("DEL s", 1),
    ])
    client.pipeline([("HSET", "big", f"field {i}", "x" * (i % 3000)) for i in range(400)])
    got = client("HGETALL", "big")
    same({k: len(v) for k, v in zip(got[::2], got[1::2])}, {b"field %d" % i: i % 3000 for i in range(400)}, "HGETALL")
    same(sorted(client("HKEYS", "big")), sorted(got[::2]))
    same(client("DEL", "big"), 1)


def random_graph(server):
    """Operations in any order beside a mirror; then what is unreachable is gone, and nothing else."""
    client, mirror, random_ = server.client(), Mirror(), random.Random(SEED)
    client("FLUSHALL")
    requests, wanted = [], []
    for _ in range(3000):
        a, b = (b"n%d" % random_.randrange(60) for _ in "ab")
        label = random_.choice([b"friend", b"l", b"xy"])
        what = random_.random()
        if what < 0.4:
            requests.append((b"GLINK", a, b, label)), wanted.append(mirror.link(a, b, label))
        elif what < 0.6:
            requests.append((b"GUNLINK", a, b, label)), wanted.append(mirror.unlink(a, b, label))
        elif what < 0.7:
            requests.append((b"GNODE", a)), wanted.append(mirror.node(a))
        elif what < 0.9:
            requests.append((b"GDROP", a)), wanted.append(mirror.drop(a))
        elif what < 0.95:
            requests.append((b"GPATH", a, b)), wanted.append(mirror.distance(a, b))
        else:
            requests.append((b"GWALK", a, 2)), wanted.append(sum(mirror.walk(a, 2).values()))
    for request, got, want in zip(requests, client.pipeline(requests), wanted):
        same(len(got) if isinstance(got, list) else got, want, request)
    same(mirror.differences(client), [], "the graph")
    client.purge()
    same(int(client.info()["nodes_alive"]), len(mirror.alive()), "nodes alive")
    client("FLUSHALL")
    client.purge()
    same(int(client.info()["nodes_alive"]), 0, "nodes alive after the end of all names")


def graph(server):
    client = server.client()
    all_of(client, [
        ("GLINK a b friend", 1), ("GLINK a b friend", 0), ("GLINK b c friend", 1), ("GLINK c a friend", 1), ("GNODE a", 0),
        ("GNODE z", 1), ("GWALK a 0", [b"a"]), ("GWALK a 1", [b"a", b"b"]), ("GWALK a 9", [b"a", b"b", b"c"]),
        ("GWALK a 9 LIMIT 2", [b"a", b"b"]), ("GPATH a c", [b"a", b"b", b"c"]), ("GPATH a a", [b"a"]), ("GPATH a z", []),
        ("GPATH a none", []), ("GNEIGHBORS a", [b"friend", b"b"]), ("GNEIGHBORS a IN", [b"friend", b"c"]), ("TYPE a", "node"),
        ("GET a", WRONG), ("SET s 1", "OK"), ("GNODE s", WRONG), ("GLINK a s x", WRONG), ("GDROP s", WRONG), ("GWALK s 1", WRONG),
        ("GWALK a -1", Refusal("ERR value is out of range")), ("GWALK a x", NOT_A_NUMBER), ("GWALK none 3", []),
        ("GLINK a a self", 1), ("GUNLINK a a self", 1), ("GUNLINK a a self", 0), ("GDROP b", 1), ("GDROP b", 0),
        ("GWALK a 9", [b"a", b"b", b"c"]), ("GUNLINK a b friend", 1), ("GWALK a 9", [b"a"]), ("DEL a c s z", 4),
    ])
    refused(client, "ERR label is longer", "GLINK", "a", "b", "x" * 251)
    refused(client, "ERR name of a node is longer", "GNODE", "x" * 1025)


def pipelining(server):
    client = server.client()
    same(client.pipeline([("INCR", "p") for _ in range(20000)]), list(range(1, 20001)), "in order")
    for byte in pack("SET", "slow", "bytes") + b"GET slow\r\n" + pack("GET", "slow"):
        client.send(bytes([byte]))
    same([client.reply() for _ in range(3)], ["OK", b"bytes", b"bytes"], "byte by byte")
    client.send(b"\r\n  \r\nset 'a b' \"x\\x41\\n\"\r\n*0\r\n*-1\r\nGET 'a b'\r\n")
    same([client.reply() for _ in range(2)], ["OK", b"xA\n"], "inline")
    client("FLUSHALL")


def large_values(server):
    """A reader gets the value that was there when he asked, whatever happens to it while he reads slowly."""
    client, slow = server.client(), server.client(receive_buffer=4096)
    old, new = os.urandom(1 << 20) * 6, b"new" * 1000000
    same(client("SET", "large", old), "OK")
    slow.send(pack("GET", "large") * 3)
    slow.more()  # the first one is being answered
    same(client("SET", "large", new), "OK")
    same(client("DEL", "large"), 1)
    client.purge()
    got = [slow.reply() for _ in range(3)]
    if any(g not in (old, new, None) for g in got) or got[0] != old:
        raise AssertionError("torn values")
    same(client("APPEND", "large", "x" * 100000), 100000)
    same(client("GET", "large"), b"x" * 100000)


BAD = [
    (b"*1\r\n$4\nPING\r\n", "invalid bulk length"), (b"*1\r\n$-1\r\n", "invalid bulk length"),
    (b"*1\r\n$x\r\n", "invalid bulk length"), (b"*1\r\n$99999999999\r\n", "invalid bulk length"),
    (b"*1\r\n$9999999999999999999999\r\n", "invalid bulk length"), (b"*99999999\r\n", "invalid multibulk length"),
    (b"*x\r\n", "invalid multibulk length"), (b"*1\r\nPING\r\n", "expected '$', got 'P'"),
    (b"*1\r\n$4\r\nPINGxx", "invalid bulk length"), (b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$33554433\r\n", "invalid bulk length"),
    (b"SET a \"b\r\n", "unbalanced quotes in request"),
    (b"x" * 70000, "too big inline request"), (b"*" + b"1" * 70000, "too big mbulk count string"),
    (b"*1\r\n$" + b"1" * 70000, "too big bulk count string"),
]


def malformed(server):
    for data, words in BAD:
        client = server.client()
        client.send(data)
        try:
            same(str(client.reply(raising=False)), "ERR Protocol error: " + words, data[:40])
        except ConnectionResetError:
            same(len(data) > 65536, True, "closed before all was read, so that the reply was lost")
        try:
            client.reply()
            raise AssertionError(f"{data[:40]}: the connection goes on")
        except (Gone, ConnectionResetError):
            pass


def noise(server):
    """Random bytes, and requests with bytes changed: nothing but this connection may suffer."""
    random_ = random.Random(SEED)
    requests = [pack("SET", "f", "x" * 50), pack("GLINK", "fa", "fb", "l"), pack("HSET", "fh", "a", "b"), pack("MGET", "f", "g"),
                b"PING\r\n", pack("GWALK", "fa", 3), pack("SCAN", 0)]
    for _ in range(150):
        data = bytearray(b"".join(random_.choices(requests, k=6)))
        for _ in range(random_.randrange(6)):
            data[random_.randrange(len(data))] = random_.randrange(256)
        if random_.random() < 0.2:
            data = random_.randbytes(random_.randrange(1, 3000))
        client = server.client()
        client.send(data)
        client.vanish() if random_.random() < 0.5 else client.close()
    client = server.client()
    same(client("PING"), "PONG")
    client("FLUSHALL")


def vanishing(server):
    """Clients that go in the middle of a request, or of a reply."""
    keep = server.client()
    same(keep("SET", "big", b"y" * (8 << 20)), "OK")
    for i in range(60):
        client = server.client(receive_buffer=4096)
        client.send([b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$1000000\r\nabc", pack("GET", "big") * 8, b"*2\r\n$3\r"][i % 3])
        client.vanish() if i % 2 else client.close()
    same(keep("PING"), "PONG")
    if not until(lambda: int(keep.info()["connected_clients"]) <= 2):
        raise AssertionError("clients that are gone are kept")
    same(keep("DEL", "big"), 1)


def reads_nothing(server):
    """A client that asks and never reads costs the server little, and the others nothing."""
    other, client = server.client(), server.client(receive_buffer=4096)
    same(other("SET", "big", b"z" * 100000), "OK")
    other.purge()
    before = server.rss()
    client.socket.setblocking(False)
    sent = 0
    for _ in range(200):
        try:
            sent += client.socket.send(pack("GET", "big") * 100)
        except BlockingIOError:
            time.sleep(0.001)
    same(other("PING"), "PONG")
    grown = server.rss() - before
    if grown > 64 << 10:
        raise AssertionError(f"{grown} kB for {sent} bytes of requests")
    client.vanish()
    same(other("DEL", "big"), 1)


def many_connections(server):
    files = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 1000 if files[1] >= 1200 or files[1] == resource.RLIM_INFINITY else files[1] - 200
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(files[0], wanted + 200), files[1]))
    clients = [server.client() for _ in range(wanted)]
    for i, client in enumerate(clients):
        client.send(pack("SET", f"c{i}", i) + pack("GET", f"c{i}"))
    for i, client in enumerate(clients):
        same([client.reply(), client.reply()], ["OK", b"%d" % i])
    for i, client in enumerate(clients):
        client.vanish() if i % 2 else client.close()
    client = server.client()
    if not until(lambda: int(client.info()["connected_clients"]) <= 20):
        raise AssertionError("they stay")
    client("FLUSHALL")


def at_once(server):
    """Clients on all loops that write the same keys and link the same nodes."""
    errors = []

    def work(number):
        try:
            client, random_ = server.client(), random.Random(number)
            client.pipeline([("INCR", "shared") for _ in range(1000)])
            client.pipeline([("HINCRBY", "hshared", "f", 1) for _ in range(500)])
            for _ in range(20):
                pairs = [random_.choices(["x0", "x1", "x2", "x3"], k=2) for _ in range(40)]
                client.pipeline([(random_.choice(["GLINK", "GLINK", "GUNLINK"]), *pair, "l") for pair in pairs] +
                                [("GDROP", random_.choice(["x0", "x1", "x2", "x3"])), ("GWALK", "x0", 4)])
        except Exception as error:  # shown by the main thread
            errors.append(error)

    threads = [threading.Thread(target=work, args=(i,)) for i in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    same(errors, [])
    client = server.client()
    same(client("GET", "shared"), b"4000")
    same(client("HGET", "hshared", "f"), b"2000")
    ends = {}
    for name in client("KEYS", "x*"):
        for direction in "OUT", "IN":
            got = client("GNEIGHBORS", name, direction)
            ends[name, direction] = set(got[1::2])
    names = {name for name, _ in ends}
    for a in names:
        for b in names:
            # A dropped name's edges may be of the old node; between nodes that link now, both ends agree.
            if client("GUNLINK", a, b, "l"):
                same(b in set(client("GNEIGHBORS", a)[1::2]), False)
                same(a in set(client("GNEIGHBORS", b, "IN")[1::2]), False)
    client("FLUSHALL")
    client.purge()
    same(int(client.info()["nodes_alive"]), 0)


def tools(server):
    """redis-cli and redis-benchmark as they are."""
    port = ["-p", str(server.port)]
    if not shutil.which("redis-cli") or not shutil.which("redis-benchmark"):
        raise Skip("redis-cli, redis-benchmark (package redis-tools)")

    def said(*words):
        done = subprocess.run(words, capture_output=True, text=True, timeout=PATIENCE)
        same((done.returncode, done.stderr), (0, ""), words)
        return done.stdout

    same(said("redis-cli", *port, "GLINK", "a", "b", "friend"), "1\n")
    same(said("redis-cli", *port, "GWALK", "a", "3"), "a\nb\n")
    same(said("redis-cli", *port, "--scan", "--pattern", "a*"), "a\n")
    for more in [], ["-P", "16"]:
        out = said("redis-benchmark", *port, "-q", "--csv", "-n", "2000", "-c", "20", "-r", "100", *more,
                   "-t", "ping,set,get,incr,hset,mset")
        same(sum(line.startswith('"') for line in out.splitlines()) >= 7, True, out)
    server.client()("FLUSHALL")


def metrics(server):
    status, kind, text = server.get(server.metrics, "/metrics")
    same((status, kind[:28]), (200, "application/openmetrics-text"))
    same(b"wane_objects_born_total" in text and text.endswith(b"# EOF\n"), True)
    same(server.get(server.metrics, "/stats.json")[2][:1], b"{")
    same(b"/metrics" in server.get(server.metrics, "/")[2], True)
    raw = socket.create_connection(("127.0.0.1", server.metrics))
    raw.sendall(b"POST / HTTP/1.1\r\n\r\n")
    same(raw.recv(100)[:12], b"HTTP/1.1 405")


# ---- With a server of their own -------------------------------------------------------------------------------------------


def finished(server, how=signal.SIGTERM):
    status, said = server.end(how)
    same((status, "graphd: 0 values left" in said), (0, True), said)


def eviction():
    server, missed = Server(PROGRAM, "--maxmemory", "8m", "--threads", 2), 0
    client = server.client()
    for i in range(40):
        same(client("SET", "hot", "x" * 100, "NX") in ("OK", None), True)
        replies = client.pipeline([("SET", f"v{i}:{k}", "v" * 9000) for k in range(50)] + [("GET", "hot")])
        same([r for r in replies[:-1] if r != "OK"], [], "nothing is refused")
        missed += replies[-1] is None
        time.sleep(0.02)  # a step of the clock by which values are compared
    if not until(lambda: int(client.info()["used_memory"]) <= 9 << 20):
        raise AssertionError("it does not come down")
    same(int(client.info()["evicted_keys"]) > 800, True, client.info()["evicted_keys"])
    same(client("GET", "v0:0"), None, "the oldest")
    same(missed < 20, True, f"what is used all the time was evicted {missed} times")
    finished(server)


def ends_while_it_evicts():
    """What evicts must not look into what is being taken to pieces. By chance: every tenth end or so would hit it under ASan."""
    for _ in range(20):
        server = Server(PROGRAM, "--maxmemory", "300k", "--threads", 2)
        client = server.client()
        for i in range(6):
            client.pipeline([("SET", f"v{i}:{k}", "v" * 900) for k in range(500)])
        finished(server)


def ends():
    """By signals and by SHUTDOWN, with clients in the middle of things, and cycles everywhere."""
    for how in signal.SIGTERM, signal.SIGINT, None:
        server = Server(PROGRAM)
        client, half = server.client(), server.client(receive_buffer=4096)
        client.pipeline([("GLINK", f"n{i}", f"n{(i * 7 + 1) % 100}", "l") for i in range(100)] + [("SET", "b", "x" * 2000000)])
        client.pipeline([("GDROP", f"n{i}") for i in range(0, 100, 2)])
        half.send(pack("GET", "b") + pack("GET", "b") + b"*3\r\n$3\r\nSET\r\n")
        if how is None:
            client.send(pack("SHUTDOWN", "NOSAVE"))
        finished(server, how)


def limits():
    server = Server(PROGRAM, "--maxclients", 3, "--threads", 1, "--output-limit", "3m")
    clients = [server.client() for _ in range(3)]
    for client in clients:
        same(client("PING"), "PONG")
    same(str(server.client().reply(raising=False)), "ERR max number of clients reached")
    same(clients[0]("SET", "big", b"x" * 1000000), "OK")
    try:
        clients[0]("MGET", *["big"] * 4)
        raise AssertionError("more than the output limit")
    except (Gone, ConnectionResetError):
        pass
    finished(server)


def silence():
    server = Server(PROGRAM, "--timeout", 1)
    try:
        server.client().reply()
        raise AssertionError("a silent client is kept")
    except Gone:
        pass
    finished(server)


def flags():
    for words in ["--port", "x"], ["--port"], ["--nonsense", "1"], ["--threads", "0"], ["--bind", "no"], ["--maxmemory", "-1"]:
        done = subprocess.run([PROGRAM, *words], capture_output=True, text=True, timeout=PATIENCE)
        same((done.returncode, "usage" in done.stderr), (2, True), words)
    server = Server(PROGRAM)
    done = subprocess.run([PROGRAM, "--port", str(server.port)], capture_output=True, text=True, timeout=PATIENCE)
    same((done.returncode, "Address already in use" in done.stderr), (1, True), done.stderr)
    finished(server)


SHARED = [strings, keys_and_times, expiry, hashes, graph, random_graph, pipelining, large_values, malformed, noise, vanishing,
          reads_nothing, many_connections, at_once, tools, metrics]
OWN = [eviction, ends_while_it_evicts, ends, limits, silence, flags]


def main():
    wanted = sys.argv[2:]
    server = Server(PROGRAM, "--threads", 2, "--metrics-port", 0)
    number = failed = 0
    for case in SHARED + [lambda: finished(server)] + OWN:
        name = getattr(case, "__name__", "").replace("<lambda>", "nothing is left at the end")
        if wanted and name not in wanted and not name.startswith("nothing"):
            continue
        number += 1
        began = time.monotonic()
        try:
            case(server) if case in SHARED else case()
            print(f"ok {number} - {name}", f"# {time.monotonic() - began:.2f} s")
        except Skip as skip:
            print(f"ok {number} - {name} # SKIP {skip}")
        except Exception:
            failed += 1
            print(f"not ok {number} - {name}")
            for line in traceback.format_exc().splitlines():
                print("#", line)
            if server.process.poll() not in (None, 0):
                print("# the server is gone:", *server.end(None), sep="\n# ")
                break
        sys.stdout.flush()
    print(f"1..{number}")
    return failed != 0


if __name__ == "__main__":
    sys.exit(main())
