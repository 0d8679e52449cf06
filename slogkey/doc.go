// Package slogkey switches the levels of log/slog by static keys: a Debug call
// that is off costs what a check of a key costs, and is switched on live.
//
//	var log slogkey.Logger
//
//	var _ = slogkey.Register(&log.LevelVar, "net.http", "requests and connections")
//
//	func (c *conn) send(p packet) {
//		if log.DebugOn() { // a test of an immediate: no memory is read
//			log.Debug("send", "packet", p)
//		}
//		...
//	}
//
//	slogkey.SetLevel("net.http", slog.LevelDebug)	// from a signal handler, a debug page
//
// # Three forms, three costs
//
// A [LevelVar] is the level of one logger, held as one key for each of the four
// levels that slog names. It can take the place of a [slog.LevelVar]. What it
// costs while off depends on who asks:
//
//   - At the call, if log.DebugOn() or if log.On(slog.LevelDebug): one check of a key. Arguments
//     that are inside the if are not computed.
//   - [Logger.Debug] without the if: the same check, but Go computes the arguments before it.
//     Numbers and strings that become an any may be allocated. [Logger.DebugAttrs] with
//     typed attributes allocates nothing.
//   - A [slog.Logger] whose handler is a [Handler], for code that exists: the call, the
//     interface call of Enabled and then a read of the key's byte. This is what slog
//     itself costs; no handler can be asked for less.
//
// # Where the variable must be
//
// Checks are patched when the LevelVar or Logger is a package-level variable and
// the method is called on it directly. On the heap, in a slice or through a
// pointer (the Handler's own checks are of this kind) everything works the same
// and the check reads one byte of memory; see the package statickey. So does a
// key that was never set: the first SetLevel finds and patches the checks of the
// keys that it changes, quietpatch.Arm those of all loggers that have a name.
//
// # What is shown
//
// A record is shown when its level is on and the handler's own Enabled agrees. A
// LevelVar therefore never shows more than the handler lets through: give the handler the
// lowest level that shall ever be shown. slog's first default handler lets
// through Info and above, see [slog.SetLogLoggerLevel].
//
// The package stands on log/slog and statickey only. It keeps no record, formats
// nothing, and knows nothing of text or sites.
package slogkey
