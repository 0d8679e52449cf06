package trace

import (
	"errors"
	"fmt"
	"os/exec"
	"runtime"
	"syscall"
)

// A Child is a program that has been loaded and has not run yet.
type Child struct {
	PID     int
	release chan struct{}
	ended   chan error
}

// StartChild loads a program and stops it before its first instruction, so that a trace of it
// can begin (ptrace(2), PTRACE_TRACEME: a stop after execve). The kernel wants all
// about ptrace from one thread, which is the goroutine's below.
func StartChild(cmd *exec.Cmd) (*Child, error) {
	c := &Child{release: make(chan struct{}), ended: make(chan error, 1)}
	started := make(chan error)
	cmd.SysProcAttr = &syscall.SysProcAttr{Ptrace: true}
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		if err := stopped(cmd); err != nil {
			started <- err
			return
		}
		c.PID = cmd.Process.Pid
		started <- nil
		<-c.release
		if err := syscall.PtraceDetach(c.PID); err != nil {
			c.ended <- errors.Join(fmt.Errorf("let %s go on: %w", cmd.Path, err), cmd.Process.Kill(), cmd.Wait())
			return
		}
		c.ended <- cmd.Wait()
	}()
	if err := <-started; err != nil {
		return nil, err
	}
	return c, nil
}

// stopped starts the program and waits until it stands.
func stopped(cmd *exec.Cmd) error {
	if err := cmd.Start(); err != nil {
		return err
	}
	var status syscall.WaitStatus
	_, err := syscall.Wait4(cmd.Process.Pid, &status, 0, nil)
	for errors.Is(err, syscall.EINTR) {
		_, err = syscall.Wait4(cmd.Process.Pid, &status, 0, nil)
	}
	if err == nil && !status.Stopped() {
		return fmt.Errorf("%s ended before it could be watched", cmd.Path)
	}
	if err != nil {
		return errors.Join(fmt.Errorf("wait for %s to stop: %w", cmd.Path, err), cmd.Process.Kill(), cmd.Wait())
	}
	return nil
}

// Go lets the program run; the channel gets what exec.Cmd's Wait returns.
func (c *Child) Go() <-chan error {
	close(c.release)
	return c.ended
}

// Kill ends a program that Go was not called for.
func (c *Child) Kill() error {
	if err := syscall.Kill(c.PID, syscall.SIGKILL); err != nil {
		return err
	}
	<-c.Go() // says that it was killed
	return nil
}
