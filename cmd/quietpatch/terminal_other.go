//go:build !unix

package main

import "io"

func terminalSize(io.Writer) (width, height int) { return 0, 0 }

func terminate(int) {}
