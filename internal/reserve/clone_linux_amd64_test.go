package reserve

import (
	"encoding/binary"
	"fmt"
	"unsafe"

	"golang.org/x/sys/unix"
)

const canClone = true

// cloneThread makes a thread as pthread_create does, without the runtime's knowledge: it waits
// in read(2) until it is told to end. All signals are blocked in it, because it
// has no g that Go's handler could use.
func cloneThread() (tid int, end func(), err error) {
	const size = 64 << 10
	var p [2]int
	if err := unix.Pipe2(p[:], unix.O_CLOEXEC); err != nil {
		return 0, nil, err
	}
	code := []byte{0x31, 0xc0, 0xbf}                               // XORL AX, AX (read); MOVL $fd, DI
	code = binary.LittleEndian.AppendUint32(code, uint32(p[0]))    //
	code = append(code, 0x48, 0x89, 0xe6, 0xba, 1, 0, 0, 0)        // MOVQ SP, SI; MOVL $1, DX
	code = append(code, 0x0f, 0x05)                                // SYSCALL
	code = append(code, 0xb8, 60, 0, 0, 0, 0x31, 0xff, 0x0f, 0x05) // MOVL $60, AX (exit); XORL DI, DI; SYSCALL
	text, err := unix.Mmap(-1, 0, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANON)
	if err != nil {
		return 0, nil, err
	}
	copy(text, code)
	if err := unix.Mprotect(text, unix.PROT_READ|unix.PROT_EXEC); err != nil {
		return 0, nil, fmt.Errorf("mprotect of code: %w", err)
	}
	stack, err := unix.Mmap(-1, 0, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANON)
	if err != nil {
		return 0, nil, err
	}
	// The function that makes the system call returns, in the new thread too: to the code.
	top := stack[size-64:]
	binary.LittleEndian.PutUint64(top, uint64(uintptr(unsafe.Pointer(&text[0]))))

	var all, old unix.Sigset_t
	for i := range all.Val {
		all.Val[i] = ^uint64(0)
	}
	if err := unix.PthreadSigmask(unix.SIG_SETMASK, &all, &old); err != nil {
		return 0, nil, err
	}
	const flags = unix.CLONE_VM | unix.CLONE_FS | unix.CLONE_FILES | unix.CLONE_SIGHAND | unix.CLONE_THREAD | unix.CLONE_SYSVSEM
	r, _, errno := unix.RawSyscall6(unix.SYS_CLONE, flags, uintptr(unsafe.Pointer(&top[0])), 0, 0, 0, 0)
	if err := unix.PthreadSigmask(unix.SIG_SETMASK, &old, nil); err != nil {
		return 0, nil, err
	}
	if errno != 0 {
		return 0, nil, errno
	}
	return int(r), func() { _, _ = unix.Write(p[1], []byte{0}) }, nil
}
