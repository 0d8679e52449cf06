package ipireport_test

import (
	"fmt"
	"os"
	"time"

	"github.com/quietpatch/quietpatch/cmd/quietpatch/internal/ipi"
	"github.com/quietpatch/quietpatch/cmd/quietpatch/internal/ipireport"
)

// A run: a backend's snapshots go into a collector, whose report is written and judged.
func Example() {
	collector := ipireport.NewCollector(ipireport.Meta{Kernel: "6.12.48", Machine: "x86_64", CPUs: 4, Victims: "3", Mode: "eBPF"})
	collector.Add(ipi.Snapshot{At: 10 * time.Second, SelfIPIs: 126, Rows: []ipi.Row{{
		Key: ipi.Key{
			CPU: 3, Kind: ipi.Call, Cause: "ipi_sync_core", StackID: -1,
			Sender: ipi.Sender{PID: 71, TID: 71, Comm: "server"},
			Origin: ipi.Origin{Syscall: "membarrier", Detail: "SYNC_CORE"},
		},
		IPIs: 1000, Queued: 1000, Remedy: "a-name-of-mine",
	}}})
	report := collector.Report()
	if err := report.WriteText(os.Stdout, ipireport.Options{}); err != nil {
		fmt.Println(err)
	}
	assertion, err := ipireport.ParseAssertion("ipis(cpu=3) <= 0", report.Meta.CPUs)
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, failure := range assertion.Check(report) {
		fmt.Print("\n", failure.String())
	}
	// Output:
	// CPU 3: 1000 IPIs in 10.0 s (100/s), 100 % from server[71]: membarrier(SYNC_CORE); remedy a-name-of-mine
	//
	// 1000 IPIs to CPU 3 in 10.0 s, 100/s; calls queued: 1000
	// Linux 6.12.48; x86_64; 4 CPUs; eBPF
	// The tracer itself sent 126 IPIs, mostly to start and to stop; they are left out.
	//
	// CPU  call   all  per s  queued  us each
	// 3    1000  1000    100    1000        -
	//
	// #  CPU  kind  IPIs  per s  queued  us each  cause          sender      origin                 remedy
	// 1  3    call  1000    100    1000        -  ipi_sync_core  server[71]  membarrier(SYNC_CORE)  a-name-of-mine
	//
	// assertion ipis(cpu=3) <= 0: found 1000
	//   CPU 3 call ipi_sync_core: 1000 IPIs, queued 1000, from server[71], membarrier(SYNC_CORE), remedy a-name-of-mine
}
