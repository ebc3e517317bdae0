/** Types of the CRI v1 messages (api.proto of k8s.io/cri-api 0.37.2). X is what may be sent, X__Output what is received. */
export * from './gen/cri.js';
