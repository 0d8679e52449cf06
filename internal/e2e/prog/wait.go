package main

import (
	"errors"
	"time"

	"github.com/quietpatch/quietpatch"
	"github.com/quietpatch/quietpatch/statickey"
)

func init() { programs["wait"] = wait }

var waitKey statickey.Bool

var _ = statickey.Register(&waitKey, "prog.wait", "lets a loop end that does nothing but check it")

// waitLoop has nothing in it that would make a compiler read the key again. If
// one hoisted the read out of the loop, it would never end.
//
//go:noinline
func waitLoop() {
	for !waitKey.Enabled() {
	}
}

// wait ends a loop on another thread by a flip, armed and from memory.
func wait([]string) (any, error) {
	for _, backend := range []string{"none", ""} {
		if err := configure("", backend); err != nil {
			return nil, err
		}
		if err := waitKey.Disable(); err != nil {
			return nil, err
		}
		done := make(chan struct{})
		go func() {
			waitLoop()
			close(done)
		}()
		time.Sleep(10 * time.Millisecond) // it is most likely in the loop by now; either way it must end
		if err := waitKey.Enable(); err != nil {
			return nil, err
		}
		select {
		case <-done:
		case <-time.After(10 * time.Second):
			return nil, errors.New("the loop does not see the key: the compiler hoisted the read (" + backend + ")")
		}
	}
	return quietpatch.Status(), nil
}
