import {constants} from 'node:os';
import * as v from 'valibot';
import {InvalidArgumentError, UnimplementedError} from '../../base/errors.js';
import type {SeccompProfile, SeccompRule} from '../../native/native.js';
import {CAPABILITY_NAMES} from './capabilities.js';

const ACTIONS = [
	'SCMP_ACT_KILL',
	'SCMP_ACT_KILL_PROCESS',
	'SCMP_ACT_KILL_THREAD',
	'SCMP_ACT_TRAP',
	'SCMP_ACT_ERRNO',
	'SCMP_ACT_TRACE',
	'SCMP_ACT_ALLOW',
	'SCMP_ACT_LOG',
	'SCMP_ACT_NOTIFY',
] as const;
const OPERATORS = ['SCMP_CMP_NE', 'SCMP_CMP_LT', 'SCMP_CMP_LE', 'SCMP_CMP_EQ', 'SCMP_CMP_GE', 'SCMP_CMP_GT', 'SCMP_CMP_MASKED_EQ'] as const;
/** They change how the kernel logs and speculates, not what is allowed. */
const FLAGS = ['SECCOMP_FILTER_FLAG_LOG', 'SECCOMP_FILTER_FLAG_SPEC_ALLOW', 'SECCOMP_FILTER_FLAG_TSYNC'] as const;

const uint = v.pipe(
	v.union([v.pipe(v.number(), v.safeInteger(), v.minValue(0)), v.bigint()]),
	v.transform((value): bigint => BigInt(value)),
);
const errno = v.pipe(v.number(), v.integer(), v.minValue(0), v.maxValue(4095));
const nullable = <T extends v.GenericSchema>(schema: T) => v.nullish(schema);
const condition = v.strictObject({
	caps: nullable(v.array(v.picklist(CAPABILITY_NAMES))),
	arches: nullable(v.array(v.string())),
	minKernel: nullable(v.pipe(v.string(), v.regex(/^\d+\.\d+$/))),
});
const syscall = v.strictObject({
	names: nullable(v.array(v.pipe(v.string(), v.nonEmpty()))),
	name: nullable(v.string()),
	action: v.picklist(ACTIONS),
	errnoRet: nullable(errno),
	errno: nullable(v.string()),
	args: nullable(
		v.array(
			v.nullable(
				v.strictObject({
					index: v.pipe(v.number(), v.integer(), v.minValue(0), v.maxValue(5)),
					value: uint,
					valueTwo: nullable(uint),
					op: v.picklist(OPERATORS),
				}),
			),
		),
	),
	comment: nullable(v.string()),
	includes: nullable(condition),
	excludes: nullable(condition),
});
const profile = v.strictObject({
	defaultAction: v.picklist(ACTIONS),
	defaultErrnoRet: nullable(errno),
	defaultErrno: nullable(v.string()),
	architectures: nullable(v.array(v.pipe(v.string(), v.regex(/^SCMP_ARCH_[A-Z0-9_]+$/)))),
	archMap: nullable(v.array(v.strictObject({architecture: v.string(), subArchitectures: nullable(v.array(v.string()))}))),
	flags: nullable(v.array(v.picklist(FLAGS))),
	syscalls: nullable(v.array(syscall)),
});

type Condition = v.InferOutput<typeof condition>;
type Syscall = v.InferOutput<typeof syscall>;
/** A profile file, checked: runtime-spec's LinuxSeccomp, or the form of containers/common and Moby with includes and excludes. */
export type ProfileFile = v.InferOutput<typeof profile>;

/** What the rules of a profile are chosen by. */
export interface ProfileContext {
	/** The container's bounding set. */
	readonly capabilities: readonly string[];
	/** Node's name of the architecture: "x64", "arm64". */
	readonly arch: string;
	/** "6.18.2-…" as uname(2) says. */
	readonly kernelRelease: string;
}

const ARCHES: Readonly<Record<string, {readonly go: string; readonly scmp: string}>> = {
	x64: {go: 'amd64', scmp: 'SCMP_ARCH_X86_64'},
	arm64: {go: 'arm64', scmp: 'SCMP_ARCH_AARCH64'},
};

/**
 * @param path for the error.
 * @throws {InvalidArgumentError} naming file and place; {UnimplementedError} SCMP_ACT_NOTIFY, which would need an agent to answer.
 * @see runtime-spec config-linux.md, Seccomp; seccomp(2).
 */
export function parseProfile(path: string, text: string): ProfileFile {
	const result = v.safeParse(profile, parseJson(path, text));
	if (!result.success) {
		const [issue] = result.issues;
		throw new InvalidArgumentError(`seccomp profile ${path}: ${v.getDotPath(issue) ?? 'the whole'}: ${issue.message}`, {path});
	}
	const file = result.output;
	if (file.defaultAction === 'SCMP_ACT_NOTIFY' || (file.syscalls ?? []).some(({action}) => action === 'SCMP_ACT_NOTIFY'))
		throw new UnimplementedError(`seccomp profile ${path}: SCMP_ACT_NOTIFY is not implemented`, {path});
	if ((file.architectures ?? []).length > 0 && (file.archMap ?? []).length > 0)
		throw new InvalidArgumentError(`seccomp profile ${path}: architectures and archMap are both set`, {path});
	for (const [index, rule] of (file.syscalls ?? []).entries()) {
		if (toNames(rule).length === 0) throw new InvalidArgumentError(`seccomp profile ${path}: syscalls.${index}: no names`, {path});
		toErrno(path, rule.errnoRet, rule.errno);
	}
	toErrno(path, file.defaultErrnoRet, file.defaultErrno);
	return file;
}

/** 64-bit values that a number cannot hold stay exact. */
function parseJson(path: string, text: string): unknown {
	const exact = (_key: string, value: unknown, context?: {readonly source?: string}): unknown =>
		typeof value === 'number' && !Number.isSafeInteger(value) && /^\d+$/.test(context?.source ?? '') ? BigInt(context?.source ?? 0) : value;
	try {
		return JSON.parse(text, exact);
	} catch (cause) {
		throw new InvalidArgumentError(`seccomp profile ${path} is not JSON: ${(cause as Error).message}`, {path}, {cause});
	}
}

/** The rules that hold for one container on this machine. */
export function chooseRules(file: ProfileFile, context: ProfileContext): SeccompProfile {
	const native = ARCHES[context.arch];
	const defaultErrno = toErrno('', file.defaultErrnoRet, file.defaultErrno);
	const rules = (file.syscalls ?? []).filter(rule => holds(rule, context, native?.go ?? context.arch)).map(toRule);
	return {
		defaultAction: file.defaultAction,
		defaultErrno,
		architectures: toArchitectures(file, native?.scmp ?? ''),
		// A rule that says what the default says anyway is an error to libseccomp.
		syscalls: rules.filter(({action, errno: number}) => action !== file.defaultAction || number !== defaultErrno),
	};
}

function toArchitectures(file: ProfileFile, native: string): readonly string[] {
	const mapped = (file.archMap ?? []).find(({architecture}) => architecture === native);
	if (mapped !== undefined) return [native, ...(mapped.subArchitectures ?? [])];
	return file.architectures ?? [];
}

function holds({includes, excludes}: Syscall, context: ProfileContext, arch: string): boolean {
	const has = (cap: string): boolean => context.capabilities.includes(cap);
	const isNewEnough = ({minKernel}: Condition): boolean => isAtLeast(context.kernelRelease, minKernel ?? '0.0');
	if (includes?.arches && includes.arches.length > 0 && !includes.arches.includes(arch)) return false;
	if (includes?.caps && !includes.caps.every(has)) return false;
	if (includes?.minKernel && !isNewEnough(includes)) return false;
	if (excludes?.arches?.includes(arch)) return false;
	if (excludes?.caps?.some(has)) return false;
	return !(excludes?.minKernel && isNewEnough(excludes));
}

function isAtLeast(release: string, wanted: string): boolean {
	const [major = 0, minor = 0] = release.split('.').map(part => Number.parseInt(part, 10));
	const [wantedMajor = 0, wantedMinor = 0] = wanted.split('.').map(Number);
	return major > wantedMajor || (major === wantedMajor && minor >= wantedMinor);
}

function toRule(rule: Syscall): SeccompRule {
	const args = (rule.args ?? []).filter(arg => arg !== null).map(({index, value, valueTwo, op}) => ({index, value, valueTwo: valueTwo ?? 0n, op}));
	return {names: toNames(rule), action: rule.action, errno: toErrno('', rule.errnoRet, rule.errno), args};
}

function toNames({names, name}: Syscall): readonly string[] {
	return [...(names ?? []), ...(name ? [name] : [])];
}

function toErrno(path: string, number: number | null | undefined, name: string | null | undefined): number | null {
	if (number !== null && number !== undefined) return number;
	if (!name) return null;
	const found = (constants.errno as Readonly<Record<string, number>>)[name];
	if (found === undefined) throw new InvalidArgumentError(`seccomp profile ${path}: "${name}" is no errno`, {path});
	return found;
}
