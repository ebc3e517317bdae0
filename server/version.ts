import {readFile} from 'node:fs/promises';

/** berth's own version, from package.json: build/server/version.js → package.json. */
export async function readVersion(): Promise<string> {
	const {version} = JSON.parse(await readFile(new URL('../../package.json', import.meta.url), 'utf8')) as {readonly version: string};
	return version;
}
