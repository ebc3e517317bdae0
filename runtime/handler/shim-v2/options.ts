import {basename} from 'node:path';
import {InvalidArgumentError} from '../../../base/errors.js';
import type {Any, ShimWire} from '../../../proto/shim.js';
import type {HandlerOptions} from '../handler.js';

const KEYS = new Set(['config_path', 'binary_name', 'root']);

/**
 * The options that each task is created with: of a handler's list of KEY=VALUE. `config_path` is the runtime's own config file (kata and
 * others); `binary_name` and `root` are of containerd's shim for runc.
 *
 * @param defaultRoot Where runc keeps its state when nothing is said.
 * @throws {InvalidArgumentError} another key.
 */
export function toTaskOptions({name, path, options}: HandlerOptions, wire: ShimWire, defaultRoot: string): Any | null {
	const values = new Map<string, string>();
	for (const option of options) {
		const [key = '', ...rest] = option.split('=');
		const value = rest.join('=');
		const field = `runtime.handlers.${name}.options`;
		if (!KEYS.has(key) || value === '') throw new InvalidArgumentError(`${field}: "${option}" is none of config_path=…, binary_name=…, root=…`, {field});
		values.set(key, value);
	}
	const configPath = values.get('config_path');
	if (configPath !== undefined) {
		const value = wire.options.Runc.responseSerialize({config_path: configPath});
		return {type_url: 'runtimeoptions.v1.Options', value};
	}
	if (!basename(path).startsWith('containerd-shim-runc')) return null;
	const value = wire.options.Runc.requestSerialize({binary_name: values.get('binary_name') ?? '', root: values.get('root') ?? defaultRoot});
	return {type_url: 'containerd.runc.v1.Options', value};
}
