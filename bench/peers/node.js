// SPDX-License-Identifier: MIT

// Node's net module. A client that does not take its answers is not read from
// until it has. The answers to lines that came together are corked, as the
// manual of its streams advises for many small writes.
//
//     node node.js echo|lines
'use strict';

const net = require('net');

const BACKLOG = 4096;
const LINE = 4096;
const LIFE_MS = 180000;
const LF = 10;

function write(socket, data) {
	if (socket.write(data) || socket.isPaused())
		return;
	socket.pause();
	socket.once('drain', () => socket.resume());
}

function echo(socket) {
	socket.on('data', (data) => write(socket, data));
}

function lines(socket) {
	let rest = null;

	socket.on('data', (data) => {
		let begin = 0, end;

		if (rest)
			data = Buffer.concat([rest, data]);
		socket.cork();
		while ((end = data.indexOf(LF, begin)) >= 0) {
			write(socket, data.subarray(begin, end + 1));
			begin = end + 1;
		}
		socket.uncork();
		rest = begin < data.length ? data.subarray(begin) : null;
		if (rest && rest.length >= LINE)
			socket.destroy();
	});
}

const talk = {echo, lines}[process.argv[2]];
if (!talk) {
	console.error('usage: node node.js echo|lines');
	process.exit(2);
}
setTimeout(() => process.exit(1), LIFE_MS).unref();
const server = net.createServer({noDelay: true}, (socket) => {
	socket.on('error', () => socket.destroy());
	talk(socket);
});
server.listen({port: 0, host: '127.0.0.1', backlog: BACKLOG},
              () => console.log(server.address().port));
