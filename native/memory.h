/* Memory that was touched once and is not needed now goes back to the kernel: a node has hundreds of monitors, nearly all of them idle. */
#ifndef BERTH_MEMORY_H
#define BERTH_MEMORY_H

#include <stddef.h>

/* A buffer that starts at a page, and whose content is not needed any more. */
void give_back(void *buffer, size_t length);
/* The stack below the caller's frame. */
void give_back_stack(void);

#define PAGE_BYTES 4096
#define WHOLE_PAGES(length) (((length) + PAGE_BYTES - 1) / PAGE_BYTES * PAGE_BYTES)
#define PAGE_ALIGNED __attribute__((aligned(PAGE_BYTES)))

#endif
