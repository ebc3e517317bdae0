import * as v from 'valibot';
import {parseYaml} from './yaml.js';

/** Versions whose fields are all known here (cncf-tags/container-device-interface, SPEC.md). */
const VERSIONS = ['0.3.0', '0.4.0', '0.5.0', '0.6.0', '0.7.0', '0.8.0', '1.0.0', '1.1.0'] as const;

const text = v.pipe(v.string(), v.nonEmpty(), v.regex(/^[^\0]*$/, 'holds a NUL byte'));
const path = v.pipe(text, v.regex(/^\//, 'is not an absolute path'), v.regex(/^(?!.*(?:^|\/)\.\.(?:\/|$))/, 'contains ".."'));
const uint32 = v.pipe(v.number(), v.integer(), v.minValue(0), v.maxValue(0xffff_ffff));
const maybe = <T extends v.GenericSchema>(schema: T) => v.nullish(schema, null);
const list = <T extends v.GenericSchema>(item: T) => v.nullish(v.array(item), []);
const annotations = v.nullish(v.record(v.string(), v.string()), {});

const deviceNode = v.strictObject({
	path,
	hostPath: maybe(path),
	type: maybe(v.picklist(['b', 'c', 'u', 'p', ''])),
	major: maybe(v.pipe(v.number(), v.integer())),
	minor: maybe(v.pipe(v.number(), v.integer())),
	fileMode: maybe(v.pipe(v.number(), v.integer(), v.minValue(0), v.maxValue(0o7777))),
	permissions: maybe(v.pipe(v.string(), v.regex(/^[rwm]{0,3}$/, 'is not made of r, w and m'))),
	uid: maybe(uint32),
	gid: maybe(uint32),
});
const mount = v.strictObject({hostPath: path, containerPath: path, type: maybe(v.string()), options: list(text)});
const edits = v.strictObject({
	env: list(v.pipe(text, v.regex(/^[^=]+=/, 'is not NAME=value'))),
	deviceNodes: list(deviceNode),
	netDevices: list(v.unknown()),
	mounts: list(mount),
	hooks: list(v.unknown()),
	intelRdt: maybe(v.unknown()),
	additionalGids: list(uint32),
});
const device = v.strictObject({
	name: v.pipe(v.string(), v.regex(/^[A-Za-z0-9](?:[\w.:-]*[A-Za-z0-9])?$/, 'is no name of a device')),
	annotations,
	containerEdits: edits,
});
const specification = v.strictObject({
	cdiVersion: v.pipe(
		v.string(),
		v.transform(version => version.replace(/^v/, '')),
		v.picklist(VERSIONS, `must be one of ${VERSIONS.join(', ')}`),
	),
	kind: v.pipe(v.string(), v.regex(/^[A-Za-z](?:[\w.-]*[A-Za-z0-9])?\/[A-Za-z](?:[\w-]*[A-Za-z0-9])?$/, 'is not like "vendor.com/class"')),
	annotations,
	devices: v.pipe(v.array(device), v.minLength(1, 'names no device')),
	containerEdits: maybe(edits),
});

/** What a device changes of a container. */
export type CdiEdits = v.InferOutput<typeof edits>;
export type CdiDeviceNode = v.InferOutput<typeof deviceNode>;
export type CdiMount = v.InferOutput<typeof mount>;
/** A file of a spec directory. */
export type CdiSpecification = v.InferOutput<typeof specification>;

/**
 * @param name Of the file: what ends with ".json" is JSON, the rest YAML.
 * @throws {Error} with place and rule.
 */
export function parseSpecification(name: string, content: string): CdiSpecification {
	const value: unknown = name.endsWith('.json') ? JSON.parse(content) : parseYaml(content);
	const result = v.safeParse(specification, value);
	if (!result.success) {
		const [issue] = result.issues;
		throw new Error(`${v.getDotPath(issue) ?? 'the whole'}: ${issue.message}`);
	}
	const names = result.output.devices.map(each => each.name);
	const twice = names.find((each, index) => names.indexOf(each) !== index);
	if (twice !== undefined) throw new Error(`devices: "${twice}" comes twice`);
	return result.output;
}
