#include "memory.h"

#include <stdint.h>
#include <sys/mman.h>

void give_back(void *buffer, size_t length)
{
	madvise(buffer, length, MADV_DONTNEED);
}

__attribute__((noinline)) void give_back_stack(void)
{
	/* More than any path through the monitor takes; what is not mapped of it is passed over. */
	enum { REACH_BYTES = 128 * 1024, MARGIN_BYTES = 2048 };
	uintptr_t end = ((uintptr_t)__builtin_frame_address(0) - MARGIN_BYTES) / PAGE_BYTES * PAGE_BYTES;
	for (uintptr_t page = end - PAGE_BYTES; end - page <= REACH_BYTES; page -= PAGE_BYTES)
		if (madvise((void *)page, PAGE_BYTES, MADV_DONTNEED) != 0)
			return;
}
