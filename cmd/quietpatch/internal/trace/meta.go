package trace

import (
	"runtime"
	"runtime/debug"
	"strings"
	"time"

	"github.com/quietpatch/quietpatch/cmd/quietpatch/internal/ipireport"
	"github.com/quietpatch/quietpatch/cmd/quietpatch/internal/ipitrace"
)

func newMeta(o Options, t ipitrace.Tracer) ipireport.Meta {
	return ipireport.Meta{
		Version: version(),
		Start:   time.Now(),
		Kernel:  kernel(),
		Machine: runtime.GOARCH,
		CPUs:    Possible(),
		Victims: o.Watch.Victims.String(),
		Filter:  o.Filter,
		Mode:    t.Mode(),
		Notes:   append(append([]string{}, o.Notes...), t.Missing()...),
		PIDs:    pids(o.Watch.TGIDs),
		Follow:  o.Watch.Follow,
		Planned: o.Planned,
		Blind:   t.Blind(),
	}
}

func pids(tgids []int32) (out []int) {
	for _, n := range tgids {
		out = append(out, int(n))
	}
	return out
}

// removedText says what traces have left that were killed, and that it is gone; "" if there was nothing.
func removedText(names []string) string {
	if len(names) == 0 {
		return ""
	}
	return "removed from tracefs what traces left that were killed: " + strings.Join(names, ", ")
}

// version is that of the module, as the Go command has put it into the program.
func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	return info.Main.Version
}
