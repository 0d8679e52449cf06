package engine

import (
	"encoding/binary"
	"fmt"

	insn "github.com/quietpatch/quietpatch/internal/insn/amd64"
	"github.com/quietpatch/quietpatch/internal/site"
)

// search finds the sites of every key that was not searched yet, in one pass
// over the text. Keys that are no package-level variables become plain.
func (e *Engine) search(keys []*Key) error {
	if err := e.loadImage(); err != nil {
		return err
	}
	var wanted []*Key
	var targets []site.Key
	for _, k := range keys {
		if k.searched || e.known(k) != k {
			continue
		}
		if !e.img.InData(uintptr(k.addr)) {
			k.searched = true
			k.plain = "it is not a package-level variable (it is on the heap or a stack, or was copied)"
			e.problem("%s is an ordinary byte without sites: %s", k.label(), k.plain)
			continue
		}
		wanted = append(wanted, k)
		targets = append(targets, site.Key{Addr: uint64(uintptr(k.addr)), Width: k.width})
	}
	if len(targets) == 0 {
		return nil
	}
	if err := e.img.Read(); err != nil {
		return fmt.Errorf("the text could not be searched for sites: %w", err)
	}
	defer e.img.Release()
	for _, k := range wanted {
		k.searched = true
		e.list(k)
	}
	for _, s := range site.Find(e.img, targets) {
		k := wanted[s.Key]
		es := newSite(&s)
		k.sites = append(k.sites, es)
		if es.state == Memory {
			k.unarmed++
		}
	}
	return nil
}

// newSite turns what was found into what is patched.
func newSite(s *site.Site) *Site {
	es := &Site{addr: uintptr(s.Addr), form: s.Form, n: s.Code.N, why: s.Why}
	if !s.Patchable() {
		es.state = Refused
		return es
	}
	zero, err0 := insn.Armed(s.Form, s.Code, 0)
	one, err1 := insn.Armed(s.Form, s.Code, 1)
	if err0 != nil || err1 != nil {
		es.state, es.why = Refused, fmt.Sprintf("no armed form: %v %v", err0, err1)
		return es
	}
	es.off = uint8(insn.ToggleOffset(s.Form, s.Code))
	es.orig, es.zero = word(s.Code), word(zero)
	diff := es.zero ^ word(one)
	es.flip = uint8(diff >> (8 * es.off))
	if diff != uint64(es.flip)<<(8*es.off) {
		es.state, es.why = Refused, fmt.Sprintf("a toggle of this form changes more than one byte: %#x", diff)
	}
	return es
}

// word packs the bytes of an instruction, the first one lowest.
func word(c insn.Code) uint64 { return binary.LittleEndian.Uint64(c.B[:]) }

// code unpacks a word.
func code(w uint64, n uint8) insn.Code {
	c := insn.Code{N: n}
	binary.LittleEndian.PutUint64(c.B[:], w)
	return c
}
