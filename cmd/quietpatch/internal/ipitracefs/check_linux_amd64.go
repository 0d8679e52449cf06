package ipitracefs

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/quietpatch/quietpatch/cmd/quietpatch/internal/ipitrace"
	"github.com/quietpatch/quietpatch/cmd/quietpatch/internal/kallsyms"
)

// Check looks which means exist here. It changes nothing and starts no event.
func Check() []ipitrace.Finding {
	root, err := openTracefs()
	found := []ipitrace.Finding{{Name: "tracefs", OK: err == nil, Needed: true, Lost: "everything"}}
	if err != nil {
		found[0].Why = err.Error()
		return append(found, ipitrace.FoundSymbols(kallsyms.Read()))
	}
	defer root.close()
	found[0].Why = root.name
	if root.name != mountPoint && root.name != oldMountPoint {
		found[0].Why = "not mounted; a private mount is possible"
	}
	found = append(found, checkInstances(root), checkClock(root))
	for i := range events {
		found = append(found, checkEvent(root, &events[i]))
	}
	return append(found, checkNamespace(), ipitrace.FoundSymbols(kallsyms.Read()))
}

func checkInstances(root dir) ipitrace.Finding {
	f := ipitrace.Finding{Name: "instances of tracefs", OK: true, Needed: true, Lost: "everything"}
	if err := unix.Faccessat(root.fd, "instances", unix.W_OK|unix.X_OK, unix.AT_EACCESS); err != nil {
		f.OK, f.Why = false, explain(root.fail("access", "instances", err)).Error()
	}
	return f
}

func checkClock(root dir) ipitrace.Finding {
	f := ipitrace.Finding{Name: "trace clock mono", Needed: true, Lost: "the order of events of several CPUs"}
	text, err := root.read("trace_clock")
	switch {
	case err != nil:
		f.Why = explain(err).Error()
	case !slices.Contains(strings.Fields(strings.Trim(string(text), "[]")), "mono"):
		f.Why = fmt.Sprintf("the kernel has %q", text)
	default:
		f.OK = true
	}
	return f
}

// checkEvent looks whether the event has the fields that are read.
func checkEvent(root dir, e *event) ipitrace.Finding {
	f := ipitrace.Finding{Name: "event " + e.name, Needed: e.use == needed, Lost: e.lost}
	text, err := root.read("events/" + e.name + "/format")
	if err == nil {
		err = newDecoder().add(e, text)
	}
	switch {
	case err == nil:
		f.OK = true
	case errors.Is(err, fs.ErrNotExist):
		f.Why = eventError(e, err).Error()
	default:
		f.Why = explain(err).Error()
	}
	return f
}

func checkNamespace() ipitrace.Finding {
	f := ipitrace.Finding{Name: "first PID namespace", OK: firstNamespace(), Lost: "names of processes that were there before"}
	if !f.OK {
		f.Why = "the events number processes otherwise than /proc does here"
	}
	return f
}
