package ipitracefs

import (
	"io"
	"strings"
	"testing"

	"github.com/quietpatch/quietpatch/cmd/quietpatch/internal/ipi"
	"github.com/quietpatch/quietpatch/cmd/quietpatch/internal/ipifilter"
)

func bytesOf(s string) io.Reader { return strings.NewReader(s) }

// TestKernelFilters: what the kernel is given. It never says less than the whole filter, and nothing of
// threads or causes.
func TestKernelFilters(t *testing.T) {
	const cpus = 8
	one, many, queue := eventOf(t, "ipi/ipi_send_cpu"), eventOf(t, "ipi/ipi_send_cpumask"), eventOf(t, "csd/csd_queue_cpu")
	run, timer, work := eventOf(t, "csd/csd_function_entry"), eventOf(t, "irq_vectors/local_timer_exit"), eventOf(t, "workqueue/workqueue_queue_work")
	for _, test := range []struct {
		victims, senders ipi.CPUs
		filter           string
		event            *event
		want             string
	}{
		{event: one},
		{victims: ipi.Below(ipi.CPUsMax), event: one},
		{victims: ipi.MakeCPUs(2, 3), event: one, want: "cpu & CPUS{2-3}"},
		{victims: ipi.MakeCPUs(2, 3), event: many, want: "cpumask & CPUS{2-3}"},
		{victims: ipi.MakeCPUs(2, 3, 100), event: queue, want: "cpu & CPUS{2-3}"},
		{victims: ipi.MakeCPUs(2, 3), event: run, want: "CPU & CPUS{2-3}"},
		{victims: ipi.MakeCPUs(2, 3), event: timer},
		{victims: ipi.MakeCPUs(2, 3), senders: ipi.MakeCPUs(1), event: work},
		{senders: ipi.MakeCPUs(1), event: timer, want: "CPU & CPUS{1}"},
		{senders: ipi.MakeCPUs(1), event: run},
		{victims: ipi.MakeCPUs(2), senders: ipi.MakeCPUs(1), event: one, want: "cpu & CPUS{2} && CPU & CPUS{1}"},
		{victims: ipi.MakeCPUs(2), filter: "cause == do_sync_core && pid == 7", event: queue, want: "cpu & CPUS{2}"},
		{filter: "cpumask == CPUS{2-3}", event: queue},
		{filter: "cpumask == CPUS{2-3}", event: many, want: "cpumask == CPUS{2-3}"},
		{filter: "cpu == 2 || comm == \"x\"", event: one},
	} {
		var x *ipifilter.Expr
		if test.filter != "" {
			var err error
			if x, err = ipifilter.Parse(test.filter, cpus); err != nil {
				t.Fatal(err)
			}
		}
		f, err := makeFilters(test.victims, test.senders, x, cpus)
		if err != nil {
			t.Fatal(err)
		}
		if got := f.kernel(test.event); got != test.want {
			t.Errorf("%+v, %s: got %q", test, test.event.name, got)
		}
	}
	if _, err := makeFilters(ipi.MakeCPUs(9), nil, nil, cpus); err == nil {
		t.Error("CPUs that are not there are accepted")
	}
}
