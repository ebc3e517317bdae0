import {Socket} from 'node:net';
import type {Readable, Writable} from 'node:stream';
import type {Clock} from '../base/clock.js';
import {addon, callAddon} from './addon.js';
import type {FifoReader, FifoWriter, FileLock, Kernel, SeccompProfile} from './native.js';
import {FdStreams} from './output.js';
import {runProgram} from './program.js';
import {openUnpacker} from './unpack.js';

/** The Kernel of native.ts over the addon. */
export function openKernel(clock: Clock): Kernel {
	return {
		pinNetworkNamespace: async (pid, path) => await callAddon(done => addon.pinNetworkNamespace(pid, path, done)),
		unpinNetworkNamespace: async path => await callAddon(done => addon.unpinNetworkNamespace(path, done)),
		runProgram: async (request, signal) => await runProgram(clock, request, signal),
		makeLayer: async (path, {mode, uid, gid}, record) => await callAddon(done => addon.makeLayer(path, mode, uid, gid, record ?? '', done)),
		makeHostPaths: async (logDir, paths) => await callAddon(done => addon.makeHostPaths(logDir ?? '', paths, done)),
		removeTree: async path => await callAddon(done => addon.removeTree(path, done)),
		readFiles: async paths => await callAddon(done => addon.readFiles(paths, done)),
		writeFile: async (path, value) => await callAddon(done => addon.writeFile(path, value, done)),
		openUnpacker,
		inheritDirectories: async (layerDir, lowerDirs, directories) => await callAddon(done => addon.inheritDirectories(layerDir, lowerDirs, directories, done)),
		compileSeccomp: async profile => await callAddon(done => addon.compileSeccomp(toRaw(profile), profile.architectures, done)),
		syncFilesystem: async path => await callAddon(done => addon.syncFilesystem(path, done)),
		openTreeMeter: path => {
			const meter = new addon.TreeMeter(path);
			return {step: async entries => await callAddon(done => meter.step(entries, done))};
		},
		assignProject: async (path, project) => await callAddon(done => addon.assignProject(path, project, done)),
		projectUsages: async (path, projects) => await callAddon(done => addon.projectUsages(path, projects, done)),
		countProcesses: async paths => await callAddon(done => addon.countProcesses(paths, done)),
		treeUsage: async path => await callAddon(done => addon.treeUsage(path, done)),
		labelTree: async (path, label) => await callAddon(done => addon.labelTree(path, label, done)),
		dialPod: async (netnsPath, port, timeoutMs) =>
			new Socket({fd: await callAddon(done => addon.dialPod(netnsPath ?? '', port, timeoutMs, done)), allowHalfOpen: true}),
		mountTmpfs: async (path, sizeBytes) => await callAddon(done => addon.mountTmpfs(path, sizeBytes, done)),
		unmountDirectory: async path => await callAddon(done => addon.unmountDirectory(path, done)),
		openFifoReader: async path => toFifoReader(await callAddon(done => addon.openFifo(path, 0, done))),
		openFifoWriter: async path => toFifoWriter(await callAddon(done => addon.openFifo(path, 1, done))),
		lockFile: async path => toLock(await callAddon(done => addon.lockFile(path, done))),
		notifySystemd: async (socketPath, state) => await callAddon(done => addon.notify(socketPath, state, done)),
	};
}

function toFifoReader(fd: number): FifoReader {
	const streams = new FdStreams(fd, {read: true, write: false});
	return {stream: streams.readable as Readable, end: () => streams.end()};
}

function toFifoWriter(fd: number): FifoWriter {
	const streams = new FdStreams(fd, {read: false, write: true});
	return {stream: streams.writable as Writable, end: () => streams.end()};
}

function toLock(fd: number): FileLock | null {
	if (fd === -1) return null;
	let held = true;
	return {
		release: () => {
			if (held) addon.closeFds([fd]);
			held = false;
		},
	};
}

function toRaw(profile: SeccompProfile): Parameters<typeof addon.compileSeccomp>[0] {
	return {
		defaultAction: profile.defaultAction,
		defaultErrno: profile.defaultErrno ?? -1,
		syscalls: profile.syscalls.map(rule => ({...rule, errno: rule.errno ?? -1})),
	};
}
