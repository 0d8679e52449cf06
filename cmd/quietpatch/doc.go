// Command quietpatch shows and examines what the quietpatch library does to a
// Go program. See quietpatch --help.
//
// Place in the flow: this package turns arguments into calls of the packages
// under internal, and what they return into output and exit codes (root.go).
// Each subcommand has a file of its own. It may not measure, read binaries or
// format tables itself.
package main
