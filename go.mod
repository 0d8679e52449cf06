module github.com/quietpatch/quietpatch

go 1.25.0

require (
	golang.org/x/arch v0.30.0
	golang.org/x/sys v0.47.0
)
