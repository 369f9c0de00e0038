#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""`naru serve -- PROGRAM`: what a program finds, and what becomes of it."""

import fcntl
import os
import pty
import re
import select
import socket
import subprocess
import termios

import harness
from harness import (NARU, every_model, every_parallel_model, has, is_alive,
                     matches, pattern, run, same, serve, session_of, stat_of,
                     temporary, until)

CAT = ('--', 'cat')


def shell(script):
    return ('--', 'sh', '-c', script)


def ended(server, number, how='well'):
    """Waits for the end of conversation NUMBER; the server logs with -v."""
    server.says(rf'conversation {number} ends: .*: {how}')


def fds_of(pid):
    """What a process has open, by number."""
    folder = f'/proc/{pid}/fd'
    return {int(fd): os.readlink(f'{folder}/{fd}')
            for fd in os.listdir(folder)}


def program_of(peer):
    """The pid that the peer's program says first."""
    return int(peer.sock.makefile('rb', buffering=0).readline())


@every_model
def test_descriptors_are_the_connection_and_nothing_of_ours(model):
    # Some of the caller's own, besides.
    extra = os.open('/', os.O_RDONLY)
    harness.at_end(os.close, extra)
    server = serve('-m', model, *shell('echo $$; exec cat'),
                   pass_fds=[extra])
    many = 1 if model == 'iterative' else 4
    sockets = set()
    for peer in [server.connect() for _ in range(many)]:
        pid = program_of(peer)
        same(peer.ask(b'x'), b'x')  # cat has started, and opens no more
        fds = fds_of(pid)
        same(sorted(fds), [0, 1, 2], f'descriptors: {fds}')
        same(fds[0], fds[1], '0 and 1')
        matches(fds[0], r'^socket:\[\d+\]$')
        same(fds[2], fds_of(server.pid)[2], 'standard error')
        sockets.add(fds[0])
    same(len(sockets), many, 'connections')


@every_parallel_model
def test_end_is_seen_while_other_programs_live(model):
    # Each program leaves something behind that lives on; with a copy of
    # another conversation's socket it would hide that one's end.
    server = serve('-m', model, *shell(
        'sleep 1000 <&- >&- 2>&- & cat; kill $!'))
    peers = [server.connect() for _ in range(4)]
    for peer in peers:
        same(peer.ask(b'in'), b'in')
    for peer in peers:
        same(peer.exchange(b'out'), b'out')
        peer.close()
    server.is_well()


def test_no_shell_is_involved():
    words = ['$HOME; echo *', '`id`', '', '"', "it's", '--', '-v']
    server = serve('--', 'printf', '[%s]\\n', *words)
    same(server.connect().exchange(b'').decode(),
         ''.join(f'[{word}]\n' for word in words), 'arguments')
    server.is_well()


def ucspi(variables):
    return {name: value for name, value in variables.items()
            if re.match('PROTO$|TCP|UNIX', name)}


INHERITED = dict(os.environ, PROTO='SSL', TCPREMOTEHOST='liar.example',
                 TCPREMOTEINFO='root', TCPLOCALHOST='x', TCPREMOTEIP='8.8.8.8',
                 UNIXREMOTEEUID='0', UNIXLOCALPATH='/x', KEPT='yes')


def check_tcp_environment(host):
    server = serve('--', 'env', '-0', env=INHERITED)
    peer = server.connect(host)
    text = peer.exchange(b'').decode()
    variables = dict(line.split('=', 1) for line in text.split('\0') if line)
    same(ucspi(variables),
         {'PROTO': 'TCP', 'TCPLOCALIP': host, 'TCPREMOTEIP': host,
          'TCPLOCALPORT': str(server.port),
          'TCPREMOTEPORT': str(peer.name[1])}, 'UCSPI')
    same(variables['KEPT'], 'yes', 'another variable')


def test_environment_over_ipv4():
    check_tcp_environment('127.0.0.1')


def test_environment_over_ipv6():
    check_tcp_environment('::1')


def test_environment_over_unix():
    folder = temporary()
    serve(f'unix:{folder}/server', '--', 'env', '-0', env=INHERITED)
    client = socket.socket(socket.AF_UNIX)
    harness.at_end(client.close)
    client.bind(f'{folder}/client')
    client.connect(f'{folder}/server')
    text = harness.Peer(client).exchange(b'').decode()
    variables = dict(line.split('=', 1) for line in text.split('\0') if line)
    same(ucspi(variables),
         {'PROTO': 'UNIX', 'UNIXLOCALPATH': f'{folder}/server',
          'UNIXREMOTEPATH': f'{folder}/client',
          'UNIXREMOTEPID': str(os.getpid()),
          'UNIXREMOTEEUID': str(os.geteuid()),
          'UNIXREMOTEEGID': str(os.getegid())}, 'UCSPI')


@every_model
def test_exit_status_is_logged(model):
    server = serve('-m', model, '-v', *shell(
        'read how; [ "$how" = die ] && kill -9 $$; exit $how'))
    for number, (how, what) in enumerate(
            (('0', 'exit 0'), ('3', 'exit 3'),
             ('die', r'killed by signal 9 \(Killed\)')), 1):
        peer = server.connect()
        peer.send(how.encode() + b'\n')
        same(peer.rest(), b'')
        peer.close()
        server.says(rf'conversation {number}: program \d+ ended: {what}')
        server.says(rf'conversation {number} ends: ')
    server.is_well()


@every_model
def test_program_that_is_gone(model):
    path = temporary() / 'program'
    path.write_text('#!/bin/sh\n')
    path.chmod(0o700)
    server = serve('-m', model, '--', path)
    path.unlink()
    for number in (1, 2):
        peer = server.connect()
        same(peer.rest(), b'', 'from no program')
        peer.close()
        server.says(rf"conversation {number}: the program "
                    rf"'{path}' does not start: No such file")
    server.is_well()


def test_program_that_cannot_be_run_is_refused_at_once():
    path = temporary() / 'data'
    path.write_text('no program')
    for name in (path, '/nonexistent/program', 'no-such-program'):
        status, _, err = run(NARU, 'serve', '-p', '0', '--', name)
        same(status, 1)
        has(err, f"there is no program '{name}' that can be run")


@every_model
def test_program_is_asked_to_end_after_the_drain(model):
    mark = temporary() / 'asked'
    server = serve('-m', model, '--drain', '100ms', *shell(
        f'trap "echo TERM >{mark}; exit 0" TERM; echo up; '
        'while :; do sleep 0.02; done'))
    same(server.connect().read(3), b'up\n')
    server.tell()
    same(server.end(), 1, server.said())
    same(mark.read_text(), 'TERM\n', 'signal')


@every_model
def test_program_that_does_not_end_is_killed(model):
    server = serve('-m', model, '-v', '--drain', '100ms', *shell(
        'trap "" TERM; echo $$; while :; do sleep 0.02; done'))
    pid = program_of(server.connect())
    server.tell()
    same(server.end(), 1, server.said())
    assert not is_alive(pid), 'the program lives on'


def test_program_may_end_during_the_drain():
    server = serve('--drain', '1m', '-v', *CAT)
    peer = server.connect()
    same(peer.ask(b'x'), b'x')
    server.tell()
    server.says('drain: 1 conversation')
    same(peer.exchange(b'last'), b'last')
    peer.close()
    same(server.end(), 0, server.said())


@every_model
def test_client_that_stays_on_sees_the_end(model):
    server = serve('-m', model, '-v', '--', 'echo', 'hi')
    peer = server.connect()
    same(peer.rest(), b'hi\n')
    if model != 'iterative':  # others are served though it does not close
        same(server.connect().exchange(b''), b'hi\n')
    peer.close()


@every_model
def test_client_that_sends_after_the_program_has_ended(model):
    # What the program sent arrives whole: no reset overtakes it.
    size = 1000000
    server = serve('-m', model, '--', 'head', '-c', size, '/dev/zero')
    peer = server.connect()
    peer.send(b'x' * 1000)  # nobody reads it
    first = peer.read(1)
    for _ in range(10):
        peer.send(b'late' * 1000)
    same(len(first + peer.rest()), size, 'bytes')
    peer.close()
    server.is_well()


@every_model
def test_5_mb_through_cat_both_ways(model):
    server = serve('-m', model, '-v', *CAT)
    data = pattern(5 << 20)
    peer = server.connect()
    assert peer.exchange(data) == data, 'other bytes came back'
    peer.close()
    ended(server, 1)
    has(server.said(), f'{len(data)} bytes received, ')
    status, out, err = run(NARU, 'call', f'127.0.0.1:{server.port}',
                           data=data)
    same((status, err), (0, ''), 'naru call')
    assert out == data, f'{len(out)} other bytes came back'
    server.is_well()


@every_model
def test_answer_long_after_the_half_close_arrives(model):
    server = serve('-m', model, *shell('cat >/dev/null; sleep 1; echo late'))
    same(server.connect().exchange(b'question'), b'late\n', 'answer')


@every_model
def test_no_zombie_is_left(model):
    server = serve('-m', model, '-v', '--', 'true')
    for number in range(1, 9):
        peer = server.connect()
        same(peer.rest(), b'')
        peer.close()
        ended(server, number)

    def zombies():
        return [pid for pid in session_of(server.pid)
                if (stat_of(pid) or ['?'])[0] == 'Z']
    until(lambda: not zombies(), lambda: f'zombies: {zombies()}')
    server.is_well()


@every_model
def test_interrupt_at_the_terminal_spares_programs(model):
    # The server leads the session of a terminal of its own, where ^C is
    # typed: its programs must not die of it, they have time to end.
    master, slave = pty.openpty()
    harness.at_end(os.close, master)
    process = harness.spawn(
        NARU, 'serve', '-1', '-p', '0', *harness.with_model(('-m', model)),
        '--drain', '1m', *CAT,
        stdin=slave, stdout=subprocess.PIPE, stderr=slave,
        preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0))
    os.close(slave)
    port = int(process.stdout.readline().rsplit(b':', 1)[1])
    sock = socket.create_connection(('127.0.0.1', port), harness.PATIENCE)
    harness.at_end(sock.close)
    peer = harness.Peer(sock)
    same(peer.ask(b'before'), b'before')
    os.write(master, b'\x03')
    if model != 'iterative':
        said = b''
        while b'drain: ' not in said:
            assert select.select([master], [], [], harness.PATIENCE)[0]
            said += os.read(master, 4096)
    same(peer.exchange(b'after'), b'after', 'after ^C')
    peer.close()
    same(process.wait(harness.PATIENCE), 0, 'exit status')


@every_model
def test_reset_ends_no_server(model):
    server = serve('-m', model, '-v', *CAT)
    peer = server.connect()
    same(peer.ask(b'x'), b'x')
    peer.reset()
    server.says('conversation 1: program .* ended')
    same(server.connect().exchange(b'next'), b'next')
    server.is_well()


if __name__ == '__main__':
    harness.main(globals())
