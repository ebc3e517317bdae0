import {mkdir} from 'node:fs/promises';
import {join} from 'node:path';
import {request} from 'undici';
import {BUSYBOX_IMAGE} from '../fixtures/images.js';
import type {Daemon} from '../rig/daemon.js';
import {until} from '../rig/pods.js';
import {type Background, Transcript} from './transcript.js';

const TYPES = '{{.containerId}} {{.containerEventType}}';

/** What people do with crictl on a node, from the first pod to none. @returns the transcript. */
export async function runScript(daemon: Daemon): Promise<string> {
	const transcript = new Transcript(daemon);
	await mkdir(join(daemon.places.scratchDir, 'logs'), {recursive: true});
	await lookAround(transcript);
	const events = await transcript.begin(['events', '--output', 'go-template', '--template', TYPES], /^/);
	const pod = await makePod(transcript, daemon);
	const web = await makeWeb(transcript, pod);
	await lookInside(transcript, {pod, web});
	await talk(transcript, {pod, web, events});
	await measure(transcript, web);
	await transcript.step(['checkpoint', '--export=web.tar', web]);
	transcript.say('Everything goes, running or not.');
	await transcript.step(['rmp', '-fa']);
	await transcript.step(['pods']);
	await transcript.step(['ps', '-a']);
	await heard(events, '<pod> CONTAINER_DELETED_EVENT');
	transcript.say('What was heard meanwhile.');
	await events.end();
	return transcript.text;
}

interface Made {
	readonly pod: string;
	readonly web: string;
}

async function heard(events: Background, event: string): Promise<void> {
	await until(
		`${event} is heard`,
		async () => events.said(),
		said => said.includes(event),
	);
}

async function lookAround(transcript: Transcript): Promise<void> {
	await transcript.step(['version']);
	await transcript.step(['info', '--output', 'go-template', '--template', '{{range .status.conditions}}{{.type}}: {{.status}}  {{end}}']);
	const pulled = await transcript.step(['pull', BUSYBOX_IMAGE], {mask: [[/sha256:[0-9a-f]{64}/g, '<image>']]});
	transcript.name(pulled.replace(/^.*sha256:/, ''), 'image');
	await transcript.step(['images'], {mask: [[/[\d.]+[kM]B/g, '<size>']]});
}

async function makePod(transcript: Transcript, daemon: Daemon): Promise<string> {
	transcript.say('A pod.');
	const file = await transcript.file('pod.json', {
		metadata: {name: 'shop', namespace: 'demo', uid: '2f6c1ad0-54f1-4d3b-8f6e-3b1f0c8a9d11', attempt: 0},
		log_directory: join(daemon.places.scratchDir, 'logs'),
		linux: {cgroup_parent: `${daemon.places.cgroupRoot}/demo`},
	});
	const id = await transcript.step(['runp', file], {mask: [[/^[0-9a-f]{64}$/g, '<pod>']]});
	transcript.name(id, 'pod');
	await transcript.step(['pods']);
	return id;
}

/** Makes and starts a container. */
async function start(
	transcript: Transcript,
	pod: string,
	config: {readonly metadata: {readonly name: string}; readonly [field: string]: unknown},
): Promise<string> {
	const {name} = config.metadata;
	const labels = {'io.kubernetes.pod.name': 'shop', 'io.kubernetes.pod.namespace': 'demo'};
	const file = await transcript.file(`${name}.json`, {...config, image: {image: BUSYBOX_IMAGE}, labels, log_path: `${name}.log`, linux: {}});
	const id = await transcript.step(['create', pod, file, 'pod.json'], {mask: [[/^[0-9a-f]{64}$/g, `<${name}>`]]});
	transcript.name(id, name);
	await transcript.step(['start', id]);
	return id;
}

async function makeWeb(transcript: Transcript, pod: string): Promise<string> {
	transcript.say('A web server in it.');
	const command = ['sh', '-c', 'mkdir /www && echo hello from the pod >/www/index.html && exec httpd -f -p 80 -h /www'];
	const web = await start(transcript, pod, {metadata: {name: 'web'}, command});
	await transcript.step(['ps']);
	return web;
}

async function lookInside(transcript: Transcript, {pod, web}: Made): Promise<void> {
	transcript.say('What they are.');
	await transcript.step([
		'inspect',
		'--output',
		'go-template',
		'--template',
		'{{.status.metadata.name}} {{.status.state}} {{.status.image.image}} {{.status.logPath}}',
		web,
	]);
	await transcript.step(['inspectp', '--output', 'go-template', '--template', '{{.status.metadata.name}} {{.status.state}} {{.status.network.ip}}', pod]);
}

async function talk(transcript: Transcript, {pod, web, events}: Made & {readonly events: Background}): Promise<void> {
	transcript.say('A command in a terminal, which has the size of the own one; and one without.');
	await transcript.step(['exec', '-it', web, 'sh', '-c', 'tty; sleep 1; stty size; exit 3'], {terminal: true});
	await transcript.step(['exec', '--sync', web, 'cat', '/www/index.html']);
	transcript.say('A program that talks: its input ends with the first client.');
	const parrot = await start(transcript, pod, {
		metadata: {name: 'parrot'},
		command: ['sh', '-c', 'while read line; do echo "you said: $line"; done'],
		stdin: true,
		stdin_once: true,
	});
	await transcript.step(['attach', '-i', parrot], {input: 'hello\n'});
	await heard(events, '<parrot> CONTAINER_STOPPED_EVENT');
	transcript.say('A port of the pod on this machine.');
	const forward = await transcript.begin(['port-forward', pod, ':80'], /Forwarding from 127\.0\.0\.1:\d+/);
	const {body} = await request(`http://127.0.0.1:${/127\.0\.0\.1:(\d+)/.exec(forward.output())?.[1]}/`);
	const page = await body.text();
	await forward.end();
	if (page !== 'hello from the pod\n') throw new Error(`over the forwarded port came ${JSON.stringify(page)}`);
	transcript.say('A log, until its container ends.');
	const counter = await start(transcript, pod, {metadata: {name: 'counter'}, command: ['sh', '-c', 'for i in 1 2 3; do echo line $i; sleep 1; done']});
	await transcript.step(['logs', '-f', counter]);
}

async function measure(transcript: Transcript, web: string): Promise<void> {
	transcript.say('What it uses, and may use.');
	const mask = [
		[/ {3}[\d.]+(?=$| {3})/g, '   <number>'],
		[/[\d.]+[kMG]?B\b/g, '<size>'],
	] as const;
	await transcript.step(['stats', web], {mask});
	await transcript.step(['statsp'], {mask});
	await transcript.step(['update', '--memory', '134217728', web]);
	await transcript.step(['inspect', '--output', 'go-template', '--template', '{{.status.resources.linux.memoryLimitInBytes}}', web]);
	transcript.say('What berth does not do is refused.');
}
