package ipireport

import (
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/quietpatch/quietpatch/cmd/quietpatch/internal/ipi"
)

// clean returns text that does nothing to a terminal: what is not printable, marks that
// would sit on other characters, and bytes that are no UTF-8 become escapes such as \x1b.
func clean(s string) string {
	if !strings.ContainsFunc(s, func(r rune) bool { return !printable(r) }) {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); {
		r, n := utf8.DecodeRuneInString(s[i:])
		switch {
		case printable(r):
			b.WriteString(s[i : i+n])
		case r < utf8.RuneSelf || n == 1:
			fmt.Fprintf(&b, `\x%02x`, s[i])
		case r > 0xffff:
			fmt.Fprintf(&b, `\U%08x`, r)
		default:
			fmt.Fprintf(&b, `\u%04x`, r)
		}
		i += n
	}
	return b.String()
}

func printable(r rune) bool {
	if r >= ' ' && r <= '~' {
		return true
	}
	return r != utf8.RuneError && unicode.IsPrint(r) && !unicode.Is(unicode.M, r)
}

// kindText is the name of a kind. Those that are known are short.
func kindText(k ipi.Kind) string {
	const longest = 12
	return short(clean(string(k)), longest)
}

// causeText names the function, or says that it is not known.
func causeText(k *ipi.Key) string {
	if k.Cause == "" {
		return "-"
	}
	return clean(k.Cause)
}

// senderText is such as chronyd[812], with the thread and the container where they are known.
func (l *line) senderText() string {
	s := &l.Sender
	if s.PID == 0 && s.Comm == "" && l.pids <= 1 {
		return "-"
	}
	text := clean(s.Comm)
	if text == "" {
		text = "?"
	}
	if s.Thread != "" && s.Thread != s.Comm {
		text += "/" + clean(s.Thread)
	}
	switch {
	case l.pids > 1:
		text += fmt.Sprintf(" (%d processes)", l.pids)
	case l.threads > 1:
		text += fmt.Sprintf("[%d] (%d threads)", s.PID, l.threads)
	case l.threads == 0 && s.TID != 0 && s.TID != s.PID:
		text += fmt.Sprintf("[%d/%d]", s.PID, s.TID)
	case s.PID != 0:
		text += fmt.Sprintf("[%d]", s.PID)
	}
	if c := Container(s.Cgroup); c != "" {
		text += " in " + clean(c)
	}
	return text
}

// originText is such as "setsockopt(SO_TIMESTAMP), workqueue netstamp_clear".
func originText(o *ipi.Origin) string {
	call, path := callText(o), pathText(o)
	if call != "" && path != "" {
		return call + ", " + path
	}
	return call + path
}

// pathText is the path, in words that need no manual.
func pathText(o *ipi.Origin) string {
	if o.Path == "user" {
		return "fault"
	}
	return clean(o.Path)
}

// callText is such as "setsockopt(SO_TIMESTAMP)". A function of the kernel is named only where
// neither an option nor a work item says it: "write, bpf_stats_handler". The commands of
// membarrier(2) are shorter without what all of them begin with.
func callText(o *ipi.Origin) string {
	text, more := clean(o.Syscall), clean(strings.ReplaceAll(told(o), "MEMBARRIER_CMD_", ""))
	switch {
	case text == "" || more == "":
		return text + more
	case isFunction(more):
		return text + ", " + more
	}
	return text + "(" + more + ")"
}

// detailWords takes a detail apart: the options of the system call, and of the kernel's
// functions on the way the outermost, which is the one that was asked for something. The word
// go is neither: it says what the process is, not what it did. Nor is what every wakeup goes through.
func detailWords(detail string) (options, function string) {
	var list []string
	for _, w := range strings.Fields(detail) {
		switch {
		case w == "go" || w == "try_to_wake_up" || w == "wake_up_q":
		case isFunction(w):
			function = w
		default:
			list = append(list, w)
		}
	}
	return strings.Join(list, " "), function
}

// isFunction tells names of C, which are in small letters in the kernel, from options
// (SO_TIMESTAMP) and numbers (command:7, 0x5401).
func isFunction(word string) bool {
	return strings.Trim(word, "abcdefghijklmnopqrstuvwxyz0123456789_.") == "" && strings.Trim(word[:1], "0123456789.") != ""
}

// Container names the container that a cgroup belongs to, such as "docker 0123456789ab", or
// returns "". It knows the names that Docker, Podman, CRI-O and containerd give with systemd
// (NAME-ID.scope) and without (/docker/ID), and LXC's (lxc.payload.NAME).
func Container(cgroup string) string {
	const digits, shown = 64, 12
	parts := strings.Split(cgroup, "/")
	for i := len(parts) - 1; i >= 0; i-- {
		p := strings.TrimSuffix(parts[i], ".scope")
		if name, ok := strings.CutPrefix(p, "lxc.payload."); ok && name != "" {
			return "lxc " + name
		}
		name, id := "", p
		if j := strings.LastIndexByte(p, '-'); j >= 0 {
			name, id = p[:j], p[j+1:]
		} else if i > 0 && parts[i-1] != "" {
			name = parts[i-1]
			if strings.HasPrefix(name, "pod") || strings.HasSuffix(name, ".slice") {
				name = "pod"
			}
		}
		if len(id) == digits && strings.Trim(id, "0123456789abcdef") == "" && name != "" {
			return name + " " + id[:shown]
		}
	}
	return ""
}

// rate prints IPIs per second with three digits.
func rate(n uint64, d time.Duration) string {
	if d <= 0 {
		return "-"
	}
	x := perSecond(n, d)
	switch {
	case n == 0:
		return "0"
	case x < 0.001:
		return "<0.001"
	case x < 10:
		return strconv.FormatFloat(x, 'g', 3, 64)
	case x < 100:
		return strconv.FormatFloat(x, 'f', 1, 64)
	}
	return strconv.FormatFloat(x, 'f', 0, 64)
}

// microsEach prints the mean time that one IPI took on the victim; "-" if it was not measured.
func microsEach(cost, timed uint64) string {
	if cost == 0 || timed == 0 {
		return "-"
	}
	return strconv.FormatFloat(float64(cost)/float64(timed)/1e3, 'f', 1, 64)
}

// millis prints nanoseconds as milliseconds.
func millis(ns uint64) string { return strconv.FormatFloat(float64(ns)/1e6, 'f', 3, 64) + " ms" }

// span prints a length of time in seconds.
func span(d time.Duration) string { return strconv.FormatFloat(d.Seconds(), 'f', 1, 64) + " s" }

func plural[N int | uint64](n N, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
