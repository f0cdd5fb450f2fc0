#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The reference, from the contract comments of the public headers.

usage: reference.py --check ROOT; reference.py --man ROOT DIRECTORY; reference.py --commands ROOT DIRECTORY; reference.py --self-test

A header is a row of sections (/* ---- Title ---- */); each becomes a man page, wane_TITLE(3), and a page of HTML (tools/docs.py).
--check: every function that the library exports for programs has a contract, names of parameters are those of the declaration, and
keys are the fixed ones. --man writes the pages by scdoc, and one-line pages for each function that lead to the page of its section.
--commands writes pages of the programs tools/wane-*, from what stands at their heads.
"""
import pathlib
import re
import subprocess
import sys
from dataclasses import dataclass, field

sys.path.insert(0, str(pathlib.Path(__file__).parent))
import abi  # noqa: E402

KEYS = ("Returns", "Counts", "Errors", "Threads", "Progress")
HEADERS = ("wane", "fast", "collector", "memory", "containers", "weakmap", "observe", "version")
# Exported for what the headers inline; described there, and not for programs.
INTERNAL = re.compile(r"wane_(\w+_slow|checked_\w+|section_(begin|step|end)|self|epoch|handshake)$")
STEMS = {("containers", "Map: string keys"): "map", ("containers", "Vector: grows at the end"): "vec",
         ("containers", "Array: a fixed number of slots"): "array", ("memory", "Statistics"): "memory",
         ("wane", "Programs that drive by themselves"): "drive", ("wane", "Statistics and life"): "life"}
BLOCK = re.compile(r"/\*(\*?)(.*?)\*/", re.S)
TITLE = re.compile(r"^ ?-{3,} (.*?) -{3,} ?$")
ENTRY = re.compile(r"^(wane_\w+(?:, wane_\w+)*) - (.*)")
MEMBER = re.compile(r"^(wane_\w+(?:, wane_\w+)*)\s{2,}(.*)")
KEYED = re.compile(r"^(@\w+|[A-Z]\w+)\s{2,}(.*)")


@dataclass
class Entry:
    names: list
    brief: str
    rows: list = field(default_factory=list)  # (key, text); key "" for a paragraph


@dataclass
class Part:
    """A contract with its declarations, or a plain comment with the code after it."""
    entries: list
    text: str
    code: str

    @property
    def names(self):
        return [name for entry in self.entries for name in entry.names]


@dataclass
class Section:
    title: str
    header: str
    parts: list
    head: str = ""

    @property
    def include(self):
        return "wane" if self.header == "fast" else self.header  # programs do not include fast.h

    @property
    def page(self):
        stem = STEMS.get((self.header, self.title)) or "_".join(re.sub(r"[^a-z ]", "", self.title.lower()).split())
        return f"wane_{stem}"


def plain(comment):
    """The text of a comment without its stars."""
    return "\n".join(re.sub(r"^\s?\* ?", "", line).rstrip() for line in comment.strip("\n").splitlines()).strip("\n")


def entries(text):
    """The contracts in a comment."""
    found, rows = [], None
    for line in text.splitlines():
        entry, member, keyed = ENTRY.match(line), MEMBER.match(line), KEYED.match(line)
        if entry:
            found.append(Entry(entry[1].split(", "), entry[2]))
            rows = found[-1].rows
        elif rows is None:
            return []
        elif member or keyed:
            rows.append(list((member or keyed).groups()))
        elif not line.strip():
            rows.append(["", ""])
        elif line.startswith("  ") and rows and rows[-1][0]:
            rows[-1][1] += " " + line.strip()
        elif rows and rows[-1][0] == "" and rows[-1][1]:
            rows[-1][1] += " " + line.strip()
        elif not rows and not line.startswith(" "):
            found[-1].brief += " " + line.strip()
        else:
            rows.append(["", line.strip()])
    for entry in found:
        entry.rows = [tuple(row) for row in entry.rows if row[1]]
    return found


def declarations(code):
    """Prototypes and types in code: no preprocessor, bodies of functions cut off."""
    code = re.sub(r"\\\n", " ", code)
    code = re.sub(r"^\s*#.*$", "", code, flags=re.M)
    code = code.replace("* wane_", "*wane_")
    code = re.sub(r'^extern "C".*$|^\s*}\s*$', "", code, flags=re.M)
    return re.sub(r"\n{3,}", "\n\n", code).strip("\n")


def sections(root, header):
    """The sections of a header; what stands before its first title is the head of the first."""
    text = (root / f"include/wane/{header}.h").read_text()
    text = re.sub(r"^WANE_INLINE ([^\n]*)\n(wane_[^\n]*\))\n\{\n.*?^\}", r"\1 \2;", text, flags=re.M | re.S)
    text = re.sub(r"^[^\n]*static void\n\w+\(void\)\n\{\n.*?^\}", "", text, flags=re.M | re.S)
    blocks = list(BLOCK.finditer(text))
    head = re.sub(r"\*(\w[\w ]*)\*", r"\1", plain(blocks[0][2]).split("\n", 2)[2])
    result = [Section(header.capitalize(), header, [])]
    result[0].head = head
    for block, following in zip(blocks[1:], [*blocks[2:], None]):
        at_line_start = text[text.rfind("\n", 0, block.start()) + 1:block.start()] == ""
        comment = plain(block[2])
        title = TITLE.match(comment)
        code = text[block.end():following.start() if following else len(text)]
        if title:
            result.append(Section(title[1], header, []))
            if declarations(code):
                result[-1].parts.append(Part([], "", declarations(code)))
        elif at_line_start:
            found = entries(comment) if block[1] else []
            result[-1].parts.append(Part(found, "" if found else comment, declarations(code)))
        elif result[-1].parts:  # inside of a declaration
            part = result[-1].parts[-1]
            line = text[text.rfind("\n", 0, block.start()) + 1:block.start()]
            part.code = merge(part.code, line, block[0], code)
    if len(result) > 1 and not any(part.entries for part in result[0].parts):
        result[1].head = "" if header == "fast" else head
        result = result[1:]
    return [s for s in result if any(part.entries for part in s.parts)]


def merge(before, line, comment, after):
    """A comment inside of a declaration stays where it is."""
    if line.strip().startswith("#"):
        return before
    after = re.sub(r"^\s*#.*$", "", after, flags=re.M).rstrip("\n")
    return before.rstrip("\n") + " " + comment + after if line.strip() else before + "\n    " + comment + after


def inline_prototypes(root):
    """What fast.h defines, by name: the contracts in wane.h have no declarations of their own."""
    text = (root / "include/wane/fast.h").read_text()
    return {name: f"{result} {name}({arguments});".replace("* wane", "*wane")
            for result, name, arguments in re.findall(r"^WANE_INLINE (.*)\n(wane_\w+)\((.*?)\)\n\{", text, re.M)
            if "tag" not in name}


def everything(root):
    return [section for header in HEADERS for section in sections(root, header)]


# ---- Checks ---------------------------------------------------------------------------------------------------------

def check(root):
    declared = set()
    for header in (root / "include/wane").glob("*.h"):
        declared |= abi.declared(header.read_text())
    described, pages = set(), {}
    for section in everything(root):
        if section.page in pages:
            yield f"two sections make the page {section.page}"
        pages[section.page] = section
        for part in section.parts:
            described |= set(part.names) | {name for entry in part.entries for key, _ in entry.rows
                                            for name in key.split(", ") if key.startswith("wane_")}
            described |= abi.declared(part.code) if part.entries else set()
            yield from check_part(section, part)
    for name in sorted(declared - described):
        if not INTERNAL.match(name):
            yield f"{name} has no contract"
    for name in sorted(described - declared):
        yield f"{name} is described and not declared"


def check_part(section, part):
    parameters = set(re.findall(r"(\w+)(?:\[\w*\])?\s*[,)]", part.code))
    for entry in part.entries:
        for key, _ in entry.rows:
            where = f"{section.header}.h: {entry.names[0]}: {key}"
            if key.startswith("@") and part.code and key[1:] not in parameters:
                yield f"{where} is no parameter"
            elif key and not key.startswith(("@", "wane_")) and key not in KEYS:
                yield f"{where} is no key of contracts"


# ---- Man pages --------------------------------------------------------------------------------------------------------

def scd(text):
    return re.sub(r"([\\_*#])|^([-.\[|])", r"\\\g<0>", text)


def man(root, section, inline, version):
    names = [name for part in section.parts for name in part.names]
    yield f'{section.page}(3) "wane {version}" "wane"'
    yield f"\n# NAME\n\n{scd(section.page)} - {scd(section.title.lower())}: {scd(', '.join(names))}"
    yield f"\n# SYNOPSIS\n\n*#include <wane/{section.include}.h>*\n\ncc ... $(pkg-config --cflags --libs wane)"
    yield "\n# DESCRIPTION\n"
    for paragraph in filter(None, section.head.split("\n\n")):
        yield scd(" ".join(paragraph.split())) + "\n"
    for part in section.parts:
        yield from man_part(part, inline)
    pages = sorted({s.page for s in everything(root)} - {section.page})
    yield "\n# SEE ALSO\n\n" + ", ".join(f"*{scd(page)}*(3)" for page in pages)


def man_part(part, inline):
    code = "\n".join(filter(None, [part.code, *(inline[name] for name in part.names if name in inline)])) or ""
    if part.entries:
        yield "\n## " + scd(", ".join(part.names)) + "\n"
    elif part.text and part.code:
        yield from (scd(" ".join(paragraph.split())) + "\n" for paragraph in part.text.split("\n\n"))
    if code and (part.entries or part.text):
        yield "```\n" + code.expandtabs(4) + "\n```\n"
    for entry in part.entries:
        yield f"*{scd(', '.join(entry.names))}*: {scd(entry.brief)}\n"
        for key, text in entry.rows:
            if not key:
                yield scd(text) + "\n"
            else:
                yield f"*{scd(key.lstrip('@'))}*\n\t{scd(text)}\n"


def version_of(root):
    return re.search(r"version: '([\d.]+)'", (root / "meson.build").read_text())[1]


def write_page(path, lines):
    made = subprocess.run(["scdoc"], input="\n".join(lines) + "\n", stdout=subprocess.PIPE, text=True, check=True)
    path.write_text(made.stdout)


def write_man(root, directory):
    directory.mkdir(parents=True, exist_ok=True)
    inline = inline_prototypes(root)
    for section in everything(root):
        write_page(directory / f"{section.page}.3", man(root, section, inline, version_of(root)))
        for name in {name for part in section.parts for name in [*part.names, *(abi.declared(part.code) if part.entries else [])]}:
            if name != section.page and not INTERNAL.match(name):
                (directory / f"{name}.3").write_text(f".so man3/{section.page}.3\n")


# ---- Programs -------------------------------------------------------------------------------------------------------

def command(name, text, version):
    """The page of a program that begins with \"\"\"What it is for. usage: NAME ARGUMENTS; NAME .. and goes on in paragraphs."""
    first, _, rest = text.partition("\n\n")
    brief, _, usage = " ".join(first.split()).partition(" usage: ")
    yield f'{name}(1) "wane {version}" "wane"'
    yield f"\n# NAME\n\n{scd(name)} - {scd(brief[0].lower() + brief[1:].rstrip('.'))}"
    yield "\n# SYNOPSIS\n"
    for form in usage.split("; "):
        yield scd(form if form.startswith(name) else f"{name} {form}") + "\n"
    yield "# DESCRIPTION\n"
    for paragraph in rest.strip("\n").split("\n\n"):
        indented = paragraph.startswith("  ")
        yield "```\n" + paragraph + "\n```\n" if indented else scd(" ".join(paragraph.split())) + "\n"


def write_commands(root, directory):
    directory.mkdir(parents=True, exist_ok=True)
    for path in sorted((root / "tools").glob("wane-*")):
        if path.is_file() and not path.suffix:
            head = re.search(r'"""(.*?)"""', path.read_text(), re.S)[1]
            write_page(directory / f"{path.name}.1", command(path.name, head, version_of(root)))


# ---- Itself ---------------------------------------------------------------------------------------------------------

SAMPLE = """
wane_a, wane_b - do this
and that

@x        a thing that
          goes on
Returns   0
Threads   any

Some words
in a paragraph.

wane_c - the other
wane_c_more   what else there is
"""


def self_test():
    found = entries(SAMPLE.strip("\n"))
    right = [Entry(["wane_a", "wane_b"], "do this and that", [("@x", "a thing that goes on"), ("Returns", "0"), ("Threads", "any"),
                                                             ("", "Some words in a paragraph.")]),
             Entry(["wane_c"], "the other", [("wane_c_more", "what else there is")])]
    if found != right:
        print(found)
    code = declarations("#define X 1\nvoid * wane_f(void *p);\nint wane_g(void);\n#if 1 \\\n  2\n")
    if code != "void *wane_f(void *p);\nint wane_g(void);":
        print(repr(code))
        return 1
    page = "\n".join(command("wane-x", "Does this. usage: wane-x FILE [-n];\n--test\n\n  -n  no\n\nProse\nof two lines.\n", "1"))
    if any(line not in page.splitlines() for line in ("wane-x - does this", "wane-x FILE [-n]", "wane-x --test", "Prose of two lines.")):
        print(page)
        return 1
    return found != right


def main():
    if sys.argv[1:] == ["--self-test"]:
        sys.exit(self_test())
    how, root, *rest = sys.argv[1:]
    if how in ("--man", "--commands"):
        write = write_man if how == "--man" else write_commands
        write(pathlib.Path(root), pathlib.Path(rest[0]))
        return
    problems = list(check(pathlib.Path(root)))
    for problem in problems:
        print("error:", problem)
    sys.exit(1 if problems else 0)


if __name__ == "__main__":
    main()
