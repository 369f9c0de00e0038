# SPDX-License-Identifier: MIT
"""Numbers from slices: medians, spreads, and ratios within one turn."""

from statistics import median


def rate(got):
    return got["count"] / got["seconds"]


def cpu_us(got):
    """Of the server, for each message or connection."""
    return got["server_cpu_s"] / max(1, got["count"]) * 1e6


def per_cpu_second(got):
    return 1 / cpu_us(got)


def busy(got):
    return got["server_cpu_s"] / got["seconds"] * 100


def gather(data, key, **wanted):
    """The slices of a row that succeeded: by contender, then by turn."""
    row = {}
    for got in data["slices"]:
        if got["row"] == key and (not got.get("failed") or got.get("held")):
            if all(got.get(name) == value for name, value in wanted.items()):
                row.setdefault(got["who"], {})[got["turn"]] = got
    return row


def failures(data, key):
    """Who failed in a row, and why."""
    return {got["who"]: got["failed"].removeprefix("load: ")
            for got in data["slices"] if got["row"] == key and got.get("failed")
            and not got.get("held")}


def values(turns, figure):
    return [figure(got) for _, got in sorted(turns.items())]


def middle(turns, figure):
    return median(values(turns, figure))


def ratios(mine, its, figure):
    """Turn by turn, so that what slowed both does not count."""
    return [figure(mine[turn]) / figure(its[turn])
            for turn in sorted(mine.keys() & its.keys()) if figure(its[turn])]


def best(row, names, figure, lowest=False):
    """Whose median is the highest, or the lowest."""
    there = [name for name in names if name in row]
    if not there:
        return None
    return (min if lowest else max)(
        there, key=lambda name: middle(row[name], figure))


def spread(numbers, digits=0):
    """The median, and in parentheses the least and the most."""
    if not numbers:
        return ""
    if len(numbers) == 1:
        return f"{numbers[0]:,.{digits}f}"
    return (f"{median(numbers):,.{digits}f} ({min(numbers):,.{digits}f}–"
            f"{max(numbers):,.{digits}f})")


def table(headings, lines, align="---:"):
    return "\n".join(["| " + " | ".join(headings) + " |",
                      "|---|" + f"{align}|" * (len(headings) - 1),
                      *("| " + " | ".join(cells) + " |" for cells in lines)])


def label(name):
    """The name of one of the models, beside a bare one."""
    return name if name.startswith("bare") else f"naru {name}"
