import {FailedError, UnavailableError} from '../../base/errors.js';
import type {RegistryAuth} from '../../image/image.js';
import {SignatureRefusedError} from '../../image/policy/policy.js';
import type {AuthConfig__Output, PullImageRequest__Output, PullImageResponse} from '../../proto/cri.js';
import type {Call} from '../call.js';
import {requireMessage, requireText} from '../request.js';

/**
 * PullImage. Answers the image's id, which is Image.id and ContainerStatus.image_id too.
 *
 * NOT_FOUND, PERMISSION_DENIED: the registry says so. DATA_LOSS: a digest does not fit. UNKNOWN: the registry cannot be reached, or the signature
 * policy refuses the image; the text begins with the word that the kubelet shows as the reason (cri-api pkg/errors). It sees the word only under
 * UNKNOWN: the text of any other code gets "rpc error: ..." before it (cri-client remote_image.go, pullImageV1).
 */
export async function handlePullImage({runtime, signal}: Call, request: PullImageRequest__Output): Promise<PullImageResponse> {
	const reference = requireText('image.image', requireMessage('image', request.image).image);
	try {
		const {id} = await runtime.images.pull(reference, toAuth(request.auth), signal);
		return {image_ref: id};
	} catch (error) {
		if (error instanceof UnavailableError) throw new FailedError(`RegistryUnavailable: ${error.message}`, error.details, {cause: error});
		if (error instanceof SignatureRefusedError) throw new FailedError(`SignatureValidationFailed: ${error.message}`, error.details, {cause: error});
		throw error;
	}
}

/** null when no field is set: the kubelet sends an empty message for a pull without credentials. */
function toAuth(auth: AuthConfig__Output | null): RegistryAuth | null {
	if (auth === null || !Object.values(auth).some(value => value !== '')) return null;
	return {
		username: auth.username,
		password: auth.password,
		auth: auth.auth,
		serverAddress: auth.server_address,
		identityToken: auth.identity_token,
		registryToken: auth.registry_token,
	};
}
