#pragma once
#include <array>
#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "sha256.h"

namespace berth::unpack {

// A few buffers of fixed size between the thread that decompresses and the one that writes: neither allocates, and neither runs far ahead.
// The digest of what goes through is computed by whichever of the two would otherwise wait: large files keep the first busy, small ones the second.
class Ring {
public:
	static constexpr size_t kSlots = 4, kSlotBytes = 256 << 10;
	Ring() : memory_(kSlots * kSlotBytes) {}

	// Of the one who fills: an empty buffer of kSlotBytes, waited for; null when the other side gave up.
	uint8_t* Room();
	void Commit(size_t sizeBytes);
	void End();

	// Of the one who empties: the next buffer, waited for; empty at the end.
	std::string_view Next();
	void Done();
	// When both sides are done and neither gave up.
	std::string Digest() { return sum_.Finish(); }
	// Gives up: whoever waits is woken, Room() is null and Next() empty from now on.
	void Break();

private:
	const uint8_t* Slot(size_t number) const { return memory_.data() + (first_ + number) % kSlots * kSlotBytes; }
	// Hashes the next buffer unless there is none or the other side is at it.
	bool Hash(std::unique_lock<std::mutex>& lock);

	std::mutex mutex_;
	std::condition_variable filled_, emptied_;
	std::vector<uint8_t> memory_;
	std::array<size_t, kSlots> sizes_{};
	// Of the `count_` filled buffers from `first_` on, `hashed_` are in the digest.
	size_t first_ = 0, count_ = 0, hashed_ = 0;
	bool hashing_ = false, ended_ = false, broken_ = false;
	Sha256 sum_;
};

}  // namespace berth::unpack
