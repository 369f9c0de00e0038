#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Turns the raw slices of bench/relay into a page and a chart.

    bench/relay_report.py docs/benchmarks-relay.json docs

draws them again from what was kept.
"""

import json
import os
import sys
from statistics import median
from typing import NamedTuple

import charts
import figures
from figures import best, gather, middle, ratios, spread, table, values
from report import as_text, put

GIB = 1 << 30


class Row(NamedTuple):
    key: str       # as --only takes it
    title: str
    mode: str      # of the load
    numbers: dict  # for the load


ROWS = (
    Row("bulk", "Bulk, one connection", "bulk", {"connections": 1}),
    Row("bulk100", "Bulk, 100 connections", "bulk", {"connections": 100}),
    Row("checked", "Bulk, 10 connections, every byte compared", "bulk",
        {"connections": 10, "checked": 1}),
    Row("small", "64 bytes there and back, one connection", "echo",
        {"connections": 1}),
    Row("small100", "64 bytes there and back, 100 connections", "echo",
        {"connections": 100}),
    Row("pipelined", "64 bytes, 16 in flight on each of 100 connections",
        "echo", {"connections": 100, "depth": 16}),
)

PAGE = """# Benchmarks of the relay

This page is written by `bench/relay BUILD --docs`; the slices behind it are in
[benchmarks-relay.json](benchmarks-relay.json), and `bench/relay_report.py`
draws it again from them. A figure is a median of {rounds} slices of
{seconds:g} s, with the least and the most in parentheses.

![Throughput, messages and CPU of relays](img/relay.svg)

{verdicts}

{sections}
## Who takes part

{contenders}
{absent}
## How to read it

- The relay runs on core 0. Clients and backend are one program on core 1, a
  bare epoll loop that spins instead of sleeping, the same for everybody. Each
  slice has a relay started anew; relays take turns within a round.
- Small messages are compared byte by byte when they come back. Bulk goes one
  way, from the clients, who send a file from memory (`sendfile(2)`), to the
  backend, which counts it and throws it away unseen (`MSG_TRUNC`): the load
  copies nothing, so that its core is not what is measured. At the end of a
  slice every byte that was sent has to have come. In the row that says so each
  byte is compared as well.
- CPU is user and system time of the relay's process, with its threads and
  children, over exactly the time that is measured; of nothing else. On
  loopback, whoever sends does the receiver's work in the kernel as well.
- *To the best other* compares slices of the same round: with whoever of the
  others has the best median in that row and figure, in whichever form.
- Where the load's core is what limits, several relays come to the same
  throughput: compare CPU then.
- A slice in which other programs used more than 15 % of a core is measured
  anew, whatever it gave ({repeats} were). In those that count, they used
  {others:.0f} % of a core (median), {others_most:.0f} % at most.

## The machine

{facts}
"""


def amount(row, got):
    """GiB or messages, each second."""
    return figures.rate(got) / (GIB if row.mode == "bulk" else 1)


def cost(row, got):
    """CPU: milliseconds for a GiB, microseconds for a message."""
    each = got["server_cpu_s"] / max(1, got["count"])
    return each * (GIB * 1e3 if row.mode == "bulk" else 1e6)


def units(row):
    return (("GiB per second", "CPU per GiB, ms") if row.mode == "bulk" else
            ("messages per second", "CPU per message, µs"))


def tell(row, got):
    """A slice in one line."""
    if "failed" in got:
        return got["failed"]
    return (f"{amount(row, got):10,.2f} {units(row)[0]} "
            f"{cost(row, got):9.2f} {units(row)[1]}  "
            f"busy {figures.busy(got):3.0f} %")


def names(data, kind):
    return [c["name"] for c in data["contenders"] if c["kind"] == kind]


def compared(data, row, name):
    """Of what NAME does, and of what a CPU second of it does, the best
    other's: ratios by round."""
    slices, others = gather(data, row.key), names(data, "peer")
    for figure, lowest in ((lambda got: amount(row, got), False),
                           (lambda got: 1 / cost(row, got), False)):
        other = best(slices, others, figure, lowest)
        if name in slices and other:
            yield other, ratios(slices[name], slices[other], figure)
        else:
            yield None, []


def section(data, row):
    slices = gather(data, row.key)
    rate, each = (lambda got: amount(row, got), lambda got: cost(row, got))
    there = sorted((c["name"] for c in data["contenders"]
                    if c["name"] in slices),
                   key=lambda name: -middle(slices[name], rate))
    if not there:
        return ""
    digits = 2 if row.mode == "bulk" else 0
    failed = "".join(f"\n{who} failed here: {why}.\n" for who, why in
                     sorted(figures.failures(data, row.key).items()))
    return f"## {row.title}\n\n" + table(
        ("relay", *units(row), "relay's core busy"),
        [[name, spread(values(slices[name], rate), digits),
          spread(values(slices[name], each), 2 - digits // 2),
          f"{middle(slices[name], figures.busy):.0f} %"]
         for name in there]) + f"\n{failed}"


def verdicts(data):
    lines = []
    for row in ROWS:
        for name in names(data, "naru"):
            cells = []
            for other, parts in compared(data, row, name):
                cells += ([f"{spread(parts, 2)} of {other}'s"] if parts else
                          [""])
            if any(cells):
                lines.append([row.title, name, *cells])
    return table(("", "relay", "throughput or rate, to the best other",
                  "per CPU second, to the best other"), lines, "---")


def chart(data):
    rows = [row for row in ROWS if row.key in ("bulk100", "small100")]
    slices = {row.key: gather(data, row.key) for row in rows}
    if not all(slices.values()):
        return None
    order = [(c["name"], c["kind"]) for c in data["contenders"]
             if c["name"] in slices["small100"]]
    panels = [charts.Panel(
        f"{units(row)[1]}, {row.title[0].lower()}{row.title[1:]}",
        {name: values(turns, lambda got, row=row: cost(row, got))
         for name, turns in slices[row.key].items()},
        lambda value: f"{value:,.1f}") for row in rows]
    return charts.Chart(
        "What a relay's CPU is used for", ("Shorter is better.",), order,
        "Median; the whisker goes from the least to the most. "
        f"{data['facts']['processor']}, {data['facts']['kernel']}.").draw(
            panels)


def page(data):
    others = [got["others_cpu"] * 100 for got in data["slices"]
              if "others_cpu" in got] or [0]
    absent = [f"{c['name']} ({c['absent']})" for c in data["contenders"]
              if c["absent"]]
    return PAGE.format(
        verdicts=verdicts(data), **data["settings"],
        sections="\n".join(filter(None, (section(data, row)
                                         for row in ROWS))),
        contenders=table(("relay", "version", "form"),
                         [[c["name"], c["version"] or "–", c["form"]]
                          for c in data["contenders"] if not c["absent"]],
                         "---"),
        absent=f"\nNot in this run: {', '.join(absent)}.\n" if absent else "",
        others=median(others), others_most=max(others),
        facts="\n".join(["| | |", "|---|---|"] + [
            f"| {name} | {value} |" for name, value in
            data["facts"].items()]))


def write(data, where):
    """Writes raw slices, page and chart below WHERE; returns their paths."""
    texts = {"benchmarks-relay.json": as_text(data),
             "benchmarks-relay.md": page(data),
             os.path.join("img", "relay.svg"): chart(data)}
    return put(where, {name: text for name, text in texts.items() if text})


def main():
    if len(sys.argv) != 3:
        sys.exit("usage: bench/relay_report.py JSON FOLDER")
    with open(sys.argv[1], encoding="utf-8") as file:
        data = json.load(file)
    for path in write(data, sys.argv[2]):
        print("wrote", path)


if __name__ == "__main__":
    main()
