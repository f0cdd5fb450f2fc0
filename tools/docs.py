#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The documents as HTML. usage: docs.py ROOT DIRECTORY; docs.py --links ROOT

README.md, the other texts of the root and docs/ are rendered by python-markdown, the reference is made from the headers
(reference.py). Files that texts link to are copied beside them. Then each link in what was made must lead to something.
--links looks at the links of the sources only, and needs nothing but python.
"""
import html
import html.parser
import os
import pathlib
import re
import shutil
import sys

sys.path.insert(0, str(pathlib.Path(__file__).parent))
import reference  # noqa: E402

TEXTS = ("*.md", "docs/*.md", "docs/guide/*.md")
STYLE = """body{font:16px/1.5 system-ui,sans-serif;max-width:52rem;margin:0 auto;padding:1rem 1.5rem;color:#1b1f24;background:#fff}
nav{font-size:.9rem;border-bottom:1px solid #d0d7de;padding-bottom:.5rem;margin-bottom:1rem}nav a{margin-right:1rem}
a{color:#0a58a5}h1,h2,h3{line-height:1.25}code,pre{font:14px/1.45 ui-monospace,monospace}code{background:#f2f4f6;padding:0 .2em}
pre{background:#f6f8fa;border:1px solid #e1e5e9;padding:.7rem;overflow-x:auto}pre code{background:none;padding:0}
table{border-collapse:collapse;display:block;overflow-x:auto}td,th{border:1px solid #d0d7de;padding:.25rem .6rem;vertical-align:top;
text-align:left}dt{font-weight:600}dd{margin:0 0 .4rem 1.5rem}img{max-width:100%}"""
TOP = (("Overview", "README.html"), ("Guide", "docs/guide/01-first-object.html"), ("Reference", "reference/index.html"),
       ("Architecture", "docs/architecture.html"), ("Comparison", "docs/comparison.html"), ("Versions", "docs/versions.html"))
LINK = re.compile(r"\]\(([^)\s]+)\)")


def page(title, body, depth):
    up = "../" * depth
    bar = "".join(f'<a href="{up}{target}">{name}</a>' for name, target in TOP)
    return (f'<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n<title>{html.escape(title)}</title>\n'
            f'<meta name="viewport" content="width=device-width, initial-scale=1">\n<style>{STYLE}</style>\n</head>\n'
            f"<body>\n<nav>{bar}</nav>\n{body}\n</body>\n</html>\n")


def texts(root):
    return sorted({path for pattern in TEXTS for path in root.glob(pattern)})


def is_elsewhere(target):
    return re.match(r"[a-z]+:", target)


# ---- Texts ------------------------------------------------------------------------------------------------------------

def render(root, out):
    import markdown
    for path in texts(root):
        name = path.relative_to(root)
        text = path.read_text()
        targets = {target.partition("#")[0] for target in LINK.findall(without_code(text)) if not is_elsewhere(target)}
        for target in filter(None, targets):
            copy(root, out, (path.parent / target).resolve())
        body = markdown.markdown(text, extensions=["fenced_code", "tables", "toc"])
        body = re.sub(r'(href="(?![a-z]+:)[^"#]*)\.md(["#])', r"\1.html\2", body)
        title = re.search(r"^# (.*)", text, re.M)
        where = (out / name).with_suffix(".html")
        where.parent.mkdir(parents=True, exist_ok=True)
        where.write_text(page(title[1] if title else name.stem, body, len(name.parts) - 1))


def copy(root, out, source):
    if source.suffix == ".md" or not source.exists():
        return
    target = out / source.relative_to(root)
    target.parent.mkdir(parents=True, exist_ok=True)
    if source.is_dir():
        shutil.copytree(source, target, dirs_exist_ok=True)
    else:
        shutil.copyfile(source, target)


def without_code(text):
    return re.sub(r"^```.*?^```$|`[^`\n]*`", "", text, flags=re.M | re.S)


# ---- Reference ----------------------------------------------------------------------------------------------------------

def paragraphs(text):
    return "".join(f"<p>{html.escape(' '.join(part.split()))}</p>\n" for part in text.split("\n\n") if part.strip())


def part_html(part, inline):
    code = "\n".join(filter(None, [part.code, *(inline[name] for name in part.names if name in inline)]))
    result = ""
    if part.entries:
        result += "".join(f'<a id="{name}"></a>' for name in part.names)
        result += f"<h2>{', '.join(part.names)}</h2>\n"
    elif part.text and code:
        result += paragraphs(part.text)
    if code:
        result += f"<pre><code>{html.escape(code)}</code></pre>\n"
    for entry in part.entries:
        result += f"<p><strong>{', '.join(entry.names)}</strong>: {html.escape(entry.brief)}</p>\n"
        for keyed, text in entry.rows:
            if keyed:
                result += f"<dl><dt>{html.escape(keyed.lstrip('@'))}</dt><dd>{html.escape(text)}</dd></dl>\n"
            else:
                result += paragraphs(text)
    return result


def write_reference(root, out):
    inline = reference.inline_prototypes(root)
    (out / "reference").mkdir(parents=True, exist_ok=True)
    index = "<h1>Reference</h1>\n<p>Made from the contracts in the headers. Keys: what a call <em>Returns</em>, what it does to "
    index += "<em>Counts</em>, its <em>Errors</em>, from which <em>Threads</em> it may be called, and whether it can wait "
    index += "(<em>Progress</em>).</p>\n"
    for section in reference.everything(root):
        names = [name for part in section.parts for name in part.names]
        title = f"{section.title} (wane/{section.include}.h)"
        body = f"<h1>{html.escape(title)}</h1>\n{paragraphs(section.head)}"
        body += "".join(part_html(part, inline) for part in section.parts)
        (out / "reference" / f"{section.page}.html").write_text(page(title, body, 1))
        links = " ".join(f'<a href="{section.page}.html#{name}">{name}</a>' for name in names)
        index += f'<h2><a href="{section.page}.html">{html.escape(section.title)}</a></h2>\n<p>{links}</p>\n'
    (out / "reference/index.html").write_text(page("Reference", index, 1))


# ---- Links --------------------------------------------------------------------------------------------------------------

class Page(html.parser.HTMLParser):
    def __init__(self, text):
        super().__init__()
        self.links, self.anchors = [], set()
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        values = dict(attributes)
        if values.get("id"):
            if values["id"] in self.anchors:
                self.links.append(f"#twice:{values['id']}")
            self.anchors.add(values["id"])
        self.links += [values[name] for name in ("href", "src") if values.get(name)]


def check(out):
    pages = {path: Page(path.read_text()) for path in out.rglob("*.html")}
    if not pages:
        yield "no pages"
    for path, found in sorted(pages.items()):
        for link in found.links:
            if is_elsewhere(link):
                continue
            name, _, anchor = link.partition("#")
            target = pathlib.Path(os.path.normpath(path.parent / name)) if name else path
            if not target.exists():
                yield f"{path.relative_to(out)}: {link} leads nowhere"
            elif anchor and target in pages and anchor not in pages[target].anchors:
                yield f"{path.relative_to(out)}: {link}: no such place there"


def check_sources(root):
    for path in texts(root):
        for target in LINK.findall(without_code(path.read_text())):
            name = target.partition("#")[0]
            if name and not is_elsewhere(target) and not (path.parent / name).exists():
                yield f"{path.relative_to(root)}: {target} leads nowhere"


def main():
    if sys.argv[1] == "--links":
        problems = list(check_sources(pathlib.Path(sys.argv[2])))
    else:
        root, out = pathlib.Path(sys.argv[1]).resolve(), pathlib.Path(sys.argv[2])
        shutil.rmtree(out, ignore_errors=True)
        out.mkdir(parents=True)
        render(root, out)
        write_reference(root, out)
        (out / "index.html").write_text('<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8"><title>wane</title>'
                                        '<meta http-equiv="refresh" content="0; url=README.html"></head>'
                                        '<body><a href="README.html">wane</a></body></html>\n')
        problems = [*check_sources(root), *check(out)]
    for problem in problems:
        print("error:", problem)
    sys.exit(1 if problems else 0)


if __name__ == "__main__":
    main()
