#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Runs each example as a reader would, and as an enemy would.

    test_examples.py FOLDER        where the built examples are

The examples are what people copy, so they must stand what the network does to
them: lines that are too long, bytes that are no text, peers that vanish. Each
case is a talk between the example and a client or a server that is not ours.
Speaks TAP.
"""

import os
import pathlib
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time
import traceback

PATIENCE = 60  # seconds until a wait counts as a hang
LIMIT = 65536  # the longest line that an example takes by default
HOSTILE = {
    'binary': bytes(range(256)) * 64,
    'a line that never ends': b'x' * (4 * LIMIT),
    'half a line': b'no end',
    'nothing': b'',
}


class Skip(Exception):
    """The case cannot be run here."""


class Server:
    """An example that serves, in a process group of its own."""

    def __init__(self, name, *args, port=None):
        self.stderr = tempfile.TemporaryFile()
        endpoint = f'tcp://127.0.0.1:{port or 0}'
        self.process = subprocess.Popen(
            [FOLDER / name, endpoint, *args], stdin=subprocess.DEVNULL,
            stdout=self.stderr, stderr=self.stderr, start_new_session=True)
        self.port = port

    def said(self):
        """What it has said so far."""
        return os.pread(self.stderr.fileno(), 1 << 20, 0).decode()

    def connect(self):
        return Peer(socket.create_connection(('127.0.0.1', self.port),
                                             PATIENCE))

    def alive(self):
        return self.process.poll() is None

    def stop(self, how=signal.SIGTERM):
        """Ends it, and waits until nothing of its group is left."""
        self.process.send_signal(how)
        status = self.process.wait(PATIENCE)
        assert status in (0, 1, -how), f'it died: {status}: {self.said()}'
        wait_for(lambda: not group_exists(self.process.pid),
                 'workers outlive their server')
        assert 'Sanitizer' not in self.said(), self.said()
        return status

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        try:
            self.stop()
        finally:
            if group_exists(self.process.pid):
                os.killpg(self.process.pid, signal.SIGKILL)
            self.stderr.close()


class Peer:
    """The other end of a connection, spoken to in lines."""

    def __init__(self, sock):
        self.sock = sock
        self.sock.settimeout(PATIENCE)
        self.file = sock.makefile('rb')

    def send(self, data):
        self.sock.sendall(data)

    def line(self):
        return self.file.readline()

    def ask(self, text):
        self.send(text + b'\n')
        return self.line()

    def finish(self):
        self.sock.shutdown(socket.SHUT_WR)

    def rest(self):
        """All until the end; a reset is an end, too."""
        try:
            return self.file.read()
        except ConnectionResetError:
            return b''

    def reset(self):
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER,
                             struct.pack('ii', 1, 0))
        self.close()

    def close(self):
        self.file.close()
        self.sock.close()

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.close()


def group_exists(group):
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


def wait_for(condition, what):
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end, what
        time.sleep(0.01)


def serve_quietly(name):
    """Starts an example that does not tell its port: one that was free."""
    while True:
        with socket.create_server(('127.0.0.1', 0)) as probe:
            port = probe.getsockname()[1]
        server = Server(name, port=port)

        def answers():
            if not server.alive():
                return True
            try:
                server.connect().close()
            except ConnectionRefusedError:
                return False
            return True
        wait_for(answers, f'{name} does not listen')
        if server.alive():
            return server
        assert 'in use' in server.said(), server.said()
        server.stop()


def serve(name, *args):
    """Starts an example that tells its port."""
    server = Server(name, *args)
    wait_for(lambda: not server.alive() or '\n' in server.said(),
             f'{name} does not listen')
    assert server.said().startswith('listening on '), server.said()
    server.port = int(server.said().split('\n')[0].rsplit(':', 1)[1])
    return server


def client(port, text):
    """What 05-client ends with, prints and says."""
    done = subprocess.run(
        [FOLDER / '05-client', f'127.0.0.1:{port}', text],
        stdin=subprocess.DEVNULL, capture_output=True, timeout=PATIENCE)
    assert b'Sanitizer' not in done.stderr, done.stderr
    return done.returncode, done.stdout, done.stderr.decode()


def ncat(port, text):
    """What ncat gets for TEXT."""
    if not shutil.which('ncat'):
        raise Skip('no ncat')
    return subprocess.run(
        ['ncat', '127.0.0.1', str(port)], input=text, timeout=PATIENCE,
        capture_output=True, check=True).stdout


def bad_endpoint_is_refused(name):
    done = subprocess.run(
        [FOLDER / name, 'tcp://localhost:99999'], stdin=subprocess.DEVNULL,
        capture_output=True, timeout=PATIENCE)
    assert done.returncode == 1, done
    said = done.stdout + done.stderr
    assert b'the endpoint cannot be read' in said, said


def hostile_peers(server, good):
    """Lets every enemy have a go at SERVER; GOOD says that it still works."""
    for data in HOSTILE.values():
        for end in (Peer.finish, Peer.reset):
            with server.connect() as peer:
                try:
                    peer.send(data)
                    end(peer)
                    if end is Peer.finish:
                        peer.rest()
                except (BrokenPipeError, ConnectionResetError):
                    pass
            good(server)
    assert server.alive(), server.said()


def echo_is_the_same(server):
    with server.connect() as peer:
        assert peer.ask(b'hello') == b'hello\n'


def test_echo_lines_come_back():
    with serve_quietly('01-echo') as server, server.connect() as peer:
        assert peer.ask(b'hello') == b'hello\n'
        assert peer.ask(b'') == b'\n'
        assert peer.ask(b'\r') == b'\n'
        assert peer.ask(b'\x00\xff') == b'\x00\xff\n'
        many = b''.join(b'%d\n' % i for i in range(1000))
        peer.send(many)
        peer.finish()
        assert peer.rest() == many


def test_echo_line_of_the_limit_comes_back():
    with serve_quietly('01-echo') as server, server.connect() as peer:
        assert peer.ask(b'x' * LIMIT) == b'x' * LIMIT + b'\n'


def test_echo_under_hostile_peers_goes_on():
    with serve_quietly('01-echo') as server:
        hostile_peers(server, echo_is_the_same)


def test_echo_ncat_gets_all():
    with serve_quietly('01-echo') as server:
        text = b'over\nand\nover\n' * 500
        assert ncat(server.port, text) == text


def test_echo_bad_endpoint_is_refused():
    bad_endpoint_is_refused('01-echo')


def test_lines_add_up():
    with serve('02-lines') as server, server.connect() as peer:
        assert peer.ask(b'ADD 40') == b'40\n'
        assert peer.ask(b'ADD 2\r') == b'42\n'
        with server.connect() as other:
            assert other.ask(b'ADD -1') == b'-1\n'
        assert peer.ask(b'ADD 0') == b'42\n'
        assert peer.ask(b'QUIT') == b'bye\n'
        assert peer.rest() == b''


def test_lines_nonsense_is_answered():
    with serve('02-lines') as server, server.connect() as peer:
        for line in (b'', b'ADD', b'ADD ', b'ADD x', b'ADD 1x', b'ADD 1 1',
                     b'ADD 99999999999999999999', b'ADD 1000000001', b'add 1',
                     b'ADD 1\x00', b'\x00', b'\xff\xfe', b'SUBTRACT 1'):
            assert peer.ask(line).startswith(b'error: '), line
        assert peer.ask(b'ADD 1') == b'1\n'


def test_lines_long_line_is_explained():
    with serve('02-lines') as server, server.connect() as peer:
        assert peer.ask(b'ADD 1') == b'1\n'
        answer = peer.ask(b'x' * 101)
        assert answer.startswith(b'error: '), answer
        assert peer.rest() == b''


def test_lines_under_hostile_peers_goes_on():
    def adds(server):
        with server.connect() as peer:
            assert peer.ask(b'ADD 1') == b'1\n'
    with serve('02-lines') as server:
        hostile_peers(server, adds)


def test_lines_ncat_gets_answers():
    with serve('02-lines') as server:
        assert ncat(server.port, b'ADD 1\nADD 1\nQUIT\n') == b'1\n2\nbye\n'


def test_lines_bad_endpoint_is_refused():
    bad_endpoint_is_refused('02-lines')


def test_deadlines_right_answer_ends():
    with serve('03-deadlines') as server, server.connect() as peer:
        assert peer.line() == b'What is six times seven?\n'
        assert peer.ask(b'54') == b'No. Try again.\n'
        assert peer.ask(b'42') == b'Right.\n'
        assert peer.rest() == b''


def test_deadlines_silence_is_reminded_and_ended():
    with serve('03-deadlines', '1000') as server, server.connect() as peer:
        start = time.monotonic()
        heard = peer.rest().splitlines()
        assert time.monotonic() - start > 0.9
        assert heard[0] == b'What is six times seven?', heard
        assert heard[1] == b'Are you still there?', heard
        assert heard[-1] == b'Time is up.', heard


def test_deadlines_half_a_line_has_no_more_time():
    with serve('03-deadlines', '500') as server, server.connect() as peer:
        assert peer.line() == b'What is six times seven?\n'
        peer.send(b'4')
        assert peer.rest().endswith(b'Time is up.\n')


def test_deadlines_answer_after_a_reminder_counts():
    with serve('03-deadlines', '4000') as server, server.connect() as peer:
        assert peer.line() == b'What is six times seven?\n'
        assert peer.line() == b'Are you still there?\n'
        peer.send(b'42\n')
        assert peer.rest().endswith(b'Right.\n')


def test_deadlines_sigint_idle_exits_0():
    with serve('03-deadlines') as server:
        assert server.stop(signal.SIGINT) == 0, server.said()


def test_deadlines_sigint_lets_a_talk_end():
    with serve('03-deadlines') as server, server.connect() as peer:
        assert peer.line() == b'What is six times seven?\n'
        server.process.send_signal(signal.SIGINT)
        assert peer.ask(b'42') == b'Right.\n'
        peer.close()
        assert server.process.wait(PATIENCE) == 0, server.said()


def test_deadlines_sigint_cancels_who_stays():
    with serve('03-deadlines') as server, server.connect() as peer:
        assert peer.line() == b'What is six times seven?\n'
        server.process.send_signal(signal.SIGINT)
        assert peer.rest() == b''
        assert server.process.wait(PATIENCE) == 1


def test_deadlines_under_hostile_peers_goes_on():
    def asks(server):
        with server.connect() as peer:
            assert peer.line() == b'What is six times seven?\n'
    with serve('03-deadlines') as server:
        hostile_peers(server, asks)


def test_deadlines_bad_endpoint_is_refused():
    bad_endpoint_is_refused('03-deadlines')


def where(peer):
    """The conversation, process and thread that a client is told."""
    words = peer.ask(b'where?').decode().replace(',', '').split()
    assert words[::2] == ['conversation', 'process', 'thread'], words
    return [int(word) for word in words[1::2]]


def check_model(model, own_process, own_thread, at_once):
    with serve('04-models', model) as server:
        main = server.process.pid
        with server.connect() as first:
            one = where(first)
            if at_once:
                with server.connect() as second:
                    two = where(second)
                    assert where(first) == one
        if not at_once:
            with server.connect() as second:
                two = where(second)
        assert (one[0], two[0]) == (1, 2), (one, two)
        assert (one[1] != main) == own_process, (main, one)
        assert (one[1] != two[1]) == own_process, (one, two)
        assert (one[2] != main) == own_thread, (main, one)
        assert (one[2] != two[2]) == own_thread, (one, two)
        hostile_peers(server, where_is_told)


def where_is_told(server):
    with server.connect() as peer:
        where(peer)


def test_models_iterative_is_one_thread():
    check_model('iterative', False, False, at_once=False)


def test_models_process_has_one_each():
    check_model('process', True, True, at_once=True)


def test_models_thread_has_one_each():
    check_model('thread', False, True, at_once=True)


def test_models_prefork_has_workers():
    check_model('prefork', True, True, at_once=True)


def test_models_pool_has_workers():
    check_model('pool', False, True, at_once=True)


def test_models_fiber_shares_a_few_threads():
    with serve('04-models', 'fiber') as server:
        peers = [server.connect() for _ in range(12)]
        found = [where(peer) for peer in peers]
        assert [where(peer) for peer in peers] == found, found
        threads = [thread for _, process, thread in found
                   if process == server.process.pid]
        assert sorted(map(threads.count, set(threads))) == [3] * 4, found
        for peer in peers:
            peer.close()
        hostile_peers(server, where_is_told)
        assert 'fibers wait with ' in server.said(), server.said()


def test_models_unknown_is_refused():
    done = subprocess.run([FOLDER / '04-models', '0', 'fibre'],
                          capture_output=True, timeout=PATIENCE)
    assert done.returncode == 2 and b'fibre' in done.stderr, done


def test_models_bad_endpoint_is_refused():
    bad_endpoint_is_refused('04-models')


def redis(server, *args):
    """What redis-cli says; it asks the server of a kv."""
    if not shutil.which('redis-cli'):
        raise Skip('no redis-cli')
    return subprocess.run(
        ['redis-cli', '-h', '127.0.0.1', '-p', str(server.port), *args],
        timeout=PATIENCE, capture_output=True, check=True).stdout


def array(*words):
    """A command as an array."""
    return b'*%d\r\n' % len(words) + b''.join(
        b'$%d\r\n%s\r\n' % (len(word), word) for word in words)


def kv_answers(server):
    with server.connect() as peer:
        assert peer.ask(b'PING') == b'+PONG\r\n'


def test_kv_redis_cli_gets_answers():
    with serve('08-kv') as server:
        for args, answer in (
                (('PING',), 'PONG'), (('ping', 'a b'), 'a b'),
                (('ECHO', 'x y'), 'x y'), (('GET', 'n'), ''),
                (('SET', 'n', '41'), 'OK'), (('INCR', 'n'), '42'),
                (('GET', 'n'), '42'), (('INCR', 'new'), '1'),
                (('SET', 'text', 'a\r\nb'), 'OK'), (('GET', 'text'), 'a\r\nb'),
                (('INCR', 'text'), 'ERR no number that can grow\n'),
                (('EXISTS', 'n', 'text', 'none'), '2'),
                (('DEL', 'n', 'text', 'none'), '2'), (('GET', 'n'), ''),
                (('CONFIG', 'GET', 'save'), 'save\n'),
                (('COMMAND',), ''), (('SET', 'n', ''), 'OK'),
                (('GET', 'n'), '')):
            assert redis(server, *args) == answer.encode() + b'\n', args
        assert redis(server, 'NONSENSE').startswith(b'ERR ')
        assert redis(server, 'SET', 'n').startswith(b'ERR ')


def test_kv_redis_benchmark_sees_no_errors():
    if not shutil.which('redis-benchmark'):
        raise Skip('no redis-benchmark')
    with serve('08-kv') as server:
        for more in ((), ('-P', '16'),
                     ('-P', '16', '-r', '1000', '-d', '3000')):
            done = subprocess.run(
                ['redis-benchmark', '-h', '127.0.0.1', '-p', str(server.port),
                 '-t', 'ping,set,get,incr', '-n', '2000', '-c', '20', '-q',
                 *more],
                timeout=PATIENCE, capture_output=True, check=False)
            said = done.stdout + done.stderr
            assert done.returncode == 0, said
            assert said.count(b'requests per second') == 5, said
            assert b'rror' not in said and b'WARNING' not in said, said
        kv_answers(server)


def test_kv_forms_may_be_mixed_and_torn():
    asked = (b'SET x 1\r\n\r\nset y  2\n' + array(b'GET', b'x') +
             array(b'SET', b'z', b'\0\r\n*1\r\n') + b'INCR y\r\n' +
             array(b'GET', b'z') + b'EXISTS x y z none\r\n*0\r\nPING\r\n')
    answers = (b'+OK\r\n+OK\r\n$1\r\n1\r\n+OK\r\n:3\r\n'
               b'$7\r\n\0\r\n*1\r\n\r\n:3\r\n+PONG\r\n')
    with serve('08-kv') as server:
        for size in (len(asked), 1, 7):
            with server.connect() as peer:
                for at in range(0, len(asked), size):
                    peer.send(asked[at:at + size])
                peer.finish()
                assert peer.rest() == answers, size
            assert redis(server, 'DEL', 'x', 'y', 'z') == b'3\n'


def test_kv_clients_share_the_table():
    with serve('08-kv') as server:
        with server.connect() as one, server.connect() as other:
            assert one.ask(b'SET shared yes') == b'+OK\r\n'
            assert other.ask(b'GET shared') == b'$3\r\n'
            assert other.line() == b'yes\r\n'


def test_kv_limits_are_exact_and_told():
    with serve('08-kv') as server:
        largest = b'v' * (16384 - 4)
        with server.connect() as peer:
            peer.send(array(b'SET', b'k', largest))
            assert peer.line() == b'+OK\r\n'
            assert peer.ask(b'GET k') == b'$16380\r\n'
            assert peer.line() == largest + b'\r\n'
            peer.send(array(b'SET', b'k', largest + b'v'))
            assert peer.line() == b'-ERR the message is over the limit\r\n'
            assert peer.rest() == b''
        for wrong in (b'*65\r\n', b'*1\r\n$99999999999999999999\r\n',
                      b'x ' * 65 + b'\r\n', b'x' * 16385):
            with server.connect() as peer:
                peer.send(wrong)
                assert b'over the limit' in peer.line(), wrong
                peer.rest()


def test_kv_nonsense_ends_the_conversation():
    with serve('08-kv') as server:
        for wrong in (b'*x\r\n', b'*\r\n', b'*-1\r\n', b'*1\r\n4\r\n',
                      b'*1\r\n$\r\n', b'*1\r\n$-1\r\n', b'*1\r\n\r\n',
                      b'*1\r\n$4\r\nPINGxx', b'*1\r\n$1x\r\n'):
            with server.connect() as peer:
                peer.send(wrong)
                assert b'no message' in peer.line(), wrong
                assert peer.rest() == b''
        kv_answers(server)


def test_kv_under_hostile_peers_goes_on():
    with serve('08-kv') as server:
        hostile_peers(server, kv_answers)


def test_kv_bad_endpoint_is_refused():
    bad_endpoint_is_refused('08-kv')


def test_client_with_example_prints_the_answer():
    with serve_quietly('01-echo') as server:
        assert client(server.port, 'hi there') == (0, b'hi there\n', '')


def against(answer, close=Peer.close):
    """What 05-client makes of a server that reads a line and says ANSWER."""
    with socket.create_server(('127.0.0.1', 0)) as listener:
        listener.settimeout(PATIENCE)
        process = subprocess.Popen(
            [FOLDER / '05-client',
             f'127.0.0.1:{listener.getsockname()[1]}', 'hi'],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE)
        peer = Peer(listener.accept()[0])
        assert peer.line() == b'hi\n'
        try:
            peer.send(answer)
        except (BrokenPipeError, ConnectionResetError):
            pass
        close(peer)
    out, err = process.communicate(timeout=PATIENCE)
    assert b'Sanitizer' not in err, err
    return process.returncode, out, err.decode()


def test_client_answer_is_printed():
    assert against(b'well\r\nand more\n')[:2] == (0, b'well\n')


def test_client_binary_is_printed_as_it_is():
    assert against(b'\x00\xff\x1b\n')[:2] == (0, b'\x00\xff\x1b\n')


def test_client_no_answer_exits_1():
    status, out, err = against(b'')
    assert (status, out) == (1, b'') and '127.0.0.1' in err, err


def test_client_half_an_answer_exits_1():
    status, out, _ = against(b'wel')
    assert (status, out) == (1, b'')


def test_client_endless_answer_exits_1():
    status, out, _ = against(b'x' * (4 * LIMIT))
    assert (status, out) == (1, b'')


def test_client_reset_exits_1():
    status, out, _ = against(b'', Peer.reset)
    assert (status, out) == (1, b'')


def test_client_refused_exits_1():
    with socket.socket() as unheard:
        unheard.bind(('127.0.0.1', 0))
        status, out, err = client(unheard.getsockname()[1], 'hi')
    assert (status, out) == (1, b'') and 'refused' in err, err


def test_client_bad_endpoint_is_refused():
    bad_endpoint_is_refused('05-client')


def relay_to(*ports):
    return serve('06-relay', *(f'tcp://127.0.0.1:{port}' for port in ports))


def unused_port():
    with socket.create_server(('127.0.0.1', 0)) as probe:
        return probe.getsockname()[1]


def test_relay_carries_and_counts():
    many = b''.join(b'%d\n' % i for i in range(100000))
    with serve_quietly('01-echo') as echo, relay_to(echo.port) as relay:
        with relay.connect() as peer:
            assert peer.ask(b'hello') == b'hello\n'
        assert ncat(relay.port, many) == many
        told = f'{len(many)} bytes to 127.0.0.1:{echo.port}, {len(many)} back'
        wait_for(lambda: told in relay.said(), f'it never said: {told}')


def test_relay_takes_backends_in_turn_and_leaves_out_the_dead():
    with serve_quietly('01-echo') as echo, \
            serve('02-lines') as lines, \
            relay_to(echo.port, unused_port(), lines.port) as relay:
        heard = []
        for _ in range(6):
            with relay.connect() as peer:
                heard.append(peer.ask(b'ADD 42'))
        assert heard.count(b'ADD 42\n') == 2, heard
        assert heard.count(b'42\n') == 4, heard
        assert 'refused' in relay.said(), relay.said()


def test_relay_without_a_live_backend_goes_on():
    with relay_to(unused_port(), unused_port()) as relay:
        for _ in range(3):
            try:
                with relay.connect() as peer:
                    got = peer.file.read()
            except ConnectionResetError:
                continue
            raise AssertionError(f'no reset, but {got!r} and an end')
        assert relay.alive(), relay.said()


def test_relay_under_hostile_peers_goes_on():
    with serve_quietly('01-echo') as echo, relay_to(echo.port) as relay:
        hostile_peers(relay, echo_is_the_same)


def test_relay_passes_a_reset_on():
    def break_off(peer):
        peer.ask(b'hello')
        peer.reset()
    with serve_quietly('01-echo') as echo, relay_to(echo.port) as relay:
        for _ in range(10):
            break_off(relay.connect())
        echo_is_the_same(relay)
        assert relay.alive(), relay.said()


def test_relay_without_a_backend_is_explained():
    done = subprocess.run(
        [FOLDER / '06-relay', 'tcp://localhost:0'], stdin=subprocess.DEVNULL,
        capture_output=True, timeout=PATIENCE)
    assert done.returncode == 2 and b'usage' in done.stderr, done


def test_relay_bad_endpoint_is_refused():
    done = subprocess.run(
        [FOLDER / '06-relay', 'tcp://localhost:99999', 'localhost:1'],
        stdin=subprocess.DEVNULL, capture_output=True, timeout=PATIENCE)
    assert done.returncode == 1, done
    assert b'the endpoint cannot be read' in done.stderr, done


def main():
    cases = [(name[5:].replace('_', ' '), case)
             for name, case in globals().items() if name.startswith('test_')]
    print(f'1..{len(cases)}')
    failed = False
    for number, (name, case) in enumerate(cases, 1):
        verdict, mark = 'ok', ''
        try:
            case()
        except Skip as skip:
            mark = f' # SKIP {skip}'
        except Exception:  # whatever went wrong, the next case still runs
            verdict, failed = 'not ok', True
            for line in traceback.format_exc().splitlines():
                print(f'# {line}')
        print(f'{verdict} {number} - {name}{mark}', flush=True)
    sys.exit(failed)


if __name__ == '__main__':
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    FOLDER = pathlib.Path(sys.argv[1]).resolve()
    main()
