import type {RegistryAuth} from '../../image/image.js';
import type {Credentials__Output, PushImageRequest__Output, PushImageResponse} from '../../proto/admin.js';
import type {Call} from '../call.js';
import {requireText} from '../request.js';

/** PushImage of admin.proto. NOT_FOUND: the image. PERMISSION_DENIED, UNAVAILABLE: the registry. */
export async function handlePushImage({runtime, signal}: Call, request: PushImageRequest__Output): Promise<PushImageResponse> {
	const image = requireText('image', request.image);
	const {reference, digest, sentBytes} = await runtime.images.push(image, request.target, toAuth(request.credentials), signal);
	return {reference, digest, sent_bytes: String(sentBytes)};
}

function toAuth(credentials: Credentials__Output | null): RegistryAuth | null {
	if (credentials === null || !Object.values(credentials).some(value => value !== '')) return null;
	const {username, password, identity_token: identityToken, registry_token: registryToken} = credentials;
	return {username, password, identityToken, registryToken, auth: '', serverAddress: ''};
}
