package ipibpf

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/quietpatch/quietpatch/cmd/quietpatch/internal/ipitrace"
)

const execEnv = "IPIBPF_EXEC"

// What the leader does while another thread calls exec.
const (
	leaderLives = "lives"
	leaderEnded = "ended" // before
)

func init() { execs() }

// execs calls exec in a thread that is not the leader, if this process was started for that: init has the
// leader. A third thread tells its number. What is executed repeats what it reads.
func execs() {
	how := os.Getenv(execEnv)
	if how == "" {
		return
	}
	go func() {
		runtime.LockOSThread()
		fmt.Println(unix.Gettid())
		select {}
	}()
	go func() {
		runtime.LockOSThread()
		_, err := unix.Read(0, make([]byte, len("go\n")))
		for err == nil && how == leaderEnded && !isZombie(os.Getpid()) {
			time.Sleep(time.Millisecond)
		}
		if err == nil {
			err = unix.Exec("/bin/cat", []string{"cat"}, nil)
		}
		panic(err)
	}()
	if how == leaderEnded {
		_, _, _ = unix.Syscall(unix.SYS_EXIT, 0, 0, 0) // only this thread
	}
	select {}
}

// isZombie reports whether the leader has ended (proc_pid_stat(5)).
func isZombie(pid int) bool {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	return err == nil && bytes.Contains(b, []byte(") Z "))
}

// execing is a process that calls exec when it reads go.
type execing struct {
	cmd   *exec.Cmd
	pid   uint32
	third int // thread
	in    *os.File
	out   *bufio.Reader
}

func startExec(t *testing.T, how string) *execing {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(exe, "-test.run=^$")
	cmd.Env = append(os.Environ(), execEnv+"="+how)
	input, in, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer input.Close()
	cmd.Stdin = input
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		in.Close()
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	e := &execing{cmd: cmd, pid: uint32(cmd.Process.Pid), in: in, out: bufio.NewReader(out)}
	if _, err := fmt.Fscanln(e.out, &e.third); err != nil {
		t.Fatal(err)
	}
	return e
}

func (e *execing) write(t *testing.T, line string) {
	t.Helper()
	if _, err := e.in.WriteString(line); err != nil {
		t.Fatal(err)
	}
}

// followed traces this process and what it starts.
func followed(t *testing.T) *Tracer {
	t.Helper()
	return open(t, ipitrace.Options{TGIDs: []int32{int32(os.Getpid())}, Follow: true})
}

// TestThreadExecs: a process is followed further, by the numbers of process and thread, if another thread than
// its leader calls exec: whether the leader ends for that, or has ended before.
func TestThreadExecs(t *testing.T) {
	for _, how := range []string{leaderLives, leaderEnded} {
		tr := followed(t)
		e := startExec(t, how)
		if err := tr.choose("pids", []int32{int32(e.pid)}, nil); err != nil {
			t.Fatal(err)
		}
		e.write(t, "go\n")
		e.write(t, "is there\n")
		if line, err := e.out.ReadString('\n'); err != nil || line != "is there\n" {
			t.Fatalf("leader %s: got %q, %v", how, line, err)
		}
		if err := exec.Command("/bin/true").Run(); err != nil { // whose end comes after that of the leader
			t.Skip(err)
		}
		onlyLeft(t, tr, uint32(os.Getpid()), e.pid)
		if !has(tr, "pids", e.pid) {
			t.Errorf("leader %s: the thread that was asked for is not in the set", how)
		}
		e.in.Close()
		if err := e.cmd.Wait(); err != nil {
			t.Fatal(err)
		}
		onlyLeft(t, tr, uint32(os.Getpid()))
		if has(tr, "pids", e.pid) {
			t.Errorf("leader %s: the thread that was asked for is still in the set", how)
		}
		tr.Close()
	}
}

// TestExecKilled: the number of a process that is killed while its exec waits for a thread to end is forgotten. The
// thread waits for this one, which traces it.
func TestExecKilled(t *testing.T) {
	runtime.LockOSThread() // ptrace is for threads
	defer runtime.UnlockOSThread()
	tr := followed(t)
	e := startExec(t, leaderLives)
	if _, _, errno := unix.Syscall6(unix.SYS_PTRACE, unix.PTRACE_SEIZE, uintptr(e.third), 0, unix.PTRACE_O_TRACEEXIT, 0, 0); errno != 0 {
		t.Skipf("ptrace: %v", errno)
	}
	e.write(t, "go\n")
	var status unix.WaitStatus
	if _, err := unix.Wait4(e.third, &status, unix.WALL, nil); err != nil || !status.Stopped() || status>>16 != unix.PTRACE_EVENT_EXIT {
		t.Fatalf("thread %d: status %#x, %v; expected that it stops at its end", e.third, status, err)
	}
	for end := time.Now().Add(10 * time.Second); !isZombie(int(e.pid)); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("the leader has not ended for the exec")
		}
	}
	if err := e.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	for !status.Signaled() && !status.Exited() {
		if _, err := unix.Wait4(e.third, &status, unix.WALL, nil); err != nil {
			t.Fatalf("thread %d: %v", e.third, err)
		}
	}
	if err := e.cmd.Wait(); err == nil {
		t.Fatal("the process has ended without an error, expected that it is killed")
	}
	onlyLeft(t, tr, uint32(os.Getpid()))
}
