import type {Command} from 'commander';

/** Makes one subcommand of `berth images`, with --socket. */
export type AddSubcommand = (usage: string, what: string) => Command;

export interface SocketOption {
	readonly socket?: string;
}

/** For `using`: the client is closed when the command ends. */
export function closing<T extends {close(): void}>(client: T): T & Disposable {
	return Object.assign(client, {[Symbol.dispose]: () => client.close()});
}

export function print(line: string): void {
	process.stdout.write(`${line}\n`);
}

/** "id tag tag" */
export function printNamed({id, repo_tags: tags}: {readonly id: string; readonly repo_tags: readonly string[]}): void {
	print(`${id} ${tags.join(' ')}`.trimEnd());
}

/** "1.5 MB"; decimal, as crictl and docker show sizes. */
export function toSize(bytes: number): string {
	const units = ['B', 'kB', 'MB', 'GB', 'TB'];
	let value = bytes;
	let unit = 0;
	while (value >= 1000 && unit < units.length - 1) {
		value /= 1000;
		unit++;
	}
	return `${unit === 0 ? value : value.toFixed(1)} ${units[unit]}`;
}
