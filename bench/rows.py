# SPDX-License-Identifier: MIT
"""What is measured, and what Naru is to reach in it."""

from typing import NamedTuple


class Row(NamedTuple):
    key: str       # as --only takes it
    title: str
    mode: str      # of the load
    numbers: dict  # for the load
    unit: str      # of what is counted
    part: float    # of the better bare loop's, to be reached; 0: no target
    server: str = "echo"
    turns: int = 0  # at the most; 0: in all of them


ROWS = (
    Row("one", "64 bytes, one connection", "echo",
        {"connections": 1}, "message", 0.97),
    Row("small", "64 bytes, 200 connections", "echo",
        {"connections": 200}, "message", 0.97),
    Row("many", "64 bytes, 4000 connections", "echo",
        {"connections": 4000}, "message", 0.95),
    Row("pipelined", "64 bytes, 16 in flight on each of 64 connections",
        "echo", {"connections": 64, "depth": 16}, "message", 0.95),
    Row("lines", "Lines, 16 in flight on each of 64 connections", "lines",
        {"connections": 64, "depth": 16}, "message", 0.9, server="lines"),
    Row("large", "16 KiB, 16 connections", "echo",
        {"connections": 16, "size": 16384}, "message", 0.97, server="bulk"),
    Row("huge", "1 MiB, 4 connections", "echo",
        {"connections": 4, "size": 1048576}, "message", 0.97, server="bulk"),
    Row("churn", "Connect, exchange 64 bytes, close; 8 at once", "churn",
        {"connections": 8}, "connection", 0),
    Row("latency", "Latency at a fixed rate", "steady",
        {"connections": 200}, "message", 0),
    Row("idle", "Memory of a connection that is held", "idle",
        {"connections": 15000}, "connection", 0, turns=4),
)
BY_KEY = {row.key: row for row in ROWS}

# Rows that are not measured by slices in turns.
READY, SWITCH, MODELS = "ready", "switch", "models"
KEYS = (*BY_KEY, READY, SWITCH, MODELS)

# Rows in which peers are to be behind in messages and CPU.
AHEAD = ("one", "small", "many", "pipelined", "lines")

LOAD_PART = 0.7  # of the bare loop's rate, at which latency is taken
P99_PART = 1.2   # of the bare loop's p99, that may be reached
IDLE_BYTES = 4.6 * 1024
SWITCH_NS = 8
READY_MS = 3
MODEL_CLIENTS = (1, 8)
