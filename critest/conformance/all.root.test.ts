import test from 'ava';
import {runSuite} from './suite.js';

/** Those that critest runs over the streaming server. */
const STREAMING_SPECS = 5;

test.serial('critest passes as a whole, skips only what the machine forces, and leaves nothing behind', async t => {
	const {exitCode, outcomes, differences, leaks} = await runSuite({format: null, args: [], quiet: true});
	t.deepEqual(differences, []);
	t.deepEqual(leaks, []);
	t.is(exitCode, 0);
	t.log(`${outcomes.passed.length} passed, ${outcomes.failed.length} failed, ${outcomes.skipped.length} skipped`);
});

test.serial("critest's streaming specs pass over WebSocket too", async t => {
	const {exitCode, outcomes, differences, leaks} = await runSuite({format: null, transport: 'websocket', args: ['--ginkgo.focus=Streaming'], quiet: true});
	t.deepEqual(differences, []);
	t.deepEqual(leaks, []);
	t.is(exitCode, 0);
	t.is(outcomes.passed.length, STREAMING_SPECS);
});
