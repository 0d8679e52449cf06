package ipidrive

import (
	"errors"
	"fmt"
	"io/fs"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"golang.org/x/sys/unix"
)

// loadProgram loads a socket filter of about 16 KB of machine code, 7 bytes an instruction: the
// kernel makes its memory read-only and executable, for which all CPUs flush their TLBs.
func loadProgram(s *stage) error {
	const instructions = 16 << 10 / 7
	code := asm.Instructions{asm.Mov.Imm(asm.R0, 0)}
	for range instructions {
		code = append(code, asm.Add.Imm(asm.R0, 1<<20))
	}
	p, err := ebpf.NewProgram(&ebpf.ProgramSpec{Type: ebpf.SocketFilter, Instructions: append(code, asm.Return()), License: "GPL"})
	if errors.Is(err, fs.ErrPermission) {
		return missing("the right to load BPF programs: " + err.Error())
	}
	if err != nil {
		return fmt.Errorf("loading a BPF program: %w", err)
	}
	defer p.Close()
	fd, err := unix.Dup(p.FD()) // p would be closed when it is collected
	s.fds = append(s.fds, fd)
	return err
}

// unloadPrograms waits for the grace periods and the work after which their memory is free.
func unloadPrograms(s *stage) error {
	for _, fd := range s.fds {
		if err := unix.Close(fd); err != nil {
			return err
		}
	}
	pause(200 * time.Millisecond)
	return nil
}
