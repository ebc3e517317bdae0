#include "ring.h"

#include <new>

namespace berth::unpack {

bool Ring::Hash(std::unique_lock<std::mutex>& lock) {
	if (hashing_ || hashed_ == count_) return false;
	hashing_ = true;
	const uint8_t* data = Slot(hashed_);
	const size_t size = sizes_[(first_ + hashed_) % kSlots];
	lock.unlock();
	const bool taken = sum_.Update(data, size);
	lock.lock();
	hashing_ = false;
	// Nobody may wait for a digest that does not come.
	if (!taken) broken_ = true;
	hashed_++;
	// Done() may wait for this.
	filled_.notify_one();
	if (!taken) throw std::bad_alloc();
	return true;
}

uint8_t* Ring::Room() {
	std::unique_lock lock(mutex_);
	while (!broken_ && count_ == kSlots) {
		if (!Hash(lock)) emptied_.wait(lock);
	}
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
	return {reinterpret_cast<const char*>(Slot(0)), sizes_[first_]};
}

void Ring::Done() {
	std::unique_lock lock(mutex_);
	while (!broken_ && hashed_ == 0) {
		if (!Hash(lock)) filled_.wait(lock);
	}
	first_ = (first_ + 1) % kSlots;
	count_--;
	if (hashed_ > 0) hashed_--;
	emptied_.notify_one();
}

void Ring::Break() {
	const std::lock_guard lock(mutex_);
	broken_ = true;
	filled_.notify_one();
	emptied_.notify_one();
}

}  // namespace berth::unpack
