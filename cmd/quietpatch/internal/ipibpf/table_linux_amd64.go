package ipibpf

import (
	"fmt"
	"time"

	"github.com/cilium/ebpf"
)

// tables are where the kernel counts: one is filled while the other is empty.
type tables struct {
	outer  *ebpf.Map
	inner  [2]*ebpf.Map
	active int
	most   uint32 // rows of each
	kept   map[rawKey]rawValue
	keys   int // the most that are kept
}

// keysMax bounds the memory of the tracer, to some 50 MB.
const keysMax = 200_000

// makeTables makes the two and lets the kernel's side fill the first.
func makeTables(outer *ebpf.Map, inner *ebpf.MapSpec) (s *tables, err error) {
	s = &tables{outer: outer, most: inner.MaxEntries, kept: make(map[rawKey]rawValue), keys: keysMax}
	for i := range s.inner {
		if s.inner[i], err = ebpf.NewMap(inner); err != nil {
			s.close()
			return nil, err
		}
	}
	if err := outer.Put(uint32(0), s.inner[0]); err != nil {
		s.close()
		return nil, err
	}
	return s, nil
}

func (s *tables) close() {
	if s == nil {
		return
	}
	for _, m := range s.inner {
		if m != nil {
			m.Close()
		}
	}
}

// swap lets the kernel's side fill the other table, and empties this one. Nothing is lost: the kernel
// waits for programs that still use it (kernel/bpf/syscall.c, maybe_wait_bpf_programs).
func (s *tables) swap() error {
	old := s.inner[s.active]
	if err := s.outer.Put(uint32(0), s.inner[1-s.active]); err != nil {
		return err
	}
	s.active = 1 - s.active
	keys, values, err := entries[rawKey, rawValue](old)
	if err != nil {
		return err
	}
	s.add(s.kept, keys, values)
	if len(keys) > 0 {
		_, err = old.BatchDelete(keys, nil)
	}
	return err
}

// read returns what was counted since the start.
func (s *tables) read() (keys []rawKey, values []rawValue, err error) {
	keys, values, err = entries[rawKey, rawValue](s.inner[s.active])
	if err != nil {
		return nil, nil, err
	}
	now := make(map[rawKey]rawValue)
	s.add(now, keys, values)
	keys, values = keys[:0], values[:0]
	for k, v := range s.kept {
		n := now[k]
		v.IPIs += n.IPIs
		v.Queued += n.Queued
		keys, values = append(keys, k), append(values, v)
	}
	return keys, values, nil
}

// add sums up rows, by the keys under which they are kept.
func (s *tables) add(to map[rawKey]rawValue, keys []rawKey, values []rawValue) {
	for i, k := range keys {
		k = s.keep(k)
		v := to[k]
		v.IPIs += values[i].IPIs
		v.Queued += values[i].Queued
		to[k] = v
	}
}

// keep returns the key under which a row is kept: its own if there is one or room for one, for good;
// else one without the numbers and names that make keys many.
func (s *tables) keep(k rawKey) rawKey {
	if _, ok := s.kept[k]; ok {
		return k
	}
	if len(s.kept) >= s.keys {
		o := rawOrigin{Comm: k.Origin.Comm, NR: k.Origin.NR, Compat: k.Origin.Compat, Context: k.Origin.Context, Softirq: k.Origin.Softirq}
		o.Work, o.Known = k.Origin.Work, k.Origin.Known
		k = rawKey{Origin: o, Func: k.Func, CPU: k.CPU, Kind: k.Kind, Stack: -1}
	}
	if _, ok := s.kept[k]; !ok {
		s.kept[k] = rawValue{}
	}
	return k
}

// sweep empties the table of the kernel's side whenever it is half full, until the tracer is closed.
func (t *Tracer) sweep(every time.Duration) {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		select {
		case <-t.stop:
			return
		case <-tick.C:
		}
		t.mu.Lock()
		if !t.closed && t.sweepErr == nil {
			t.sweepErr = t.sweepOnce()
		}
		t.mu.Unlock()
	}
}

func (t *Tracer) sweepOnce() error {
	var used uint32
	v := t.coll.Variables["used"]
	if err := v.Get(&used); err != nil || used < (t.tables.most+1)/2 {
		return err
	}
	if err := v.Set(uint32(0)); err != nil { // first: rather too early once than too late
		return err
	}
	if err := t.tables.swap(); err != nil {
		return fmt.Errorf("table of rows: %w", err)
	}
	return nil
}
