import {writeFile} from 'node:fs/promises';
import {buildImages} from '../fixtures/images.js';
import {openRegistry} from '../fixtures/registry.js';
import {startDaemon} from '../rig/daemon.js';
import {DOCUMENT, toDocument} from './document.js';
import {runScript} from './script.js';

/** `make crictl-transcript`: writes docs/crictl.md anew. */
const registry = await openRegistry(await buildImages());
try {
	await using daemon = await startDaemon(registry);
	await writeFile(DOCUMENT, toDocument(await runScript(daemon)));
} finally {
	await registry.close();
}
