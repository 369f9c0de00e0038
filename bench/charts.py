# SPDX-License-Identifier: MIT
"""Charts, written by hand as SVG text: no library draws them, they can be read
in a diff, and they are right on a light page and on a dark one.
"""

import math
from statistics import median
from typing import NamedTuple

STYLE = """
    text { font: 14px -apple-system, "Segoe UI", "Noto Sans", Helvetica, Arial,
           sans-serif; fill: #1f2328 }
    .card { fill: #ffffff; stroke: #d1d9e0 }
    .title { font-size: 19px; font-weight: 600 }
    .quiet, .group, .head, .tick { fill: #59636e }
    .quiet { font-size: 13px }
    .group, .head, .tick { font-size: 12px }
    .number { font-variant-numeric: tabular-nums }
    .value { font-weight: 600; font-variant-numeric: tabular-nums }
    .over { paint-order: stroke; stroke: #ffffff; stroke-width: 5px }
    .saves { fill: #0a7a5c; font-weight: 600 }
    .grid { stroke: #e4e8ec }
    .axis { stroke: #b7bfc7 }
    .target { stroke: #cf222e; stroke-width: 1.4; stroke-dasharray: 5 4 }
    .whisker { stroke: #1f2328; stroke-width: 1.4; opacity: 0.75 }
    .between { stroke: #b7bfc7; stroke-width: 3 }
    .limit { fill: #aab4be }
    .model, .naru { fill: #5b8def }
    .beforehand { fill: #16a37b }
    .peer { fill: #d3a95a }
    @media (prefers-color-scheme: dark) {
      text { fill: #f0f6fc }
      .card { fill: #0d1117; stroke: #30363d }
      .quiet, .group, .head, .tick { fill: #9198a1 }
      .over { stroke: #0d1117 }
      .saves { fill: #3fcf9f }
      .grid { stroke: #21262d }
      .axis { stroke: #484f58 }
      .target { stroke: #f85149 }
      .whisker { stroke: #f0f6fc }
      .between { stroke: #3d444d }
      .limit { fill: #59636e }
      .model, .naru { fill: #4479e0 }
      .beforehand { fill: #1a9e78 }
      .peer { fill: #a37c33 }
    }
"""
KINDS = (("naru", "Naru"), ("limit", "bare system calls: the limit"),
         ("peer", "others"))


def nice_step(most, parts=7):
    """A round number that divides an axis into PARTS pieces at the most."""
    if most <= 0:
        return 1
    power = 10 ** math.floor(math.log10(most / parts))
    for digit in (1, 2, 2.5, 5, 10):
        if most / (digit * power) <= parts:
            return digit * power
    return 10 * power


def short(value):
    """1.2 M, 220 k, 35, 4.5: at most three digits."""
    for unit, text in ((1e6, " M"), (1e3, " k"), (1, "")):
        if abs(value) >= unit:
            return f"{value / unit:.3g}{text}"
    return f"{value:.2g}"


class Canvas:
    """Shapes and texts, one to a line."""

    WIDTH = 920

    def __init__(self):
        self.out = []

    def text(self, x, y, text, kind="", anchor="start"):
        self.out.append(f'<text x="{x:.1f}" y="{y:.1f}" class="{kind}" '
                        f'text-anchor="{anchor}">{text}</text>')

    def line(self, x1, y1, x2, y2, kind):
        self.out.append(f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" '
                        f'y2="{y2:.1f}" class="{kind}"/>')

    def bar(self, x, y, width, height, kind):
        """From X to the right, round at its end."""
        width = max(width, 5)
        self.out.append(
            f'<path d="M{x:.1f} {y:.1f}h{width - 4:.1f}q4 0 4 4v'
            f'{height - 8}q0 4 -4 4H{x:.1f}z" class="{kind}"/>')

    def whisker(self, low, high, y):
        if low == high:
            return
        self.line(low, y, high, y, "whisker")
        for x in (low, high):
            self.line(x, y - 4, x, y + 4, "whisker")

    def dot(self, x, y, radius, kind):
        self.out.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{radius}" '
                        f'class="{kind}"/>')

    def legend(self, x, y, kinds):
        for kind, text in kinds:
            self.out.append(f'<rect x="{x:.1f}" y="{y}" width="12" '
                            f'height="12" rx="3" class="{kind}"/>')
            self.text(x + 18, y + 11, text, "quiet")
            x += 40 + len(text) * 6.6

    def finish(self, height, what):
        body = "\n  ".join(self.out)
        return (f'<svg xmlns="http://www.w3.org/2000/svg" '
                f'viewBox="0 0 {self.WIDTH} {height}" '
                f'width="{self.WIDTH}" height="{height}" role="img" '
                f'aria-label="{what}">'
                f'\n  <style>{STYLE}  </style>\n'
                f'  <rect x="0.5" y="0.5" width="{self.WIDTH - 1}" '
                f'height="{height - 1}" rx="10" class="card"/>\n'
                f'  {body}\n</svg>\n')


class Panel(NamedTuple):
    """One column of bars: numbers by contender, several for each."""
    heading: str
    numbers: dict
    tell: object          # how a number is written
    target: float = None  # where a line is drawn


class Chart(Canvas):
    """Contenders from top to bottom, and beside them one or more panels."""

    LEFT, RIGHT, ROW, BAR, TOP = 150, 892, 27, 17, 140

    def __init__(self, title, lines, order, note):
        super().__init__()
        self.title, self.note = title, note
        self.order = order  # (name, kind), from the top
        self.bottom = self.TOP + len(order) * self.ROW + 4
        self.text(28, 40, title, "title")
        for i, line in enumerate(lines):
            self.text(28, 63 + 17 * i, line, "quiet")
        kinds = {kind for _, kind in order}
        self.legend(28, 88, [k for k in KINDS if k[0] in kinds])
        for i, (name, _) in enumerate(order):
            self.text(self.LEFT - 10, self.middle(i) + 5, name, "", "end")

    def middle(self, i):
        return self.TOP + i * self.ROW + self.ROW / 2

    def panel(self, panel, left, right):
        """Bars from zero, with the figure behind each."""
        most = max((max(n) for n in panel.numbers.values()), default=1)
        scale = (right - left - 74) / max(most, panel.target or 0, 1e-9)
        self.text(left, self.TOP - 12, panel.heading, "head")
        step, value = nice_step(most, 4), 0
        while value <= most:
            x = left + value * scale
            self.line(x, self.TOP, x, self.bottom, "grid" if value else "axis")
            self.text(x, self.bottom + 16, short(value), "tick", "middle")
            value += step
        if panel.target:
            x = left + panel.target * scale
            self.line(x, self.TOP - 4, x, self.bottom, "target")
        for i, (name, kind) in enumerate(self.order):
            numbers = panel.numbers.get(name)
            if not numbers:
                self.text(left + 8, self.middle(i) + 5, "no figure", "tick")
                continue
            self.bar(left, self.middle(i) - self.BAR / 2,
                     median(numbers) * scale, self.BAR, kind)
            self.whisker(left + min(numbers) * scale,
                         left + max(numbers) * scale, self.middle(i))
            self.text(left + max(numbers) * scale + 9, self.middle(i) + 5,
                      panel.tell(median(numbers)), "value over")

    def draw(self, panels):
        width = (self.RIGHT - self.LEFT + 24) / len(panels)
        for i, panel in enumerate(panels):
            left = self.LEFT + i * width
            self.panel(panel, left, left + width - 24)
        self.text(28, self.bottom + 40, self.note, "tick")
        return self.finish(self.bottom + 54, self.title)


class Dots(Chart):
    """Percentiles: three dots for each contender, on a scale of powers."""

    RIGHT = 690
    COLUMNS = (752, 822, 892)
    HEADS = ("p50", "p99", "p99.9")

    def draw(self, numbers):
        """NUMBERS: three lists of microseconds for each contender."""
        every = [median(n) for three in numbers.values() for n in three]
        low = 10 ** math.floor(math.log10(max(1, min(every, default=1))))
        high = max(every, default=10) * 1.1
        scale = (self.RIGHT - self.LEFT) / math.log(high / low)

        def place(value):
            return self.LEFT + math.log(max(value, low) / low) * scale

        for x, head in zip(self.COLUMNS, self.HEADS):
            self.text(x, self.TOP - 12, f"{head}, µs", "head", "end")
        tick = low
        while tick <= high:
            for value in (tick, 2 * tick, 5 * tick):
                if value <= high:
                    self.line(place(value), self.TOP, place(value),
                              self.bottom, "grid")
                    self.text(place(value), self.bottom + 16,
                              short(value), "tick", "middle")
            tick *= 10
        for i, (name, kind) in enumerate(self.order):
            if name not in numbers:
                self.text(self.LEFT + 8, self.middle(i) + 5,
                          "did not keep up with the rate", "tick")
                continue
            three = [median(n) for n in numbers[name]]
            self.line(place(three[0]), self.middle(i), place(three[2]),
                      self.middle(i), "between")
            for value, radius, x in zip(three, (4, 6.5, 5), self.COLUMNS):
                self.dot(place(value), self.middle(i), radius, kind)
                self.text(x, self.middle(i) + 5, f"{value:,.0f}", "number",
                          "end")
        self.text(28, self.bottom + 40, self.note, "tick")
        return self.finish(self.bottom + 54, self.title)
