#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""uvloop, with a protocol class, the fastest of asyncio's forms.

    uvloop_echo.py echo|lines

What is written while an event is handled, uvloop sends at once; nodelay is on
by default. A client that does not take its answers is not read from until it
has.
"""

import asyncio
import resource
import signal
import socket
import sys

import uvloop

BACKLOG = 4096
LINE = 4096
LIFE_S = 180
FDS = 65536


class Echo(asyncio.Protocol):
    def connection_made(self, transport):
        self.transport = transport

    def data_received(self, data):
        self.transport.write(data)

    def pause_writing(self):
        self.transport.pause_reading()

    def resume_writing(self):
        self.transport.resume_reading()


class Lines(Echo):
    rest = b''

    def data_received(self, data):
        *lines, self.rest = (self.rest + data).split(b'\n')
        for line in lines:
            self.transport.write(line + b'\n')
        if len(self.rest) >= LINE:
            self.transport.abort()


def main():
    protocol = {'echo': Echo, 'lines': Lines}.get(' '.join(sys.argv[1:]))
    if not protocol:
        sys.exit('usage: uvloop_echo.py echo|lines')
    signal.alarm(LIFE_S)
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(most, FDS), most))
    loop = uvloop.new_event_loop()
    listener = socket.create_server(('127.0.0.1', 0))
    loop.run_until_complete(
        loop.create_server(protocol, sock=listener, backlog=BACKLOG))
    print(listener.getsockname()[1], flush=True)
    loop.run_forever()


if __name__ == '__main__':
    main()
