package ipireport

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/quietpatch/quietpatch/cmd/quietpatch/internal/ipi"
)

// head tells in lines what was watched and what came out.
func (r *Report) head() []string {
	s, m := r.sum(), &r.Meta
	text := fmt.Sprintf("%s to %s in %s", plural(s.ipis, "IPI"), m.where(), span(r.Duration))
	if r.Duration > 0 {
		text += fmt.Sprintf(", %s/s", rate(s.ipis, r.Duration))
	}
	text += fmt.Sprintf("; calls queued: %d", s.queued)
	if s.cost > 0 {
		text += fmt.Sprintf("; in handlers: %s, %s us each", millis(s.cost), microsEach(s.cost, s.timed))
	}
	list := []string{text}
	if how := m.how(); how != "" {
		list = append(list, how)
	}
	if only := m.only(); only != "" {
		list = append(list, only)
	}
	if m.Filter != "" {
		list = append(list, "filter: "+clean(m.Filter))
	}
	if r.SelfIPIs > 0 {
		list = append(list, fmt.Sprintf("The tracer itself sent %s, mostly to start and to stop; they are left out.", plural(r.SelfIPIs, "IPI")))
	}
	if r.Lost > 0 {
		list = append(list, fmt.Sprintf("%s lost: all counts are lower bounds.", plural(r.Lost, "event")+wasWere(r.Lost)))
	}
	if r.Folded > 0 {
		list = append(list, fmt.Sprintf("There were too many rows: %s without sender and origin.", plural(r.Folded, "update")+wasWere(r.Folded)))
	}
	if r.Incomplete != "" {
		list = append(list, "Not complete: "+clean(r.Incomplete))
	}
	if text := r.endedText(); text != "" && r.ended() == "" {
		list = append(list, "note: "+text)
	}
	if r.Offline.Len() > 0 {
		list = append(list, offlineText(r.Offline)+": what would have interrupted there then is not known.")
	}
	for _, n := range m.Notes {
		list = append(list, "note: "+clean(n))
	}
	for _, x := range m.Blind {
		if !slices.Contains(m.Notes, x.Why) {
			list = append(list, "note: "+clean(x.Why))
		}
	}
	return list
}

// where names the victims.
func (m *Meta) where() string {
	if m.Victims == "" {
		return "all CPUs"
	}
	if strings.Trim(m.Victims, "0123456789") == "" {
		return "CPU " + m.Victims
	}
	return "CPUs " + clean(m.Victims)
}

// how tells by what, on what and when, as far as that is known.
func (m *Meta) how() string {
	var parts []string
	add := func(text string, known bool) {
		if known {
			parts = append(parts, text)
		}
	}
	add("Linux "+clean(m.Kernel), m.Kernel != "")
	add(clean(m.Machine), m.Machine != "")
	add(plural(m.CPUs, "CPU"), m.CPUs > 0)
	add(clean(m.Mode), m.Mode != "")
	add("started "+m.Start.UTC().Format(time.RFC3339), !m.Start.IsZero())
	return strings.Join(parts, "; ")
}

// offlineText is such as "CPUs 2-3 were offline for a while", or "".
func offlineText(cpus ipi.CPUs) string {
	n := cpus.Len()
	if n == 0 {
		return ""
	}
	m := Meta{Victims: cpus.String()}
	return m.where() + wasWere(uint64(n)) + " offline for a while"
}

func wasWere(n uint64) string {
	if n == 1 {
		return " was"
	}
	return " were"
}
