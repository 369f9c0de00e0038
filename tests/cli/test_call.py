#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""`naru call` as its manual page says it is, against servers of Python."""

import contextlib
import os
import pty
import re
import select
import signal
import socket
import subprocess
import threading
import time

import harness
from harness import (NARU, Peer, Skip, has, listener, matches, need,
                     need_root, pattern, run, same, serve, spawn, temporary)

MIB = 1 << 20


def call(*args, data=b''):
    return run(NARU, 'call', *args, data=data)


def fails(*args, names, status=1, data=b'', out=b'', under=()):
    """The call exits STATUS, with one line that has NAMES."""
    got = run(*under, NARU, 'call', *args, data=data)
    same(got[:2], (status, out), f'{args}: {got[2]}')
    err = got[2]
    assert err.startswith('naru call: ') and err.count('\n') == 1, err
    for name in names:
        assert name in err, f'{args}: no {name!r} in {err!r}'


class Against:
    """A server of ours for one call, which is given to TALK as a Peer."""

    def __init__(self, talk):
        self.listener = listener()
        self.endpoint = '127.0.0.1:%d' % self.listener.getsockname()[1]
        self.talk, self.why, self.got = talk, None, None
        self.thread = threading.Thread(target=self.serve, daemon=True)
        self.thread.start()

    def serve(self):
        try:
            self.peer = Peer(self.listener.accept()[0])
            harness.at_end(self.peer.close)
            self.got = self.talk(self.peer)
        except Exception as why:  # told where it can be seen
            self.why = why

    def result(self):
        """What TALK returned."""
        self.thread.join(harness.PATIENCE)
        assert not self.thread.is_alive(), 'the server still talks'
        if self.why:
            raise self.why
        return self.got


def test_pipe_is_sent_and_the_answer_printed():
    def talk(peer):
        asked = peer.read(5)
        peer.send(b'answer\x00\xff')
        peer.close()
        return asked
    server = Against(talk)
    process = spawn(NARU, 'call', server.endpoint, stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE)
    process.stdin.write(b'hello')
    process.stdin.flush()
    same(process.stdout.read(), b'answer\x00\xff', 'answer')
    same(process.wait(harness.PATIENCE), 0, 'exit status')
    same(server.result(), b'hello', 'question')


def test_answer_after_the_half_close_is_read_to_its_end():
    def talk(peer):
        asked = peer.rest()
        for _ in range(64):
            peer.send(asked[:50000])
        peer.close()
        return asked
    data = pattern(100000)
    server = Against(talk)
    status, out, err = call(server.endpoint, data=data)
    same((status, err), (0, ''), 'exit status')
    assert out == data[:50000] * 64, f'{len(out)} bytes'
    same(server.result(), data, 'question')


def test_peer_that_finishes_first_with_all_input_sent():
    server = Against(lambda peer: (peer.rest(), peer.close()))
    same(call(server.endpoint, data=b'x'), (0, b'', ''))


def test_peer_that_finishes_before_all_input_is_sent():
    def talk(peer):
        peer.send(b'enough')
        peer.finish()
        with contextlib.suppress(ConnectionError):
            return peer.rest()
    # More than any buffer takes, so that not all of it can be sent.
    server = Against(talk)
    fails(server.endpoint, data=bytes(64 * MIB), out=b'enough',
          names=[server.endpoint, 'before all input was sent'])


def test_peer_that_finishes_while_nobody_types():
    server = Against(lambda peer: (peer.send(b'bye\n'), peer.close()))
    process = spawn(NARU, 'call', server.endpoint, stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    same(process.stdout.read(), b'bye\n')
    same(process.wait(harness.PATIENCE), 0, process.stderr.read())


def test_half_open_sends_on_after_the_peers_end():
    def talk(peer):
        peer.finish()
        return peer.rest()
    data = pattern(3 * MIB)
    server = Against(talk)
    same(call('--half-open', server.endpoint, data=data), (0, b'', ''))
    assert server.result() == data


def test_reset_is_said_and_exits_1():
    def talk(peer):
        peer.send(b'half an ans')
        peer.read(1)
        peer.reset()
    server = Against(talk)
    process = spawn(NARU, 'call', server.endpoint, stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    same(process.stdout.read(11), b'half an ans')
    process.stdin.write(b'x')
    process.stdin.flush()
    same(process.wait(harness.PATIENCE), 1, 'exit status')
    has(process.stderr.read().decode(), server.endpoint,
        'the connection broke', 'reset')


def test_refused_is_said():
    with socket.socket() as deaf:
        deaf.bind(('127.0.0.1', 0))
        fails('127.0.0.1:%d' % deaf.getsockname()[1],
              names=['127.0.0.1:', 'refused'])
        fails('localhost:%d' % deaf.getsockname()[1],
              names=['localhost:', 'refused'])


def test_full_backlog_times_out():
    full = listener(backlog=0)
    address = full.getsockname()
    waiting = []
    while True:
        sock = socket.socket()
        harness.at_end(sock.close)
        sock.setblocking(False)
        sock.connect_ex(address)
        waiting.append(sock)
        if not select.select([], [sock], [], 0.2)[1]:
            break
    began = time.monotonic()
    fails('--timeout', '300ms', '127.0.0.1:%d' % address[1],
          names=['127.0.0.1:', 'timed out'])
    took = time.monotonic() - began
    assert 0.29 < took < 10, f'{took} s'


def own_network(script):
    """A prefix that runs a command in a network without anything, after
    SCRIPT."""
    need_root()
    need('unshare', 'ip')
    prefix = ['unshare', '-n', 'sh', '-ec', script + '\nexec "$@"', 'sh']
    status, _, err = run(*prefix, 'true')
    if status != 0:
        raise Skip(f'no network of our own: {err.strip()}')
    return prefix


def test_lost_packets_time_out():
    need('nft')
    fails('--timeout', '300ms', '127.0.0.1:9', names=['timed out'],
          under=own_network(
              'ip link set lo up; nft add table ip t; '
              'nft add chain ip t c "{ type filter hook input priority 0; '
              'policy drop; }"'))


def test_unreachable_is_said():
    fails('192.0.2.1:9', names=['192.0.2.1', 'unreachable'],
          under=own_network('ip link set lo up'))
    fails('192.0.2.1:9', names=['192.0.2.1', 'unreachable'],
          under=own_network('ip link set lo up; '
                            'ip route add unreachable 192.0.2.0/24'))


def test_no_such_name_is_said():
    fails('no-such-host.invalid:9', names=['no-such-host.invalid',
                                           'no such name'])


def test_no_such_unix_socket_is_said():
    path = temporary() / 'none'
    fails(f'unix:{path}', names=[str(path), 'no such unix socket'])


def test_usage_errors_name_what_is_wrong():
    for args, names in (
            (['--timeout', '5x'], ['--timeout', "'x'"]),
            (['--timeout', '0'], ['--timeout', 'at least']),
            (['-p', '0'], ['--port', 'from 1']),
            (['-p', '7', 'localhost:8'], ['--port', 'localhost:8']),
            (['-4', '-6'], ['-4', '-6']),
            (['--source', 'nonsense:x', 'localhost'], ['--source']),
            (['--source'], ['--source', 'missing']),
            (['-x'], ['-x']),
            (['localhost', 'more'], ['more']),
            (['localhost:70000'], ['70000'])):
        fails(*args, names=names, status=2)


def test_help_goes_to_standard_output():
    status, out, err = call('--help')
    same((status, err), (0, ''))
    has(out.decode(), 'usage: naru call', 'tls://', 'udp://', 'unix:@NAME',
        '--source', '--half-open')


def test_source_is_the_address_called_from():
    server = serve('127.0.0.1', 'ack')
    status, out, err = call('--source', '127.0.0.2', '-v',
                            f'127.0.0.1:{server.port}', data=b'x')
    port = re.fullmatch(rb"received well \('127\.0\.0\.2', (\d+)\)\n", out)
    assert status == 0 and port, (status, out, err)
    same(err, f'naru: connected: 127.0.0.2:{port[1].decode()} -> '
         f'127.0.0.1:{server.port}\n', '-v')


def test_source_port_is_the_port_called_from():
    server = serve('localhost', 'ack')
    with socket.socket() as probe:  # free, now and in a moment
        probe.bind(('127.0.0.1', 0))
        port = probe.getsockname()[1]
    _, out, _ = call('--source', f'127.0.0.1:{port}',
                     f'127.0.0.1:{server.port}', data=b'x')
    same(out.decode(), f"received well ('127.0.0.1', {port})\n")


def test_family_options_choose_the_address():
    server = serve('localhost', 'ack')
    for option, host in (('-4', '127.0.0.1'), ('-6', '::1')):
        _, out, err = call(option, f'localhost:{server.port}', data=b'x')
        has(out.decode(), f"('{host}', ")
        same(err, '')


def test_every_address_of_a_name_is_tried():
    server = serve('-6', 'localhost', 'ack')
    status, out, err = call(f'localhost:{server.port}', data=b'x')
    same((status, err), (0, ''))
    has(out.decode(), "('::1', ")


def test_vv_explains_each_call():
    server = serve('127.0.0.1')
    _, _, err = call('-vv', f'127.0.0.1:{server.port}', data=b'x')
    for line in (r'^naru: socket\(AF_INET, SOCK_STREAM\) = \d+ +\[CLOSED\]',
                 rf'^naru: connect\(\d+, 127\.0\.0\.1:{server.port}\) = 0 +'
                 r'\[ESTABLISHED\]',
                 r'^naru: shutdown\(\d+, SHUT_WR\) = 0 ',
                 r'^naru: close\(\d+\) = 0 '):
        matches(err, line)


def peak_kib(pid):
    with open(f'/proc/{pid}/status', encoding='ascii') as file:
        return int(matches(file.read(), r'^VmHWM:\s+(\d+) kB')[1])


def test_100_mb_through_an_echo_are_the_same_in_constant_memory():
    server = serve('127.0.0.1')
    process = spawn(NARU, 'call', f'127.0.0.1:{server.port}',
                    stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0)
    block, count = pattern(MIB), 100

    def feed():
        for _ in range(count):
            rest = memoryview(block)
            while rest:
                rest = rest[process.stdin.write(rest):]
    thread = threading.Thread(target=feed, daemon=True)
    thread.start()
    for number in range(count):
        got = bytearray()
        while len(got) < MIB:
            part = process.stdout.read(MIB - len(got))
            assert part, f'it ends after {number} MiB and {len(got)}'
            got += part
        assert got == block, f'other bytes in MiB {number}'
    thread.join()
    peaks = peak_kib(process.pid), peak_kib(server.pid)
    process.stdin.close()
    same(process.stdout.read(), b'', 'the rest')
    same(process.wait(harness.PATIENCE), 0, 'exit status')
    if not harness.is_sanitized():
        assert max(peaks) < 20 * 1024, f'peak KiB, call and serve: {peaks}'


def test_person_at_a_terminal_is_told_how():
    server = serve('127.0.0.1')
    master, slave = pty.openpty()
    harness.at_end(os.close, master)
    process = spawn(NARU, 'call', f'127.0.0.1:{server.port}', stdin=slave,
                    stdout=slave, stderr=slave)
    os.close(slave)
    seen = b''

    def see(text):
        nonlocal seen
        while text not in seen:
            ready = select.select([master], [], [], harness.PATIENCE)[0]
            assert ready, f'{text!r} is not in {seen!r}'
            seen += os.read(master, 4096)
        seen = seen.split(text, 1)[1]
    see(b'127.0.0.1:%d; type a message' % server.port)
    see(b'\r\n')
    for word in (b'one', b'two'):
        os.write(master, word + b'\n')
        see(word + b'\r\n')  # as it is typed
        see(word + b'\r\n')  # as it comes back
    os.write(master, b'\x04')
    same(process.wait(harness.PATIENCE), 0, 'exit status')


def test_output_that_nobody_reads_is_an_error():
    server = serve('127.0.0.1', 'chargen')
    process = spawn(NARU, 'call', f'127.0.0.1:{server.port}',
                    stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    process.stdout.read(10)
    process.stdout.close()
    same(process.wait(harness.PATIENCE), 1, 'exit status')
    has(process.stderr.read().decode(), 'standard output', 'ipe')


def test_input_that_cannot_be_read_is_an_error():
    server = serve('127.0.0.1')
    folder = os.open('/', os.O_RDONLY)
    harness.at_end(os.close, folder)
    process = spawn(NARU, 'call', f'127.0.0.1:{server.port}', stdin=folder,
                    stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    same(process.wait(harness.PATIENCE), 1, 'exit status')
    has(process.stderr.read().decode(), 'standard input')


def test_stopped_and_continued_loses_nothing():
    server = serve('127.0.0.1')
    data = pattern(8 * MIB)
    process = spawn(NARU, 'call', f'127.0.0.1:{server.port}',
                    stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    done = threading.Event()

    def storm():
        while not done.wait(0.002):
            for pid in (process.pid, server.pid):
                harness.kill_quietly(pid, signal.SIGSTOP)
                harness.kill_quietly(pid, signal.SIGCONT)
    thread = threading.Thread(target=storm)
    thread.start()
    try:
        out, _ = process.communicate(data, harness.PATIENCE)
    finally:
        done.set()
        thread.join()
    same(process.returncode, 0, 'exit status')
    assert out == data, f'{len(out)} bytes'


if __name__ == '__main__':
    harness.main(globals())
