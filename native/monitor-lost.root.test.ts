import {readFile} from 'node:fs/promises';
import test from 'ava';
import {systemClock} from '../base/clock.js';
import {LaunchRig, until} from './launch-rig.js';

test('a monitor that dies while no launcher lives: the next launcher ends its containers', async t => {
	await using rig = await LaunchRig.open();
	const launcher = await rig.openLauncher();
	const monitor = await launcher.createMonitor(rig.monitorRequest('pod'));
	const spec = await rig.launchSpec('pod', 'sleep 1000');
	const {pid} = await monitor.createContainer(spec);
	await monitor.startContainer(spec.containerId);
	launcher.close();
	process.kill(launcher.pid, 'SIGKILL');
	process.kill(monitor.pid, 'SIGKILL');
	const next = await rig.openLauncher();
	await until(
		async () =>
			await readFile(`/proc/${pid}/comm`).then(
				() => null,
				() => true,
			),
	);
	t.deepEqual(await next.listMonitors(), []);
	t.is(await next.findMonitor('pod'), null);
	const record = await until(async () => await readFile(`${rig.options.runDir}/pods/pod/exits/${spec.containerId}`, 'utf8').catch(() => null));
	t.regex(record, /^1 137 \d+ 0 0 \d+\n$/);
	await systemClock.sleep(20);
	await (await next.createMonitor(rig.monitorRequest('pod'))).destroy();
});
