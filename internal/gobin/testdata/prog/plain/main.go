package main

import "github.com/quietpatch/quietpatch/app"

func main() { app.Main() }
