#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""`naru serve` as its manual page says it is: options, endpoints, log, end."""

import contextlib
import os
import pathlib
import re
import select
import signal
import socket
import time

import harness
from harness import (FIBERS, NARU, Skip, as_nobody, every_model,
                     every_parallel_model, has, is_sanitized, listener,
                     matches, need, only, pattern, run, same, serve,
                     session_of, temporary, until)


def usage_error(*args, names):
    """`naru serve ARGS` exits 2 with one line that has NAMES."""
    status, out, err = run(NARU, 'serve', *args)
    same((status, out), (2, b''), f'{args}: {err}')
    assert err.startswith('naru serve: ') and err.count('\n') == 1, err
    for name in names:
        assert name in err, f'{args}: no {name!r} in {err!r}'


def fails(*args, names, under=()):
    """`naru serve ARGS` exits 1 with one line that has NAMES."""
    status, out, err = run(*under, NARU, 'serve', '-1', *args)
    same((status, out), (1, b''), f'{args}: {err}')
    assert err.startswith('naru serve: ') and err.count('\n') == 1, err
    for name in names:
        assert name in err, f'{args}: no {name!r} in {err!r}'


def unix_path():
    return temporary() / 'socket'


def test_start_line_says_all():
    server = serve('-m', 'prefork', '-w', 3, '-b', 17, 'ack')
    port = server.port
    server.says(rf'^naru: talk to it with: .*call localhost:{port}\b')
    same(server.said().splitlines()[0],
         f'naru: listening on tcp://127.0.0.1:{port} and '
         f'tcp://[::1]:{port}: talk ack, model prefork, 3 workers, '
         'backlog 17', 'start')
    server.is_well()


def cores():
    return len(os.sched_getaffinity(0))


def has_io_uring():
    """Whether the server's own choice is io_uring here."""
    return ', io_uring, ' in serve('127.0.0.1').said()


def start_line(*args, **options):
    server = serve('127.0.0.1', *args, **options)
    line = server.said().splitlines()[0]
    same(server.connect().exchange(b'served'), b'served', line)
    server.is_well()
    return re.sub(r'.*: (talk .*), backlog \d+$', r'\1', line)


def test_fibers_are_the_default_and_a_thread_for_each_core():
    workers = f'{cores()} worker' + 's' * (cores() > 1)
    matches(start_line(), rf'^talk echo, model fiber, {workers}, '
            r'(io_uring|epoll( \(io_uring: .*\))?)$')


def threads(workers):
    server = serve('-w', workers, '-v')
    same(server.connect().exchange(b'x'), b'x')  # all have started
    server.says('conversation 1 ends')
    return len(os.listdir(f'/proc/{server.pid}/task'))


def test_workers_of_fibers_are_as_many_as_asked_for():
    matches(start_line('-w', 1), 'model fiber, 1 worker, ')
    same(threads(5) - threads(2), 3, 'threads')


def test_io_is_how_fibers_wait():
    same(start_line('-w', 2, '--io', 'epoll'),
         'talk echo, model fiber, 2 workers, epoll', 'start')
    if not has_io_uring():
        raise Skip('io_uring is not to be had here')
    same(start_line('-w', 2, '--io', 'uring'),
         'talk echo, model fiber, 2 workers, io_uring', 'start')


def test_isolated_fibers_are_said_to_be():
    for io in ('uring', 'epoll') if has_io_uring() else ('epoll',):
        matches(start_line('--isolate', '-w', 3, '--io', io),
                f'model fiber, 3 workers, isolated, (io_)?{io}$')


def without_io_uring(error):
    need('strace')
    return ['strace', '-f', '-q', '-o', '/dev/null', '-e', 'signal=none',
            '-e', 'trace=io_uring_setup',
            '-e', f'inject=io_uring_setup:error={error}']


def test_epoll_takes_the_place_of_io_uring_and_says_why():
    for error, text in (('EPERM', 'Operation not permitted'),
                        ('ENOSYS', 'Function not implemented')):
        same(start_line('-w', 2, under=without_io_uring(error)),
             f'talk echo, model fiber, 2 workers, epoll (io_uring: {text})',
             error)


def test_io_uring_that_was_asked_for_and_is_forbidden():
    # Leaks cannot be looked for in a process that is traced.
    env = dict(os.environ, ASAN_OPTIONS='detect_leaks=0')
    status, out, err = run(*without_io_uring('EPERM'), NARU, 'serve', '-1',
                           '-p', '0', '--io', 'uring', env=env)
    same((status, out, err),
         (1, b'', 'naru serve: --io uring: Operation not permitted\n'))


def test_descriptors_of_fibers_are_all_that_the_system_grants():
    # With no room for a twentieth conversation, if it were for the soft one.
    soft = 'exec prlimit --nofile=20:$(ulimit -Hn) "$0" "$@"'
    need('prlimit')
    server = serve('-v', under=['sh', '-c', soft])
    peers = [server.connect() for _ in range(50)]
    for peer in peers:
        same(peer.ask(b'in'), b'in')
    assert 'pauses' not in server.said(), server.said()


def test_programs_find_the_limit_on_descriptors_as_it_was():
    need('prlimit')
    server = serve('--', 'sh', '-c', 'ulimit -Sn',
                   under=['prlimit', '--nofile=100:'])
    same(server.connect().exchange(b''), b'100\n', 'soft limit')


def test_stall_is_told_of_without_being_asked():
    need('strace')
    slow = ['strace', '-f', '-q', '-o', '/dev/null', '-e', 'signal=none',
            '-e', 'trace=sendto,sendmsg',
            '-e', 'inject=sendto,sendmsg:delay_enter=300000:when=1']
    server = serve('127.0.0.1', under=slow)
    peer = server.connect()
    same(peer.ask(b'slow'), b'slow')
    # A sanitizer stands between the command and its calls.
    place = r'\S+' if is_sanitized() else r'naru\(\S+\)'
    took = int(server.says(
        rf'^naru: conversation 1 with 127\.0\.0\.1:{peer.name[1]} computed '
        rf'for (\d+) ms without waiting, before {place}: the others of its '
        r'thread had to wait$')[1])
    assert 290 <= took < 10000, f'{took} ms'
    peer.close()
    server.is_well()
    for args in (['--stall', 'never'], ['--stall', '1h'], ['-q']):
        server = serve('127.0.0.1', *args, under=slow)
        same(server.connect().exchange(b'slow'), b'slow')
        server.is_well()
        assert 'computed' not in server.said(), server.said()


def test_stall_is_told_of_while_it_lasts():
    need('strace')
    # For long: the machine may be busy, and is to tell of it meanwhile.
    server = serve('127.0.0.1', under=[
        'strace', '-f', '-q', '-o', '/dev/null', '-e', 'signal=none',
        '-e', 'trace=sendto,sendmsg',
        '-e', 'inject=sendto,sendmsg:delay_enter=4000000:when=1'])
    peer = server.connect()
    peer.send(b'slow')
    told = server.says(
        r'^naru: conversation 1 has computed for (\d+) ms and goes on without '
        r'waiting, in thread (\d+) of process (\d+): the others of its thread '
        r'have to wait$')
    same(int(told[3]), server.pid, 'process')
    assert told[2] in os.listdir(f'/proc/{server.pid}/task'), told[0]
    same(peer.read(4), b'slow')
    over = server.says(r'^naru: conversation 1 with .* computed for (\d{4}) ms '
                       'without waiting, before ')
    assert 100 <= int(told[1]) <= int(over[1]), (told[0], over[0])
    assert told.start() < over.start(), server.said()
    peer.close()
    server.is_well()


def test_overflow_of_a_stack_is_told_of():
    if is_sanitized():
        raise Skip('a sanitizer takes the signal, and other frames')
    server = serve('127.0.0.1', '--stack', '20K')
    same(server.connect().ask(b'small'), b'small')
    peer = server.connect()
    peer.send(pattern(100000))  # for which echo takes 16 KiB at once
    found = server.says(
        r'^naru: conversation 2 has exhausted its stack of (\d+) KiB: it '
        r'wrote (\d+) bytes deep; its process dies of it; --stack SIZE gives '
        r'more$')
    assert int(found[2]) > int(found[1]) * 1024 > 8192, found[0]
    same(server.end(), -signal.SIGSEGV, 'how it ended')
    server = serve('127.0.0.1', '--stack', '64K')
    same(server.connect().exchange(pattern(100000)), pattern(100000))
    server.is_well()


def test_overflow_ends_a_worker_of_isolated_fibers_only():
    if is_sanitized():
        raise Skip('a sanitizer takes the signal, and other frames')
    server = serve('127.0.0.1', '--isolate', '-w', 2, '--stack', '20K')
    stays, goes = server.connect(), server.connect()
    for peer in (stays, goes):
        same(peer.ask(b'in'), b'in')
    goes.send(pattern(100000))
    server.says('conversation 2 has exhausted its stack')
    server.says(r'conversation 2 lost: .*: killed by signal 11 ')
    same(stays.exchange(b'and goes on'), b'and goes on')
    stays.close()
    server.is_well()


def test_port_zero_is_shared_by_both_families():
    server = serve('localhost:0')
    same(server.endpoint, f'tcp://localhost:{server.port}', '-1')
    assert server.port > 0
    for host in ('127.0.0.1', '::1'):
        same(server.connect(host).ask(b'x'), b'x', host)


def test_wildcard_serves_all_addresses():
    for endpoint in ('*:0', ':0'):
        server = serve(endpoint)
        same(server.endpoint, f'tcp://*:{server.port}', '-1')
        for host in ('127.0.0.1', '127.0.0.7', '::1'):
            same(server.connect(host).ask(b'x'), b'x', host)


def check_families(server, works, refused):
    same(server.connect(works).ask(b'x'), b'x', works)
    with contextlib.suppress(ConnectionRefusedError):
        server.connect(refused)
        raise AssertionError(f'{refused} is served')


def test_4_is_ipv4_only():
    check_families(serve('-4'), '127.0.0.1', '::1')


def test_6_is_ipv6_only():
    check_families(serve('-6'), '::1', '127.0.0.1')


def test_port_option_is_the_port():
    # The port of a server that has gone is free for the next one.
    first = serve()
    first.is_well()
    server = serve('-p', first.port)
    same(server.port, first.port, 'port')
    server.is_well()
    server = serve('-p', first.port, '127.0.0.1', 'echo')
    same(server.endpoint, f'tcp://127.0.0.1:{first.port}', '-1')


def test_usage_errors_name_what_is_wrong():
    for args, names in (
            (['-m', 'fibre'], ['--model', 'fibre', 'prefork']),
            (['-w', '0'], ['--workers', "'0'", 'from 1']),
            (['-w', '010'], ['--workers', 'leading zeros']),
            (['-w', '10x'], ['--workers', "'x'"]),
            (['-w', '-3'], ['--workers', "'-3'"]),
            (['-b', ''], ['--backlog', 'empty']),
            (['-b', '99999999999999999999'], ['--backlog', 'too large']),
            (['-c', '0x10'], ['--max-conversations', 'x10']),
            (['-p', '65536'], ['--port', '65535']),
            (['-p', '1', 'localhost:2'], ['--port', 'localhost:2']),
            (['-p', '1', 'unix:/x'], ['--port', 'unix:/x']),
            (['--idle-timeout', '0'], ['--idle-timeout', 'at least']),
            (['--idle-timeout', '5 s'], ['--idle-timeout', "' s'"]),
            (['--idle-timeout', '9999999h'], ['--idle-timeout', 'year']),
            (['--message-timeout', '0'], ['--message-timeout', 'at least']),
            (['--write-timeout', '1x'], ['--write-timeout', "'x'"]),
            (['--servername', 'a'], ['--servername', 'naru call']),
            (['--drain', '1d'], ['--drain', "'d'"]),
            (['--io', 'poll'], ['--io', "'poll'", 'auto', 'uring', 'epoll']),
            (['--stall', '0'], ['--stall', 'at least']),
            (['--stall', 'Never'], ['--stall', "'Never'"]),
            (['--stack', '15K'], ['--stack', 'from 16K']),
            (['--stack', '2000M'], ['--stack', 'to 1048576K']),
            (['--stack', '1G'], ['--stack', "'G'", 'K or M']),
            (['--stack', '1KB'], ['--stack', "'KB'"]),
            (['--stack', '99999999999999999K'], ['--stack', 'too large']),
            (['--isolate=yes'], ['--isolate', 'no value']),
            (['-4', '-6'], ['-4', '-6']),
            (['-x'], ['-x', 'no such option']),
            (['--no-such'], ['--no-such', 'no such option']),
            (['--model'], ['--model', 'missing']),
            (['-w'], ['-w', 'missing']),
            (['--help=x'], ['--help', 'no value']),
            (['localhost', 'sing'], ['sing', 'no such talk']),
            (['localhost', 'relay'], ['relay', 'endpoint is missing']),
            (['relay=localhost:x'], ['relay', 'localhost:x']),
            (['localhost', 'echo', 'more'], ['more']),
            (['localhost', '--'], ['program', 'missing'])):
        usage_error(*args, names=names)


def test_unreadable_endpoints_name_place_and_reason():
    for endpoint, names in (
            ('localhost:65536', ['65536']),
            ('localhost:010', ['010']),
            ('localhost:7x', ['x']),
            ('[::1:7', ['[::1:7', ']']),
            ('::1:7', ['::1:7']),
            ('http://localhost', ['http']),
            ('tcp://', ['tcp://']),
            ('unix:', ['unix:']),
            ('unix:' + 'x' * 200, ['unix:'])):
        usage_error(endpoint, 'echo', names=[endpoint[:40], *names])


def test_help_goes_to_standard_output():
    for args in (['serve', '--help'], ['help', 'serve'], ['serve', '-h']):
        status, out, err = run(NARU, *args)
        same((status, err), (0, ''), str(args))
        has(out.decode(), 'usage: naru serve', 'tls://', 'udp://',
            'unix:@NAME', '--idle-timeout', 'prefork', 'chargen')


def test_name_that_does_not_resolve():
    fails('no-such-host.invalid:0', names=['no-such-host.invalid', 'name'])


def test_address_that_is_not_here():
    fails('192.0.2.1:0', names=['192.0.2.1', 'bind', 'ssign'])


def test_port_in_use():
    other = listener()
    port = other.getsockname()[1]
    fails(f'127.0.0.1:{port}', names=[str(port), 'bind', 'in use'])
    # One of two addresses is enough, and it is named.
    fails(f'localhost:{port}', names=['127.0.0.1', 'in use'])


def test_privileged_port_without_rights():
    limit = pathlib.Path('/proc/sys/net/ipv4/ip_unprivileged_port_start')
    if int(limit.read_text(encoding='ascii')) < 2:
        raise Skip('every port is anybody\'s')
    fails('127.0.0.1:1', names=['127.0.0.1:1', 'bind', 'ermission'],
          under=as_nobody())


def test_unix_socket_in_a_folder_of_others():
    path = unix_path()
    fails(f'unix:{path}', names=[str(path), 'bind', 'ermission'],
          under=as_nobody())
    assert not path.exists()


def test_unix_socket_serves_and_is_removed():
    path = unix_path()
    server = serve(f'unix:{path}')
    same(server.endpoint, f'unix:{path}', '-1')
    same(server.connect().exchange(b'over a path'), b'over a path')
    assert path.is_socket()
    server.is_well()
    assert not path.exists(), 'the file is left behind'


@every_model
def test_unix_socket_is_removed_under(model):
    path = unix_path()
    server = serve('-m', model, f'unix:{path}')
    same(server.connect().exchange(b'x'), b'x')
    assert path.is_socket(), 'a conversation took the file along'
    server.is_well()
    assert not path.exists(), 'the file is left behind'


def test_abstract_unix_socket_serves():
    server = serve(f'unix:@naru-test-{os.getpid()}')
    same(server.connect().exchange(b'no file'), b'no file')
    server.is_well()


def test_stale_unix_socket_is_replaced():
    path = unix_path()
    with socket.socket(socket.AF_UNIX) as gone:
        gone.bind(str(path))
    server = serve(f'unix:{path}')
    same(server.connect().exchange(b'x'), b'x')
    server.is_well()


def test_unix_socket_of_a_killed_server_is_replaced():
    path = unix_path()
    server = serve(f'unix:{path}')
    server.stop(signal.SIGKILL)
    assert path.is_socket()
    serve(f'unix:{path}').is_well()


def test_live_unix_socket_is_left_alone():
    path = unix_path()
    server = serve(f'unix:{path}')
    fails(f'unix:{path}', names=[str(path), 'in use'])
    same(server.connect().exchange(b'still here'), b'still here')
    server.is_well()


def test_file_that_is_no_socket_is_left_alone():
    path = unix_path()
    path.write_text('precious')
    fails(f'unix:{path}', names=[str(path), 'File exists'])
    same(path.read_text(), 'precious', 'the file')


def test_socket_of_a_successor_is_not_removed():
    path = unix_path()
    first = serve(f'unix:{path}')
    path.unlink()
    second = serve(f'unix:{path}')
    first.is_well()
    assert path.is_socket(), 'the first removed what the second made'
    same(second.connect().exchange(b'x'), b'x')


def queue_of(port):
    """How many wait at PORT, and how many may, as the system says."""
    out = run('ss', '-Hltn4', f'sport = :{port}')[1].split()
    return int(out[1]), int(out[2])


def test_backlog_overflow_makes_clients_wait():
    need('ss')
    server = serve('-m', 'iterative', '-b', 2, '-vv', '127.0.0.1')
    busy = server.connect()
    same(busy.ask(b'busy'), b'busy')
    waiting = [server.connect() for _ in range(3)]  # one more than asked for
    until(lambda: queue_of(server.port) == (3, 2), 'not full')
    # What comes now is dropped, and tried again by its own system.
    late = socket.socket()
    harness.at_end(late.close)
    late.setblocking(False)
    late.connect_ex(('127.0.0.1', server.port))
    assert not select.select([], [late], [], 0.3)[1], 'a fourth was queued'
    busy.close()
    for peer in waiting:
        same(peer.exchange(b'at last'), b'at last')
        peer.close()
    late.setblocking(True)
    peer = harness.Peer(late)
    same(peer.exchange(b'and me'), b'and me')
    # The second of the five was welcomed while two others waited.
    has(server.said(), 'listen(', ', 2) = 0', 'queues up to 2 of them',
        '(queue 2 of 2)')
    server.is_well()


@every_parallel_model
def test_limit_on_conversations_makes_clients_wait(model):
    server = serve('-m', model, '-c', 2, '-v')
    peers = [server.connect() for _ in range(2)]
    for peer in peers:
        same(peer.ask(b'in'), b'in')
    third = server.connect()
    third.send(b'hello')
    server.says('accepting pauses, .*as many conversations as there may be')
    assert not select.select([third.sock], [], [], 0.1)[0], 'three at once'
    peers[0].close()
    same(third.read(5), b'hello')
    peers[1].close()
    third.close()
    server.is_well()


@every_parallel_model
def test_workers_are_as_many_as_asked_for(model):
    server = serve('-m', model, '-w', 2)
    peers = [server.connect() for _ in range(2)]
    for peer in peers:
        same(peer.ask(b'in'), b'in')
    third = server.connect()
    third.send(b'x')
    if model in ('prefork', 'pool'):
        assert not select.select([third.sock], [], [], 0.1)[0], 'three'
        peers[0].close()
    same(third.read(1), b'x')


@every_model
def test_idle_timeout_ends_a_silent_peer(model):
    server = serve('-m', model, '--idle-timeout', '200ms', '-v')
    peer = server.connect()
    began = time.monotonic()
    same(peer.ask(b'x'), b'x')
    same(peer.rest(), b'', 'after the timeout')
    took = time.monotonic() - began
    assert 0.19 < took < 10, took
    peer.close()
    server.says(r'conversation 1 ends: .*timed out: .*\(ETIMEDOUT\)')
    server.is_well()


@every_model
def test_message_timeout_ends_a_trickle(model):
    server = serve('-m', model, '--message-timeout', '300ms', '--framing',
                   'u16', '-v')
    peer = server.connect()
    same(peer.ask(b'\0\5hello'), b'\0\5hello')
    peer.send(b'\0\xff')
    began, cut = time.monotonic(), False
    # A byte now and then, each well before the last one is long ago.
    while not cut and time.monotonic() - began < harness.PATIENCE:
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            peer.send(b'x')
        cut = bool(select.select([peer.sock], [], [], 0.02)[0])
    took = time.monotonic() - began
    assert cut and 0.29 < took < 4, took
    peer.close()
    server.says(r'conversation 1 ends: .*timed out: .*\(ETIMEDOUT\)')
    server.is_well()


@every_model
def test_write_timeout_ends_who_does_not_read(model):
    server = serve('-m', model, '--write-timeout', '300ms', '-v', 'chargen')
    began = time.monotonic()
    peer = server.connect()
    server.says(r'conversation 1 ends: .*timed out: .*\(ETIMEDOUT\)')
    took = time.monotonic() - began
    assert 0.29 < took < 10, took
    peer.close()
    server.is_well()


@every_model
def test_v_tells_of_each_conversation(model):
    server = serve('-m', model, '-v')
    peer = server.connect()
    same(peer.exchange(b'12345'), b'12345')
    peer.close()
    port = server.port
    names = rf'127\.0\.0\.1:{peer.name[1]} -> 127\.0\.0\.1:{port}'
    stack = r', stack \d+\.\d of \d+ KiB' if model in FIBERS else ''
    server.says(rf'^naru: conversation 1 ends: {names}, 5 bytes received, '
                rf'5 bytes sent, \d+(\.\d+)? m?s{stack}: well$')
    matches(server.said(), rf'^naru: conversation 1 begins: {names}')
    second = server.connect('::1')
    same(second.ask(b'x'), b'x')
    second.reset()
    server.says(rf'conversation 2 ends: \[::1\]:{second.name[1]} -> '
                rf'\[::1\]:{port}, 1 bytes received, 1 bytes sent, .*: '
                r'failed: .*\(ECONNRESET\)')
    server.is_well()
    has(server.said(), 'naru: stopped')


@every_model
def test_vv_explains_each_call(model):
    server = serve('-m', model, '-vv', '127.0.0.1', 'ack')
    peer = server.connect()
    peer.send(b'hello')
    has(peer.rest().decode(), 'received well')
    server.says(r'shutdown\(\d+, SHUT_WR\)')  # before our end changes more
    peer.close()
    server.says('conversation 1 ends: ')
    server.is_well()
    log, port = server.said(), server.port
    socket_fd = matches(log, r'^naru: socket\(AF_INET, SOCK_STREAM\) = (\d+) '
                        r'+\[CLOSED\] ')[1]
    names = rf'127\.0\.0\.1:{peer.name[1]} -> 127\.0\.0\.1:{port}'
    for line in (
            rf'^naru: bind\({socket_fd}, 127\.0\.0\.1:0\) = 0 +\[CLOSED\] ',
            rf'^naru: listen\({socket_fd}, \d+\) = 0 +\[LISTEN\] ',
            rf'^naru: accept4\({socket_fd}, SOCK_CLOEXEC\) = \d+ +'
            rf'\[ESTABLISHED\] +{names} .*\(queue 0 of \d+\)',
            r'^naru: shutdown\(\d+, SHUT_WR\) = 0 +\[FIN-WAIT-[12]\] ',
            r'^naru: close\(\d+\) = 0 +\[[A-Z0-9-]+\] ',
            rf'^naru: close\({socket_fd}\) = 0 +\[LISTEN\] '):
        matches(log, line)


def test_vv_shows_what_a_relay_connects_to():
    echo = serve('127.0.0.1')
    relay = serve('-vv', '127.0.0.1', f'relay=127.0.0.1:{echo.port}')
    same(relay.connect().exchange(b'through'), b'through')
    relay.says(rf'connect\(\d+, 127\.0\.0\.1:{echo.port}\) = 0 +'
               r'\[ESTABLISHED\]')
    echo.stop()
    # The reset may come while it connects.
    with contextlib.suppress(ConnectionResetError):
        same(relay.connect().rest(), b'')
    relay.says(rf'connect\(\d+, 127\.0\.0\.1:{echo.port}\) = -ECONNREFUSED')
    relay.is_well()


def test_vv_shows_unix_sockets():
    path = unix_path()
    server = serve('-vv', f'unix:{path}')
    same(server.connect().exchange(b'x'), b'x')
    server.is_well()
    has(server.said(), 'socket(AF_UNIX', 'bind(', str(path), 'accept4(')


def test_q_is_silent():
    server = serve('-q')
    peer = server.connect()
    same(peer.ask(b'x'), b'x')
    peer.reset()
    same(server.connect().exchange(b'y'), b'y')
    server.is_well()
    same(server.said(), '', 'log')


@every_model
def test_signals_let_conversations_end(model):
    for how in (signal.SIGTERM, signal.SIGINT):
        server = serve('-m', model, '--drain', '1m')
        peer = server.connect()
        same(peer.ask(b'before'), b'before')
        server.tell(how)
        if model != 'iterative':  # where the talk runs, and no other strand
            server.says('drain: 1 conversation has')
        until(lambda s=server: is_refused(s), 'clients are still welcomed')
        same(peer.exchange(b'after'), b'after', 'while it drains')
        peer.close()
        same(server.end(), 0, f'{how}: {server.said()}')


def is_refused(server):
    try:
        socket.create_connection(('127.0.0.1', server.port), 5).close()
    except ConnectionRefusedError:
        return True
    except ConnectionResetError:
        pass
    return False


def cut_off(peer):
    """The server has ended PEER's conversation, one way or the other."""
    with contextlib.suppress(ConnectionResetError):
        same(peer.rest(), b'', 'at the end')


@every_model
def test_drain_cuts_off_who_stays(model):
    server = serve('-m', model, '--drain', '200ms')
    peer = server.connect()
    same(peer.ask(b'x'), b'x')
    began = time.monotonic()
    server.tell()
    cut_off(peer)
    same(server.end(), 1, server.said())
    took = time.monotonic() - began
    assert 0.19 < took < 10, f'{took} s'
    has(server.said(), 'cut off')


@every_model
def test_second_signal_ends_at_once(model):
    server = serve('-m', model, '--drain', '1h')
    peer = server.connect()
    same(peer.ask(b'x'), b'x')
    server.tell()
    if model != 'iterative':
        server.says(r'drain: 1 conversation has \d+(\.\d+)? (s|min|h) to end')
    server.tell(signal.SIGINT)
    cut_off(peer)
    same(server.end(), 1, server.said())


@every_model
def test_nothing_stays_after_the_end(model):
    path = unix_path()
    server = serve('-m', model, '-w', 4, f'unix:{path}')
    peers = [server.connect()
             for _ in range(1 if model == 'iterative' else 3)]
    for peer in peers:
        same(peer.ask(b'x'), b'x')
    if model in ('process', 'prefork', 'fiber-isolated'):
        assert len(session_of(server.pid)) >= 3
    for peer in peers:
        peer.close()
    server.is_well()  # looks for processes of its session
    assert not path.exists()


def test_log_that_nobody_reads_ends_nothing():
    reader, writer = os.pipe()
    process = harness.spawn(NARU, 'serve', '-vv', '-1', '-p', '0',
                            stdout=harness.subprocess.PIPE, stderr=writer)
    os.close(writer)
    port = int(process.stdout.readline().rsplit(b':', 1)[1])
    os.close(reader)
    for _ in range(3):
        sock = socket.create_connection(('127.0.0.1', port))
        harness.at_end(sock.close)
        same(harness.Peer(sock).exchange(b'x'), b'x')
    process.terminate()
    same(process.wait(harness.PATIENCE), 0, 'exit status')


def test_standard_output_that_cannot_be_written():
    with open('/dev/full', 'wb') as full:
        status, _, err = run(NARU, 'serve', '-1', '-p', '0', stdout=full)
    same(status, 1, err)
    has(err, 'standard output')


@only(('thread', *FIBERS))
def test_descriptors_are_given_back(model):
    server = serve('-m', model, '-v')

    def count():
        return len(os.listdir(f'/proc/{server.pid}/fd'))
    first = server.connect()
    same(first.exchange(b'x'), b'x')  # all that it opens for itself is open
    first.close()
    server.says('conversation 1 ends: ')
    before = count()
    for _ in range(50):
        peer = server.connect()
        same(peer.exchange(b'x'), b'x')
        peer.close()
    until(lambda: count() == before, lambda: f'{before} before, {count()}')


def test_peer_bytes_are_escaped_in_the_log():
    path = temporary() / 'client\x1b[31m'
    server = serve(f'unix:{temporary()}/socket', '-v')
    with socket.socket(socket.AF_UNIX) as client:
        client.bind(str(path))
        client.connect(server.endpoint[len('unix:'):])
    server.says(r'conversation 1 ends: ')
    assert '\x1b' not in server.said(), repr(server.said())
    assert re.search(r'\\x1b\[31m', server.said()), server.said()


if __name__ == '__main__':
    harness.main(globals())
