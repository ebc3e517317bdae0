import test from 'ava';
import {containerRecord, sandboxRecord} from '../../runtime/fake-records.js';
import type {ContainerStatsFacts, SandboxStatsFacts} from '../../runtime/stats/facts.js';
import {toContainerStats, toSandboxStats} from './stats.js';

const sandbox = sandboxRecord('p');
const container = containerRecord('c', sandbox);
const line = {totalNs: 4000n, avg10: 1.5, avg60: 2, avg300: 3};
const psi = {some: line, full: {...line, totalNs: 5n}};
const facts: ContainerStatsFacts = {
	containerId: container.id,
	timestampNs: 5n,
	cpu: {usageCoreNs: 7n, usageNanoCores: null},
	memory: null,
	swap: null,
	pids: null,
	pressure: {cpu: psi, memory: null, io: psi},
	writableLayer: {mountpoint: '/m', usedBytes: 1n, inodesUsed: 2n, timestampNs: 3n},
};

test('toContainerStats leaves out what the kernel does not say', t => {
	const stats = toContainerStats(container, {...facts, pressure: {cpu: null, memory: null, io: null}});
	t.deepEqual(stats.cpu, {timestamp: '5', usage_core_nano_seconds: {value: '7'}, usage_nano_cores: null, psi: null});
	t.is(stats.memory, null);
	t.is(stats.io, null);
	// With the time of the count, not of the call.
	t.deepEqual(stats.writable_layer, {timestamp: '3', fs_id: {mountpoint: '/m'}, used_bytes: {value: '1'}, inodes_used: {value: '2'}});
	t.like(stats.attributes, {id: container.id, metadata: container.metadata});
});

test('toContainerStats shows pressure with each resource', t => {
	const stats = toContainerStats(container, facts);
	t.deepEqual(stats.cpu?.psi, {Some: {Total: '4000', Avg10: 1.5, Avg60: 2, Avg300: 3}, Full: {Total: '5', Avg10: 1.5, Avg60: 2, Avg300: 3}});
	t.deepEqual(stats.io, {timestamp: '5', psi: stats.cpu?.psi});
});

test('toSandboxStats has network, process count and the containers that are still there', t => {
	const counters = {bytes: 1n, packets: 2n, errors: 3n, dropped: 4n};
	const pod: SandboxStatsFacts = {
		...facts,
		sandboxId: sandbox.id,
		pids: 9n,
		network: {
			defaultInterface: {name: 'eth0', rx: counters, tx: {...counters, bytes: 8n}},
			interfaces: [{name: 'net1', rx: counters, tx: counters}],
		},
		containers: [facts, {...facts, containerId: 'removed meanwhile'}],
	};
	const {attributes, linux} = toSandboxStats(sandbox, pod, id => (id === container.id ? container : null));
	t.like(attributes, {id: sandbox.id, metadata: sandbox.metadata, labels: sandbox.labels});
	t.deepEqual(linux?.process, {timestamp: '5', process_count: {value: '9'}});
	t.deepEqual(linux?.network, {
		timestamp: '5',
		default_interface: {name: 'eth0', rx_bytes: {value: '1'}, rx_errors: {value: '3'}, tx_bytes: {value: '8'}, tx_errors: {value: '3'}},
		interfaces: [{name: 'net1', rx_bytes: {value: '1'}, rx_errors: {value: '3'}, tx_bytes: {value: '1'}, tx_errors: {value: '3'}}],
	});
	t.deepEqual(
		linux?.containers?.map(({attributes: found}) => found?.id),
		[container.id],
	);
	const none = toSandboxStats(sandbox, {...pod, network: null, pids: null}, () => null);
	t.is(none.linux?.network, null);
	t.is(none.linux?.process, null);
});
