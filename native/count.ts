/** What the kernel seam counts: see Kernel in native.ts. */
export interface TreeMeter {
	/** Goes on for about so many entries (a directory is not split); one step at a time. */
	step(entries: number): Promise<TreeCount>;
}
/** What was counted so far. */
export interface TreeCount {
	readonly bytes: number;
	readonly inodes: number;
	readonly done: boolean;
}
export interface ProcessCount {
	readonly processes: number;
	readonly descriptors: number;
	/** Among the descriptors. */
	readonly sockets: number;
}
