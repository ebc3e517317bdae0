import test from 'ava';
import {toProtocol} from './first-bytes.js';

const PREFACE = 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n';

for (let length = 0; length <= PREFACE.length; length++) {
	test(`${length} bytes of the preface ${length < 14 ? 'decide nothing' : 'are HTTP/2'}`, t => {
		t.is(toProtocol(Buffer.from(PREFACE.slice(0, length))), length < 14 ? null : 'http2');
	});
}

for (const start of [
	'G',
	'GET /info HTTP/1.1\r\n',
	'P',
	'PR',
	'PRO',
	'PRI /info HTTP/1.1',
	'PRI * HTTP/1.1\r\n',
	'PUT / HTTP/1.1',
	'\0',
	'\u0016\u0003\u0001',
].filter(text => !PREFACE.startsWith(text))) {
	test(`${JSON.stringify(start)} is not HTTP/2`, t => t.is(toProtocol(Buffer.from(start, 'latin1')), 'http1'));
}
