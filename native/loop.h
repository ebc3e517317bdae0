/* The event loop of launcher and monitors: epoll, one event at a time, so that a handler may free any watch. */
#ifndef BERTH_LOOP_H
#define BERTH_LOOP_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/epoll.h>

struct watch {
	/* -1: not watched. */
	int fd;
	void (*ready)(struct watch *watch, uint32_t events);
};

#define WATCH_OWNER(watch, type, member) ((type *)(void *)((char *)(watch)-offsetof(type, member)))

/* -1 with errno. Forgets the loop of a parent process. */
int loop_open(void);
/* Watches `fd`, which the watch owns from then on; -1 with errno (and the fd stays the caller's). */
int loop_watch(struct watch *watch, int fd, uint32_t events, void (*ready)(struct watch *, uint32_t));
void loop_change(struct watch *watch, uint32_t events);
/* Forgets the watch and closes its fd. Idempotent. */
void loop_close(struct watch *watch);
/* The tick is called once after that many ms, or sooner. Requests do not add up. */
void loop_set_tick(void (*tick)(void));
void loop_tick_in(unsigned ms);
/* What was only touched for one event may be given back this long after. */
enum { REST_AFTER_MS = 2000 };
/* Runs until loop_stop(). */
void loop_run(void);
void loop_stop(void);
uint64_t realtime_ns(void);
uint64_t monotonic_ms(void);

#endif
