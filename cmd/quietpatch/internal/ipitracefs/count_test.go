package ipitracefs

import (
	"fmt"
	"math"
	"slices"
	"testing"

	"github.com/quietpatch/quietpatch/cmd/quietpatch/internal/ipi"
	"github.com/quietpatch/quietpatch/cmd/quietpatch/internal/ipifilter"
	"github.com/quietpatch/quietpatch/cmd/quietpatch/internal/ipinames"
	"github.com/quietpatch/quietpatch/cmd/quietpatch/internal/ipitrace"
	"github.com/quietpatch/quietpatch/cmd/quietpatch/internal/kallsyms"
)

// recordedCounter knows no process, and the symbols of the recording.
func recordedCounter() *counter {
	c := newCounter(ipitrace.Options{Stacks: true, Interrupted: true}, newTasks(""))
	c.names = ipinames.From(recordedSymbols)
	c.from, c.until = 1, math.MaxUint64
	return c
}

// TestRecording counts what was recorded.
func TestRecording(t *testing.T) {
	formats, pages := readRecording(t)
	l, d := recordedDecoder(t, formats)
	c := recordedCounter()
	for _, pid := range []int32{membarrierPID, timestampPID} {
		c.tasks.threads[pid] = &task{tgid: pid, comm: "driver", asked: true}
	}
	var records []record
	for cpu := range 2 {
		col := collector{decoder: d, cpu: cpu}
		for _, p := range pages {
			if p.cpu != cpu {
				continue
			}
			if _, err := col.page(l, p.data); err != nil {
				t.Fatal(err)
			}
		}
		records = append(records, col.records...)
	}
	c.add(records)
	s := c.snapshot(0)
	counts := make(map[string]ipi.Row)
	for _, r := range s.Rows {
		k := fmt.Sprintf("%d %s %s %d %s %s %s", r.CPU, r.Kind, r.Cause, r.Sender.PID, r.Origin.Syscall, r.Origin.Path, r.Remedy)
		sum := counts[k]
		sum.IPIs += r.IPIs
		sum.Queued += r.Queued
		sum.CostNS += r.CostNS
		counts[k] = sum
	}
	for k, want := range map[string]uint64{
		fmt.Sprintf("1 call ipi_sync_core %d   membarrier-sync-core", membarrierPID):                     recordedTurns,
		fmt.Sprintf("1 call do_sync_core %d setsockopt workqueue netstamp_clear netstamp", timestampPID): recordedCycles * 3,
		fmt.Sprintf("1 call do_sync_core %d close workqueue netstamp_clear netstamp", timestampPID):      recordedCycles * 3,
	} {
		if got := counts[k]; got.IPIs != want || got.Queued != want || got.CostNS < 100*want || got.CostNS > 100_000*want {
			t.Errorf("%s: got %+v, want %d; all: %+v", k, got, want, counts)
		}
	}
	runs := uint64(0)
	for _, i := range s.Interrupted {
		if i.Cause == "ipi_sync_core" && i.CPU == recordedVictim {
			runs += i.Runs
		}
	}
	if runs != recordedTurns {
		t.Errorf("interrupted: got %d in %+v", runs, s.Interrupted)
	}
}

const (
	syncCore = 0x1000
	netstamp = 0x2000
	flush    = 0x3000
	handler  = 0x4000
)

const smallSymbols = `
0000000000001000 t do_sync_core
0000000000002000 t netstamp_clear
0000000000003000 t flush_tlb_func
0000000000004000 t generic_smp_call_function_single_interrupt
0000000000005000 T __x64_sys_munmap
0000000000006000 T asm_exc_page_fault
0000000000007000 T static_key_enable
0000000000008000 T ksys_write
0000000000009000 T do_syscall_64
000000000000a000 T ksys_mmap_pgoff
000000000000b000 T x64_sys_call
`

func smallCounter(opts ipitrace.Options) *counter {
	c := recordedCounter()
	c.opts, c.tgids, c.pids = opts, setOf(opts.TGIDs), setOf(opts.PIDs)
	c.names = ipinames.From(func() (*kallsyms.Table, error) { return kallsyms.Parse(bytesOf(smallSymbols)) })
	for pid, comm := range map[int32]string{10: "chronyd", 20: "kworker/0:1", 30: "other"} {
		c.tasks.threads[pid] = &task{tgid: pid, comm: comm, asked: true, kernel: pid == 20}
	}
	return c
}

// sends is a call queued and its IPI.
func sends(ts uint64, cpu int, pid int32, flags uint8, function uint64, targets ...int) (records []record) {
	for _, target := range targets {
		records = append(records, record{ts: ts, cpu: cpu, pid: pid, flags: flags, what: queued, target: target, addr: function})
	}
	send := record{ts: ts + 1, cpu: cpu, pid: pid, flags: flags, what: sendOne, target: targets[0], addr: handler}
	if len(targets) > 1 {
		send.what, send.target, send.mask = sendMany, 0, ipi.MakeCPUs(targets...)
	}
	return append(records, send)
}

// told is what a counter says of its rows, a line each.
func told(c *counter) (lines []string) {
	for _, r := range c.snapshot(0).Rows {
		o := r.Origin
		lines = append(lines, fmt.Sprintf("cpu%d %s %s %d/%d pid %d %s|%s|%s|%s|%s", r.CPU, r.Kind, r.Cause, r.IPIs, r.Queued,
			r.Sender.PID, r.Sender.Comm, o.Syscall, o.Detail, o.Path, o.Via))
	}
	slices.Sort(lines)
	return lines
}

func TestCount(t *testing.T) {
	work := func(ts uint64, w what, cpu int, pid int32) record {
		return record{ts: ts, cpu: cpu, pid: pid, what: w, work: 77, addr: netstamp}
	}
	chain := []record{work(10, workQueued, 0, 10), work(20, workStarts, 1, 20)}
	for _, test := range []struct {
		name    string
		records [][]record
		want    []string
	}{
		{"one", [][]record{sends(10, 0, 10, 0, syncCore, 1)}, []string{"cpu1 call do_sync_core 1/1 pid 10 chronyd||||"}},
		{"several", [][]record{sends(10, 0, 10, 0, flush, 1, 3)}, []string{
			"cpu1 tlb flush_tlb_func 1/1 pid 10 chronyd||||", "cpu3 tlb flush_tlb_func 1/1 pid 10 chronyd||||",
		}},
		{"a call without an interrupt", [][]record{sends(10, 0, 10, 0, flush, 1)[:1]}, []string{"cpu1 tlb flush_tlb_func 0/1 pid 10 chronyd||||"}},
		{"an IPI is not for what the last one was for", [][]record{
			sends(10, 0, 10, 0, syncCore, 1), {{ts: 13, pid: 10, what: sendOne, target: 2, addr: handler}},
		}, []string{"cpu1 call do_sync_core 1/1 pid 10 chronyd||||", "cpu2 call  1/0 pid 10 chronyd||||"}},
		{"irq_work is no call", [][]record{
			{sends(10, 0, 10, 0, syncCore, 1)[0]}, {{ts: 12, pid: 10, what: sendOne, target: 0, addr: flush}}, {{ts: 13, pid: 10, what: sendOne, target: 1, addr: handler}},
		}, []string{"cpu0 irq_work flush_tlb_func 1/0 pid 10 chronyd||||", "cpu1 call do_sync_core 1/1 pid 10 chronyd||||"}},
		{"reschedule has no cause", [][]record{
			sends(10, 0, 10, 0, flush, 1), {{ts: 20, pid: 10, what: sendOne, target: 1}},
		}, []string{"cpu1 resched  1/0 pid 10 chronyd||||", "cpu1 tlb flush_tlb_func 1/1 pid 10 chronyd||||"}},
		{"an interrupt between the call and its IPI", [][]record{
			{sends(10, 0, 10, 0, syncCore, 1)[0]}, sends(11, 0, 10, flagHardirq, flush, 1), {{ts: 13, pid: 10, what: sendOne, target: 1, addr: handler}},
		}, []string{"cpu1 call do_sync_core 1/1 pid 10 chronyd||||", "cpu1 tlb flush_tlb_func 1/1 pid 0 |||irq|"}},
		{"another thread's call is no cause", [][]record{
			{sends(10, 0, 10, 0, syncCore, 1)[0]}, {{ts: 13, pid: 30, what: sendOne, target: 1, addr: handler}},
		}, []string{"cpu1 call  1/0 pid 30 other||||", "cpu1 call do_sync_core 0/1 pid 10 chronyd||||"}},
		{
			"softirq",
			[][]record{{{ts: 5, pid: 10, what: softirqStarts, target: 3}}, sends(10, 0, 10, flagSoftirq, syncCore, 1)},
			[]string{"cpu1 call do_sync_core 1/1 pid 0 |||softirq NET_RX|"},
		},
		{
			"softirq of RCU",
			[][]record{{{ts: 5, pid: 10, what: softirqStarts, target: 9}}, sends(10, 0, 10, flagSoftirq, syncCore, 1)},
			[]string{"cpu1 call do_sync_core 1/1 pid 0 |||rcu|"},
		},
		{
			"timer",
			[][]record{{{ts: 5, pid: 10, what: timerEnters}}, sends(10, 0, 10, flagHardirq|flagSoftirq, syncCore, 1)},
			[]string{"cpu1 call do_sync_core 1/1 pid 0 |||timer|"},
		},
		{
			"interrupt after a timer",
			[][]record{{{ts: 5, pid: 10, what: timerEnters}, {ts: 6, pid: 10, what: timerLeaves}}, sends(10, 0, 10, flagHardirq, syncCore, 1)},
			[]string{"cpu1 call do_sync_core 1/1 pid 0 |||irq|"},
		},
		{
			"kworker",
			[][]record{chain, sends(30, 1, 20, 0, syncCore, 2)},
			[]string{"cpu2 call do_sync_core 1/1 pid 10 chronyd|||workqueue netstamp_clear|kworker/0:1"},
		},
		{
			"kworker after its work",
			[][]record{chain, {work(25, workEnds, 1, 20)}, sends(30, 1, 20, 0, syncCore, 2)},
			[]string{"cpu2 call do_sync_core 1/1 pid 20 kworker/0:1|||kthread|"},
		},
		{
			"kworker whose work nobody was seen to queue",
			[][]record{chain[1:], sends(30, 1, 20, 0, syncCore, 2)},
			[]string{"cpu2 call do_sync_core 1/1 pid 20 kworker/0:1|||workqueue netstamp_clear|"},
		},
		{
			"events are missing",
			[][]record{chain, {{ts: 25, cpu: 1, what: gap}}, sends(30, 1, 20, 0, syncCore, 2)},
			[]string{"cpu2 call do_sync_core 1/1 pid 20 kworker/0:1|||kthread|"},
		},
		{
			"the queueing of the work may be missing",
			[][]record{chain[:1], {{ts: 15, cpu: 5, what: gap}}, chain[1:], sends(30, 1, 20, 0, syncCore, 2)},
			[]string{"cpu2 call do_sync_core 1/1 pid 20 kworker/0:1|||workqueue netstamp_clear|"},
		},
		{
			"the cause is missing",
			[][]record{sends(10, 0, 10, 0, syncCore, 1), {{ts: 20, what: gap}, sends(30, 0, 10, 0, flush, 1)[1]}},
			[]string{"cpu1 call  1/0 pid 10 chronyd||||", "cpu1 call do_sync_core 1/1 pid 10 chronyd||||"},
		},
		{
			"fork, exec and end within a reading",
			[][]record{{
				{ts: 1, pid: 30, what: taskNew, target: 40, comm: "other"},
				{ts: 2, pid: 40, what: taskRenamed, target: 40, comm: "date"},
				{ts: 3, pid: 40, what: taskNew, target: 41, comm: "date", work: cloneThread},
			}, sends(10, 0, 41, 0, syncCore, 1), {{ts: 20, pid: 40, what: taskEnds, target: 40, comm: "date"}}},
			[]string{"cpu1 call do_sync_core 1/1 pid 40 date||||"},
		},
		{
			"only the end is seen",
			[][]record{sends(10, 0, 50, 0, syncCore, 1), {{ts: 20, pid: 50, what: taskEnds, target: 50, comm: "sh"}}},
			[]string{"cpu1 call do_sync_core 1/1 pid 0 sh||||"},
		},
	} {
		c := smallCounter(ipitrace.Options{})
		c.add(slices.Concat(test.records...))
		if got := told(c); !slices.Equal(got, test.want) {
			t.Errorf("%s:\n got %q\nwant %q", test.name, got, test.want)
		}
	}
}

// TestOrder: records of several CPUs are counted in the order of their times.
func TestOrder(t *testing.T) {
	c := smallCounter(ipitrace.Options{})
	c.add(slices.Concat(sends(30, 0, 20, 0, syncCore, 2), []record{
		{ts: 20, cpu: 0, pid: 20, what: workStarts, work: 77, addr: netstamp},
		{ts: 10, cpu: 1, pid: 10, what: workQueued, work: 77, addr: netstamp},
	}))
	if got := told(c); len(got) != 1 || got[0] != "cpu2 call do_sync_core 1/1 pid 10 chronyd|||workqueue netstamp_clear|kworker/0:1" {
		t.Errorf("got %q", got)
	}
}

// TestCollector: stacks go to the records that they are of, and a loss stands before what follows it.
func TestCollector(t *testing.T) {
	formats, _ := readRecording(t)
	l, d := recordedDecoder(t, formats)
	common := func(name string, flags, pid uint32) []uint32 {
		f, err := parseFormat(formats[name])
		if err != nil {
			t.Fatal(err)
		}
		return []uint32{uint32(f.id) | flags<<16, pid}
	}
	queue := func(flags, pid uint32) []uint32 {
		return short(1, append(common("csd/csd_queue_cpu", flags, pid), 1, 0, 0, 0, syncCore, 0, 0, 0)...)
	}
	stack := func(flags, pid, addr uint32) []uint32 {
		return short(1, append(common("ftrace/kernel_stack", flags, pid), 1, 0, addr, 0, 0x7fffffff, 0)...)
	}
	c := collector{decoder: d, cpu: 3}
	if _, err := c.page(l, pageOf(100, 0, queue(0, 10))); err != nil {
		t.Fatal(err)
	}
	last, err := c.page(l, pageOf(200, missedEvents,
		stack(0, 10, 9), queue(0, 10), queue(flagHardirq, 10), stack(flagHardirq, 10, 2), stack(0, 10, 3), stack(0, 10, 4), queue(0, 20), stack(0, 10, 5)))
	if err != nil || last != 208 {
		t.Fatalf("%d, %v", last, err)
	}
	got := ""
	for _, r := range c.records {
		got += fmt.Sprintf("%d:%d:%d%v ", r.what, r.ts, r.pid, r.stack)
	}
	if want := fmt.Sprintf("%d:101:10[] %d:200:0[] %d:202:10[3] %d:203:10[2] %d:207:20[] ", queued, gap, queued, queued, queued); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

// TestWanted: a process counts if it is to blame, or sends itself; not if it was interrupted.
func TestWanted(t *testing.T) {
	records := slices.Concat([]record{
		{ts: 10, cpu: 0, pid: 10, what: workQueued, work: 77, addr: netstamp},
		{ts: 20, cpu: 1, pid: 20, what: workStarts, work: 77, addr: netstamp},
	}, sends(30, 1, 20, 0, syncCore, 2), sends(40, 0, 10, flagSoftirq, flush, 2))
	for _, test := range []struct {
		opts ipitrace.Options
		want int
	}{
		{ipitrace.Options{}, 2},
		{ipitrace.Options{TGIDs: []int32{10}}, 1},
		{ipitrace.Options{TGIDs: []int32{20}}, 1},
		{ipitrace.Options{PIDs: []int32{10}}, 1},
		{ipitrace.Options{PIDs: []int32{30}}, 0},
		{ipitrace.Options{TGIDs: []int32{}}, 0},
		{ipitrace.Options{TGIDs: []int32{10}, PIDs: []int32{30}}, 0},
	} {
		c := smallCounter(test.opts)
		c.add(slices.Clone(records))
		if got := told(c); len(got) != test.want {
			t.Errorf("%+v: got %q", test.opts, got)
		}
	}
}

// TestFilterOfBlamed: a filter looks at the one who is to blame, and at the cause of the IPI.
func TestFilterOfBlamed(t *testing.T) {
	records := slices.Concat([]record{
		{ts: 5, pid: 10, what: taskNew, target: 11, comm: "chronyd/io", work: cloneThread},
		{ts: 10, cpu: 0, pid: 11, what: workQueued, work: 77, addr: netstamp},
		{ts: 20, cpu: 1, pid: 20, what: workStarts, work: 77, addr: netstamp},
	}, sends(30, 1, 20, 0, syncCore, 2, 3), sends(40, 0, 30, 0, flush, 2))
	for filter, want := range map[string]int{
		"process == \"chronyd\"":            2,
		"comm == \"chronyd/io\"":            2,
		"comm ~ \"kworker*\"":               0,
		"tgid == 10 && pid == 11":           2,
		"pid == 20":                         0,
		"cause == flush_tlb_func":           1,
		"kind == tlb":                       1,
		"cpu == 3":                          1,
		"cpumask == CPUS{2-3} && cpu == 2":  1,
		"CPU & CPUS{0}":                     1,
		"callback == 0x4000":                3,
		"callback == 0":                     0,
		"callback.function == do_sync_core": 0,
	} {
		x, err := ipifilter.Parse(filter, 8)
		if err != nil {
			t.Fatal(err)
		}
		f, err := makeFilters(nil, nil, x, 8)
		if err != nil {
			t.Fatal(err)
		}
		c := smallCounter(ipitrace.Options{Filter: x})
		c.full = f.full
		c.add(slices.Clone(records))
		ipis, calls := 0, 0
		for _, r := range c.snapshot(0).Rows {
			ipis += int(r.IPIs)
			calls += int(r.Queued)
		}
		if ipis != want || want == 0 && calls > 0 {
			t.Errorf("%s: got %d, want %d: %q", filter, ipis, want, told(c))
		}
	}
}

// TestStackOrigins: a stack names the system call, and what remedies look for.
func TestStackOrigins(t *testing.T) {
	for _, test := range []struct {
		flags uint8
		stack []uint64
		want  string
	}{
		{0, []uint64{0x5001}, "cpu1 call do_sync_core 1/1 pid 10 chronyd|munmap|||"},
		{0, []uint64{0x7001, 0x5001}, "cpu1 call do_sync_core 1/1 pid 10 chronyd|munmap|static_key_enable||"},
		{0, []uint64{0x8001, 0x9001}, "cpu1 call do_sync_core 1/1 pid 10 chronyd|write|||"},
		{0, []uint64{0xa001, 0xb001, 0x9001}, "cpu1 call do_sync_core 1/1 pid 10 chronyd|mmap|||"},
		{0, []uint64{0x8001}, "cpu1 call do_sync_core 1/1 pid 10 chronyd||||"},
		{0, []uint64{0x8001, 0x5001, 0x9001}, "cpu1 call do_sync_core 1/1 pid 10 chronyd|munmap|||"},
		{0, []uint64{0x6001}, "cpu1 call do_sync_core 1/1 pid 10 chronyd|||user|"},
		{flagSoftirq, []uint64{0x5001}, "cpu1 call do_sync_core 1/1 pid 0 |||softirq|"},
	} {
		c := smallCounter(ipitrace.Options{Stacks: true})
		records := sends(10, 0, 10, test.flags, syncCore, 1)
		records[0].stack = test.stack
		c.add(records)
		if got := told(c); len(got) != 1 || got[0] != test.want {
			t.Errorf("%#x: got %q, want %q", test.stack, got, test.want)
		}
		if s := c.snapshot(0); len(s.Stacks[s.Rows[0].StackID]) != len(test.stack) {
			t.Errorf("stacks: %q", s.Stacks)
		}
	}
}
