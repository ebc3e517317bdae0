import {readFile} from 'node:fs/promises';
import type {SnapshotFeature} from '../image.js';

/** How the kernel and its overlay module are asked; a test gives its own. */
export interface OverlayProbe {
	/** uname's "6.18.2". */
	readonly kernelRelease: string;
	/** Content of /sys/module/overlay/parameters/<name>; null where there is none. */
	readonly parameter: (name: string) => Promise<string | null>;
}

export function machineProbe(kernelRelease: string): OverlayProbe {
	return {
		kernelRelease,
		parameter: async name => {
			try {
				return (await readFile(`/sys/module/overlay/parameters/${name}`, 'utf8')).trim();
			} catch {
				return null;
			}
		},
	};
}

/**
 * What of overlayfs is used here and why the rest is not (kernel doc filesystems/overlayfs). The launcher turns off again what a mount refuses; this says what
 * to expect.
 */
export async function probeOverlay({kernelRelease, parameter}: OverlayProbe): Promise<readonly SnapshotFeature[]> {
	const since = (name: string, version: string, what: string): SnapshotFeature => {
		const used = isAtLeast(kernelRelease, version);
		return {name, used, reason: used ? what : `the kernel has it since ${version}, this is ${kernelRelease}`};
	};
	return [
		since('volatile', '5.10', 'writable layers are not synced at unmount: they do not outlive a power cut in any case'),
		since('lowerdir+', '6.7', 'layers are added one by one: their number and the length of their paths are not limited by a page'),
		await notUsed(parameter, 'metacopy', 'an untrusted layer could make metadata point at other data (overlayfs, "Metadata only copy up")'),
		await notUsed(
			parameter,
			'redirect_dir',
			'an untrusted layer could redirect a directory (overlayfs, "renaming directories"); renames of image directories give EXDEV',
		),
		await notUsed(parameter, 'index', 'hard links need not survive a copy-up, and index refuses an upper directory that moved'),
	];
}

async function notUsed(parameter: OverlayProbe['parameter'], name: string, why: string): Promise<SnapshotFeature> {
	const value = await parameter(name);
	const kernel = value === null ? 'the kernel lacks it' : `the kernel's default is ${value === 'Y' ? 'on' : value === 'N' ? 'off' : value}`;
	return {name, used: value === 'Y', reason: value === 'Y' ? `on by the kernel's default; not asked for: ${why}` : `${kernel}; not asked for: ${why}`};
}

function isAtLeast(release: string, version: string): boolean {
	const [major = 0, minor = 0] = release.split(/[.-]/).map(Number);
	const [wantedMajor = 0, wantedMinor = 0] = version.split('.').map(Number);
	return major > wantedMajor || (major === wantedMajor && minor >= wantedMinor);
}
