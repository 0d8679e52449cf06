package protocol

// Syncs returns how many syncs the plan takes when nothing fails: the budget
// that tests and the simulation hold the machine to.
func Syncs(p Plan) int {
	if p.Sites == 0 || p.NoSync {
		return 0
	}
	perChunk := 3
	if p.HeadsOnly {
		perChunk = 2
	}
	switch p.Strategy {
	case Store:
		return 1
	case OneAtATime:
		return p.Sites * perChunk
	default:
		return (p.Sites + p.VectorMax - 1) / p.VectorMax * perChunk
	}
}
