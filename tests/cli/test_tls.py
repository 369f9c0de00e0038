#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""TLS: naru and the tools that others wrote, on both sides.

The certificates are made by the openssl command, once for all cases.
"""

import atexit
import contextlib
import os
import pathlib
import re
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import threading
import time

import harness
from harness import (HELPERS, NARU, Server, every_model, has, listener,
                     matches, need, only, pattern, run, same, serve, spawn,
                     temporary, until)

TEXT = b'a line\nand bytes \x00\xff\x80\r\n' * 2000
EC = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes']
EXAMPLES = pathlib.Path(sys.argv[3]) if len(sys.argv) > 3 else None
FORKING = ('fiber', 'fiber-epoll', 'fiber-isolated', 'thread', 'prefork',
           'process')


class Certificates:
    """A folder of them, made by an authority of its own."""

    def __init__(self):
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix='naru-tls-'))
        atexit.register(shutil.rmtree, self.dir)
        for name in 'ca', 'elsewhere':
            self.tool('req', '-x509', *EC, '-keyout', f'{name}.key', '-out',
                      f'{name}.pem', '-subj', f'/CN={name}', '-days', '30')
        self.make('server', 'localhost',
                  'DNS:localhost,IP:127.0.0.1,IP:::1')
        self.make('wild', 'wild.example', 'DNS:wild.example,DNS:*.wild.example')
        self.make('other', 'other.example', 'DNS:other.example')
        self.make('bare', 'localhost')
        self.make('expired', 'localhost', 'DNS:localhost', days=-1)
        self.make('foreign', 'localhost', 'DNS:localhost', by='elsewhere')
        self.make('client', 'alice', 'email:alice@example.org')
        self.make('stranger', 'mallory', by='elsewhere')
        self.tool('req', '-x509', *EC, '-keyout', 'self.key', '-out',
                  'self.pem', '-subj', '/CN=localhost', '-addext',
                  'subjectAltName=DNS:localhost', '-days', '30')

    def tool(self, *args):
        made = subprocess.run(['openssl', *args], cwd=self.dir,
                              capture_output=True, text=True, check=False)
        assert made.returncode == 0, made.stderr
        return made.stdout

    def make(self, name, subject, alternatives='', *, days=30, by='ca',
             key=EC):
        self.tool('req', '-new', *key, '-keyout', f'{name}.key', '-out',
                  f'{name}.csr', '-subj', f'/CN={subject}')
        (self.dir / f'{name}.ext').write_text(
            f'subjectAltName={alternatives}\n' if alternatives else '\n')
        self.tool('x509', '-req', '-in', f'{name}.csr', '-CA', f'{by}.pem',
                  '-CAkey', f'{by}.key', '-CAcreateserial', '-days',
                  str(days), '-extfile', f'{name}.ext', '-out',
                  f'{name}.pem')

    def __call__(self, name):
        return str(self.dir / name)

    def pair(self, name):
        return '--cert', self(f'{name}.pem'), '--key', self(f'{name}.key')

    def pin(self, name):
        """The digest of a certificate's public key, as curl has it too."""
        public = self.tool('x509', '-in', f'{name}.pem', '-noout', '-pubkey')
        made = subprocess.run(
            "openssl pkey -pubin -outform DER | openssl dgst -sha256 -binary"
            " | openssl base64 -A", shell=True, input=public.encode(),
            capture_output=True, check=True)
        return f'sha256//{made.stdout.decode()}'


_made = None


def certs():
    global _made
    need('openssl')
    if not _made:
        _made = Certificates()
    return _made


def secure(*args, name='server', talk='echo'):
    """`naru serve` over TLS, with a certificate."""
    return serve('-v', *certs().pair(name), *args, 'tls://localhost', talk)


def call(server, *args, data=b'hello\n', ca='ca', host='localhost'):
    """`naru call` to SERVER: (status, output, what it said)."""
    trust = ('--ca', certs()(f'{ca}.pem')) if ca else ()
    port = server if isinstance(server, int) else server.port
    return run(NARU, 'call', *trust, *args, f'tls://{host}:{port}', data=data)


def refused(server, why, *args, **options):
    """Fails unless `naru call` finds SERVER's certificate wrong, as WHY."""
    status, out, said = call(server, *args, **options)
    same((status, out), (1, b''), said)
    has(said, "the peer's certificate is not trusted", why)


def tls_client(certificate=None, ca='ca', **options):
    """How a client of Python's does TLS."""
    context = ssl.create_default_context(cafile=certs()(f'{ca}.pem'))
    if certificate:
        context.load_cert_chain(certs()(f'{certificate}.pem'),
                                certs()(f'{certificate}.key'))
    for name, value in options.items():
        setattr(context, name, value)
    return context


def connect(server, context=None, session=None, name='localhost'):
    sock = socket.create_connection(('127.0.0.1', server.port),
                                    harness.PATIENCE)
    harness.at_end(sock.close)
    made = (context or tls_client()).wrap_socket(
        sock, server_hostname=name, session=session)
    harness.at_end(made.close)
    return made


def ask(sock, data=b'hello\n'):
    sock.sendall(data)
    got = b''
    while len(got) < len(data):
        more = sock.recv(1 << 16)
        assert more, f'the end after {len(got)} bytes'
        got += more
    return got


def s_client(server, *args, data=b'', name='localhost'):
    """openssl s_client, whose output begins with what was agreed on."""
    return run('openssl', 's_client', '-connect', f'127.0.0.1:{server.port}',
               '-servername', name, '-CAfile', certs()('ca.pem'), *args,
               data=data)


# Both ends are ours.

@every_model
def test_call_and_serve_talk(model):
    server = secure('-m', model)
    for data in b'', b'hello\n', TEXT * 20:
        status, out, said = call(server, data=data)
        same((status, out), (0, data), said)
    server.says(r'conversation 1 ends.*: well')
    server.says(r'TLS with 127.0.0.1:\d+: TLSv1.3, TLS_[A-Z0-9_]+, for local')
    server.is_well()


def test_call_tells_of_the_peer():
    server = secure('--alpn', 'h2,echo')
    status, out, said = call(server, '-vv', '--alpn', 'other,echo')
    same((status, out), (0, b'hello\n'), said)
    has(said, 'TLSv1.3, cipher TLS_', 'protocol echo',
        'asked for localhost', 'certificate is of CN=localhost, verified',
        'issued by CN=ca')
    matches(said, r'valid until \d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$')
    server.is_well()


def test_no_protocol_in_common_is_refused():
    server = secure('--alpn', 'h2')
    status, _, said = call(server, '--alpn', 'smtp')
    same(status, 1)
    has(said, 'TLS failed', 'alert "no application protocol"')
    server.is_well()


def test_address_is_verified():
    server = secure()
    same(call(server, host='127.0.0.1')[:2], (0, b'hello\n'))
    other = secure(name='other')
    refused(other, 'made out to other.example, not to 127.0.0.1',
            host='127.0.0.1')


# Whom a client trusts.

def test_unknown_authority_is_refused():
    server = secure(name='foreign')
    refused(server, 'the certificate of CN=localhost is signed by nobody we '
            'trust: CN=elsewhere')
    refused(secure(), 'signed by nobody we trust: CN=ca', ca=None)
    server.says('the peer refuses: alert "unknown CA"')
    server.is_well()


def test_expired_certificate_is_refused():
    server = secure(name='expired')
    refused(server, 'the certificate of CN=localhost has expired on 20')
    server.says('the peer refuses: alert "certificate expired"')
    server.is_well()


def test_wrong_name_is_refused():
    refused(secure(name='other'), 'the certificate of CN=other.example is '
            'made out to other.example, not to localhost')
    refused(secure(), 'not to elsewhere.example', '--servername',
            'elsewhere.example')


def test_self_signed_certificate_is_refused_unless_it_is_trusted():
    server = secure(name='self')
    refused(server, 'the certificate of CN=localhost is self-signed')
    same(call(server, ca='self')[:2], (0, b'hello\n'))


def test_certificate_is_not_verified_where_nobody_wants_it():
    server = secure(name='expired')
    status, out, said = call(server, '-vv', '--verify', 'none')
    same((status, out), (0, b'hello\n'), said)
    has(said, 'certificate is of CN=localhost, not verified')


def test_pin_decides():
    server = secure()
    pin, other = certs().pin('server'), certs().pin('other')
    for pins in pin, f'{other};{pin}':
        same(call(server, '--pin', pins)[:2], (0, b'hello\n'))
    # Alone, of somebody whom nobody vouches for.
    same(call(server, '--pin', pin, '--verify', 'none', ca=None)[:2],
         (0, b'hello\n'))
    refused(server, 'has another key than those that are pinned', '--pin',
            other)
    refused(server, 'has another key than those that are pinned', '--pin',
            other, '--verify', 'none', ca=None)
    status, _, said = call(server, '--pin', 'sha256//abc')
    same(status, 2)
    has(said, 'a pin is sha256// and the base64 of 32 bytes')


# Whom a server trusts.

@only(('fiber', 'process'))
def test_client_certificates(model):
    server = secure('-m', model, '--ca', certs()('ca.pem'), '--verify',
                    'required')
    status, out, said = call(server, *certs().pair('client'))
    same((status, out), (0, b'hello\n'), said)
    server.says('with CN=alice$')
    for version in ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3:
        context = tls_client(maximum_version=version)
        with contextlib.suppress(ssl.SSLError, ConnectionError):
            ask(connect(server, context))
            raise AssertionError('served without a certificate')
    server.says('TLS with .*: the peer shows no certificate: '
                "the peer's certificate is not trusted")
    status, _, said = call(server)
    same(status, 1)
    has(said, 'the peer refuses: alert "certificate required"')
    status, _, said = call(server, *certs().pair('stranger'))
    same(status, 1)
    server.says('the certificate of CN=mallory is signed by nobody we trust:'
                ' CN=elsewhere')
    server.is_well()


def test_optional_client_certificate():
    server = secure('--ca', certs()('ca.pem'), '--verify', 'optional')
    same(call(server)[:2], (0, b'hello\n'))
    same(call(server, *certs().pair('client'))[:2], (0, b'hello\n'))
    server.says('with CN=alice$')
    same(call(server, *certs().pair('stranger'))[0], 1)
    server.is_well()


# Several names.

def test_certificate_is_chosen_by_name():
    server = secure(*certs().pair('wild'), *certs().pair('bare'),
                    *certs().pair('other'))
    for name, subject in (('localhost', 'localhost'),
                          ('wild.example', 'wild.example'),
                          ('a.wild.example', 'wild.example'),
                          ('OTHER.example', 'other.example'),
                          ('a.b.wild.example', 'localhost'),
                          ('unknown.example', 'localhost')):
        out = s_client(server, name=name)[1].decode()
        matches(out, rf'^subject=CN = {re.escape(subject)}$')
    server.is_well()


# Programs that others wrote.

@only(('fiber', 'fiber-epoll', 'thread', 'process'))
def test_clients_of_others(model):
    need('ncat', 'socat', 'curl')
    server = secure('-m', model)
    port, ca = server.port, certs()('ca.pem')
    clients = (
        ['openssl', 's_client', '-quiet', '-verify_quiet', '-no_ign_eof',
         '-verify_return_error', '-CAfile', ca, '-connect',
         f'localhost:{port}'],
        ['ncat', '--ssl-verify', '--ssl-trustfile', ca, 'localhost', port],
        ['socat', '-t', '20', '-', f'OPENSSL:localhost:{port},cafile={ca}'],
    )
    for client in clients:
        # s_client takes a Q at the beginning of a line for an order.
        out = run(*client, data=b'x' * 5000 + b'\n')[1]
        if client[0] != 'openssl':
            same(out, b'x' * 5000 + b'\n', client[0])
    server.is_well()


def test_s_client_hears_every_byte():
    server = secure()
    with subprocess.Popen(
            ['openssl', 's_client', '-quiet', '-verify_quiet', '-connect',
             f'localhost:{server.port}', '-CAfile', certs()('ca.pem')],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL) as client:
        data = pattern(3_000_000)
        feeder = threading.Thread(target=lambda: client.stdin.write(data))
        feeder.start()
        got = b''
        while len(got) < len(data):
            more = client.stdout.read1(1 << 16)
            assert more, f'the end after {len(got)} bytes'
            got += more
        feeder.join()
        same(got, data)
        client.kill()


def test_curl_fetches_over_tls():
    need('curl')
    body = b'hello from naru\n'
    answer = temporary() / 'answer'
    answer.write_bytes(b'HTTP/1.0 200 OK\r\nContent-Length: %d\r\n\r\n%s'
                       % (len(body), body))
    server = serve('-v', *certs().pair('server'), 'tls://localhost', '--',
                   'cat', str(answer))
    status, out, said = run('curl', '-sS', '--cacert', certs()('ca.pem'),
                            f'https://localhost:{server.port}/')
    same((status, out), (0, body), said)
    status, _, said = run('curl', '-sS', f'https://localhost:{server.port}/')
    same(status, 60, said)
    server.is_well()


@only(('fiber', 'fiber-epoll', 'thread', 'process'))
def test_proxy_header_comes_before_the_handshake(model):
    need('curl')
    server = serve('-m', model, '-v', '--proxy-protocol',
                   *certs().pair('server'), 'tls://localhost', '--', 'sh',
                   '-c', 'read -r _; printf "HTTP/1.0 200 OK\\r\\n\\r\\n'
                   '$TCPREMOTEIP $TCPREMOTEPORT"')
    status, out, said = run('curl', '-sS', '--cacert', certs()('ca.pem'),
                            '--haproxy-protocol', '-w',
                            '\n%{local_ip} %{local_port}',
                            f'https://localhost:{server.port}/')
    same(status, 0, said)
    seen, own = out.decode().split('\n')
    same(seen, own)
    # Without one, the handshake is no header.
    status, _, said = run('curl', '-sS', '--cacert', certs()('ca.pem'),
                          f'https://localhost:{server.port}/')
    assert status != 0, said
    server.is_well()


def s_server(*args):
    """openssl s_server that echoes lines backwards, and its port."""
    sock = listener()
    port = sock.getsockname()[1]
    sock.close()
    process = spawn('openssl', 's_server', '-accept', f'127.0.0.1:{port}',
                    '-cert', certs()('server.pem'), '-key',
                    certs()('server.key'), '-rev', *args,
                    stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    until(lambda: b'ACCEPT' in process.stdout.readline(), 'no s_server')
    return port


def test_servers_of_others():
    need('ncat', 'socat')
    port = s_server()
    for version in '-tls1_3', '-tls1_2':
        port = s_server(version)
        with spawn(NARU, 'call', '-vv', '--ca', certs()('ca.pem'),
                   f'tls://localhost:{port}', stdin=subprocess.PIPE,
                   stdout=subprocess.PIPE,
                   stderr=subprocess.PIPE) as process:
            process.stdin.write(b'olleh\n')
            process.stdin.flush()
            same(process.stdout.readline(), b'hello\n', version)
            process.stdin.close()
            said = process.stderr.read().decode()
            has(said, {'-tls1_3': 'TLSv1.3', '-tls1_2': 'TLSv1.2'}[version])
    sock = listener()
    port = sock.getsockname()[1]
    sock.close()
    spawn('socat', f'OPENSSL-LISTEN:{port},bind=127.0.0.1,reuseaddr,fork,'
          f'cert={certs()("server.pem")},key={certs()("server.key")},verify=0',
          'PIPE')
    until(lambda: call(port)[:2] == (0, b'hello\n'), 'socat does not answer')


# Sessions.

def resumes(server, context, session):
    sock = connect(server, context, session)
    same(ask(sock), b'hello\n')
    reused, session = sock.session_reused, sock.session
    sock.close()
    return reused, session


@only(FORKING)
def test_session_goes_on_in_every_worker(model):
    server = secure('-m', model)
    for version in ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3:
        context = tls_client(maximum_version=version)
        reused, session = resumes(server, context, None)
        same(reused, False)
        for _ in range(12):
            reused, session = resumes(server, context, session)
            same(reused, True, str(version))
    server.tell(signal.SIGHUP)
    server.says('certificates were read anew')
    for _ in range(12):
        reused, session = resumes(server, context, session)
        same(reused, True, 'after reading anew')
    server.says('TLSv1.2, .*, resumed')
    server.is_well()


def test_session_does_not_go_on_with_another_certificate():
    server = secure(*certs().pair('other'))
    context = tls_client()
    _, session = resumes(server, context, None)
    sock = connect(server, context, session, name='other.example')
    same(ask(sock), b'hello\n')
    same(sock.session_reused, False)


def test_client_goes_on_with_its_session():
    server = secure('-m', 'prefork')
    status, out, _ = run(HELPERS / 'secure', 'twice',
                         f'tls://localhost:{server.port}', certs()('ca.pem'))
    same((status, out), (0, b'whole\nhello\nresumed\nhello\n'))
    server.is_well()


# Certificates read anew.

def served_key(server):
    """The certificate that SERVER shows now."""
    sock = connect(server)
    try:
        return sock.getpeercert(binary_form=True)
    finally:
        sock.close()


@only(FORKING)
def test_certificates_are_read_anew_under_load(model):
    folder = temporary()
    for end in 'pem', 'key':
        shutil.copy(certs()(f'server.{end}'), folder / f'my.{end}')
    server = serve('-v', '-m', model, '--cert', folder / 'my.pem', '--key',
                   folder / 'my.key', 'tls://localhost')
    long = connect(server)
    same(ask(long), b'hello\n')
    before, wrong, done = served_key(server), [], threading.Event()

    def load():
        context = tls_client()
        while not done.is_set():
            try:
                sock = connect(server, context)
                same(ask(sock, TEXT), TEXT)
                sock.close()
            except Exception as error:  # told by the test's own thread
                wrong.append(repr(error))
                return

    threads = [threading.Thread(target=load) for _ in range(3)]
    for thread in threads:
        thread.start()
    try:
        # The key goes first, then the chain; each is put in place at once.
        for end in 'key', 'pem':
            shutil.copy(certs()(f'bare.{end}'), folder / f'new.{end}')
        for end in 'key', 'pem':
            os.replace(folder / f'new.{end}', folder / f'my.{end}')
        server.tell(signal.SIGHUP)
        server.says('certificates were read anew')

        def is_new():
            context = tls_client()
            context.check_hostname = False
            sock = connect(server, context)
            try:
                return sock.getpeercert(binary_form=True) != before
            finally:
                sock.close()
        # Every handshake from now on, whichever worker holds it.
        for _ in range(8):
            same(is_new(), True, 'an old certificate')
    finally:
        done.set()
        for thread in threads:
            thread.join()
    # The name of the new one stands in its subject alone, which Python does
    # not look at: whoever began afterwards has been refused, by himself.
    same([one for one in wrong if 'VERIFY' not in one], [])
    same(ask(long), b'hello\n', 'a conversation that runs')
    long.close()
    server.is_well()


def test_bad_files_change_nothing():
    folder = temporary()
    for end in 'pem', 'key':
        shutil.copy(certs()(f'server.{end}'), folder / f'my.{end}')
    server = serve('-v', '--cert', folder / 'my.pem', '--key',
                   folder / 'my.key', 'tls://localhost')
    (folder / 'my.pem').write_text('nothing\n')
    server.tell(signal.SIGHUP)
    server.says('my.pem: .*: TLS failed')
    server.says('the certificates stay as they were')
    same(call(server)[:2], (0, b'hello\n'))
    (folder / 'my.pem').unlink()
    server.tell(signal.SIGHUP)
    server.says('my.pem: No such file')
    same(call(server)[:2], (0, b'hello\n'))
    server.is_well()


def fails_to_start(why, *args, status=1):
    got, _, said = run(NARU, 'serve', *args, '-p', '0', 'tls://localhost')
    same(got, status, said)
    has(said, why)


def wrong_files():
    """What is given for a certificate, and what is said of it."""
    made = certs()
    cert, key = made('server.pem'), made('server.key')
    folder = temporary()
    broken = folder / 'broken.pem'
    broken.write_text('-----BEGIN CERTIFICATE-----\n!!!\n'
                      '-----END CERTIFICATE-----\n')
    torn = folder / 'torn.key'
    torn.write_text('-----BEGIN PRIVATE KEY-----\nMAAA\n'
                    '-----END PRIVATE KEY-----\n')
    (folder / 'empty').write_text('')
    no_cert = 'it holds no certificate in PEM'
    unread = 'what is in it cannot be read: '
    yield ('--cert', '/nowhere', '--key', key), '/nowhere: No such file'
    for path in '/etc/passwd', '/dev/null', folder / 'empty', key:
        yield ('--cert', path, '--key', key), f'{path}: {no_cert}'
    yield ('--cert', folder, '--key', key), f'{folder}: Is a directory'
    yield ('--cert', broken, '--key', key), f'{broken}: {unread}'
    yield ('--cert', cert), f'{cert}: there is no private key in it'
    for path in cert, '/dev/null', '/etc/passwd':
        yield ('--cert', cert, '--key', path), \
            f'{path}: there is no private key in it'
    yield ('--cert', cert, '--key', '/nowhere'), '/nowhere: No such file'
    yield ('--cert', cert, '--key', folder), f'{folder}: Is a directory'
    yield ('--cert', cert, '--key', torn), f'{torn}: {unread}'
    made.make('large', 'large', key=['-newkey', 'rsa:2048', '-nodes'])
    for name in 'other', 'large':
        yield ('--cert', cert, '--key', made(f'{name}.key')), \
            f"{made(f'{name}.key')}: this is not the certificate's key"
    made.tool('ec', '-in', 'server.key', '-aes128', '-passout',
              'pass:secret', '-out', 'locked.key')
    made.tool('pkcs8', '-topk8', '-in', 'server.key', '-passout',
              'pass:secret', '-out', 'sealed.key')
    for name in 'locked', 'sealed':
        path = made(f'{name}.key')
        yield ('--cert', cert, '--key', path), \
            f'{path}: the key is encrypted with a passphrase, which nobody ' \
            'is asked for'
    for path, why in (('/nowhere', 'No such file'), (key, no_cert),
                      ('/dev/null', no_cert), (folder, 'Is a directory'),
                      (broken, unread)):
        yield (*made.pair('server'), '--verify', 'required', '--ca', path), \
            f'{path}: {why}'


def test_files_that_cannot_be_used():
    fails_to_start('--cert FILE', status=2)
    fails_to_start('it belongs to a --cert', '--key', certs()('server.key'),
                   status=2)
    for args, why in wrong_files():
        fails_to_start(why, *args)


def test_option_is_named_that_a_file_is_of():
    """Nobody is called: nobody listens there."""
    cert, folder = certs()('server.pem'), temporary()
    for args, why in (
            (('--ca', '/nope.pem'), '--ca /nope.pem: No such file'),
            (('--ca', certs()('server.key')), '--ca ' +
             certs()('server.key') + ': it holds no certificate in PEM'),
            (('--ca', folder), f'--ca {folder}: Is a directory'),
            (('--cert', cert), f'--cert {cert}: there is no private key in '
             'it; give --key FILE'),
            (('--cert', cert, '--key', '/nope'), '--key /nope: No such file'),
            (('--cert', cert, '--key', certs()('other.key')), '--key ' +
             certs()('other.key') + ": this is not the certificate's key")):
        status, out, said = run(NARU, 'call', *args, 'tls://127.0.0.1:1')
        same((status, out), (1, b''), said)
        matches(said, rf'\Anaru call: {re.escape(why)}')
        assert 'failed' not in said, said
    fails_to_start(f'naru serve: --cert {cert}: there is no private key in '
                   'it; give --key FILE\n', '--cert', cert)
    fails_to_start('naru serve: --key /nope: No such file or directory\n',
                   '--cert', cert, '--key', '/nope')
    # The second pair's.
    fails_to_start('naru serve: --key /nope: No such file or directory\n',
                   *certs().pair('server'), '--cert', cert, '--key', '/nope')


def test_tls_that_nobody_would_talk_under_is_refused():
    """Whoever gives certificates does not want to talk in the clear."""
    ca = ('--ca', certs()('ca.pem'))
    pair = certs().pair('server')
    for args, option in (
            (('serve', *pair, '-p', '0', 'localhost'), '--cert'),
            (('serve', *ca, *pair, f'unix:{temporary() / "socket"}'), '--ca'),
            (('serve', '--alpn', 'h2', *pair, 'udp://localhost:0'), '--alpn'),
            (('serve', *pair, '-p', '0', '--', 'cat'), '--cert'),
            (('call', *ca, 'localhost:1'), '--ca'),
            (('call', '--verify', 'none', *ca, 'tcp://localhost:1'),
             '--verify'),
            (('call', '--servername', 'x', 'localhost:1', '--or',
              'unix:/nowhere'), '--servername')):
        status, out, said = run(NARU, *args)
        same((status, out), (2, b''), said)
        same(said, f'naru {args[0]}: {option}: no endpoint is tls://\n')
    # One of several will do.
    server = secure()
    status, out, said = run(NARU, 'call', *ca, '127.0.0.1:1', '--or',
                            f'tls://localhost:{server.port}', data=b'hello\n')
    same((status, out), (0, b'hello\n'), said)
    fails_to_start('--servername: this is for who calls', *pair,
                   '--servername', 'x', status=2)


def test_dial_looks_at_its_files_before_it_calls():
    """The first event of the dial is the error."""
    folder = temporary()
    for path, why, name in (('/nowhere', '/nowhere', 'ENOENT'),
                            (folder, folder, 'EISDIR'),
                            (certs()('ca.key'), certs()('ca.key') +
                             ': it holds no certificate in PEM',
                             'NARU_ETLS')):
        for endpoint in 'tls://127.0.0.1:1', 'tcp://127.0.0.1:1':
            status, out, _ = run(HELPERS / 'secure', 'check', endpoint, path)
            same(status, 1)
            has(out.decode(), f'{why}: {name}\n', f'read TLS: {why}\n{name}')
    status, out, _ = run(HELPERS / 'secure', 'check', 'tls://127.0.0.1:1',
                         certs()('ca.pem'))
    matches(out.decode(), r'\A: \w+\n\d+ socket: .*\nECONNREFUSED$')


# Whoever does not do as he should.

@only(('fiber', 'fiber-epoll', 'pool'))
def test_what_is_no_tls_is_refused(model):
    server = secure('-m', model)
    for data in b'GET / HTTP/1.0\r\n\r\n', b'\x16\x03\x01' + b'\xff' * 600, \
            b'\x00' * 100, bytes(range(256)) * 100:
        peer = server.connect()
        with contextlib.suppress(OSError):
            peer.send(data)
            peer.finish()
            peer.rest()
    until(lambda: server.said().count('TLS failed') >= 4, server.said)
    has(server.said(), 'what the peer sends is not TLS')
    assert 'begins' not in server.said(), server.said()
    same(call(server)[:2], (0, b'hello\n'))
    server.is_well()


def hello():
    """What a client says first."""
    coming, going = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = tls_client().wrap_bio(coming, going,
                                   server_hostname='localhost')
    with contextlib.suppress(ssl.SSLWantReadError):
        client.do_handshake()
    return going.read()


@only(('fiber', 'fiber-epoll', 'thread'))
def test_half_a_handshake_ends_in_time(model):
    server = secure('-m', model, '--handshake-timeout', '300ms')
    first = hello()
    for part in b'', first[:1], first[:100], first:
        began = time.monotonic()
        peer = server.connect()
        peer.send(part)
        with contextlib.suppress(ConnectionError):
            peer.rest()
        assert 0.25 < time.monotonic() - began < 5, 'not in time'
    until(lambda: server.said().count('the handshake took too long') == 4,
          server.said)
    assert 'begins' not in server.said(), server.said()
    server.is_well()


@every_model
def test_drain_does_not_wait_for_a_handshake(model):
    server = serve('-vv', '-m', model, *certs().pair('server'), '--drain',
                   '1h', 'tls://localhost')
    peer = server.connect()
    server.says(r'accept4?\(')
    began = time.monotonic()
    same(server.stop(), 0, f'exit status: {server.said()}')
    assert time.monotonic() - began < 5, 'it waits for a peer'
    with contextlib.suppress(ConnectionError):
        same(peer.rest(), b'')
    assert not re.search(r'conversation \d+ begins', server.said()), \
        server.said()


def test_handshake_that_comes_byte_by_byte():
    server = secure()
    coming, going = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = tls_client().wrap_bio(coming, going,
                                   server_hostname='localhost')
    peer = server.connect()
    peer.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def step(action):
        while True:
            try:
                return action()
            except ssl.SSLWantReadError:
                flush()
                coming.write(peer.sock.recv(1))

    def flush():
        for byte in going.read():
            peer.send(bytes([byte]))

    step(client.do_handshake)
    client.write(b'hello\n')
    flush()
    got = b''
    while len(got) < 6:
        got += step(lambda: client.read(6))
    same(got, b'hello\n')
    peer.close()
    server.is_well()


def test_renegotiation_is_refused():
    server = secure()
    with subprocess.Popen(
            ['openssl', 's_client', '-tls1_2', '-connect',
             f'localhost:{server.port}', '-CAfile', certs()('ca.pem')],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT) as client:
        client.stdin.write(b'R\n')
        client.stdin.flush()
        said = client.stdout.read().decode(errors='replace')
        assert client.wait(harness.PATIENCE) != 0
    has(said, 'no renegotiation')
    same(call(server)[:2], (0, b'hello\n'))
    server.is_well()


@only(('fiber', 'fiber-epoll', 'thread'))
def test_keys_are_updated(model):
    """A K asks the other side to answer with new keys of its own."""
    server = secure('-m', model)
    with subprocess.Popen(
            ['openssl', 's_client', '-tls1_3', '-connect',
             f'localhost:{server.port}', '-CAfile', certs()('ca.pem')],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT) as client:
        os.set_blocking(client.stdout.fileno(), False)
        seen = b''

        def heard(word):
            nonlocal seen
            seen += client.stdout.read() or b''
            return word in seen
        until(lambda: heard(b'Verify return code: 0'), lambda: str(seen))
        for i in range(20):
            client.stdin.write(b'K\n')
            client.stdin.flush()
            until(lambda: heard(b'KEYUPDATE'), lambda: str(seen[-300:]))
            word, seen = b'answer %d\n' % i, b''
            client.stdin.write(word)
            client.stdin.flush()
            until(lambda: heard(word), lambda: str(seen[-300:]))
            seen = b''
        client.kill()
    server.is_well()


def test_flood_of_key_updates_starves_nobody():
    """What is no data keeps OpenSSL reading for as long as it comes."""
    server = secure('-w', '1')
    with subprocess.Popen(
            ['openssl', 's_client', '-tls1_3', '-connect',
             f'localhost:{server.port}', '-CAfile', certs()('ca.pem')],
            stdin=subprocess.PIPE, stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL) as client:
        def flood():
            # OpenSSL takes no more than some: then the client ends.
            with contextlib.suppress(BrokenPipeError):
                for _ in range(3000):
                    client.stdin.write(b'k\n')
                    client.stdin.flush()
        thread = threading.Thread(target=flood)
        thread.start()
        for _ in range(10):
            same(call(server)[:2], (0, b'hello\n'))
        thread.join()
        client.kill()
        with contextlib.suppress(BrokenPipeError):
            client.stdin.close()
    server.is_well()


@only(('fiber', 'fiber-epoll', 'thread'))
def test_sender_that_waits_does_not_stop_the_receiver(model):
    """chargen sends to a peer that takes nothing, and takes all that it
    says."""
    server = secure('-m', model, talk='chargen')
    sock = connect(server)
    sock.settimeout(harness.PATIENCE)
    for _ in range(400):
        sock.sendall(bytes(16384))
    has(sock.recv(1000).decode(), ' !"#')
    sock.close()
    server.tell(signal.SIGTERM)
    server.end()


# The limit on conversations: who is being opened is none of them yet.

COUNTING = ('fiber', 'fiber-epoll', 'thread', 'process')


def counted(server):
    """The most conversations that there were at once, as SERVER's log has it,
    and how many there were."""
    now = most = 0
    for word in re.findall(r'conversation \d+ (begins|ends)', server.said()):
        now += 1 if word == 'begins' else -1
        most = max(most, now)
    return most, len(re.findall(r'conversation \d+ begins', server.said()))


def says_times(server, pattern, times):
    """Waits until SERVER's log has PATTERN so many times."""
    until(lambda: len(re.findall(pattern, server.said(), re.M)) >= times,
          lambda: f'/{pattern}/ is not {times} times in:\n{server.said()}')


def accepted(server, number):
    """Waits until SERVER, which says each call, has accepted NUMBER."""
    says_times(server, r'accept4?\(.* = \d', number)


@only(COUNTING)
def test_silent_strangers_keep_nobody_out(model):
    server = serve('-vv', '-m', model, '-c', 1, '--handshake-timeout', '1h',
                   *certs().pair('server'), 'tls://localhost')
    for number in 1, 10:
        for _ in range(number):
            server.connect()
        for _ in range(2):
            status, out, said = call(server)
            same((status, out), (0, b'hello\n'), said)
    assert 'accepting pauses' not in server.said(), server.said()
    same(counted(server), (1, 4))
    same(server.stop(), 0)


@only(COUNTING)
def test_who_has_been_opened_waits_for_a_place(model):
    server = serve('-vv', '-m', model, '-c', 1, *certs().pair('server'),
                   'tls://localhost')
    # Both are accepted before either is a conversation.
    first, second = server.connect(), server.connect()
    accepted(server, 2)
    context = tls_client()
    first, second = (
        context.wrap_socket(peer.sock, server_hostname='localhost',
                            do_handshake_on_connect=False)
        for peer in (first, second))
    for sock in first, second:
        harness.at_end(sock.close)
    first.do_handshake()
    same(ask(first), b'hello\n')
    second.do_handshake()
    says_times(server, r'TLS with 127.0.0.1:\d+: TLSv1.3', 2)
    second.sendall(b'my turn\n')
    same(counted(server), (1, 1))
    same(ask(first, b'still\n'), b'still\n')
    # One that comes now is not even accepted.
    third = server.connect()
    server.says('accepting pauses, .*as many conversations as there may be')
    first.close()
    same(second.recv(100), b'my turn\n')
    same(counted(server), (1, 2))
    second.close()
    third.close()
    same(server.stop(), 0)


def opened(server, count):
    """COUNT connections whose handshake is over, of which the first has a
    conversation of the one that there may be."""
    peers = [server.connect() for _ in range(count)]
    accepted(server, count)
    socks = []
    for number, peer in enumerate(peers, 1):
        sock = tls_client().wrap_socket(peer.sock, server_hostname='localhost')
        harness.at_end(sock.close)
        if number == 1:
            same(ask(sock), b'hello\n')
        says_times(server, r'TLS with 127.0.0.1:\d+: TLSv1.3', number)
        socks.append(sock)
    return socks


@only(COUNTING)
def test_wait_for_a_place_has_an_end(model):
    server = serve('-vv', '-m', model, '-c', 1, '--handshake-timeout', '3s',
                   *certs().pair('server'), 'tls://localhost')
    socks = opened(server, 4)
    says_times(server, r'TLS with 127.0.0.1:\d+: no conversation ended in '
               'time: .*', 3)
    for sock in socks[1:]:
        with contextlib.suppress(ConnectionError):
            same(sock.recv(100), b'')
    same(ask(socks[0], b'still\n'), b'still\n')
    socks[0].close()
    # No place has been lost.
    server.says('conversation 1 ends')
    same(call(server)[:2], (0, b'hello\n'))
    same(counted(server)[0], 1)
    same(server.stop(), 0)


@only(COUNTING)
def test_limit_holds_under_a_burst(model):
    server = serve('-v', '-m', model, '-c', 3, '--handshake-timeout', '1h',
                   *certs().pair('server'), 'tls://localhost')
    context, wrong = tls_client(), []

    def talk(number):
        try:
            sock = connect(server, context)
            same(ask(sock, b'%d\n' % number), b'%d\n' % number)
            sock.close()
        except Exception as error:  # told by the test's own thread
            wrong.append(repr(error))

    threads = [threading.Thread(target=talk, args=[i]) for i in range(50)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(harness.PATIENCE)
    same(wrong, [])
    says_times(server, r'conversation \d+ ends', 50)
    most, served = counted(server)
    assert most <= 3 and served == 50, f'{most} at once of {served}'
    same(call(server)[:2], (0, b'hello\n'))
    same(server.stop(), 0)


@only(COUNTING)
def test_failed_handshakes_leak_no_place(model):
    server = serve('-v', '-m', model, '-c', 1, *certs().pair('server'),
                   'tls://localhost')
    for number in range(1, 81):
        peer = server.connect()
        peer.send(b'this is not TLS\n')
        peer.reset()
        if number % 20 == 0:
            same(call(server)[:2], (0, b'hello\n'))
    same(counted(server), (1, 4))
    same(server.stop(), 0)


@only(COUNTING)
def test_drain_does_not_wait_for_who_waits_for_a_place(model):
    server = serve('-vv', '-m', model, '-c', 1, '--drain', '1h',
                   '--handshake-timeout', '1h', *certs().pair('server'),
                   'tls://localhost')
    socks = opened(server, 4)
    server.tell()
    server.says('drain: 1 conversation has ')
    says_times(server, r'TLS with 127.0.0.1:\d+: the server stops', 3)
    for sock in socks[1:]:
        with contextlib.suppress(ConnectionError):
            same(sock.recv(100), b'')
    same(ask(socks[0], b'still\n'), b'still\n')
    socks[0].close()
    same(server.end(), 0)
    same(counted(server), (1, 1))


@only(COUNTING)
def test_second_signal_ends_who_waits_for_a_place(model):
    server = serve('-vv', '-m', model, '-c', 1, '--handshake-timeout', '1h',
                   *certs().pair('server'), 'tls://localhost')
    opened(server, 4)
    server.tell()
    server.says('drain: ')
    same(server.stop(), 1, server.said())


def test_killed_child_gives_back_its_place():
    server = serve('-vv', '-m', 'process', '-c', 1, '--handshake-timeout',
                   '1h', *certs().pair('server'), 'tls://localhost')
    socks = opened(server, 3)
    socks[1].sendall(b'my turn\n')
    holder, _, waiting = sorted(harness.children_of(server.pid))
    # Whoever waits has no place to give back, and nobody waits for it.
    harness.kill_quietly(waiting)
    server.says(rf'its worker {waiting} ended')
    harness.kill_quietly(holder)
    same(socks[1].recv(100), b'my turn\n')
    socks[1].close()
    same(call(server)[:2], (0, b'hello\n'))
    same(server.stop(), 0)


@only(COUNTING)
def test_bound_on_handshakes_leaves_clients_in_backlog(model):
    server = serve('-v', '-m', model, '-c', 1, '--handshake-timeout', '1h',
                   *certs().pair('server'), 'tls://localhost')
    silent = [server.connect() for _ in range(65)]
    server.says('accepting pauses, clients wait in the backlog: '
                r'as many handshakes as there may be \(EBUSY\)')
    silent[0].close()
    silent[1].close()
    same(call(server)[:2], (0, b'hello\n'))
    server.says('accepting resumes')
    same(server.stop(), 0)


# How it ends.

@every_model
def test_end_is_told_under_tls(model):
    """Python takes an end without close_notify for an error."""
    server = secure('-m', model, talk='daytime')
    sock = connect(server, tls_client())
    sock.suppress_ragged_eofs = False
    text = b''
    while more := sock.recv(1000):
        text += more
    has(text.decode(), '-UTC\r\n')
    server.says('conversation 1 ends.*: well')
    server.is_well()


@every_model
def test_end_is_told_to_who_does_not_tell_his(model):
    """ncat ends without a close_notify, and misses ours."""
    need('ncat')
    server = secure('-m', model)
    for _ in range(3):
        status, out, said = run('ncat', '--ssl', '127.0.0.1', server.port,
                                data=b'hello\n')
        same((status, out), (0, b'hello\n'), said)
    server.is_well()


def test_call_leaves_the_end_to_the_server():
    """A server to whom close_notify is the end of everything."""
    sock = listener()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certs()('server.pem'), certs()('server.key'))
    told = []

    def answer():
        peer, _ = sock.accept()
        peer = context.wrap_socket(peer, server_side=True)
        peer.recv(100)
        peer.sendall(b'all')
        peer.settimeout(0.3)
        try:
            told.append(peer.recv(100))
        except TimeoutError:
            told.append(None)
        peer.settimeout(harness.PATIENCE)
        peer.unwrap()

    thread = threading.Thread(target=answer)
    thread.start()
    status, out, said = call(sock.getsockname()[1], '--no-shutdown',
                             data=b'question')
    thread.join()
    same((status, out, told), (0, b'all', [None]), said)


def test_answer_to_who_has_finished_ends_under_tls():
    server = secure()
    sock = connect(server)
    same(ask(sock), b'hello\n')
    # unwrap() sends close_notify and waits for that of the peer.
    sock.unwrap()
    server.says('conversation 1 ends.*: well')
    server.is_well()


@only(('fiber', 'thread'))
def test_cut_stream_is_told(model):
    server = secure('-m', model)
    sock = connect(server)
    same(ask(sock), b'hello\n')
    raw = socket.socket(fileno=sock.detach())
    raw.close()
    server.says('conversation 1 ends.*NARU_ECUT')
    server.is_well()


def test_cut_stream_is_told_by_call():
    sock = listener()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certs()('server.pem'), certs()('server.key'))

    def answer():
        peer, _ = sock.accept()
        peer = context.wrap_socket(peer, server_side=True)
        peer.sendall(b'a part')
        # Whoever closes with bytes unread resets what he has sent himself.
        while peer.recv(100):
            pass
        socket.socket(fileno=peer.detach()).close()

    thread = threading.Thread(target=answer)
    thread.start()
    status, out, said = call(sock.getsockname()[1])
    thread.join()
    same((status, out), (1, b'a part'), said)
    has(said, "without TLS's close_notify")


# STARTTLS.

def start_server():
    return Server(command=[HELPERS / 'secure', 'serve',
                           certs()('server.pem'), certs()('server.key')])


def test_tls_begins_in_the_middle():
    server = start_server()
    peer = server.connect()
    same(peer.ask(b'hello\n'), b'hello\n')
    peer.send(b'STARTTLS\n')
    same(peer.read(3), b'go\n')
    sock = tls_client().wrap_socket(peer.sock, server_hostname='localhost')
    same(ask(sock), b'hello\n')
    sock.sendall(b'who\n')
    has(sock.recv(100).decode(), 'TLSv1.3 localhost')
    sock.unwrap()
    same(server.stop(), 0)


def test_call_begins_tls_in_the_middle():
    server = start_server()
    status, out, _ = run(HELPERS / 'secure', 'call',
                         f'tcp://localhost:{server.port}',
                         certs()('ca.pem'))
    same((status, out), (0, b'go\nTLSv1.3, verified\nhello\n'))
    status, out, _ = run(HELPERS / 'secure', 'call',
                         f'tcp://localhost:{server.port}',
                         certs()('elsewhere.pem'))
    same((status, out), (1, b'go\nNARU_ECERT\n'))
    same(server.stop(), 0)


def test_tls_does_not_begin_over_bytes_that_wait():
    """What was put behind STARTTLS by who stands between (CVE-2011-0411)."""
    server = start_server()
    peer = server.connect()
    peer.send(b'STARTTLS\nevil\n')
    same(peer.rest(), b'go\nEBUSY\n')
    peer.close()
    same(server.stop(), 0)


def test_client_does_not_begin_tls_over_bytes_that_wait():
    """The same on the other side (CVE-2021-38084 and its like)."""
    sock = listener()

    def answer():
        peer, _ = sock.accept()
        peer.recv(100)
        peer.sendall(b'go\nevil\n')
        peer.recv(100)
        peer.close()

    thread = threading.Thread(target=answer)
    thread.start()
    status, out, _ = run(HELPERS / 'secure', 'call',
                         'tcp://localhost:%d' % sock.getsockname()[1],
                         certs()('ca.pem'))
    thread.join()
    same((status, out), (1, b'go\nEBUSY\n'))


# Programs.

@every_model
def test_program_speaks_under_tls(model):
    data = pattern(1_000_000)
    server = serve('-v', '-m', model, *certs().pair('server'),
                   'tls://localhost', '--', 'sh', '-c', 'cat; echo end')
    status, out, said = call(server, data=data)
    same((status, out), (0, data + b'end\n'), said)
    server.says('program .* ended: exit 0')
    server.is_well()


# The example.

def test_example_greets_by_certificate():
    made = certs()
    sock = listener()
    port = sock.getsockname()[1]
    sock.close()
    example, ca = EXAMPLES / '07-tls', made('ca.pem')

    def greeting(name):
        return run(example, 'call', f'tls://localhost:{port}',
                   made(f'{name}.pem'), made(f'{name}.key'), ca)

    server = spawn(example, 'serve', f'tls://localhost:{port}',
                   made('server.pem'), made('server.key'), ca,
                   stderr=subprocess.PIPE)
    has(server.stderr.readline().decode(), 'listening on ')
    until(lambda: greeting('client')[:2] == (0, b'hello, alice\n'),
          'no greeting')
    server.send_signal(signal.SIGHUP)
    same(greeting('client')[:2], (0, b'hello, alice\n'))
    status, out, said = greeting('stranger')
    same((status, out), (1, b''), said)
    server.terminate()
    said = server.stderr.read().decode()
    same(server.wait(harness.PATIENCE), 0, said)
    has(said, 'CN=mallory is signed by nobody we trust: CN=elsewhere')


def test_example_says_what_it_cannot_use():
    made, example = certs(), EXAMPLES / '07-tls'
    files = made('server.pem'), made('server.key'), made('ca.pem')
    for role in 'serve', 'call':
        for endpoint in 'localhost:0', 'tcp://localhost:0', 'unix:/nowhere':
            status, out, said = run(example, role, endpoint, *files)
            same((status, out, said),
                 (1, b'', f'07-tls: {endpoint}: it has to begin with '
                  'tls://\n'))
        for at, path in enumerate(files):
            wrong = [*files]
            wrong[at] = '/nowhere'
            status, out, said = run(example, role, 'tls://localhost:1',
                                    *wrong)
            same((status, out), (1, b''), said)
            has(said, '07-tls: /nowhere: No such file or directory\n')


# What it costs.

def test_handshake_leaves_half_of_the_stack():
    """A whole chain of large keys, and a client's certificate."""
    made = certs()
    rsa = ['-newkey', 'rsa:4096', '-nodes']
    by = 'ca'
    for name in 'first', 'second':
        made.make(name, name, key=rsa, by=by)
        (made.dir / f'{name}.ext').write_text(
            'basicConstraints=critical,CA:true\n')
        made.tool('x509', '-req', '-in', f'{name}.csr', '-CA', f'{by}.pem',
                  '-CAkey', f'{by}.key', '-CAcreateserial', '-days', '30',
                  '-extfile', f'{name}.ext', '-out', f'{name}.pem')
        by = name
    for name, subject in ('large', 'localhost'), ('large-client', 'carol'):
        made.make(name, subject, 'DNS:localhost', key=rsa, by='second')
        chain = ''.join((made.dir / f'{one}.pem').read_text()
                        for one in (name, 'second', 'first', 'ca'))
        (made.dir / f'{name}.pem').write_text(chain)
    server = secure('--ca', made('ca.pem'), '--verify', 'required',
                    name='large')
    status, out, said = call(server, *made.pair('large-client'))
    same((status, out), (0, b'hello\n'), said)
    for version in '-tls1_2', '-tls1_3':
        run('openssl', 's_client', version, '-connect',
            f'localhost:{server.port}', '-cert', made('large-client.pem'),
            '-cert_chain', made('large-client.pem'), '-key',
            made('large-client.key'), '-CAfile', made('ca.pem'))
    server.says('conversation 3 ends')
    used = [float(one) for one in
            re.findall(r'stack ([\d.]+) of 120 KiB', server.said())]
    assert len(used) == 3 and max(used) < 60, used
    server.is_well()


if __name__ == '__main__':
    harness.main(globals())
