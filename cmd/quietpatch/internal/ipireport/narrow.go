package ipireport

import (
	"fmt"
	"strconv"
	"strings"
)

// only tells whose IPIs count if not all do, such as "only what processes 12, 34 send"; "" if all do.
func (m *Meta) only() string {
	const shown = 32
	n := len(m.PIDs)
	if n == 0 {
		return ""
	}
	names := make([]string, 0, shown)
	for _, pid := range m.PIDs[:min(n, shown)] {
		names = append(names, strconv.Itoa(pid))
	}
	text := strings.Join(names, ", ")
	if n > shown {
		text += fmt.Sprintf(" and %d more", n-shown)
	}
	switch {
	case n == 1 && m.Follow:
		return "only what process " + text + " and those that it starts send"
	case n == 1:
		return "only what process " + text + " sends"
	case m.Follow:
		return "only what processes " + text + " and those that they start send"
	}
	return "only what processes " + text + " send"
}

// narrowed is for behind the word IPI if not all of them count: " from process 12 that the filter
// lets pass".
func (m *Meta) narrowed() string {
	const shown = 4
	text := ""
	switch n := len(m.PIDs); {
	case n == 1:
		text = " from process " + strconv.Itoa(m.PIDs[0])
	case n > shown:
		text = fmt.Sprintf(" from %d processes", n)
	case n > 0:
		text = " from processes " + strings.ReplaceAll(strings.Trim(fmt.Sprint(m.PIDs), "[]"), " ", ", ")
	}
	if text != "" && m.Follow {
		text += " and what they start"
		if len(m.PIDs) == 1 {
			text = strings.Replace(text, "they start", "it starts", 1)
		}
	}
	if m.Filter != "" {
		text += " that the filter lets pass"
	}
	return text
}

// none says that there are no rows.
func (r *Report) none() string { return "No IPI" + r.Meta.narrowed() + " was seen." }
