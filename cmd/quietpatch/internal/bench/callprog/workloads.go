package callprog

import (
	"fmt"
	"hash/fnv"
	"slices"
	"strings"
)

// A workload is real work: packages as programs use them, not written for this
// program. run does it once and checks what came out.
type workload struct {
	name    string
	prepare func() (run func() error, err error)
}

// optional are workloads in files that are left out when the module that they need
// cannot be downloaded.
var optional []workload

func workloads() []workload {
	return append([]workload{
		{"json-encode", jsonEncode},
		{"json-decode", jsonDecode},
		{"flate", flateCompress},
		{"http", httpRequest},
		{"template", templateExecute},
		{"sort", sortInterface},
		{"sql", sqlQuery},
		{"regexp", regexpFind},
		{"fmt", fmtFprintf},
		{"go-format", goFormat},
	}, optional...)
}

// chooseWorkloads prepares those with a name in the list, all if it is empty.
func chooseWorkloads(only string) ([]job, error) {
	var out []job
	names := strings.Split(only, ",")
	for _, w := range workloads() {
		if only != "" && !slices.Contains(names, w.name) {
			continue
		}
		run, err := w.prepare()
		if err != nil {
			return nil, fmt.Errorf("%s: %w", w.name, err)
		}
		out = append(out, job{name: w.name, run: run})
	}
	return out, nil
}

// same makes a run of work that has to return the same bytes each time.
func same(work func() ([]byte, error)) (run func() error, err error) {
	first, err := work()
	if err != nil {
		return nil, err
	}
	if len(first) == 0 {
		return nil, fmt.Errorf("the work has no result")
	}
	want := digest(first)
	return func() error {
		got, err := work()
		if err == nil && digest(got) != want {
			err = fmt.Errorf("%d bytes that differ from those of the first time", len(got))
		}
		return err
	}, nil
}

// digest is cheap beside what it checks.
func digest(b []byte) uint64 {
	const step = 16
	h := fnv.New64a()
	var part [8]byte
	for i := 0; i+len(part) <= len(b); i += step * len(part) {
		copy(part[:], b[i:])
		h.Write(part[:])
	}
	return h.Sum64() + uint64(len(b))
}
