#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The relay talk, between clients and servers that are not ours.

    test_relay.py NARU
"""

import hashlib
import os
import re
import socket
import ssl
import subprocess
import threading

import harness
from harness import (NARU, every_model, has, is_sanitized, matches, need, only,
                     pattern, run, same, serve, session_of, spawn, temporary,
                     until)
from test_tls import certs, secure

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


@every_model
def test_answer_outlives_what_its_server_no_longer_reads(model):
    """The backend answers and goes; what the client says then resets it."""
    backend = harness.listener()
    relay = serve('-m', model, f'relay=127.0.0.1:{backend.getsockname()[1]}')
    peer = relay.connect()
    peer.send(b'question')
    far = harness.Peer(backend.accept()[0])
    same(far.read(8), b'question')
    frozen = [relay.pid, *session_of(relay.process.pid)]
    harness.freeze(*frozen)
    peer.send(b'and more')
    peer.finish()
    far.send(b'answer')
    far.close()
    harness.thaw(*frozen)
    same(peer.rest(), b'answer')
    relay.is_well()


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


# To servers under TLS.

def carries(server, *args, **options):
    relay = serve(*args, f'relay=tls://localhost:{server.port}', **options)
    same(relay.connect().exchange(b'hello\n'), b'hello\n', relay.said())
    relay.is_well()


def is_refused(server, why, *args):
    """The log says it unasked."""
    relay = serve(*args, f'relay=tls://localhost:{server.port}')
    is_reset(relay, b'hello\n')
    relay.says(rf'^naru: conversation 1: relay: tls://localhost:{server.port}'
               f': {why}$')
    relay.is_well()


@every_model
def test_relay_trusts_whom_it_is_told_to(model):
    server = secure()
    carries(server, '-m', model, '--relay-ca', certs()('ca.pem'))
    server.is_well()


def test_relay_trusts_nobody_else():
    server = secure()
    not_trusted = "the peer's certificate is not trusted: "
    is_refused(server, not_trusted + 'the certificate of CN=localhost is '
               'signed by nobody we trust: CN=ca')
    is_refused(server, not_trusted + '.* signed by nobody we trust: CN=ca',
               '--relay-ca', certs()('elsewhere.pem'))
    is_refused(server, not_trusted + '.* made out to .*, not to other.example',
               '--relay-ca', certs()('ca.pem'), '--relay-servername',
               'other.example')
    is_refused(server, not_trusted + '.* another key than .*', '--relay-ca',
               certs()('ca.pem'), '--relay-pin', certs().pin('other'))
    server.is_well()


@only(('fiber', 'fiber-epoll', 'thread', 'process'))
def test_end_without_a_word_is_one_behind_ours(model):
    """Servers take a close_notify for the end of everything, and give none."""
    sock = harness.listener()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certs()('server.pem'), certs()('server.key'))

    def answer():
        raw, _ = sock.accept()
        far = context.wrap_socket(raw, server_side=True)
        while far.recv(100):
            pass
        far.sendall(b'answer')
        socket.socket(fileno=far.detach()).close()
    thread = threading.Thread(target=answer)
    thread.start()
    relay = serve('-m', model, '--relay-ca', certs()('ca.pem'),
                  f'relay=tls://localhost:{sock.getsockname()[1]}')
    same(relay.connect().exchange(b'question'), b'answer')
    thread.join()
    relay.is_well()


def test_relay_takes_the_systems_store_from_the_environment():
    server = secure()
    carries(server, env=dict(os.environ, SSL_CERT_FILE=certs()('ca.pem')))
    server.is_well()


def test_relay_does_tls_as_it_is_told_to():
    server = secure(name='other')
    carries(server, '--relay-verify', 'none')
    carries(server, '--relay-ca', certs()('ca.pem'), '--relay-servername',
            'other.example', '--relay-pin', certs().pin('other'))
    server.says('for other.example')
    server.is_well()


def test_relay_shows_a_certificate_of_its_own():
    """Its own listener has another one."""
    server = secure('--ca', certs()('ca.pem'), '--verify', 'required')
    trust = ('--relay-ca', certs()('ca.pem'))
    relay = serve(*trust, f'relay=tls://localhost:{server.port}')
    is_reset(relay, b'hello\n')
    relay.says(r'conversation 1: relay: tls://localhost:\d+: TLS failed: the '
               'peer refuses: alert "certificate required"$')
    relay.is_well()
    client = certs().pair('client')
    relay = serve(*certs().pair('wild'), *trust, '--relay-cert', client[1],
                  '--relay-key', client[3], 'tls://localhost',
                  f'relay=tls://localhost:{server.port}')
    status, out, said = run(NARU, 'call', '--ca', certs()('ca.pem'),
                            '--servername', 'wild.example',
                            f'tls://localhost:{relay.port}', data=b'hello\n')
    same((status, out), (0, b'hello\n'), said)
    server.says('with CN=alice$')
    relay.is_well()
    server.is_well()


def test_relay_names_its_protocols():
    server = secure('--alpn', 'h2')
    trust = ('--relay-ca', certs()('ca.pem'))
    carries(server, *trust, '--relay-alpn', 'h3,h2')
    is_refused(server, '.*alert "no application protocol".*', *trust,
               '--relay-alpn', 'h3')
    server.is_well()


def test_relays_tls_without_such_a_relay_is_refused():
    made = certs()
    nobody = 'tls://localhost:1'
    missing = 'no endpoint of relay= is tls://'
    for status, why, *args in (
            (2, f'--relay-ca: {missing}', '--relay-ca', made('ca.pem')),
            (2, f'--relay-verify: {missing}', '--relay-verify', 'none',
             'relay=localhost:1,unix:/nowhere'),
            (2, f'--relay-alpn: {missing}', '--relay-alpn', 'h2', '--', 'cat'),
            (2, '--ca: no endpoint is tls://', '--ca', made('ca.pem'),
             f'relay={nobody}'),
            (2, "--relay-key: 'x': it belongs to a --relay-cert",
             '--relay-key', 'x', f'relay={nobody}'),
            (2, "--relay-verify: 'x': certificates are not", '--relay-verify',
             'x', f'relay={nobody}'),
            (2, '--relay-pin: a pin is sha256//', '--relay-pin', 'x',
             f'relay={nobody}'),
            (1, '--relay-ca /nope: No such file or directory', '--relay-ca',
             '/nope', f'relay=localhost:1,{nobody}'),
            (1, '; give --relay-key FILE', '--relay-cert', made('client.pem'),
             f'relay={nobody}')):
        got, out, said = run(NARU, 'serve', '-1', '-p', '0', *args)
        same((got, out), (status, b''), said)
        has(said, 'naru serve: ' if why[0] == '-' else '', why)


if __name__ == '__main__':
    harness.main(globals())
