package ipinames

import (
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/quietpatch/quietpatch/cmd/quietpatch/internal/ipi"
	"github.com/quietpatch/quietpatch/cmd/quietpatch/internal/kallsyms"
)

const symbols = `
0000000000001000 t do_sync_core
0000000000002000 t static_key_enable
`

// TestNames: the table is read when it is needed, and again for what may have come later.
func TestNames(t *testing.T) {
	text, reads := symbols, 0
	n := From(func() (*kallsyms.Table, error) {
		reads++
		return kallsyms.Parse(strings.NewReader(text))
	})
	if n.Function(0) != "" || reads != 0 {
		t.Errorf("%d reads for nothing", reads)
	}
	if got := n.ReturnsTo(0x2001); got != "static_key_enable" || reads != 1 {
		t.Errorf("returns to %s, %d reads", got, reads)
	}
	if got, at := n.Function(0x1000), n.Address("do_sync_core"); got != "do_sync_core" || at != 0x1000 || reads != 1 {
		t.Errorf("got %s at %#x, %d reads", got, at, reads)
	}
	if at := n.Address("late"); at != 0 {
		t.Errorf("late at %#x", at)
	}
	text += "0000000000003000 t late\t[module]\n"
	if got := n.Function(0x3000); got != "late" || reads != 2 {
		t.Errorf("got %s, %d reads", got, reads)
	}
	for range 9 {
		if got := n.Function(0x4000); got != "0x4000" {
			t.Errorf("got %s", got)
		}
	}
	if reads != 3 {
		t.Errorf("%d reads, want one more", reads)
	}
	text += "0000000000005000 t later\t[module]\n"
	if got := n.ReturnsTo(0x5008); got != "later" || reads != 4 {
		t.Errorf("got %s, %d reads", got, reads)
	}
	for addr := range uint64(100) {
		n.Function(0x6000 + addr)
	}
	if reads != readsMax {
		t.Errorf("%d reads, want %d", reads, readsMax)
	}
}

// TestNoTable: where addresses are hidden they are shown, and not asked for again.
func TestNoTable(t *testing.T) {
	reads := 0
	n := From(func() (*kallsyms.Table, error) { reads++; return nil, errors.New("hidden") })
	if a, b := n.Function(0x1000), n.ReturnsTo(0x1001); a != "0x1000" || b != "0x1001" || n.Table() != nil || n.Address("x") != 0 || reads != 1 {
		t.Errorf("got %s, %s after %d reads", a, b, reads)
	}
}

func TestRemedies(t *testing.T) {
	n := From(func() (*kallsyms.Table, error) { return nil, nil })
	for range 2 {
		for word, want := range map[string]bool{"static_key_enable": true, "process_one_work": false} {
			if n.Telling(word) != want {
				t.Errorf("%s is telling: %v", word, !want)
			}
		}
		k := ipi.Key{CPU: 3, Kind: ipi.Call, Cause: "do_sync_core", Origin: ipi.Origin{Syscall: "setsockopt", Detail: "SO_TIMESTAMP", Path: "workqueue netstamp_clear"}}
		if got := n.Remedy(k); got != "netstamp" {
			t.Errorf("remedy %q", got)
		}
		if got := n.Remedy(ipi.Key{Cause: "nothing that is known"}); got != "" {
			t.Errorf("remedy %q", got)
		}
	}
}

func TestWords(t *testing.T) {
	for vec, want := range map[int]string{-1: "softirq", 0: "softirq HI", 3: "softirq NET_RX", 9: "rcu", 10: "softirq 10"} {
		if got := Softirq(vec); got != want {
			t.Errorf("softirq %d: got %q", vec, got)
		}
	}
	for name, want := range map[string]string{"rcu_preempt": "rcu", "rcuop/3": "rcu", "khugepaged": "kthread", "": "kthread"} {
		if got := Kthread(name); got != want {
			t.Errorf("%s: got %q", name, got)
		}
	}
	if CallKind("flush_tlb_func") != ipi.TLB || CallKind("do_sync_core") != ipi.Call {
		t.Error("kinds of calls")
	}
}

func TestIsGo(t *testing.T) {
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	if !IsGo(exe) || IsGo("/bin/sh") || IsGo("names_test.go") || IsGo("/nonexistent") {
		t.Errorf("%s %v, /bin/sh %v", exe, IsGo(exe), IsGo("/bin/sh"))
	}
}
