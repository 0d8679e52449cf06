package ipireport

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/quietpatch/quietpatch/cmd/quietpatch/internal/ipi"
)

var update = flag.Bool("update", false, "write the golden files")

func sampleMeta() Meta {
	return Meta{
		Version: "v0.7.0", Start: time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC), Kernel: "6.12.48", Machine: "x86_64", CPUs: 4,
		Victims: "2-3", Filter: "cpu & CPUS{2-3}", Mode: "eBPF, raw tracepoints", Notes: []string{"no cost of reschedules"},
	}
}

// chrony is the row of the SO_TIMESTAMP story.
func chrony(cpu int, syscall, detail string, n uint64) ipi.Row {
	return ipi.Row{
		Key: ipi.Key{
			CPU: cpu, Kind: ipi.Call, Cause: "do_sync_core", StackID: -1,
			Sender: ipi.Sender{PID: 812, TID: 812, Comm: "chronyd", Thread: "chronyd", Cgroup: "/system.slice/chrony.service"},
			Origin: ipi.Origin{Syscall: syscall, Detail: detail, Path: "workqueue netstamp_clear", Via: "kworker/0:1"},
		},
		IPIs: n, Queued: n, CostNS: 1500 * n,
	}
}

// threaded is the TLB story of a process in a container with several threads.
func threaded(cpu, tid int, thread string, n uint64) ipi.Row {
	return ipi.Row{
		Key: ipi.Key{
			CPU: cpu, Kind: ipi.TLB, Cause: "flush_tlb_func.isra.0", StackID: -1,
			Sender: ipi.Sender{
				PID: 900, TID: tid, Comm: "java", Thread: thread,
				Cgroup: "/system.slice/docker-0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef.scope",
			},
			Origin: ipi.Origin{Syscall: "munmap"},
		},
		IPIs: n, Queued: n + 1, CostNS: 900 * n,
	}
}

func kernelRow(cpu int, kind ipi.Kind, n uint64) ipi.Row {
	return ipi.Row{Key: ipi.Key{CPU: cpu, Kind: kind, StackID: -1, Origin: ipi.Origin{Path: "softirq NET_RX"}}, IPIs: n}
}

// hostileName is what prctl(PR_SET_NAME) and mkdir let anybody choose.
const hostileName = "</td><script>\x1b[2J\x9b31m\u009b2J\x7f\U000e0001\n#\u202eevil;\"\\'&{}\xff\u0301"

func hostileRow() ipi.Row {
	k := ipi.Key{CPU: 3, Kind: ipi.Kind(hostileName), Cause: hostileName, StackID: 7}
	k.Sender = ipi.Sender{PID: 66, TID: 67, Comm: hostileName, Thread: "t" + hostileName, Cgroup: "/lxc.payload." + hostileName}
	k.Origin = ipi.Origin{Syscall: hostileName, Detail: hostileName, Path: hostileName, Via: hostileName}
	return ipi.Row{Key: k, IPIs: 3, Queued: 3, CostNS: 1, Remedy: hostileName}
}

// interrupted is a thread of a process with pid 40, or the idle thread if tid is 0.
func interrupted(cpu int, kind ipi.Kind, cause string, tid int, n uint64) ipi.Interrupted {
	x := ipi.Interrupted{CPU: cpu, Kind: kind, Cause: cause, Runs: n, CostNS: 1200 * n}
	if tid != 0 {
		x.PID, x.TID, x.Comm, x.Thread = 40, tid, "loop", "loop"
	}
	return x
}

func hostileInterrupted() ipi.Interrupted {
	return ipi.Interrupted{
		CPU: 3, Kind: hostileName, Cause: hostileName, PID: 5, TID: 6, Comm: hostileName, Thread: "t" + hostileName, Runs: 3, CostNS: 1,
	}
}

// sampleSnapshots are three, ten seconds from each other; the counts grow.
func sampleSnapshots() []ipi.Snapshot {
	var list []ipi.Snapshot
	for i := uint64(1); i <= 3; i++ {
		s := ipi.Snapshot{At: time.Duration(i) * 10 * time.Second, Lost: i - 1, SelfIPIs: 126}
		for cpu := 2; cpu <= 3; cpu++ {
			s.Rows = append(s.Rows, chrony(cpu, "setsockopt", "SO_TIMESTAMP static_key_enable", 50*i), chrony(cpu, "close", "static_key_disable", 50*i))
		}
		s.Rows = append(s.Rows, threaded(2, 901, "GC Thread#0", 7*i), threaded(2, 902, "GC Thread#1", 5*i), kernelRow(3, ipi.Resched, 2*i))
		s.Interrupted = []ipi.Interrupted{
			interrupted(2, ipi.Call, "do_sync_core", 40, 99*i), interrupted(2, ipi.TLB, "flush_tlb_func.isra.0", 40, 12*i),
			interrupted(2, ipi.Call, "do_sync_core", 0, i), interrupted(3, ipi.Call, "do_sync_core", 41, 100*i),
		}
		if i == 3 {
			s.Rows = append(s.Rows, kernelRow(2, ipi.IRQWork, 1))
		}
		list = append(list, s)
	}
	return list
}

func sampleCollector() *Collector {
	c := NewCollector(sampleMeta())
	for _, s := range sampleSnapshots() {
		c.Add(s)
	}
	return c
}

// hostileReport has hostile text wherever there can be some.
func hostileReport() *Report {
	m := Meta{Version: hostileName, Kernel: hostileName, Machine: hostileName, Victims: hostileName, Filter: hostileName, Mode: hostileName, Notes: []string{hostileName}}
	m.Blind = []ipi.Blind{{Kinds: []ipi.Kind{hostileName}, Why: "blind " + hostileName}}
	c := NewCollector(m)
	c.Add(ipi.Snapshot{
		At: time.Second, Rows: []ipi.Row{hostileRow()}, Stacks: map[int32][]string{7: {hostileName, "x\ny;z 5"}},
		Interrupted: []ipi.Interrupted{hostileInterrupted()},
	})
	c.broken = hostileName
	return c.Report()
}

// golden compares with a file of testdata, which -update writes.
func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	file := filepath.Join("testdata", name)
	if *update {
		if err := os.MkdirAll("testdata", 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, got, 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s: run with -update if this is right; got\n%s\nwant\n%s", name, got, want)
	}
}

// many returns n rows of different processes on 64 CPUs.
func many(n int) []ipi.Row {
	rows := make([]ipi.Row, n)
	for i := range rows {
		r := chrony(i%64, "setsockopt", "SO_TIMESTAMP", uint64(1+i%5))
		r.Sender.PID, r.Sender.TID = 1000+i/64, 1000+i/64
		r.Sender.Comm = "worker" + string(rune('a'+i/64%26))
		rows[i] = r
	}
	return rows
}
