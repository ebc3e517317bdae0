import test from 'ava';
import {SyscallError} from '../../base/errors.js';
import type {Kernel} from '../../native/native.js';
import {NO_RESOURCES} from '../cgroup/resources.js';
import {containerConfig, fakeRuntime, sandboxConfig} from '../fake-runtime.js';
import type {PodRuntime} from '../handler/handler.js';
import type {Runtime} from '../runtime.js';
import {runSandbox} from '../sandbox/run.js';
import {createContainer} from './create.js';
import {startContainer} from './start.js';
import {updateContainer} from './update.js';

const never = new AbortController().signal;
const ESRCH = 3;

/** Processes of the one cgroup that there is, with their oom_score_adj; `forks` come to be when the value is first written. */
class FakeProcesses {
	readonly scores: Map<string, string>;
	readonly forks: [string, string][] = [];

	constructor(scores: Readonly<Record<string, string>>) {
		this.scores = new Map(Object.entries(scores));
	}

	async readFiles(paths: readonly string[]): Promise<readonly (Uint8Array | null)[]> {
		return paths.map(path => {
			if (path.endsWith('/cgroup.procs')) return Buffer.from([...this.scores.keys()].map(pid => `${pid}\n`).join(''));
			const score = this.scores.get(path.split('/')[2] ?? '');
			return path.endsWith('/oom_score_adj') && score !== undefined ? Buffer.from(`${score}\n`) : null;
		});
	}

	async writeFile(path: string, value: string): Promise<void> {
		const pid = path.split('/')[2] ?? '';
		if (!this.scores.has(pid)) throw new SyscallError('open', ESRCH, path);
		this.scores.set(pid, value);
		for (const [child, score] of this.forks.splice(0)) this.scores.set(child, score);
	}
}

test('oom_score_adj that the journal does not take is undone for each process, those made meanwhile too, and so are the limits by a handler', async t => {
	const fake = await fakeRuntime();
	t.teardown(fake.remove);
	const processes = new FakeProcesses({'11': '0', '12': '500', '13': '0'});
	processes.forks.push(['14', '7'], ['15', '900']);
	const runtime: Runtime = {...fake.runtime, kernel: {...fake.runtime.kernel, ...bound(processes)} as Kernel};
	const sandboxId = await runSandbox(runtime, sandboxConfig(), '', never);
	const id = await createContainer(runtime, sandboxId, containerConfig(), never);
	await startContainer(runtime, id);
	const asked: number[] = [];
	const pod = runtime.monitors.get(sandboxId) as PodRuntime;
	pod.updateResources = async (_id, {oomScoreAdj}) => void asked.push(oomScoreAdj);
	const before = runtime.state.findContainer(id);
	fake.trace.failing.add('journal.put');
	await t.throwsAsync(updateContainer(runtime, id, {...NO_RESOURCES, oomScoreAdj: 900}), {message: 'journal.put failed'});
	t.deepEqual(
		[...processes.scores],
		[
			['11', '0'],
			['12', '500'],
			['13', '0'],
			['14', '7'],
			['15', '0'],
		],
	);
	t.deepEqual(asked, [900, 0]);
	t.is(runtime.state.findContainer(id), before);
	fake.trace.failing.delete('journal.put');
	await updateContainer(runtime, id, {...NO_RESOURCES, oomScoreAdj: 900});
	t.deepEqual([...new Set(processes.scores.values())], ['900']);
	t.is(runtime.state.findContainer(id).exec.oomScoreAdj, 900);
});

function bound(processes: FakeProcesses): Pick<Kernel, 'readFiles' | 'writeFile'> {
	return {readFiles: processes.readFiles.bind(processes), writeFile: processes.writeFile.bind(processes)};
}
