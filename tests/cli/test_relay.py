#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The relay talk, between clients and servers that are not ours.

    test_relay.py NARU
"""

import hashlib
import os
import re
import subprocess
import threading

import harness
from harness import (every_model, is_sanitized, matches, need, only, pattern,
                     same, serve, session_of, spawn, temporary, until)

MANY = 200 << 20
# What it may grow by, whatever goes through it.
GROWTH = 8 << 20


def resident(server):
    """The bytes of memory that the server's processes have."""
    total = 0
    for pid in [server.pid, *session_of(server.process.pid)]:
        try:
            with open(f'/proc/{pid}/smaps_rollup', encoding='ascii') as file:
                total += 1024 * int(matches(
                    file.read(), r'^Pss_Anon:\s+(\d+)')[1])
        except (FileNotFoundError, ProcessLookupError):
            pass
    return total


def big_file(size):
    """A file of SIZE bytes that nobody can guess, and its sum."""
    path = temporary() / 'big'
    digest = hashlib.sha256()
    with open(path, 'wb') as file:
        for _ in range(size >> 20):
            piece = os.urandom(1 << 20)
            digest.update(piece)
            file.write(piece)
    return path, digest.hexdigest()


def sum_of(path):
    with open(path, 'rb') as file:
        return hashlib.file_digest(file, 'sha256').hexdigest()


def listening_port(process):
    """The port that PROCESS listens on, once it does."""
    def find():
        done = subprocess.run(['ss', '-Hltnp'], stdout=subprocess.PIPE,
                              text=True, check=True)
        for line in done.stdout.splitlines():
            if f'pid={process.pid},' in line:
                return int(line.split()[3].rsplit(':', 1)[1])
        return None
    return until(find, 'it does not listen')


def drink_to(path, *command):
    """A server that writes all that comes to a file."""
    with open(path, 'wb') as file:
        process = spawn(*command, stdout=file)
    return process, listening_port(process)


def carry_big(drinker, sender, model):
    """Sends a big file through a relay to another program."""
    need('ss', drinker[0], sender[0])
    path, digest = big_file(20 << 20 if is_sanitized() else MANY)
    target = temporary() / 'arrived'
    process, port = drink_to(target, *drinker)
    relay = serve('-v', '-m', model, f'relay=127.0.0.1:{port}')
    before, most, over = resident(relay), 0, threading.Event()

    def watch():
        nonlocal most
        while not over.wait(0.05):
            most = max(most, resident(relay))
    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        with open(path, 'rb') as file:
            status = subprocess.run(
                [*sender[:-1], sender[-1].format(port=relay.port)],
                stdin=file, stdout=subprocess.DEVNULL, check=False,
                timeout=harness.PATIENCE * 2).returncode
    finally:
        over.set()
        watcher.join()
    same(status, 0, 'the sender')
    same(process.wait(harness.PATIENCE), 0, 'the receiver')
    same(sum_of(target), digest, 'the bytes that arrived')
    size = path.stat().st_size
    relay.says(rf'^naru: conversation 1: relayed {size} bytes to '
               rf'127\.0\.0\.1:{port} and 0 back in ')
    relay.says(rf'^naru: conversation 1 ends: .* {size} bytes received, 0 '
               r'bytes sent, .*: well$')
    if not is_sanitized():
        assert most - before < GROWTH, f'{most - before} bytes more memory'
    relay.is_well()


@every_model
def test_ncat_sends_much_to_socat(model):
    carry_big(['socat', '-u', 'TCP-LISTEN:0,bind=127.0.0.1', 'STDOUT'],
              ['sh', '-c', 'exec ncat --send-only 127.0.0.1 {port}'], model)


def test_socat_sends_much_to_ncat():
    carry_big(['ncat', '-l', '--recv-only', '127.0.0.1', '0'],
              ['socat', '-u', 'STDIN', 'TCP:127.0.0.1:{port}'], 'fiber')


def test_both_ways_at_once_between_unix_and_tcp():
    echo = serve('127.0.0.1')
    path = temporary() / 'socket'
    relay = serve('-v', f'unix:{path}', f'relay=127.0.0.1:{echo.port}')
    text = pattern(20 << 20)
    same(relay.connect().exchange(text), text, 'what came back')
    relay.says(rf'relayed {len(text)} bytes to 127\.0\.0\.1:{echo.port} and '
               rf'{len(text)} back')
    relay.is_well()
    echo.is_well()


def spliced(model, talk):
    """What TALK, with a peer of a relay, has spliced: bytes in and out."""
    need('strace')
    log = temporary() / 'trace'
    echo = serve('127.0.0.1')
    relay = serve('-m', model, f'relay=127.0.0.1:{echo.port}',
                  under=('strace', '-f', '-qq', '-o', log,
                         '-e', 'trace=splice'))
    talk(relay.connect())
    relay.is_well()
    echo.is_well()
    with open(log, encoding='ascii', errors='replace') as file:
        return sum(map(int, re.findall(r'splice.* = (\d+)$', file.read(),
                                       re.MULTILINE)))


@every_model
def test_bulk_is_spliced(model):
    text = pattern(3 << 20)
    # Into pipes and out of them, there and back: four times all but what was
    # copied before it was known to be much.
    assert spliced(model, lambda peer: same(peer.exchange(text), text)) > \
        2 * len(text)


@every_model
def test_small_talk_is_not_spliced(model):
    def talk(peer):
        for _ in range(50):
            peer.send(b'small\n')
            same(peer.read(6), b'small\n')
        same(peer.exchange(b''), b'')
    same(spliced(model, talk), 0, 'spliced bytes')


def is_reset(server, data):
    """Fails where who connects and sends DATA sees an orderly end, as if that
    were the answer. The reset may come while it connects."""
    try:
        peer = server.connect()
        peer.send(data)
        got = peer.rest()
    except (BrokenPipeError, ConnectionResetError):
        return
    raise AssertionError(f'no reset, but {got!r} and an end')


@only(('fiber', 'fiber-epoll', 'thread', 'prefork'))
def test_relay_to_nobody_is_told(model):
    gone = serve('127.0.0.1')
    gone.is_well()
    relay = serve('-m', model, '-v', f'relay=127.0.0.1:{gone.port}')
    for number, data in enumerate((b'', b'a question'), 1):
        is_reset(relay, data)
        relay.says(rf'conversation {number} ends: .*\(ECONNREFUSED\)')
    relay.says(rf'conversation 1: relay: 127\.0\.0\.1:{gone.port}: ')
    assert 'relayed' not in relay.said(), relay.said()
    relay.is_well()


if __name__ == '__main__':
    harness.main(globals())
