# SPDX-License-Identifier: MIT
"""Pictures of the results as SVG, legible on light and on dark ground: lines over a logarithmic axis, and bars."""
import html
import math

COLORS = ("#d9480f", "#1971c2", "#2f9e44", "#9c36b5", "#e8a400", "#0c8599", "#c2255c", "#868e96", "#5f3dc4", "#74b816")
STYLE = "<style>text{font:12px sans-serif;fill:#777}.grid{stroke:#8884;stroke-width:1}.title{font-weight:bold}</style>"
WIDTH, LEFT, RIGHT, TOP, BOTTOM = 800, 70, 220, 40, 48


def text(x, y, content, anchor="start", extra=""):
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"{extra}>{html.escape(content)}</text>'


def line(x1, y1, x2, y2):
    return f'<line class="grid" x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"/>'


def short(value):
    for factor, unit in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= factor:
            return f"{value / factor:g}{unit}"
    return f"{value:.3g}"


def ticks(low, high):
    """Powers of ten, and 2 and 5 times these when there are few."""
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    some = [10 ** p * m for p in powers for m in ((1, 2, 5) if len(powers) <= 4 else (1,))]
    return [t for t in some if low * 0.999 <= t <= high * 1.001]


def spread_labels(wanted, bottom, least=14):
    """Move labels apart, none below the bottom: (y, index) in, y by index out."""
    placed, last = {}, -1e9
    for y, index in sorted(wanted):
        placed[index] = last = max(y, last + least)
    last = bottom + least
    for index in sorted(placed, key=placed.get, reverse=True):
        placed[index] = last = min(placed[index], last - least)
    return placed


def document(height, title, parts):
    return "\n".join([f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}">',
                      STYLE, text(12, 22, title, extra=' class="title"'), *parts, "</svg>"]) + "\n"


def lines(title, series, x_name, y_name, x_ticks=None):
    """series: name -> [(x, y)], all positive. Both axes are logarithmic."""
    series = {name: sorted((x, y) for x, y in points if x and y and x > 0 and y > 0) for name, points in series.items()}
    series = {name: points for name, points in series.items() if points}
    if not series:
        return None
    height = 420
    xs = [x for points in series.values() for x, _ in points]
    ys = [y for points in series.values() for _, y in points]
    x_low, x_high, y_low, y_high = min(xs), max(xs), min(ys) / 1.25, max(ys) * 1.25
    x_high = x_high if x_high > x_low else x_low * 2

    def px(x):
        return LEFT + (WIDTH - LEFT - RIGHT) * math.log(x / x_low) / math.log(x_high / x_low)

    def py(y):
        return height - BOTTOM - (height - TOP - BOTTOM) * math.log(y / y_low) / math.log(y_high / y_low)

    parts = []
    for t in ticks(y_low, y_high):
        parts += [line(LEFT, py(t), WIDTH - RIGHT, py(t)), text(LEFT - 6, py(t) + 4, short(t), "end")]
    for t in x_ticks or ticks(x_low, x_high):
        parts += [line(px(t), TOP, px(t), height - BOTTOM), text(px(t), height - BOTTOM + 16, short(t), "middle")]
    parts += [text((LEFT + WIDTH - RIGHT) / 2, height - 12, x_name, "middle"),
              text(16, height / 2, y_name, "middle", f' transform="rotate(-90 16 {height / 2:.0f})"')]
    labels = spread_labels([(py(points[-1][1]), i) for i, points in enumerate(series.values())], height - BOTTOM)
    for i, (name, points) in enumerate(series.items()):
        color, width = COLORS[i % len(COLORS)], 3 if name.startswith("wane") else 1.5
        path = " ".join(f"{px(x):.1f},{py(y):.1f}" for x, y in points)
        dash = "" if i < len(COLORS) else ' stroke-dasharray="5 3"'
        parts.append(f'<polyline points="{path}" fill="none" stroke="{color}" stroke-width="{width}"{dash}/>')
        if len(points) <= 20:
            parts += [f'<circle cx="{px(x):.1f}" cy="{py(y):.1f}" r="{width + 1}" fill="{color}"/>' for x, y in points]
        parts.append(text(WIDTH - RIGHT + 12, labels[i] + 4, name, extra=f' style="fill:{color}"'))
    return document(height, title, parts)


def bars(title, values, unit):
    """values: name -> number; the shortest bar is the best."""
    if not values:
        return None
    most, parts = max(values.values()) or 1, []
    for i, (name, value) in enumerate(values.items()):
        y, width = TOP + 26 * i, (WIDTH - 200 - 110) * value / most
        color = COLORS[0] if name.startswith("wane") else COLORS[1]
        parts += [text(190, y + 14, name, "end"),
                  f'<rect x="200" y="{y}" width="{max(width, 1):.1f}" height="18" fill="{color}"/>',
                  text(206 + width, y + 14, f"{value:.3g} {unit}")]
    return document(TOP + 26 * len(values) + 10, title, parts)
