package main

import (
	"runtime"
	"runtime/debug"
	"testing"
	"time"
)

// The collector waits while the heap is small, and takes its usual turn again
// when it isn't.
func TestHeapFloor(t *testing.T) {
	for live, want := range map[uint64]int{0: 1500, 16 << 20: 300, 32 << 20: 100, 1 << 30: 100} {
		if got := growth(live); got != want {
			t.Errorf("with %d MB live: %d %%, want %d", live>>20, got, want)
		}
	}
	defer debug.SetGCPercent(debug.SetGCPercent(100))
	t.Setenv("GOGC", "")
	tuneHeap()
	large := make([]byte, 2*heapFloor)
	for i := range large {
		large[i] = 1
	}
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(time.Millisecond) {
		runtime.GC()
		if percent := debug.SetGCPercent(77); percent == 100 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("the percentage does not follow the heap")
		}
	}
	runtime.KeepAlive(large)
}
