package isolate

// Tracked reports whether the key of isolation is on.
func Tracked() bool { return tracked.Enabled() }

// Sweep does what a reservation does once a second.
func (v *Reservation) Sweep() { v.sweep() }
