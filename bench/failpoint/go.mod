module github.com/quietpatch/quietpatch/bench/failpoint

go 1.25.0

require (
	github.com/pingcap/failpoint v0.0.0-20240528011301-b51a646c7c86
	github.com/quietpatch/quietpatch v0.0.0
	go.etcd.io/gofail v0.2.0
)

require (
	github.com/pingcap/errors v0.11.4 // indirect
	golang.org/x/sys v0.47.0 // indirect
)

// Nobody can require this module, so the directory is no worse than a version.
replace github.com/quietpatch/quietpatch => ../..
