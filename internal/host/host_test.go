//go:build linux && amd64

package host

import (
	"os"
	"strings"
	"testing"
)

func TestVendor(t *testing.T) {
	b, err := os.ReadFile("/proc/cpuinfo")
	if err != nil {
		t.Skip("needs /proc/cpuinfo: ", err)
	}
	v := Vendor()
	if len(v) != 12 || !strings.Contains(string(b), v) {
		t.Errorf("Vendor() = %q, which /proc/cpuinfo does not know", v)
	}
}

func TestTracerPID(t *testing.T) {
	if _, err := TracerPID(); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		in   string
		want int
		ok   bool
	}{
		{"Name:\tx\nPPid:\t1\nTracerPid:\t0\nUid:\t0\n", 0, true},
		{"Name:\tx\nTracerPid:\t4711\nUid:\t0\n", 4711, true},
		{"Name:\tTracerPid:\t9\nTracerPid:\t12\n", 12, true},
		{"Name:\tx\n", 0, false},
		{"Name:\tx\nTracerPid:\tabc\n", 0, false},
	} {
		got, err := parseTracer([]byte(c.in))
		if got != c.want || (err == nil) != c.ok {
			t.Errorf("parseTracer(%q) = %d, %v", c.in, got, err)
		}
	}
}

func BenchmarkTracerPID(b *testing.B) {
	for b.Loop() {
		_, _ = TracerPID()
	}
}

func TestRDPID(t *testing.T) {
	b, err := os.ReadFile("/proc/cpuinfo")
	if err != nil {
		t.Skip("needs /proc/cpuinfo: ", err)
	}
	if want := strings.Contains(string(b), " rdpid"); RDPID() != want {
		t.Errorf("RDPID() = %v, /proc/cpuinfo says %v", RDPID(), want)
	}
}

func TestCPUs(t *testing.T) {
	if n, err := CPUs(); err != nil || n < 1 {
		t.Errorf("CPUs() = %d, %v", n, err)
	}
	for _, c := range []struct {
		list string
		want int
	}{{"0", 1}, {"0-3", 4}, {"0-3,8", 9}, {"0,2-127", 128}, {"", 0}, {"a", 0}, {"0-", 0}} {
		if got, err := parsePossible(c.list); got != c.want || (err == nil) != (c.want > 0) {
			t.Errorf("parsePossible(%q) = %d, %v", c.list, got, err)
		}
	}
}
