# SPDX-License-Identifier: MIT
"""What every file of these tests stands on.

A case is a function test_<behaviour>; main() runs all of a module and speaks
TAP. A case marked @every_model is run once for each model. Whatever a case
starts with the functions below is gone when the case ends, however it ends:
processes are found by their session and killed by pid. No port is fixed, and
nothing sleeps to let something happen: until() waits for it.

Started as:  test_X.py NARU [FOLDER OF HELPER PROGRAMS]
"""

import contextlib
import functools
import os
import pathlib
import re
import select
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
import traceback

# Seconds until a wait counts as a hang.
PATIENCE = float(os.environ.get('PATIENCE', 30))
# The model fiber as it comes, and what is behind its options.
FIBERS = {
    'fiber': (),
    'fiber-epoll': ('--io', 'epoll'),
    'fiber-isolated': ('--isolate',),
}
MODELS = ('iterative', 'process', 'thread', 'prefork', 'pool', *FIBERS)
MANY_AT_ONCE = MODELS[1:]
NARU = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else 'naru').resolve()
HELPERS = pathlib.Path(sys.argv[2]).resolve() if len(sys.argv) > 2 else None

_case = contextlib.ExitStack()  # what the running case has to clean up


class Skip(Exception):
    """The case cannot be run here."""


def every_model(case):
    case.models = MODELS
    return case


def only(models):
    """Marks a case that makes sense under some models."""
    def mark(case):
        case.models = models
        return case
    return mark


def every_parallel_model(case):
    """For what needs two conversations at once."""
    case.models = MANY_AT_ONCE
    return case


def need(*programs):
    for program in programs:
        if not shutil.which(program):
            raise Skip(f'no {program}')


def need_root():
    if os.geteuid() != 0:
        raise Skip('not root')


def is_sanitized():
    """Whether the command is built with a sanitizer, which needs memory."""
    code = NARU.read_bytes()
    return b'__asan_' in code or b'__tsan_' in code


def until(condition, what, patience=PATIENCE):
    """Waits until CONDITION holds, and returns what it gave."""
    end = time.monotonic() + patience
    while True:
        got = condition()
        if got:
            return got
        if time.monotonic() > end:
            what = what() if callable(what) else what
            raise AssertionError(f'waited {patience} s: {what}')
        time.sleep(0.005)


def same(seen, expected, what=''):
    """Fails with what was expected and seen, both cut to a readable size."""
    if seen == expected:
        return
    sizes = ''
    if isinstance(seen, bytes) and isinstance(expected, bytes):
        sizes = f' ({len(expected)} and {len(seen)} bytes)'
    raise AssertionError(f'{what}: expected {expected!r:.300}, '
                         f'saw {seen!r:.300}{sizes}')


def has(text, *parts):
    """Fails unless each of PARTS, in this order, is in TEXT."""
    at = 0
    for part in parts:
        found = text.find(part, at)
        if found < 0:
            raise AssertionError(f'expected {part!r} after byte {at}, in:\n'
                                 f'{text[-3000:]}')
        at = found + len(part)


def matches(text, pattern):
    """Fails unless PATTERN is found in TEXT; returns the match."""
    found = re.search(pattern, text, re.MULTILINE)
    if not found:
        raise AssertionError(f'expected /{pattern}/, in:\n{text[-3000:]}')
    return found


def stat_of(pid):
    """The fields of /proc/PID/stat behind the name, or None."""
    try:
        with open(f'/proc/{pid}/stat', encoding='ascii',
                  errors='replace') as file:
            return file.read().rsplit(')', 1)[1].split()
    except (FileNotFoundError, ProcessLookupError):
        return None


def session_of(leader):
    """The pids of a session, zombies included, without its leader."""
    found = []
    for name in os.listdir('/proc'):
        if name.isdigit() and int(name) != leader:
            stat = stat_of(name)
            if stat and int(stat[3]) == leader:
                found.append(int(name))
    return found


def is_alive(pid):
    """Whether a process runs; one that its parent has yet to reap does not.
    """
    stat = stat_of(pid)
    return stat is not None and stat[0] not in 'ZX'


def children_of(pid):
    """The pids of a process's children, zombies included."""
    found = []
    for name in os.listdir('/proc'):
        if name.isdigit():
            stat = stat_of(name)
            if stat and int(stat[1]) == pid:
                found.append(int(name))
    return found


def kill_quietly(pid, how=signal.SIGKILL):
    try:
        os.kill(pid, how)
    except ProcessLookupError:
        pass


def freeze(*pids):
    """Stops processes, and returns when each of their threads has stopped."""
    for pid in pids:
        kill_quietly(pid, signal.SIGSTOP)

    def states():
        stats = [stat_of(f'{pid}/task/{thread}') for pid in pids
                 for thread in os.listdir(f'/proc/{pid}/task')]
        return {stat[0] for stat in stats if stat}
    until(lambda: states() <= set('TZ'), lambda: f'not stopped: {states()}')


def thaw(*pids):
    for pid in pids:
        kill_quietly(pid, signal.SIGCONT)


def sweep(process):
    """Ends a process that leads a session, and all that is in it."""
    for pid in session_of(process.pid):
        kill_quietly(pid)
    if process.poll() is None:
        process.kill()
    process.wait(PATIENCE)
    for stream in (process.stdin, process.stdout, process.stderr):
        if stream:
            with contextlib.suppress(BrokenPipeError):
                stream.close()


def temporary():
    """A folder that is gone after the case."""
    return pathlib.Path(_case.enter_context(tempfile.TemporaryDirectory()))


def at_end(function, *args):
    _case.callback(function, *args)


def spawn(*command, **options):
    """Starts a process in a session of its own."""
    options.setdefault('stdin', subprocess.DEVNULL)
    process = subprocess.Popen([str(word) for word in command],
                               start_new_session=True, **options)
    at_end(sweep, process)
    return process


def run(*command, data=b'', **options):
    """Runs a command to its end: (status, output, errors as text)."""
    options.setdefault('stderr', subprocess.PIPE)
    options.setdefault('stdout', subprocess.PIPE)
    process = spawn(*command, **dict(options, stdin=subprocess.PIPE))
    try:
        out, err = process.communicate(data, PATIENCE)
    except subprocess.TimeoutExpired:
        raise AssertionError(f'{command} does not end') from None
    err = (err or b'').decode(errors='replace')
    assert 'Sanitizer' not in err, err
    return process.returncode, out, err


def as_nobody(*command):
    """COMMAND as a user without rights, or Skip where that cannot be."""
    need_root()
    need('setpriv')
    prefix = ['setpriv', '--reuid=65534', '--regid=65534', '--clear-groups']
    if run(*prefix, NARU, '--version')[0] != 0:
        raise Skip('nobody cannot run naru where it lies')
    return prefix + list(command)


class Server:
    """A server with a log; `naru serve` unless COMMAND says otherwise."""

    def __init__(self, *args, under=(), command=None, **options):
        self.log = tempfile.TemporaryFile()
        at_end(self.log.close)
        command = command or [NARU, 'serve', '-1', *args]
        if under and under[0] == 'strace':
            # Leaks cannot be looked for in a process that is traced.
            options.setdefault('env', dict(os.environ,
                                           ASAN_OPTIONS='detect_leaks=0'))
        self.process = spawn(*under, *command, stdout=subprocess.PIPE,
                             stderr=self.log, **options)
        self.pid = self.process.pid
        self.endpoint = self._first_line()
        if under:  # what was started is not the server itself
            self.pid = until(self._server_pid, 'no server')
        self.port = None
        if not self.endpoint.startswith('unix:'):
            self.port = int(self.endpoint.rsplit(':', 1)[1])

    def _first_line(self):
        line, end = b'', time.monotonic() + PATIENCE
        while not line.endswith(b'\n'):
            left = max(0, end - time.monotonic())
            ready = select.select([self.process.stdout], [], [], left)[0]
            more = os.read(self.process.stdout.fileno(), 1) if ready else b''
            assert more, f'the server does not start: {self.said()}'
            line += more
        return line.decode().strip()

    def _server_pid(self):
        """The first of the session that runs naru itself."""
        for pid in [self.process.pid, *sorted(session_of(self.process.pid))]:
            with contextlib.suppress(OSError):
                if os.path.samefile(f'/proc/{pid}/exe', NARU):
                    return pid
        return None

    def said(self):
        """What it has said so far."""
        size = os.fstat(self.log.fileno()).st_size
        return os.pread(self.log.fileno(), size, 0).decode(errors='replace')

    def says(self, pattern):
        """Waits until its log has PATTERN; returns the match."""
        return until(lambda: re.search(pattern, self.said(), re.MULTILINE),
                     lambda: f'/{pattern}/ is not in:\n{self.said()[-3000:]}')

    def connect(self, host='127.0.0.1', **options):
        if self.port is None:
            sock = socket.socket(socket.AF_UNIX)
            sock.settimeout(PATIENCE)
            path = self.endpoint[len('unix:'):]
            sock.connect(path.replace('@', '\0', 1) if path[0] == '@'
                         else path)
        else:
            sock = socket.create_connection((host, self.port), PATIENCE,
                                            **options)
        at_end(sock.close)
        return Peer(sock)

    def tell(self, how=signal.SIGTERM):
        os.kill(self.pid, how)

    def end(self):
        """Waits for its end, and that nothing of it stays; its status."""
        try:
            status = self.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            raise AssertionError(f'it does not end: {self.said()}') from None
        until(lambda: not any(map(is_alive, session_of(self.process.pid))),
              'processes outlive their server')
        assert 'Sanitizer' not in self.said(), self.said()
        return status

    def stop(self, how=signal.SIGTERM):
        self.tell(how)
        return self.end()

    def is_well(self):
        """Fails unless it still runs and ends as it should."""
        assert self.process.poll() is None, self.said()
        same(self.stop(), 0, f'exit status, after: {self.said()[-1000:]}')


def with_model(args):
    """ARGS with the command's own name for a model, and its options."""
    for at, word in enumerate(args):
        if word == '-m' and args[at + 1] in FIBERS:
            return (*args[:at + 1], 'fiber', *FIBERS[args[at + 1]],
                    *args[at + 2:])
    return args


def serve(*args, **options):
    """`naru serve` on a free port, unless ARGS name an endpoint with -p."""
    args = with_model(args)
    if not any(str(arg).startswith(('-p', 'unix:')) for arg in args):
        args = ('-p', '0', *args)
    return Server(*args, **options)


class Peer:
    """The other end of a connection."""

    def __init__(self, sock):
        self.sock = sock
        sock.settimeout(PATIENCE)
        self.name = sock.getsockname()

    def send(self, data):
        self.sock.sendall(data)

    def read(self, count):
        """Exactly COUNT bytes, or fewer where the end comes first."""
        parts, left = [], count
        while left:
            part = self.sock.recv(min(left, 1 << 16))
            if not part:
                break
            parts.append(part)
            left -= len(part)
        return b''.join(parts)

    def rest(self):
        """All until the end, which must not be a reset."""
        parts = []
        while part := self.sock.recv(1 << 16):
            parts.append(part)
        return b''.join(parts)

    def ask(self, data):
        """Sends DATA and reads as many bytes back."""
        self.send(data)
        return self.read(len(data))

    def finish(self):
        self.sock.shutdown(socket.SHUT_WR)

    def reset(self):
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER,
                             struct.pack('ii', 1, 0))
        self.sock.close()

    def close(self):
        self.sock.close()

    def exchange(self, data):
        """Sends DATA and the end while it reads all that comes back."""
        def feed():
            with contextlib.suppress(OSError):
                self.send(data)
                self.finish()
        thread = threading.Thread(target=feed)
        thread.start()
        try:
            return self.rest()
        finally:
            thread.join(PATIENCE)


def pattern(size):
    """Bytes in which a lost or a swapped piece shows."""
    block = b''.join(struct.pack('>I', i) for i in range(16384))
    return (block * (size // len(block) + 1))[:size]


def listener(family=socket.AF_INET, host='127.0.0.1', backlog=16):
    """A listening socket of ours on a free port."""
    sock = socket.socket(family)
    at_end(sock.close)
    sock.settimeout(PATIENCE)
    sock.bind((host, 0))
    sock.listen(backlog)
    return sock


def _cases(module):
    for name, case in module.items():
        if not name.startswith('test_') or not callable(case):
            continue
        words = name[5:].replace('_', ' ')
        if not hasattr(case, 'models'):
            yield words, case
            continue
        for model in case.models:
            yield f'{words}, {model}', functools.partial(case, model)


def _run(case):
    """Runs a case and cleans up behind it: None or why it failed."""
    try:
        with _case:
            case()
    except Skip:
        raise
    except Exception:  # whatever went wrong, the next case still runs
        return traceback.format_exc()
    return None


def main(module):
    """Runs the cases of MODULE (its globals()); never returns."""
    # Who is told to go, as at the end of a runner's patience, tidies up first.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    only = os.environ.get('CASES', '')
    cases = [each for each in _cases(module) if re.search(only, each[0])]
    print(f'1..{len(cases)}')
    failed = False
    for number, (name, case) in enumerate(cases, 1):
        mark, why, began = '', None, time.monotonic()
        try:
            why = _run(case)
        except Skip as skip:
            mark = f' # SKIP {skip}'
        for line in (why or '').splitlines():
            print(f'# {line}')
        if os.environ.get('TIMES'):
            print(f'# {time.monotonic() - began:.2f} s')
        print(f'{"not ok" if why else "ok"} {number} - {name}{mark}',
              flush=True)
        failed = failed or bool(why)
    sys.exit(failed)
