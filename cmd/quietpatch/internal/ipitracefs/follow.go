package ipitracefs

// follow notes a process or a thread that is new. A process is asked for if the one that starts it is, and
// they are followed. A number that was asked for may belong to another one now.
func (c *counter) follow(r *record) {
	id := int32(r.target)
	delete(c.pids, id)
	if r.work&cloneThread != 0 {
		return
	}
	if c.opts.Follow && c.tgids[c.tasks.ask(r.pid).tgid] {
		c.tgids[id] = true
	} else {
		delete(c.tgids, id)
	}
}

// forget drops those that have ended long ago. Just now would be too early: what a process has is given back
// after its last event, sched_process_exit (kernel/exit.c, do_exit).
func (c *counter) forget(ended []int32) {
	if len(ended) == 0 || c.tgids == nil && c.pids == nil {
		return
	}
	lives := make(map[int32]bool) // its first thread may end before others
	for _, t := range c.tasks.threads {
		lives[t.tgid] = lives[t.tgid] || !t.ended
	}
	for _, id := range ended {
		delete(c.pids, id)
		if !lives[id] {
			delete(c.tgids, id)
		}
	}
}
