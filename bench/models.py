# SPDX-License-Identifier: MIT
"""Connections that come and go under Naru's other models: chart and tables."""

from statistics import median

from charts import Canvas, nice_step
from figures import (busy, cpu_us, gather, label, middle, rate, ratios, spread,
                     table, values)
from rows import MODEL_CLIENTS, MODELS

ONE, MANY = MODEL_CLIENTS

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


def p50(got):
    return got["p50_us"]


def p99(got):
    return got["p99_us"]


def groups_of(rows):
    """GROUPS without what was not measured."""
    for heading, members in GROUPS:
        there = [member for member in members if member[0] in rows]
        if there:
            yield heading, there


def saving(rows, name, figure):
    """By how much NAME's median is below that of what it stands beside."""
    other = INSTEAD_OF.get(name)
    if other not in rows or name not in rows:
        return None
    part = 1 - middle(rows[name], figure) / middle(rows[other], figure)
    return other, round(part * 100)


class ModelsChart(Canvas):
    """Bars from the left, with columns of numbers on the right."""

    LEFT, RIGHT = 214, 660
    RATE, FIRST = 768, 892
    ROW, BAR, GAP, TOP = 27, 17, 27, 134

    def __init__(self, rows, latency, rounds):
        super().__init__()
        self.rows, self.latency, self.rounds = rows, latency, rounds
        self.groups = list(groups_of(rows))
        count = sum(len(members) for _, members in self.groups)
        self.bottom = self.TOP + count * self.ROW + len(self.groups) * self.GAP
        self.most = 1.02 * max(
            max(values(turns, cpu_us)) for turns in rows.values())

    def x(self, value):
        return self.LEFT + value / self.most * (self.RIGHT - self.LEFT)

    def heading(self):
        self.text(28, 40, "What a connection costs the server", "title")
        self.text(28, 63, "CPU time to accept a client, echo 64 bytes and "
                  "close, with 8 clients at once. Shorter is better.", "quiet")
        self.legend(28, 79, (("model", "Naru"),
                             ("beforehand", "Naru, workers started beforehand"),
                             ("limit", "bare system calls: the limit")))
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
                  "are timed with one client at a time, from its connect.",
                  "tick")

    def member(self, name, kind, y):
        numbers, centre = values(self.rows[name], cpu_us), y + self.BAR / 2
        end = self.x(median(numbers))
        self.text(self.LEFT - 10, centre + 5, label(name), "", "end")
        self.bar(self.LEFT, y, end - self.LEFT, self.BAR, kind)
        self.whisker(self.x(min(numbers)), self.x(max(numbers)), centre)
        self.value(name, numbers, end, centre + 5)
        self.text(self.RATE, centre + 5,
                  f"{middle(self.rows[name], rate):,.0f}", "number", "end")
        if name in self.latency:
            one = self.latency[name]
            self.text(self.FIRST, centre + 5, f"{middle(one, p50):.0f} / "
                      f"{middle(one, p99):.0f} µs", "number", "end")

    def value(self, name, numbers, end, y):
        """The figure, behind the bar or, where that has no room, in it."""
        text, after = f"{median(numbers):.1f} µs", self.x(max(numbers))
        if after > self.RIGHT - 60:
            low = self.x(min(numbers))
            self.out.append(f'<text x="{min(low, end) - 10:.1f}" y="{y:.1f}" '
                            'class="value" text-anchor="end" '
                            f'style="fill:#fff">{text}</text>')
            return
        self.text(after + 9, y, text, "value")
        saved = saving(self.rows, name, cpu_us)
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
                self.member(name, kind, y + (self.ROW - self.BAR) / 2)
                y += self.ROW
        return self.finish(self.bottom + 50,
                           "Server CPU time per connection under each model")


def lines_of(rows, cells):
    return [[label(name), *cells(rows[name])]
            for _, members in groups_of(rows) for name, _ in members]


def cpu_table(rows):
    limit = rows.get("bare loop", {})
    return table(
        ("server", "CPU per connection, µs", "of the bare loop's",
         "connections per second", "server's core busy"),
        lines_of(rows, lambda row: (
            spread(values(row, cpu_us), 1),
            spread(ratios(row, limit, cpu_us), 2), spread(values(row, rate)),
            f"{middle(row, busy):.0f} %")))


def latency_table(rows):
    return table(
        ("server", "p50, µs", "p99, µs", "CPU per connection, µs",
         "connections per second"),
        lines_of(rows, lambda row: (
            spread(values(row, p50), 1), spread(values(row, p99), 1),
            spread(values(row, cpu_us), 1), spread(values(row, rate)))))


def savings(rows, figure, what):
    lines = []
    for name in INSTEAD_OF:
        saved = saving(rows, name, figure)
        if saved:
            less = "less" if saved[1] >= 0 else "more"
            lines.append(f"- `{name}` takes {abs(saved[1])} % {less} {what} "
                         f"than `{saved[0]}`.")
    return "\n".join(lines)


TEXT = """## The other models: connect, one exchange, close

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
"""


def section(data):
    """The part of the page; nothing if the models were not measured."""
    many = gather(data, MODELS, clients=MANY)
    one = gather(data, MODELS, clients=ONE)
    if not many or not one:
        return ""
    return TEXT.format(
        cpu=cpu_table(many), cpu_savings=savings(many, cpu_us, "CPU"),
        latency=latency_table(one),
        latency_savings=savings(one, p50, "time (p50)"))


def chart(data):
    many = gather(data, MODELS, clients=MANY)
    if not many:
        return None
    return ModelsChart(many, gather(data, MODELS, clients=ONE),
                       data["settings"]["rounds"]).draw()
