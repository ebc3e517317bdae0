#pragma once
#include <openssl/evp.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

namespace berth::unpack {

class Sha256 {
public:
	Sha256();
	// false: out of memory.
	bool Update(const uint8_t* data, size_t size);
	// "sha256:…"; once.
	std::string Finish();

private:
	struct Free {
		void operator()(EVP_MD_CTX* context) const { EVP_MD_CTX_free(context); }
	};
	std::unique_ptr<EVP_MD_CTX, Free> context_;
};

}  // namespace berth::unpack
