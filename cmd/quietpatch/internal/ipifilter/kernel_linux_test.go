package ipifilter

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// Filters that are set and cleared interrupt all CPUs (kernel/trace/trace.c,
// trace_buffered_event_disable), which other tests count.
var withKernel = flag.Bool("kernel", false, "compare with the running kernel, in a tracing instance; as root, with nobody else measuring")

// tracing makes an instance of its own, and removes it in the end.
func tracing(t *testing.T) (instance string, cpus int) {
	t.Helper()
	if !*withKernel {
		t.Skip("-kernel is not given")
	}
	base := "/sys/kernel/tracing/instances"
	dir := filepath.Join(base, fmt.Sprintf("ipifilter-%d", os.Getpid()))
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Skip("no instance of tracefs, needs root: ", err)
	}
	t.Cleanup(func() {
		if err := os.Remove(dir); err != nil {
			t.Error(err)
		}
	})
	b, err := os.ReadFile("/sys/devices/system/cpu/possible")
	if err != nil {
		t.Fatal(err)
	}
	_, last, _ := strings.Cut(strings.TrimSpace(string(b)), "-")
	fmt.Sscan(last, &cpus)
	return dir, cpus + 1
}

func write(t *testing.T, path, text string) error {
	t.Helper()
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_TRUNC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	_, err = f.WriteString(text)
	return err
}

// TestKernelTakes: what Split makes for the kernel is accepted by it.
func TestKernelTakes(t *testing.T) {
	dir, cpus := tracing(t)
	g := generator{rand.New(rand.NewPCG(7, 3)), cpus}
	taken := 0
	for _, e := range []Event{SendCPU(), SendCPUMask(), QueueCPU()} {
		e.Function = func(name string) bool { return name == "f" }
		filter := filepath.Join(dir, "events", strings.Replace(e.Name, ":", "/", 1), "filter")
		if _, err := os.Stat(filter); err != nil {
			t.Skip("the kernel lacks events that Linux 6.12 has: ", err)
		}
		for range 100 {
			x := mustParse(t, g.expr(3), cpus)
			kernel, _ := x.Split(e)
			if kernel == "" {
				continue
			}
			kernel = strings.ReplaceAll(kernel+" ", ".function == f ", ".function == do_sync_core ")
			kernel = strings.ReplaceAll(kernel, ".function != f ", ".function != do_sync_core ")
			if err := write(t, filter, kernel); err != nil {
				t.Errorf("%s for %s: the kernel refuses %q: %v", x, e.Name, kernel, err)
			}
			taken++
		}
		_ = write(t, filter, "0")
	}
	t.Logf("%d filters set", taken)
}

// TestKernelAgrees compares the model with the kernel, by system calls whose arguments are
// the fields: prctl with an option that does not exist.
func TestKernelAgrees(t *testing.T) {
	dir, cpus := tracing(t)
	runtime.LockOSThread() // and never unlocked: its name changes
	event := filepath.Join(dir, "events/syscalls/sys_enter_prctl")
	if err := write(t, filepath.Join(dir, "set_event_pid"), fmt.Sprint(unix.Gettid())); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = write(t, filepath.Join(event, "enable"), "0") }()
	if err := write(t, filepath.Join(event, "enable"), "1"); err != nil {
		t.Skip("no event sys_enter_prctl: ", err)
	}
	var first unix.CPUSet
	first.Set(0)
	if err := unix.SchedSetaffinity(0, &first); err != nil {
		t.Skip("CPU 0 may not be used: ", err)
	}
	const option = 0x7fff0001
	g := generator{rand.New(rand.NewPCG(7, 4)), cpus}
	filters := []string{
		// what Parse refuses, or Split writes otherwise
		"CPU & 1", "!(CPU & 0)", "cpu == 0", "cpu & CPUS{0}", "common_cpu != 0", `comm ~ "!b*"`, `comm ~ "*sh"`, `!(comm ~ "*sh")`,
		`comm ~ "1*"`, `comm ~ "\1*"`, `comm ~ "*\sh"`, "arg2 == 0x2 && arg3 == 01", "!(!arg2 == 1 || !(arg3 == 1 && !arg2 == 2))",
	}
	for range 150 {
		filters = append(filters, kernelWords(g))
	}
	for _, filter := range filters {
		name := g.pick("bash", "sh", "1b", "b", "a234567890123sh")
		if err := write(t, "/proc/thread-self/comm", name); err != nil {
			t.Fatal(err)
		}
		if err := write(t, filepath.Join(event, "filter"), fmt.Sprintf("option == %#x && (%s)", option, filter)); err != nil {
			t.Fatalf("the kernel refuses %q: %v", filter, err)
		}
		if err := write(t, filepath.Join(dir, "trace"), ""); err != nil {
			t.Fatal(err)
		}
		var want []string
		for a := range uintptr(4) {
			for b := range uintptr(3) {
				_ = unix.Prctl(option, a, b, 0, 0)
				ev := &kernelEvent{pid: int32(unix.Gettid()), comm: name, cpus: cpus, fields: map[string]kernelField{
					"arg2": {size: 8, value: uint64(a)}, "arg3": {size: 8, value: uint64(b)},
				}}
				passes, err := kernelEval(filter, ev)
				if err != nil {
					t.Fatalf("%q: %v", filter, err)
				}
				if passes {
					want = append(want, fmt.Sprintf("arg2: %x, arg3: %x", a, b))
				}
			}
		}
		if got := traced(t, dir); !slices.Equal(got, want) {
			t.Errorf("%s, named %s:\ngot  %v\nwant %v", filter, name, got, want)
		}
	}
	t.Logf("%d filters, 12 events each", len(filters))
}

// kernelWords makes filters of two arguments, the thread and its name.
func kernelWords(g generator) string {
	text := g.expr(3)
	for _, r := range []struct{ from, to string }{
		{"cpumask", "arg2"},
		{"cpu ", "arg2 "},
		{"callback.function == f", "arg3 == 1"},
		{"callback", "arg3"},
		{"func.function == f", "arg2 == 1"},
		{"func.function != f", "arg2 == 3"},
		{"func.function == g", "arg3 != 1"},
		{"func.function != g", "arg3 > 0"},
		{"func < 0x3000", "arg2 < 2"},
		{"kind == call", "arg2 == 2"},
		{"kind != call", "arg2 != 2"},
		{"kind == resched", "arg3 & 1"},
		{"kind != resched", "arg3 < 2"},
		{"tgid", "arg3"},
		{"pid", "arg2"},
		{" -1", " 1"},
	} {
		text = strings.ReplaceAll(text, r.from, r.to)
	}
	return text
}

// traced returns the arguments of the events, in order. Older kernels write 0x before them.
func traced(t *testing.T, dir string) (list []string) {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(dir, "trace"))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(b)) {
		if _, args, ok := strings.Cut(line, "arg2: "); ok {
			args, _, _ = strings.Cut("arg2: "+args, ", arg4")
			list = append(list, strings.ReplaceAll(args, "0x", ""))
		}
	}
	return list
}
