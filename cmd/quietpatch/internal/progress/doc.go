// Package progress shows on standard error how far a command is. It knows nothing of what
// the command does, and writes nothing that belongs to its result.
package progress
