#pragma once
// The part of libzstd's stable ABI (since 1.4) that is used. Declared here because node exports the functions of its own
// copy but does not ship the header, and another version's header must not decide what is called.
#include <cstddef>

extern "C" {
struct ZSTD_DCtx_s;
typedef struct ZSTD_DCtx_s ZSTD_DCtx;
typedef struct {
	const void* src;
	size_t size;
	size_t pos;
} ZSTD_inBuffer;
typedef struct {
	void* dst;
	size_t size;
	size_t pos;
} ZSTD_outBuffer;
ZSTD_DCtx* ZSTD_createDCtx(void);
size_t ZSTD_freeDCtx(ZSTD_DCtx* context);
size_t ZSTD_decompressStream(ZSTD_DCtx* context, ZSTD_outBuffer* output, ZSTD_inBuffer* input);
unsigned ZSTD_isError(size_t code);
const char* ZSTD_getErrorName(size_t code);
}
