import test from 'ava';
import {RUNTIME} from '../handlers/handlers.js';
import {runSuite} from './suite.js';

for (const runtimeHandler of ['runc', 'crun'] as const) {
	test.serial(
		`critest passes as a whole for the runtime handler ${runtimeHandler}, without the specs of user namespaces, and leaves nothing behind`,
		async t => {
			const {exitCode, outcomes, differences, leaks} = await runSuite({format: null, runtimeHandler, daemon: {runtime: RUNTIME}, args: [], quiet: true});
			t.deepEqual(differences, []);
			t.deepEqual(leaks, []);
			t.is(exitCode, 0);
			t.log(`${outcomes.passed.length} passed, ${outcomes.failed.length} failed, ${outcomes.skipped.length} skipped`);
		},
	);
}
