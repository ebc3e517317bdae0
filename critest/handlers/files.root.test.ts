import {mkdir, readFile, symlink, writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import test from 'ava';
import {runOk} from '../rig/command.js';
import {pullBusybox, removePod, runContainer, runPodBy, toContainerConfig, until} from '../rig/pods.js';
import {useDaemon} from '../rig/use-daemon.js';
import {execute, HANDLERS, messagesOf, MODE, nameOf, RUNTIME} from './handlers.js';

const running = useDaemon(test, {runtime: RUNTIME});
/** CRI v1: MountPropagation. */
const PROPAGATION = {PRIVATE: 0, HOST_TO_CONTAINER: 1, BIDIRECTIONAL: 2} as const;

for (const handler of HANDLERS) {
	const name = nameOf(handler);

	test.serial(`${name}: volumes: writable, read-only, of one file, by way of a link, with options, and the pod's own files`, async t => {
		const {daemon} = running();
		await pullBusybox(daemon.cri);
		const dir = join(daemon.places.scratchDir, `volumes-${name}`);
		await mkdir(join(dir, 'data'), {recursive: true});
		await writeFile(join(dir, 'data', 'file'), 'content\n');
		await symlink(join(dir, 'data'), join(dir, 'link'));
		const pod = await runPodBy(daemon, handler, {name: `vol-${name}`, hostname: 'host-of-pod'});
		const mounts = [
			{host_path: join(dir, 'data'), container_path: '/rw'},
			{host_path: join(dir, 'data'), container_path: '/ro', readonly: true},
			{host_path: join(dir, 'data/file'), container_path: '/etc/one-file'},
			{host_path: join(dir, 'link'), container_path: '/var/deep/linked'},
			{host_path: join(dir, 'data'), container_path: '/options', mount_options: ['noexec', 'nosuid', 'nodev']},
			{host_path: join(dir, 'made/by/us'), container_path: '/made'},
		];
		const script = `echo more >>/rw/file; cat /ro/file /etc/one-file /var/deep/linked/file | wc -l; touch /ro/x 2>&1; touch /made/x && echo made
cat /etc/hostname; grep -c host-of-pod /etc/hosts; grep -E " /(options|rw) " /proc/self/mountinfo | cut -d" " -f5,6 | sort; df -m /dev/shm | tail -1 | tr -s " " | cut -d" " -f2`;
		const lines = await messagesOf(daemon, pod, toContainerConfig('c', ['sh', '-c', script], {mounts}));
		t.deepEqual(lines.slice(0, 5), ['6', 'touch: /ro/x: Read-only file system', 'made', 'host-of-pod', '1']);
		t.regex(lines[5] ?? '', /^\/options rw,nosuid,nodev,noexec/);
		t.regex(lines[6] ?? '', /^\/rw rw(?!.*no(suid|dev|exec))/);
		t.is(lines[7], '64');
		t.is(await readFile(join(dir, 'data/file'), 'utf8'), 'content\nmore\n');
		await removePod(daemon.cri, pod);
	});

	test.serial(`${name}: a recursive read-only volume is read-only below its submounts too; propagation as asked`, async t => {
		const {daemon} = running();
		await pullBusybox(daemon.cri);
		const dir = join(daemon.places.scratchDir, `tree-${name}`);
		await mkdir(join(dir, 'sub'), {recursive: true});
		await mkdir(join(dir, 'later'));
		await runOk(['mount', '--bind', dir, dir]);
		await runOk(['mount', '--make-shared', dir]);
		await runOk(['mount', '-t', 'tmpfs', 'tmpfs', join(dir, 'sub')]);
		try {
			const pod = await runPodBy(daemon, handler, {name: `tree-${name}`, linux: {security_context: {privileged: true}}});
			const mounts = [
				{host_path: dir, container_path: '/ro', readonly: true},
				{host_path: dir, container_path: '/rro', readonly: true, recursive_read_only: true},
				{host_path: dir, container_path: '/slave', propagation: PROPAGATION.HOST_TO_CONTAINER},
				{host_path: dir, container_path: '/private', propagation: PROPAGATION.PRIVATE},
			];
			const id = await runContainer(daemon.cri, pod, toContainerConfig('c', ['sleep', '1000'], {mounts} as never));
			t.deepEqual(await execute(daemon, id, 'touch /ro/sub/a && echo under ro; touch /rro/sub/b 2>&1; touch /ro/c 2>&1; true'), [
				'under ro',
				'touch: /rro/sub/b: Read-only file system',
				'touch: /ro/c: Read-only file system',
			]);
			await runOk(['mount', '-t', 'tmpfs', 'tmpfs', join(dir, 'later')]);
			t.deepEqual(await execute(daemon, id, 'for m in slave private; do grep -c " /$m/later " /proc/self/mountinfo; done; true'), ['1', '0']);
			await runOk(['umount', join(dir, 'later')]);
			const both = [{host_path: dir, container_path: '/both', propagation: PROPAGATION.BIDIRECTIONAL}];
			const security_context = {privileged: true};
			const config = toContainerConfig('d', ['sh', '-c', 'mount -t tmpfs tmpfs /both/later && echo mounted'], {
				mounts: both,
				linux: {security_context},
			} as never);
			t.deepEqual(await messagesOf(daemon, pod, config), ['mounted']);
			t.is((await readFile('/proc/self/mountinfo', 'utf8')).split('\n').filter(line => line.includes(`${dir}/later `)).length, 1);
			await removePod(daemon.cri, pod);
		} finally {
			await runOk(['umount', '-R', '-l', dir]);
		}
	});

	test.serial(`${name}: read-only root, masked and read-only paths, devices; privileged has none of it`, async t => {
		const {daemon} = running();
		await pullBusybox(daemon.cri);
		const pod = await runPodBy(daemon, handler, {name: `ro-${name}`, linux: {security_context: {privileged: true}}});
		const security_context = {readonly_rootfs: true, masked_paths: ['/proc/timer_list', '/proc/acpi'], readonly_paths: ['/proc/sys', '/proc/fs']};
		const devices = [{host_path: '/dev/fuse', container_path: '/dev/my-fuse', permissions: 'r'}];
		const script = `touch /x 2>&1; touch /dev/shm/y && echo shm; wc -c </proc/timer_list; { echo 1 >/proc/sys/kernel/domainname; } 2>&1
( exec 3</dev/my-fuse ) && echo opened; { echo >/dev/my-fuse; } 2>&1; ls /dev | grep -v core | tr "\\n" " "; readlink /dev/fd
d=$(grep " - cgroup" /proc/self/mountinfo | cut -d" " -f5 | head -1); mkdir $d/x 2>&1 | grep -o "Read-only.*"`;
		const plain = await messagesOf(daemon, pod, toContainerConfig('c', ['sh', '-c', script], {devices, linux: {security_context}} as never));
		t.deepEqual(plain, [
			'touch: /x: Read-only file system',
			'shm',
			'0',
			"sh: can't create /proc/sys/kernel/domainname: Read-only file system",
			'opened',
			"sh: can't create /dev/my-fuse: Operation not permitted",
			'fd full mqueue my-fuse null ptmx pts random shm stderr stdin stdout tty urandom zero /proc/self/fd',
			'Read-only file system',
		]);
		const privileged = toContainerConfig(
			'd',
			[
				'sh',
				'-c',
				'grep -c CapEff:.*f /proc/self/status; cat /proc/sys/kernel/domainname >/dev/null && test -w /proc/sys/kernel/domainname && echo writable; ls /dev | wc -l',
			],
			{
				linux: {security_context: {privileged: true, ...security_context, readonly_rootfs: false}},
			},
		);
		const [capabilities, writable, count] = await messagesOf(daemon, pod, privileged);
		t.deepEqual([capabilities, writable], ['1', 'writable']);
		t.true(Number(count) > 15, count ?? 'none');
		await removePod(daemon.cri, pod);
	});

	test.serial(`${name}: PID namespaces: of the container, the pod, the node, and another container's`, async t => {
		const {daemon} = running();
		const {cri} = daemon;
		await pullBusybox(cri);
		const inNamespace = (pid: number, target_id = ''): object => ({linux: {security_context: {namespace_options: {pid, target_id}}}});
		const pod = await runPodBy(daemon, handler, {name: `pid-${name}`, ...inNamespace(MODE.POD)});
		const first = await runContainer(cri, pod, toContainerConfig('a', ['sleep', '1111'], inNamespace(MODE.POD)));
		const second = await runContainer(cri, pod, toContainerConfig('b', ['sleep', '2222'], inNamespace(MODE.POD)));
		t.is((await execute(daemon, second, 'ps | grep -c "sleep [12]"'))[0], '2');
		t.not((await execute(daemon, first, 'cat /proc/1/comm'))[0], 'sleep');
		const own = await runContainer(cri, pod, toContainerConfig('c', ['sleep', '3333'], inNamespace(MODE.CONTAINER)));
		t.deepEqual(await execute(daemon, own, 'cat /proc/1/comm; ps | grep -c "sleep [0-9]"'), ['sleep', '1']);
		const aimed = await runContainer(cri, pod, toContainerConfig('d', ['sleep', '4444'], inNamespace(MODE.TARGET, own)));
		t.deepEqual(await execute(daemon, aimed, 'ps | grep -c "sleep [0-9]"'), ['2']);
		await cri.call('StopContainer', {container_id: own, timeout: 0});
		await removePod(cri, pod);
		const onNode = await runPodBy(daemon, handler, {
			name: `node-${name}`,
			linux: {security_context: {namespace_options: {pid: MODE.NODE, network: MODE.NODE, ipc: MODE.NODE}}},
		});
		const onHost = toContainerConfig('e', ['sh', '-c', `test -d /proc/${process.pid} && echo seen; cat /proc/sys/kernel/hostname`], {
			linux: {security_context: {namespace_options: {pid: MODE.NODE, network: MODE.NODE, ipc: MODE.NODE}}},
		});
		t.deepEqual(await messagesOf(daemon, onNode, onHost), ['seen', (await readFile('/proc/sys/kernel/hostname', 'utf8')).trim()]);
		await until(
			'the node has no such process',
			async () => (await runOk(['ps', '-eo', 'args'])).includes('sleep 4444'),
			left => !left,
		);
		await removePod(cri, onNode);
	});
}
