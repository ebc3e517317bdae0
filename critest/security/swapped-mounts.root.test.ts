import {mkdir, readdir, writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import test from 'ava';
import {createContainer, pullBusybox, removePod, runContainer, runPod, toContainerConfig} from '../rig/pods.js';
import {useDaemon} from '../rig/use-daemon.js';
import {hostileConfig, MODE, podWithPid, waitForEnd, waitForLine} from './hostile.js';

/** CVE-2021-30465: a container swaps a directory of a shared volume for a symlink while another is created with a mount below that volume. */
const running = useDaemon(test);
const ROUNDS = 60;

test.serial('a mount below a shared volume never lands outside of its container, whatever the place is swapped for', async t => {
	const {daemon} = running();
	const {cri} = daemon;
	await pullBusybox(cri);
	const volume = join(daemon.places.scratchDir, 'shared');
	const victim = join(daemon.places.scratchDir, 'victim');
	const mounted = join(daemon.places.scratchDir, 'mounted');
	for (const directory of [volume, victim, mounted]) await mkdir(directory);
	await writeFile(join(mounted, 'mine'), '');
	const pod = await runPod(daemon, 'swap', podWithPid(MODE.CONTAINER));
	const shared = {host_path: volume, container_path: '/shared'};
	// By "..", to the node's root, were the link followed outside of the container's.
	const target = `${'../'.repeat(20)}${victim.slice(1)}`;
	const config = hostileConfig('swapper', ['swap-directories', '/shared', target], {changes: {mounts: [shared]}});
	const id = await runContainer(cri, pod, config);
	await waitForLine(pod, config, 'watching');
	let made = 0;
	let refused = 0;
	for (let i = 0; i < ROUNDS; i++) {
		const mounts = [shared, {host_path: mounted, container_path: `/shared/mount${i % 2 === 0 ? '' : '/made/on/the/way'}`}];
		const other = await createContainer(cri, pod, toContainerConfig(`c${i}`, ['sh', '-c', 'true'], {mounts})).catch(() => null);
		if (other === null) refused++;
		else {
			made++;
			await cri.call('StartContainer', {container_id: other});
			await cri.call('RemoveContainer', {container_id: other});
		}
		t.deepEqual(await readdir(victim), [], `round ${i}: something was made in a directory of the node`);
	}
	await writeFile(join(volume, 'enough'), '');
	const [last = ''] = (await waitForEnd(daemon, pod, {id, config})).slice(-1);
	t.log(`${ROUNDS} containers: ${made} made, ${refused} refused; swaps: ${last}`);
	t.true(Number(/tries (\d+)/.exec(last)?.[1] ?? 0) > ROUNDS, 'it was not swapped');
	await removePod(cri, pod);
});
