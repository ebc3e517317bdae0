import {InvalidArgumentError} from '../../base/errors.js';
import type {TimeOffsets} from '../../native/native.js';
import {containersNamed, isCgroupAnnotation, toCgroupExtras} from '../cgroup/annotations.js';

/** What annotations of pods and containers mean: docs/annotations.md. */
export const SHM_SIZE = 'berth.io/shm-size';
export const TIME_OFFSET_MONOTONIC = 'berth.io/time-offset-monotonic';
export const TIME_OFFSET_BOOTTIME = 'berth.io/time-offset-boottime';

type Annotations = Readonly<Record<string, string>>;
const KNOWN: ReadonlySet<string> = new Set([SHM_SIZE, TIME_OFFSET_MONOTONIC, TIME_OFFSET_BOOTTIME]);

/**
 * Annotations of berth's own, of a pod or a container: none is passed over because of a slip of the pen.
 *
 * @throws {InvalidArgumentError} naming the annotation: unknown, or a value that cannot be.
 */
export function assertAnnotations(annotations: Annotations): void {
	const unknown = Object.keys(annotations).find(name => name.startsWith('berth.io/') && !KNOWN.has(name) && !isCgroupAnnotation(name));
	if (unknown !== undefined) refuse(unknown, annotations[unknown] ?? '', 'is an annotation that berth does not know');
	for (const containerName of ['', ...containersNamed(annotations)]) toCgroupExtras({pod: annotations, container: {}, containerName});
}

const SUFFIXES: Readonly<Record<string, bigint>> = {
	'': 1n,
	k: 1000n,
	M: 1000n ** 2n,
	G: 1000n ** 3n,
	Ki: 1024n,
	Mi: 1024n ** 2n,
	Gi: 1024n ** 3n,
};
const MAX_SHM_BYTES = 1n << 50n;
const NS_DIGITS = 9;
/** The kernel's clocks end after 292 years. */
const MAX_OFFSET_SECONDS = 9_223_372_036n;

/**
 * Size of the pod's /dev/shm in bytes, a whole quantity such as "128Mi".
 *
 * @throws {InvalidArgumentError} naming the annotation.
 */
export function toShmSizeBytes(annotations: Annotations, byDefault: number): number {
	const text = annotations[SHM_SIZE];
	if (text === undefined) return byDefault;
	const [, digits, suffix] = /^(\d{1,16})([kMG]|[KMG]i|)$/.exec(text) ?? [];
	const bytes = digits === undefined ? 0n : BigInt(digits) * (SUFFIXES[suffix ?? ''] ?? 1n);
	if (bytes <= 0n || bytes > MAX_SHM_BYTES) refuse(SHM_SIZE, text, 'is no size in bytes like "128Mi", at most 1Pi');
	return Number(bytes);
}

/**
 * Offsets of the clocks of a container: its own annotations, else the pod's; null: there are none.
 *
 * @throws {InvalidArgumentError} naming the annotation.
 * @see time_namespaces(7).
 */
export function toTimeOffsets(pod: Annotations, container: Annotations): TimeOffsets | null {
	const monotonic = container[TIME_OFFSET_MONOTONIC] ?? pod[TIME_OFFSET_MONOTONIC];
	const boottime = container[TIME_OFFSET_BOOTTIME] ?? pod[TIME_OFFSET_BOOTTIME];
	if (monotonic === undefined && boottime === undefined) return null;
	return {monotonicNs: toNanoseconds(TIME_OFFSET_MONOTONIC, monotonic ?? '0'), boottimeNs: toNanoseconds(TIME_OFFSET_BOOTTIME, boottime ?? '0')};
}

/** "-1.5" seconds. */
function toNanoseconds(annotation: string, text: string): bigint {
	const [, sign, seconds = '', fraction = ''] = /^([+-]?)(\d{1,10})(?:\.(\d{1,9}))?$/.exec(text) ?? [];
	if (sign === undefined || BigInt(seconds) > MAX_OFFSET_SECONDS)
		return refuse(annotation, text, `is no number of seconds like "-1.5", at most ${MAX_OFFSET_SECONDS}`);
	const ns = BigInt(seconds + fraction.padEnd(NS_DIGITS, '0'));
	return sign === '-' ? -ns : ns;
}

function refuse(annotation: string, text: string, rule: string): never {
	const field = `annotations["${annotation}"]`;
	throw new InvalidArgumentError(`${field}: "${text}" ${rule}`, {field});
}
