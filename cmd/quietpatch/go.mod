module github.com/quietpatch/quietpatch/cmd/quietpatch

go 1.25.0

require (
	github.com/cilium/ebpf v0.22.0
	github.com/quietpatch/quietpatch v0.0.0
	github.com/spf13/cobra v1.10.2
	golang.org/x/sys v0.47.0
	golang.org/x/tools v0.49.0
)

require (
	github.com/inconshreveable/mousetrap v1.1.0 // indirect
	github.com/spf13/pflag v1.0.10 // indirect
	golang.org/x/mod v0.39.0 // indirect
	golang.org/x/sync v0.22.0 // indirect
)
