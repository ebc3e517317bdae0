import type {ProcessSpec, ResolvedUser} from '../../native/native.js';
import type {ExecFacts} from '../container/record.js';

/** What an exec takes over from the container's own process. */
export function toExecFacts(process: ProcessSpec, user: ResolvedUser, seccompKey: string | null): ExecFacts {
	const {env, cwd, capabilities, noNewPrivileges, oomScoreAdj, rlimits, apparmorProfile, selinuxLabel} = process;
	const envBase64 = env.map(line => Buffer.from(line).toString('base64'));
	return {envBase64, cwd, user, capabilities, noNewPrivileges, seccompKey, oomScoreAdj, rlimits, apparmorProfile, selinuxLabel};
}

/** The container's process with another argv. A terminal has a TERM. */
export function toExecProcess(facts: ExecFacts, args: readonly string[], tty: boolean, seccomp: Uint8Array | null): ProcessSpec {
	const env = facts.envBase64.map(line => Buffer.from(line, 'base64'));
	const hasTerm = env.some(line => line.subarray(0, 5).toString('latin1') === 'TERM=');
	const {uid, gid, supplementalGids} = facts.user;
	return {
		args,
		env: tty && !hasTerm ? [...env, Buffer.from('TERM=xterm')] : env,
		cwd: facts.cwd,
		// All groups are known by now: nothing is looked up again in an image whose files the container may have changed.
		user: {spec: '', uid, gid, supplementalGids, groupsPolicy: 'strict'},
		capabilities: facts.capabilities,
		noNewPrivileges: facts.noNewPrivileges,
		rlimits: facts.rlimits ?? [],
		oomScoreAdj: facts.oomScoreAdj,
		seccomp,
		tty,
		apparmorProfile: facts.apparmorProfile ?? null,
		selinuxLabel: facts.selinuxLabel ?? null,
	};
}
