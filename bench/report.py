# SPDX-License-Identifier: MIT
"""Tables for the terminal and for docs/performance.md, and which pictures are drawn of which rows."""
import figures
import plot
import workloads


def label(row):
    return row["peer"] if row["allocator"] in ("glibc", "own", "") else f"{row['peer']}, {row['allocator']}"


def columns(rows):
    """The (size, threads) that were run."""
    return sorted({(row["size"], row["threads"]) for row in rows if row["status"] in ("measured", "failed")})


def column_name(workload, size, threads):
    parts = [f"{threads} thread{'s' if threads > 1 else ''}"] if workload.threads != "1" or not size else []
    return ", ".join(parts + ([f"{plot.short(size)}"] if size else []))


def cell(row, rows):
    if row["status"] != "measured":
        return "failed"
    ratio = figures.relative(row, rows)
    spread = 100 * (row["high"] - row["low"]) / 2 / row["median"] if row["median"] else 0
    return f"{row['median']:.4g} ±{spread:.0f} %" + (f" {ratio[0]:.3g}x" if ratio else "")


def grid(workload, rows):
    """Header and lines of cells; then the notes: who is not in it, and why."""
    places, lines, notes = columns(rows), {}, {}
    for row in rows:
        if row["status"] in ("measured", "failed"):
            lines.setdefault(label(row), {})[row["size"], row["threads"]] = cell(row, rows)
        if row["status"] != "measured":
            notes[label(row)] = f"{row['status']}: {row['why']}"
    head = [column_name(workload, *place) for place in places]
    return head, [[name, *(cells.get(place, "-") for place in places)] for name, cells in lines.items()], notes


def extras(rows):
    """Scalars of the library's own rows that are not times of an operation."""
    for row in rows:
        if row["peer"] in ("wane", "plain") and row["status"] == "measured" and row["allocator"] == "glibc":
            some = {k: v for k, v in row["extra"].items() if not isinstance(v, dict) and k not in ("cpu", "rss_kb")}
            if some:
                yield f"{row['peer']} {row['size'] or ''}: " + ", ".join(f"{k} {figures.number(v)}" for k, v in some.items())


def unit(workload):
    return f"ns of {'CPU' if workload.by == 'cpu' else 'wall'} an operation and thread, median, spread" + \
        (f", ratio to {workload.peers[1]}" if len(workload.peers) > 1 else "")


def table(workload, rows):
    head, lines, notes = grid(workload, rows)
    out = [f"{workload.row} {workload.name}: {workload.title} ({unit(workload)})"]
    width = max([len(line[0]) for line in lines] + [4])
    out.append("  " + " " * width + "".join(f"  {h:>26}" for h in head))
    out += ["  " + f"{line[0]:{width}}" + "".join(f"  {c:>26}" for c in line[1:]) for line in lines]
    out += [f"  {name}: {why}" for name, why in notes.items()]
    return "\n".join(out + ["  " + e for e in extras(rows)])


# ---- Pictures ------------------------------------------------------------------------------------------------------------


def throughput(rows):
    series = {}
    for row in rows:
        series.setdefault(label(row), []).append((row["threads"], 1000 * row["threads"] / row["median"]))
    return series


def against_size(rows):
    series = {}
    for row in rows:
        series.setdefault(label(row), []).append((row["size"], row["median"]))
    named = {}
    for name, points in series.items():
        slope = figures.exponent(sorted(points))
        named[name + (f" (size^{slope - 1:.2f})" if slope else "")] = points
    return named


def slower_than(rows):
    """Of each peer, at the largest size: the share of steps that took longer than x."""
    largest, series = max(row["size"] for row in rows), {}
    for row in rows:
        if row["size"] != largest or "steps" not in row["extra"]:
            continue
        counts = sorted((int(bucket), count) for bucket, count in row["extra"]["steps"].items())
        total, left = sum(count for _, count in counts), sum(count for _, count in counts)
        points = []
        for bucket, count in counts:
            left -= count
            if left:
                points.append((max(figures.bucket_top(bucket), 1), left / total))
        series[label(row)] = points
    return series


def pictures(results):
    """(file, svg) of each workload with something to draw."""
    for w in workloads.WORKLOADS:
        rows = [row for row in results["rows"] if row["workload"] == w.name and row["status"] == "measured"]
        if not rows or not w.plot:
            continue
        if w.plot == "steps":
            yield f"{w.name}-steps", plot.lines(f"{w.row} {w.title}", slower_than(rows),
                                                "nanoseconds", "share of steps that are slower")
        if w.plot in ("steps", "size") and len({row["size"] for row in rows}) > 1:
            yield f"{w.name}-size", plot.lines(f"{w.row} {w.title}", against_size(rows), "size",
                                               "nanoseconds an object")
        elif w.plot == "threads" and len({row["threads"] for row in rows}) > 1:
            threads = sorted({row["threads"] for row in rows})
            yield w.name, plot.lines(f"{w.row} {w.title}", throughput(rows), "threads", "million operations a second", threads)
        else:
            yield w.name, plot.bars(f"{w.row} {w.title}", {label(row): row["median"] for row in rows}, "ns")


def plots(results, directory):
    directory.mkdir(parents=True, exist_ok=True)
    written = []
    for name, svg in pictures(results):
        if svg:
            (directory / f"{name}.svg").write_text(svg)
            written.append(name)
    return written


# ---- docs/performance.md -------------------------------------------------------------------------------------------------------


def goals_table(goals):
    lines = ["| goal | measured | wanted | |", "| --- | --- | --- | --- |"]
    for g in goals:
        measured = figures.number(g["measured"]) if g["measured"] is not None else "-"
        lines.append(f"| {g['name']} | {measured} | {g['wanted']} | "
                     f"{('met' if g['met'] else '**missed**') if g['measured'] is not None else g['why']} |")
    return lines


def markdown(results, part="measured"):
    m = results["machine"]
    count = f" {figures.count_line(results['goals'])}." if part == "measured" else ""
    out = [f"{m['cores']} cores, {m['model']}, load {m['load']:.1f} before and {m['load_after']:.1f} after, {results['date']}"
           f"{', a quick run' if results['quick'] else ''}.{count}", ""]
    out += goals_table(results["goals"]) if part == "measured" else []
    drawn = {name for name, svg in pictures(results) if svg}
    for w in workloads.WORKLOADS:
        rows = [row for row in results["rows"] if row["workload"] == w.name]
        if not rows:
            continue
        head, lines, notes = grid(w, rows)
        out += ["", f"#### {w.row} {w.name}: {w.title}", "", f"{unit(w)}.", ""]
        out += ["| | " + " | ".join(head) + " |", "| --- |" + " --- |" * len(head)]
        out += ["| " + " | ".join(line) + " |" for line in lines]
        out += [""] + [f"- {note}" for note in [*(f"{name}: {why}" for name, why in notes.items()), *extras(rows)]]
        names = [name for name in (w.name, w.name + "-size", w.name + "-steps") if name in drawn]
        out += [""] + [f"![{w.title}]({folder(part)}/{name}.svg)" for name in names]
    return "\n".join(out) + "\n"


def folder(part):
    return "bench" if part == "measured" else f"bench/{part}"


def document(results, docs, part="measured"):
    """Between the marks of the part; its pictures are in a folder of their own."""
    begin, end = f"<!-- {part}: begin -->", f"<!-- {part}: end -->"
    path = docs / "performance.md"
    content = path.read_text()
    before, rest = content.split(begin)
    path.write_text(before + begin + "\n" + markdown(results, part) + end + rest.split(end)[1])
    plots(results, docs / folder(part))
