#include "sha256.h"

#include <new>

namespace berth::unpack {

Sha256::Sha256() : context_(EVP_MD_CTX_new()) {
	if (context_ == nullptr || EVP_DigestInit_ex(context_.get(), EVP_sha256(), nullptr) != 1) throw std::bad_alloc();
}

bool Sha256::Update(const uint8_t* data, size_t size) { return EVP_DigestUpdate(context_.get(), data, size) == 1; }

std::string Sha256::Finish() {
	uint8_t bytes[EVP_MAX_MD_SIZE];
	unsigned length = 0;
	if (EVP_DigestFinal_ex(context_.get(), bytes, &length) != 1) throw std::bad_alloc();
	static const char digits[] = "0123456789abcdef";
	std::string text = "sha256:";
	for (unsigned i = 0; i < length; i++) {
		text += digits[bytes[i] >> 4];
		text += digits[bytes[i] & 15];
	}
	return text;
}

}  // namespace berth::unpack
