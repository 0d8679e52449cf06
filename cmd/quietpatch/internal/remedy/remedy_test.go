package remedy

import (
	"errors"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/quietpatch/quietpatch/cmd/quietpatch/internal/ipi"
)

func builtin(t *testing.T) *Table {
	t.Helper()
	table, err := Builtin()
	if err != nil {
		t.Fatal(err)
	}
	return table
}

// example replaces the wildcards of a pattern.
func example(pattern string) string { return strings.NewReplacer("*", "1", "?", "1").Replace(pattern) }

// row makes a row for which a rule is true and that says nothing else, by the i-th pattern of
// one condition.
func row(r rule, which, i int) ipi.Key {
	var k ipi.Key
	for j, c := range r {
		word := example(c.patterns[0])
		if j == which {
			word = example(c.patterns[i])
		}
		switch c.about {
		case kind:
			k.Kind = ipi.Kind(word)
		case path:
			k.Origin.Path = word
		case comm:
			k.Sender.Comm = word
		case thread:
			k.Sender.Thread = word
		case softirq:
			k.Origin.Path = "softirq " + word
		case syscall:
			k.Origin.Syscall = word
		case cause:
			k.Cause = word
		case detail:
			k.Origin.Detail = "other " + word
		case work:
			k.Origin.Path = "workqueue " + word
		}
	}
	return k
}

// TestEveryRuleIsFound: a row that says just what a rule wants, by any of its patterns, leads to
// the entry of the rule: none is hidden behind another one.
func TestEveryRuleIsFound(t *testing.T) {
	n := 0
	for _, e := range builtin(t).entries {
		for _, r := range e.rules {
			for which, c := range r {
				for i := range c.patterns {
					k := row(r, which, i)
					if got, ok := Lookup(k); !ok || got.Name != e.Name {
						t.Errorf("%s: its row %+v leads to %q", e.Name, k, got.Name)
					}
					n++
				}
			}
		}
	}
	if n < 300 {
		t.Errorf("%d patterns: the table is not whole", n)
	}
}

// TestLookup: rows as backends see them, of the scenarios that were measured and of those
// that the table was asked for.
func TestLookup(t *testing.T) {
	for _, test := range []struct {
		key  ipi.Key
		want string
	}{
		{ipi.Key{Kind: ipi.Call, Cause: "do_sync_core", Sender: ipi.Sender{Comm: "chronyd"}, Origin: ipi.Origin{Syscall: "setsockopt", Detail: "SO_TIMESTAMPING", Path: "workqueue netstamp_clear", Via: "kworker/0:1"}}, "netstamp"},
		{ipi.Key{Kind: ipi.Call, Cause: "do_sync_core", Sender: ipi.Sender{Comm: "perf"}, Origin: ipi.Origin{Syscall: "close", Path: "workqueue netstamp_clear"}}, "netstamp"},
		{ipi.Key{Kind: ipi.Call, Cause: "do_sync_core", Origin: ipi.Origin{Syscall: "setsockopt", Detail: "SO_TIMESTAMP"}}, "netstamp"},
		{ipi.Key{Kind: ipi.Call, Cause: "do_sync_core", Origin: ipi.Origin{Syscall: "write", Detail: "static_key_enable sysctl_schedstats"}}, "schedstats"},
		{ipi.Key{Kind: ipi.Call, Cause: "do_sync_core", Origin: ipi.Origin{Syscall: "write", Detail: "bpf_stats_handler"}}, "bpf-stats"},
		{ipi.Key{Kind: ipi.Call, Cause: "do_flush_tlb_all", Sender: ipi.Sender{Comm: "bpftool"}, Origin: ipi.Origin{Syscall: "bpf", Detail: "BPF_PROG_LOAD"}}, "bpf-load"},
		{ipi.Key{Kind: ipi.Call, Cause: "do_kernel_range_flush", Sender: ipi.Sender{Comm: "NetworkManager"}, Origin: ipi.Origin{Syscall: "setsockopt"}}, "socket-filter"},
		{ipi.Key{Kind: ipi.TLB, Cause: "flush_tlb_func", Origin: ipi.Origin{Syscall: "munmap"}}, "tlb-unmap"},
		{ipi.Key{Kind: ipi.TLB, Cause: "flush_tlb_func", Origin: ipi.Origin{Syscall: "mprotect"}}, "tlb-protect"},
		{ipi.Key{Kind: ipi.TLB, Cause: "flush_tlb_func", Origin: ipi.Origin{Syscall: "madvise", Detail: "MADV_DONTNEED"}}, "tlb-madvise"},
		{ipi.Key{Kind: ipi.TLB, Cause: "flush_tlb_func", Sender: ipi.Sender{Comm: "nginx", Thread: "iou-wrk-7"}, Origin: ipi.Origin{Path: "worker"}}, "tlb-worker"},
		{ipi.Key{Kind: ipi.TLB, Cause: "flush_tlb_func", Sender: ipi.Sender{Comm: "server", Thread: "iou-wrk-7"}, Origin: ipi.Origin{Path: "worker", Detail: "go"}}, "tlb-worker"},
		{ipi.Key{Kind: ipi.TLB, Cause: "flush_tlb_func", Origin: ipi.Origin{Syscall: "madvise", Detail: "MADV_DONTNEED go"}}, "go-scavenger"},
		{ipi.Key{Kind: ipi.TLB, Cause: "flush_tlb_func", Sender: ipi.Sender{Comm: "redis-server", Thread: "jemalloc_bg_thd"}, Origin: ipi.Origin{Syscall: "madvise", Detail: "MADV_DONTNEED"}}, "jemalloc-decay"},
		{ipi.Key{Kind: ipi.Call, Cause: "ipi_mb", Sender: ipi.Sender{Comm: "dotnet"}, Origin: ipi.Origin{Syscall: "membarrier"}}, "membarrier-private"},
		{ipi.Key{Kind: ipi.Call, Cause: "ipi_mb", Origin: ipi.Origin{Syscall: "membarrier", Detail: "MEMBARRIER_CMD_GLOBAL_EXPEDITED"}}, "membarrier-global"},
		{ipi.Key{Kind: ipi.Call, Cause: "ipi_sync_core", Origin: ipi.Origin{Syscall: "membarrier"}}, "membarrier-sync-core"},
		{ipi.Key{Kind: ipi.Call, Cause: "ipi_sync_core", Origin: ipi.Origin{Syscall: "membarrier", Detail: "MEMBARRIER_CMD_PRIVATE_EXPEDITED_SYNC_CORE go"}}, "quietpatch"},
		{ipi.Key{Kind: ipi.Call, Cause: "ipi_rseq", Origin: ipi.Origin{Syscall: "membarrier"}}, "membarrier-rseq"},
		{ipi.Key{Kind: ipi.Call, Cause: "do_sync_core", Sender: ipi.Sender{Comm: "bpftrace"}, Origin: ipi.Origin{Syscall: "bpf", Detail: "BPF_LINK_CREATE"}}, "tracer"},
		{ipi.Key{Kind: ipi.Call, Cause: "do_sync_core", Sender: ipi.Sender{Comm: "quietpatch"}, Origin: ipi.Origin{Syscall: "bpf"}}, "quietpatch-trace"},
		{ipi.Key{Kind: ipi.Call, Cause: "nohz_full_kick_func", Origin: ipi.Origin{Path: "softirq TIMER", Detail: "clocksource_watchdog"}}, "clocksource-watchdog"},
		{ipi.Key{Kind: ipi.Call, Cause: "nohz_full_kick_func", Origin: ipi.Origin{Syscall: "futex"}}, "nohz-kick"},
		{ipi.Key{Kind: ipi.Resched, Origin: ipi.Origin{Path: "workqueue vmstat_shepherd"}}, "vmstat"},
		{ipi.Key{Kind: ipi.Resched, Origin: ipi.Origin{Syscall: "write", Detail: "takedown_cpu stop_machine_cpuslocked"}}, "cpu-hotplug"},
		{ipi.Key{Kind: ipi.Resched, Origin: ipi.Origin{Detail: "stop_machine_cpuslocked"}}, "stop-machine"},
		{ipi.Key{Kind: ipi.Call, Cause: "do_drv_write"}, "cpufreq"},
		{ipi.Key{Kind: ipi.Call, Cause: "__rdmsr_safe_on_cpu", Sender: ipi.Sender{Comm: "telegraf"}, Origin: ipi.Origin{Syscall: "pread64"}}, "msr-tools"},
		{ipi.Key{Kind: ipi.Call, Cause: "__rdmsr_safe_on_cpu", Sender: ipi.Sender{Comm: "turbostat"}, Origin: ipi.Origin{Syscall: "pread64"}}, "turbostat"},
		{ipi.Key{Kind: ipi.Call, Cause: "__rdmsr_on_cpu"}, "msr-driver"},
		{ipi.Key{Kind: ipi.Resched, Origin: ipi.Origin{Syscall: "write", Detail: "set_mtrr stop_machine_cpuslocked"}}, "mtrr"},
		{ipi.Key{Kind: ipi.Resched, Origin: ipi.Origin{Syscall: "write", Detail: "load_late_stop_cpus stop_machine_cpuslocked"}}, "microcode"},
		{ipi.Key{Kind: ipi.Call, Cause: "do_sync_core", Origin: ipi.Origin{Path: "workqueue kprobe_optimizer"}}, "kprobe"},
		{ipi.Key{Kind: ipi.Call, Cause: "do_sync_core", Origin: ipi.Origin{Detail: "__static_call_update"}}, "static-call"},
		{ipi.Key{Kind: ipi.Call, Cause: "do_sync_core", Origin: ipi.Origin{Syscall: "finit_module"}}, "module"},
		{ipi.Key{Kind: ipi.TLB, Cause: "flush_tlb_func", Sender: ipi.Sender{Comm: "khugepaged"}, Origin: ipi.Origin{Path: "kthread"}}, "khugepaged"},
		{ipi.Key{Kind: ipi.TLB, Cause: "flush_tlb_func", Origin: ipi.Origin{Detail: "change_prot_numa"}}, "numa-balancing"},
		{ipi.Key{Kind: ipi.TLB, Cause: "flush_tlb_func", Sender: ipi.Sender{Comm: "ksmd"}, Origin: ipi.Origin{Path: "kthread"}}, "ksm"},
		{ipi.Key{Kind: ipi.TLB, Cause: "flush_tlb_func", Sender: ipi.Sender{Comm: "kcompactd0"}}, "compaction"},
		{ipi.Key{Kind: ipi.TLB, Cause: "flush_tlb_func", Origin: ipi.Origin{Syscall: "move_pages"}}, "page-migration"},
		{ipi.Key{Kind: ipi.Resched, Origin: ipi.Origin{Syscall: "fadvise64", Detail: "__lru_add_drain_all"}}, "drain"},
		{ipi.Key{Kind: ipi.TLB, Cause: "flush_tlb_func", Sender: ipi.Sender{Comm: "kswapd0"}}, "reclaim"},
		{ipi.Key{Kind: ipi.Resched, Origin: ipi.Origin{Syscall: "futex"}}, "futex-wake"},
		{ipi.Key{Kind: ipi.Call, Cause: "sched_ttwu_pending", Origin: ipi.Origin{Syscall: "futex"}}, "futex-wake"},
		{ipi.Key{Kind: ipi.Call, Cause: "sched_ttwu_pending", Origin: ipi.Origin{Syscall: "write"}}, "wakeup"},
		{ipi.Key{Kind: ipi.Resched, Origin: ipi.Origin{Syscall: "tgkill", Detail: "SIGURG go"}}, "go-preempt"},
		{ipi.Key{Kind: ipi.IRQWork, Cause: "rto_push_irq_work_func"}, "rt-push"},
		{ipi.Key{Kind: ipi.Resched, Origin: ipi.Origin{Path: "timer"}}, "timer"},
		{ipi.Key{Kind: ipi.Call, Cause: "rcu_exp_handler", Origin: ipi.Origin{Path: "kthread"}}, "rcu-expedited"},
		{ipi.Key{Kind: ipi.Call, Cause: "mon_event_count"}, "resctrl-monitor"},
		{ipi.Key{Kind: ipi.Call, Cause: "remote_function", Origin: ipi.Origin{Syscall: "perf_event_open"}}, "perf-event"},
		{ipi.Key{Kind: ipi.Call, Cause: "ack_kick", Origin: ipi.Origin{Syscall: "ioctl"}}, "kvm-kick"},
		{ipi.Key{Kind: ipi.Resched, Sender: ipi.Sender{Comm: "bash"}}, "reschedule"},
		// With a stack as without: what woke, by what.
		{ipi.Key{Kind: ipi.Resched, Origin: ipi.Origin{Syscall: "futex", Detail: "FUTEX_WAKE try_to_wake_up wake_up_q go"}}, "futex-wake"},
		{ipi.Key{Kind: ipi.Resched, Sender: ipi.Sender{Comm: "migration/0"}, Origin: ipi.Origin{Path: "kthread"}}, "affinity"},
		{ipi.Key{Kind: ipi.Resched, Sender: ipi.Sender{Comm: "migration/0"}, Origin: ipi.Origin{Path: "kthread", Detail: "try_to_wake_up"}}, "affinity"},
		{ipi.Key{Kind: ipi.Resched, Sender: ipi.Sender{Comm: "migration/0"}, Origin: ipi.Origin{Path: "kthread", Detail: "multi_cpu_stop"}}, "stop-machine"},
		{ipi.Key{Kind: ipi.Resched, Origin: ipi.Origin{Path: "workqueue virtio_transport_rx_work"}}, "reschedule"},
		{ipi.Key{Kind: ipi.Resched, Sender: ipi.Sender{Comm: "qemu-system-x86", Thread: "qemu-system-x86"}, Origin: ipi.Origin{Syscall: "write"}}, "reschedule"},
		{ipi.Key{Kind: ipi.Resched, Sender: ipi.Sender{Comm: "qemu-system-x86", Thread: "CPU 0/KVM"}, Origin: ipi.Origin{Syscall: "ioctl"}}, "kvm-kick"},
		{ipi.Key{Kind: ipi.TLB, Cause: "flush_tlb_func", Sender: ipi.Sender{Comm: "go"}, Origin: ipi.Origin{Path: "user"}}, "copy-on-write"},
		{ipi.Key{Kind: ipi.Call, Cause: "ipi_rseq", Sender: ipi.Sender{Comm: "server"}, Origin: ipi.Origin{Syscall: "membarrier", Detail: "MEMBARRIER_CMD_PRIVATE_EXPEDITED_RSEQ MEMBARRIER_CMD_FLAG_CPU go"}}, "quietpatch"},
		{ipi.Key{Kind: ipi.Call, Cause: "do_sync_core", Sender: ipi.Sender{Comm: "qemu-system-x86"}, Origin: ipi.Origin{Syscall: "io_uring_setup"}}, "io-uring"},
		{ipi.Key{Kind: ipi.Call, Cause: "do_sync_core", Sender: ipi.Sender{Comm: "bpftrace"}, Origin: ipi.Origin{Syscall: "perf_event_open"}}, "tracer"},
		{ipi.Key{Kind: ipi.Call, Cause: "do_sync_core", Sender: ipi.Sender{Comm: "perf"}, Origin: ipi.Origin{Syscall: "close"}}, "tracer"},
		{ipi.Key{Kind: ipi.Call, Cause: "do_sync_core", Sender: ipi.Sender{Comm: "server"}, Origin: ipi.Origin{Syscall: "perf_event_open"}}, "perf-key"},
		{ipi.Key{Kind: ipi.Resched, Origin: ipi.Origin{Path: "workqueue vmstat_shepherd", Detail: "try_to_wake_up"}}, "vmstat"},
		{ipi.Key{Kind: ipi.Call, Cause: "do_sync_core", Sender: ipi.Sender{Comm: "bash"}}, "text-patch"},
		{ipi.Key{Kind: ipi.Call, Cause: "do_flush_tlb_all"}, "kernel-tlb"},
		{ipi.Key{Kind: ipi.TLB, Cause: "flush_tlb_func"}, "tlb"},
		{ipi.Key{Kind: ipi.Call, Cause: "some_driver_function", Sender: ipi.Sender{Comm: "bash"}, Origin: ipi.Origin{Syscall: "write"}}, ""},
		{ipi.Key{}, ""},
	} {
		got, ok := Lookup(test.key)
		if got.Name != test.want || ok != (test.want != "") {
			t.Errorf("%+v: got %q, %v, want %q", test.key, got.Name, ok, test.want)
		}
	}
}

// address finds addresses.
var address = regexp.MustCompile(`[a-z]+://|\b[a-z0-9-]+\.(com|org|net|io|dev)\b`)

// TestTexts: sentences, and sources that can be looked up: files, manual pages, documents, no addresses.
func TestTexts(t *testing.T) {
	for _, e := range builtin(t).Entries() {
		for _, s := range []string{e.What, e.Stop} {
			if !strings.HasSuffix(s, ".") || strings.Contains(s, "  ") || len(s) > 600 {
				t.Errorf("%s: %q is no sentence", e.Name, s)
			}
		}
		if host := address.FindString(e.What + " " + e.Stop + " " + e.Source); host != "" {
			t.Errorf("%s: %q is an address, which may move: name the document", e.Name, host)
		}
		if !strings.ContainsAny(e.Source, "/(") {
			t.Errorf("%s: the source %q is no file and no manual page", e.Name, e.Source)
		}
	}
}

// TestLikely: that a Go program syncs does not prove that it uses quietpatch.
func TestLikely(t *testing.T) {
	for _, cause := range []string{"ipi_sync_core", "ipi_rseq"} {
		e, ok := Lookup(ipi.Key{Kind: ipi.Call, Cause: cause, Sender: ipi.Sender{Comm: "server"}, Origin: ipi.Origin{Syscall: "membarrier", Detail: "go"}})
		if !ok || !strings.Contains(e.What, "Most likely it uses quietpatch") || !strings.Contains(e.Stop, "If it uses quietpatch") || !strings.Contains(e.Stop, "If not") {
			t.Errorf("%s: got %+v", cause, e)
		}
	}
}

// TestEach: how many IPIs one event takes is known of keys.
func TestEach(t *testing.T) {
	flips := 0
	for _, e := range builtin(t).Entries() {
		if e.Each != 0 && (e.Each != 3 || e.Event != "flip") || e.Each == 0 && e.Event != "" {
			t.Errorf("%s: %d per %q", e.Name, e.Each, e.Event)
		}
		if e.Each > 0 {
			flips++
		}
	}
	if e, ok := Lookup(ipi.Key{Cause: "do_sync_core", Origin: ipi.Origin{Path: "workqueue netstamp_clear"}}); !ok || e.Each != 3 || flips < 4 {
		t.Errorf("got %+v of %d entries with flips", e, flips)
	}
}

func TestDetails(t *testing.T) {
	words := builtin(t).Details()
	if !slices.IsSorted(words) || !slices.Contains(words, "clocksource_watchdog") || !slices.Contains(words, "SO_TIMESTAMP*") || slices.Contains(words, "do_sync_core") {
		t.Errorf("got %q", words)
	}
}

const small = `
# a comment
first
  match: cause=a
  what: One
    and a half: really.
  stop: Stop.
  source: f.c
second
  match: cause=a comm=x*
  match: cause=a|b syscall=s
  what: Two.
  stop: Stop.
  source: f.c
third
  match: cause=a comm=xy
  match: cause=a detail=d
  match: kind=call|tlb
  what: Three.
  stop: Stop.
  source: f.c
fourth
  match: work=w
  what: Four.
  stop: Stop.
  source: f.c
fifth
  match: softirq=s*
  what: Five.
  stop: Stop.
  source: f.c
sixth
  match: thread=*
  what: Six.
  stop: Stop.
  source: f.c
`

// TestOrder: which of several rules wins.
func TestOrder(t *testing.T) {
	table, err := Parse("small", small)
	if err != nil {
		t.Fatal(err)
	}
	if got := table.Entries()[0].What; got != "One and a half: really." {
		t.Errorf("got the text %q", got)
	}
	for _, test := range []struct {
		key  ipi.Key
		want string
	}{
		{ipi.Key{Cause: "a"}, "first"},
		// cause says more than kind
		{ipi.Key{Cause: "a", Kind: ipi.Call}, "first"},
		{ipi.Key{Cause: "c", Kind: ipi.TLB}, "third"},
		// two conditions
		{ipi.Key{Cause: "a", Sender: ipi.Sender{Comm: "xz"}}, "second"},
		// no wildcard
		{ipi.Key{Cause: "a", Sender: ipi.Sender{Comm: "xy"}}, "third"},
		{ipi.Key{Cause: "b", Origin: ipi.Origin{Syscall: "s"}}, "second"},
		// a system call says more than a name
		{ipi.Key{Cause: "a", Sender: ipi.Sender{Comm: "xy"}, Origin: ipi.Origin{Syscall: "s"}}, "second"},
		// a detail more than that
		{ipi.Key{Cause: "a", Sender: ipi.Sender{Comm: "xy"}, Origin: ipi.Origin{Syscall: "s", Detail: "go d"}}, "third"},
		// words are whole
		{ipi.Key{Cause: "a", Sender: ipi.Sender{Comm: "y"}, Origin: ipi.Origin{Detail: "dd", Path: "workqueue s"}}, "first"},
		{ipi.Key{Origin: ipi.Origin{Path: "workqueue w"}}, "fourth"},
		{ipi.Key{Origin: ipi.Origin{Path: "softirq w"}}, ""},
		{ipi.Key{Origin: ipi.Origin{Path: "softirq sx"}}, "fifth"},
		{ipi.Key{Origin: ipi.Origin{Path: "workqueue sx"}}, ""},
		{ipi.Key{Sender: ipi.Sender{Thread: "any"}}, "sixth"},
		{ipi.Key{Cause: "b"}, ""},
		{ipi.Key{Cause: "", Sender: ipi.Sender{Comm: "x"}, Origin: ipi.Origin{Syscall: "s", Path: "softirq a", Detail: "a"}}, ""},
	} {
		if got, _ := table.Lookup(test.key); got.Name != test.want {
			t.Errorf("%+v: got %q, want %q", test.key, got.Name, test.want)
		}
	}
}

// TestErrors: where and what, for mistakes that somebody who adds an entry can make.
func TestErrors(t *testing.T) {
	const rest = "\n  what: W.\n  stop: S.\n  source: f.c\n"
	for _, test := range []struct {
		text            string
		line            int
		expected, found string
	}{
		{"  match: cause=a\n", 1, "the name of an entry", `"  match: cause=a"`},
		{"Name\n", 1, "a name of small letters", `"Name"`},
		{"a b\n", 1, "a name of small letters", `"a b"`},
		{"a\n  matches: cause=a\n", 2, "match:, each:, what:, stop: or source:", `"matches: cause=a"`},
		{"a\n  match: cause=a\n  and more\n", 3, "match:, each:, what:, stop: or source:", `"and more"`},
		{"a\n  what: W.\n  match: cause=a\n  and more\n", 4, "match:, each:, what:, stop: or source:", `"and more"`},
		{"a\n  match:\n", 2, "conditions behind match:", "nothing"},
		{"a\n  match: do_sync_core\n", 2, "conditions such as cause=do_sync_core", `"do_sync_core"`},
		{"a\n  match: function=f\n", 2, "with one of kind, path, comm, thread, softirq, syscall, cause, detail, work", `"function=f"`},
		{"a\n  match: cause=a cause=b\n", 2, "one condition with cause", `a second one, "cause=b"`},
		{"a\n  match: cause=\n", 2, "a value on each side", `"cause="`},
		{"a\n  match: cause=a||b\n", 2, "a value on each side", `"cause=a||b"`},
		{"a\n  match: kind=call|calls\n", 2, "a kind, one of [call tlb resched irq_work]", `"kind=call|calls"`},
		{"a\n  match: kind=other\n", 2, "a kind, one of [call tlb resched irq_work]", `"kind=other"`},
		{"a\n  each: 3\n", 2, "one each: in an entry, such as 3 per flip", `"3"`},
		{"a\n  each: 0 per flip\n", 2, "such as 3 per flip", `"0 per flip"`},
		{"a\n  each: x per flip\n", 2, "such as 3 per flip", `"x per flip"`},
		{"a\n  each: 3 a flip\n", 2, "such as 3 per flip", `"3 a flip"`},
		{"a\n  each: 3 per flip\n  each: 3 per flip\n", 3, "one each: in an entry", `"3 per flip"`},
		{"a\n  each: 3 per flip\n  and more\n", 3, "match:, each:, what:", `"and more"`},
		{"a\n  what: W.\n  each: 3 per flip\n  and more\n", 4, "match:, each:, what:", `"and more"`},
		{"a\n  match: cause=a\n  what:\n", 3, "text behind what:", "nothing"},
		{"a\n  match: cause=a\n  what: W.\n  what: X.\n", 4, "one what: in an entry", "a second one"},
		{"a\n\n", 3, "a match: in the entry a of line 1", "its end"},
		{"a\n  match: cause=a\n  stop: S.\n  source: f.c\nb\n", 5, "a what: in the entry a of line 1", "its end"},
		{"a\n  match: cause=a\n  what: W.\n  source: f.c\n", 5, "a stop: in the entry a", "its end"},
		{"a\n  match: cause=a\n  what: W.\n  stop: S.\n", 5, "a source: in the entry a", "its end"},
		{"a\n  match: cause=a" + rest + "a\n", 6, "a name that is new", `"a", as in line 1`},
		{"a\n  match: cause=a comm=b" + rest + "b\n  match: comm=b cause=a" + rest, 7, "a rule that is new", "the one of line 2"},
	} {
		_, err := Parse("file", test.text)
		var e *Error
		if !errors.As(err, &e) || e.File != "file" || e.Line != test.line || !strings.Contains(e.Expected, test.expected) || e.Found != test.found {
			t.Errorf("%q:\ngot  %v\nwant line %d, expected %s, found %s", test.text, err, test.line, test.expected, test.found)
		}
	}
	_, err := Parse("file", "A\n")
	if want := `file:1: expected a name of small letters, digits and -, on a line of its own, found "A"`; err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}

func FuzzParse(f *testing.F) {
	f.Add(small)
	f.Add("a\n  match: kind=call\n")
	f.Fuzz(func(t *testing.T, text string) {
		table, err := Parse("f", text)
		var e *Error
		if err != nil && (!errors.As(err, &e) || e.Line < 1 || e.Line > strings.Count(text, "\n")+2) {
			t.Fatal(err)
		}
		if err == nil {
			table.Lookup(ipi.Key{Cause: "a", Origin: ipi.Origin{Detail: "d"}})
		}
	})
}
