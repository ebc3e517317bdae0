#include "kernel.h"
#include "loop.h"

#include <time.h>

static int epoll_fd = -1;
static bool stopped;
static void (*tick_handler)(void);
/* 0: none wanted. */
static uint64_t tick_at_ms;

uint64_t realtime_ns(void)
{
	struct timespec now;
	clock_gettime(CLOCK_REALTIME, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

uint64_t monotonic_ms(void)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000u + (uint64_t)now.tv_nsec / 1000000u;
}

int loop_open(void)
{
	stopped = false;
	tick_handler = NULL;
	tick_at_ms = 0;
	epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	return epoll_fd < 0 ? -1 : 0;
}

int loop_watch(struct watch *watch, int fd, uint32_t events, void (*ready)(struct watch *, uint32_t))
{
	struct epoll_event event = {.events = events, .data.ptr = watch};
	if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &event) != 0)
		return -1;
	watch->fd = fd;
	watch->ready = ready;
	return 0;
}

void loop_change(struct watch *watch, uint32_t events)
{
	struct epoll_event event = {.events = events, .data.ptr = watch};
	epoll_ctl(epoll_fd, EPOLL_CTL_MOD, watch->fd, &event);
}

void loop_close(struct watch *watch)
{
	if (watch->fd < 0)
		return;
	/* Explicitly: a child that still holds a copy of the fd would keep the registration alive past the close. */
	epoll_ctl(epoll_fd, EPOLL_CTL_DEL, watch->fd, NULL);
	close(watch->fd);
	watch->fd = -1;
}

void loop_set_tick(void (*tick)(void))
{
	tick_handler = tick;
}

void loop_tick_in(unsigned ms)
{
	uint64_t at = monotonic_ms() + ms;
	if (tick_at_ms == 0 || at < tick_at_ms)
		tick_at_ms = at;
}

static int milliseconds_left(void)
{
	if (tick_at_ms == 0)
		return -1;
	uint64_t now = monotonic_ms();
	return now >= tick_at_ms ? 0 : (int)(tick_at_ms - now);
}

void loop_stop(void)
{
	stopped = true;
}

void loop_run(void)
{
	while (!stopped) {
		struct epoll_event event;
		int count = epoll_wait(epoll_fd, &event, 1, milliseconds_left());
		if (count == 1) {
			struct watch *watch = event.data.ptr;
			watch->ready(watch, event.events);
		}
		if (!stopped && tick_at_ms != 0 && milliseconds_left() == 0) {
			tick_at_ms = 0;
			if (tick_handler != NULL)
				tick_handler();
		}
	}
}
