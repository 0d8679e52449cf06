package copies

import "github.com/quietpatch/quietpatch/statickey"

func local() {
	var k statickey.Bool // a test needs no speed
	_ = k.Set(true)
	key = k // want `key is overwritten` `k is copied`
}
