//go:build linux && withcgo

#include <pthread.h>
#include "cthreads.h"

extern void nightStep(uint64_t seed);

struct work {
	uint64_t seed;
	int calls;
};

static uint64_t next(uint64_t *x) // xorshift64
{
	*x ^= *x << 13;
	*x ^= *x >> 7;
	return *x ^= *x << 17;
}

static void *run(void *arg)
{
	struct work *w = arg;
	uint64_t x = w->seed | 1;
	for (int i = 0; i < w->calls; i++) {
		for (volatile uint64_t n = next(&x) % 20000; n > 0; n--)
			;
		nightStep(next(&x));
	}
	return 0;
}

int quietpatch_thread(uint64_t seed, int calls)
{
	struct work w = { seed, calls };
	pthread_t t;
	int err = pthread_create(&t, 0, run, &w);
	if (err == 0)
		pthread_join(t, 0);
	return err;
}
