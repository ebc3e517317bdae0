import test from 'ava';
import {toOutcomes} from './report.js';

test('passed, failed and self-skipped specs are told apart; filtered ones and passing set-up nodes are no specs', t => {
	const spec = (LeafNodeText: string, State: string, more: object = {}) => ({
		LeafNodeType: 'It',
		ContainerHierarchyTexts: ['[k8s.io] Container'],
		LeafNodeText,
		State,
		RunTime: 1,
		...more,
	});
	const report = [
		{
			SpecReports: [
				spec('', 'passed', {LeafNodeType: 'SynchronizedBeforeSuite', ContainerHierarchyTexts: null}),
				spec('runs', 'passed'),
				spec('breaks', 'failed', {Failure: {Message: 'no such thing'}}),
				spec('hangs', 'timedout', {Failure: {Message: 'too long'}}),
				spec('asks for AppArmor', 'skipped', {Failure: {Message: 'no AppArmor'}}),
				spec('is a benchmark', 'skipped'),
			],
		},
	];
	t.deepEqual(toOutcomes(JSON.stringify(report)), {
		passed: [{name: '[k8s.io] Container › runs', reason: ''}],
		failed: [
			{name: '[k8s.io] Container › breaks', reason: 'no such thing'},
			{name: '[k8s.io] Container › hangs', reason: 'too long'},
		],
		skipped: [{name: '[k8s.io] Container › asks for AppArmor', reason: 'no AppArmor'}],
	});
});

test('a failed set-up node is a failure', t => {
	const report = [
		{
			SpecReports: [
				{
					LeafNodeType: 'SynchronizedBeforeSuite',
					ContainerHierarchyTexts: null,
					LeafNodeText: '',
					State: 'failed',
					RunTime: 1,
					Failure: {Message: 'no runtime'},
				},
			],
		},
	];
	t.deepEqual(toOutcomes(JSON.stringify(report)).failed, [{name: 'SynchronizedBeforeSuite', reason: 'no runtime'}]);
});
