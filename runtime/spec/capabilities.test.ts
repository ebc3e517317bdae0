import test from 'ava';
import fc from 'fast-check';
import {InvalidArgumentError} from '../../base/errors.js';
import {CAPABILITY_NAMES, toCapabilityNames, toCapabilitySets, type CapabilityWish} from './capabilities.js';
import {hostFacts, parseOwnCapabilities} from './host.js';

const ALL = (1n << 41n) - 1n;
const DEFAULTS = ['CAP_CHOWN', 'CAP_KILL'];
const wish = (changes: Partial<CapabilityWish>): CapabilityWish => ({privileged: false, add: [], drop: [], addAmbient: [], ...changes});
const names = (changes: Partial<CapabilityWish>, available = ALL): string[] =>
	toCapabilityNames(toCapabilitySets(wish(changes), DEFAULTS, available).effective);

for (const [what, changes, expected] of [
	['nothing', {}, ['CAP_CHOWN', 'CAP_KILL']],
	['one added, with and without CAP_, any case', {add: ['NET_ADMIN', 'cap_sys_time']}, ['CAP_CHOWN', 'CAP_KILL', 'CAP_NET_ADMIN', 'CAP_SYS_TIME']],
	['one dropped', {drop: ['KILL']}, ['CAP_CHOWN']],
	['ALL dropped', {drop: ['ALL']}, []],
	['ALL dropped, one added', {drop: ['all'], add: ['NET_RAW']}, ['CAP_NET_RAW']],
	['one added and dropped', {add: ['NET_RAW'], drop: ['NET_RAW']}, ['CAP_CHOWN', 'CAP_KILL']],
] as const) {
	test(`capabilities with ${what}`, t => t.deepEqual(names(changes as never), [...expected]));
}

test('ALL is what the daemon has; privileged has it whatever is dropped', t => {
	t.is(toCapabilitySets(wish({add: ['ALL']}), DEFAULTS, 0b111n).bounding, 0b111n);
	t.is(toCapabilitySets(wish({add: ['ALL'], drop: ['CHOWN']}), DEFAULTS, 0b111n).bounding, 0b110n);
	t.is(toCapabilitySets(wish({privileged: true, drop: ['ALL']}), DEFAULTS, 0b111n).bounding, 0b111n);
});

test('ambient ones are in every set, and nothing else is ambient', t => {
	const bit = 1n << 10n;
	t.deepEqual(toCapabilitySets(wish({addAmbient: ['NET_BIND_SERVICE'], drop: ['ALL']}), DEFAULTS, ALL), {
		bounding: bit,
		effective: bit,
		permitted: bit,
		inheritable: bit,
		ambient: bit,
	});
	t.is(toCapabilitySets(wish({}), DEFAULTS, ALL).ambient, 0n);
});

for (const field of ['add', 'drop', 'addAmbient'] as const) {
	test(`an unknown name in ${field} is refused`, t => {
		t.throws(() => toCapabilitySets(wish({[field]: ['CAP_NOPE']}), DEFAULTS, ALL), {
			instanceOf: InvalidArgumentError,
			message: /no capability is named "CAP_NOPE"/,
		});
	});
}

test('no wish gives more than the daemon has, and ambient stays within inheritable and permitted', t => {
	const some = fc.array(fc.constantFrom('ALL', ...CAPABILITY_NAMES), {maxLength: 5});
	fc.assert(
		fc.property(
			fc.record({privileged: fc.boolean(), add: some, drop: some, addAmbient: fc.array(fc.constantFrom(...CAPABILITY_NAMES), {maxLength: 3})}),
			fc.bigInt({min: 0n, max: ALL}),
			(asked, available) => {
				const sets = toCapabilitySets(asked, DEFAULTS, available);
				const outside = Object.values(sets).some(mask => (mask & ~available) !== 0n);
				return !outside && (sets.ambient & ~sets.inheritable) === 0n && (sets.ambient & ~sets.permitted) === 0n && (sets.permitted & ~sets.bounding) === 0n;
			},
		),
	);
	t.pass();
});

test("the daemon's own capabilities are those that are permitted and bounding", t => {
	t.is(
		parseOwnCapabilities('Name:\tnode\nCapInh:\t0000000000000000\nCapPrm:\t000001fffeffffff\nCapEff:\t000001fffeffffff\nCapBnd:\t00000000000000ff\n'),
		0xffn,
	);
	t.is(parseOwnCapabilities(''), 0n);
});

test('hostFacts reads this machine once', async t => {
	t.is(hostFacts(), hostFacts());
	t.true(typeof (await hostFacts()).capabilities === 'bigint');
});
