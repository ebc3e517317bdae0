#include "ring.h"

namespace berth::unpack {

uint8_t* Ring::Room() {
	std::unique_lock lock(mutex_);
	emptied_.wait(lock, [this] { return broken_ || count_ < kSlots; });
	return broken_ ? nullptr : memory_.data() + (first_ + count_) % kSlots * kSlotBytes;
}

void Ring::Commit(size_t sizeBytes) {
	const std::lock_guard lock(mutex_);
	sizes_[(first_ + count_) % kSlots] = sizeBytes;
	count_++;
	filled_.notify_one();
}

void Ring::End() {
	const std::lock_guard lock(mutex_);
	ended_ = true;
	filled_.notify_one();
}

std::string_view Ring::Next() {
	std::unique_lock lock(mutex_);
	filled_.wait(lock, [this] { return broken_ || ended_ || count_ > 0; });
	if (broken_ || count_ == 0) return {};
	return {reinterpret_cast<const char*>(memory_.data() + first_ * kSlotBytes), sizes_[first_]};
}

void Ring::Done() {
	const std::lock_guard lock(mutex_);
	first_ = (first_ + 1) % kSlots;
	count_--;
	emptied_.notify_one();
}

void Ring::Break() {
	const std::lock_guard lock(mutex_);
	broken_ = true;
	filled_.notify_one();
	emptied_.notify_one();
}

}  // namespace berth::unpack
