#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""What a network, a system and an enemy do to a server, and that it stands.

Each case provokes one fault on purpose and looks at three things: that who is
not concerned goes on undisturbed, that nothing spins, and that all is well
again once the fault is over.
"""

import contextlib
import os
import resource
import signal
import subprocess
import threading
import time

import harness
from harness import (HELPERS, PATIENCE, Server, Skip, as_nobody,
                     every_model, every_parallel_model, has, is_alive,
                     matches, need, only, pattern, same, serve, session_of,
                     spawn, stat_of, until)

TICKS = os.sysconf('SC_CLK_TCK')
# Accepting rests for 100 ms at a time; naively it fails a million times.
WAKEUPS = 100


def cost(pid):
    """The seconds of CPU and the wake-ups of a process, until now."""
    stat = stat_of(pid)
    with open(f'/proc/{pid}/status', encoding='ascii') as file:
        wakeups = int(matches(file.read(),
                              r'^voluntary_ctxt_switches:\s+(\d+)')[1])
    return (int(stat[11]) + int(stat[12])) / TICKS, wakeups


def check_rests(server):
    """The server does next to nothing for a second: a span to measure
    over, and no wait for something to happen."""
    before = cost(server.pid)
    time.sleep(1)
    after = cost(server.pid)
    seconds, wakeups = after[0] - before[0], after[1] - before[1]
    assert seconds <= 0.2, f'{seconds} s of CPU in a second'
    assert wakeups <= WAKEUPS, f'{wakeups} wake-ups in a second'


def limit(server, what, number):
    """Sets a soft limit of the server's; returns how to take it back."""
    old = resource.prlimit(server.pid, what)
    resource.prlimit(server.pid, what, (number, old[1]))
    return lambda: resource.prlimit(server.pid, what, old)


def lowest_free_descriptor(pid):
    # A peer may have its answer before the accepting process has closed
    # what it handed on: let it come to rest.
    until(lambda: stat_of(pid)[0] == 'S', 'it never rests')
    used = {int(fd) for fd in os.listdir(f'/proc/{pid}/fd')}
    return next(fd for fd in range(len(used) + 1) if fd not in used)


def talking(server, count):
    """COUNT peers in conversation."""
    peers = [server.connect() for _ in range(count)]
    for peer in peers:
        same(peer.ask(b'hello'), b'hello')
    return peers


def is_answered(peer):
    return harness.select.select([peer.sock], [], [], 0)[0]


def check_goes_on(peers, waiting=()):
    for peer in peers:
        same(peer.ask(b'still here'), b'still here', 'who was there before')
    assert not any(map(is_answered, waiting)), 'served by whom?'


@every_model
def test_descriptors_run_out_while_accepting(model):
    server = serve('-m', model, '-c', 100, '-w', 8, '-v')
    peers = talking(server, 0 if model == 'iterative' else 3)
    restore = limit(server, resource.RLIMIT_NOFILE,
                    lowest_free_descriptor(server.pid))
    waiting = [server.connect() for _ in range(4)]
    for peer in waiting:
        peer.send(b'later')
    server.says(r'accepting pauses, clients wait in the backlog: .*\(EMFILE\)')
    check_rests(server)
    check_goes_on(peers, waiting)
    if model in ('thread', 'pool', 'fiber', 'fiber-epoll'):
        peers.pop().close()  # gives back a descriptor of the server's
        served = until(lambda: [peer for peer in waiting if
                                is_answered(peer)], 'no recovery')
        same(served[0].read(5), b'later')
        waiting.remove(served[0])
        served[0].close()
    restore()
    for peer in waiting:
        same(peer.exchange(b'!'), b'later!', 'after the shortage')
        peer.close()
    for peer in peers:
        peer.close()
    server.is_well()


def serve_as_nobody(*args):
    """Root may start as many processes as there is room for."""
    need('prlimit')
    return serve(*args, under=as_nobody() if os.geteuid() == 0 else ())


def without_processes(server):
    """No process and no thread can be started by the server any more;
    returns how to take that back."""
    old = resource.getrlimit(resource.RLIMIT_NPROC)[0]

    def allow(number):
        command = ['prlimit', '--pid', server.pid, f'--nproc={number}:']
        if os.geteuid() == 0:
            command = as_nobody(*command)
        same(harness.run(*command)[::2], (0, ''), 'prlimit')
    allow(1)
    return lambda: allow('unlimited' if old == resource.RLIM_INFINITY
                         else old)


@only(('process', 'thread'))
def test_no_strand_can_be_started(model):
    server = serve_as_nobody('-m', model, '-v')
    peers = talking(server, 2)
    restore = without_processes(server)
    waiting = server.connect()
    waiting.send(b'later')
    server.says(r'accepting pauses, .*\(EAGAIN\)')
    check_rests(server)
    check_goes_on(peers, [waiting])
    restore()
    same(waiting.exchange(b'!'), b'later!', 'after the shortage')
    waiting.close()
    for peer in peers:
        peer.close()
    server.is_well()


def test_no_worker_can_be_replaced():
    server = serve_as_nobody('-m', 'prefork', '-w', '3', '-v')
    peers = talking(server, 3)
    workers = workers_of(server)
    restore = without_processes(server)
    os.kill(workers[1], signal.SIGKILL)
    peers.pop(1).close()
    server.says(f'worker {workers[1]} died')
    waiting = server.connect()
    waiting.send(b'later')
    check_rests(server)
    check_goes_on(peers, [waiting])
    restore()
    same(waiting.exchange(b'!'), b'later!', 'after the shortage')
    for peer in [waiting, *peers]:
        peer.close()
    server.is_well()


def injected(call, *args):
    """A server some of whose system calls fail, as strace(1) is told."""
    need('strace')
    under = ['strace', '-f', '-q', '-o', '/dev/null', '-e', 'signal=none',
             '-e', f'trace={call.split(":")[0]}', '-e', f'inject={call}']
    return serve('-v', *args, under=under)


def check_injected(server):
    for _ in range(5):
        peer = server.connect()
        same(peer.exchange(b'served'), b'served')
        peer.close()
    server.is_well()


@every_model
def test_connection_aborted_while_accepting(model):
    server = injected('accept4:error=ECONNABORTED:when=1+2', '-m', model)
    check_injected(server)
    assert 'pauses' not in server.said(), server.said()


def test_errors_of_one_connection_are_passed_over():
    for error in ('EPROTO', 'EPERM', 'ENETDOWN', 'EHOSTUNREACH', 'EINTR'):
        server = injected(f'accept4:error={error}:when=1+2')
        check_injected(server)
        assert 'pauses' not in server.said(), f'{error}: {server.said()}'


def test_shortages_of_the_system_are_waited_for():
    for error in ('ENFILE', 'ENOMEM', 'ENOBUFS'):
        server = injected(f'accept4:error={error}:when=2')
        check_injected(server)
        has(server.said(), 'accepting pauses', error, 'accepting resumes')


@every_model
def test_interrupted_calls_lose_nothing(model):
    server = injected('poll,ppoll,epoll_wait,epoll_pwait,io_uring_enter,'
                      'recvfrom,recvmsg,sendto,sendmsg:error=EINTR:when=2+3',
                      '-m', model)
    data = pattern(300000)
    peer = server.connect()
    same(peer.exchange(data), data, 'echo')
    peer.close()
    server.says('conversation 1 ends: .*: well')
    server.is_well()


@every_model
def test_reset_before_it_is_accepted(model):
    server = serve('-m', model, '-v')
    harness.freeze(server.pid)
    for _ in range(3):
        server.connect().reset()
    silent = server.connect()
    silent.close()
    peer = server.connect()
    harness.thaw(server.pid)
    same(peer.exchange(b'I stayed'), b'I stayed')
    peer.close()
    server.is_well()


@every_model
def test_reset_amid_the_answer(model):
    server = serve('-m', model, '-v', 'chargen')
    for number in (1, 2):
        peer = server.connect()
        peer.read(100000)
        peer.reset()
        server.says(f'conversation {number} ends: ')
    peer = server.connect()
    same(len(peer.read(100)), 100, 'bytes for the next')
    peer.close()
    server.is_well()


@every_model
def test_close_with_unread_and_late_input(model):
    server = serve('-m', model, 'ack')
    peer = server.connect()
    peer.send(b'x' * 300000)  # of which it reads the first few
    got = peer.read(1)
    for _ in range(20):  # and then it has gone, if it does that wrong
        peer.send(b'late' * 1000)
    got += peer.rest()
    same(got.decode(), 'received well '
         f"('127.0.0.1', {peer.name[1]})\n", 'answer')
    peer.close()
    server.is_well()


def impatient(model):
    if not HELPERS:
        raise Skip('no helper programs')
    return Server(command=[HELPERS / 'impatient', model.split('-')[0],
                           '127.0.0.1:0'])


@every_model
def test_stopped_peer_meets_the_write_timeout(model):
    need('nc.openbsd')
    server = impatient(model)
    client = spawn('nc.openbsd', '127.0.0.1', server.port,
                   stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    client.stdin.write(b'fill\n')
    client.stdin.flush()
    client.stdout.read(100000)
    client.send_signal(signal.SIGSTOP)
    began = time.monotonic()
    server.says('^ended: ETIMEDOUT$')
    took = time.monotonic() - began
    assert took < 10, f'{took} s'
    same(server.connect().ask(b'next\n'), b'next\n')


@every_model
def test_one_byte_at_a_time_meets_the_message_timeout(model):
    server = impatient(model)
    peer = server.connect()
    same(peer.ask(b'a whole line\n'), b'a whole line\n')
    began = time.monotonic()
    while not is_answered(peer):
        with contextlib.suppress(ConnectionError):
            peer.send(b'x')  # never silent, never done
        assert time.monotonic() - began < 10, 'it is still listened to'
        time.sleep(0.05)
    took = time.monotonic() - began
    assert took > 0.3, f'{took} s'
    server.says('^ended: ETIMEDOUT$')
    same(server.connect().ask(b'next\n'), b'next\n')


def worker_of(server, number):
    """The process that holds conversation NUMBER, as the log says."""
    return int(server.says(rf'conversation {number} begins: .* '
                           r'\(process (\d+)\)$')[1])


def workers_of(server):
    return [worker_of(server, number) for number in (1, 2, 3)]


@only(('process', 'prefork'))
def test_killed_process_loses_its_conversation_only(model):
    server = serve('-m', model, '-w', 104, '-v')
    peers = talking(server, 100)
    victim = worker_of(server, 50)
    rounds, lost, done = [0] * len(peers), [], threading.Event()

    def converse(index):
        data = b'%d ' % index * 500
        with contextlib.suppress(ConnectionError):
            while not done.is_set():
                if peers[index].ask(data) != data:
                    break
                rounds[index] += 1
        if not done.is_set():
            lost.append(index + 1)
    threads = [threading.Thread(target=converse, args=[index])
               for index in range(len(peers))]
    for thread in threads:
        thread.start()
    try:
        until(lambda: min(rounds) > 2, 'they do not talk')
        os.kill(victim, signal.SIGKILL)
        until(lambda: lost, 'nobody is lost')
        before = list(rounds)
        until(lambda: all(now > then + 2 or index == 49 for index, (now, then)
                          in enumerate(zip(rounds, before))),
              'the others do not go on')
    finally:
        done.set()
        for thread in threads:
            thread.join(PATIENCE)
    same(lost, [50], 'lost conversations')
    server.says(rf'conversation 50 lost: 127\.0\.0\.1:{peers[49].name[1]}, '
                rf'its worker {victim} ended: killed by signal 9')
    same(server.connect().exchange(b'next'), b'next')
    for peer in peers:
        peer.close()
    server.is_well()


def test_killed_worker_of_fibers_loses_its_conversations_only():
    server = serve('--isolate', '-w', '4', '-vv')
    peers = talking(server, 40)
    held = [worker_of(server, number) for number in range(1, 41)]
    same(sorted(map(held.count, set(held))), [10] * 4, f'spread: {held}')
    victim = held[0]
    os.kill(victim, signal.SIGKILL)
    for number, worker in enumerate(held, 1):
        if worker == victim:
            server.says(rf'conversation {number} lost: .*, its worker '
                        rf'{victim} ended: killed by signal 9')
    server.says(f'worker {victim} died')
    until(lambda: server.said().count('there are 4 now') == 2, 'no successor')
    check_goes_on([peer for peer, worker in zip(peers, held)
                   if worker != victim])
    same(server.said().count(' lost: '), 10, 'lost conversations')
    # Who comes now has the one that took its place.
    more = talking(server, 10)
    found = {worker_of(server, number) for number in range(41, 51)}
    assert len(found) == 1 and not found & set(held), (found, held)
    for peer in [*peers, *more]:
        peer.close()
    server.is_well()


def test_killed_idle_workers_are_replaced():
    server = serve('-m', 'prefork', '-w', '3')
    first = until(lambda: (pids := session_of(server.pid))[2:] and pids,
                  'no workers')
    for pid in first:
        os.kill(pid, signal.SIGKILL)
    until(lambda: len(set(map(int, filter(is_alive, session_of(
        server.pid)))) - set(first)) == 3, 'not replaced')
    for peer in talking(server, 3):
        peer.close()
    server.is_well()


@every_model
def test_killed_server_leaves_a_free_port(model):
    server = serve('-m', model, '-w', 4)
    peers = talking(server, 1 if model == 'iterative' else 3)
    server.process.kill()
    server.process.wait(PATIENCE)
    for peer in peers:
        # Those that have their own strand.
        if model in ('process', 'prefork', 'fiber-isolated'):
            same(peer.exchange(b'to the end'), b'to the end')
        else:
            with contextlib.suppress(ConnectionResetError):
                same(peer.rest(), b'')
        peer.close()
    until(lambda: not any(map(is_alive, session_of(server.pid))),
          'workers outlive their server')
    second = serve('-m', model, '-p', server.port)
    same(second.connect().exchange(b'x'), b'x')
    second.is_well()


@every_model
def test_stopped_and_continued_loses_nothing(model):
    server = serve('-m', model)
    data, done = pattern(8 << 20), threading.Event()

    def storm():
        while not done.wait(0.002):
            for pid in [server.pid, *session_of(server.pid)]:
                for how in (signal.SIGSTOP, signal.SIGCONT):
                    harness.kill_quietly(pid, how)
    thread = threading.Thread(target=storm)
    thread.start()
    try:
        peer = server.connect()
        got = peer.exchange(data)
    finally:
        done.set()
        thread.join()
    assert got == data, f'{len(got)} bytes'
    peer.close()
    server.is_well()


@every_parallel_model
def test_slow_peers_slow_no_other(model):
    server = serve('-m', model, '-w', 24, 'chargen')
    deaf = [server.connect() for _ in range(8)]  # who never read
    for peer in deaf:
        until(lambda p=peer: is_answered(p), 'nothing comes')
    began = time.monotonic()
    peer = server.connect()
    same(len(peer.read(1000000)), 1000000, 'bytes')
    took = time.monotonic() - began
    assert took < 10, f'{took} s'
    for each in [peer, *deaf]:
        each.close()
    server.is_well()


if __name__ == '__main__':
    harness.main(globals())
