package host

import (
	"bytes"
	"fmt"
	"strconv"

	"golang.org/x/sys/unix"
)

// TracerPID returns the process id of whoever traces this process (a debugger,
// strace), 0 when nobody does (TracerPid in proc_pid_status(5)). A tracer sees
// every trap first. It looks at the first thread only: tracers attach to all.
// The file is opened each time: a descriptor that is kept can be closed by the
// program, and become another file.
func TracerPID() (int, error) {
	fd, err := unix.Open("/proc/self/status", unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return 0, fmt.Errorf("open /proc/self/status: %w", err)
	}
	defer unix.Close(fd)
	var buf [1024]byte // TracerPid is on the eighth line
	n, err := unix.Read(fd, buf[:])
	if err != nil {
		return 0, fmt.Errorf("read /proc/self/status: %w", err)
	}
	return parseTracer(buf[:n])
}

func parseTracer(b []byte) (int, error) {
	const field = "\nTracerPid:\t"
	_, rest, ok := bytes.Cut(b, []byte(field))
	if !ok {
		return 0, fmt.Errorf("/proc/self/status: expected a line TracerPid in its first %d bytes", len(b))
	}
	line, _, _ := bytes.Cut(rest, []byte("\n"))
	return strconv.Atoi(string(line))
}
