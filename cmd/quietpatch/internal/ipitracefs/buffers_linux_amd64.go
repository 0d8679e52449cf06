package ipitracefs

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// buffers are the ring buffers of all CPUs. They are read now and then and nobody waits for them:
// the kernel wakes who waits by an interrupt of the CPU that writes (kernel/trace/ring_buffer.c,
// rb_wakeups), and that can be one that is not to be disturbed.
type buffers struct {
	in      dir
	layout  layout
	decoder *decoder
	pipes   []pipe
	page    []byte
	pending []record // read and not counted yet
}

type pipe struct {
	cpu, fd int
}

func (b *buffers) open(in dir, cpus int) error {
	b.in = in
	text, err := in.read("events/header_page")
	if err != nil {
		return explain(err)
	}
	if b.layout, err = parseLayout(text); err != nil {
		return err
	}
	b.page = make([]byte, b.layout.size)
	for cpu := range cpus {
		name := fmt.Sprintf("per_cpu/cpu%d/trace_pipe_raw", cpu)
		fd, err := in.open(name, unix.O_RDONLY|unix.O_NONBLOCK)
		if err == nil {
			b.pipes = append(b.pipes, pipe{cpu, fd})
		} else if cpu == 0 { // numbers can be left out, but not all
			return explain(err)
		}
	}
	return nil
}

func (b *buffers) close() {
	for _, p := range b.pipes {
		unix.Close(p.fd)
	}
	b.pipes = nil
}

// drain reads what was written up to a time. full is how many bytes one CPU had at most.
func (b *buffers) drain(until uint64) (full int, err error) {
	for _, p := range b.pipes {
		n, err := b.drainOne(p, until)
		if err != nil {
			return full, fmt.Errorf("CPU %d: %w", p.cpu, err)
		}
		full = max(full, n)
	}
	return full, nil
}

func (b *buffers) drainOne(p pipe, until uint64) (total int, err error) {
	records := len(b.pending)
	c := collector{decoder: b.decoder, cpu: p.cpu, records: b.pending, first: records}
	defer func() { b.pending = c.records }()
	for {
		n, err := unix.Read(p.fd, b.page)
		if err == unix.EINTR {
			continue
		}
		if err == unix.EAGAIN || n == 0 {
			return total, nil
		}
		if err != nil {
			return total, fmt.Errorf("reading the ring buffer: %w", err)
		}
		total += n
		last, err := c.page(b.layout, b.page[:n])
		if err != nil || last >= until { // else a CPU that writes faster would keep the reader here
			return total, err
		}
	}
}

// take removes the records before a time from those that are pending.
func (b *buffers) take(until uint64) []record {
	old := make([]record, 0, len(b.pending))
	b.pending = slices.DeleteFunc(b.pending, func(r record) bool {
		if r.ts < until {
			old = append(old, r)
		}
		return r.ts < until
	})
	return old
}

// lost sums up the events that were overwritten before they were read, or not written.
func (b *buffers) lost() (sum uint64, err error) {
	for _, p := range b.pipes {
		text, err := b.in.read(fmt.Sprintf("per_cpu/cpu%d/stats", p.cpu))
		if err != nil {
			return 0, err
		}
		for _, what := range []string{"overrun:", "commit overrun:", "dropped events:"} {
			n, err := strconv.ParseUint(line(text, what), 10, 64)
			if err != nil {
				return 0, fmt.Errorf("per_cpu/cpu%d/stats: expected a number behind %q, found %q", p.cpu, what, strings.TrimSpace(line(text, what)))
			}
			sum += n
		}
	}
	return sum, nil
}
