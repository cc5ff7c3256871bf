package main

import (
	"os"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
)

// heapFloor is the size in bytes up to which garbage may pile up. A server
// lives in about 16 MB, and whoever downloads a folder from it makes as much garbage
// every 60 ms: collecting it that often took a sixth of all the work.
const heapFloor = 64 << 20

// tuneHeap lets the collector wait until the heap has reached heapFloor, and
// leaves it alone above. It does nothing where GOGC is set.
func tuneHeap() {
	if os.Getenv("GOGC") == "" {
		afterCollection()
	}
}

// afterCollection sets the collector's percentage for the cycle that begins, and
// sees to it that it is called again after that: the object is garbage at once,
// and so cleaned up when the next cycle has found it.
func afterCollection() {
	live := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
	metrics.Read(live)
	debug.SetGCPercent(growth(live[0].Value.Uint64()))
	runtime.AddCleanup(new([64]byte), func(struct{}) { afterCollection() }, struct{}{})
}

// smallest is the size in bytes that the runtime takes a smaller heap for.
const smallest = 4 << 20

// growth is by how many percent of what is live the heap may grow.
func growth(live uint64) int {
	live = max(live, smallest)
	if live >= heapFloor/2 {
		return 100
	}
	return int((heapFloor - live) * 100 / live)
}
