// Writes one profile of every kind that Go's runtime makes, with labels and inlined functions.
//
// usage: profiles DIRECTORY
package main

import (
	"context"
	"log"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"runtime/pprof"
	"sync"
	"syscall"
	"time"
)

var sink int
var kept [][]byte

func inlined(n int) int { return n*31 ^ n>>3 }

// Processor time of this program: it is what the profile samples, however busy the machine is.
func used() time.Duration {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		log.Fatal(err)
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

//go:noinline
func spin(long time.Duration) {
	for until := used() + long; used() < until; {
		for i := 0; i < 100000; i++ {
			sink = inlined(sink + i)
		}
	}
}

//go:noinline
func allocate(n, size int) {
	for i := 0; i < n; i++ {
		kept = append(kept, make([]byte, size))
	}
}

//go:noinline
func recurse(depth int) {
	if depth > 0 {
		recurse(depth - 1)
		return
	}
	allocate(4, 1<<20)
}

func contend() {
	var mutex sync.Mutex
	var group sync.WaitGroup
	for i := 0; i < 4; i++ {
		group.Add(1)
		go func() {
			defer group.Done()
			for j := 0; j < 5; j++ {
				mutex.Lock()
				time.Sleep(time.Millisecond)
				mutex.Unlock()
			}
		}()
	}
	group.Wait()
}

func write(folder, name, file string, level int) {
	out, err := os.Create(filepath.Join(folder, file))
	if err != nil {
		log.Fatal(err)
	}
	defer out.Close()
	if err := pprof.Lookup(name).WriteTo(out, level); err != nil {
		log.Fatal(err)
	}
}

func main() {
	folder := os.Args[1]
	runtime.MemProfileRate = 4096
	runtime.SetMutexProfileFraction(1)
	runtime.SetBlockProfileRate(1)
	out, err := os.Create(filepath.Join(folder, "cpu"))
	if err != nil {
		log.Fatal(err)
	}
	if err := pprof.StartCPUProfile(out); err != nil {
		log.Fatal(err)
	}
	labels := pprof.Labels("request", "first", "owner", "ümlaut")
	pprof.Do(context.Background(), labels, func(context.Context) {
		spin(200 * time.Millisecond)
	})
	pprof.Do(context.Background(), pprof.Labels("request", "second"), func(context.Context) {
		spin(150 * time.Millisecond)
	})
	spin(50 * time.Millisecond)
	pprof.StopCPUProfile()
	out.Close()
	recurse(40)
	contend()
	stop := make(chan bool)
	for i := 0; i < 3; i++ {
		go func() { <-stop }()
	}
	labels = pprof.Labels("job", "a \"quoted\" \a \x01 ü", "step", "1")
	pprof.Do(context.Background(), labels, func(context.Context) {
		go func() { <-stop }()
	})
	runtime.Gosched()
	runtime.GC()
	debug.SetGCPercent(-1) // profiles of the heap tell of the time of the last collection
	for _, name := range []string{"heap", "allocs", "mutex", "block", "goroutine", "threadcreate"} {
		write(folder, name, name, 0)
		write(folder, name, name+".txt", 1)
	}
	close(stop)
}
