// SPDX-License-Identifier: MIT
//
// collected.go - Go: new objects, shared pointers, trees, rings, large drops. The command line and the output are those of peer.h.
package main

import (
	"encoding/json"
	"fmt"
	"math/bits"
	"os"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
	"unsafe"
)

type leaf struct{ value [4]uint64 }

type node struct {
	value uint64
	a, b  *node
}

var (
	sum, operations uint64
	wall, cpu       uint64
	extra           = map[string]any{}
	sink            *leaf
)

func clock(which uintptr) uint64 {
	var t syscall.Timespec
	syscall.RawSyscall(syscall.SYS_CLOCK_GETTIME, which, uintptr(unsafe.Pointer(&t)), 0)
	return uint64(t.Nano())
}

const processCPU, threadCPU = 2, 3

func kb(key string) int {
	status, _ := os.ReadFile("/proc/self/status")
	for _, line := range strings.Split(string(status), "\n") {
		if strings.HasPrefix(line, key+":") {
			n, _ := strconv.Atoi(strings.Fields(line)[1])
			return n
		}
	}
	return 0
}

// workers runs fn, which returns its part of the checksum, on every thread.
func workers(threads int, n uint64, fn func() uint64) {
	var done sync.WaitGroup
	begin := make(chan bool)
	for i := 0; i < threads; i++ {
		done.Add(1)
		go func() {
			runtime.LockOSThread()
			<-begin
			used := clock(threadCPU)
			mine := fn()
			atomic.AddUint64(&cpu, clock(threadCPU)-used)
			atomic.AddUint64(&sum, mine)
			done.Done()
		}()
	}
	start := time.Now()
	close(begin)
	done.Wait()
	wall = uint64(time.Since(start))
	operations = n * uint64(threads)
}

func churn(threads int, n uint64) {
	start := time.Now()
	sinks := make([]struct {
		o    *leaf
		line [56]byte
	}, threads)
	var next int32
	workers(threads, n, func() (s uint64) {
		place := &sinks[atomic.AddInt32(&next, 1)-1]
		for i := uint64(0); i < n; i++ {
			o := new(leaf)
			place.o = o
			o.value[0] = i
			s += o.value[0]
		}
		return s
	})
	runtime.GC()
	wall = uint64(time.Since(start))
}

func mixed(threads int, n, every uint64) {
	var slot atomic.Pointer[leaf]
	slot.Store(&leaf{[4]uint64{1}})
	workers(threads, n, func() (s uint64) {
		left := every
		for i := uint64(0); i < n; i++ {
			left--
			if left == 0 {
				slot.Store(&leaf{[4]uint64{1}})
				s++
				left = every
			} else {
				s += slot.Load().value[0]
			}
		}
		return s
	})
}

func tree(depth int) *node {
	if depth == 0 {
		return &node{value: 1}
	}
	return &node{1, tree(depth - 1), tree(depth - 1)}
}

func count(n *node) uint64 {
	if n.a == nil {
		return n.value
	}
	return n.value + count(n.a) + count(n.b)
}

func trees(n uint64, depth int) {
	stays := tree(depth)
	for i := uint64(0); i < n; i++ {
		sum += count(tree(depth))
	}
	sum += count(stays)
	stays = nil
	runtime.GC()
	operations = sum
}

// dropped collects what is no longer held; nothing would by itself before more is made.
func dropped(nodes uint64) {
	start := time.Now()
	runtime.GC()
	wall = uint64(time.Since(start))
	extra["call_ns"], extra["back_ns"] = 0, wall
	sum, operations = nodes, nodes
}

func dropList(n uint64) {
	var head *node
	for i := uint64(0); i < n; i++ {
		head = &node{1, head, nil}
	}
	runtime.KeepAlive(head)
	head = nil
	dropped(n)
}

func dropTree(depth int) {
	t := tree(depth)
	nodes := count(t)
	t = nil
	dropped(nodes)
}

var (
	live      []*node
	seed      uint64 = 88172645463325252
	histogram        = map[string]uint64{}
	worst     uint64
)

func random() uint64 {
	seed ^= seed << 13
	seed ^= seed >> 7
	seed ^= seed << 17
	return seed
}

func heapMake(size uint64, list bool) {
	live = make([]*node, size)
	for i := range live {
		live[i] = new(node)
	}
	for i := uint64(1); i < size; i++ {
		if list {
			live[i-1].a = live[i]
		} else {
			live[i].a, live[i].b = live[random()%i], live[random()%i]
		}
	}
	runtime.GC()
	extra["heap_kb"] = kb("VmRSS")
}

func ringDrop(number, length uint64, variant int) uint64 {
	first := &node{value: number}
	last := first
	for i := uint64(1); i < length; i++ {
		last.a = new(node)
		last = last.a
	}
	last.a = first
	if variant > 0 {
		first.b = live[random()%uint64(len(live))]
	}
	return last.a.value
}

func bucket(ns uint64) uint64 {
	if ns < 8 {
		return ns
	}
	octave := uint64(bits.Len64(ns) - 1)
	return (octave-2)*8 + (ns>>(octave-3))&7
}

func rings(n, size uint64, variant int) {
	var counts [512]uint64
	heapMake(size, variant == 2)
	seed = 88172645463325252
	start := time.Now()
	last := time.Now()
	for i := uint64(0); i < n; i++ {
		sum += ringDrop(i, 2+i%9, variant)
		operations += 2 + i%9
		now := time.Now()
		ns := uint64(now.Sub(last))
		counts[bucket(ns)]++
		if ns > worst {
			worst = ns
		}
		last = now
	}
	extra["made_ns"] = uint64(time.Since(start))
	runtime.GC()
	wall = uint64(time.Since(start))
	for i, c := range counts {
		if c > 0 {
			histogram[strconv.Itoa(i)] = c
		}
	}
	extra["steps"], extra["steps_worst"], extra["process_cpu_ns"] = histogram, worst, clock(processCPU)
}

// quiet: n milliseconds of churn at a million operations a second beside a live heap, without garbage
func quiet(n, size uint64) {
	runtime.LockOSThread()
	heapMake(size, false)
	start, used, mine := time.Now(), clock(processCPU), clock(threadCPU)
	for {
		passed := uint64(time.Since(start))
		if passed >= n*1000000 {
			break
		}
		for operations < passed/1000 {
			for i := 0; i < 64; i++ {
				one, other := live[random()%size], live[random()%size]
				if operations%2 == 0 {
					one.a = other
				}
				operations++
			}
		}
		time.Sleep(100 * time.Microsecond)
	}
	wall = uint64(time.Since(start))
	cpu = clock(threadCPU) - mine
	extra["background_share"] = float64(clock(processCPU)-used-cpu) / float64(wall)
	sum = uint64(len(live))
}

func main() {
	threads, _ := strconv.Atoi(os.Args[2])
	n, _ := strconv.ParseUint(os.Args[3], 10, 64)
	size := uint64(0)
	if len(os.Args) > 4 {
		size, _ = strconv.ParseUint(os.Args[4], 10, 64)
	}
	debug.SetMaxStack(1 << 30)
	start := time.Now()
	switch os.Args[1] {
	case "churn":
		churn(threads, n)
	case "read":
		mixed(threads, n, 0)
	case "mixed1":
		mixed(threads, n, 100)
	case "mixed10":
		mixed(threads, n, 10)
	case "trees":
		trees(n, int(size))
	case "drop-list":
		dropList(n)
	case "drop-tree":
		dropTree(int(size))
	case "rings0", "rings1", "rings2":
		rings(n, size, int(os.Args[1][5]-'0'))
	case "quiet":
		quiet(n, size)
	default:
		os.Exit(3)
	}
	if wall == 0 {
		wall = uint64(time.Since(start))
	}
	if cpu == 0 {
		cpu = clock(processCPU)
	}
	extra["operations"], extra["ns"], extra["cpu_ns"] = operations, wall, cpu
	extra["checksum"], extra["rss_kb"] = sum, kb("VmHWM")
	line, _ := json.Marshal(extra)
	fmt.Println(string(line))
}
