#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""`naru serve` and `naru call` over UDP, and the example that answers dig.

The clients are ncat, socat, dig and plain sockets. Where a datagram has to come
before another, the first one's answer is waited for.
"""

import os
import pathlib
import re
import signal
import socket
import struct
import subprocess
import sys
import time

import harness
from harness import (NARU, PATIENCE, Server, at_end, every_model,
                     every_parallel_model, has, matches, need, only, run, same,
                     serve, spawn, until)

EXAMPLES = pathlib.Path(sys.argv[3]).resolve() if len(sys.argv) > 3 else None
BIGGEST = 65507


def over_udp(*args, endpoint='udp://127.0.0.1:0', talk='echo', **options):
    """`naru serve` over UDP that cuts its conversations off at its end: a
    datagram says nothing of the end of any."""
    args = harness.with_model(args)
    return Server(*args, '--drain', '0', endpoint, talk, **options)


class Peer:
    """A socket that is connected to a server."""

    def __init__(self, server, host='127.0.0.1'):
        six = ':' in host
        self.sock = socket.socket(socket.AF_INET6 if six else socket.AF_INET,
                                  socket.SOCK_DGRAM)
        at_end(self.sock.close)
        self.sock.settimeout(PATIENCE)
        self.sock.connect((host, server.port))

    def send(self, data):
        self.sock.send(data)

    def read(self):
        return self.sock.recv(1 << 17)

    def ask(self, data):
        self.send(data)
        return self.read()


def end(server):
    """Ends a server whose conversations are cut off."""
    assert server.process.poll() is None, server.said()
    server.stop()
    assert 'failed' not in server.said(), server.said()


@every_model
def test_datagrams_come_back_as_they_were(model):
    server = over_udp('-m', model)
    peer = Peer(server)
    for data in (b'one', b'', b'two\nlines\n', bytes(range(256)) * 5,
                 b'x' * 2000, b'y' * 20000, b'z' * BIGGEST, b'end'):
        same(peer.ask(data), data, f'{len(data)} bytes')
    end(server)


@every_model
def test_burst_of_a_new_peer_comes_in_order(model):
    server = over_udp('-m', model, '-v')
    peer = Peer(server)
    data = [b'datagram %d' % i for i in range(20)]
    for one in data:
        peer.send(one)
    same([peer.read() for _ in data], data, 'the burst')
    same(len(re.findall(' begins: ', server.said())), 1, 'conversations')
    end(server)


@every_parallel_model
def test_500_peers_at_once_are_all_answered(model):
    count = 500
    server = over_udp('-m', model, '-v', '-w', '500') \
        if model in ('prefork', 'pool') else over_udp('-m', model, '-v')
    peers = [Peer(server) for _ in range(count)]
    for number, peer in enumerate(peers):
        peer.send(b'first of %d' % number)
    for number, peer in enumerate(peers):
        same(peer.read(), b'first of %d' % number)
    for number, peer in enumerate(peers):
        peer.send(b'second of %d' % number)
    for number, peer in enumerate(peers):
        same(peer.read(), b'second of %d' % number)
    until(lambda: len(re.findall(' begins: ', server.said())) == count,
          lambda: f'not {count} conversations:\n{server.said()[-2000:]}')
    end(server)


@every_parallel_model
def test_answers_leave_from_where_the_question_came_to(model):
    server = over_udp('-m', model, '-v', '-4', endpoint='udp://*:0')
    for host in ('127.0.0.1', '127.0.0.2', '127.3.2.1'):
        # A connected socket takes nothing from any other address.
        peer = Peer(server, host)
        same(peer.ask(b'to ' + host.encode()), b'to ' + host.encode())
        same(peer.ask(b'again'), b'again')
        server.says(rf' begins: .* -> {host}:{server.port}')
    end(server)


def test_ipv6_and_both_families():
    server = over_udp('-v', endpoint='udp://localhost:0')
    for host in ('127.0.0.1', '::1'):
        same(Peer(server, host).ask(b'hello'), b'hello', host)
    end(server)
    server = over_udp('-v', '-6', endpoint='udp://*:0')
    peers = [Peer(server, '::1') for _ in range(50)]
    for number, peer in enumerate(peers):
        peer.send(b'%d' % number)
    for number, peer in enumerate(peers):
        same(peer.read(), b'%d' % number)
    server.says(r' begins: \[::1\]:\d+ -> \[::1\]:')
    end(server)


@every_parallel_model
def test_what_icmp_says_reaches_its_own_conversation(model):
    server = over_udp('-m', model, '-v')
    leaver, stayer = Peer(server), Peer(server)
    same(leaver.ask(b'hello'), b'hello')
    same(stayer.ask(b'hello'), b'hello')
    name = leaver.sock.getsockname()[1]
    # Nobody answers before the leaver's port is closed.
    frozen = [server.pid, *harness.session_of(server.process.pid)]
    harness.freeze(*frozen)
    leaver.send(b'and away')
    leaver.sock.close()
    harness.thaw(*frozen)
    server.says(rf'ends: 127\.0\.0\.1:{name} -> .*: failed: '
                r'Connection refused \(ECONNREFUSED\)')
    same(stayer.ask(b'still here'), b'still here')
    server.stop()


@every_model
def test_silence_ends_a_conversation(model):
    server = over_udp('-m', model, '-v', '--idle-timeout', '100ms')
    peer = Peer(server)
    same(peer.ask(b'a'), b'a')
    server.says(r'conversation 1 ends: .*, 1 bytes received, 1 bytes sent, '
                r'.*: well$')
    same(peer.ask(b'b'), b'b')
    server.says(r'conversation 2 begins: ')
    end(server)


@every_model
def test_server_can_be_started_again_at_its_port(model):
    server = over_udp('-m', model)
    peer = Peer(server)
    same(peer.ask(b'a'), b'a')
    end(server)
    again = over_udp('-m', model,
                     endpoint=f'udp://127.0.0.1:{server.port}')
    # What was sent while nobody was there is lost, and the socket told of it.
    peer = Peer(again)
    same(peer.ask(b'b'), b'b')
    end(again)


def test_port_belongs_to_one_server():
    server = over_udp()
    status, _, err = run(NARU, 'serve', f'udp://127.0.0.1:{server.port}')
    same(status, 1, 'exit status')
    has(err, 'Address already in use')
    same(Peer(server).ask(b'a'), b'a')
    end(server)


@every_model
def test_drain_ends_who_waits_for_a_peer(model):
    server = Server(*harness.with_model(('-m', model)), '-v', '--drain', '1h',
                    'udp://127.0.0.1:0')
    peers = [Peer(server) for _ in range(1 if model == 'iterative' else 3)]
    for peer in peers:
        same(peer.ask(b'hello'), b'hello')
    began = time.monotonic()
    same(server.stop(), 0, f'exit status: {server.said()}')
    assert time.monotonic() - began < 5, 'it waits for peers'
    same(len(re.findall(r'\d+ ends: .*: well$', server.said(), re.MULTILINE)),
         len(peers), server.said())


def test_who_cannot_be_taken_waits():
    server = over_udp('-m', 'pool', '-w', '1', '-v', '--idle-timeout',
                      '300ms')
    first, second = Peer(server), Peer(server)
    same(first.ask(b'first'), b'first')
    second.send(b'one')
    second.send(b'two')
    same([second.read(), second.read()], [b'one', b'two'])
    end(server)


def test_what_is_dropped_is_told():
    server = over_udp('-m', 'pool', '-w', '1', '-v', '--idle-timeout', '1s')
    first, second = Peer(server), Peer(server)
    same(first.ask(b'first'), b'first')
    # More than any queue holds, while nobody can be taken.
    for _ in range(12000):
        second.send(b'x' * 8000)
    server.says(r'^naru: 127\.0\.0\.1:\d+: \d+ datagrams dropped')
    server.stop()


@every_model
def test_what_a_conversation_dropped_is_told_at_its_end(model):
    server = over_udp('-m', model, '-v', '--idle-timeout', '500ms')
    peer = Peer(server)
    same(peer.ask(b'first'), b'first')
    # More than the queue of its socket holds, while nobody takes any.
    frozen = [server.pid, *harness.session_of(server.process.pid)]
    harness.freeze(*frozen)
    for _ in range(2000):
        peer.send(b'x' * 8000)
    harness.thaw(*frozen)
    server.says(r'^naru: conversation 1 ends: .* bytes sent, [1-9]\d* '
                r'datagrams dropped, .*: well$')
    server.stop()


def test_program_is_refused():
    status, _, err = run(NARU, 'serve', 'udp://127.0.0.1:0', '--', 'cat')
    same(status, 2, 'exit status')
    has(err, 'a program reads a stream of bytes, which UDP is not')


def test_other_talks():
    for talk, answer in (('ack', rb"^received well \('127\.0\.0\.1', \d+\)$"),
                         ('daytime', rb'^[A-Z][a-z]+day, .*-UTC\r\n$'),
                         ('chargen', rb'^ !"#')):
        server = over_udp(talk=talk)
        got = Peer(server).ask(b'?')
        assert re.search(answer, got), f'{talk}: {got!r}'
        end(server)
    server = over_udp('-v', '--idle-timeout', '100ms', talk='discard')
    Peer(server).send(b'12345')
    server.says('5 bytes received, 0 bytes sent, .*: well')
    end(server)


def test_relay_carries_datagrams():
    echo = over_udp()
    relay = over_udp('-v', talk=f'relay={echo.endpoint}')
    peer = Peer(relay)
    for data in (b'one', b'', b'two', b'x' * 9000):
        same(peer.ask(data), data)
    end(relay)
    end(echo)


# One that stands between a stream and datagrams, as with DNS over TCP.
BETWEEN = ('fiber', 'fiber-epoll', 'thread', 'prefork', 'iterative')


def lengthened(*messages):
    return b''.join(struct.pack('>H', len(one)) + one for one in messages)


def backend():
    """A socket of ours that datagrams go to, and its endpoint."""
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    at_end(sock.close)
    sock.settimeout(PATIENCE)
    sock.bind(('127.0.0.1', 0))
    return sock, f'udp://127.0.0.1:{sock.getsockname()[1]}'


def to_backend(model):
    """A stream through a relay to a backend of ours: that, the relay, and its
    client."""
    sock, endpoint = backend()
    relay = serve('-m', model, '--framing', 'u16', '127.0.0.1',
                  f'relay={endpoint}')
    return sock, relay, relay.connect()


def gone_and_stopped(relay):
    """Stops a RELAY whose clients have left: it need not wait for any."""
    began = time.monotonic()
    relay.is_well()
    took = time.monotonic() - began
    assert took < 5, f'it ended after {took} s'


@only(BETWEEN)
def test_messages_of_a_stream_are_datagrams_behind_a_relay(model):
    echo = over_udp()
    relay = serve('-m', model, '-v', '--framing', 'u16', '127.0.0.1',
                  f'relay={echo.endpoint}')
    peer = relay.connect()
    several = lengthened(b'one', b'', b'two\nlines', b'x' * 9000)
    same(peer.ask(several), several, 'what came in one piece')
    for piece in (several[:1], several[1:3], several[3:]):
        peer.send(piece)
    same(peer.read(len(several)), several, 'what came in pieces')
    peer.send(lengthened(b'last'))
    peer.finish()
    same(peer.read(6), lengthened(b'last'), 'after the half-close')
    peer.close()
    gone_and_stopped(relay)
    relay.says(r'conversation 1: relayed \d+ bytes to 127\.0\.0\.1:\d+ and '
               r'\d+ back in [^:]*$')
    end(echo)


@only(BETWEEN)
def test_datagrams_are_messages_of_a_stream_behind_a_relay(model):
    echo = serve('--framing', 'u16', '127.0.0.1')
    relay = Server(*harness.with_model(('-m', model)), '--framing', 'u16',
                   'udp://127.0.0.1:0', f'relay=127.0.0.1:{echo.port}')
    peer = Peer(relay)
    for data in (b'one', b'', b'two\n', b'x' * 9000):
        same(peer.ask(data), data)
    gone_and_stopped(relay)
    echo.is_well()


@only(BETWEEN)
def test_answer_under_way_comes_after_the_stop(model):
    sock, relay, peer = to_backend(model)
    peer.send(lengthened(b'question'))
    peer.finish()
    data, who = sock.recvfrom(100)
    same(data, b'question')
    relay.tell()
    relay.says('stopping')
    sock.sendto(b'answer', who)
    same(peer.rest(), lengthened(b'answer'))
    peer.close()
    same(relay.end(), 0, relay.said())


@only(('fiber', 'thread'))
def test_who_has_finished_waits_five_seconds_for_answers(model):
    sock, relay, peer = to_backend(model)
    peer.send(lengthened(b'question'))
    _, who = sock.recvfrom(100)
    sock.sendto(b'first', who)
    same(peer.read(7), lengthened(b'first'))
    began = time.monotonic()
    peer.finish()
    same(peer.rest(), b'')
    took = time.monotonic() - began
    assert 4.9 < took < 20, f'it waited for {took} s'
    peer.close()
    relay.is_well()


def test_ncat_and_socat_talk():
    need('ncat', 'socat')
    for command in (['ncat', '-u', '127.0.0.1', '{}'],
                    ['socat', 'STDIO', 'UDP:127.0.0.1:{}']):
        server = over_udp()
        client = spawn(*[word.format(server.port) for word in command],
                       stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        # Its input goes on: with the end it would not wait for an answer.
        for line in (b'hello from a client\n', b'and again\n'):
            client.stdin.write(line)
            client.stdin.flush()
            same(client.stdout.readline(), line, command[0])
        harness.sweep(client)
        end(server)


def test_call_talks_with_ncat_and_socat():
    need('ncat', 'socat')
    for command in (['ncat', '-u', '-l', '-e', '/bin/cat', '127.0.0.1'],
                    ['socat', 'UDP-LISTEN:{}', 'EXEC:/bin/cat']):
        port = free_port()
        words = [word.format(port) for word in command]
        if command[0] == 'ncat':
            words.append(str(port))
        spawn(*words)
        until(lambda: listens(port), f'{command[0]} does not listen')
        status, out, err = run(NARU, 'call', f'udp://127.0.0.1:{port}',
                               data=b'hello\n')
        same((status, out), (0, b'hello\n'), f'{command[0]}: {err}')


def test_call_waits_for_answers():
    server = over_udp()
    status, out, err = run(NARU, 'call', '--wait', '300ms', server.endpoint,
                           data=b'a\nb\n')
    same((status, out), (0, b'a\nb\n'), err)
    end(server)
    status, _, err = run(NARU, 'call', server.endpoint, data=b'a')
    same(status, 1, 'exit status')
    has(err, 'Connection refused')


def test_call_shows_what_it_does():
    server = over_udp()
    _, _, err = run(NARU, 'call', '-vv', '--wait', '0', server.endpoint)
    matches(err, r'socket\(AF_INET, SOCK_DGRAM\) = \d+ +\[UDP\]')
    matches(err, r'connect\(.*nobody knows whether it is there')
    end(server)


def free_port():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(('127.0.0.1', 0))
        return sock.getsockname()[1]


def listens(port):
    """Whether a UDP socket is bound to PORT."""
    with open('/proc/net/udp', encoding='ascii') as file:
        return f':{port:04X} ' in file.read()


def dns():
    process = spawn(EXAMPLES / '09-dns', 'udp://127.0.0.1:0',
                    stderr=subprocess.PIPE)
    said = process.stderr.readline().decode()
    port = matches(said, r'^listening on 127\.0\.0\.1:(\d+)$')[1]
    return int(port), process


def dig(port, *args):
    status, out, err = run('dig', '-p', port, '+tries=1', '@127.0.0.1', *args)
    same(status, 0, f'dig {args}: {out} {err}')
    return out.decode()


def test_dig_is_answered():
    need('dig')
    port, process = dns()
    for edns in ('+noedns', '+edns=0'):
        got = dig(port, edns, 'naru.example')
        has(got, 'status: NOERROR', 'ANSWER: 2', '192.0.2.1', '192.0.2.2')
        same(dig(port, edns, '+short', 'TXT', 'text.example'),
             '"first" "second"\n')
        has(dig(port, edns, 'A', 'text.example'), 'status: NOERROR',
            'ANSWER: 0')
        has(dig(port, edns, 'none.example'), 'status: NXDOMAIN')
        has(dig(port, edns, '-c', 'CH', 'naru.example'), 'status: NOTIMP')
    same(dig(port, '+short', 'NARU.Example', 'A'), '192.0.2.1\n192.0.2.2\n')
    assert process.poll() is None


def test_bad_questions_do_no_harm():
    port, process = dns()
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    at_end(sock.close)
    sock.settimeout(PATIENCE)
    sock.connect(('127.0.0.1', port))
    head = b'\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00'
    name = b'\x04naru\x07example\x00'
    good = head + name + b'\x00\x01\x00\x01'

    def code(question):
        sock.send(question)
        return sock.recv(1000)[3] & 15

    same(code(good), 0)
    for cut in range(len(head), len(good)):
        same(code(good[:cut]), 1, f'cut at {cut}')
    for bad in (b'\xc0\x0c\x00\x01\x00\x01', b'\x40' + b'a' * 64 + b'\x00',
                b'\x3f' + b'a' * 63 + (b'\x3f' + b'a' * 63) * 5 + b'\x00',
                b'\x03a.b\x00\x00\x01\x00\x01'):
        same(code(head + bad), 1, repr(bad[:8]))
    same(code(head[:2] + b'\x29\x00' + good[4:]), 4, 'another operation')
    # Neither what is no question at all nor an answer gets one.
    for silent in (b'', b'\x12', head[:11], b'\x12\x34\x81' + good[3:],
                   good + b'\x00' * 600):
        sock.send(silent)
    if process.poll() is not None:
        raise AssertionError(process.stderr.read())
    # The one that is over the limit has ended the conversation.
    time_limit = time.monotonic() + PATIENCE
    sock.settimeout(0.2)
    while time.monotonic() < time_limit:
        try:
            same(code(good), 0)
            break
        except socket.timeout:
            continue
    assert process.poll() is None


if __name__ == '__main__':
    os.environ.setdefault('LC_ALL', 'C')
    harness.main(globals())
