package scale

// sitePasses is how often the engine passes over each site besides making its
// vector entry: to queue it, to compare it, and for each of its pokes.
func sitePasses(n Counts) int { return 2*n.Compared + n.Pokes() }

// variantOf returns the variant of that name.
func variantOf(name string) (variant, bool) {
	for _, v := range variants {
		if v.name == name {
			return v, true
		}
	}
	return variant{}, false
}

// fitEngine takes the engine's own work per site and pass from the cheapest
// flips that were measured: what is left of them when everything else is taken
// off. There is no way to measure it by itself.
func (r *Result) fitEngine() error {
	var row *Validation
	for i := range r.Validation {
		v := &r.Validation[i]
		if v.Strategy == storeName && v.Backend == backendAlias && v.BusyEnough && (row == nil || v.Sites > row.Sites) {
			row = v
		}
	}
	if row == nil {
		return nil
	}
	store, _ := variantOf(storeName)
	n, err := r.model.count(store, row.Sites)
	if err != nil {
		return err
	}
	c := r.Params.costs(row.Backend)
	c.engine = 0
	rest := max(row.MeasuredNs-flip(n, c, machineFor(row.CPUs, 0, store)).Mid, 0)
	ns := rest / float64(sitePasses(n))
	r.Params.put(Param{Name: Engine, Value: ns, Source: SourceFitted})
	row.Fitted = true
	return nil
}

// predict fills in what the model says about the flips that were measured,
// with the rate of checks that the busy thread had.
func (r *Result) predict() error {
	for i := range r.Validation {
		v := &r.Validation[i]
		as, ok := variantOf(v.Strategy)
		if !ok {
			continue // measured with a strategy that the model does not know
		}
		n, err := r.model.count(as, v.Sites)
		if err != nil {
			return err
		}
		c, to := r.Params.costs(v.Backend), machineFor(v.CPUs, 0, as)
		c.checkRate = v.ChecksPerSec / 1e9
		v.PredictSyncs, v.PredictedNs = n.Syncs, flip(n, c, to).Mid
		v.PredictTraps = traps(n, c, to)
		if v.MeasuredNs > 0 {
			v.Ratio = v.PredictedNs / v.MeasuredNs
		}
	}
	return nil
}
