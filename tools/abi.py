#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""What the built library shows to the loader. usage: abi.py LIBRARY HEADER...; abi.py --self-test

  Every exported symbol is wane_* and declared in a public header, and everything declared there is exported. Each has a version.
  STATIC_TLS: the thread-local word is one load. NODELETE: threads exit through the library's code after a dlclose.
  At most 16 bytes of thread-local storage, aligned to at most 64: dlopen finds room for that.
"""
import re
import subprocess
import sys

TLS_BYTES, TLS_ALIGNMENT = 16, 64


def declared(text):
    """Names of the functions and variables that a header declares."""
    text = re.sub(r"/\*.*?\*/|//[^\n]*", " ", text, flags=re.S)
    text = re.sub(r"\\\n", " ", text)
    text = re.sub(r'^\s*#\s*ifdef\s+__cplusplus.*?^\s*#\s*endif', "", text, flags=re.M | re.S)
    text = re.sub(r"^\s*#.*$", "", text, flags=re.M)
    while re.search(r"\{[^{}]*\}", text):
        text = re.sub(r"\{[^{}]*\}", ";", text)
    text = re.sub(r"\bstatic\b[^;]*;", "", text)
    functions = re.findall(r"\b(wane_\w+)\s*\((?:[^;()]|\([^()]*\))*\)[^;]*;", text)
    variables = re.findall(r"^\s*extern\b[^;(]*?\b(wane_\w+)\s*(?:__attribute__[^;]*)?;", text, flags=re.M)
    return set(functions + variables)


def exported(nm):
    """Names in the output of nm -D --defined-only; version nodes (absolute) are not symbols."""
    rows = (line.split() for line in nm.splitlines())
    return {row[2].split("@")[0] for row in rows if len(row) == 3 and row[1] != "A"}


def check(headers, nm, dynamic, segments):
    names, symbols = set().union(*map(declared, headers)), exported(nm)
    if not names:
        yield "no declarations found in the headers"
    for symbol in sorted(symbols):
        if not symbol.startswith("wane_"):
            yield f"exported: {symbol}"
        elif symbol not in names:
            yield f"exported but in no public header: {symbol}"
    for name in sorted(names - symbols):
        yield f"declared but not exported: {name}"
    for symbol in re.findall(r"^\S+ [^A] (wane_\w+)(?!@@WANE_\d|\w)", nm, re.M):
        yield f"without a version: {symbol}"
    for flag in ("STATIC_TLS", "NODELETE"):
        if not re.search(rf"\b{flag}\b", dynamic):
            yield f"no {flag} flag"
    tls = re.search(r"^\s*TLS\s+\S+\s+\S+\s+\S+\s+\S+\s+(0x[0-9a-f]+)\s+\S+\s+(0x[0-9a-f]+)", segments, re.M)
    if not tls:
        yield "no TLS segment"
    elif int(tls[1], 16) > TLS_BYTES or int(tls[2], 16) > TLS_ALIGNMENT:
        yield f"{int(tls[1], 16)} bytes of TLS aligned to {int(tls[2], 16)}"


def self_test():
    header = """
        #ifdef __cplusplus
        extern "C" {
        #endif
        #define WANE_M(x) wane_macro(x)
        struct wane_type { void (*trace)(int wane_not); };
        void *wane_new(struct wane_type *type) WANE_MUST_USE;
        void wane_each(void (*fn)(int), void *arg);
        extern __thread struct wane_self wane_self __attribute__((tls_model("initial-exec")));
        extern struct wane_atomic64 wane_epoch;
        __attribute__((constructor)) static void wane_handshake(void) { wane_hidden(1); }
        WANE_INLINE int
        wane_enter(void)
        {
            if (1) { return wane_hidden(2); }
        }
    """
    nm = "\n".join(f"00 T {s}@@WANE_0" for s in ("wane_new", "wane_each", "wane_enter")) + \
        "\n00 D wane_self@@WANE_0\n00 D wane_epoch@@WANE_0\n00 A WANE_0\n"
    dynamic = "(FLAGS) STATIC_TLS\n(FLAGS_1) Flags: NODELETE\n"
    tls = "  TLS            0x014ca0 0x015ca0 0x015ca0 0x000000 0x000010 R   0x8\n"
    few, less = nm.replace("wane_each", "wane_new"), nm.replace("wane_epoch", "wane_new")
    cases = [("nothing", None, (header, nm, dynamic, tls)),
             ("a foreign symbol", "exported: helper", (header, nm + "00 T helper\n", dynamic, tls)),
             ("an undeclared symbol", "no public header", (header, nm + "00 T wane_inner@@WANE_0\n", dynamic, tls)),
             ("a symbol without a version", "without a version: wane_new",
              (header, nm.replace("_new@@WANE_0", "_new"), dynamic, tls)),
             ("a missing function", "not exported: wane_each", (header, few, dynamic, tls)),
             ("a missing variable", "not exported: wane_epoch", (header, less, dynamic, tls)),
             ("dynamic TLS", "STATIC_TLS", (header, nm, dynamic.replace("STATIC_TLS", ""), tls)),
             ("an unloadable library", "NODELETE", (header, nm, dynamic.replace("NODELETE", ""), tls)),
             ("large TLS", "32 bytes", (header, nm, dynamic, tls.replace("0x000010", "0x000020")))]
    failures = 0
    for what, complaint, (head, symbols, flags, segments) in cases:
        problems = list(check([head], symbols, flags, segments))
        if not (any(complaint in p for p in problems) if complaint else not problems):
            print(f"planted {what}: {problems or 'not found'}")
            failures += 1
    return failures


def output(*command):
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout


def main():
    if sys.argv[1:] == ["--self-test"]:
        sys.exit(1 if self_test() else 0)
    library, *headers = sys.argv[1:]
    texts = [open(header, encoding="utf-8").read() for header in headers]
    problems = list(check(texts, output("nm", "-D", "--defined-only", library), output("readelf", "-dW", library),
                          output("readelf", "-lW", library)))
    for problem in problems:
        print("error:", problem)
    sys.exit(1 if problems else 0)


if __name__ == "__main__":
    main()
