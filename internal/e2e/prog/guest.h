// struct guest is shared with Go, which reads and writes it by sync/atomic.
struct guest {
	int stop;          // from Go: leave the loop
	int wants, granted; // the loop waits for the grant that it wants, and calls nobody meanwhile
	int signals;       // that the handler has seen
	int depth;         // handlers that run in each other
};

extern struct guest quietpatch_guest;

// quietpatch_handle makes a C function the handler of SIGUSR2: without SA_ONSTACK, so the
// signal has to stay blocked while the thread runs Go code.
int quietpatch_handle(void);

// quietpatch_poll spins and calls Go back until it shall stop. The signal may come in while it
// spins.
void quietpatch_poll(void);

// quietpatch_again raises the signal, from within its handler.
int quietpatch_again(void);
