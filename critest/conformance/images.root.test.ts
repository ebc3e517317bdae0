import test from 'ava';
import {runSuite} from './suite.js';

/** critest's Image Manager: 10 specs, Consistency 3, Identifier Consistency 2. */
const IMAGE_SPECS = 15;

for (const format of ['docker', 'oci'] as const) {
	test.serial(`critest's image specs pass with images of ${format} media types`, async t => {
		const {exitCode, outcomes, leaks} = await runSuite({format, args: ['--ginkgo.focus=Image Manager|Image.*Consistency'], quiet: true});
		t.deepEqual(outcomes.failed, []);
		t.is(outcomes.passed.length, IMAGE_SPECS, outcomes.passed.map(({name}) => name).join('\n'));
		t.is(exitCode, 0);
		t.deepEqual(leaks, []);
	});
}
