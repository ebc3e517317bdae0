import {readFile} from 'node:fs/promises';
import test from 'ava';
import {useDaemon} from '../rig/use-daemon.js';
import {DOCUMENT, toDocument} from './document.js';
import {runScript} from './script.js';

const running = useDaemon(test);

test.serial('crictl shows what docs/crictl.md says', async t => {
	t.deepEqual(toDocument(await runScript(running().daemon)).split('\n'), (await readFile(DOCUMENT, 'utf8')).split('\n'));
});
