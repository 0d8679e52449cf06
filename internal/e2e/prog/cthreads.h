#include <stdint.h>

// quietpatch_thread starts a thread that spins in C and calls nightStep, and
// waits for its end. It returns the error number of pthread_create.
int quietpatch_thread(uint64_t seed, int calls);
