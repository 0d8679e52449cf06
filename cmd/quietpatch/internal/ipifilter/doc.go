// Package ipifilter is the language in which is said which IPIs count: the filters of the
// kernel's trace events (Documentation/trace/events.rst, section 5) with the sets of CPUs
// that the series on deferred IPIs brought them (Linux 6.12 has them, 6.1 has not):
//
//	cpu & CPUS{2-3,8} && comm != "migration/2"
//	cpumask & CPUS{2-3} && !(CPU & CPUS{0} || pid == 1234)
//	func.function == do_sync_core && comm ~ "chron*"
//
// A comparison is a field, an operator and a value. Comparisons are joined by &&, || and !
// with parentheses; ! binds tightest, || least.
//
//	cpu                 the CPU that is interrupted         ==, !=, & with CPUS{list}; ==, !=, <, <=, >, >=, & with a number
//	cpumask             all CPUs that the IPI goes to       ==, !=, & with CPUS{list}
//	CPU, common_cpu     the CPU that sends                  as cpu, but no & with a number
//	pid, common_pid     the thread that sends               all operators with a number
//	tgid                its process                         the same
//	comm, COMM          the thread's name                   ==, !=, ~ with a quoted string; ~ takes *, ?, [a-z], [!a-z] and \
//	process             the process's name                  the same; the kernel has it not
//	cause               the function that is to run         as comm; without quotes for == and !=
//	func.function       the same as cause                   ==, != with a name
//	func                its address                         all operators with a number
//	callback.function   the handler of the IPI              ==, != with a name
//	callback            its address, 0 for reschedule       all operators with a number
//	kind                call, tlb, resched, irq_work, other ==, !=
//
// For sets, & is true if there is a CPU in common, == if both hold the same CPUs; a field that
// is one CPU is compared as a set of one. Numbers are decimal, 0x hexadecimal or 0 octal.
//
// What is accepted means what it means for the kernel. What the kernel takes and answers in
// a way that nobody can want is refused: numbers that do not fit the field (it cuts them),
// CPU & number (always false), cpumask with a number (compares an offset), empty lists.
//
// Place in the flow: the command parses an expression once ([Parse]); a backend hands the
// kernel what that can evaluate ([Expr.Split]), or its eBPF program sets of CPUs and
// threads ([Lower]) and what it compiles of the rest ([Expr.Tree]), and evaluates what is
// left for each record ([Expr.Match]). The package
// reads no files and makes no system calls.
package ipifilter
