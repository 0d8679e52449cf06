package ipitracefs

import (
	"fmt"

	"github.com/quietpatch/quietpatch/cmd/quietpatch/internal/ipi"
	"github.com/quietpatch/quietpatch/cmd/quietpatch/internal/ipifilter"
)

// filters are what the kernel and the counter let pass.
type filters struct {
	full *ipifilter.Expr // of a record
	on   map[where]*ipifilter.Expr
}

// makeFilters joins the sets of CPUs and the filter, for a machine with so many CPUs.
func makeFilters(victims, senders ipi.CPUs, filter *ipifilter.Expr, cpus int) (f filters, err error) {
	f.on = make(map[where]*ipifilter.Expr)
	all := ipi.Below(cpus)
	text := ""
	for _, set := range []struct {
		set   ipi.CPUs
		field string
		where where
	}{{victims, "cpu", onVictims}, {senders, "CPU", onSenders}} {
		if set.set == nil {
			continue
		}
		there := set.set.And(all)
		if there.Equal(all) {
			continue
		}
		if there.Len() == 0 {
			return f, fmt.Errorf("CPUs %v: expected some of %v, which this machine can have, found none", set.set, all)
		}
		if f.on[set.where], err = ipifilter.Parse(fmt.Sprintf("CPU & CPUS{%v}", there), cpus); err != nil {
			return f, err
		}
		text = join(text, fmt.Sprintf("%s & CPUS{%v}", set.field, there))
	}
	if filter != nil {
		text = join(text, "("+filter.String()+")")
	}
	if text == "" {
		return f, nil
	}
	f.full, err = ipifilter.Parse(text, cpus)
	return f, err
}

func join(a, b string) string {
	if a == "" {
		return b
	}
	return a + " && " + b
}

// kernel returns what the kernel is to evaluate for an event, "" for everything. It is never
// more than what the counter lets pass: that looks at the whole filter again.
//
// Only CPUs are left to the kernel. The thread that it knows is not always to blame; and if
// it dropped calls by their function, IPIs would get the cause of another call.
func (f *filters) kernel(e *event) string {
	ke := ipifilter.Event{Name: e.name, Fields: map[ipifilter.Field]string{ipifilter.CPU: "CPU"}}
	x := f.on[e.where]
	if e.where == toVictims {
		x = f.full
		if e.what == sendMany {
			ke.Fields[ipifilter.Mask] = "cpumask"
		} else {
			ke.Fields[ipifilter.Target] = "cpu"
		}
	}
	text, _ := x.Split(ke)
	return text
}
