/** What an OCI runtime's binary is called with. */
export interface OciLaunch {
	/** Absolute, in the daemon's mount namespace. */
	readonly binaryPath: string;
	/** Global options, before the command. */
	readonly options: readonly string[];
	/** A call of the binary that takes longer is killed. */
	readonly timeoutMs: number;
	readonly config: OciText;
}

/**
 * JSON for an OCI runtime, with gaps: 'bundle' is the inside of a string, the bundle's directory, which has rootfs, mounts/<n> for the n-th of
 * LaunchSpec.mounts (bind, shm, image), and pidns for a PID namespace that is joined; 'user' is an object, the user as resolved in the rootfs;
 * 'home' is a string, "HOME=" and that user's directory; 'mountOptions' are
 * one or more strings: the options of mounts/<n>, each time those of the next n that there is.
 */
export type OciText = readonly {readonly text: string; readonly insert: 'bundle' | 'user' | 'home' | 'mountOptions' | null}[];
