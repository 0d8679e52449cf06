package ipidrive

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"syscall"
)

// Job is a scenario to run.
type Job struct {
	Scenario string `json:"scenario"`
	Turns    int    `json:"turns"`
	Victim   int    `json:"victim"` // CPU that is interrupted
	Sender   int    `json:"sender"` // CPU that does it, another one
}

// Result is what a scenario's process says at its end.
type Result struct {
	Job
	Received
	PID     int    `json:"pid"`
	TID     int    `json:"tid"`               // of the thread that acted
	TookNS  int64  `json:"took_ns"`           // of all turns
	Missing string `json:"missing,omitempty"` // what the machine lacks for the scenario, which did not run then
}

const jobEnv = "QUIETPATCH_IPIDRIVE"

// Main runs a scenario and ends the process if it was started by [Start]; else it returns.
func Main() {
	text := os.Getenv(jobEnv)
	if text == "" {
		return
	}
	var j Job
	err := json.Unmarshal([]byte(text), &j)
	if err == nil {
		_, _ = io.Copy(io.Discard, os.Stdin)
		var r Result
		if r, err = run(j); err == nil {
			err = json.NewEncoder(os.Stdout).Encode(r)
		}
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

// Process is a scenario in its process. It waits for Finish before it begins, and keeps all others from
// starting to its end.
type Process struct {
	cmd      *exec.Cmd
	input    io.Closer
	out, err bytes.Buffer
}

// quietRuntime keeps the Go runtime from sending signals and from collecting, and has a
// P for each thread that blocks in a raw system call.
var quietRuntime = []string{"GODEBUG=asyncpreemptoff=1", "GOGC=off", "GOMAXPROCS=4"}

// Start starts this executable again, which has to call [Main]. It waits until no other scenario of
// this machine is there: who starts one has to call Finish or Cancel before the next.
func Start(j Job) (*Process, error) {
	exe, err := os.Executable()
	if err != nil {
		return nil, err
	}
	text, err := json.Marshal(j)
	if err != nil {
		return nil, err
	}
	locked, err := takeLock(filepath.Join(os.TempDir(), lockName), "scenario "+j.Scenario, lockMost)
	if err != nil {
		return nil, err
	}
	defer locked.Close() // the process has it now
	p := &Process{cmd: exec.Command(exe)}
	p.cmd.ExtraFiles = []*os.File{locked}
	p.cmd.Env = slices.Concat(os.Environ(), quietRuntime, []string{jobEnv + "=" + string(text)})
	p.cmd.Stdout, p.cmd.Stderr = &p.out, &p.err
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} // what spins must not stay
	if p.input, err = p.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	return p, p.cmd.Start()
}

// PID returns the number of the process.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// Cancel ends a scenario for which Finish was not called.
func (p *Process) Cancel() {
	if p.cmd.ProcessState == nil {
		_ = p.cmd.Process.Kill()
		_ = p.cmd.Wait() // says that it was killed
	}
}

// Finish lets the scenario run to its end.
func (p *Process) Finish() (Result, error) {
	var r Result
	err := errors.Join(p.input.Close(), p.cmd.Wait())
	if err == nil {
		err = json.Unmarshal(p.out.Bytes(), &r)
	}
	if err != nil {
		return r, fmt.Errorf("scenario: %w: %s%s", err, &p.err, &p.out)
	}
	return r, nil
}
