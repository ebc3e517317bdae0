import test from 'ava';
import {InvalidArgumentError} from '../../../base/errors.js';
import {loadShim} from '../../../proto/loader.js';
import {toTaskOptions} from './options.js';

const wire = loadShim();
const handler = {name: 'kata', type: 'shim-v2', path: '/usr/bin/containerd-shim-kata-v2', options: [], timeoutMs: 1000} as const;
const runc = {...handler, name: 'runc-shim', path: '/usr/bin/containerd-shim-runc-v2'};

test('a shim with a config file of its own gets its path; one that is told nothing gets nothing', t => {
	const options = toTaskOptions({...handler, options: ['config_path=/etc/kata/a=b.toml']}, wire, '/run/x');
	t.is(options?.type_url, 'runtimeoptions.v1.Options');
	t.is(wire.options.Runc.responseDeserialize(options?.value as Buffer).config_path, '/etc/kata/a=b.toml');
	t.is(toTaskOptions(handler, wire, '/run/x'), null);
});

test("containerd's shim for runc gets the binary and a state directory of ours", t => {
	const read = (value: unknown): object => wire.options.Runc.requestDeserialize(value as Buffer);
	t.like(read(toTaskOptions(runc, wire, '/run/x')?.value), {binary_name: '', root: '/run/x'});
	t.like(read(toTaskOptions({...runc, options: ['binary_name=/usr/bin/crun', 'root=/run/y']}, wire, '/run/x')?.value), {
		binary_name: '/usr/bin/crun',
		root: '/run/y',
	});
});

test('what is no option is refused, naming handler and option', t => {
	for (const option of ['--debug', 'config_path=', 'color=red', ''])
		t.throws(() => toTaskOptions({...handler, options: [option]}, wire, '/run/x'), {
			instanceOf: InvalidArgumentError,
			message: `runtime.handlers.kata.options: "${option}" is none of config_path=…, binary_name=…, root=…`,
		});
});
