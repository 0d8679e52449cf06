package engine

import (
	"fmt"
	"time"

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
			e.problem("%s is an ordinary variable without sites: %s", k.label(), k.plain)
			continue
		}
		wanted = append(wanted, k)
		targets = append(targets, site.Key{Addr: uint64(uintptr(k.addr)), Width: k.width})
	}
	if len(targets) == 0 {
		return nil
	}
	start := time.Now()
	if err := e.img.Read(); err != nil {
		return fmt.Errorf("the text could not be searched for sites: %w", err)
	}
	defer e.img.Release()
	for _, k := range wanted {
		k.searched = true
		e.list(k)
	}
	found := e.searchCalls(wanted, site.Find(e.img, targets))
	e.addSites(wanted, found)
	e.searched.Keys += len(wanted)
	e.searched.Sites += len(found)
	for _, s := range e.img.Text() {
		e.searched.TextBytes += len(s.Bytes)
	}
	e.searched.NS += time.Since(start).Nanoseconds()
	return nil
}

// addSites gives every key its sites, in one piece of memory each.
func (e *Engine) addSites(keys []*Key, found []site.Site) {
	counts := make([]int, len(keys))
	for i := range found {
		counts[found[i].Key]++
	}
	for i, k := range keys {
		k.sites = make([]Site, 0, counts[i])
	}
	for i := range found {
		k := keys[found[i].Key]
		s := e.newSite(&found[i])
		k.sites = append(k.sites, s)
		if s.state == Memory {
			k.unarmed++
		}
	}
}
