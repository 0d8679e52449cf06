package gobin

import "sync"

// copies makes strings of names in the file, each once. A name can be long, be named by
// every function, and contain other names; so all copies together are limited to
// the size of the file. Honest names take a part of that.
type copies struct {
	mu   sync.Mutex
	made map[copyKey]string
	left uint64 // bytes
}

// copyKey says which string it is.
type copyKey struct {
	kind nameKind
	at   uint64 // offset in the table, for symbols the address
}

type nameKind uint8

const (
	funcName nameKind = iota
	fileName
	symbolName
)

func newCopies(size int64) *copies {
	return &copies{made: map[copyKey]string{}, left: uint64(max(size, 0))}
}

// get returns name and rest in one, "" for no name or when too much was copied already.
func (c *copies) get(k copyKey, name []byte, rest string) string {
	if len(name) == 0 {
		return ""
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if s, ok := c.made[k]; ok {
		return s
	}
	n := uint64(len(name) + len(rest))
	if n > c.left {
		return ""
	}
	c.left -= n
	s := string(name) + rest
	c.made[k] = s
	return s
}
