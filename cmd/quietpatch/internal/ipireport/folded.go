package ipireport

import (
	"bufio"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/quietpatch/quietpatch/cmd/quietpatch/internal/ipi"
)

// WriteFolded writes folded stacks, which flamegraph.pl, speedscope and others read: the
// sender, the system call, the path, the functions of the stack if there is one, the
// function that the victim had to run, and the number of IPIs. Rows without IPIs are left out.
func (r *Report) WriteFolded(w io.Writer) error {
	total := map[string]uint64{}
	for i := range r.Rows {
		if row := &r.Rows[i]; row.IPIs > 0 {
			s := r.folded(row)
			total[s] = plus(total[s], row.IPIs)
		}
	}
	stacks := make([]string, 0, len(total))
	for s := range total {
		stacks = append(stacks, s)
	}
	slices.Sort(stacks)
	b := bufio.NewWriter(w)
	for _, s := range stacks {
		fmt.Fprintf(b, "%s %d\n", s, total[s])
	}
	return b.Flush()
}

func (r *Report) folded(row *ipi.Row) string {
	o := &row.Origin
	sender := row.Sender.Comm
	if sender == "" {
		sender = "nobody in particular"
	}
	frames := []string{frame(sender)}
	if o.Syscall != "" {
		frames = append(frames, frame(callText(o)))
	}
	if o.Path != "" {
		frames = append(frames, frame(pathText(o)))
	}
	stack := r.Stacks[row.StackID]
	for _, f := range slices.Backward(stack) {
		frames = append(frames, frame(functionName(f)))
	}
	cause := functionName(row.Cause)
	if cause == "" {
		cause = string(row.Kind)
	}
	return strings.Join(append(frames, frame("["+cause+"]")), ";")
}

// frame makes a name that does not end the frame; a space ends it only before the count.
func frame(s string) string { return strings.ReplaceAll(clean(s), ";", ":") }
