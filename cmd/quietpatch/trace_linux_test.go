package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/quietpatch/quietpatch/cmd/quietpatch/internal/affinity"
	"github.com/quietpatch/quietpatch/cmd/quietpatch/internal/ipi"
	"github.com/quietpatch/quietpatch/cmd/quietpatch/internal/ipidrive"
	"github.com/quietpatch/quietpatch/cmd/quietpatch/internal/ipireport"
	"github.com/quietpatch/quietpatch/cmd/quietpatch/internal/trace"
)

// The test binary runs scenarios, too.
func init() { ipidrive.Main() }

// twoCPUs returns the last two CPUs of the process: one that is interrupted, and one that interrupts.
func twoCPUs(t *testing.T) (victim, sender int) {
	t.Helper()
	cpus, err := affinity.Allowed()
	if err != nil || len(cpus) < 2 {
		t.Skipf("needs two CPUs: this process may run on %v (%v)", cpus, err)
	}
	return cpus[len(cpus)-1], cpus[len(cpus)-2]
}

// scenario starts one, which waits.
func scenario(t *testing.T, name string, turns int) (p *ipidrive.Process, victim int) {
	t.Helper()
	victim, sender := twoCPUs(t)
	p, err := ipidrive.Start(ipidrive.Job{Scenario: name, Turns: turns, Victim: victim, Sender: sender})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Cancel)
	return p, victim
}

// finish runs a scenario to its end.
func finish(t *testing.T, p *ipidrive.Process) ipidrive.Result {
	t.Helper()
	r, err := p.Finish()
	if err != nil {
		t.Fatal(err)
	}
	if r.Missing != "" {
		t.Skip("needs " + r.Missing)
	}
	return r
}

// TestTraceTimestamp tells the story of SO_TIMESTAMP: 100 times on and off are 600 IPIs, whose
// sender is the process, not the kworker that flips the key for it.
func TestTraceTimestamp(t *testing.T) {
	p, victim := scenario(t, "timestamp", 100)
	end := watch(t, "--cpus", fmt.Sprint(victim))
	r := finish(t, p)
	report := end(exitOK)
	from := map[string]uint64{}
	var sum uint64
	for _, row := range report.Rows {
		if row.PID != r.PID || row.Cause != "do_sync_core" {
			continue
		}
		sum += row.IPIs
		from[row.Origin] += row.IPIs
		if row.CPU != victim || row.Kind != ipi.Call || row.Comm == "" || row.Path != "workqueue netstamp_clear" || row.Remedy == "" || row.Via == "" {
			t.Errorf("%+v", row)
		}
	}
	if sum < 588 || sum > 612 {
		t.Errorf("%d IPIs, want 600 within 2 percent; the CPU received %+v", sum, r.Received)
	}
	for _, call := range []string{"setsockopt(SO_TIMESTAMP)", "close"} {
		var n uint64
		for origin, ipis := range from {
			if strings.HasPrefix(origin, call) {
				n += ipis
			}
		}
		if n < 290 || n > 310 {
			t.Errorf("%d IPIs from %s, want 3 for each flip; found %v", n, call, from)
		}
	}
	if report.Lost != 0 { // self_ipis can be 0, if another trace has turned the events on
		t.Errorf("lost %d, self_ipis %d", report.Lost, report.SelfIPIs)
	}
}

// TestTraceMembarrier: exactly 1000, with their sender, in the JSON that is promised. An IPI that is on its
// way for somebody else can serve a call, too: then one is tried again.
func TestTraceMembarrier(t *testing.T) {
	const n, tries = 1000, 3
	for try := 1; ; try++ {
		p, victim := scenario(t, "membarrier", n)
		end := watch(t, "--cpus", fmt.Sprint(victim))
		r := finish(t, p)
		var found []ipireport.JSONRow
		for _, row := range end(exitOK).Rows {
			if row.Cause == "ipi_sync_core" && row.PID == r.PID {
				found = append(found, row)
			}
		}
		if len(found) == 1 && found[0].Queued == n && found[0].IPIs < n && found[0].IPIs > n-n/100 && try < tries {
			t.Logf("%d IPIs for %d calls: again", found[0].IPIs, n)
			continue
		}
		if len(found) != 1 || found[0].IPIs != n || found[0].Queued != n || found[0].Syscall != "membarrier" || found[0].CPU != victim || found[0].Comm == "" || found[0].CostNS == 0 {
			t.Errorf("%+v, want one row with %d; the CPU received %+v", found, n, r.Received)
		}
		return
	}
}

// TestTraceNarrow: what is not asked for is not there.
func TestTraceNarrow(t *testing.T) {
	for _, how := range []string{"--pid", "--filter", "--cpus"} {
		t.Run(how, func(t *testing.T) {
			p, victim := scenario(t, "membarrier", 200)
			_, sender := twoCPUs(t)
			args := map[string][]string{
				"--pid":    {"--pid", fmt.Sprint(p.PID())},
				"--filter": {"--filter", fmt.Sprintf("tgid == %d && (cause == ipi_sync_core || kind == resched) && CPU & CPUS{%d}", p.PID(), sender)},
				"--cpus":   {"--cpus", fmt.Sprint(sender)},
			}[how]
			end := watch(t, args...)
			r := finish(t, p)
			report := end(exitOK)
			var sum uint64
			for _, row := range report.Rows {
				if how != "--cpus" && row.PID != r.PID {
					t.Errorf("not asked for: %+v", row)
				}
				if row.CPU == victim && row.Cause == "ipi_sync_core" && row.PID == r.PID {
					sum += row.Queued
				}
			}
			want := uint64(200)
			if how == "--cpus" {
				want = 0
			}
			if sum != want {
				t.Errorf("%d calls, want %d: %+v", sum, want, report.Rows)
			}
		})
	}
}

// TestTraceAssert: an assertion that does not hold makes the exit code, and names the rows.
func TestTraceAssert(t *testing.T) {
	p, victim := scenario(t, "membarrier", 50)
	end := watch(t, "--cpus", fmt.Sprint(victim), "--pid", fmt.Sprint(p.PID()), "--assert", "queued(cause=ipi_sync_core) < 50")
	finish(t, p)
	if report := end(exitFailed); report.Queued < 50 {
		t.Errorf("%d calls", report.Queued)
	}
	p, victim = scenario(t, "membarrier", 50)
	end = watch(t, "--cpus", fmt.Sprint(victim), "--pid", fmt.Sprint(p.PID()), "--assert", "queued(cause=ipi_sync_core) == 50 && lost == 0")
	finish(t, p)
	end(exitOK)
}

// TestTraceProgram: a program is watched from its first instruction to its end.
func TestTraceProgram(t *testing.T) {
	if usable(t) == "" {
		t.Skip("needs a backend: quietpatch trace --check says what is missing")
	}
	for _, tc := range []struct {
		script string
		code   int
	}{{"echo said", exitOK}, {"echo said; exit 3", exitFailed}} {
		out, errs, code := runCommand(t, "trace", "--", "sh", "-c", tc.script)
		if code != tc.code || !strings.HasPrefix(out, "said\n") || !strings.Contains(out, "and all that it starts") {
			t.Errorf("%s: exit code %d, want %d\n%s%s", tc.script, code, tc.code, out, errs)
		}
	}
	if out, errs, code := runCommand(t, "trace", "--json", "--", "sh", "-c", "echo said"); code != exitOK || !strings.HasPrefix(out, "{") || !strings.Contains(errs, "said\n") {
		t.Errorf("exit code %d\n%s%s", code, out, errs)
	}
}

// TestTraceFollow: what a program starts is watched, too, by each backend.
func TestTraceFollow(t *testing.T) {
	victim, sender := twoCPUs(t)
	drive := filepath.Join(t.TempDir(), "drive")
	if out, err := exec.Command("go", "build", "-o", drive, "./internal/ipidrive/drive").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	// The shell starts drive, and drive starts itself again.
	script := fmt.Sprintf("%s -scenario membarrier -turns 100 -victim %d -sender %d; true", drive, victim, sender)
	for _, backend := range []string{"bpf", "tracefs"} {
		t.Run(backend, func(t *testing.T) { traceFollow(t, backend, victim, script) })
	}
}

func needBackend(t *testing.T, backend string) {
	t.Helper()
	if check, err := trace.NewCheck(backend); err != nil || check.Usable == "" {
		t.Skipf("needs backend %s, %v: quietpatch trace --check says what is missing", backend, err)
	}
}

func traceFollow(t *testing.T, backend string, victim int, script string) {
	needBackend(t, backend)
	out, errs, code := runCommand(t, "trace", "--backend", backend, "--json", "--cpus", fmt.Sprint(victim), "--", "sh", "-c", script)
	var report ipireport.JSON
	if err := json.Unmarshal([]byte(out), &report); err != nil || code != exitOK {
		t.Fatalf("exit code %d, %v\n%s%s", code, err, out, errs)
	}
	var sum uint64
	for _, row := range report.Rows {
		if row.Comm == "drive" && row.Cause == "ipi_sync_core" {
			sum += row.Queued
		} else if row.Comm != "sh" && row.Comm != "drive" {
			t.Errorf("not asked for: %+v", row)
		}
	}
	if sum != 100 {
		t.Errorf("%d calls, want 100: %+v", sum, report.Rows)
	}
}

// TestTraceServe asks for all pages while a trace runs.
func TestTraceServe(t *testing.T) {
	if usable(t) == "" {
		t.Skip("needs a backend: quietpatch trace --check says what is missing")
	}
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := free.Addr().String()
	free.Close()
	end := watch(t, "--serve", address, "--interval", "50ms")
	for path, want := range map[string]string{"/metrics": "quietpatch_ipis_total", "/json": `"rows"`, "/": "</html>", "/folded": ""} {
		resp, err := http.Get("http://" + address + path)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if err != nil || resp.StatusCode != http.StatusOK || !strings.Contains(string(body), want) {
			t.Errorf("%s: %s, %v, without %q:\n%s", path, resp.Status, err, want, body)
		}
	}
	end(exitOK)
}

// TestTraceRefused: without the capabilities there is a clear message and no trace.
func TestTraceRefused(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root, to take the rights of root away")
	}
	setpriv, err := exec.LookPath("setpriv")
	if err != nil {
		t.Skip("needs the command setpriv")
	}
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(setpriv, "--bounding-set=-all", "--inh-caps=-all", "--reuid=65534", "--regid=65534", "--clear-groups", exe, "trace", "--for", "1s")
	cmd.Env = []string{"QUIETPATCH_TEST_COMMAND=1"}
	var errs strings.Builder
	cmd.Stderr = &errs
	_ = cmd.Run() // says no more than the exit code
	if code := cmd.ProcessState.ExitCode(); code != exitUsage {
		t.Fatalf("exit code %d, want %d\n%s", code, exitUsage, errs.String())
	}
	for _, want := range []string{"eBPF: ", "tracefs: ", "CAP_BPF", "CAP_PERFMON", "run it with sudo"} {
		if !strings.Contains(errs.String(), want) {
			t.Errorf("without %q:\n%s", want, errs.String())
		}
	}
}

// TestTraceNothing: a filter that lets nothing pass must not look like a quiet CPU.
func TestTraceNothing(t *testing.T) {
	victim, sender := twoCPUs(t)
	out, errs, code := runCommand(t, "trace", "--for", "1s", "--cpus", fmt.Sprint(victim), "--filter", fmt.Sprintf("cpu & CPUS{%d}", sender), "--assert", "ipis <= 0")
	if code != exitUsage || out != "" || !strings.Contains(errs, "nothing would be watched") {
		t.Errorf("exit code %d, want %d\n%s%s", code, exitUsage, out, errs)
	}
}

// TestTraceUnknown: an assertion about a function that there is not would always hold.
func TestTraceUnknown(t *testing.T) {
	if usable(t) == "" {
		t.Skip("needs a backend: quietpatch trace --check says what is missing")
	}
	out, errs, code := runCommand(t, "trace", "--for", "1s", "--assert", "ipis(cause=do_sync_cor) <= 0")
	if code != exitUsage || out != "" || !strings.Contains(errs, `"do_sync_cor"`) {
		t.Errorf("exit code %d, want %d\n%s%s", code, exitUsage, out, errs)
	}
}

// signaled runs a trace, sends it a signal when the program says that it is ready, and returns what was printed.
func signaled(t *testing.T, sig os.Signal, script string) (out string, code int, program int) {
	t.Helper()
	if usable(t) == "" {
		t.Skip("needs a backend: quietpatch trace --check says what is missing")
	}
	ready := filepath.Join(t.TempDir(), "ready")
	cmd := command(t, "trace", "--", "sh", "-c", strings.ReplaceAll(script, "READY", "echo $$ >"+ready+".new; mv "+ready+".new "+ready))
	var b strings.Builder
	cmd.Stdout = &b
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	for {
		text, err := os.ReadFile(ready)
		if err == nil {
			if _, err := fmt.Sscan(string(text), &program); err != nil {
				t.Fatal(err)
			}
			break
		}
		time.Sleep(time.Millisecond)
	}
	if err := cmd.Process.Signal(sig); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait() // says no more than the exit code
	return b.String(), cmd.ProcessState.ExitCode(), program
}

// TestTraceEnds: when a trace is ended, so is its program, and that is no failure of either.
func TestTraceEnds(t *testing.T) {
	for _, sig := range []os.Signal{syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP} {
		out, code, program := signaled(t, sig, "READY; while :; do sleep 0.01; done")
		if code != exitOK || !strings.Contains(out, "and all that it starts") {
			t.Errorf("%v: exit code %d\n%s", sig, code, out)
		}
		if err := syscall.Kill(program, 0); err != syscall.ESRCH {
			t.Errorf("%v: the program goes on: %v", sig, err)
		}
	}
}

// line is the next line.
func line(s *bufio.Scanner) string {
	s.Scan()
	return s.Text()
}

// TestTraceStubborn: the report is out although the program does not end.
func TestTraceStubborn(t *testing.T) {
	if usable(t) == "" {
		t.Skip("needs a backend: quietpatch trace --check says what is missing")
	}
	cmd := command(t, "trace", "--", "sh", "-c", `trap "" TERM INT; echo $$; while :; do sleep 0.01; done`)
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(stdout)
	program := 0
	if _, err := fmt.Sscan(line(lines), &program); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	for lines.Scan() && !strings.Contains(lines.Text(), "and all that it starts") {
		t.Log(lines.Text())
	}
	if err := syscall.Kill(program, syscall.SIGKILL); err != nil {
		t.Errorf("the program has ended: %v", err)
	}
	if !strings.Contains(lines.Text(), "and all that it starts") {
		t.Error("no report")
	}
	_ = cmd.Wait() // says no more than the exit code
}
