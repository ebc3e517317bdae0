import {writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import test from 'ava';
import {createContainer, pullBusybox, removePod, runContainer, runPod, toContainerConfig} from '../rig/pods.js';
import {useDaemon} from '../rig/use-daemon.js';
import {assertHeld, hostileConfig, MODE, podWithPid, RUNTIME_DEFAULT, waitForEnd, waitForLine, withCapabilities} from './hostile.js';

/**
 * What runs in a container before its program: can a program with CAP_SYS_PTRACE, which sees it come, reach the node through it? Before decision
 * 0018 it could: an exec's init was in the container's PID namespace while its root was still the node's.
 */
const running = useDaemon(test);

test.serial('an exec shows nothing of the node to a container that may trace it', async t => {
	const {daemon} = running();
	const {cri} = daemon;
	await pullBusybox(cri);
	const marker = join(daemon.places.scratchDir, 'marker');
	await writeFile(marker, '');
	const pod = await runPod(daemon, 'exec', podWithPid(MODE.CONTAINER));
	const config = hostileConfig('watcher', ['watch-processes', marker], {securityContext: withCapabilities('SYS_PTRACE')});
	const id = await runContainer(cri, pod, config);
	await waitForLine(pod, config, 'watching');
	const execs = 200;
	for (let i = 1; i < execs; i++) {
		const {exit_code, stderr} = await cri.call('ExecSync', {container_id: id, cmd: ['/hostile/nothing']});
		t.is(exit_code, 0, Buffer.from(stderr).toString());
	}
	// At that the watcher ends, which is PID 1: this exec may end with it, by SIGKILL.
	const {exit_code} = await cri.call('ExecSync', {container_id: id, cmd: ['touch', '/enough']});
	t.true([0, 137].includes(exit_code), String(exit_code));
	assertHeld(t, await waitForEnd(daemon, pod, {id, config}));
	await removePod(cri, pod);
});

test.serial("containers that come into the pod's PID namespace show nothing of the node, and no more capabilities than they have", async t => {
	const {daemon} = running();
	const {cri} = daemon;
	await pullBusybox(cri);
	const marker = join(daemon.places.scratchDir, 'marker');
	await writeFile(marker, '');
	const pod = await runPod(daemon, 'shared', podWithPid(MODE.POD));
	const config = hostileConfig('watcher', ['watch-processes', marker], {pid: MODE.POD, securityContext: withCapabilities('SYS_PTRACE')});
	const id = await runContainer(cri, pod, config);
	await waitForLine(pod, config, 'watching');
	for (let i = 0; i < 30; i++) {
		const namespace_options = {network: MODE.NODE, pid: MODE.POD};
		// Without no_new_privs, as the kubelet asks for by default, a filter cannot be loaded without CAP_SYS_ADMIN.
		const security_context = {namespace_options, ...(i % 2 === 0 ? {seccomp: RUNTIME_DEFAULT} : {}), no_new_privs: i % 4 === 3};
		const other = await createContainer(cri, pod, toContainerConfig(`c${i}`, ['true'], {linux: {security_context}}));
		if (i % 3 === 0) await cri.call('StartContainer', {container_id: other});
		await cri.call('RemoveContainer', {container_id: other});
	}
	await cri.call('ExecSync', {container_id: id, cmd: ['touch', '/enough']});
	assertHeld(t, await waitForEnd(daemon, pod, {id, config}));
	await removePod(cri, pod);
});
