package ipireport

import (
	"strings"
	"testing"
	"time"

	"github.com/quietpatch/quietpatch/cmd/quietpatch/internal/ipi"
)

func TestClean(t *testing.T) {
	for in, want := range map[string]string{
		"": "", "chronyd": "chronyd", "kworker/0:1": "kworker/0:1", "größe 漢": "größe 漢",
		"a\x1b[31mb": `a\x1b[31mb`, "\x00\n\t\x7f": `\x00\x0a\x09\x7f`, "\xff\xc3": `\xff\xc3`, "\u0085\u009b": `\u0085\u009b`,
		"\u202eabc": `\u202eabc`, "e\u0301": `e\u0301`, "\ufffd": `\ufffd`, "\u2028": `\u2028`, "\u00a0": `\u00a0`, "\U000e0001": `\U000e0001`,
	} {
		if got := clean(in); got != want {
			t.Errorf("%q: got %q, want %q", in, got, want)
		}
	}
}

func TestContainer(t *testing.T) {
	id := strings.Repeat("0123456789abcdef", 4)
	for in, want := range map[string]string{
		"": "", "/": "", "/system.slice/chrony.service": "",
		"/system.slice/docker-" + id + ".scope":                               "docker 0123456789ab",
		"/docker/" + id:                                                       "docker 0123456789ab",
		"/docker/" + id + "/init.scope":                                       "docker 0123456789ab",
		"/machine.slice/libpod-" + id + ".scope/container":                    "libpod 0123456789ab",
		"/kubepods.slice/kubepods-pod1.slice/cri-containerd-" + id + ".scope": "cri-containerd 0123456789ab",
		"/kubepods.slice/kubepods-pod1.slice/crio-" + id + ".scope":           "crio 0123456789ab",
		"/kubepods/besteffort/podd6a1/" + id:                                  "pod 0123456789ab",
		"/lxc.payload.web/system.slice":                                       "lxc web",
		"/docker/" + id[:63]:                                                  "",
		"/docker/" + strings.ToUpper(id):                                      "",
		"/" + id:                                                              "",
		"/lxc.payload.":                                                       "",
	} {
		if got := Container(in); got != want {
			t.Errorf("%q: got %q, want %q", in, got, want)
		}
	}
}

func TestRate(t *testing.T) {
	for _, test := range []struct {
		n    uint64
		d    time.Duration
		want string
	}{
		{0, 0, "-"},
		{5, 0, "-"},
		{0, time.Second, "0"},
		{1, time.Hour, "<0.001"},
		{1, time.Minute, "0.0167"},
		{1, time.Second, "1"},
		{25, 10 * time.Second, "2.5"},
		{123, 10 * time.Second, "12.3"},
		{1234, time.Second, "1234"},
		{1 << 40, time.Second, "1099511627776"},
	} {
		if got := rate(test.n, test.d); got != test.want {
			t.Errorf("%d in %v: got %s, want %s", test.n, test.d, got, test.want)
		}
	}
}

func TestSenderText(t *testing.T) {
	for _, test := range []struct {
		l    line
		want string
	}{
		{line{}, "-"},
		{line{Row: ipi.Row{Key: ipi.Key{Sender: ipi.Sender{PID: 5}}}}, "?[5]"},
		{line{Row: ipi.Row{Key: ipi.Key{Sender: ipi.Sender{Comm: "swapper/1"}}}}, "swapper/1"},
		{line{Row: ipi.Row{Key: ipi.Key{Sender: ipi.Sender{Comm: "a", PID: 5, TID: 6, Thread: "b"}}}}, "a/b[5/6]"},
		{line{Row: ipi.Row{Key: ipi.Key{Sender: ipi.Sender{Comm: "a", PID: 5, TID: 6}}}, threads: 3}, "a[5] (3 threads)"},
		{line{Row: ipi.Row{Key: ipi.Key{Sender: ipi.Sender{Comm: "a", PID: 5}}}, threads: 3, pids: 2}, "a (2 processes)"},
	} {
		if got := test.l.senderText(); got != test.want {
			t.Errorf("got %q, want %q", got, test.want)
		}
	}
}
