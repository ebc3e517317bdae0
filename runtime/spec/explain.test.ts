import test from 'ava';
import {FailedError, InvalidArgumentError, SyscallError, UnimplementedError} from '../../base/errors.js';
import {explain} from './explain.js';

for (const [stage, errno, path, error, says] of [
	['id-map volume', 22, '/srv/nfs', UnimplementedError, /^mounts\.uidMappings, gidMappings: the filesystem of host_path "\/srv\/nfs"/],
	['set groups', 22, '', InvalidArgumentError, /^the user that the image names has an id that is not mapped/],
	['look up user', 2, 'web', InvalidArgumentError, /^run_as_username "web", or the image's user/],
	['look up group', 2, 'web', InvalidArgumentError, /^the image's group "web"/],
	['change directory', 20, '/etc/passwd', InvalidArgumentError, /^working_dir "\/etc\/passwd" .*ENOTDIR/],
	['mount bind', 40, '/x', InvalidArgumentError, /^mounts: container_path "\/x" .*ELOOP/],
	['mount proc', 40, '/proc', InvalidArgumentError, /^image: its \/proc is no plain directory/],
	['mounts.host_path stat', 20, '/a', InvalidArgumentError, /^mounts: host_path "\/a" /],
	['open image sub path', 2, 'a/b', FailedError, /^ImageVolumeMountFailed: mounts\.image_sub_path: .*a\/b/],
	['mount image', 5, '/x', FailedError, /^ImageVolumeMountFailed: mounts\.image: /],
	['write sysctl', 2, 'net.x', InvalidArgumentError, /^sysctls: "net\.x" is not there, or refuses the value/],
	['time namespace', 22, '', UnimplementedError, /^time offsets: this kernel has no time namespaces/],
	['set time offsets', 34, '', InvalidArgumentError, /^time offsets: with them a clock/],
	['set rlimit', 1, '', InvalidArgumentError, /^runtime\.default_ulimits of the config/],
	['set AppArmor profile', 2, 'mine', InvalidArgumentError, /^security_context\.apparmor: profile "mine" is not loaded/],
	['set SELinux label', 22, 'a:b:c:d', InvalidArgumentError, /^security_context\.selinux_options: the policy of this node has no "a:b:c:d"/],
] as const) {
	test(`"${stage}" with errno ${errno} is said in words of the request`, t => {
		const cause = new SyscallError(stage, errno, path);
		const explained = explain(cause) as Error;
		t.true(explained instanceof error, explained.name);
		t.regex(explained.message, says);
		t.is(explained.cause, cause);
	});
}

test('what says nothing of the request stays as it is', t => {
	for (const error of [
		new SyscallError('set user', 11, ''),
		new SyscallError('mount proc', 22, '/proc'),
		new SyscallError('clone', 22, ''),
		new Error('x'),
		null,
	])
		t.is(explain(error), error);
});
