package ipitracefs

import (
	"errors"
	"fmt"
	"math"
	"os"
	"runtime"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"github.com/quietpatch/quietpatch/cmd/quietpatch/internal/interrupts"
	"github.com/quietpatch/quietpatch/cmd/quietpatch/internal/ipi"
)

// now is the time of the clock "mono" of the events.
func now() uint64 {
	var ts unix.Timespec
	_ = unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts) // cannot fail
	return uint64(ts.Nano())
}

// turnOn turns the events on. What that sends is the tracer's own. The first event tells it, but for what
// its own start sends: for that millisecond, what came to the victims from all stands in.
func (t *Tracer) turnOn() error {
	t.whoami()
	t.count.eyesFrom = math.MaxUint64
	before := interrupts.Read()
	for i, e := range t.on {
		if err := t.turn(e, true); err != nil {
			return eventError(e.event, err)
		}
		switch i + 1 {
		case 1:
			t.self = t.unseen(before)
		case eyes:
			t.count.eyesFrom = now()
		}
	}
	t.count.from = now()
	return nil
}

// unseen is what has come to the victims since a reading, and was not seen by the event that was just
// turned on or off.
func (t *Tracer) unseen(since interrupts.Reading) uint64 {
	told := t.count.selfIPIs
	came := t.received(since)
	if err := t.readUntil(now()); err != nil && t.err == nil {
		t.err = err
	}
	return came - min(came, t.count.selfIPIs-told)
}

// turn turns an event on or off. Its trigger is there only while it is on: it would turn it on
// by itself, unseen.
func (t *Tracer) turn(e turnedOn, on bool) error {
	folder := "events/" + e.name + "/"
	if on {
		err := t.in.write(folder+"enable", "1")
		if err == nil && e.trigger != "" {
			err = t.in.write(folder+"trigger", e.trigger)
		}
		return err
	}
	var err error
	if e.trigger != "" {
		err = t.in.write(folder+"trigger", "!"+e.trigger)
	}
	return errors.Join(err, t.in.write(folder+"enable", "0"))
}

// whoami finds out what is the tracer's own.
func (t *Tracer) whoami() {
	if t.mark() {
		return
	}
	own := int32(unix.Getpid())
	t.count.self.tgid = own
	t.count.self.asked = asksFor(&t.opts, t.cpus, own, func(tid int32) bool {
		_, err := os.Stat(fmt.Sprintf("/proc/self/task/%d", tid))
		return err == nil
	})
}

// mark writes a mark, so that the events tell the number of this thread, where nothing else does: in
// another PID namespace than the first.
func (t *Tracer) mark() bool {
	return t.count.tasks.proc == "" && t.in.write("trace_marker", "quietpatch\n") == nil
}

// received is how many function calls came to the victims since a reading. The flushes of
// the TLB are among them (arch/x86/kernel/irq.c, arch_show_interrupts).
func (t *Tracer) received(since interrupts.Reading) uint64 {
	victims := t.opts.Victims
	if victims == nil {
		victims = ipi.Below(ipi.CPUsMax)
	}
	now, sum := interrupts.Read(), uint64(0)
	for cpu := range victims.All() {
		sum += now.IPIsSince(since, cpu).Call
	}
	return sum
}

// readUntil counts what was written up to a time.
func (t *Tracer) readUntil(until uint64) error {
	_, err := t.buffers.drain(until)
	t.count.add(t.buffers.take(until))
	return err
}

// run empties the buffers so often that they do not overflow.
func (t *Tracer) run(most time.Duration) {
	const (
		least  = 2 * time.Millisecond
		late   = time.Millisecond // a CPU may still write an event with a time before now
		plenty = 256 << 10
	)
	defer close(t.stopped)
	if t.mark() {
		runtime.LockOSThread() // it is this one's mark
		defer runtime.UnlockOSThread()
	}
	interval := min(most, 10*least)
	for {
		select {
		case <-t.stop:
			return
		case <-time.After(interval):
		}
		t.mu.Lock()
		full, err := t.buffers.drain(now())
		t.count.add(t.buffers.take(now() - uint64(late)))
		if err != nil && t.err == nil {
			t.err = err
		}
		t.mu.Unlock()
		if full > plenty {
			interval = max(interval/2, least)
		} else {
			interval = min(interval*2, most)
		}
	}
}

// Read returns what was counted since the start. After Close it is what Close has returned.
func (t *Tracer) Read() (ipi.Snapshot, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		return t.last, nil
	}
	err := t.snapshot(now())
	return t.last, err
}

// snapshot counts up to a time and makes a new snapshot.
func (t *Tracer) snapshot(until uint64) error {
	err := errors.Join(t.readUntil(until), t.err)
	// To stop takes a while, in which nothing is counted.
	s := t.count.snapshot(time.Duration(min(until, t.count.until) - t.count.from))
	s.SelfIPIs += t.self
	lost, lostErr := t.buffers.lost()
	s.Lost = lost
	t.last = s
	return errors.Join(err, lostErr)
}

// Close stops and returns all that was counted, now with what the stop has sent. The end of an instance
// whose events are off sends nothing.
func (t *Tracer) Close() (ipi.Snapshot, error) {
	t.mu.Lock()
	if t.closed {
		defer t.mu.Unlock()
		return t.last, nil
	}
	t.closed = true
	t.mu.Unlock()
	close(t.stop)
	<-t.stopped
	t.mu.Lock()
	defer t.mu.Unlock()
	err := t.turnOff()
	return t.last, errors.Join(err, t.shut())
}

// turnOff turns the events off, with the first one last.
func (t *Tracer) turnOff() error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	t.whoami()
	t.count.until = now()
	var errs []error
	for i, e := range slices.Backward(t.on) {
		switch i + 1 {
		case eyes:
			t.count.eyesUntil = now()
		case 1:
			errs = append(errs, t.readUntil(now()))
			before := interrupts.Read()
			errs = append(errs, t.turn(e, false))
			t.self += t.unseen(before)
			continue
		}
		errs = append(errs, t.turn(e, false))
	}
	t.on = nil
	return errors.Join(append(errs, t.snapshot(now()))...)
}

// shut gives everything back; the events of an instance end with it.
func (t *Tracer) shut() error {
	t.buffers.close()
	var err error
	if t.in != nil {
		err = t.in.remove()
	}
	return errors.Join(err, t.root.close())
}
