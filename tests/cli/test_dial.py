#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Dialling, in a network of its own: addresses that swallow packets, refuse or
answer, and a resolver that is slow for one family or for both.

The whole file moves into a network and a mount namespace, where it is the
resolver (on 127.0.0.53) and all that can be called: what is bound to the
addresses of ADDRESSES answers or not, as each case has it.
"""

import contextlib
import ctypes
import os
import pathlib
import re
import select
import shutil
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time

import harness
from harness import (HELPERS, NARU, Server, Skip, has, matches, need, run,
                     same, serve, spawn, until)

# Two of each family that are ours; what else lies in the two networks swallows
# packets: nobody answers, not even that nobody is there.
IP4, OTHER4, DEAD4 = '192.0.2.1', '192.0.2.2', '192.0.2.99'
IP6, OTHER6, DEAD6 = '2001:db8::1', '2001:db8::2', '2001:db8::99'
DNS = '127.0.0.53'
# Longer than any case may take, so that it is not what ends one.
FAR_MS = 25000
# For cases that are not about it: a machine with much to do may be slower to
# answer than the resolution delay.
PATIENT = 'resolution=10000'
SOON_S = 8

A, AAAA = 1, 28

MODELS = {
    'iterative': (),
    'process': (),
    'thread': (),
    'prefork': (),
    'pool': (),
    'fiber': (),
    'fiber-epoll': ('epoll',),
    'fiber-isolated': ('isolate',),
}


class Resolver:
    """Answers for NAME.test as `names` has it: for each type (seconds until
    the answer, addresses), no entry at all for silence."""

    def __init__(self):
        self.names, self.asked = {}, []
        self.sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.sock.bind((DNS, 53))
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        while True:
            query, peer = self.sock.recvfrom(512)
            labels, at = [], 12
            while query[at]:
                labels.append(query[at + 1:at + 1 + query[at]].decode())
                at += 1 + query[at]
            kind = struct.unpack('>H', query[at + 1:at + 3])[0]
            name = labels[0]
            self.asked.append((name, kind))
            found = self.names.get(name)
            if found is None:
                self.answer(peer, query[:at + 5], 3, [])
            elif kind in found:
                wait, addrs = found[kind]
                code = 2 if addrs is None else 0
                threading.Timer(wait, self.answer, (
                    peer, query[:at + 5], code, addrs or [])).start()

    def answer(self, peer, head, code, addrs):
        out = (head[:2] + struct.pack('>HHHHH', 0x8180 | code, 1, len(addrs),
                                      0, 0) + head[12:])
        for addr in addrs:
            family = socket.AF_INET6 if ':' in addr else socket.AF_INET
            data = socket.inet_pton(family, addr)
            out += struct.pack('>HHHIH', 0xc00c, AAAA if ':' in addr else A,
                               1, 0, len(data)) + data
        self.sock.sendto(out, peer)


RESOLVER = None
HOSTS = None


def name(label, **kinds):
    """NAME.test, of which a query for a kind is answered so: a list of
    addresses, or (seconds, list); None for a failure; silence where it is
    left out."""
    found = {}
    for kind, number in (('a', A), ('aaaa', AAAA)):
        if kind in kinds:
            value = kinds[kind]
            found[number] = value if isinstance(value, tuple) else (0, value)
    RESOLVER.names[label] = found
    return f'{label}.test'


def listens(host, port=0, backlog=16):
    """A socket that listens at HOST, and its port."""
    family = socket.AF_INET6 if ':' in host else socket.AF_INET
    sock = socket.socket(family)
    harness.at_end(sock.close)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.settimeout(harness.PATIENCE)
    sock.bind((host, port))
    sock.listen(backlog)
    return sock, sock.getsockname()[1]


def swallows(host, port):
    """From now on HOST:PORT answers nobody: its backlog is full."""
    full, port = listens(host, port, 0)
    for _ in range(64):
        sock = socket.socket(full.family)
        harness.at_end(sock.close)
        sock.setblocking(False)
        sock.connect_ex((host, port))
        if not select.select([], [sock], [], 0.2)[1]:
            return
    raise AssertionError(f'{host} still answers')


def order_of(host):
    """The addresses of a name in the system's order."""
    found = socket.getaddrinfo(host, 1, type=socket.SOCK_STREAM)
    return [each[4][0] for each in found]


class Dialler:
    """A server that dials as it is told."""

    def __init__(self, model='thread'):
        words = (model.split('-')[0], *MODELS[model])
        self.server = Server(command=[HELPERS / 'dialler', *words])

    def begin(self, *words):
        return Dial(self.server, words)

    def dial(self, *words):
        return self.begin(*words).end()

    def is_well(self):
        self.server.is_well()


class Dial:
    """One dial, of a server that has no other at the same time."""

    def __init__(self, server, words):
        self.server, self.at = server, len(server.said())
        self.peer = server.connect()
        self.peer.send((' '.join(str(word) for word in words) + '\n').encode())

    @property
    def lines(self):
        return self.server.said()[self.at:].splitlines()

    def answer(self):
        """What it came to, or nothing where the conversation was cut."""
        with contextlib.suppress(ConnectionError):
            words = self.peer.rest().decode().split()
            self.peer.close()
            return words
        return []

    def end(self):
        words = self.answer()
        assert len(words) == 3, f'{words}, {self.server.said()}'
        self.result, self.ms = words[0], int(words[1])
        assert int(words[2]) <= 0, f'{words[2]} are left, {self.lines}'
        return self

    def connects(self):
        """[(address without port, outcome)] in the order in which they came
        to it."""
        found = []
        for line in self.lines:
            got = re.fullmatch(r'call connect \d+, (.*):\d+ (\S+)', line)
            if got:
                found.append((got[1].strip('[]'), got[2]))
        return found

    def families(self):
        """The families in the order in which they were tried."""
        return [line.split('AF_INET')[1][0] == '6' and 6 or 4
                for line in self.lines if line.startswith('call socket ')]


def every_model(case):
    case.models = MODELS
    return case


@every_model
def test_dead_ipv6_route_costs_the_attempt_delay(model):
    _, port = listens(IP4)
    host = name('dead6', a=[IP4], aaaa=[DEAD6])
    dialler = Dialler(model)
    got = dialler.dial(f'{host}:{port}', f'timeout={FAR_MS}', PATIENT)
    same(got.result, '0', got.lines)
    same(sorted(got.connects()), [(IP4, '0'), (DEAD6, 'ECANCELED')])
    same(got.families(), [6, 4])
    assert 250 <= got.ms < 2000, got.lines
    dialler.is_well()


def test_call_tells_each_address_that_it_tried():
    _, port = listens(IP4)
    # So that IPv6 is known first, however slow the machine is.
    host = name('told', a=(1, [IP4]), aaaa=[DEAD6])
    began = time.monotonic()
    process = spawn(NARU, 'call', '-vv', f'{host}:{port}',
                    stdin=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    said = ''
    while 'naru: connected: ' not in said:
        said += process.stderr.readline()
    assert time.monotonic() - began < 5, said
    has(said, 'AF_INET6, SOCK_STREAM', 'AF_INET, SOCK_STREAM')
    matches(said, rf'connect\(\d+, {IP4}:{port}\) = 0 ')
    matches(said, rf'connect\(\d+, \[{DEAD6}\]:{port}\) = -ECANCELED +'
            r'\[SYN-SENT\] +given up before an answer came')


def test_route_that_is_not_there_costs_nothing():
    _, port = listens(OTHER6)
    host = name('nowhere', a=['203.0.113.1'], aaaa=[OTHER6, '2001:db9::1'])
    got = Dialler().dial(f'{host}:{port}', 'attempt=20000')
    same((got.result, got.connects()[-1]), ('0', (OTHER6, '0')))
    assert got.ms < SOON_S * 1000, got.lines


def first_and_second(label):
    """A name with two IPv4 addresses, and these in the system's order."""
    host = name(label, a=[IP4, OTHER4], aaaa=[])
    return host, order_of(host)


@every_model
def test_blackholed_first_address(model):
    host, (first, second) = first_and_second('hole')
    _, port = listens(second)
    swallows(first, port)
    dialler = Dialler(model)
    got = dialler.dial(f'{host}:{port}', f'timeout={FAR_MS}')
    same((got.result, sorted(got.connects())),
         ('0', sorted([(first, 'ECANCELED'), (second, '0')])), got.lines)
    assert 250 <= got.ms < 2000, got.lines
    dialler.is_well()


@every_model
def test_refused_first_address_costs_nothing(model):
    host, (first, second) = first_and_second('shut')
    _, port = listens(second)
    dialler = Dialler(model)
    # A delay that would show.
    got = dialler.dial(f'{host}:{port}', 'attempt=20000')
    same((got.result, got.connects()),
         ('0', [(first, 'ECONNREFUSED'), (second, '0')]), got.lines)
    assert got.ms < SOON_S * 1000, got.lines


def test_families_take_turns():
    host = name('turns', a=[IP4, OTHER4], aaaa=[IP6, OTHER6])
    _, port = listens('127.0.0.1')
    got = Dialler().dial(f'{host}:{port}', PATIENT)
    same((got.result, got.families()), ('ECONNREFUSED', [6, 4, 6, 4]))
    same(len(set(got.connects())), 4, got.lines)


def test_no_address_is_called_twice():
    # Both families' answers come alone, and then together.
    host = name('once', a=(0.3, [IP4]), aaaa=(0.3, [IP6]))
    _, port = listens('127.0.0.1')
    got = Dialler().dial(f'{host}:{port}', 'resolution=10')
    same(sorted(got.connects()),
         [(IP4, 'ECONNREFUSED'), (IP6, 'ECONNREFUSED')], got.lines)


def test_ipv6_answer_within_the_resolution_delay_goes_first():
    host = name('within', a=[IP4], aaaa=(0.3, [IP6]))
    _, port = listens(IP6)
    listens(IP4, port)
    got = Dialler().dial(f'{host}:{port}', PATIENT)
    same((got.result, got.connects()), ('0', [(IP6, '0')]))


@every_model
def test_ipv6_answer_that_never_comes(model):
    host = name(f'never6-{model}', a=[IP4])
    _, port = listens(IP4)
    listens(IP6, port)
    dialler = Dialler(model)
    got = dialler.dial(f'{host}:{port}', f'timeout={FAR_MS}')
    same((got.result, got.connects()), ('0', [(IP4, '0')]))
    assert 50 <= got.ms < 1500, got.lines
    dialler.is_well()


def test_ipv4_answer_that_never_comes():
    host = name('never4', aaaa=[IP6])
    _, port = listens(IP6)
    got = Dialler().dial(f'{host}:{port}', f'timeout={FAR_MS}')
    same((got.result, got.connects()), ('0', [(IP6, '0')]))
    assert got.ms < 1500, got.lines


def test_ipv6_answer_after_the_resolution_delay_joins_the_race():
    host = name('joins', a=[DEAD4], aaaa=(1.5, [IP6]))
    _, port = listens(IP6)
    got = Dialler().dial(f'{host}:{port}', f'timeout={FAR_MS}')
    same((got.result, got.families()), ('0', [4, 6]))
    same(sorted(got.connects()), [(DEAD4, 'ECANCELED'), (IP6, '0')])


def test_server_that_fails_for_one_family():
    host = name('fails6', a=[IP4], aaaa=None)
    _, port = listens(IP4)
    got = Dialler().dial(f'{host}:{port}', f'timeout={FAR_MS}')
    same((got.result, got.connects()[-1]), ('0', (IP4, '0')), got.lines)


def test_hosts_file_stands_for_all_addresses():
    """What /etc/hosts says of a name is all there is of it."""
    host = name('mine', a=[OTHER4], aaaa=[IP6])
    HOSTS.write_text(f'{IP4} {host}\n')
    _, port = listens(IP4)
    listens(IP6, port)
    got = Dialler().dial(f'{host}:{port}', PATIENT)
    HOSTS.write_text('')
    same((got.result, got.connects()), ('0', [(IP4, '0')]))


def test_quick_answer_takes_two_questions():
    host = name('cheap', a=[IP4], aaaa=[IP6])
    _, port = listens(IP6)
    got = Dialler().dial(f'{host}:{port}', PATIENT)
    same(got.result, '0')
    same(sorted(each for each in RESOLVER.asked if each[0] == 'cheap'),
         [('cheap', A), ('cheap', AAAA)])


@every_model
def test_look_up_is_under_the_deadline(model):
    host = name(f'silent-{model}')
    dialler = Dialler(model)
    got = dialler.dial(f'{host}:9', 'timeout=300')
    same(got.result, 'ETIMEDOUT')
    assert 300 <= got.ms < 1500, got.lines
    # What was left behind is nobody's loss.
    _, port = listens(IP4)
    same(dialler.dial(f'{IP4}:{port}').result, '0')
    dialler.is_well()


def test_no_such_name_is_said():
    got = Dialler().dial('nobody.test:9')
    same(got.result, 'NARU_ENONAME')
    assert 'error resolve nobody.test' in got.lines, got.lines


def cancelled(dialler, *words):
    """A conversation that dials with WORDS is cancelled after a while: it
    ends well before it would by itself."""
    began = time.monotonic()
    answer = dialler.begin(f'timeout={FAR_MS}', 'cancel=300', *words).answer()
    assert time.monotonic() - began < SOON_S, words
    # It may say so, where it need not wait for that.
    if answer:
        same(answer[0], 'ECANCELED', words)


@every_model
def test_cancelled_dial_ends_at_once_in_each_phase(model):
    _, port = listens('127.0.0.1')
    dialler = Dialler(model)
    holes = name('holes', a=[DEAD4], aaaa=[DEAD6])
    silent = name(f'quiet-{model}')
    for words in ((f'{DEAD4}:{port}',), ('attempt=10', f'{holes}:{port}'),
                  (f'{silent}:{port}',),
                  ('tries=9', 'retry=9000', f'{IP4}:{port}')):
        cancelled(dialler, *words)
    # Nobody inherits anything.
    same(dialler.dial(f'127.0.0.1:{port}').result, '0')
    dialler.is_well()


def test_alternatives_are_called_in_turn():
    _, port = listens(IP4)
    got = Dialler().dial(f'{OTHER4}:{port}', f'no-such.test:{port}',
                         f'{IP4}:{port}', f'[{IP6}]:{port}')
    same((got.result, got.connects()),
         ('0', [(OTHER4, 'ECONNREFUSED'), (IP4, '0')]), got.lines)


def test_alternatives_share_the_time():
    _, port = listens(IP4)
    got = Dialler().dial(f'{DEAD4}:{port}', f'[{DEAD6}]:{port}', f'{IP4}:{port}',
                         'timeout=1500')
    same((got.result, got.connects()),
         ('0', [(DEAD4, 'ETIMEDOUT'), (DEAD6, 'ETIMEDOUT'), (IP4, '0')]))
    assert 900 <= got.ms < 1500, got.lines


def test_wrong_alternative_is_named_before_anybody_is_called():
    _, port = listens(IP4)
    got = Dialler().dial(f'{IP4}:{port}', 'localhost:70000')
    same((got.result, got.connects()), ('NARU_EENDPOINT', []))
    has(got.lines[0], 'error read', '"localhost:70000"')


def test_most_telling_error_of_all_is_returned():
    dialler = Dialler()
    _, port = listens('127.0.0.1')
    for words in ((f'{DEAD4}:9', f'{IP4}:{port}', 'nobody.test:9'),
                  ('nobody.test:9', f'{IP4}:{port}', '203.0.113.1:9')):
        got = dialler.dial(*words, 'timeout=900')
        same(got.result, 'ECONNREFUSED', got.lines)


def test_call_takes_others():
    _, port = listens('127.0.0.1')
    server = serve(f'{IP4}:0', 'ack')
    status, out, err = run(NARU, 'call', f'{OTHER4}:{port}', '--or',
                           f'[{OTHER6}]:{port}', '--or',
                           f'{IP4}:{server.port}', data=b'x')
    same((status, err), (0, ''))
    has(out.decode(), 'received well')
    status, _, err = run(NARU, 'call', f'{OTHER4}:{port}', '--or',
                         f'[{OTHER6}]:{port}')
    same(status, 1)
    has(err, f'{OTHER4}:{port} and 1 other: ', 'refused')


def test_relay_takes_others():
    _, port = listens('127.0.0.1')
    far = serve(f'{IP4}:0', 'echo')
    near = serve(f'relay={OTHER4}:{port},{IP4}:{far.port}')
    same(near.connect().ask(b'hello\n'), b'hello\n')
    status, _, err = run(NARU, 'serve', '-p', '0', 'relay=localhost:1,x:y:z')
    same(status, 2)
    has(err, 'x:y:z')


@every_model
def test_retries_until_somebody_listens(model):
    sock, port = listens(IP4)
    sock.close()
    dial = Dialler(model).begin(f'{IP4}:{port}', 'tries=100000', 'retry=5',
                                f'timeout={FAR_MS}')
    until(lambda: len(dial.connects()) >= 4, 'it does not retry')
    listens(IP4, port)
    got = dial.end()
    same(got.result, '0')
    same(set(got.connects()[:-1]), {(IP4, 'ECONNREFUSED')})


def test_retries_end_with_the_tries():
    _, port = listens('127.0.0.1')
    got = Dialler().dial(f'{IP4}:{port}', 'tries=4', 'retry=20')
    same((got.result, got.connects()),
         ('ECONNREFUSED', [(IP4, 'ECONNREFUSED')] * 4))
    # Pauses of 20, 40 and 80, each less up to a half.
    assert 70 <= got.ms < 2000, got.lines


def test_retries_end_with_the_deadline():
    _, port = listens('127.0.0.1')
    got = Dialler().dial(f'{IP4}:{port}', 'tries=1000', 'retry=200',
                         'timeout=700')
    same(got.result, 'ECONNREFUSED')
    assert got.ms < 800 and len(got.connects()) >= 2, got.lines


def test_call_retries():
    sock, port = listens(IP4)
    sock.close()
    process = spawn(NARU, 'call', '-vv', '--retry', '1000', f'{IP4}:{port}',
                    stdin=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    said = ''
    while said.count('ECONNREFUSED') < 2:
        said += process.stderr.readline()
    listens(IP4, port)
    while 'naru: connected: ' not in said:
        said += process.stderr.readline()


def test_source_is_kept_by_the_race():
    _, port = listens(IP4)
    server = serve(f'{IP4}:0', 'ack')
    host = name('both', a=[IP4], aaaa=[IP6])
    _, out, _ = run(NARU, 'call', '--source', OTHER4, f'{host}:{server.port}',
                    data=b'x')
    has(out.decode(), f"('{OTHER4}', ")
    with socket.socket() as probe:
        probe.bind((OTHER4, 0))
        free = probe.getsockname()[1]
    _, out, _ = run(NARU, 'call', '--source', f'{OTHER4}:{free}',
                    f'{host}:{server.port}', data=b'x')
    has(out.decode(), f"('{OTHER4}', {free})")
    got = Dialler().dial(f'[{IP6}]:{port}', f'source={OTHER4}')
    same(got.result, 'EAFNOSUPPORT')


def socket_of(pid, wanted):
    """A copy of the socket of PID that WANTED accepts."""
    libc = ctypes.CDLL(None, use_errno=True)
    pidfd = os.pidfd_open(pid)
    harness.at_end(os.close, pidfd)

    def look():
        for word in os.listdir(f'/proc/{pid}/fd'):
            with contextlib.suppress(OSError):
                if not os.readlink(f'/proc/{pid}/fd/{word}').startswith(
                        'socket:'):
                    continue
                fd = libc.syscall(438, pidfd, int(word), 0)
                if fd < 0:
                    raise Skip('no pidfd_getfd(2)')
                sock = socket.socket(fileno=fd)
                if wanted(sock):
                    harness.at_end(sock.close)
                    return sock
                sock.close()
        return None
    return until(look, f'no such socket in {pid}')


def is_connected(sock):
    try:
        return sock.getpeername() and sock.type == socket.SOCK_STREAM
    except OSError:
        return False


def check_tuned(sock):
    same(sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE), 1)
    for option, value in ((socket.TCP_KEEPIDLE, 30), (socket.TCP_KEEPINTVL, 10),
                          (socket.TCP_KEEPCNT, 3),
                          (socket.TCP_USER_TIMEOUT, 7500)):
        same(sock.getsockopt(socket.IPPROTO_TCP, option), value, option)


def test_keepalive_and_user_timeout_are_on_both_ends():
    options = ['--keepalive', '30s', '--user-timeout', '7500ms']
    server = serve(*options, f'{IP4}:0', 'discard')
    process = spawn(NARU, 'call', *options, f'{IP4}:{server.port}',
                    stdin=subprocess.PIPE)
    check_tuned(socket_of(process.pid, is_connected))
    check_tuned(socket_of(server.pid, is_connected))
    # A unix socket has neither, and works.
    local = harness.temporary() / 'socket'
    server = serve(*options, f'unix:{local}')
    status, out, err = run(NARU, 'call', *options, f'unix:{local}', data=b'x')
    same((status, out, err), (0, b'x', ''))


def fast_opens():
    """How many connections came with their first bytes."""
    with open('/proc/net/netstat', encoding='ascii') as file:
        rows = [line.split() for line in file]
    table = dict(zip(rows[0], rows[1]))
    return int(table['TCPFastOpenPassive'])


def set_fast_open(value):
    path = pathlib.Path('/proc/sys/net/ipv4/tcp_fastopen')
    before = path.read_text(encoding='ascii')
    path.write_text(str(value), encoding='ascii')
    harness.at_end(path.write_text, before)


def test_fast_open_carries_the_first_bytes():
    set_fast_open(3)
    server = serve('--fast-open', '16', f'{IP4}:0', 'echo')
    before = fast_opens()
    for number in range(3):
        data = b'first bytes %d\n' % number
        same(run(NARU, 'call', '--fast-open', f'{IP4}:{server.port}',
                 data=data), (0, data, ''))
    # The first call has asked for what the others brought.
    same(fast_opens() - before, 2, 'fast opens')
    server.is_well()


def test_fast_open_hears_a_peer_that_speaks_first():
    set_fast_open(3)
    echo = serve('--fast-open', '16', f'{IP4}:0', 'echo')
    port = echo.port
    run(NARU, 'call', '--fast-open', f'{IP4}:{port}', data=b'x')
    echo.is_well()
    # The same address has the same cookie.
    first = serve('--fast-open', '16', '-p', str(port), IP4, 'daytime')
    for _ in range(2):
        process = spawn(NARU, 'call', '--fast-open', f'{IP4}:{port}',
                        stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        matches(process.stdout.read().decode(), '-UTC')
        same(process.wait(harness.PATIENCE), 0)
    # And one that finishes without a word.
    for _ in range(2):
        status, out, err = run(NARU, 'call', '--fast-open', f'{IP4}:{port}')
        same((status, err), (0, ''))
        matches(out.decode(), '-UTC')
    first.is_well()


def test_fast_open_goes_on_without_where_it_is_forbidden():
    set_fast_open(0)
    server = serve('--fast-open', '16', f'{IP4}:0', 'echo')
    before = fast_opens()
    for _ in range(2):
        same(run(NARU, 'call', '--fast-open', f'{IP4}:{server.port}',
                 data=b'x'), (0, b'x', ''))
    same(fast_opens(), before)


def test_fast_open_tells_of_a_refusal():
    set_fast_open(3)
    echo = serve('--fast-open', '16', f'{IP4}:0', 'echo')
    run(NARU, 'call', '--fast-open', f'{IP4}:{echo.port}', data=b'x')
    echo.is_well()
    status, _, err = run(NARU, 'call', '--fast-open', f'{IP4}:{echo.port}',
                         data=b'x')
    same(status, 1)
    has(err, 'refused')


def set_up():
    """The network, and the resolver's files."""
    global RESOLVER, HOSTS
    folder = tempfile.mkdtemp()
    for command in (
            'ip link set lo up',
            'ip link add swallow type veth peer name abyss',
            # Nobody is looked for, and so nobody is missing.
            'ip link set swallow arp off', 'ip link set abyss arp off',
            f'ip addr add {IP4}/24 dev swallow',
            f'ip addr add {OTHER4}/24 dev swallow',
            f'ip -6 addr add {IP6}/64 dev swallow nodad',
            f'ip -6 addr add {OTHER6}/64 dev swallow nodad',
            'ip link set abyss up', 'ip link set swallow up'):
        subprocess.run(command.split(), check=True)
    for file, text in (
            ('/etc/resolv.conf', f'nameserver {DNS}\n'
             'options timeout:2 attempts:1\n'),
            ('/etc/nsswitch.conf', 'hosts: files dns\n'), ('/etc/hosts', '')):
        own = pathlib.Path(folder, file.rsplit('/', 1)[1])
        own.write_text(text, encoding='ascii')
        subprocess.run(['mount', '--bind', own, file], check=True)
        HOSTS = own
    RESOLVER = Resolver()
    return folder


def skip_all(why):
    print(f'1..0 # SKIP {why}')
    sys.exit(0)


def enter():
    """Starts this file anew in namespaces of its own."""
    if os.geteuid() != 0:
        skip_all('not root')
    for program in ('unshare', 'ip', 'mount'):
        if not shutil.which(program):
            skip_all(f'no {program}')
    probe = subprocess.run(
        ['unshare', '-nm', 'sh', '-c', 'ip link add probe type veth'],
        stderr=subprocess.PIPE, text=True, check=False)
    if probe.returncode:
        skip_all(f'no network of our own: {probe.stderr.strip()}')
    os.environ['NARU_TEST_NETWORK'] = 'own'
    os.execvp('unshare', ['unshare', '-nm', sys.executable, '-B',
                          *sys.argv])


if __name__ == '__main__':
    if os.environ.pop('NARU_TEST_NETWORK', '') != 'own':
        enter()
    made = set_up()
    try:
        harness.main(globals())
    finally:
        shutil.rmtree(made, ignore_errors=True)
