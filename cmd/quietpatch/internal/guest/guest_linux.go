package guest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// CPUs of a guest, and those of them that are isolated.
const (
	CPUs     = 4
	Isolated = "2,3"
)

// Guest is a machine to boot.
type Guest struct {
	Kernel  string            // image
	Options []string          // of the kernel, beside the console and what makes a failure end it
	Files   map[string]string // path in the guest to path here; all can be executed
	Steps   []Step
}

// Step is a shell command.
type Step struct {
	Name    string // without spaces
	Command string
}

// Output is what a guest has left.
type Output struct {
	Steps   map[string]StepOutput
	Console string // of the kernel
	Retried string // why there was a first try that does not count; "" if there was none
}

// StepOutput is what a step wrote to its standard output and error.
type StepOutput struct {
	Text string
	Code int
	Took time.Duration // by the guest's clock
}

// Isolate returns the kernel's options for isolated CPUs.
func Isolate() []string {
	return []string{"isolcpus=managed_irq,domain," + Isolated, "nohz_full=" + Isolated, "rcu_nocbs=" + Isolated}
}

// errQEMU is a failure of QEMU itself: it says nothing about the guest.
var errQEMU = errors.New("QEMU failed")

// Run boots the guest, runs all steps and turns it off. If QEMU itself fails it tries once more.
func (g *Guest) Run(ctx context.Context) (*Output, error) {
	out, err := g.boot(ctx)
	if errors.Is(err, errQEMU) && ctx.Err() == nil {
		first := err.Error()
		out, err = g.boot(ctx)
		out.Retried = first
	}
	return out, err
}

func (g *Guest) boot(ctx context.Context) (*Output, error) {
	out := &Output{Steps: make(map[string]StepOutput)}
	dir, err := os.MkdirTemp("", "guest")
	if err != nil {
		return out, err
	}
	defer os.RemoveAll(dir)
	in := func(name string) string { return filepath.Join(dir, name) }
	if err := g.writeInitramfs(in("initramfs")); err != nil {
		return out, err
	}
	cmd := exec.CommandContext(ctx, qemu,
		"-accel", "tcg,thread=single", // with more threads TCG loses track when the guest patches its code
		"-cpu", "qemu64,-cx16", // QEMU 7.2 spoils EFLAGS in cmpxchg16b (helper_cmpxchg16b_unlocked), which crashes SLUB
		"-smp", fmt.Sprint(CPUs), "-m", "512", "-nodefaults", "-no-user-config", "-display", "none", "-no-reboot",
		"-serial", "file:"+in("console"), "-serial", "file:"+in("results"),
		"-kernel", g.Kernel, "-initrd", in("initramfs"), "-append", g.commandLine())
	said, failed := cmd.CombinedOutput()
	console, err := os.ReadFile(in("console"))
	results, err2 := os.ReadFile(in("results"))
	out.Console = string(console)
	if failed == nil {
		failed = errors.Join(err, err2)
	}
	done := parse(results, out.Steps)
	switch {
	case strings.Contains(out.Console, "Kernel panic"):
		return out, fmt.Errorf("the guest's kernel panicked; its console ends with\n%s", tail(out.Console))
	case ctx.Err() != nil:
		return out, fmt.Errorf("%w; the results end with\n%s\nand the console with\n%s", ctx.Err(), tail(string(results)), tail(out.Console))
	case failed != nil:
		return out, fmt.Errorf("%w: %w: %s", errQEMU, failed, said)
	case !done:
		return out, fmt.Errorf("the guest ended after %d steps; its console ends with\n%s", len(out.Steps), tail(out.Console))
	}
	return out, nil
}

// commandLine lets a kernel that oopses panic, and one that panics end.
// The watchdogs mistake a slow emulation for a hang.
func (g *Guest) commandLine() string {
	fixed := []string{
		"console=ttyS0", "quiet", "loglevel=4", "oops=panic", "panic=-1", "nowatchdog", "tsc=reliable",
		"rcupdate.rcu_cpu_stall_suppress=1", "mitigations=off",
	}
	return strings.Join(append(fixed, g.Options...), " ")
}

func tail(text string) string {
	const most = 4000
	if len(text) > most {
		text = text[len(text)-most:]
	}
	return text
}

// The marks stand at the beginning of lines on the second serial port.
const (
	markBegin = "@@begin "
	markEnd   = "@@end "
	markDone  = "@@done"
)

// parse reads the results and says whether they are complete.
func parse(results []byte, steps map[string]StepOutput) (done bool) {
	var name string
	var text strings.Builder
	for line := range bytes.Lines(results) {
		line := strings.TrimRight(string(line), "\r\n")
		switch {
		case strings.HasPrefix(line, markBegin):
			name = line[len(markBegin):]
			text.Reset()
		case strings.HasPrefix(line, markEnd):
			var code int
			var begin, end float64 // seconds
			_, _ = fmt.Sscan(line[len(markEnd):], &code, &begin, &end)
			steps[name] = StepOutput{text.String(), code, time.Duration((end - begin) * 1e9)}
		case line == markDone:
			done = true
		default:
			text.WriteString(line + "\n")
		}
	}
	return done
}

// script is the first program of the guest.
func (g *Guest) script() string {
	const stepMost = 150 * time.Second
	var b strings.Builder
	b.WriteString(`#!/bin/busybox sh
/bin/busybox --install -s /bin
mount -t devtmpfs dev /dev
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t tracefs tracing /sys/kernel/tracing
mount -t cgroup2 cgroup /sys/fs/cgroup
mount -t tmpfs tmp /tmp
stty -F /dev/ttyS1 raw
exec </dev/null >/dev/ttyS1 2>&1
export PATH=/bin HOME=/tmp
ip link set lo up
echo 3600 >/proc/sys/vm/stat_interval
# A real-time thread may spin for as long as it wants.
echo -1 >/proc/sys/kernel/sched_rt_runtime_us
`)
	for _, s := range g.Steps {
		fmt.Fprintf(&b, `echo '%s%s'
read begin idle </proc/uptime
timeout -k 1 %d sh -c '%s'
code=$?
read end idle </proc/uptime
echo "
%s$code $begin $end"
`, markBegin, s.Name, int(stepMost.Seconds()), strings.ReplaceAll(s.Command, "'", `'\''`), markEnd)
	}
	fmt.Fprintf(&b, "echo '%s'\npoweroff -f\n", markDone)
	return b.String()
}
