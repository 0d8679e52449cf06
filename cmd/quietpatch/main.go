package main

import "os"

func main() {
	if asVettool(os.Args[1:]) {
		vettool()
	}
	os.Exit(run(os.Args[1:], os.Stdout, os.Stderr))
}
