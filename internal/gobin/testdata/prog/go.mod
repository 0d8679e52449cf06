module github.com/quietpatch/quietpatch

go 1.25.0
