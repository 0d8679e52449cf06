package ipibpf

import (
	"errors"
	"io"
	"os"
	"os/exec"
	"runtime"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/quietpatch/quietpatch/cmd/quietpatch/internal/interrupts"
	"github.com/quietpatch/quietpatch/cmd/quietpatch/internal/ipi"
	"github.com/quietpatch/quietpatch/cmd/quietpatch/internal/ipidrive"
	"github.com/quietpatch/quietpatch/cmd/quietpatch/internal/ipitrace"
)

// switchStats writes a setting of the kernel from the sender's CPU, to and fro: 6 IPIs each turn.
func switchStats(t *testing.T, turns int) {
	t.Helper()
	const file = "/proc/sys/kernel/bpf_stats_enabled"
	release, err := ipidrive.Lock(t.Name()) // scenarios use it, too
	if err != nil {
		t.Fatal(err)
	}
	defer release()
	if old, err := os.ReadFile(file); err != nil || string(old) != "0\n" {
		t.Skipf("%s is %q, expected 0: %v", file, old, err)
	}
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // it ends with the goroutine
		err := pin(sender)
		for i := range 2 * turns {
			err = errors.Join(err, os.WriteFile(file, []byte{"10"[i%2]}, 0))
		}
		done <- err
	}()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
}

// TestOwn: the tracer's process can watch itself; if it was not asked for, it is in no row, but told.
func TestOwn(t *testing.T) {
	const turns = 10
	const want = uint64(turns * 6)
	for _, asked := range []bool{true, false} {
		opts := ipitrace.Options{}
		if asked {
			opts.TGIDs = []int32{int32(os.Getpid())}
		}
		tr := open(t, opts)
		before, err := tr.Read()
		if err != nil {
			t.Fatal(err)
		}
		switchStats(t, turns)
		after, err := tr.Read()
		if err != nil {
			t.Fatal(err)
		}
		self := after.SelfIPIs - before.SelfIPIs
		own := func(r *ipi.Row) bool { return r.Sender.PID == os.Getpid() }
		got := sum(t, closed(t, tr), func(r *ipi.Row) bool {
			return own(r) && r.Cause == "do_sync_core" && r.Origin.Syscall == "write"
		})
		all := sum(t, after, own)
		switch {
		case !asked:
			if self < want*8/10 || all.IPIs > 0 || all.Queued > 0 {
				t.Errorf("not asked for: %d are told, want %d; rows have %+v", self, want, all)
			}
		case got.Queued != want && !tr.lateCalls || got.Queued == 0 || got.IPIs > want || self > 0:
			t.Errorf("asked for: got %+v, want %d; %d are told", got, want, self)
		}
	}
}

const loudEnv = "IPIBPF_LOUD"

// loud interrupts the victim until its input ends, if this process was started for that.
func loud() {
	if os.Getenv(loudEnv) == "" {
		return
	}
	on := func(cpu int, run func()) {
		runtime.LockOSThread()
		if err := pin(cpu); err != nil {
			panic(err)
		}
		for {
			run()
		}
	}
	const register, expedited = 16, 8
	membarrier := func(command uintptr) {
		if _, _, errno := unix.RawSyscall(unix.SYS_MEMBARRIER, command, 0, 0); errno != 0 {
			panic(errno)
		}
	}
	membarrier(register)
	go on(victim, func() {})
	go on(sender, func() { membarrier(expedited) })
	_, _ = io.Copy(io.Discard, os.Stdin)
	os.Exit(0)
}

// TestSelfAlone: what others send while the tracer starts and stops is not told as its own.
func TestSelfAlone(t *testing.T) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if err := pin(sender); err != nil {
		t.Fatal(err)
	}
	tr := open(t, ipitrace.Options{})
	alone := closed(t, tr).SelfIPIs
	if tr.lateCalls {
		t.Skip("by kprobes others are told, too")
	}
	if rig.Isolated {
		return // TestSelf shows it, since nobody else sends; and the emulated CPUs share one
	}
	cmd := exec.Command(os.Args[0], "-test.run=^$")
	cmd.Env = append(os.Environ(), loudEnv+"=1", "GOMAXPROCS=4") // it has the CPUs of this thread
	input, err := cmd.StdinPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		input.Close()
		_ = cmd.Wait()
	}()
	before := interrupts.Read()
	for end := time.Now().Add(2 * time.Second); interrupts.Read().IPIsSince(before, victim).Call < 1000 && time.Now().Before(end); {
		time.Sleep(time.Millisecond)
	}
	before = interrupts.Read()
	told := closed(t, open(t, ipitrace.Options{})).SelfIPIs
	others := interrupts.Read().IPIsSince(before, victim).Call
	t.Logf("%d are told, %d if it is quiet; %d came", told, alone, others)
	if others < 10*alone {
		t.Skip("others did not send enough")
	}
	// What others send in the few milliseconds of the first event is told; and another tracer may have
	// turned the events on.
	if told > alone+200+others/10 || told < alone/2 && others < 2*alone {
		t.Errorf("%d are told, %d if it is quiet; %d came", told, alone, others)
	}
}
