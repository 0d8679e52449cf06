package guest

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

const (
	qemu    = "qemu-system-x86_64"
	busybox = "/bin/busybox"
	setup   = "cmd/quietpatch/internal/guest/setup.sh gets it"
)

// Need returns the image of a kernel such as 6.12. It ends the test if that or anything else
// is missing. QUIETPATCH_GUEST can be "require", which makes that a failure, or "skip".
func Need(t testing.TB, version string) string {
	t.Helper()
	if testing.Short() {
		t.Skip("boots a guest, which takes seconds")
	}
	want := os.Getenv("QUIETPATCH_GUEST")
	if want == "skip" {
		t.Skip("QUIETPATCH_GUEST is skip")
	}
	image, err := find(version)
	if err != nil {
		if want == "require" {
			t.Fatal(err)
		}
		t.Skip(err)
	}
	return image
}

func find(version string) (string, error) {
	if _, err := exec.LookPath(qemu); err != nil {
		return "", fmt.Errorf("no QEMU: %w; %s", err, setup)
	}
	if _, err := os.Stat(busybox); err != nil {
		return "", fmt.Errorf("no busybox: %w; %s", err, setup)
	}
	dir := os.Getenv("QUIETPATCH_GUEST_DIR")
	if dir == "" {
		cache, err := os.UserCacheDir()
		if err != nil {
			return "", err
		}
		dir = filepath.Join(cache, "quietpatch", "guest")
	}
	image := filepath.Join(dir, "vmlinuz-"+version)
	if _, err := os.Stat(image); err != nil {
		return "", fmt.Errorf("no kernel: %w; %s", err, setup)
	}
	return image, nil
}
