import test from 'ava';
import {toNetwork} from './network.js';

const line = (name: string, rxBytes: number): string => `${name}: ${rxBytes} 1 0 0 0 0 0 0 5 1 0 0 0 0 0 0\n`;

test('eth0 is the default interface wherever it stands; the others are listed without it and without lo', t => {
	const network = toNetwork(`header\n${line('lo', 1)}${line('net1', 2)}${line('eth0', 3)}${line('tun0', 4)}`);
	t.is(network?.defaultInterface?.name, 'eth0');
	t.deepEqual(
		network?.interfaces.map(({name, rx}) => [name, rx.bytes]),
		[
			['net1', 2n],
			['tun0', 4n],
		],
	);
});

test('a pod without eth0 has its first interface as default; one with lo alone has none', t => {
	t.is(toNetwork(`${line('lo', 1)}${line('net1', 2)}`)?.defaultInterface?.name, 'net1');
	t.deepEqual(toNetwork(line('lo', 1)), {defaultInterface: null, interfaces: []});
	t.is(toNetwork(null), null);
});
