#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Turns the raw slices of bench/run into a page and charts.

    bench/report.py docs/benchmarks.json docs

draws them again from what was kept.
"""

import json
import os
import sys
from statistics import median

import charts
import figures
import models
import verdicts
from charts import short
from figures import gather, spread, table, values
from rows import IDLE_BYTES, READY, ROWS, SWITCH

PAGE = """# Benchmarks

This page is written by `make bench ARGS=--docs`; the slices behind it are in
[benchmarks.json](benchmarks.json), and `bench/report.py` draws it again from
them. A figure is a median, with the least and the most in parentheses: of
{turns} slices of {seconds:g} s for Naru and the bare loops, of {rounds} for the
others.

{sections}
## How to read it

- The server runs on core 0, the load on core 1. The load is one program, the
  same for everybody: a bare epoll loop, which spins instead of sleeping and
  compares every byte that comes back. Each slice has a server started anew;
  servers take turns, and a ratio compares two slices of the same turn.
- CPU is user and system time of the server's process, with all its threads
  and children, over exactly the time that is measured.
- *The better bare loop* of a row is the one with the better median there.
  *Per CPU second* is how much a second of the server's CPU time is good for.
- On loopback, whoever sends does the receiver's work in the kernel as well,
  so a part of the clients' work is in the server's figure, and the other way
  round. It is much the same part for everybody. Messages per second is what
  the two cores do together; where the server's core is not busy, the load is
  what limits them: compare CPU then.
- The network is a loopback on which nobody else is, with the congestion control
  named below: one that paces what it sends takes a moment in which the machine
  was busy for a slow network.
- A slice in which other programs used more than 15 % of a core, or kept the
  load from sending in time, is measured anew, whatever it gave ({repeats} were,
  40 at the most may be). In those that count, they used {others:.0f} % of a
  core (median), {others_most:.0f} % at most.
- In {timeouts} of {count} slices a packet was dropped, and sent anew when its
  time was over.

## The machine

{facts}
"""

CONTENDERS = """## Who takes part

{there}
{absent}"""

TARGETS = """## What Naru was to reach

{targets}

A pair of figures is messages per second and per CPU second.
"""

ECHO = """## {title}

{picture}{text}

{table}
{failed}"""

TEXTS = {
    "one": "One message is under way at any time, so that each waits for the "
           "other side's core to notice it.",
    "small": "Each connection sends its next message when the last one is "
             "back.",
    "many": "The same with more connections than the caches hold.",
    "pipelined": "16 messages come with one receive, and their answers can "
                 "leave with one send.",
    "lines": "Lines of 8 to 56 bytes. Each is found, and answered by a send "
             "of its own: whether those leave together is up to the server. "
             "The bare loops find all lines of a receive, and send once.",
    "large": "What counts here is copying, and how much of it a call does.",
    "huge": "More than a socket takes at once: each side has to send and to "
            "receive at the same time.",
    "churn": "What a connection costs from its accept to its close.",
}
PICTURES = {
    "small": ("echo.svg", "Messages per second and server CPU per message, "
              "64 bytes, 200 connections"),
    "pipelined": ("pipelined.svg", "Messages per second with 16 in flight, "
                  "plain and as lines"),
}


def picture(key, charts_there):
    name, text = PICTURES.get(key, ("", ""))
    return f"![{text}](img/{name})\n\n" if name in charts_there else ""


def failed(data, key):
    """A sentence for each who could not."""
    return "".join(f"\n{who} failed here: {why}.\n" for who, why in
                   sorted(figures.failures(data, key).items()))


def order(data, row, figure=None, lowest=False):
    """Names and kinds: the limits, Naru, and the others, the best first."""
    known = {c["name"]: c["kind"] for c in data["contenders"]}
    there = [(name, kind) for name, kind in known.items() if name in row]
    if figure:
        sign = 1 if lowest else -1
        there.sort(key=lambda c: sign * figures.middle(row[c[0]], figure))
    kinds = ("limit", "naru", "peer")
    return sorted(there, key=lambda c: kinds.index(c[1]))


def rate_table(data, row):
    slices, limits = gather(data, row.key), verdicts.named(data, "limit")

    def part(name, figure):
        return spread(verdicts.compare(slices, name, limits, figure) or [], 2)

    return table(
        ("server", f"{row.unit}s per second", "of the better bare loop's",
         f"CPU per {row.unit}, µs", "per CPU second, of the better bare "
         "loop's", "server's core busy"),
        [[name, spread(values(slices[name], figures.rate)),
          part(name, figures.rate),
          spread(values(slices[name], figures.cpu_us), 2),
          part(name, figures.per_cpu_second),
          f"{figures.middle(slices[name], figures.busy):.0f} %"]
         for name, _ in order(data, slices, figures.rate)])


def rate_sections(data, there):
    for row in ROWS:
        if row.mode in ("echo", "lines", "churn") and gather(data, row.key):
            yield ECHO.format(
                title=row.title, picture=picture(row.key, there),
                text=TEXTS[row.key], table=rate_table(data, row),
                failed=failed(data, row.key))


LATENCY = """## Latency at {offered:,} messages per second

![Percentiles of latency at a fixed rate](img/latency.svg)

64 bytes on 200 connections, sent at a fixed rate, whether answers come or not:
70 % of what the better bare loop did with 200 connections just before. The
time of each message counts from the moment at which it was to be sent.

{table}
{behind}{failed}"""


def latency_section(data):
    every, slices = gather(data, "latency"), verdicts.kept_up(data)
    if not every:
        return
    limits = verdicts.named(data, "limit")
    lines = []
    for name, _ in order(data, slices, verdicts.p99, lowest=True):
        parts = verdicts.compare(slices, name, limits, verdicts.p99, True)
        lines.append([name, *(
            spread(values(slices[name], lambda got, key=key: got[key]), 0)
            for key in ("p50_us", "p99_us", "p999_us")),
            spread(parts or [], 2),
            spread(values(slices[name], figures.cpu_us), 2),
            spread(values(slices[name], lambda got: got["late_p99_us"]), 1)])
    lost = [name for name, _ in order(data, every) if name not in slices]
    yield LATENCY.format(
        offered=data["settings"]["offered"],
        table=table(("server", "p50, µs", "p99, µs", "p99.9, µs",
                     "p99, of the better bare loop's", "CPU per message, µs",
                     "the load's own delay, p99, µs"), lines),
        behind=f"\nCould not keep up with the rate: {', '.join(lost)}.\n"
        if lost else "", failed=failed(data, "latency"))


IDLE = """## Memory of a connection that is held

![User memory for each idle connection](img/idle.svg)

15,000 connections, each of which had one exchange of 64 bytes and then says
nothing. What is counted is the server's user memory, resident pages and page
tables, less what it had before the first one.

{table}
{failed}"""


def bytes_each(got):
    return got["bytes_each"]


def idle_section(data):
    slices = gather(data, "idle")
    if slices:
        yield IDLE.format(failed=failed(data, "idle"), table=table(
            ("server", "bytes for each connection", "held"),
            [[name, spread(values(slices[name], bytes_each)),
              held(slices[name])] for name, _ in
             order(data, slices, bytes_each, lowest=True)]))


def held(turns):
    least = min(turns.values(), key=lambda got: got["held"])
    why = f", then: {least['failed']}" if least["failed"] else ""
    return f"{least['held']:,}{why}"


READY_TEXT = """## From exec to ready

The time from just before `execve()` until a client has connected to the port
that the server printed, and until that client has its first answer.

{table}
"""


def ready_section(data):
    slices = gather(data, READY)
    if slices:
        ready, answer = (lambda got: got["ready_us"] / 1000,
                         lambda got: got["answer_us"] / 1000)
        yield READY_TEXT.format(table=table(
            ("server", "ready after, ms", "first answer after, ms"),
            [[name, spread(values(slices[name], ready), 2),
              spread(values(slices[name], answer), 2)]
             for name, _ in order(data, slices, ready, lowest=True)]))


SWITCH_TEXT = """## From fiber to fiber

{table}

*Hot* is a pair of fibers that switch to each other. With many that take turns,
what counts is whether their stacks are still in the caches. *By way of the
scheduler* each fiber wakes another one and parks, as conversations do, but
without the kernel.
"""


def switch_section(data):
    turns = gather(data, SWITCH).get("naru")
    if not turns:
        return
    lines = [["2, hot", spread(values(turns, lambda got: got["hot_ns"]), 2),
              ""]]
    for i, fibers in enumerate(next(iter(turns.values()))["fibers"]):
        lines.append([f"{fibers['count']:,}", *(
            spread(values(turns, lambda got, i=i, key=key:
                          got["fibers"][i][key]), 1)
            for key in ("ns", "park_ns"))])
    yield SWITCH_TEXT.format(table=table(
        ("fibers", "a bare switch, ns", "by way of the scheduler, ns"), lines))


def contenders_section(data):
    there = [[c["name"], c["version"] or "–", c["form"]]
             for c in data["contenders"] if not c["absent"]]
    absent = [f"{c['name']} ({c['absent']})" for c in data["contenders"]
              if c["absent"]]
    yield CONTENDERS.format(
        there=table(("server", "version", "form"), there, "---"),
        absent=f"\nNot in this run: {', '.join(absent)}.\n" if absent else "")


def targets_section(data):
    lines = verdicts.lines(data)
    if lines:
        yield TARGETS.format(targets=table(verdicts.HEADINGS, lines, "---"))


def page(data, there):
    sections = [
        *targets_section(data), *contenders_section(data),
        *rate_sections(data, there), *latency_section(data),
        *idle_section(data), *ready_section(data), *switch_section(data),
        models.section(data)]
    others = [got["others_cpu"] * 100 for got in data["slices"]
              if "others_cpu" in got] or [0]
    timeouts = [got["tcp_timeouts"] for got in data["slices"]
                if "tcp_timeouts" in got]
    settings = data["settings"]
    return PAGE.format(
        rounds=settings["rounds"], turns=2 * settings["rounds"],
        seconds=settings["seconds"],
        sections="\n".join(filter(None, sections)),
        repeats=settings["repeats"], others=median(others),
        others_most=max(others), count=len(timeouts),
        timeouts=sum(1 for lost in timeouts if lost),
        facts="\n".join(["| | |", "|---|---|"] + [
            f"| {name} | {value} |" for name, value in
            data["facts"].items()]))


def numbers_of(slices, figure):
    return {name: values(turns, figure) for name, turns in slices.items()}


def place(data):
    return f"{data['facts']['processor']}, {data['facts']['kernel']}."


def note(data):
    return ("Median; the whisker goes from the least to the most. "
            f"{place(data)}")


def per_second(value):
    return f"{short(value)}/s"


def micros(value):
    return f"{value:.2f} µs"


def echo_chart(data):
    slices = gather(data, "small")
    if not slices:
        return None
    return charts.Chart(
        "64 bytes there and back, 200 connections",
        ("One core for the server, one for the load. On the left longer is "
         "better, on the right shorter.",),
        order(data, slices, figures.rate), note(data)).draw((
            charts.Panel("messages per second",
                         numbers_of(slices, figures.rate), per_second),
            charts.Panel("server CPU per message",
                         numbers_of(slices, figures.cpu_us), micros)))


def pipelined_chart(data):
    plain, lines = gather(data, "pipelined"), gather(data, "lines")
    if not plain:
        return None
    return charts.Chart(
        "16 messages in flight on each of 64 connections",
        ("Messages per second; longer is better. On the right each line is "
         "found, and answered by a send of its own.",),
        order(data, plain, figures.rate), note(data)).draw((
            charts.Panel("64 bytes each", numbers_of(plain, figures.rate),
                         per_second),
            charts.Panel("lines of 8 to 56 bytes",
                         numbers_of(lines, figures.rate), per_second)))


def latency_chart(data):
    every, slices = gather(data, "latency"), verdicts.kept_up(data)
    if not every:
        return None
    first = order(data, slices, verdicts.p99, lowest=True)
    first += [c for c in order(data, every) if c not in first]
    return charts.Dots(
        f"Latency at {data['settings']['offered']:,} messages per second",
        ("From the moment at which a message was to be sent until its answer "
         "is there: p50, p99 and p99.9. Left is better.",),
        first, f"Medians. {place(data)}").draw({
            name: [values(turns, lambda got, key=key: got[key])
                   for key in ("p50_us", "p99_us", "p999_us")]
            for name, turns in slices.items()})


def idle_chart(data):
    slices = gather(data, "idle")
    if not slices:
        return None
    return charts.Chart(
        "What an idle connection takes of the server's memory",
        ("User memory with page tables, after one exchange on each of 15,000 "
         "connections. Shorter is better.",),
        order(data, slices, bytes_each, lowest=True),
        f"The line is what Naru's was to be at the most: {IDLE_BYTES:,.0f} "
        "bytes.").draw((
            charts.Panel("bytes for each connection",
                         numbers_of(slices, bytes_each),
                         lambda value: f"{value:,.0f}", IDLE_BYTES),))


CHARTS = {"echo.svg": echo_chart, "pipelined.svg": pipelined_chart,
          "latency.svg": latency_chart, "idle.svg": idle_chart,
          "churn.svg": models.chart}


def as_text(data):
    """JSON with one slice on a line, to be read in a diff."""
    slices = ",\n  ".join(json.dumps(got) for got in data["slices"])
    rest = json.dumps({key: value for key, value in data.items()
                       if key != "slices"}, indent=1, ensure_ascii=False)
    return f'{rest[:-2]},\n "slices": [\n  {slices}\n ]\n}}\n'


def put(where, texts):
    """Writes TEXTS, by their names, below WHERE; returns their paths."""
    os.makedirs(os.path.join(where, "img"), exist_ok=True)
    paths = []
    for name, text in texts.items():
        paths.append(os.path.join(where, name))
        with open(paths[-1], "w", encoding="utf-8") as file:
            file.write(text)
    return paths


def write(data, where):
    """Writes raw slices, page and charts below WHERE; returns their paths."""
    drawn = {name: draw(data) for name, draw in CHARTS.items()}
    texts = {os.path.join("img", name): text for name, text in drawn.items()
             if text}
    texts["benchmarks.json"] = as_text(data)
    texts["benchmarks.md"] = page(data, [n for n, t in drawn.items() if t])
    return put(where, texts)


def main():
    if len(sys.argv) != 3:
        sys.exit("usage: bench/report.py JSON FOLDER")
    with open(sys.argv[1], encoding="utf-8") as file:
        data = json.load(file)
    for path in write(data, sys.argv[2]):
        print("wrote", path)


if __name__ == "__main__":
    main()
