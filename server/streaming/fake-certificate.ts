import {execFile} from 'node:child_process';
import {promisify} from 'node:util';

const run = promisify(execFile);

/** For tests: a certificate of itself for 127.0.0.1, and its key, as PEM files. */
export async function selfSigned(directory: string, name: string) {
	const [certFile, keyFile] = [`${directory}/${name}.crt`, `${directory}/${name}.key`];
	const subject = ['-subj', `/CN=${name}`, '-addext', 'subjectAltName=IP:127.0.0.1'];
	await run('openssl', [
		'req',
		'-x509',
		'-newkey',
		'ec',
		'-pkeyopt',
		'ec_paramgen_curve:prime256v1',
		'-nodes',
		'-days',
		'2',
		...subject,
		'-keyout',
		keyFile,
		'-out',
		certFile,
	]);
	return {certFile, keyFile};
}
