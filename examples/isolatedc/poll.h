#ifndef POLL_H
#define POLL_H

#include <stdatomic.h>
#include <stdint.h>

enum { SLOTS = 1 << 10, ROUND = 1024, CONTROL = 64 };

// A queue for one producer and one consumer, and what the consumer counts. Each side's
// number has a cache line of its own.
struct ring {
	_Alignas(64) _Atomic uint64_t filled;  // packets that were put in
	_Alignas(64) _Atomic uint64_t emptied; // packets that were taken out
	_Alignas(64) _Atomic int stop;
	_Alignas(64) uint64_t rounds, packets, lost, long_rounds;
	uint64_t longest_ns;
	uint64_t packet[SLOTS];
};

// ring_new returns NULL if there is no memory.
struct ring *ring_new(void);

// ring_put puts n packets in, from number on, and returns how many had room.
uint64_t ring_put(struct ring *r, uint64_t number, uint64_t n);

// ring_poll takes packets out until stop, and shows every one whose number CONTROL divides
// to goControl.
void ring_poll(struct ring *r, uint64_t long_ns);

void ring_stop(struct ring *r);

#endif
