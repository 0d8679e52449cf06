package slogkey_test

import (
	"fmt"
	"log/slog"
	"os"

	"github.com/quietpatch/quietpatch/slogkey"
)

var log slogkey.Logger

var _ = slogkey.Register(&log.LevelVar, "net.http", "requests and connections")

func send(packet string) {
	if log.DebugOn() { // the check of a key; what is inside is not computed
		log.Debug("send", "bytes", len(packet))
	}
	if packet == "" {
		log.Warn("nothing to send")
	}
}

// stdout lets everything through, so that the keys alone decide.
func stdout() slog.Handler {
	return slog.NewTextHandler(os.Stdout, &slog.HandlerOptions{Level: slog.LevelDebug, ReplaceAttr: noTime})
}

func Example() {
	log.SetHandler(stdout())
	send("a")
	send("")
	if err := slogkey.SetLevel("net.http", slog.LevelDebug); err != nil { // live
		fmt.Println(err)
	}
	send("abc")
	if err := slogkey.SetLevel("net.http", slog.LevelInfo); err != nil {
		fmt.Println(err)
	}
	send("abcd")
	// Output:
	// level=WARN msg="nothing to send"
	// level=DEBUG msg=send bytes=3
}

var reads, writes slogkey.LevelVar

var (
	_ = slogkey.Register(&reads, "disk.reads", "every read")
	_ = slogkey.Register(&writes, "disk.writes", "every write")
)

func ExampleSetLevels() {
	err := slogkey.SetLevels(map[string]slog.Level{ // both or none, at the cost of one
		"disk.reads":  slog.LevelDebug,
		"disk.writes": slog.LevelWarn,
	})
	fmt.Println(err, reads.DebugOn(), writes.InfoOn(), writes.WarnOn())
	// Output: <nil> true false true
}

var dbLevel slogkey.LevelVar

// Code that has a slog.Logger already gets a handler with keys in front.
func ExampleNewHandler() {
	db := slog.New(slogkey.NewHandler(stdout(), &dbLevel)).With("db", "main")
	db.Debug("query")
	if err := dbLevel.SetLevel(slog.LevelDebug); err != nil {
		fmt.Println(err)
	}
	db.Debug("query")
	if dbLevel.DebugOn() { // in front of a slog.Logger, too
		db.Debug("plan", "rows", 3)
	}
	if err := dbLevel.SetLevel(slog.LevelInfo); err != nil {
		fmt.Println(err)
	}
	// Output:
	// level=DEBUG msg=query db=main
	// level=DEBUG msg=plan db=main rows=3
}

// A slog.Logger made from a Logger follows its levels.
func ExampleLogger_With() {
	log.SetHandler(stdout())
	req := log.With("req", 7)
	req.Debug("start")
	req.Info("done")
	// Output: level=INFO msg=done req=7
}
