#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The PROXY protocol, with those who speak it: HAProxy before and behind Naru,
curl before it, and headers made by hand for what neither of them sends.
"""

import contextlib
import re
import select
import socket
import struct
import subprocess

import harness
from harness import (NARU, at_end, every_model, has, listener, matches, need,
                     only, run, same, serve, spawn, temporary, until)

SIGNATURE = b'\r\n\r\n\0\r\nQUIT\n'
ACK = rb"^received well \('([^']*)', (\d+)\)\n$"


def v2(addresses, values=b'', command=0x21, family=0x11):
    body = addresses + values
    return SIGNATURE + struct.pack('>BBH', command, family, len(body)) + body


IPV4 = bytes([192, 0, 2, 1, 192, 0, 2, 2]) + struct.pack('>HH', 4711, 80)


def tell(*args, **options):
    """A server that answers with its client's address."""
    return serve(*args, 'ack', **options)


def answer(peer, data=b'hello'):
    """The host and the port in the answer of a server that tells."""
    peer.send(data)
    said = re.match(ACK, peer.rest())
    assert said, 'no answer'
    peer.close()
    return said[1].decode(), int(said[2])


class HAProxy:
    """One that runs CONFIG, where {listen} stands for a socket of ours."""

    def __init__(self, config, family=socket.AF_INET, host='127.0.0.1',
                 mode='tcp'):
        need('haproxy')
        self.socket = listener(family, host)
        self.port = self.socket.getsockname()[1]
        self.host = host
        fd = self.socket.fileno()
        self.folder = temporary()
        path = self.folder / 'haproxy.cfg'
        path.write_text(
            f'defaults\n mode {mode}\n timeout connect 20s\n'
            ' timeout client 20s\n timeout server 20s\n'
            + config.format(listen=f'fd@{fd}', folder=self.folder))
        self.process = spawn('haproxy', '-db', '-f', path, pass_fds=[fd],
                             stdout=subprocess.DEVNULL,
                             stderr=subprocess.PIPE)

    def connect(self):
        sock = socket.create_connection((self.host, self.port),
                                        harness.PATIENCE)
        at_end(sock.close)
        return harness.Peer(sock)


def before(server, options, family=socket.AF_INET, host='127.0.0.1'):
    """An HAProxy before SERVER, which announces its clients."""
    target = f'[{host}]:{server.port}' if ':' in host else \
        f'{host}:{server.port}'
    if server.port is None:
        target = 'unix@' + server.endpoint[len('unix:'):]
    return HAProxy('listen front\n bind {listen}\n'
                   f' server naru {target} {options}\n', family, host)


# HAProxy before Naru.

@every_model
def test_haproxy_announces_its_clients(model):
    need('haproxy')
    server = tell('-m', model, '-v', '--proxy-protocol')
    for version, options in ((1, 'send-proxy'), (2, 'send-proxy-v2')):
        proxy = before(server, options)
        client = proxy.connect()
        same(answer(client), client.name, options)
        server.says(rf'PROXY with 127\.0\.0\.1:\d+: version {version} came, '
                    rf'for 127\.0\.0\.1:{client.name[1]}$')
        server.says(rf'begins: 127\.0\.0\.1:{client.name[1]} -> '
                    rf'127\.0\.0\.1:{proxy.port} via 127\.0\.0\.1:')
        server.says(rf'ends: 127\.0\.0\.1:{client.name[1]} -> ')
    server.is_well()


def test_haproxy_announces_over_ipv6():
    need('haproxy')
    server = tell('--proxy-protocol=::1')
    for options in ('send-proxy', 'send-proxy-v2'):
        proxy = before(server, options, socket.AF_INET6, '::1')
        client = proxy.connect()
        same(answer(client), client.name[:2], options)
    # IPv4 is not in the list: whoever comes so is a client.
    client = server.connect()
    same(answer(client), client.name, 'directly')
    server.is_well()


def test_haproxy_announces_over_a_unix_socket():
    need('haproxy')
    path = temporary() / 'naru'
    server = tell('--proxy-protocol=unix', '-v', f'unix:{path}')
    for options in ('send-proxy', 'send-proxy-v2'):
        proxy = before(server, options)
        client = proxy.connect()
        same(answer(client), client.name, options)
    server.says(r'via unix:\(unnamed\)')
    server.is_well()


def test_haproxy_adds_a_checksum_and_a_unique_number():
    need('haproxy')
    server = tell('-v', '--proxy-protocol')
    proxy = HAProxy('listen front\n bind {listen}\n'
                    ' unique-id-format u%ci-%cp\n'
                    f' server naru 127.0.0.1:{server.port} send-proxy-v2'
                    ' proxy-v2-options crc32c,unique-id\n')
    client = proxy.connect()
    same(answer(client), client.name)
    server.says('version 2 came')
    server.is_well()


def certificate(folder):
    """A certificate with its key in one file, as HAProxy reads it."""
    need('openssl')
    status, _, err = run('openssl', 'req', '-x509', '-newkey', 'ec', '-pkeyopt',
                         'ec_paramgen_curve:P-256', '-nodes', '-days', '2',
                         '-subj', '/CN=client of a test', '-keyout',
                         folder / 'key', '-out', folder / 'cert')
    same(status, 0, err)
    both = folder / 'both.pem'
    both.write_bytes((folder / 'cert').read_bytes()
                     + (folder / 'key').read_bytes())
    return both


def test_haproxy_tells_of_the_tls_of_its_clients():
    """HAProxy ends TLS and says what was agreed; all values are checked."""
    need('haproxy', 'openssl')
    both = certificate(temporary())
    server = tell('-v', '--proxy-protocol')
    proxy = HAProxy(f'listen front\n bind {{listen}} ssl crt {both} verify '
                    f'optional ca-file {both} alpn naru\n'
                    f' server naru 127.0.0.1:{server.port} send-proxy-v2'
                    ' proxy-v2-options ssl,cert-cn,ssl-cipher,cert-sig,'
                    'cert-key,authority,crc32c\n')
    status, out, err = run('openssl', 's_client', '-quiet', '-connect',
                           f'127.0.0.1:{proxy.port}', '-cert', both, '-key',
                           both, '-alpn', 'naru', '-servername', 'name.test',
                           data=b'hello\n')
    same(status, 0, err)
    said = re.match(ACK, out)
    assert said and said[1] == b'127.0.0.1', f'{out!r} {err}'
    server.says(rf'version 2 came, for 127\.0\.0\.1:{said[2].decode()}$')
    server.is_well()


def test_health_checks_of_haproxy_are_its_own():
    """A check announces nobody: LOCAL. The conversation is HAProxy's own."""
    need('haproxy')
    server = serve('-v', '--proxy-protocol', 'daytime')
    HAProxy('listen front\n bind {listen}\n'
            ' option tcp-check\n tcp-check connect send-proxy\n'
            ' tcp-check expect string UTC\n'
            f' server naru 127.0.0.1:{server.port} send-proxy-v2 check '
            'check-send-proxy inter 100ms\n')
    server.says(r'PROXY with 127\.0\.0\.1:\d+: version 2 came, for itself$')
    server.says(r'conversation \d+ begins: 127\.0\.0\.1:\d+ -> '
                rf'127\.0\.0\.1:{server.port}$')
    server.tell()
    server.end()


# HAProxy behind Naru.

SHOW = ('frontend back\n bind {listen} accept-proxy\n'
        ' http-request return content-type text/plain lf-string '
        '"%[src] %[src_port] %[dst] %[dst_port]\\n"\n')
GET = b'GET / HTTP/1.0\r\n\r\n'


def body(response):
    """The answer of an HAProxy that shows whom it talks with."""
    has(response.decode(), ' 200 ', '\r\n\r\n')
    return response.split(b'\r\n\r\n', 1)[1].decode().split()


@every_model
def test_relay_announces_its_clients_to_haproxy(model):
    need('haproxy')
    for version in ('v1', 'v2'):
        proxy = HAProxy(SHOW, mode='http')
        server = serve('-m', model, '--announce', version, '-v', '-p', '0',
                       'localhost', f'relay=127.0.0.1:{proxy.port}')
        client = server.connect()
        same(body(client.exchange(GET)),
             [client.name[0], str(client.name[1]), '127.0.0.1',
              str(server.port)], version)
        server.says(rf'PROXY with 127\.0\.0\.1:{proxy.port}: version '
                    rf'{version[1]} sent, for 127\.0\.0\.1:{client.name[1]}$')
        # One family is announced over a connection of another.
        client = server.connect('::1')
        same(body(client.exchange(GET)),
             ['::1', str(client.name[1]), '::1', str(server.port)], version)
        server.is_well()


def test_relay_announces_unix_clients_to_haproxy():
    """They have no address that HAProxy shows; it takes them all the same."""
    need('haproxy')
    for version in ('v1', 'v2'):
        proxy = HAProxy(SHOW, mode='http')
        path = temporary() / 'naru'
        server = serve('--announce', version, f'unix:{path}',
                       f'relay=127.0.0.1:{proxy.port}')
        has(server.connect().exchange(GET).decode(), ' 200 ')
        server.is_well()


@every_model
def test_clients_are_passed_on_through_two_relays(model):
    """HAProxy, a relay, another relay, the server: all know the client."""
    need('haproxy')
    server = tell('-m', model, '--proxy-protocol')
    inner = serve('-m', model, '--proxy-protocol', '--announce', 'v1', '-p',
                  '0', 'localhost', f'relay=127.0.0.1:{server.port}')
    outer = serve('-m', model, '--proxy-protocol', '--announce', 'v2', '-p',
                  '0', 'localhost', f'relay=127.0.0.1:{inner.port}')
    client = before(outer, 'send-proxy-v2').connect()
    same(answer(client), client.name)
    for each in (outer, inner, server):
        each.is_well()


@only(['fiber', 'thread'])
def test_call_speaks_for_itself(model):
    need('haproxy')
    proxy = HAProxy(SHOW, mode='http')
    for version in ('v1', 'v2'):
        status, out, err = run(NARU, 'call', '-v', '--proxy-protocol', version,
                               f'127.0.0.1:{proxy.port}', data=GET)
        same(status, 0, err)
        own = matches(err, r'connected: 127\.0\.0\.1:(\d+) -> ')[1]
        matches(err, rf'version {version[1]} sent, for itself$')
        same(body(out), ['127.0.0.1', own, '127.0.0.1', str(proxy.port)])
    server = tell('-m', model, '--proxy-protocol')
    for version in ('v1', 'v2'):
        status, out, err = run(NARU, 'call', '-v', '--proxy-protocol', version,
                               f'127.0.0.1:{server.port}', data=b'hello')
        same(status, 0, err)
        own = matches(err, r'connected: 127\.0\.0\.1:(\d+) -> ')[1]
        same(re.match(ACK, out)[2].decode(), own)
    server.is_well()


# Others.

@every_model
def test_curl_announces_itself_and_programs_know(model):
    need('curl')
    server = serve('-m', model, '--proxy-protocol', '--', 'sh', '-c',
                   r'read -r _; printf "HTTP/1.0 200 OK\r\n\r\n'
                   r'$PROTO $TCPREMOTEIP $TCPREMOTEPORT $TCPLOCALPORT"')
    for host in ('127.0.0.1', '[::1]'):
        status, out, err = run('curl', '-sS', '--haproxy-protocol', '-w',
                               '\n%{local_ip} %{local_port}',
                               f'http://{host}:{server.port}/')
        same(status, 0, err)
        seen, own = out.decode().split('\n')
        same(seen, f'TCP {own} {server.port}', host)
    server.is_well()


def test_programs_know_the_client_and_no_process_of_its():
    """Over a unix socket, from a client that has an IP address."""
    path = temporary() / 'naru'
    server = serve('--proxy-protocol', f'unix:{path}', '--', 'sh', '-c',
                   'echo $PROTO $TCPREMOTEIP $TCPREMOTEPORT $TCPLOCALIP '
                   '$TCPLOCALPORT $UNIXREMOTEPID')
    peer = server.connect()
    peer.send(v2(IPV4))
    same(peer.rest(), b'TCP 192.0.2.1 4711 192.0.2.2 80\n')
    peer.close()
    server.is_well()
    # And from one that is announced as a unix socket's.
    names = b'/run/client'.ljust(108, b'\0') + b'/run/server'.ljust(108, b'\0')
    server = serve('--proxy-protocol', '--', 'sh', '-c',
                   'echo $PROTO $UNIXREMOTEPATH $UNIXLOCALPATH '
                   '$UNIXREMOTEPID.')
    peer = server.connect()
    peer.send(v2(names, family=0x31))
    same(peer.rest(), b'UNIX /run/client /run/server .\n')
    peer.close()
    server.is_well()


def refused(server, data):
    """Fails unless who sends DATA is refused, whatever is left of it."""
    with contextlib.suppress(ConnectionResetError, BrokenPipeError):
        peer = server.connect()
        peer.send(data)
        same(peer.rest(), b'')


@every_model
def test_wrong_headers_are_refused_and_told(model):
    server = tell('-m', model, '-v', '--proxy-protocol=required')
    refused(server, b'GET / HTTP/1.1\r\n\r\n')
    server.says(r'PROXY with 127\.0\.0\.1:\d+: at byte 1: no PROXY header '
                r'begins so: the PROXY header is missing or wrong$')
    refused(server, b'PROXY TCP4 192.0.2.1 192.0.2.256 4711 80\r\n')
    server.says('at byte 22: this is not an IPv4 address: ')
    refused(server, v2(IPV4, b'\3\0\4abcd'))
    server.says('at byte 32: the checksum is wrong: ')
    assert 'conversation' not in server.said(), server.said()
    peer = server.connect()
    same(answer(peer, v2(IPV4) + b'hello'), ('192.0.2.1', 4711))
    server.is_well()


def accepted(server, number):
    """Waits until SERVER, which says each call, has accepted NUMBER."""
    until(lambda: len(re.findall(r'accept4?\(.* = \d', server.said()))
          >= number, server.said)


@only(['fiber', 'fiber-epoll', 'thread', 'process'])
def test_who_is_not_announced_yet_is_no_conversation(model):
    server = serve('-m', model, '-vv', '-c', 1, '--proxy-protocol',
                   '--handshake-timeout', '1h')
    silent = [server.connect() for _ in range(10)]
    for peer in silent[1:]:
        peer.send(b'PROXY TCP4 192.0')
    peer = server.connect()
    same(peer.exchange(v2(IPV4) + b'hello'), b'hello')
    accepted(server, 11)
    # Each is a conversation when it has been announced, one at a time.
    silent[0].send(b'PROXY UNKNOWN\r\n')
    same(silent[0].ask(b'first'), b'first')
    for peer in silent[1:3]:
        peer.send(b'.2.1 192.0.2.2 4711 80\r\nnext')
    until(lambda: server.said().count('came, for 192.0.2.1:4711') == 3,
          server.said)
    same(len(re.findall('conversation .* begins', server.said())), 2)
    same(silent[0].ask(b'still'), b'still')
    silent[0].close()
    # Which of them was quicker nobody says.
    waiting = {peer.sock: peer for peer in silent[1:3]}
    while waiting:
        sock = select.select(waiting, [], [], harness.PATIENCE)[0][0]
        peer = waiting.pop(sock)
        same(peer.read(4), b'next')
        peer.close()
    same(server.stop(), 0)


@only(['fiber', 'fiber-epoll', 'thread', 'process'])
def test_announced_client_is_told_that_there_is_no_place(model):
    server = serve('-m', model, '-vv', '-c', 1, '--proxy-protocol',
                   '--handshake-timeout', '2s')
    first, second = server.connect(), server.connect()
    accepted(server, 2)
    first.send(v2(IPV4))
    same(first.ask(b'hello'), b'hello')
    with contextlib.suppress(ConnectionResetError):
        second.send(v2(IPV4) + b'hello')
        same(second.rest(), b'')
    server.says(r'PROXY with 127\.0\.0\.1:\d+: no conversation ended in '
                'time: ')
    first.close()
    third = server.connect()
    same(third.exchange(v2(IPV4) + b'hello'), b'hello')
    same(server.stop(), 0)


def test_header_from_elsewhere_is_refused():
    server = tell('-v', '--proxy-protocol=required,192.0.2.0/24,::1')
    refused(server, v2(IPV4) + b'hello')
    server.says('nobody is to be announced from there: ')
    peer = server.connect('::1')
    same(answer(peer, v2(IPV4) + b'hello'), ('192.0.2.1', 4711))
    server.is_well()


def wrong_usage(*args):
    status, out, err = run(NARU, *args)
    same((status, out), (2, b''), args)
    return err


def test_what_cannot_be_read_is_told_with_its_place():
    has(wrong_usage('serve', '--proxy-protocol=10.0.0.0/33'),
        'naru serve: --proxy-protocol: "10.0.0.0/33": at byte 10: ')
    has(wrong_usage('serve', '--proxy-protocol=required,'),
        '--proxy-protocol: "": at byte 1: ')
    has(wrong_usage('serve', '--proxy-protocol=Required'),
        '"Required": at byte 1: this is not an IP address')
    has(wrong_usage('serve', '--announce', 'v3', 'relay=1'),
        "--announce: 'v3': there is no such version; there are v1, v2")
    has(wrong_usage('serve', '--announce', 'v1', 'echo'),
        '--announce: this is for the talk relay')
    for target in ('udp://127.0.0.1:1', 'localhost:1,udp://127.0.0.1:1'):
        has(wrong_usage('serve', '--announce', 'v2', f'relay={target}'),
            f"--announce: '{target}': PROXY headers stand before a stream, "
            'which UDP is not')
    for args in (['udp://127.0.0.1:1'],
                 ['--or', 'udp://127.0.0.1:1', '127.0.0.1:1']):
        has(wrong_usage('call', '--proxy-protocol', 'v2', *args),
            'naru call: --proxy-protocol: PROXY headers stand before a '
            'stream, which UDP is not\n')
    has(wrong_usage('call', '--proxy-protocol', '2'),
        "--proxy-protocol: '2': there is no such version")


def test_networks_without_their_sign_are_told():
    for networks in ('10.0.0.0/8', '2001:db8::/32,::1'):
        for more in ([], ['tcp://127.0.0.1:0']):
            has(wrong_usage('serve', '--proxy-protocol', networks, *more),
                f"naru serve: --proxy-protocol: '{networks}': networks follow "
                f'with "=": --proxy-protocol={networks}')
    # An endpoint is none, also one that has a slash or no letter.
    for endpoint in (f'unix:{temporary() / "naru"}', '127.0.0.1:0'):
        serve('--proxy-protocol', endpoint).is_well()


harness.main(globals())
