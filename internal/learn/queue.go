package learn

import "time"

// waiting is a site that is not counted. Sites due at the same time go in the
// order in which they came.
type waiting struct {
	due time.Duration
	seq uint64
	id  int
}

func (w waiting) before(x waiting) bool {
	return w.due < x.due || w.due == x.due && w.seq < x.seq
}

// queue is a binary heap, the earliest first, that keeps every site's place up
// to date. container/heap would allocate for each push.
type queue []waiting

func (q *queue) push(w waiting, at []place) {
	*q = append(*q, w)
	q.up(len(*q)-1, at)
}

// remove takes out the entry at i.
func (q *queue) remove(i int, at []place) {
	end := len(*q) - 1
	last := (*q)[end]
	*q = (*q)[:end]
	if i == end {
		return
	}
	(*q)[i] = last
	q.up(q.down(i, at), at)
}

// up moves the entry at i towards the front, as far as it belongs.
func (q queue) up(i int, at []place) {
	w := q[i]
	for i > 0 {
		parent := (i - 1) / 2
		if !w.before(q[parent]) {
			break
		}
		q.put(i, q[parent], at)
		i = parent
	}
	q.put(i, w, at)
}

// down moves the entry at i towards the end, as far as it belongs.
func (q queue) down(i int, at []place) int {
	w := q[i]
	for {
		child := 2*i + 1
		if child >= len(q) {
			break
		}
		if child+1 < len(q) && q[child+1].before(q[child]) {
			child++
		}
		if !q[child].before(w) {
			break
		}
		q.put(i, q[child], at)
		i = child
	}
	q.put(i, w, at)
	return i
}

func (q queue) put(i int, w waiting, at []place) {
	q[i] = w
	at[w.id] = place{inWaiting, i}
}
