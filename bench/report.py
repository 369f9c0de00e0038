#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Turns the raw rounds of bench/run into a page and a chart.

    bench/report.py docs/benchmarks.json docs

draws them again from what was kept. The chart is written by hand as text, so
that it needs no library and can be read in a diff.
"""

import json
import os
import sys
from statistics import median

# Rows as they stand in the chart, by what they have in common. The kind is a
# colour: a limit, a model, a model whose workers are started beforehand.
GROUPS = (
    ("One after the other", (
        ("bare loop", "limit"), ("iterative", "model"))),
    ("A process each", (
        ("bare fork", "limit"), ("process", "model"))),
    ("Processes started beforehand", (
        ("bare prefork", "limit"), ("prefork", "beforehand"))),
    ("A thread each", (
        ("thread", "model"),)),
    ("Threads started beforehand", (
        ("pool", "beforehand"),)),
)
# What starting workers beforehand is compared with.
INSTEAD_OF = {"prefork": "process", "pool": "thread"}

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
    .saves { fill: #0a7a5c; font-weight: 600 }
    .grid { stroke: #e4e8ec }
    .axis { stroke: #b7bfc7 }
    .whisker { stroke: #1f2328; stroke-width: 1.4; opacity: 0.75 }
    .limit { fill: #aab4be }
    .model { fill: #5b8def }
    .beforehand { fill: #16a37b }
    @media (prefers-color-scheme: dark) {
      text { fill: #f0f6fc }
      .card { fill: #0d1117; stroke: #30363d }
      .quiet, .group, .head, .tick { fill: #9198a1 }
      .saves { fill: #3fcf9f }
      .grid { stroke: #21262d }
      .axis { stroke: #484f58 }
      .whisker { stroke: #f0f6fc }
      .limit { fill: #59636e }
      .model { fill: #4479e0 }
      .beforehand { fill: #1a9e78 }
    }
"""


class Figures:
    """The rounds of one row at one concurrency."""

    def __init__(self, rounds):
        self.cpu = [r["server_cpu_s"] / r["connections"] * 1e6
                    for r in rounds]
        self.rate = [r["connections"] / r["seconds"] for r in rounds]
        self.p50 = [r["p50_us"] for r in rounds]
        self.p99 = [r["p99_us"] for r in rounds]
        self.server_busy = [r["server_cpu_s"] / r["seconds"] for r in rounds]


def gather(data, concurrency):
    """Figures by row."""
    rows = {}
    for result in data["churn"]:
        if result["concurrency"] == concurrency:
            rows.setdefault(result["row"], []).append(result)
    return {name: Figures(sorted(rounds, key=lambda r: r["round"]))
            for name, rounds in rows.items()}


def groups_of(rows):
    """GROUPS without what was not measured."""
    for heading, members in GROUPS:
        there = [member for member in members if member[0] in rows]
        if there:
            yield heading, there


def label(name):
    return name if name.startswith("bare") else f"naru {name}"


def saving(rows, name, values):
    """By how much NAME's median is below that of what it stands beside."""
    other = INSTEAD_OF.get(name)
    if other not in rows:
        return None
    part = 1 - median(values(rows[name])) / median(values(rows[other]))
    return other, round(part * 100)


def nice_step(most):
    for step in (1, 2, 5, 10, 20, 25, 50, 100, 200, 250, 500, 1000, 2000):
        if most / step <= 7:
            return step
    return most / 6


class Chart:
    """Bars from the left, with columns of numbers on the right."""

    WIDTH, LEFT, RIGHT = 920, 214, 660
    RATE, FIRST = 768, 892
    ROW, BAR, GAP, TOP = 27, 17, 27, 134

    def __init__(self, rows, latency, rounds):
        self.rows, self.latency, self.rounds = rows, latency, rounds
        self.out = []
        groups = list(groups_of(rows))
        count = sum(len(members) for _, members in groups)
        self.bottom = self.TOP + count * self.ROW + len(groups) * self.GAP
        self.height = self.bottom + 50
        self.most = max(max(figures.cpu) for figures in rows.values()) * 1.02
        self.groups = groups

    def x(self, value):
        return self.LEFT + value / self.most * (self.RIGHT - self.LEFT)

    def text(self, x, y, text, kind="", anchor="start"):
        self.out.append(f'<text x="{x:.1f}" y="{y:.1f}" class="{kind}" '
                        f'text-anchor="{anchor}">{text}</text>')

    def line(self, x1, y1, x2, y2, kind):
        self.out.append(f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" '
                        f'y2="{y2:.1f}" class="{kind}"/>')

    def heading(self):
        self.text(28, 40, "What a connection costs the server", "title")
        self.text(28, 63, "CPU time to accept a client, echo 64 bytes and "
                  "close, with 8 clients at once. Shorter is better.", "quiet")
        x = 28
        for kind, text in (("model", "Naru"),
                           ("beforehand", "Naru, workers started beforehand"),
                           ("limit", "bare system calls: the limit")):
            self.out.append(f'<rect x="{x}" y="79" width="12" height="12" '
                            f'rx="3" class="{kind}"/>')
            self.text(x + 18, 90, text, "quiet")
            x += 40 + len(text) * 6.6
        self.text(self.RATE, self.TOP - 20, "connections", "head", "end")
        self.text(self.RATE, self.TOP - 5, "per second", "head", "end")
        self.text(self.FIRST, self.TOP - 20, "first answer", "head", "end")
        self.text(self.FIRST, self.TOP - 5, "after, p50 / p99", "head", "end")

    def grid(self):
        step = nice_step(self.most)
        value = 0
        while value <= self.most:
            self.line(self.x(value), self.TOP + 6, self.x(value), self.bottom,
                      "grid" if value else "axis")
            unit = " µs" if value + step > self.most else ""
            self.text(self.x(value), self.bottom + 17, f"{value:g}{unit}",
                      "tick", "middle")
            value += step
        self.text(28, self.bottom + 38, f"Median of {self.rounds} rounds; the "
                  "whisker goes from the least to the most. First answers "
                  "are timed with one client at a time, from its connect.", "tick")

    def bar(self, name, kind, y):
        figures, middle = self.rows[name], y + self.BAR / 2
        low, high = self.x(min(figures.cpu)), self.x(max(figures.cpu))
        end = self.x(median(figures.cpu))
        self.text(self.LEFT - 10, middle + 5, label(name), "", "end")
        self.out.append(
            f'<path d="M{self.LEFT} {y:.1f}H{end - 4:.1f}q4 0 4 4v'
            f'{self.BAR - 8}q0 4 -4 4H{self.LEFT}z" class="{kind}"/>')
        self.line(low, middle, high, middle, "whisker")
        for x in (low, high):
            self.line(x, middle - 4, x, middle + 4, "whisker")
        self.value(name, max(high, end), end, middle + 5)
        self.text(self.RATE, middle + 5, f"{median(figures.rate):,.0f}", "number",
                  "end")
        if name in self.latency:
            one = self.latency[name]
            self.text(self.FIRST, middle + 5, f"{median(one.p50):.0f} / "
                      f"{median(one.p99):.0f} µs", "number", "end")

    def value(self, name, after, end, y):
        """The figure, behind the bar or, where that has no room, in it."""
        text = f"{median(self.rows[name].cpu):.1f} µs"
        if after > self.RIGHT - 60:
            low = self.x(min(self.rows[name].cpu))
            self.out.append(f'<text x="{min(low, end) - 10:.1f}" y="{y:.1f}" '
                            'class="value" text-anchor="end" '
                            f'style="fill:#fff">{text}</text>')
            return
        self.text(after + 9, y, text, "value")
        saved = saving(self.rows, name, lambda figures: figures.cpu)
        if saved and saved[1] > 0:
            self.text(after + 74, y, f"{saved[1]} % less than {saved[0]}",
                      "saves")

    def draw(self):
        self.heading()
        self.grid()
        y = self.TOP
        for heading, members in self.groups:
            self.text(28, y + 19, heading, "group")
            y += self.GAP
            for name, kind in members:
                self.bar(name, kind, y + (self.ROW - self.BAR) / 2)
                y += self.ROW
        body = "\n  ".join(self.out)
        return (f'<svg xmlns="http://www.w3.org/2000/svg" '
                f'viewBox="0 0 {self.WIDTH} {self.height}" '
                f'width="{self.WIDTH}" height="{self.height}" role="img" '
                'aria-label="Server CPU time per connection under each model">'
                f'\n  <style>{STYLE}  </style>\n'
                f'  <rect x="0.5" y="0.5" width="{self.WIDTH - 1}" '
                f'height="{self.height - 1}" rx="10" class="card"/>\n'
                f'  {body}\n</svg>\n')


def spread(values, digits=0):
    return (f"{median(values):,.{digits}f} ({min(values):,.{digits}f}–"
            f"{max(values):,.{digits}f})")


def ratios(row, to):
    """Round by round, so that what slowed both does not count."""
    return spread([mine / its for mine, its in zip(row, to)], 2)


def table(rows, headings, cells):
    lines = ["| " + " | ".join(headings) + " |",
             "|---|" + "---:|" * (len(headings) - 1)]
    for _, members in groups_of(rows):
        for name, _ in members:
            lines.append("| " + " | ".join([label(name), *cells(name)]) + " |")
    return "\n".join(lines)


def cpu_table(rows):
    limit = rows.get("bare loop")

    def cells(name):
        row = rows[name]
        return (spread(row.cpu, 1),
                ratios(row.cpu, limit.cpu) if limit else "",
                spread(row.rate),
                f"{median(row.server_busy) * 100:.0f} %")

    return table(rows, ("server", "CPU per connection, µs",
                        "of the bare loop's", "connections per second",
                        "server's core busy"), cells)


def latency_table(rows):
    def cells(name):
        row = rows[name]
        return (spread(row.p50, 1), spread(row.p99, 1),
                spread(row.cpu, 1), spread(row.rate))

    return table(rows, ("server", "p50, µs", "p99, µs",
                        "CPU per connection, µs", "connections per second"),
                 cells)


def savings(rows, values, what):
    lines = []
    for name in INSTEAD_OF:
        saved = saving(rows, name, values) if name in rows else None
        if saved:
            less = "less" if saved[1] >= 0 else "more"
            lines.append(f"- `{name}` takes {abs(saved[1])} % {less} {what} "
                         f"than `{saved[0]}`.")
    return "\n".join(lines)


PAGE = """# Benchmarks

This page is written by `make bench ARGS=--docs`; the rounds behind it are in
[benchmarks.json](benchmarks.json), and `bench/report.py` draws it again from
them. Every figure is the median of {rounds} rounds of {seconds:g} s, with
the least and the most in parentheses.

## A connection: connect, one exchange, close

![Server CPU time per connection under each model](img/churn.svg)

Clients connect, send 64 bytes, receive them back, compare every byte, and
close. The server is the same echo under each model, with Naru's defaults
(timeouts, limits, graceful end; 16 workers where there are workers). The
*bare* rows are the limit: the same work, until the peer has finished, in
nothing but the system calls that it needs, without timeouts, without limits,
without a way to stop. In *bare prefork* each process accepts for itself;
Naru's hands each client to a worker that is idle.

### Eight clients at once

{cpu}

{cpu_savings}

### One client at a time: from connect to the first answer

{latency}

{latency_savings}

### How to read it

- The server runs on core 0, the load on core 1; the load is one program, the
  same for all rows, and spins instead of sleeping. The rows take turns within
  each round, each with a server started anew.
- CPU is user and system time of the server's process with all its threads
  and children, those included that have ended. A ratio compares two rows in
  the same round.
- On loopback, whoever sends does the receiver's work in the kernel as well,
  so a part of the client's work is in the server's figure, and the other way
  round. It is much the same part in each row.
- Connections per second is what the two cores do together. Where the server's
  core is not busy, the load is what limits them: compare CPU then.
- A slice in which other programs used more than 15 % of a core is measured
  anew, whatever it gave ({repeats} were, 40 at the most may be). In those that
  count, they used {others:.0f} % of a core (median), {others_most:.0f} % at the most.

## The machine

{facts}
"""


def page(data):
    many, one = gather(data, 8), gather(data, 1)
    others = [r["others_cpu"] * 100 for r in data["churn"]]
    return PAGE.format(
        rounds=data["settings"]["rounds"],
        seconds=data["settings"]["seconds"],
        cpu=cpu_table(many),
        cpu_savings=savings(many, lambda row: row.cpu, "CPU"),
        latency=latency_table(one),
        latency_savings=savings(one, lambda row: row.p50, "time (p50)"),
        repeats=data["settings"]["repeats"],
        others=median(others),
        others_most=max(others),
        facts="\n".join(["| | |", "|---|---|"] + [
            f"| {name} | {value} |" for name, value in
            data["facts"].items()]))


def as_text(data):
    """JSON with one round on a line, to be read in a diff."""
    rounds = ",\n  ".join(json.dumps(result) for result in data["churn"])
    rest = json.dumps({key: value for key, value in data.items()
                       if key != "churn"}, indent=1)
    return f'{rest[:-2]},\n "churn": [\n  {rounds}\n ]\n}}\n'


def write(data, where):
    """Writes raw rounds, page and chart below WHERE; returns their paths."""
    os.makedirs(os.path.join(where, "img"), exist_ok=True)
    chart = Chart(gather(data, 8), gather(data, 1),
                  data["settings"]["rounds"])
    texts = {
        "benchmarks.json": as_text(data),
        "benchmarks.md": page(data),
        os.path.join("img", "churn.svg"): chart.draw(),
    }
    paths = []
    for name, text in texts.items():
        paths.append(os.path.join(where, name))
        with open(paths[-1], "w", encoding="utf-8") as file:
            file.write(text)
    return paths


def main():
    if len(sys.argv) != 3:
        sys.exit("usage: bench/report.py JSON FOLDER")
    with open(sys.argv[1], encoding="utf-8") as file:
        data = json.load(file)
    for path in write(data, sys.argv[2]):
        print("wrote", path)


if __name__ == "__main__":
    main()
