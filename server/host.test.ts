import test from 'ava';
import {assertHost} from './host.js';

const good = {platform: 'linux', kernelRelease: '5.15.0-91-generic', effectiveUid: 0};

for (const kernelRelease of ['5.15.0', '6.1.0-18-amd64', '6.18.44', '7.0.0-rc1']) {
	test(`assertHost takes kernel ${kernelRelease}`, t => t.notThrows(() => assertHost({...good, kernelRelease})));
}

for (const [what, host, message] of [
	['kernel 5.14', {kernelRelease: '5.14.21'}, 'kernel 5.14.21 is too old: berth needs Linux 5.15 or newer'],
	['kernel 4.18', {kernelRelease: '4.18.0-553.el8'}, 'kernel 4.18.0-553.el8 is too old: berth needs Linux 5.15 or newer'],
	['a kernel without a number', {kernelRelease: 'next'}, 'kernel release "next" is not of the form 6.1.0'],
	['another system', {platform: 'darwin'}, 'berth runs on Linux only, this is darwin'],
	['another user than root', {effectiveUid: 1000}, 'berth serve must run as root, runs as uid 1000'],
] as const) {
	test(`assertHost refuses ${what}`, t => void t.throws(() => assertHost({...good, ...host}), {message}));
}
