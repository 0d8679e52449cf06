package ipitracefs

import (
	"fmt"
	"os"
	"slices"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/quietpatch/quietpatch/cmd/quietpatch/internal/ipi"
	"github.com/quietpatch/quietpatch/cmd/quietpatch/internal/ipitrace"
	"github.com/quietpatch/quietpatch/cmd/quietpatch/internal/kallsyms"
)

// TestRecord makes testdata anew.
func TestRecord(t *testing.T) {
	if os.Getenv("IPITRACEFS_RECORD") == "" {
		t.Skip("IPITRACEFS_RECORD is not set")
	}
	root, err := openTracefs()
	if err != nil {
		t.Fatal(err)
	}
	tr := &Tracer{opts: ipitrace.Options{Victims: ipi.MakeCPUs(victim), Stacks: true}, root: root}
	if err := tr.prepare(tuning{}); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = tr.shut() }()
	formats, err := tr.in.read("events/header_page")
	if err != nil {
		t.Fatal(err)
	}
	all := section("header_page", formats)
	for _, e := range events {
		text, err := tr.in.read("events/" + e.name + "/format")
		if err != nil {
			t.Fatal(err)
		}
		all += section(e.name, text)
	}
	// Names of other processes are nobody's business.
	tr.on = slices.DeleteFunc(tr.on, func(e turnedOn) bool { return e.use == forNames })
	for i, e := range tr.on {
		if e.what != workQueued { // the stacks of others would take most of the space
			e.trigger = ""
			tr.on[i] = e
		}
		if err := tr.turn(e, true); err != nil {
			t.Fatal(err)
		}
	}
	pids := [2]int{}
	for i, part := range []struct {
		name     string
		n, calls int
	}{{"membarrier", recordedTurns, recordedTurns}, {"timestamp", recordedCycles, 6 * recordedCycles}} {
		for pids[i] == 0 {
			started := start(t, part.name, part.n)
			if i == 0 { // what came before is of no use
				if _, err := tr.buffers.drain(now()); err != nil {
					t.Fatal(err)
				}
			}
			if started.Finish(t); started.Received() == part.calls {
				pids[i] = started.PID()
			} else if i > 0 {
				t.Fatal("others have interrupted the CPU: try again")
			}
		}
	}
	for _, e := range slices.Backward(tr.on) {
		if err := tr.turn(e, false); err != nil {
			t.Fatal(err)
		}
	}
	var pages []byte
	addresses := make(map[uint64]bool)
	for _, p := range tr.buffers.pipes {
		c := collector{decoder: tr.buffers.decoder, cpu: p.cpu}
		for {
			n, err := unix.Read(p.fd, tr.buffers.page)
			if err != nil || n == 0 {
				break
			}
			page := tr.buffers.page[:n]
			if _, err := c.page(tr.buffers.layout, page); err != nil {
				t.Fatal(err)
			}
			pages = appendPage(pages, p.cpu, page)
		}
		for _, r := range c.records {
			addresses[r.addr] = true
			for _, a := range r.stack {
				addresses[a] = true
			}
		}
	}
	writeRecording(t, all, pages, addresses)
	t.Logf("processes %d", pids)
}

func writeRecording(t *testing.T, formats string, pages []byte, addresses map[uint64]bool) {
	t.Helper()
	table, err := kallsyms.Read()
	if err != nil {
		t.Fatal(err)
	}
	var symbols []string
	for a := range addresses {
		if name, ok := table.At(a); ok {
			symbols = append(symbols, fmt.Sprintf("%016x t %s\n", a, name))
		} else if name, ok := table.Around(a - 1); ok && a != 0 {
			symbols = append(symbols, fmt.Sprintf("%016x t %s\n", a-1, name))
		}
	}
	slices.Sort(symbols)
	text := ""
	for _, s := range symbols {
		text += s
	}
	for file, content := range map[string][]byte{formatsFile: []byte(formats), pagesFile: pages, symbolsFile: []byte(text)} {
		if err := os.WriteFile(file, content, 0o644); err != nil {
			t.Fatal(err)
		}
	}
}
