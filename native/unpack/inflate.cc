#include "inflate.h"

#include <zlib.h>

#include <algorithm>
#include <new>
#include <cstring>
#include <string>

#include "failure.h"
#include "zstd-abi.h"

namespace berth::unpack {
namespace {

class Plain final : public Decompressor {
public:
	void Write(const uint8_t* data, size_t size, Output& output) override {
		while (size > 0) {
			const std::span<uint8_t> room = output.Room();
			const size_t part = std::min(size, room.size());
			memcpy(room.data(), data, part);
			output.Took(part);
			data += part;
			size -= part;
		}
	}
	void Finish() override {}
};

// What lies between and after the members (gzip) or frames (zstd): nothing, the next one, or zeros as padding.
enum class Place { kStart, kInside, kBetween, kTrailingZeros };

void ExpectZeros(const uint8_t* data, size_t size, const char* format) {
	if (std::any_of(data, data + size, [](uint8_t byte) { return byte != 0; })) Corrupt(std::string("bytes that are not zero follow the ") + format + " stream");
}

// RFC 1952; concatenated members are one stream.
class Gzip final : public Decompressor {
public:
	Gzip() {
		constexpr int kGzipOnly = 16;
		if (inflateInit2(&stream_, MAX_WBITS + kGzipOnly) != Z_OK) throw std::bad_alloc();
	}
	~Gzip() override { inflateEnd(&stream_); }
	Gzip(const Gzip&) = delete;
	Gzip& operator=(const Gzip&) = delete;

	void Write(const uint8_t* data, size_t size, Output& output) override {
		stream_.next_in = const_cast<uint8_t*>(data);
		stream_.avail_in = static_cast<uInt>(size);
		while (stream_.avail_in > 0) {
			if (place_ == Place::kBetween) NextMember();
			if (place_ == Place::kTrailingZeros) return ExpectZeros(stream_.next_in, stream_.avail_in, "gzip");
			Inflate(output);
		}
	}

	void Finish() override {
		if (place_ == Place::kStart || place_ == Place::kInside) Corrupt("the gzip stream is truncated");
	}

private:
	void NextMember() {
		if (*stream_.next_in == 0) {
			place_ = Place::kTrailingZeros;
			return;
		}
		if (inflateReset(&stream_) != Z_OK) Corrupt("the gzip stream cannot be continued");
		place_ = Place::kInside;
	}

	// Until the input is used up and no output is pending, or the member ends.
	void Inflate(Output& output) {
		place_ = Place::kInside;
		do {
			const std::span<uint8_t> room = output.Room();
			stream_.next_out = room.data();
			stream_.avail_out = static_cast<uInt>(room.size());
			const int code = inflate(&stream_, Z_NO_FLUSH);
			if (code != Z_OK && code != Z_STREAM_END && code != Z_BUF_ERROR) {
				if (code == Z_MEM_ERROR) throw std::bad_alloc();
				Corrupt(std::string("the gzip stream is damaged: ") + (stream_.msg == nullptr ? "wrong data" : stream_.msg));
			}
			const size_t produced = room.size() - stream_.avail_out;
			if (produced > 0) output.Took(produced);
			if (code == Z_STREAM_END) {
				place_ = Place::kBetween;
				return;
			}
		} while (stream_.avail_out == 0);
	}

	z_stream stream_{};
	Place place_ = Place::kStart;
};

// RFC 8878. The window is limited to 128 MiB by the library's default.
class Zstd final : public Decompressor {
public:
	Zstd() : context_(ZSTD_createDCtx()) {
		if (context_ == nullptr) throw std::bad_alloc();
	}
	~Zstd() override { ZSTD_freeDCtx(context_); }
	Zstd(const Zstd&) = delete;
	Zstd& operator=(const Zstd&) = delete;

	void Write(const uint8_t* data, size_t size, Output& output) override {
		ZSTD_inBuffer input{data, size, 0};
		bool more = true;
		while (input.pos < input.size || more) {
			if (place_ == Place::kBetween && input.pos == input.size) return;
			if (place_ == Place::kBetween && data[input.pos] == 0) place_ = Place::kTrailingZeros;
			if (place_ == Place::kTrailingZeros) return ExpectZeros(data + input.pos, size - input.pos, "zstd");
			const std::span<uint8_t> room = output.Room();
			ZSTD_outBuffer out{room.data(), room.size(), 0};
			const size_t code = ZSTD_decompressStream(context_, &out, &input);
			if (ZSTD_isError(code)) Corrupt(std::string("the zstd stream is damaged: ") + ZSTD_getErrorName(code));
			if (out.pos > 0) output.Took(out.pos);
			place_ = code == 0 ? Place::kBetween : Place::kInside;
			more = out.pos == out.size;
		}
	}

	void Finish() override {
		if (place_ == Place::kStart || place_ == Place::kInside) Corrupt("the zstd stream is truncated");
	}

private:
	ZSTD_DCtx* context_;
	Place place_ = Place::kStart;
};

}  // namespace

std::unique_ptr<Decompressor> MakeDecompressor(Compression compression) {
	switch (compression) {
		case Compression::kGzip:
			return std::make_unique<Gzip>();
		case Compression::kZstd:
			return std::make_unique<Zstd>();
		case Compression::kNone:
			break;
	}
	return std::make_unique<Plain>();
}

}  // namespace berth::unpack
