import type {TestFn} from 'ava';
import {buildImages, type RegistryContent} from '../fixtures/images.js';
import {openRegistry, type Registry} from '../fixtures/registry.js';
import {removePods, startDaemon, type Daemon, type DaemonChoices} from './daemon.js';

export interface Running {
	readonly content: RegistryContent;
	readonly registry: Registry;
	readonly daemon: Daemon;
}

/** One daemon and one registry for the tests of a file, which are serial. After each test nothing may be left, whether it passed or not. */
export function useDaemon(test: TestFn, choices: DaemonChoices = {}): () => Running {
	let running: Running | null = null;
	const get = (): Running => {
		if (running === null) throw new Error('no daemon: it did not start');
		return running;
	};
	test.before(async () => {
		const content = await buildImages();
		const registry = await openRegistry(content);
		try {
			running = {content, registry, daemon: await startDaemon(registry, choices)};
		} catch (error) {
			await registry.close();
			throw error;
		}
	});
	test.serial.afterEach.always('nothing is left', async t => {
		const {daemon} = get();
		const leaks = await daemon.leaks();
		// So that the next test is judged by what it leaves itself.
		await removePods(daemon.cri);
		t.deepEqual(leaks, []);
	});
	test.after.always(async () => {
		if (running === null) return;
		await running.daemon[Symbol.asyncDispose]();
		await running.registry.close();
	});
	return get;
}
