# SPDX-License-Identifier: MIT
"""Who carries bytes between two connections, and how each is started.

Each is told the port at which the backend listens and the one at which it is
to listen itself, both on 127.0.0.1, and works with one thread. It takes part in
the forms that its manual offers for the purpose: with large buffers and with
small ones, with splice(2) and without.
"""

import os
import select
import signal
import socket
import subprocess
import tempfile
import time
from typing import NamedTuple

from contenders import SERVER_CORE, START_SECONDS

HAPROXY = """global
  nbthread 1
  maxconn 4000
defaults
  mode tcp
  timeout connect 10s
  timeout client 60s
  timeout server 60s
{options}
listen relay
  bind 127.0.0.1:{port}
  server backend 127.0.0.1:{backend}
"""

NGINX = """load_module /usr/lib/nginx/modules/ngx_stream_module.so;
daemon off;
{user}
worker_processes 1;
pid {folder}/pid;
error_log stderr crit;
events {{ worker_connections 4000; use epoll; }}
stream {{
  access_log off;
  server {{
    listen 127.0.0.1:{port} backlog=4000;
    proxy_pass 127.0.0.1:{backend};
    {options}
  }}
}}
"""


class Relay(NamedTuple):
    name: str
    kind: str      # naru or peer
    command: tuple
    config: str    # a text with places
    options: str   # of the configuration
    package: str
    form: str


def naru(io):
    return Relay(f"naru {io}", "naru", (
        "{naru}", "serve", "-m", "fiber", "--io", io, "-w", "1",
        "127.0.0.1:{port}", "relay=127.0.0.1:{backend}"), "", "", "",
        f"`naru serve -w 1 --io {io} ... relay=...`")


def haproxy(name, options, form):
    return Relay(name, "peer", ("haproxy", "-db", "-f", "{folder}/config"),
                 HAPROXY, options, "haproxy", form)


def nginx(name, options, form):
    return Relay(name, "peer", (
        "nginx", "-e", "stderr", "-p", "{folder}", "-c", "{folder}/config"),
        NGINX, options, "nginx-light", form)


def socat(name, options, form):
    return Relay(name, "peer", (
        "socat", *options, "TCP-LISTEN:{port},bind=127.0.0.1,fork,reuseaddr,"
        "backlog=4000,nodelay", "TCP:127.0.0.1:{backend},nodelay"),
        "", "", "socat", form)


RELAYS = (
    naru("uring"),
    naru("epoll"),
    haproxy("HAProxy", "", "`mode tcp`, `nbthread 1`"),
    haproxy("HAProxy splice", "  option splice-auto",
            "the same with `option splice-auto`"),
    nginx("nginx", "", "stream module, `worker_processes 1`"),
    nginx("nginx 256k", "proxy_buffer_size 256k;",
          "the same with `proxy_buffer_size 256k`"),
    socat("socat", (), "`fork`: a process for each connection"),
    socat("socat 256k", ("-b", "262144"), "the same with `-b 262144`"),
)


def free_port():
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]


def listens(port):
    """Whether somebody does, without connecting: a relay would dial."""
    wanted = f"0100007F:{port:04X}"
    with open("/proc/net/tcp", encoding="ascii") as table:
        return any(words[1] == wanted and words[3] == "0A" for words in
                   (line.split() for line in table))


class Running:
    """A relay on its core, for as long as the block runs."""

    def __init__(self, relay, programs, backend):
        self.relay, self.programs, self.backend = relay, programs, backend

    def __enter__(self):
        self.folder = tempfile.TemporaryDirectory()
        self.port = free_port()
        places = {"port": self.port, "backend": self.backend,
                  "folder": self.folder.name, "options": self.relay.options,
                  "naru": os.path.join(self.programs, "naru"),
                  "user": "" if os.geteuid() else "user root;"}
        if self.relay.config:
            path = os.path.join(self.folder.name, "config")
            with open(path, "w", encoding="ascii") as file:
                file.write(self.relay.config.format(**places))
        self.process = subprocess.Popen(
            [word.format(**places) for word in self.relay.command],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            start_new_session=True,
            preexec_fn=lambda: os.sched_setaffinity(0, {SERVER_CORE}))
        until = time.monotonic() + START_SECONDS
        while not listens(self.port):
            if self.process.poll() is not None or time.monotonic() > until:
                self.__exit__()
                raise OSError("did not start")
            select.select([], [], [], 0.01)
        return self

    def __exit__(self, *_):
        # A child of each connection goes as well.
        try:
            os.killpg(self.process.pid, signal.SIGTERM)
            self.process.wait(10)
        except ProcessLookupError:
            self.process.wait()
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
        self.folder.cleanup()
