//go:build cgo

#include "poll.h"
#include "_cgo_export.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

struct ring *ring_new(void)
{
	void *r;
	if (posix_memalign(&r, _Alignof(struct ring), sizeof(struct ring)))
		return NULL;
	return memset(r, 0, sizeof(struct ring)); // which also makes its pages present
}

uint64_t ring_put(struct ring *r, uint64_t number, uint64_t n)
{
	uint64_t at = atomic_load_explicit(&r->filled, memory_order_relaxed);
	uint64_t room = SLOTS - (at - atomic_load_explicit(&r->emptied, memory_order_acquire));
	if (n > room)
		n = room;
	for (uint64_t i = 0; i < n; i++)
		r->packet[(at + i) % SLOTS] = number + i;
	atomic_store_explicit(&r->filled, at + n, memory_order_release);
	return n;
}

static uint64_t now_ns(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000000ull + t.tv_nsec;
}

static int take(struct ring *r, uint64_t *number)
{
	uint64_t at = atomic_load_explicit(&r->emptied, memory_order_relaxed);
	if (at == atomic_load_explicit(&r->filled, memory_order_acquire))
		return 0;
	*number = r->packet[at % SLOTS];
	atomic_store_explicit(&r->emptied, at + 1, memory_order_release);
	return 1;
}

void ring_poll(struct ring *r, uint64_t long_ns)
{
	uint64_t number, next = 0, last = now_ns();
	while (!atomic_load_explicit(&r->stop, memory_order_relaxed)) {
		for (int i = 0; i < ROUND; i++) {
			if (!take(r, &number))
				continue;
			r->packets++;
			r->lost += number != next;
			next = number + 1;
			if (number % CONTROL == 0) {
				goControl(number);
				last = now_ns(); // Go may take its time: see docs/ISOLATION.md
				break;
			}
		}
		uint64_t now = now_ns();
		r->rounds++;
		r->long_rounds += now - last > long_ns;
		if (now - last > r->longest_ns)
			r->longest_ns = now - last;
		last = now;
	}
}

void ring_stop(struct ring *r)
{
	atomic_store(&r->stop, 1);
}
