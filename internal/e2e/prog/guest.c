//go:build linux && withcgo

#define _GNU_SOURCE
#include <pthread.h>
#include <signal.h>
#include <stddef.h>
#include "guest.h"

extern void guestCallback(void);
extern void guestSignal(int depth);

struct guest quietpatch_guest;

static int load(int *p) { return __atomic_load_n(p, __ATOMIC_SEQ_CST); }

static void on_signal(int sig)
{
	(void)sig;
	__atomic_add_fetch(&quietpatch_guest.signals, 1, __ATOMIC_SEQ_CST);
	guestSignal(__atomic_add_fetch(&quietpatch_guest.depth, 1, __ATOMIC_SEQ_CST));
	__atomic_sub_fetch(&quietpatch_guest.depth, 1, __ATOMIC_SEQ_CST);
}

// The mask of the handler leaves SIGTRAP open: Go code that it calls may run into a trap
// byte, and a trap that is blocked ends the process.
int quietpatch_handle(void)
{
	struct sigaction a = { .sa_handler = on_signal, .sa_flags = SA_RESTART };
	sigemptyset(&a.sa_mask);
	sigaddset(&a.sa_mask, SIGURG);
	return sigaction(SIGUSR2, &a, NULL);
}

static void signals(int how)
{
	sigset_t set;
	sigemptyset(&set);
	sigaddset(&set, SIGUSR2);
	pthread_sigmask(how, &set, NULL);
}

static void spin(int n)
{
	for (volatile int i = 0; i < n; i++)
		;
}

void quietpatch_poll(void)
{
	struct guest *g = &quietpatch_guest;
	signals(SIG_BLOCK);
	for (int n = 1; !load(&g->stop); n++) {
		signals(SIG_UNBLOCK);
		spin(n * 37 % 20000);
		signals(SIG_BLOCK);
		if (n % 64 == 0) { // until somebody has collected garbage
			int want = __atomic_add_fetch(&g->wants, 1, __ATOMIC_SEQ_CST);
			while (load(&g->granted) != want && !load(&g->stop))
				spin(100);
		}
		if (n % 4 == 0)
			guestCallback();
	}
	signals(SIG_UNBLOCK); // what waits comes now
	signals(SIG_BLOCK);
}

int quietpatch_again(void)
{
	signals(SIG_UNBLOCK);
	int err = pthread_kill(pthread_self(), SIGUSR2);
	signals(SIG_BLOCK);
	return err;
}
