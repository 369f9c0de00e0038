#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""That the load finds what is wrong with a server, and only then.

    check_load.py LOAD

A figure from a server that loses or mixes up bytes is worth nothing, so each
kind of fault is shown to the load here. Speaks TAP.
"""

import contextlib
import json
import os
import selectors
import socket
import subprocess
import sys
import threading
import time


class Server:
    """An echo in a thread, in which one method is wrong in each heir."""

    def __init__(self):
        self.listener = socket.create_server(('127.0.0.1', 0), backlog=1000)
        self.port = self.listener.getsockname()[1]
        self.selector = selectors.DefaultSelector()
        self.selector.register(self.listener, selectors.EVENT_READ)
        self.wake, self.woken = socket.socketpair()
        self.selector.register(self.wake, selectors.EVENT_READ)
        self.accepted = self.answered = 0
        self.open = set()
        self.thread = threading.Thread(target=self.run, daemon=True)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.woken.close()
        self.thread.join()
        for sock in (self.listener, self.wake, *self.open):
            sock.close()
        self.selector.close()

    def run(self):
        while True:
            for key, _ in self.selector.select():
                if key.fileobj is self.wake:
                    return
                if key.fileobj is self.listener:
                    self.accept(self.listener.accept()[0])
                else:
                    self.talk(key.fileobj)

    def accept(self, sock):
        self.accepted += 1
        self.open.add(sock)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.selector.register(sock, selectors.EVENT_READ)

    def talk(self, sock):
        try:
            data = sock.recv(1 << 16)
            if data:
                self.answered += 1
                self.answer(sock, data)
            else:
                self.end(sock)
        except ConnectionError:
            self.close(sock)

    def answer(self, sock, data):
        sock.sendall(data)

    def end(self, sock):
        self.close(sock)

    def close(self, sock):
        self.selector.unregister(sock)
        self.open.discard(sock)
        sock.close()


class Flips(Server):
    """One bit of the hundredth answer."""

    def answer(self, sock, data):
        if self.answered == 100:
            data = data[:-1] + bytes([data[-1] ^ 1])
        sock.sendall(data)


class Crosses(Server):
    """Two connections get each other's hundredth answer."""

    held = None

    def answer(self, sock, data):
        if self.answered >= 100 and self.held is None:
            self.held = (sock, data)
        elif self.held and self.held[0] is not sock:
            sock.sendall(self.held[1])
            self.held[0].sendall(data)
            self.held = (sock, b'')
        else:
            sock.sendall(data)


class Turns(Server):
    """Messages of one connection come back the other way round, once."""

    turned = False

    def split(self, data):
        return [data[i:i + 64] for i in range(0, len(data), 64)]

    def answer(self, sock, data):
        messages = self.split(data)
        if self.answered >= 100 and len(messages) > 1 and not self.turned:
            self.turned = True
            messages.reverse()
        sock.sendall(b''.join(messages))


class TurnsLines(Turns):
    def split(self, data):
        return data.splitlines(True)


class Repeats(Server):
    """The hundredth answer comes twice."""

    def answer(self, sock, data):
        sock.sendall(data * 2 if self.answered == 100 else data)


class Adds(Server):
    """A byte that nobody asked for, at the end."""

    def end(self, sock):
        sock.sendall(b'x')
        self.close(sock)


class Stops(Server):
    """Nothing comes back any more, from the hundredth on."""

    def answer(self, sock, data):
        if self.answered < 100:
            sock.sendall(data)


class Forgets(Server):
    """One connection is never answered, the others are."""

    first = None

    def answer(self, sock, data):
        self.first = self.first or sock
        if sock is not self.first:
            sock.sendall(data)


class Loses(Server):
    """The last byte of the hundredth answer."""

    def answer(self, sock, data):
        sock.sendall(data[:-1] if self.answered == 100 else data)


class Leaves(Server):
    """A connection ends in the middle."""

    def answer(self, sock, data):
        if self.answered == 100:
            self.close(sock)
        else:
            sock.sendall(data)


class Stays(Server):
    """The client's end is not answered by the server's."""

    def end(self, sock):
        self.selector.unregister(sock)


class Pauses(Server):
    """Once, in the middle of what is measured, for 300 ms."""

    def answer(self, sock, data):
        if self.answered == 400:
            time.sleep(0.3)
        sock.sendall(data)


class Refuses(Server):
    """More than 700 connections."""

    def accept(self, sock):
        if self.accepted < 700:
            super().accept(sock)
        else:
            sock.close()


class Relay(Server):
    """What stands between the load's clients and its backend."""

    def __init__(self):
        super().__init__()
        self.backend = socket.create_server(('127.0.0.1', 0), backlog=1000)
        self.other = {}

    def accept(self, sock):
        far = socket.create_connection(self.backend.getsockname())
        self.other.update({sock: far, far: sock})
        super().accept(sock)
        super().accept(far)

    def answer(self, sock, data):
        self.other[sock].sendall(self.spoil(data))

    def spoil(self, data):
        return data

    def end(self, sock):
        self.selector.unregister(sock)
        # Unless the load has broken off meanwhile.
        with contextlib.suppress(OSError):
            self.other[sock].shutdown(socket.SHUT_WR)

    def __exit__(self, *_):
        super().__exit__()
        self.backend.close()


class RelayFlips(Relay):
    def spoil(self, data):
        return data[:-1] + bytes([data[-1] ^ (self.answered == 100)])


class RelayLoses(Relay):
    def spoil(self, data):
        return data[self.answered == 100:]


def load(server, mode, **numbers):
    """What the load printed, or its complaint as a text."""
    numbers = {'port': server.port, 'pid': os.getpid(), 'warmup_ms': 100,
               'measure_ms': 300, **numbers}
    fds = []
    if isinstance(server, Relay):
        fds = [server.backend.fileno()]
        numbers['backend'] = fds[0]
    words = [f'{name}={value}' for name, value in numbers.items()]
    done = subprocess.run([LOAD, mode, *words], stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, text=True, timeout=60,
                          check=False, pass_fds=fds)
    return json.loads(done.stdout) if done.returncode == 0 else done.stderr


def same(got, wanted, what):
    assert got == wanted, f'{what}: {got!r} and not {wanted!r}'


def complains(kind, why, mode='echo', **numbers):
    """The load must end on KIND of server, and say WHY."""
    with kind() as server:
        got = load(server, mode, **{'connections': 4, 'stall_ms': 1000,
                                    **numbers})
    assert isinstance(got, str) and why in got, f'{mode}: {got!r}'


def measures(mode, kind=Server, **numbers):
    with kind() as server:
        got = load(server, mode, **numbers)
    assert isinstance(got, dict), got
    return got


def test_echo_every_size_is_measured():
    for numbers in ({'connections': 1}, {'connections': 50, 'depth': 16},
                    {'connections': 3, 'size': 100000, 'depth': 2}):
        got = measures('echo', **numbers)
        assert got['count'] > 0 and got['server_cpu_s'] > 0, got
        assert 0.3 <= got['seconds'] < 3, got


def test_lines_are_measured():
    assert measures('lines', connections=10, depth=16)['count'] > 0


def test_churn_is_measured():
    assert measures('churn', connections=4)['count'] > 0


def test_relays_are_measured():
    for numbers in ({'mode': 'echo', 'depth': 16}, {'mode': 'lines'},
                    {'mode': 'bulk'}, {'mode': 'bulk', 'checked': 1}):
        got = measures(kind=Relay, connections=5, **numbers)
        assert got['count'] > 0, (numbers, got)


def test_what_a_relay_does_wrong_is_found():
    complains(RelayFlips, 'Bad message', checked=1, mode='bulk')
    complains(RelayFlips, 'Bad message')
    complains(RelayLoses, 'Bad message', checked=1, mode='bulk')
    complains(RelayLoses, 'bytes are missing', mode='bulk')


def test_bulk_needs_a_backend():
    with Server() as server:
        assert 'usage' in load(server, 'bulk')


def test_a_changed_bit_is_found():
    complains(Flips, 'Bad message')
    complains(Flips, 'Bad message', mode='lines', depth=16)
    complains(Flips, 'Bad message', mode='steady', rate=1000)
    complains(Flips, 'Bad message', mode='churn')
    complains(Flips, 'Bad message', mode='idle', connections=500)


def test_answers_of_another_connection_are_found():
    complains(Crosses, 'Bad message', depth=2)


def test_answers_in_another_order_are_found():
    complains(Turns, 'Bad message', depth=4)
    complains(TurnsLines, 'Bad message', mode='lines', depth=4)


def test_answers_that_come_twice_are_found():
    complains(Repeats, 'Bad message')
    complains(Repeats, 'Bad message', depth=16)


def test_a_byte_too_many_at_the_end_is_found():
    complains(Adds, 'Bad message')


def test_a_server_that_stops_is_noticed():
    complains(Stops, 'timed out')
    complains(Stops, 'timed out', mode='lines')
    complains(Stops, 'timed out', mode='steady', rate=1000)
    complains(Stops, 'timed out', mode='churn')


def test_a_forgotten_connection_is_noticed():
    complains(Forgets, 'timed out')


def test_a_lost_byte_is_noticed():
    complains(Loses, 'timed out', connections=1)
    complains(Loses, 'Bad message', depth=16)


def test_an_early_end_is_noticed():
    complains(Leaves, 'reset')


def test_a_server_that_does_not_close_is_noticed():
    complains(Stays, 'timed out')


def test_an_open_loop_charges_for_a_pause():
    """A tenth of a second later, those are sent that were due before."""
    with Pauses() as server:
        got = load(server, 'steady', connections=10, rate=1000,
                   measure_ms=1000)
    assert isinstance(got, dict) and got['kept_up'], got
    # Some 300 of 1000 were due within the pause, not one for each connection.
    assert got['p99_us'] > 200000 and got['max_us'] > 250000, got
    assert got['max_us'] * 1.01 >= got['p999_us'] >= got['p99_us'], got


def test_an_open_loop_says_when_it_falls_behind():
    with Server() as server:
        got = load(server, 'steady', connections=10, rate=50000000)
    assert isinstance(got, dict) and not got['kept_up'], got


def test_idle_connections_are_held():
    got = measures('idle', connections=600)
    same((got['asked'], got['held'], got['failed']), (600, 600, ''), 'idle')


def test_idle_connections_that_are_refused_are_counted():
    with Refuses() as server:
        got = load(server, 'idle', connections=1200)
    assert isinstance(got, dict), got
    same(got['held'], 500, 'held')
    assert got['failed'], got


def start(*command):
    return subprocess.run([LOAD, 'ready', '--', *command], text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          timeout=60, check=False)


def test_ready_times_a_start():
    done = start(sys.executable, __file__, LOAD, '--serve')
    same(done.returncode, 0, done.stderr)
    got = json.loads(done.stdout)
    assert 100 < got['ready_us'] <= got['answer_us'] < 2e7, got


def test_ready_notices_what_does_not_start():
    done = start('/nonexistent')
    assert done.returncode and 'No such file' in done.stderr, done
    done = start('/bin/true')
    assert done.returncode and 'did not start' in done.stderr, done
    done = start('/bin/echo', '1')
    assert done.returncode and 'refused' in done.stderr, done


def main():
    cases = [(name, case) for name, case in globals().items()
             if name.startswith('test_')]
    print(f'1..{len(cases)}', flush=True)
    for number, (name, case) in enumerate(cases, 1):
        try:
            case()
            print(f'ok {number} - {name}', flush=True)
        except (AssertionError, subprocess.TimeoutExpired) as error:
            print(f'not ok {number} - {name}\n# {error}', flush=True)


LOAD = sys.argv[1]
if '--serve' in sys.argv:
    with Server() as only:
        print(only.port, flush=True)
        only.thread.join()
else:
    main()
