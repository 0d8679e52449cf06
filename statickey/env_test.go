package statickey_test

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/quietpatch/quietpatch"
	"github.com/quietpatch/quietpatch/statickey"
)

// TestEnvironment starts this test again with values for its keys.
func TestEnvironment(t *testing.T) {
	cmd := exec.Command(os.Args[0], "-test.run=^TestEnvironmentChild$", "-test.v")
	cmd.Env = append(os.Environ(), "ENV_TEST_CHILD=1",
		"QUIETPATCH=test.f*=on, test.retries=0x10;test.timeout=2s,test.second=perhaps,nobody.*=on,nonsense,[=on,test.first=off,test.first=on,test.early=6,test.judged=7")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, want := range []string{
		"first=true fast=true retries=16 timeout=2s second=false",
		`test.second=perhaps ignored for key "test.second": expected on or off`,
		"nobody.*=on matches no key so far",
		`"nonsense" ignored: expected NAME=VALUE`,
		`"[=on" ignored`,
		"early=5 judged=0",
		`test.early=6 came too late for key "test.early"`,
		`test.judged=7 ignored for key "test.judged": no sevens`,
	} {
		if !strings.Contains(string(out), want) {
			t.Errorf("no %q in\n%s", want, out)
		}
	}
}

// A key that is set, and one that has a validation which uses the library, before
// they are registered.
var (
	early, judged statickey.Int32

	_ = early.Set(5)
	_ = judged.Validate(func(v int32) error {
		_ = statickey.Keys()
		if v == 7 {
			return fmt.Errorf("no sevens")
		}
		return nil
	})
	_ = statickey.RegisterValue(&early, "test.early", "set before it was registered")
	_ = statickey.RegisterValue(&judged, "test.judged", "has an opinion")
)

func TestEnvironmentChild(t *testing.T) {
	if os.Getenv("ENV_TEST_CHILD") == "" {
		t.Skip("runs in a process of its own: TestEnvironment")
	}
	fmt.Printf("first=%v fast=%v retries=%d timeout=%v second=%v\n",
		first.Enabled(), fast.Enabled(), readRetries(), readTimeout(), second.Enabled())
	fmt.Printf("early=%d judged=%d\n", early.Get(), judged.Get())
	fmt.Println(strings.Join(quietpatch.Status().Problems, "\n"))
	if err := timeout.Set(time.Second); err != nil || readTimeout() != time.Second {
		t.Errorf("Set after the environment: %v, %v", err, readTimeout())
	}
	if err := first.Set(false); err != nil || first.Enabled() {
		t.Errorf("Set after the environment: %v, %v", err, first.Enabled())
	}
}
