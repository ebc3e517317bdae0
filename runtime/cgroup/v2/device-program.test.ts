import test from 'ava';
import fc from 'fast-check';
import {DEFAULT_DEVICE_RULES, type DeviceRule} from '../device-rules.js';
import {runBpf} from '../fake-bpf.js';
import {ACCESS_BITS, toDeviceProgram, TYPE_NUMBERS} from './device-program.js';

interface Asked {
	readonly type: 'b' | 'c';
	readonly major: number;
	readonly minor: number;
	readonly access: string;
}

function ask(program: Uint8Array, {type, major, minor, access}: Asked): boolean {
	const context = Buffer.alloc(12);
	const bits = access.split('').reduce((sum, letter) => sum | (ACCESS_BITS[letter] ?? 0), 0);
	context.writeUInt32LE(((bits << 16) | TYPE_NUMBERS[type]) >>> 0, 0);
	context.writeUInt32LE(major, 4);
	context.writeUInt32LE(minor, 8);
	return runBpf(program, context) === 1;
}

/** What v1's list says (devices.rst; match_exception() in security/device_cgroup.c): entries of one device are one, and one entry has to cover all of the access. */
function listAllows(rules: readonly DeviceRule[], {type, major, minor, access}: Asked): boolean {
	return rules.some(entry => {
		const same = rules.filter(rule => rule.type === entry.type && rule.major === entry.major && rule.minor === entry.minor);
		const allowed = new Set(same.flatMap(rule => rule.access.split('')));
		const fits = (wanted: number | null, is: number): boolean => wanted === null || wanted === is;
		return entry.type === type && fits(entry.major, major) && fits(entry.minor, minor) && access.split('').every(letter => allowed.has(letter));
	});
}

const TYPES = ['b', 'c'] as const;
const ACCESSES = ['m', 'r', 'w', 'rw', 'mr', 'mw', 'mrw'];

test('the program for every container answers as the list does, for each of all devices up to 140:300 and each access', t => {
	const program = toDeviceProgram(DEFAULT_DEVICE_RULES);
	let asked = 0;
	for (const type of TYPES)
		for (let major = 0; major <= 140; major++)
			for (let minor = 0; minor <= 300; minor += minor < 12 ? 1 : 36)
				for (const access of ACCESSES) {
					asked++;
					const question = {type, major, minor, access};
					if (ask(program, question) !== listAllows(DEFAULT_DEVICE_RULES, question)) t.fail(JSON.stringify(question));
				}
	t.true(asked > 30_000);
	t.true(ask(program, {type: 'c', major: 1, minor: 3, access: 'rw'}));
	t.false(ask(program, {type: 'b', major: 8, minor: 0, access: 'r'}));
});

const number = fc.constantFrom(0, 1, 5, 255, 256, 65_535, 1_048_575);
const rule: fc.Arbitrary<DeviceRule> = fc.record({
	type: fc.constantFrom(...TYPES),
	major: fc.option(number),
	minor: fc.option(number),
	access: fc.constantFrom(...ACCESSES, ''),
});

test('any list of rules and its program answer alike, for all combinations of what the rules name', t => {
	fc.assert(
		fc.property(fc.array(rule, {maxLength: 6}), rules => {
			const program = toDeviceProgram(rules);
			const majors = new Set([7, ...rules.flatMap(({major}) => major ?? [])]);
			const minors = new Set([7, ...rules.flatMap(({minor}) => minor ?? [])]);
			for (const type of TYPES)
				for (const major of majors)
					for (const minor of minors)
						for (const access of ACCESSES) {
							const question = {type, major, minor, access};
							t.is(ask(program, question), listAllows(rules, question), JSON.stringify(question));
						}
		}),
		{numRuns: 300},
	);
});

test('a list of nothing allows nothing', t => t.false(ask(toDeviceProgram([]), {type: 'c', major: 1, minor: 3, access: 'r'})));
