//go:build linux

// Package guest boots a kernel of Debian's in QEMU with CPUs that are really isolated, runs
// commands there, and returns what they printed. Few machines that run tests have such CPUs, or
// a choice of kernels.
//
// The guest has an initial file system with busybox and static programs, no disk and no
// network. Instructions are emulated (QEMU's TCG): counts are exact, times mean nothing. Nothing
// of the host is needed but QEMU, busybox and kernel images; setup.sh gets them:
//
//	cmd/quietpatch/internal/guest/setup.sh
//	QUIETPATCH_GUEST=require go test ./cmd/quietpatch/internal/guest
//
// Tests skip, and say what is missing, unless QUIETPATCH_GUEST is require: then they fail. They take
// minutes, and are left out by -short and if QUIETPATCH_GUEST is skip.
//
// Place in the flow: its own tests run the tests of ipibpf, and the scenarios of ipidrive
// under the command trace, on isolated CPUs of two kernels. Nothing else imports it; it is in no program.
package guest
