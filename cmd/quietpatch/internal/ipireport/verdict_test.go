package ipireport

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/quietpatch/quietpatch/cmd/quietpatch/internal/ipi"
)

func TestVerdicts(t *testing.T) {
	from := func(cpu, pid int, comm string, o ipi.Origin, n uint64) ipi.Row {
		return ipi.Row{Key: ipi.Key{CPU: cpu, Kind: ipi.Call, Cause: "f", StackID: -1, Sender: ipi.Sender{PID: pid, TID: pid, Comm: comm}, Origin: o}, IPIs: n}
	}
	work := ipi.Origin{Syscall: "setsockopt", Detail: "SO_TIMESTAMP static_key_enable go", Path: "workqueue netstamp_clear"}
	undo := ipi.Origin{Syscall: "close", Detail: "static_key_disable", Path: "workqueue netstamp_clear"}
	for name, test := range map[string]struct {
		rows []ipi.Row
		lost uint64
		off  ipi.CPUs
		want []string
	}{
		"story": {
			rows: []ipi.Row{from(1, 123, "driver", work, 300), from(1, 123, "driver", undo, 300), from(1, 9, "x", ipi.Origin{Syscall: "munmap"}, 12)},
			want: []string{
				"CPU 1: 612 IPIs in 30.0 s (20.4/s), 98 % from driver[123]: setsockopt(SO_TIMESTAMP) and close, workqueue netstamp_clear; remedy netstamp",
				"CPU 2: no IPI in 30.0 s",
			},
		},
		"processes of one name": {
			rows: []ipi.Row{from(1, 1, "cc1", ipi.Origin{Syscall: "munmap"}, 2), from(1, 2, "cc1", ipi.Origin{Syscall: "munmap"}, 2), from(1, 3, "ld", ipi.Origin{}, 3)},
			want: []string{"CPU 1: 7 IPIs in 30.0 s (0.233/s), 57 % from cc1 (2 processes): munmap", "CPU 2: no IPI in 30.0 s"},
		},
		"nobody": {
			rows: []ipi.Row{from(1, 0, "", ipi.Origin{Path: "timer"}, 1), from(2, 0, "", ipi.Origin{}, 1)},
			want: []string{"CPU 1: 1 IPI in 30.0 s (0.0333/s), 100 % from nobody in particular: timer; remedy timer", "CPU 2: 1 IPI in 30.0 s (0.0333/s), 100 % from nobody in particular"},
		},
		"little of the rest": {
			rows: []ipi.Row{from(1, 1, "a", ipi.Origin{Syscall: "munmap"}, 300), from(1, 1, "a", ipi.Origin{Syscall: "brk"}, 2), from(1, 2, "b", ipi.Origin{}, 1)},
			want: []string{"CPU 1: 303 IPIs in 30.0 s (10.1/s), 99 % from a[1]: munmap and others", "CPU 2: no IPI in 30.0 s"},
		},
		"queued only": {rows: []ipi.Row{from(1, 1, "a", ipi.Origin{}, 0)}, want: []string{"CPUs 1-2: no IPI in 30.0 s"}},
		"lost":        {lost: 2, want: []string{"CPUs 1-2: no IPI in 30.0 s, but 2 events were lost"}},
		"offline":     {off: ipi.MakeCPUs(2), want: []string{"CPU 1: no IPI in 30.0 s", "CPU 2: no IPI in 30.0 s, but offline for a while"}},
		"not asked for": {
			rows: []ipi.Row{from(7, 1, "a", ipi.Origin{}, 1)},
			want: []string{"CPU 7: 1 IPI in 30.0 s (0.0333/s), 100 % from a[1]", "CPUs 1-2: no IPI in 30.0 s"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := &Report{Meta: Meta{CPUs: 4, Victims: "1-2"}, Duration: 30 * time.Second, Rows: test.rows, Lost: test.lost, Offline: test.off}
			if got := r.verdictLines(16); !slices.Equal(got, test.want) {
				t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(test.want, "\n"))
			}
		})
	}
}

// TestVerdictsOfMany: the CPUs that got most are told of, in their order.
func TestVerdictsOfMany(t *testing.T) {
	var rows []ipi.Row
	for cpu := range 10 {
		rows = append(rows, kernelRow(cpu, ipi.Call, uint64(1+cpu%5)))
	}
	r := &Report{Meta: Meta{CPUs: 16, Victims: "0-11"}, Duration: time.Second, Rows: rows}
	lines := r.verdictLines(3)
	var starts []string
	for _, l := range lines {
		start, _, _ := strings.Cut(l, ":")
		starts = append(starts, start)
	}
	if want := []string{"CPU 3", "CPU 4", "CPU 9", "and 7 CPUs more", "CPUs 10-11"}; !slices.Equal(starts, want) || !strings.HasSuffix(lines[3], ": 16 IPIs") {
		t.Errorf("got %q", lines)
	}
}

func TestPercent(t *testing.T) {
	for _, test := range []struct {
		n, of uint64
		want  string
	}{{1, 1, "100 %"}, {999, 1000, "99 %"}, {1<<63 - 1, 1 << 63, "99 %"}, {1, 1000, "<1 %"}, {0, 5, "<1 %"}, {1, 2, "50 %"}} {
		if got := percent(test.n, test.of); got != test.want {
			t.Errorf("%d of %d: got %s, want %s", test.n, test.of, got, test.want)
		}
	}
}

// TestOriginText: options are told as such; functions of the kernel where nothing else says it.
func TestOriginText(t *testing.T) {
	for _, test := range []struct {
		o    ipi.Origin
		want string
	}{
		{ipi.Origin{}, ""},
		{ipi.Origin{Syscall: "setsockopt", Detail: "SO_TIMESTAMP static_key_enable sock_set_timestamp go"}, "setsockopt(SO_TIMESTAMP)"},
		{ipi.Origin{Syscall: "setsockopt", Detail: "static_key_enable SO_TIMESTAMP", Path: "workqueue w"}, "setsockopt(SO_TIMESTAMP), workqueue w"},
		{ipi.Origin{Syscall: "write", Detail: "static_key_enable bpf_stats_handler"}, "write, bpf_stats_handler"},
		{ipi.Origin{Syscall: "close", Detail: "static_key_disable", Path: "workqueue w"}, "close, workqueue w"},
		{ipi.Origin{Detail: "clocksource_watchdog", Path: "softirq TIMER"}, "clocksource_watchdog, softirq TIMER"},
		{ipi.Origin{Syscall: "madvise", Detail: "advice:99 go"}, "madvise(advice:99)"},
		{ipi.Origin{Syscall: "ioctl", Detail: "0x5401"}, "ioctl(0x5401)"},
		{ipi.Origin{Syscall: "futex", Detail: "go"}, "futex"},
		{ipi.Origin{Syscall: "membarrier", Detail: "MEMBARRIER_CMD_PRIVATE_EXPEDITED_RSEQ MEMBARRIER_CMD_FLAG_CPU"}, "membarrier(PRIVATE_EXPEDITED_RSEQ FLAG_CPU)"},
		{ipi.Origin{Path: "timer"}, "timer"},
		{ipi.Origin{Detail: "ptep_clear_flush go", Path: "user"}, "ptep_clear_flush, fault"},
		{ipi.Origin{Syscall: "write", Detail: "try_to_wake_up wake_up_q"}, "write"},
	} {
		if got := originText(&test.o); got != test.want {
			t.Errorf("%+v: got %q, want %q", test.o, got, test.want)
		}
		// What is left out of a text does not make two lines of it.
		x := test.o
		if x.Detail = told(&x); originText(&x) != test.want || told(&x) != x.Detail {
			t.Errorf("%+v: folded, it is %q", test.o, originText(&x))
		}
	}
}

// TestEvents: how often keys were flipped is told by the CPU that got most.
func TestEvents(t *testing.T) {
	r := &Report{Duration: time.Second, Rows: []ipi.Row{
		chrony(2, "close", "", 150), chrony(2, "setsockopt", "SO_TIMESTAMP", 150), chrony(3, "close", "", 90), threaded(3, 1, "", 7),
	}}
	if got := r.events(); got["netstamp"] != 100 || len(got) != 1 {
		t.Errorf("got %v", got)
	}
	for ipis, flips := range map[uint64]uint64{1: 0, 2: 1, 3: 1, 149: 50, 150: 50, 151: 50} { // some may have been spared
		if got := (&Report{Rows: []ipi.Row{chrony(2, "close", "", ipis)}}).events(); got["netstamp"] != flips {
			t.Errorf("%d IPIs: got %v, want %d", ipis, got, flips)
		}
	}
	if text := write(t, forms()["text"], r); !strings.Contains(text, "netstamp: 390 IPIs, rows 1-2; 3 IPIs to a CPU per flip, about 100 flips\n") {
		t.Errorf("got\n%s", text)
	}
	for _, e := range r.JSON().Remedies {
		if want := map[string]string{"netstamp": "3 flip 100", "tlb-unmap": "0  0"}[e.Name]; fmt.Sprint(e.IPIsEach, " ", e.Event, " ", e.Events) != want {
			t.Errorf("got %+v", e)
		}
	}
}
