package barrier_test

import (
	"errors"
	"runtime"
	"testing"

	"github.com/quietpatch/quietpatch/internal/barrier"
)

func live(t testing.TB) {
	t.Helper()
	if err := barrier.Register(); err != nil {
		if runtime.GOOS == "linux" && runtime.GOARCH == "amd64" && !errors.Is(err, barrier.ErrUnsupported) {
			t.Fatal(err)
		}
		t.Skip("needs membarrier SYNC_CORE: ", err)
	}
}

func TestSyncCore(t *testing.T) {
	live(t)
	before := barrier.Syncs()
	for range 100 {
		if err := barrier.SyncCore(); err != nil {
			t.Fatal(err)
		}
	}
	if got := barrier.Syncs() - before; got != 100 {
		t.Errorf("counted %d syncs, made 100", got)
	}
}

func BenchmarkSyncCore(b *testing.B) {
	live(b)
	for b.Loop() {
		_ = barrier.SyncCore()
	}
}
