#pragma once
#include <array>
#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <string_view>
#include <vector>

namespace berth::unpack {

// A few buffers of fixed size between the thread that decompresses and the one that writes: neither allocates, and neither runs far ahead.
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
	// Gives up: whoever waits is woken, Room() is null and Next() empty from now on.
	void Break();

private:
	std::mutex mutex_;
	std::condition_variable filled_, emptied_;
	std::vector<uint8_t> memory_;
	std::array<size_t, kSlots> sizes_{};
	size_t first_ = 0, count_ = 0;
	bool ended_ = false, broken_ = false;
};

}  // namespace berth::unpack
