import test from 'ava';
import {promisesAt, type Mark, type Promises} from './promises.js';

function asked(positionBytes: number, reference: string, imageId: string): Mark {
	return {kind: 'asked', positionBytes, reference, imageId};
}
function pulled(positionBytes: number, reference: string, imageId: string): Mark {
	return {kind: 'pulled', positionBytes, reference, imageId};
}
function toPlain({imageIds, removedIds, tags}: Promises): object {
	return {imageIds: [...imageIds], removedIds: [...removedIds], tags: Object.fromEntries(tags)};
}

test('an image is promised from the moment its pull was reported until its removal is asked for', t => {
	const marks: readonly Mark[] = [
		asked(10, 'a:1', 'A'),
		pulled(20, 'a:1', 'A'),
		{kind: 'removing', positionBytes: 30, imageId: 'A'},
		asked(40, 'a:1', 'A'),
		pulled(50, 'a:1', 'A'),
	];
	const there = {imageIds: ['A'], removedIds: [], tags: {'a:1': 'A'}};
	const nothing = {imageIds: [], removedIds: [], tags: {}};
	t.deepEqual(toPlain(promisesAt(marks, 19)), nothing);
	t.deepEqual(toPlain(promisesAt(marks, 20)), there);
	t.deepEqual(toPlain(promisesAt(marks, 30)), there, 'nothing was written since the removal was asked for');
	t.deepEqual(toPlain(promisesAt(marks, 31)), nothing);
	t.deepEqual(toPlain(promisesAt(marks, 49)), nothing);
	t.deepEqual(toPlain(promisesAt(marks, 50)), there);
});

test('a repeated pull takes no promise back', t => {
	const marks = [pulled(10, 'a:1', 'A'), asked(20, 'a:1', 'A')];
	t.deepEqual(toPlain(promisesAt(marks, 30)), {imageIds: ['A'], removedIds: [], tags: {'a:1': 'A'}});
});

test('a tag that moves is promised to nobody meanwhile; both images are', t => {
	const marks = [pulled(10, 'm:1', 'A'), asked(20, 'm:1', 'B'), pulled(30, 'm:1', 'B')];
	t.deepEqual(toPlain(promisesAt(marks, 25)), {imageIds: ['A'], removedIds: [], tags: {}});
	t.deepEqual(toPlain(promisesAt(marks, 30)), {imageIds: ['A', 'B'], removedIds: [], tags: {'m:1': 'B'}});
});

test('a removed image stays away from the moment its removal was reported until a pull is asked for', t => {
	const marks: readonly Mark[] = [
		pulled(10, 'a:1', 'A'),
		{kind: 'removing', positionBytes: 20, imageId: 'A'},
		{kind: 'removed', positionBytes: 30, imageId: 'A'},
		asked(40, 'a:1', 'A'),
	];
	const removed = {imageIds: [], removedIds: ['A'], tags: {}};
	const nothing = {imageIds: [], removedIds: [], tags: {}};
	t.deepEqual(toPlain(promisesAt(marks, 29)), nothing);
	t.deepEqual(toPlain(promisesAt(marks, 30)), removed);
	t.deepEqual(toPlain(promisesAt(marks, 40)), removed);
	t.deepEqual(toPlain(promisesAt(marks, 41)), nothing);
});

test('a pull that was given up may still end: a removal after it promises nothing', t => {
	const marks: readonly Mark[] = [
		asked(10, 'a:1', 'A'),
		{kind: 'removing', positionBytes: 20, imageId: 'A'},
		{kind: 'removed', positionBytes: 30, imageId: 'A'},
	];
	t.deepEqual(toPlain(promisesAt(marks, 50)), {imageIds: [], removedIds: [], tags: {}});
});
