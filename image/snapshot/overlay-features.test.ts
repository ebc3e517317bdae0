import test from 'ava';
import {probeOverlay} from './overlay-features.js';

test('probeOverlay says of each feature whether it is used and why', async t => {
	const features = await probeOverlay({kernelRelease: '6.1.0-18-amd64', parameter: async name => (name === 'metacopy' ? 'Y' : name === 'index' ? 'N' : null)});
	const found = Object.fromEntries(features.map(({name, used, reason}) => [name, {used, reason}]));
	t.true(found['volatile']?.used);
	t.false(found['lowerdir+']?.used);
	t.regex(found['lowerdir+']?.reason ?? '', /since 6\.7, this is 6\.1\.0-18-amd64/);
	t.true(found['metacopy']?.used);
	t.regex(found['metacopy']?.reason ?? '', /on by the kernel's default/);
	t.regex(found['index']?.reason ?? '', /default is off/);
	t.regex(found['redirect_dir']?.reason ?? '', /kernel lacks it/);
	const newer = await probeOverlay({kernelRelease: '7.0.0', parameter: async () => null});
	t.true(newer.find(({name}) => name === 'lowerdir+')?.used);
});
