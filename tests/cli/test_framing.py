#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""--framing, --hex and --crlf of both commands: the bytes on the wire, seen by
plain sockets and by socat, and naru with itself.
"""

import socket
import subprocess
import threading

import harness
from harness import (NARU, Peer, Server, at_end, every_model, has, listener,
                     need, run, same, serve, spawn, temporary)

LINES = (b'hello', b'', b'a, b', b'wide ' * 20)


def leb128(number):
    out = b''
    while number > 127:
        out += bytes([number & 127 | 128])
        number >>= 7
    return out + bytes([number])


def prefixed(size, order='big', plus=0):
    return lambda m: (len(m) + plus).to_bytes(size, order) + m


def ended(end):
    return lambda m: m + end


# Each framing, and what a message is on the wire.
FRAMINGS = {
    'lines': ended(b'\n'),
    'lf': ended(b'\n'),
    'crlf': ended(b'\r\n'),
    'crlf-tolerant': ended(b'\r\n'),
    'delimiter=;': ended(b';'),
    r'delimiter=\r\n\0\t\x7E\\': ended(b'\r\n\0\t~\\'),
    r'delimiter=\,END,limit=1000': ended(b',END'),
    'u8': prefixed(1),
    'u16': prefixed(2),
    'u32': prefixed(4),
    'u64': prefixed(8),
    'u16le': prefixed(2, 'little'),
    'u32le': prefixed(4, 'little'),
    'u64le': prefixed(8, 'little'),
    'varint': lambda m: leb128(len(m)) + m,
    'u16,counted': prefixed(2, plus=2),
    'u32le,limit=1K,counted': prefixed(4, 'little', plus=4),
    'netstring': lambda m: b'%d:%s,' % (len(m), m),
}


class Against:
    """A server of ours for one call: reads to the end what comes, and answers
    with ANSWER."""

    def __init__(self, answer=b''):
        self.listener = listener()
        self.endpoint = '127.0.0.1:%d' % self.listener.getsockname()[1]
        self.answer, self.got = answer, None
        self.thread = threading.Thread(target=self.serve, daemon=True)
        self.thread.start()

    def serve(self):
        peer = Peer(self.listener.accept()[0])
        at_end(peer.close)
        self.got = peer.rest()
        peer.send(self.answer)
        peer.close()

    def result(self):
        self.thread.join(harness.PATIENCE)
        assert not self.thread.is_alive(), 'the server still talks'
        return self.got


def call(*args, data=b''):
    return run(NARU, 'call', *args, data=data)


def typed(*args, data, answer=b''):
    """What the call sends for DATA: (status, output, errors, wire)."""
    server = Against(answer)
    return (*call(*args, server.endpoint, data=data), server.result())


class Interactive:
    """A call whose input and output are pipes of ours."""

    def __init__(self, *args):
        self.process = spawn(NARU, 'call', *args, stdin=subprocess.PIPE,
                             stdout=subprocess.PIPE, bufsize=0)

    def write(self, data):
        self.process.stdin.write(data)

    def read(self, count):
        got = b''
        while len(got) < count:
            part = self.process.stdout.read(count - len(got))
            assert part, f'the output ends after {got!r}'
            got += part
        return got

    def end(self):
        self.process.stdin.close()
        same(self.process.wait(harness.PATIENCE), 0, 'exit status')


def test_call_each_framing_on_the_wire():
    for text, frame in FRAMINGS.items():
        wire = b''.join(map(frame, LINES))
        got = typed('--framing', text, data=b''.join(m + b'\n' for m in LINES),
                    answer=wire + frame(b'bye'))
        same(got, (0, b''.join(m + b'\n' for m in LINES) + b'bye\n', '', wire),
             text)


def test_serve_each_framing_on_the_wire():
    for text, frame in FRAMINGS.items():
        server = serve('--framing', text)
        wire = b''.join(map(frame, LINES))
        peer = server.connect()
        same(peer.exchange(wire), wire, text)
        slow = server.connect()
        for at in range(len(frame(b'slow'))):
            slow.send(frame(b'slow')[at:at + 1])
        same(slow.read(len(frame(b'slow'))), frame(b'slow'), text)
        slow.finish()
        same(slow.rest(), b'', text)
        server.is_well()


def test_varint_may_be_longer_than_it_need_be():
    """Up to ten bytes; the shortest form goes back."""
    server = serve('--framing', 'varint', '-v')
    long = b'\x80\x80\x80\x80\0' + b'\x82' + b'\x80' * 8 + b'\0hi'
    same(server.connect().exchange(long), b'\0\2hi')
    peer = server.connect()
    peer.send(b'\x80' * 10 + b'\0')
    peer.finish()
    server.says(r'conversation 2 ends: .*failed: .*\(NARU_EFRAME\)')
    server.is_well()


def test_fixed_size():
    same(typed('--framing', 'fixed=4', data=b'abcd\nefgh\n',
               answer=b'12345678'), (0, b'1234\n5678\n', '', b'abcdefgh'))
    server = serve('--framing', 'fixed=4')
    same(server.connect().exchange(b'abcdefgh'), b'abcdefgh')
    server.is_well()


def test_header_is_shown_and_its_length_filled_in():
    got = typed('--framing', 'u8,header', '--hex', data=b'00 61 62\n',
                answer=b'\x03xyz')
    same(got, (0, b'03 78 79 7a\n', '', b'\x02ab'))
    got = typed('--framing', 'u16,offset=2,counted', '--hex',
                data=b'07 01 00 00 de ad\n07 02 00 00\n',
                answer=b'\x08\x01\x00\x05!')
    same(got, (0, b'08 01 00 05 21\n', '',
               b'\x07\x01\x00\x06\xde\xad\x07\x02\x00\x04'))


@every_model
def test_naru_with_itself(model):
    server = serve('-m', model, '--framing', 'u16')
    data = b''.join(b'line %d\n' % i for i in range(2000))
    same(call('--framing', 'u16', server.endpoint, data=data), (0, data, ''))
    server.is_well()


def test_last_line_without_end_is_a_message():
    same(typed('--framing', 'u8', data=b'one\ntwo')[3], b'\x03one\x03two')
    same(typed('--framing', 'u8', '--hex', data=b'01')[3], b'\x01\x01')
    same(typed('--framing', 'u8', data=b'')[3], b'')


def test_message_is_printed_when_it_has_come():
    server = serve('--framing', 'u32le')
    person = Interactive('--framing', 'u32le', server.endpoint)
    for line in (b'first\n', b'\n', b'third\n'):
        person.write(line)
        same(person.read(len(line)), line)
    # A line in pieces is one message still.
    person.write(b'pie')
    person.write(b'ces\n')
    same(person.read(7), b'pieces\n')
    person.end()
    server.is_well()


def test_long_message_up_to_its_limit():
    server = serve('--framing', 'u32,limit=2M')
    line = b'x' * (2 << 20) + b'\n'
    same(call('--framing', 'u32,limit=2M', server.endpoint, data=line),
         (0, line, ''))
    status, out, err = call('--framing', 'u32,limit=2M', server.endpoint,
                            data=b'x' + line + b'next\n')
    same((status, out), (1, b'next\n'), err)
    has(err, 'line 1: ', 'over the limit of 2097152 bytes', 'not sent')
    hexes = call('--framing', 'u32,limit=2M', '--hex', server.endpoint,
                 data=b'0a ' * (2 << 20))
    same((hexes[0], len(hexes[1]), hexes[1][:6]), (0, 3 * (2 << 20), b'0a 0a '))
    server.is_well()


def test_line_that_cannot_be_sent_is_told_and_the_rest_is_sent():
    for text, bad, why in (
            ('u8', b'x' * 256, 'over the limit'),
            ('lines,limit=3', b'four', 'over the limit of 3 bytes'),
            ('fixed=4', b'five5', 'over the limit of 4 bytes'),
            ('fixed=4', b'3', 'under the framing'),
            ('crlf', b'a\rb', 'under the framing'),
            ('delimiter=;', b'a;b', 'under the framing')):
        status, _, err, wire = typed('--framing', text,
                                     data=b'okay\n' + bad + b'\nokay\n'
                                     if 'limit=3' not in text
                                     else b'ok\n' + bad + b'\nok\n')
        same(status, 1, text)
        has(err, 'naru call: standard input, line 2: ', why,
            '; the line is not sent\n')
        same(err.count('\n'), 1, err)
        good = 'ok' if 'limit=3' in text else 'okay'
        same(wire.count(good.encode()), 2, text)
        assert bad not in wire, wire


def test_what_the_peer_sends_is_no_message():
    for text, answer, out, why in (
            ('netstring', b'2:ok,x', b'ok\n', 'what the peer sent: '),
            ('crlf', b'ok\r\na\nb', b'ok\n', 'what the peer sent: '),
            ('u16,limit=5', b'\0\2ok\0\6sixsix', b'ok\n',
             'over the limit'),
            ('u16', b'\0\2ok\0\6si', b'ok\n', 'the connection broke: ')):
        status, got, err, _ = typed('--framing', text, data=b'',
                                    answer=answer)
        same((status, got), (1, out), f'{text}: {err}')
        has(err, why)


def test_server_says_what_is_no_message():
    server = serve('-v', '--framing', 'netstring')
    peer = server.connect()
    same(peer.ask(b'2:ok,'), b'2:ok,')
    peer.send(b'junk')
    peer.finish()
    server.says(r'ends: .*failed: .*\(NARU_EFRAME\)')
    peer.close()
    server.is_well()


@every_model
def test_ack_reads_one_message_and_answers_with_one(model):
    server = serve('-m', model, '--framing', 'u16', 'ack')
    peer = server.connect()
    peer.send(b'\0')
    peer.send(b'\5hel')
    peer.send(b'lo')
    text = b"received well ('%s', %d)" % (peer.name[0].encode(), peer.name[1])
    same(peer.rest(), len(text).to_bytes(2, 'big') + text)
    peer.close()
    server.is_well()


def test_discard_counts_messages():
    server = serve('-v', '--framing', 'u8', 'discard')
    same(server.connect().exchange(b'\1a\0\3abc'), b'')
    server.says(r'conversation 1: 3 messages thrown away$')
    server.is_well()


def test_daytime_is_one_message():
    server = serve('--framing', 'u8', 'daytime')
    peer = server.connect()
    data = peer.rest()
    peer.close()
    same(data[0], len(data) - 1, data)
    assert data.endswith(b'-UTC'), data
    server.is_well()


def test_hint_has_the_framing():
    server = serve('--framing', 'u16,limit=1K')
    server.says(r"talk to it with: .* call --framing 'u16,limit=1K' "
                r'tcp://\S+:\d+$|'
                r"talk to it with: .* call --framing 'u16,limit=1K' "
                r'\S+:\d+$')
    server.is_well()


def test_socat_is_the_other_side():
    need('socat')
    server = serve('--framing', 'u16')
    wire = b'\0\3abc\0\0\0\2\n\n'
    same(run('socat', '-t', '30', '-', f'TCP:127.0.0.1:{server.port}',
             data=wire), (0, wire, ''))
    server.is_well()
    path = temporary() / 'socket'
    spawn('socat', f'UNIX-LISTEN:{path}', 'EXEC:cat')
    harness.until(path.exists, 'no socket of socat')
    same(call('--framing', 'varint', '--hex', f'unix:{path}',
              data=b'00 ff\n'), (0, b'00 ff\n', ''))


def test_hex_without_a_framing_is_bytes():
    data = b'de ad BE\tef\n\n  0a0B0c  \n'
    got = typed('--hex', data=data, answer=bytes(range(20)))
    wire = b'\xde\xad\xbe\xef\x0a\x0b\x0c'
    same(got[2:], ('', wire), 'sent')
    same(bytes.fromhex(got[1].decode()), bytes(range(20)), 'printed')
    same(max(map(len, got[1].split(b'\n'))), 16 * 3 - 1, 'longest line')
    same(got[0], 0, 'exit status')


def test_hex_output_is_input_again():
    server = serve()
    data = bytes(range(256)) * 300
    status, out, err = call('--hex', server.endpoint, data=data.hex().encode())
    same((status, err), (0, ''))
    same(bytes.fromhex(out.decode()), data, 'the echo')
    same(call('--hex', server.endpoint, data=out)[0::2], (0, ''))
    server.is_well()


def test_hex_faults_are_told_with_line_and_column():
    got = typed('--hex', '--framing', 'u8',
                data=b'01\n0g\n02 3 04\n05 6\nzz\n\x80\n07\n7')
    same((got[0], got[3]), (1, b'\1\1\1\7'), got[2])
    same(got[2].splitlines(), [
        f'naru call: standard input, line {place}; the line is not sent'
        for place in (
            "2, column 2: 'g' is no hex digit",
            '3, column 4: a byte has two hex digits, this is one',
            '4, column 4: a byte has two hex digits, this is one',
            "5, column 1: 'z' is no hex digit",
            r"6, column 1: '\x80' is no hex digit",
            '8, column 1: a byte has two hex digits, this is one')])


def test_hex_line_has_a_limit():
    got = typed('--hex', data=b'00' * ((1 << 20) + 1) + b'\n01\n')
    same((got[0], got[3]), (1, b'\1'), got[2])
    has(got[2], 'line 1: ', 'over the limit of 1048576 bytes')


def test_crlf_is_sent_for_lf():
    same(typed('--crlf', data=b'a\n\nb\r\nc', answer=b'x\ny\r\n'),
         (0, b'x\ny\r\n', '', b'a\r\n\r\nb\r\nc'))
    # A CR and its LF that come in two reads: the first has been sent before
    # the other is typed.
    sock = listener()
    person = Interactive('--crlf', '127.0.0.1:%d' % sock.getsockname()[1])
    peer = Peer(sock.accept()[0])
    at_end(peer.close)
    for typing, sent in ((b'a\n', b'a\r\n'), (b'b\r', b'b\r'), (b'\n', b'\n'),
                         (b'\n', b'\r\n')):
        person.write(typing)
        same(peer.read(len(sent)), sent)
    peer.close()
    person.end()


def test_crlf_with_lines():
    got = typed('--crlf', '--framing', 'lines', data=b'a\nb',
                answer=b'x\ny\r\n')
    same(got, (0, b'x\ny\n', '', b'a\r\nb\r\n'))
    got = typed('--crlf', '--framing', 'crlf', data=b'a\n', answer=b'x\r\n')
    same(got, (0, b'x\n', '', b'a\r\n'))
    server = serve('--crlf')
    same(server.connect().exchange(b'a\nb\r\n'), b'a\r\nb\r\n')
    server.is_well()
    server = serve('--crlf', 'ack')
    peer = server.connect()
    peer.send(b'hello\n')
    assert peer.rest().endswith(b')\r\n')
    peer.close()
    server.is_well()
    for framing in ('u16', 'lf', 'netstring', 'fixed=3', 'delimiter=x'):
        for command in ('call', 'serve'):
            wrong(command, '--crlf', '--framing', framing,
                  names=['--crlf: ', f"'{framing}'"])
    wrong('call', '--crlf', '--hex', names=['--crlf: --hex'])


def wrong(*args, names):
    """The command exits 2, with one line that has NAMES."""
    status, out, err = run(NARU, *args)
    same((status, out), (2, b''), f'{args}: {err}')
    same(err.count('\n'), 1, err)
    has(err, f'naru {args[0]}: ', *names)


def test_wrong_text_is_told_with_its_place():
    for text, place, why in (
            ('', 1, 'there is no such framing; there are lines, '),
            ('u24', 1, 'no such framing'),
            ('LINES', 1, 'no such framing'),
            ('u16,', 5, 'may follow'),
            ('u16,,counted', 5, 'may follow'),
            ('u16,limit=5,foo', 13, 'may follow'),
            ('lines,counted', 7, 'only limit=SIZE'),
            ('netstring,offset=1', 11, 'only limit=SIZE'),
            ('fixed=5,limit=5', 9, 'nothing may follow'),
            ('fixed=', 7, 'empty'),
            ('fixed=0', 7, 'from 1 to 1024M'),
            ('fixed=1025M', 7, 'from 1 to 1024M'),
            ('fixed=5x', 7, 'no unit of size'),
            ('lines,limit=' + '9' * 70, 13, 'too large'),
            ('u8,offset=65', 11, 'from 0 to 64'),
            ('u8,offset=-1', 11, 'decimal number'),
            ('u64,header,limit=7', 1, 'less than the header'),
            ('u8,offset=8,limit=8', 1, 'less than the header'),
            ('delimiter=', 11, 'empty'),
            ('delimiter=,limit=5', 11, 'empty'),
            (r'delimiter=a\q', 12, 'a backslash stands before'),
            ('delimiter=a\\', 12, 'a backslash stands before'),
            (r'delimiter=\xg0', 11, 'two hex digits'),
            (r'delimiter=\x0', 11, 'two hex digits'),
            ('delimiter=' + 'x' * 17, 27, 'at most 16')):
        for command in ('call', 'serve'):
            wrong(command, '--framing', text,
                  names=['--framing', f'at byte {place}: ', why])


def test_talks_without_messages_refuse():
    for talk in ('chargen', 'time'):
        wrong('serve', '--framing', 'u16', talk,
              names=['--framing: ', talk, 'echo'])
    for target in ('localhost:1', 'udp://localhost:1,localhost:1'):
        wrong('serve', '--framing', 'u16', f'relay={target}',
              names=['--framing: relay ', 'listens at udp://',
                     'connects to is udp://'])
    wrong('serve', '--crlf', 'chargen', names=['--crlf: chargen'])
    wrong('serve', '--framing', 'u16', '--', 'cat', names=['--framing: '])
    wrong('serve', '--hex', names=['--hex: ', 'naru call'])


def test_udp_line_is_a_datagram():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.settimeout(harness.PATIENCE)
        sock.bind(('127.0.0.1', 0))
        endpoint = 'udp://127.0.0.1:%d' % sock.getsockname()[1]
        process = spawn(NARU, 'call', '--hex', '--wait', '30', endpoint,
                        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                        bufsize=0)
        process.stdin.write(b'01 02 03\n\nff\n')
        got = [sock.recvfrom(100) for _ in range(3)]
        same([each[0] for each in got], [b'\1\2\3', b'', b'\xff'])
        sock.sendto(b'x' * 20, got[0][1])
        same(process.stdout.readline(), b' '.join([b'78'] * 20) + b'\n')
        sock.sendto(b'', got[0][1])
        same(process.stdout.readline(), b'\n')


def test_udp_framing_is_the_limit():
    server = Server('--drain', '0', '--framing', 'u16,limit=10',
                    'udp://127.0.0.1:0')
    same(call('--framing', 'lines', '--wait', '200ms', server.endpoint,
              data=b'one\ntwo, too\n'), (0, b'one\ntwo, too\n', ''))
    status, out, err = call('--framing', 'lines,limit=8', '--wait', '200ms',
                            server.endpoint, data=b'too long a line\nok\n')
    same((status, out), (1, b'ok\n'), err)
    has(err, 'line 1: ', 'over the limit of 8 bytes')
    status, _, err = call('--framing', 'lines,limit=100K', '--wait', '200ms',
                          server.endpoint, data=b'x' * 65508)
    same(status, 1, err)
    has(err, 'line 1: Message too long; the line is not sent')
    for command in ('call', 'serve'):
        wrong(command, '--crlf', '--framing', 'lines', 'udp://127.0.0.1:1',
              names=['--crlf: a datagram'])
    server.stop()


def test_tls():
    need('openssl')
    folder = temporary()
    made = run('openssl', 'req', '-x509', '-newkey', 'ec', '-pkeyopt',
               'ec_paramgen_curve:prime256v1', '-nodes', '-keyout',
               folder / 'key', '-out', folder / 'cert', '-subj',
               '/CN=localhost', '-addext', 'subjectAltName=DNS:localhost')
    same(made[0], 0, made[2])
    server = Server('--cert', folder / 'cert', '--key', folder / 'key',
                    '--framing', 'u16', 'tls://localhost:0')
    ours = ('--ca', folder / 'cert', '--framing', 'u16')
    same(call(*ours, server.endpoint, data=b'one\n\nthree\n'),
         (0, b'one\n\nthree\n', ''))
    same(call(*ours, '--hex', server.endpoint, data=b'00 0a ff\n'),
         (0, b'00 0a ff\n', ''))
    server.is_well()


harness.main(globals())
