# SPDX-License-Identifier: MIT
"""Who takes part in the benchmarks, and how each is started.

A server is started as its command and a mode, `echo` or `lines`; it prints its
port on 127.0.0.1 when clients can connect, and ends on SIGTERM. What is not
installed, or does not start, is left out, and the page says so.
"""

import os
import select
import subprocess
from typing import NamedTuple

SERVER_CORE, LOAD_CORE = 0, 1
START_SECONDS = 20
FOLDER = os.path.dirname(os.path.abspath(__file__))


class Contender(NamedTuple):
    name: str
    kind: str      # limit, naru or peer
    command: tuple  # {bench}: the build's, {source}: this folder
    package: str   # of Debian, for its version
    form: str      # in which it takes part


CONTENDERS = (
    Contender("bare epoll", "limit", ("{bench}/bare_epoll",), "",
              "nothing but the system calls that the work needs"),
    Contender("bare io_uring", "limit", ("{bench}/bare_uring",),
              "liburing-dev", "the same, on a ring"),
    Contender("naru uring", "naru", ("{bench}/naru_server", "uring"), "",
              "a fiber for each conversation, its waiter io_uring"),
    Contender("naru epoll", "naru", ("{bench}/naru_server", "epoll"), "",
              "a fiber for each conversation, its waiter epoll"),
    Contender("libuv tuned", "peer", ("{bench}/uv_tuned",), "libuv1-dev",
              "`uv_try_write()` first, one static buffer"),
    Contender("Boost.Asio", "peer", ("{bench}/asio",), "libboost-dev",
              "`async_read_some()`, `async_write()`, one thread"),
    Contender("State Threads", "peer", ("{bench}/state_threads",),
              "libst-dev", "a thread of its own kind for each connection"),
    Contender("libuv", "peer", ("{bench}/uv_guide",), "libuv1-dev",
              "as its guide shows it"),
    Contender("libevent", "peer", ("{bench}/libevent",), "libevent-dev",
              "bufferevents"),
    Contender("Go", "peer", ("{bench}/gonet",), "golang-go",
              "`net`, a goroutine for each connection, GOMAXPROCS=1"),
    Contender("Node", "peer", ("node", "{source}/peers/node.js"), "nodejs",
              "`net`"),
    Contender("uvloop", "peer",
              ("/usr/bin/python3", "{source}/peers/uvloop_echo.py"),
              "python3-uvloop", "Python's asyncio protocols on libuv"),
    Contender("threads", "peer", ("{bench}/threads",), "",
              "a kernel thread of 64 KiB for each connection, blocking calls"),
)


def limit(name, form):
    return Contender(name, "limit", ("{bench}/bare", form), "", "")


def model(name):
    return Contender(name, "naru", ("{bench}/naru_server", name, "echo"),
                     "", "")


# The models of Naru and their limits: connections that come and go.
MODELS = (
    limit("bare loop", "loop"), model("iterative"),
    limit("bare fork", "fork"), model("process"),
    limit("bare prefork", "prefork"), model("prefork"),
    model("thread"), model("pool"),
)


def command(contender, programs, mode=None):
    """The words to start it with; PROGRAMS is where the build has them."""
    words = [word.format(bench=programs, source=FOLDER)
             for word in contender.command]
    # Those that read as much at a time as suits the messages.
    if mode == "bulk":
        mode = "echo"
        if contender.kind in ("limit", "naru"):
            words[0] += "_bulk"
    return words + ([mode] if mode else [])


class Server:
    """A server on its core, for as long as the block runs."""

    def __init__(self, words, errors=None):
        self.words, self.errors = words, errors

    def __enter__(self):
        self.process = subprocess.Popen(
            self.words, stdout=subprocess.PIPE, stderr=self.errors, text=True,
            preexec_fn=lambda: os.sched_setaffinity(0, {SERVER_CORE}))
        there, _, _ = select.select([self.process.stdout], [], [],
                                    START_SECONDS)
        self.port = self.process.stdout.readline().strip() if there else ""
        if not self.port.isdigit():
            self.__exit__()
            raise OSError(f"{' '.join(self.words)} printed no port")
        return self

    def __exit__(self, *_):
        self.process.terminate()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process.stdout.close()


def absence(contender, programs, mode):
    """Why it cannot take part; nothing if it starts."""
    words = command(contender, programs, mode)
    if words[0].startswith(programs) and not os.path.exists(words[0]):
        subprocess.run(["ninja", "-C", os.path.dirname(programs),
                        f"bench/{os.path.basename(words[0])}"],
                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                       check=False)
    try:
        with Server(words, subprocess.DEVNULL):
            return ""
    except FileNotFoundError:
        return "not installed"
    except OSError:
        return "did not start"


def version(contender):
    """Of its Debian package, without what Debian put behind it."""
    if not contender.package:
        return ""
    done = subprocess.run(
        ["dpkg-query", "-W", "-f", "${Version}", contender.package],
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
        check=False)
    return done.stdout.split(":")[-1].split("-")[0].split("+")[0].split("~")[0]
