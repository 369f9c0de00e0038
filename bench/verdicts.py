# SPDX-License-Identifier: MIT
"""What Naru was to reach, and whether it did: the first table of the page."""

from statistics import median

import figures
from rows import (AHEAD, BY_KEY, IDLE_BYTES, P99_PART, READY, READY_MS, ROWS,
                  SWITCH, SWITCH_NS)

HEADINGS = ("what", "target", "naru uring", "naru epoll", "verdict")
OURS = ("naru uring", "naru epoll")


def named(data, kind):
    return [c["name"] for c in data["contenders"] if c["kind"] == kind]


def compare(row, name, limits, figure, lowest=False):
    """The ratios to the better bare loop, turn by turn; the higher is better
    unless LOWEST. None where one of them was not measured."""
    other = figures.best(row, limits, figure, lowest)
    if other is None or name not in row:
        return None
    return figures.ratios(row[name], row[other], figure) or None


def verdict(held):
    """HELD: for each of ours, whether it holds, or None."""
    known = [name for name in OURS if held.get(name) is not None]
    good = [name for name in known if held[name]]
    if not known:
        return "not measured"
    if len(good) == len(known):
        return "met"
    return f"met by {good[0]} only" if good else "**missed**"


def line(what, target, tell):
    """TELL says for one of ours: its cell, and whether it holds, or None."""
    told = {name: tell(name) for name in OURS}
    cells = [told[name][0] if told[name] else "–" for name in OURS]
    held = {name: told[name][1] for name in OURS if told[name]}
    return [what, target, *cells, verdict(held)]


def against_limit(data, row):
    slices, limits = figures.gather(data, row.key), named(data, "limit")

    def tell(name):
        parts = [compare(slices, name, limits, figure) for figure in
                 (figures.rate, figures.per_cpu_second)]
        if None in parts:
            return None
        parts = [median(part) for part in parts]
        return (" / ".join(f"{part:.3f}" for part in parts),
                all(part >= row.part for part in parts))

    return line(row.title, f"≥ {row.part} of the better bare loop's "
                f"{row.unit}s per second / per CPU second", tell)


def behind(slices, name, peers, figure, lowest=False):
    """The peers that NAME does not beat, and by how much."""
    names = []
    for peer in peers:
        parts = figures.ratios(slices[name], slices.get(peer, {}), figure)
        part = median(parts) if parts else None
        if part is not None and (part > 1 if lowest else part < 1):
            names.append(f"{peer} ({part:.3f})")
    return names


def against_peers(data, key, tests, target):
    """TESTS: (figure, what it is, whether the lowest is best)."""
    slices, peers = figures.gather(data, key), named(data, "peer")

    def tell(name):
        if name not in slices or not set(peers) & set(slices):
            return None
        lost = [f"in {what} behind {', '.join(names)}"
                for figure, what, lowest in tests
                if (names := behind(slices, name, peers, figure, lowest))]
        return "; ".join(lost) or "yes", not lost

    return line(BY_KEY[key].title, target, tell)


def p99(got):
    return got["p99_us"]


def against_p99(data):
    """A server that fell behind has no percentiles worth the name."""
    slices, limits = kept_up(data), named(data, "limit")

    def tell(name):
        parts = compare(slices, name, limits, p99, lowest=True)
        if parts is None:
            return None
        return f"{median(parts):.2f}", median(parts) <= P99_PART

    return line("Latency, p99", f"≤ {P99_PART} of the better bare loop's",
                tell)


def kept_up(data):
    """The row of latency without those who fell behind in most turns."""
    row = figures.gather(data, "latency")
    kept = {name: {turn: got for turn, got in turns.items()
                   if got["kept_up"]} for name, turns in row.items()}
    return {name: turns for name, turns in kept.items()
            if 2 * len(turns) > len(row[name])}


def p99_against_peers(data):
    slices, peers = kept_up(data), named(data, "peer")

    def tell(name):
        if name not in slices or not set(peers) & set(slices):
            return None
        lost = behind(slices, name, peers, p99, lowest=True)
        return (f"behind {', '.join(lost)}" if lost else "yes"), not lost

    return line("Latency, p99", "no worse than any other's", tell)


def at_most(row, what, target, figure, most):
    def tell(name):
        if name not in row:
            return None
        value = figures.middle(row[name], figure)
        return f"{value:,.2f}".rstrip("0").rstrip("."), value <= most

    return line(what, target, tell)


def of_switch(data):
    row = figures.gather(data, SWITCH)
    if not row:
        return []
    value = figures.middle(row["naru"], lambda got: got["hot_ns"])
    return [["Switch from fiber to fiber, hot", f"≤ {SWITCH_NS} ns",
             f"{value:.2f} ns", f"{value:.2f} ns",
             "met" if value <= SWITCH_NS else "**missed**"]]


def lines(data):
    """The whole table, without what was not measured."""
    both = ((figures.rate, "messages", False),
            (figures.cpu_us, "CPU", True))
    cpu = ((figures.cpu_us, "CPU", True),)
    every = []
    for row in ROWS:
        if row.part:
            every.append(against_limit(data, row))
        if row.key in AHEAD:
            every.append(against_peers(
                data, row.key, both,
                "ahead of every other, in messages and in CPU"))
    every += [
        against_peers(data, "churn", cpu,
                      "no other takes less CPU for a connection"),
        against_p99(data), p99_against_peers(data),
        at_most(figures.gather(data, "idle"),
                "Idle connection, 15,000 held", f"≤ {IDLE_BYTES:,.0f} bytes",
                lambda got: got["bytes_each"], IDLE_BYTES),
        at_most(figures.gather(data, READY), "From exec to ready",
                f"≤ {READY_MS} ms", lambda got: got["ready_us"] / 1000,
                READY_MS),
    ]
    return [told for told in every
            if told[-1] != "not measured"] + of_switch(data)
