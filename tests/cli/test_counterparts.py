#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Real clients against `naru serve`, and `naru call` against real servers.

Each of them was written by somebody else, who knew nothing of Naru: what they
agree on with it is the protocol and not a shared mistake.
"""

import os
import re
import socket
import struct
import subprocess
import time
import urllib.request

import harness
from harness import (NARU, Skip, every_model, has, matches, need,
                     pattern, run, same, serve, spawn, temporary, until)

TEXT = b'a line\nand bytes \x00\xff\x80\r\n' * 2000
DAYTIME = r'^[A-Z][a-z]+day, [A-Z][a-z]+ \d\d, \d{4} \d\d:\d\d:\d\d-UTC\r\n$'
ACK = rb"^received well \('127\.0\.0\.1', (\d+)\)\n$"
CHARGEN = (bytes(range(32, 104)) + b'\r\n' + bytes(range(33, 105)) + b'\r\n')
ERA = 2208988800  # seconds from 1900 to 1970


def exchange(client, port, data):
    """What CLIENT prints that sends DATA and then its end."""
    status, out, err = run(*client, '127.0.0.1', port, data=data)
    same(status, 0, f'{client[0]}: {err}')
    return out


def beginning(client, port, size):
    """The first SIZE bytes that CLIENT prints, which is then cut off."""
    process = spawn(*client, '127.0.0.1', port, stdout=subprocess.PIPE)
    got = process.stdout.read(size)
    harness.sweep(process)
    return got


def check_time(got):
    same(len(got), 4, 'bytes of time')
    off = struct.unpack('>I', got)[0] - ERA - time.time()
    assert abs(off) < 60, f'{off} s off'


def talk_with(client, model):
    """Every talk with CLIENT, a program that is given a host and a port."""
    echo = serve('-m', model)
    same(exchange(client, echo.port, TEXT), TEXT, 'echo')
    same(exchange(client, echo.port, b''), b'', 'echo of nothing')
    relay = serve('-m', model, '-p', '0', 'localhost',
                  f'relay=127.0.0.1:{echo.port}')
    same(exchange(client, relay.port, TEXT), TEXT, 'relay')
    relay.is_well()
    echo.is_well()

    ack = serve('-m', model, '-v', 'ack')
    answer = exchange(client, ack.port, b'hello\n')
    port = re.search(ACK, answer)
    assert port, f'ack: {answer!r}'
    ack.says(rf'conversation 1 begins: 127\.0\.0\.1:{port[1].decode()} ->')
    ack.is_well()

    discard = serve('-m', model, '-v', 'discard')
    same(exchange(client, discard.port, TEXT), b'', 'discard')
    discard.says(rf'{len(TEXT)} bytes received, 0 bytes sent, .*: well')
    discard.is_well()

    chargen = serve('-m', model, '-v', 'chargen')
    same(beginning(client, chargen.port, len(CHARGEN)), CHARGEN, 'chargen')
    chargen.says('conversation 1 ends: ')
    chargen.is_well()

    daytime = serve('-m', model, 'daytime')
    matches(exchange(client, daytime.port, b'').decode(), DAYTIME)
    daytime.is_well()
    time_of_day = serve('-m', model, 'time')
    check_time(exchange(client, time_of_day.port, b''))
    time_of_day.is_well()


@every_model
def test_ncat_talks(model):
    need('ncat')
    talk_with(['ncat'], model)


@every_model
def test_socat_talks(model):
    need('socat')
    # It takes the two as one word; -t is how long it waits for an answer.
    talk_with(['sh', '-c', 'exec socat -t 60 STDIO "TCP:$0:$1"'], model)


@every_model
def test_openbsd_nc_talks(model):
    need('nc.openbsd')
    talk_with(['nc.openbsd', '-N'], model)


@every_model
def test_python_talks(model):
    echo = serve('-m', model)
    same(echo.connect().exchange(TEXT), TEXT, 'echo')
    same(echo.connect('::1').exchange(TEXT), TEXT, 'echo over IPv6')
    relay = serve('-m', model, f'relay=127.0.0.1:{echo.port}')
    big = pattern(3 << 20)
    same(relay.connect().exchange(big), big, 'relay')
    relay.is_well()
    echo.is_well()
    ack = serve('-m', model, 'ack')
    for host in ('127.0.0.1', '::1'):
        peer = ack.connect(host)
        peer.send(b'hello')
        same(peer.rest().decode(), "received well "
             f"('{host}', {peer.name[1]})\n", 'ack')
        peer.close()
    ack.is_well()
    discard = serve('-m', model, 'discard')
    same(discard.connect().exchange(big), b'', 'discard')
    discard.is_well()
    chargen = serve('-m', model, 'chargen')
    peer = chargen.connect()
    peer.send(b'what is sent means nothing')
    same(peer.read(len(CHARGEN)), CHARGEN, 'chargen')
    peer.close()
    chargen.is_well()
    daytime = serve('-m', model, 'daytime')
    matches(daytime.connect().exchange(b'').decode(), DAYTIME)
    daytime.is_well()
    time_of_day = serve('-m', model, 'time')
    check_time(time_of_day.connect().exchange(b''))
    time_of_day.is_well()


def benchmark(model, pipeline):
    need('redis-benchmark')
    clients = 1 if model == 'iterative' else 20
    server = serve('-m', model, '-w', 24)
    status, out, err = run('redis-benchmark', '-p', server.port, '-q', '-t',
                           'ping_mbulk', '-n', 20000, '-c', clients, '-P',
                           pipeline)
    same(status, 0, f'redis-benchmark: {out} {err}')
    matches(out.decode().replace('\r', '\n'),
            r'^PING_MBULK: \d+\.\d+ requests per second')
    server.is_well()


@every_model
def test_redis_benchmark_one_request_at_a_time(model):
    benchmark(model, 1)


@every_model
def test_redis_benchmark_pipelined(model):
    benchmark(model, 16)


def free_port():
    with socket.create_server(('127.0.0.1', 0)) as probe:
        return probe.getsockname()[1]


def ncat_server(*args, **options):
    """ncat, listening: (process, port). A free port may be lost to others
    before ncat has it."""
    need('ncat')
    for _ in range(20):
        port = free_port()
        log = open(temporary() / 'log', 'wb+')
        harness.at_end(log.close)
        process = spawn('ncat', '-v', '-l', *args, '127.0.0.1', port,
                        stderr=log, **options)

        def said():
            return os.pread(log.fileno(), 1 << 16, 0)
        until(lambda: b'Listening on' in said() or
              process.poll() is not None, said)
        if process.poll() is None:
            return process, port
    raise AssertionError('ncat found no port')


def socat_server(address, **options):
    """socat, listening: (process, port)."""
    need('socat')
    log = open(temporary() / 'log', 'wb+')
    harness.at_end(log.close)
    process = spawn('socat', '-t', 60, '-d', '-d',
                    'TCP-LISTEN:0,bind=127.0.0.1', address, stderr=log,
                    **options)
    port = until(lambda: re.search(rb'listening on .*:(\d+)',
                                   os.pread(log.fileno(), 1 << 16, 0)),
                 'socat does not listen')
    return process, int(port[1])


def check_call(port, data, answer, *options):
    status, out, err = run(NARU, 'call', *options, f'127.0.0.1:{port}',
                           data=data)
    same(out, answer, f'answer ({err})')
    same((status, err), (0, ''), 'naru call')


def test_call_to_ncat():
    port = ncat_server('-e', '/bin/cat')[1]
    # At the end of input ncat drops what its program has yet to say: the
    # answer is read before.
    call = spawn(NARU, 'call', f'127.0.0.1:{port}', stdin=subprocess.PIPE,
                 stdout=subprocess.PIPE)
    for _ in range(100):
        call.stdin.write(TEXT[:1000])
        call.stdin.flush()
        same(call.stdout.read(1000), TEXT[:1000], 'answer')
    call.stdin.close()
    same(call.stdout.read(), b'', 'end')
    same(call.wait(harness.PATIENCE), 0, 'naru call')


def test_call_to_socat():
    check_call(socat_server('EXEC:cat')[1], TEXT, TEXT)


def test_call_half_close_reaches_socat():
    # What counts can answer only after the end of input.
    port = socat_server('SYSTEM:"wc -c"')[1]
    check_call(port, TEXT, b'%d\n' % len(TEXT))


def test_call_goes_on_after_ncat_has_finished():
    server, port = ncat_server(stdout=subprocess.PIPE)
    check_call(port, TEXT, b'', '--half-open')
    same(server.stdout.read(), TEXT, 'what ncat printed')


def test_call_goes_on_after_socat_has_finished():
    server, port = socat_server('STDIO', stdout=subprocess.PIPE)
    check_call(port, TEXT, b'', '--half-open')
    same(server.stdout.read(), TEXT, 'what socat printed')


def git(*args, **options):
    env = dict(os.environ, GIT_CONFIG_GLOBAL='/dev/null',
               GIT_CONFIG_SYSTEM='/dev/null', GIT_CONFIG_COUNT='1',
               GIT_CONFIG_KEY_0='safe.directory', GIT_CONFIG_VALUE_0='*',
               GIT_TERMINAL_PROMPT='0')
    for name in ('AUTHOR', 'COMMITTER'):
        env[f'GIT_{name}_NAME'] = 'A U Thor'
        env[f'GIT_{name}_EMAIL'] = 'author@example.org'
    for name in ('GIT_DIR', 'GIT_WORK_TREE', 'GIT_INDEX_FILE'):
        env.pop(name, None)
    status, out, err = run('git', *args, env=env, **options)
    same(status, 0, f'git {args[0]}: {err}')
    return out


@every_model
def test_git_daemon_serves_git_clone(model):
    need('git')
    if not (os.path.exists('/usr/lib/git-core/git-daemon')):
        raise Skip('no git daemon')
    folder = temporary()
    origin = folder / 'base' / 'project'
    origin.mkdir(parents=True)
    git('init', '-q', origin)
    for number in range(30):
        (origin / f'file{number}').write_bytes(os.urandom(20000))
    git('-C', origin, 'add', '.')
    git('-C', origin, 'commit', '-q', '-m', 'all')
    env = dict(os.environ, GIT_CONFIG_COUNT='1',
               GIT_CONFIG_KEY_0='safe.directory', GIT_CONFIG_VALUE_0='*')
    server = serve('-m', model, '-v', '-p', '0', 'localhost', '--', 'git',
                   'daemon', '--inetd', '--export-all',
                   f'--base-path={folder}/base', folder / 'base', env=env)
    for copy in ('one', 'two'):
        git('clone', '-q', f'git://localhost:{server.port}/project',
            folder / copy)
        same(git('-C', folder / copy, 'rev-parse', 'HEAD'),
             git('-C', origin, 'rev-parse', 'HEAD'), 'HEAD')
        git('-C', folder / copy, 'fsck', '--strict')
    server.says('conversation 2 ends: .*: well')
    has(server.said(), 'ended: exit 0')
    server.is_well()


@every_model
def test_rsync_daemon_serves_rsync(model):
    need('rsync')
    folder = temporary()
    (folder / 'from').mkdir()
    for number in range(10):
        (folder / 'from' / f'file{number}').write_bytes(os.urandom(100000))
    (folder / 'conf').write_text(
        f'use chroot = no\n[files]\npath = {folder}/from\nread only = yes\n')
    server = serve('-m', model, '--', 'rsync', '--daemon',
                   f'--config={folder}/conf')
    status, _, err = run('rsync', '-a',
                         f'rsync://127.0.0.1:{server.port}/files/',
                         f'{folder}/to')
    same(status, 0, f'rsync: {err}')
    for file in (folder / 'from').iterdir():
        same((folder / 'to' / file.name).read_bytes(), file.read_bytes(),
             file.name)
    server.is_well()


@every_model
def test_micro_httpd_serves_http(model):
    program = '/usr/sbin/micro-httpd'
    if not os.path.exists(program):
        raise Skip('no micro-httpd')
    folder = temporary()
    body = os.urandom(300000)
    (folder / 'file.bin').write_bytes(body)
    server = serve('-m', model, '--', program, folder)
    for _ in range(2):
        with urllib.request.urlopen(
                f'http://127.0.0.1:{server.port}/file.bin',
                timeout=harness.PATIENCE) as answer:
            same(answer.read(), body, 'what HTTP brought')
    server.is_well()


def test_peers_over_unix_sockets():
    need('socat', 'nc.openbsd')
    for path in (f'unix:{temporary()}/s', f'unix:@naru-test-{os.getpid()}'):
        server = serve(path)
        name = path[len('unix:'):]
        if not name.startswith('@'):
            status, out, _ = run('nc.openbsd', '-N', '-U', name, data=TEXT)
            same((status, out), (0, TEXT), 'nc')
            status, out, _ = run('socat', '-t', 60, 'STDIO',
                                 f'UNIX-CONNECT:{name}', data=TEXT)
        else:
            status, out, _ = run('socat', '-t', 60, 'STDIO',
                                 f'ABSTRACT-CONNECT:{name[1:]}', data=TEXT)
        same((status, out), (0, TEXT), 'socat')
        server.is_well()


if __name__ == '__main__':
    harness.main(globals())
