package trace

import (
	"fmt"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// capability is one that a backend may need (capabilities(7)).
type capability struct {
	name string
	bit  uint
	why  string
}

var capabilities = []capability{
	{"CAP_BPF", unix.CAP_BPF, "to load eBPF programs"},
	{"CAP_PERFMON", unix.CAP_PERFMON, "to attach them to events of the kernel"},
	{"CAP_SYS_ADMIN", unix.CAP_SYS_ADMIN, "for tracefs where eBPF is refused"},
	{"CAP_SYSLOG", unix.CAP_SYSLOG, "to see the addresses of the kernel's functions, or kernel.kptr_restrict=0"},
}

// hints say what the process lacks, and what can be done.
func hints() []string {
	status, _ := os.ReadFile("/proc/self/status")
	lockdown, _ := os.ReadFile("/sys/kernel/security/lockdown")
	return hintsOf(string(status), string(lockdown), inContainer(), os.Geteuid())
}

func hintsOf(status, lockdown string, container bool, uid int) (out []string) {
	var missing []string
	if caps, ok := effective(status); ok {
		for _, c := range capabilities {
			if caps>>c.bit&1 == 0 {
				missing = append(missing, c.name+" ("+c.why+")")
			}
		}
	}
	if len(missing) > 0 {
		out = append(out, "missing capabilities: "+strings.Join(missing, ", "))
		if uid != 0 {
			out = append(out, "run it with sudo")
		}
	}
	for _, mode := range []string{"integrity", "confidentiality"} {
		if strings.Contains(lockdown, "["+mode+"]") {
			out = append(out, fmt.Sprintf("the kernel is locked down (%s), kernel_lockdown(7): with confidentiality it can be traced by nobody", mode))
		}
	}
	if container && len(out) > 0 {
		out = append(out, "this looks like a container: run it on the host, or give the container the capabilities"+
			" above and /sys/kernel/tracing and /sys/kernel/btf of the host")
	}
	return out
}

// effective finds the capabilities in /proc/self/status (proc_pid_status(5), CapEff).
func effective(status string) (caps uint64, ok bool) {
	for line := range strings.Lines(status) {
		if rest, found := strings.CutPrefix(line, "CapEff:"); found {
			caps, err := strconv.ParseUint(strings.TrimSpace(rest), 16, 64)
			return caps, err == nil
		}
	}
	return 0, false
}

// inContainer guesses: Docker and Podman leave a file each, and systemd-nspawn, LXC and others
// tell the first process (systemd's Container Interface).
func inContainer() bool {
	for _, file := range []string{"/.dockerenv", "/run/.containerenv"} {
		if _, err := os.Stat(file); err == nil {
			return true
		}
	}
	env, err := os.ReadFile("/proc/1/environ")
	return err == nil && strings.Contains("\x00"+string(env), "\x00container=")
}
