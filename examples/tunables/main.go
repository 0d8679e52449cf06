// Tunables shows every kind of key at work: a queue whose batch size and time-out
// are numbers in the machine code, a log level, a failpoint, a key that counts
// its users, and one that is decided at the start.
//
//	go run ./examples/tunables
//	QUIETPATCH='queue.*=8,queue.timeout=5ms' go run ./examples/tunables
//	QUIETPATCH_FAILPOINTS='queue/send=25%return("disk full")' go run ./examples/tunables
package main

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"time"

	"github.com/quietpatch/quietpatch/failpoint"
	"github.com/quietpatch/quietpatch/slogkey"
	"github.com/quietpatch/quietpatch/statickey"
)

var (
	batch   = statickey.Of[int32](4)
	timeout = statickey.Of(time.Second)
	watched statickey.Counted
	strict  statickey.Sealed
	log     slogkey.Logger
	send    failpoint.Point

	_ = statickey.RegisterValue(&batch, "queue.batch", "items sent at once")
	_ = statickey.RegisterValue(&timeout, "queue.timeout", "how long an item may wait")
	_ = statickey.RegisterCounted(&watched, "queue.watched", "somebody wants to see every item")
	_ = statickey.RegisterSealed(&strict, "queue.strict", "an error ends the program")
	_ = slogkey.Register(&log.LevelVar, "queue.log", "what the queue does")
	_ = failpoint.Register(&send, "queue/send", "sending fails")
)

// queue sends items in batches.
type queue struct {
	out   io.Writer
	items []string
	since time.Time
}

func (q *queue) put(item string) error {
	if watched.Enabled() {
		fmt.Fprintln(q.out, "item", item)
	}
	q.items = append(q.items, item)
	if len(q.items) == 1 {
		q.since = time.Now()
	}
	if len(q.items) < int(batch.Get()) && time.Since(q.since) < timeout.Get() {
		return nil
	}
	return q.flush()
}

func (q *queue) flush() error {
	if log.DebugOn() {
		log.Debug("flush", "items", len(q.items))
	}
	if v, ok := send.Eval(); ok {
		if strict.Enabled() {
			return fmt.Errorf("sending %d items: %w", len(q.items), v.Err())
		}
		log.Warn("sending failed", "error", v.Err())
		return nil
	}
	if batch.Get() > 6 {
		fmt.Fprintln(q.out, "a large batch")
	}
	fmt.Fprintln(q.out, "sent", q.items)
	q.items = q.items[:0]
	return nil
}

func run(out io.Writer) error {
	if err := batch.Limit(1, 100); err != nil {
		return err
	}
	log.SetHandler(slog.NewTextHandler(out, nil))
	if err := errors.Join(strict.Set(true), statickey.Seal()); err != nil {
		fmt.Fprintln(out, err) // sealed all the same; its check reads memory
	}
	q := &queue{out: out}
	for i := range 12 {
		if i == 6 { // all of it in one sync, while other threads might be in put
			var b statickey.Batch
			statickey.SetValue(&b, &batch, 2)
			statickey.SetValue(&b, &timeout, time.Minute)
			if err := errors.Join(b.Apply(), watched.Inc()); err != nil {
				return err
			}
		}
		if err := q.put(fmt.Sprint(i)); err != nil {
			return err
		}
	}
	return watched.Dec()
}

func main() {
	if err := run(os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
