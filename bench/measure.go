package main

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// metric adds up the values of one of the server's metrics.
func (o *office) metric(name string) (sum float64, err error) {
	r, err := http.Get("http://" + o.door("metrics") + "/metrics")
	if err != nil {
		return 0, err
	}
	defer r.Body.Close()
	b, err := io.ReadAll(r.Body)
	if err != nil {
		return 0, err
	}
	found := false
	for line := range strings.Lines(string(b)) {
		rest, ok := strings.CutPrefix(line, name)
		if !ok || rest[0] != ' ' && rest[0] != '{' {
			continue
		}
		v, err := strconv.ParseFloat(strings.TrimSpace(rest[strings.LastIndexByte(rest, ' '):]), 64)
		if err != nil {
			return 0, err
		}
		sum, found = sum+v, true
	}
	if !found {
		return 0, fmt.Errorf("there is no metric %s", name)
	}
	return sum, nil
}

// resident is the memory of a process in MB: VmRSS, or VmHWM for the most that
// it ever was.
func resident(pid int, what string) float64 {
	b, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	_, rest, _ := strings.Cut(string(b), what+":")
	fields := strings.Fields(rest)
	if len(fields) == 0 {
		return 0
	}
	kb, _ := strconv.ParseFloat(fields[0], 64)
	return kb / 1024
}

// ticks is how many of the kernel's clock ticks make a second on Linux.
const ticks = 100

// cpu is the processor time of a process and of all that it started, those that
// have ended included.
func cpu(root int) time.Duration {
	parent, used := map[int]int{}, map[int]int{}
	stats, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, path := range stats {
		b, err := os.ReadFile(path)
		if err != nil {
			continue // It has ended meanwhile.
		}
		pid, _ := strconv.Atoi(strings.Split(path, "/")[2])
		f := strings.Fields(string(b[strings.LastIndexByte(string(b), ')')+1:]))
		parent[pid], _ = strconv.Atoi(f[1])
		for _, s := range f[11:15] { // utime, stime, cutime, cstime (proc(5)).
			n, _ := strconv.Atoi(s)
			used[pid] += n
		}
	}
	sum := 0
	for pid, n := range used {
		p := pid
		for p != root && p > 1 {
			p = parent[p]
		}
		if p == root {
			sum += n
		}
	}
	return time.Duration(sum) * time.Second / ticks
}

// times are measured one by one.
type times []time.Duration

// at is the time below which so many of a hundred are.
func (t times) at(percent int) time.Duration {
	if len(t) == 0 {
		return 0
	}
	s := slices.Sorted(slices.Values(t))
	return s[min(len(s)-1, len(s)*percent/100)]
}

func (t times) String() string {
	return fmt.Sprintf("p50 %s, p95 %s, max %s ms (%d)", ms(t.at(50)), ms(t.at(95)), ms(t.at(100)), len(t))
}

func ms(d time.Duration) string { return strconv.FormatFloat(d.Seconds()*1000, 'f', 2, 64) }

// median is the one in the middle.
func median(list []float64) float64 {
	if len(list) == 0 {
		return 0
	}
	return slices.Sorted(slices.Values(list))[len(list)/2]
}

// verdict tells whether an aim is reached.
func verdict(ok bool) string {
	if ok {
		return "reached"
	}
	return "MISSED"
}
