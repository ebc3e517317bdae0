import {access, readFile, stat} from 'node:fs/promises';
import {hostname} from 'node:os';
import {join} from 'node:path';
import {status} from '@grpc/grpc-js';
import test from 'ava';
import type {PodSandboxConfig} from '../../proto/cri.js';
import {runOk} from '../rig/command.js';
import {containerCgroup} from '../rig/cgroup-files.js';
import {createContainer, toContainerConfig} from '../rig/pods.js';
import {assertRefused} from '../rig/refusal.js';
import {MODE, podLinux, says, toFacts, useFields, withSecurity} from './rig.js';

const fields = useFields(test, {runtime: 'shm_size_bytes = 8388608'});
const ownNetwork = (more: object = {}): Partial<PodSandboxConfig> => podLinux({namespace_options: {network: MODE.POD}}, more);

fields('host name, hosts, resolv.conf, sysctls, log directory, cgroup parent of a pod with its own network', async (t, rig) => {
	const cgroup_parent = `${rig.daemon.places.cgroupRoot}/given`;
	const sysctls = {
		'net.ipv4.ip_unprivileged_port_start': '7',
		'net/ipv4/ip_local_port_range': '2000\t3000',
		'kernel.shm_rmid_forced': '1',
		'fs.mqueue.msg_max': '11',
		'kernel.msgmax': '4096',
	};
	const dns_config = {servers: ['192.0.2.1', '2001:db8::1'], searches: ['a.example', 'b.example'], options: ['ndots:5', 'edns0']};
	const log_directory = join(rig.daemon.places.scratchDir, 'made', 'logs');
	const pod = await rig.pod('web', {...ownNetwork({cgroup_parent, sysctls}), hostname: 'web-0', dns_config, log_directory});
	const id = await rig.start(pod, {log_path: 'c/0.log'});
	const script = [
		'echo name=$(hostname)',
		'echo variable=$HOSTNAME',
		'echo file=$(cat /etc/hostname)',
		'echo hosts=$(grep -c "web-0$" /etc/hosts)',
		'echo address=$(grep "web-0$" /etc/hosts | cut -f1)',
		'echo local=$(grep -c localhost /etc/hosts)',
		'echo resolv=$(cat /etc/resolv.conf)',
		'echo port=$(cat /proc/sys/net/ipv4/ip_unprivileged_port_start)',
		'echo range=$(cat /proc/sys/net/ipv4/ip_local_port_range)',
		'echo shm=$(cat /proc/sys/kernel/shm_rmid_forced)',
		'echo mqueue=$(cat /proc/sys/fs/mqueue/msg_max)',
		'echo msgmax=$(cat /proc/sys/kernel/msgmax)',
	].join('\n');
	const {status: shown} = await rig.cri.call('PodSandboxStatus', {pod_sandbox_id: pod.id});
	t.deepEqual(toFacts(await rig.exec(id, script)), {
		name: 'web-0',
		variable: 'web-0',
		file: 'web-0',
		hosts: '1',
		address: shown?.network?.ip ?? 'none',
		local: '2',
		resolv: 'search a.example b.example nameserver 192.0.2.1 nameserver 2001:db8::1 options ndots:5 edns0',
		port: '7',
		range: '2000 3000',
		shm: '1',
		mqueue: '11',
		msgmax: '4096',
	});
	t.true((await stat(join(log_directory, 'c/0.log'))).isFile());
	t.true((await containerCgroup(rig.cri, id)).startsWith(`${cgroup_parent}/`));
	await rig.remove(pod);
});

fields("on the node's network a pod has the node's name and hosts; without a host name its own name; without DNS the node's resolv.conf", async (t, rig) => {
	const onNode = await rig.pod('node', {hostname: 'ignored-there'});
	t.deepEqual(
		await rig
			.run(onNode, 'hostname; cat /etc/hostname; cmp /etc/hosts /dev/stdin && echo same', {
				mounts: [{host_path: '/etc/hosts', container_path: '/dev/stdin.host', readonly: true}],
			})
			.then(lines => lines.slice(0, 2)),
		[hostname(), hostname()],
	);
	const read = ['/etc/hosts', '/etc/resolv.conf'].map(async path => await readFile(path, 'utf8').catch(() => ''));
	const [hosts = '', resolv = ''] = await Promise.all(read);
	const id = await rig.start(onNode);
	t.deepEqual(
		await rig.exec(id, 'cat /etc/hosts'),
		hosts.split('\n').filter(line => line !== ''),
	);
	t.deepEqual(
		await rig.exec(id, 'cat /etc/resolv.conf'),
		resolv.split('\n').filter(line => line !== ''),
	);
	await rig.remove(onNode);
	const unnamed = await rig.pod('unnamed', ownNetwork());
	t.deepEqual(await rig.run(unnamed, 'hostname'), ['unnamed']);
	await rig.remove(unnamed);
});

fields('what the security context of a pod says of a process changes nothing of its containers', async (t, rig) => {
	const context = {
		run_as_user: {value: '1000'},
		run_as_group: {value: '1001'},
		readonly_rootfs: true,
		supplemental_groups: [5000],
		supplemental_groups_policy: 1,
		seccomp: {profile_type: 0},
	};
	const pod = await rig.pod('context', podLinux(context));
	t.deepEqual(await rig.run(pod, `id -u; id -G; ${says('root', 'touch /x')}; grep ^Seccomp: /proc/self/status | cut -f2`), ['0', '0', 'root=yes', '0']);
	await rig.remove(pod);
});

fields('ports of the pod are reached through the node, by address and protocol', async (t, rig) => {
	const port_mappings = [
		{protocol: 0, container_port: 8080, host_port: 21_080, host_ip: ''},
		{protocol: 1, container_port: 5353, host_port: 21_053, host_ip: '127.0.0.1'},
		{protocol: 0, container_port: 9090, host_port: 0, host_ip: ''},
	] as const;
	const pod = await rig.pod('ports', {...ownNetwork(), port_mappings: [...port_mappings]});
	const rules = (await runOk(['iptables-save', '-t', 'nat'])).split('\n').filter(rule => rule.includes('DNAT'));
	const tcp = rules.filter(rule => rule.includes('--dport 21080'));
	const udp = rules.filter(rule => rule.includes('--dport 21053'));
	t.true(tcp.some(rule => rule.includes('-p tcp') && rule.includes(':8080')));
	t.true(udp.some(rule => rule.includes('-p udp') && rule.includes('-d 127.0.0.1/32') && rule.includes(':5353')));
	t.false(
		rules.some(rule => rule.includes(':9090')),
		'without a host port nothing is mapped',
	);
	await rig.start(pod, {command: ['sh', '-c', 'mkdir /www; echo reached > /www/index.html; exec httpd -f -p 8080 -h /www']});
	const {status: shown} = await rig.cri.call('PodSandboxStatus', {pod_sandbox_id: pod.id});
	const fetched = await fetchWhenUp(`http://${shown?.network?.ip ?? ''}:8080/`);
	t.is(fetched, 'reached\n');
	await rig.remove(pod);
});

async function fetchWhenUp(url: string): Promise<string> {
	for (let attempt = 0; ; attempt++) {
		try {
			return await (await fetch(url)).text();
		} catch (error) {
			if (attempt > 200) throw error;
			await new Promise(resolve => setTimeout(resolve, 50));
		}
	}
}

fields("the size of /dev/shm is the config's, or the annotation's", async (t, rig) => {
	const size = 'df -k /dev/shm | tail -n 1 | tr -s " " | cut -d" " -f2';
	const plain = await rig.pod('plain');
	t.deepEqual(await rig.run(plain, size), ['8192']);
	await rig.remove(plain);
	const pod = await rig.pod('sized', {annotations: {'berth.io/shm-size': '16Mi'}});
	t.deepEqual(await rig.run(pod, size), ['16384']);
	await rig.remove(pod);
	const bad = rig.pod('bad', {annotations: {'berth.io/shm-size': 'much'}});
	await assertRefused(t, status.INVALID_ARGUMENT, /annotations\["berth\.io\/shm-size"\]: "much"/, bad);
});

fields('clocks are ahead by the annotations of the pod or of the container, also for an exec', async (t, rig) => {
	const uptime = 'echo uptime=$(cut -d. -f1 /proc/uptime)';
	const plain = await rig.pod('plain');
	const node = toFacts(await rig.run(plain, uptime));
	await rig.remove(plain);
	const pod = await rig.pod('ahead', {annotations: {'berth.io/time-offset-boottime': '1000000.5'}});
	const id = await rig.start(pod);
	const exec = toFacts(await rig.exec(id, `${uptime}; cat /proc/self/timens_offsets | tr -s " " | sed "s/ /=/"`));
	t.true(Number(exec['uptime']) - Number(node['uptime']) >= 1_000_000);
	t.is(exec['boottime']?.trim(), '1000000 500000000');
	const change = says('change', 'echo "boottime 5 0" > /proc/self/timens_offsets');
	t.deepEqual(await rig.run(pod, change, withSecurity({capabilities: {add_capabilities: ['SYS_TIME', 'SYS_ADMIN']}})), ['change=no']);
	const own = toFacts(await rig.run(pod, uptime, {annotations: {'berth.io/time-offset-boottime': '5000000'}}));
	t.true(Number(own['uptime']) - Number(node['uptime']) >= 5_000_000, "a container's own");
	const {INVALID_ARGUMENT} = status;
	const bad = rig.pod('bad', {annotations: {'berth.io/time-offset-monotonic': '1h'}});
	await assertRefused(t, INVALID_ARGUMENT, /annotations\["berth\.io\/time-offset-monotonic"\]: "1h"/, bad);
	const before = toContainerConfig('bad', ['true'], {annotations: {'berth.io/time-offset-boottime': '-9000000000'}});
	await assertRefused(t, INVALID_ARGUMENT, /a clock would be before its beginning/, createContainer(rig.cri, pod, before));
	await rig.remove(pod);
});

fields('a pod that cannot be is refused by its field, and leaves nothing', async (t, rig) => {
	const refused = async (changes: object, says: RegExp, code: number = status.INVALID_ARGUMENT): Promise<void> =>
		await assertRefused(t, code, says, rig.pod('bad', changes as Partial<PodSandboxConfig>));
	const metadata = {name: 'bad', uid: 'u', namespace: 'n', attempt: 0};
	for (const field of ['name', 'uid', 'namespace'] as const) {
		await refused({metadata: {...metadata, [field]: ''}}, new RegExp(`metadata\\.${field} is empty`));
		await refused({metadata: {...metadata, [field]: 'a\0b'}}, new RegExp(`metadata\\.${field} is malformed`));
	}
	await refused({hostname: 'a b'}, /hostname "a b"/);
	await refused({log_directory: '/var/../etc'}, /log_directory/);
	await refused({dns_config: {servers: ['ns.example']}}, /dns_config\.servers/);
	await refused({dns_config: {searches: ['a b']}}, /dns_config\.searches/);
	await refused({dns_config: {options: ['']}}, /dns_config\.options/);
	await refused({port_mappings: [{protocol: 0, container_port: 0, host_port: 5}]}, /port_mappings\[0\]\.container_port 0/);
	await refused({port_mappings: [{protocol: 0, container_port: 1, host_port: -5}]}, /port_mappings\[0\]\.host_port -5/);
	await refused({port_mappings: [{protocol: 0, container_port: 1, host_port: 5, host_ip: 'here'}]}, /port_mappings\[0\]\.host_ip "here"/);
	await refused({port_mappings: [{protocol: 7, container_port: 1, host_port: 5}]}, /port_mappings\[0\]\.protocol 7/);
	for (const name of ['vm.swappiness', 'kernel.hostname', 'fs.file-max', 'kernel.panic'])
		await refused(podLinux({}, {sysctls: {[name]: '1'}}), /is not namespaced/);
	await refused(podLinux({}, {sysctls: {'net.core.somaxconn': '1'}}), /needs the pod's own network namespace/);
	await refused(podLinux({namespace_options: {ipc: MODE.NODE}}, {sysctls: {'kernel.sem': '1'}}), /needs the pod's own IPC namespace/);
	await refused(ownNetwork({sysctls: {'net.ipv4.no_such': '1'}}), /sysctls: "net\.ipv4\.no_such"/);
	await refused(podLinux({}, {cgroup_parent: '/a/../b'}), /cgroup_parent/);
	await refused(podLinux({}, {overhead: {cpu_period: '5'}}), /cpu_period 5/);
	await refused(podLinux({}, {resources: {memory_limit_in_bytes: '-5'}}), /memory_limit_in_bytes/);
	await t.throwsAsync(access(join(rig.daemon.places.rootDir, 'sandboxes', 'bad')));
});
