// SPDX-License-Identifier: MIT
//
// arc.rs - Rust's Arc and Weak, and the crate arc-swap. The command line and the output are those of peer.h.

use arc_swap::ArcSwap;
use std::arch::asm;
use std::sync::atomic::{AtomicPtr, AtomicU64, Ordering};
use std::sync::{Arc, Barrier, Weak};
use std::time::Instant;

const OBJECTS: usize = 64;

#[repr(C)]
struct Timespec {
    seconds: i64,
    nanoseconds: i64,
}

extern "C" {
    fn clock_gettime(clock: i32, time: *mut Timespec) -> i32;
    fn sched_getaffinity(pid: i32, size: usize, set: *mut u64) -> i32;
    fn sched_setaffinity(pid: i32, size: usize, set: *const u64) -> i32;
}

const PROCESS_CPU: i32 = 2;
const THREAD_CPU: i32 = 3;

fn clock(which: i32) -> u64 {
    let mut t = Timespec { seconds: 0, nanoseconds: 0 };
    unsafe { clock_gettime(which, &mut t) };
    t.seconds as u64 * 1_000_000_000 + t.nanoseconds as u64
}

fn pin(id: usize) {
    let mut all = [0u64; 16];
    let mut one = [0u64; 16];
    unsafe { sched_getaffinity(0, 128, all.as_mut_ptr()) };
    let cpus: Vec<usize> = (0..1024).filter(|c| all[c / 64] >> (c % 64) & 1 == 1).collect();
    if !cpus.is_empty() {
        let cpu = cpus[id % cpus.len()];
        one[cpu / 64] = 1 << (cpu % 64);
        unsafe { sched_setaffinity(0, 128, one.as_ptr()) };
    }
}

fn escape<T>(p: &T) {
    unsafe { asm!("/* {0} */", in(reg) p as *const T) };
}

fn most_kb() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    status.lines().find(|l| l.starts_with("VmHWM")).and_then(|l| l.split_whitespace().nth(1)).map_or(0, |n| n.parse().unwrap_or(0))
}

struct Done {
    operations: u64,
    ns: u64,
    cpu_ns: u64,
    checksum: u64,
    extra: String,
}

struct Worker<'a> {
    id: usize,
    threads: usize,
    n: u64,
    sum: u64,
    ready: &'a Barrier,
    start: Option<Instant>,
    end: Option<Instant>,
    cpu: u64,
}

impl<'a> Worker<'a> {
    fn begin(&mut self) {
        self.ready.wait();
        self.cpu = clock(THREAD_CPU);
        self.start = Some(Instant::now());
    }

    fn end(&mut self) {
        self.end = Some(Instant::now());
        self.cpu = clock(THREAD_CPU) - self.cpu;
    }

    // Blocks of 64 operations; `between` adds to the checksum after each.
    fn blocks(&mut self, mut operation: impl FnMut(usize) -> u64, between: impl Fn(usize) -> u64) {
        self.begin();
        for block in 0..self.n as usize / OBJECTS {
            for i in 0..OBJECTS {
                self.sum = self.sum.wrapping_add(operation(i));
            }
            self.sum = self.sum.wrapping_add(between(block));
        }
        self.end();
    }
}

fn workers(threads: usize, n: u64, work: impl Fn(&mut Worker) + Sync) -> Done {
    let ready = Barrier::new(threads);
    let results: Vec<(Instant, Instant, u64, u64)> = std::thread::scope(|scope| {
        let (ready, work) = (&ready, &work);
        let handles: Vec<_> = (0..threads)
            .map(|id| {
                scope.spawn(move || {
                    pin(id);
                    let mut w = Worker { id, threads, n, sum: 0, ready, start: None, end: None, cpu: 0 };
                    work(&mut w);
                    (w.start.unwrap(), w.end.unwrap(), w.cpu, w.sum)
                })
            })
            .collect();
        handles.into_iter().map(|h| h.join().unwrap()).collect()
    });
    let first = results.iter().map(|r| r.0).min().unwrap();
    let last = results.iter().map(|r| r.1).max().unwrap();
    Done {
        operations: n * threads as u64,
        ns: (last - first).as_nanos() as u64,
        cpu_ns: results.iter().map(|r| r.2).sum(),
        checksum: results.iter().fold(0, |a, r| a.wrapping_add(r.3)),
        extra: String::new(),
    }
}

type Object = [u64; 4];

fn object(value: u64) -> Arc<Object> {
    Arc::new([value, 0, 0, 0])
}

fn own(threads: usize, n: u64, mask: usize) -> Done {
    workers(threads, n, |w| {
        let o: Vec<_> = (0..OBJECTS).map(|i| object(i as u64 + 1)).collect();
        let pair = |i: usize| {
            escape(&Arc::clone(&o[i & mask]));
            0
        };
        w.blocks(pair, |block| o[block % OBJECTS][0]);
    })
}

fn hot(threads: usize, n: u64) -> Done {
    let o = object(7);
    workers(threads, n, |w| {
        let pair = |_| {
            escape(&Arc::clone(&o));
            0
        };
        w.blocks(pair, |_| o[0]);
    })
}

fn weak(threads: usize, n: u64) -> Done {
    let o = object(1);
    let weak: Weak<Object> = Arc::downgrade(&o);
    workers(threads, n, |w| w.blocks(|_| weak.upgrade().unwrap()[0], |_| 0))
}

// Loads, every so many operations a store; borrowed (a guard) or owned.
fn swap(threads: usize, n: u64, every: u64, owned: bool) -> Done {
    let slot = ArcSwap::from(object(1));
    workers(threads, n, |w| {
        let mut left = every;
        w.begin();
        for _ in 0..n {
            left = left.wrapping_sub(1);
            if left == 0 {
                slot.store(object(1));
                w.sum += 1;
                left = every;
            } else if owned {
                w.sum += slot.load_full()[0];
            } else {
                w.sum += slot.load()[0];
            }
        }
        w.end();
    })
}

fn churn(threads: usize, n: u64) -> Done {
    workers(threads, n, |w| {
        w.begin();
        for i in 0..n {
            let o = object(i);
            escape(&*o);
            w.sum = w.sum.wrapping_add(o[0]);
        }
        w.end();
    })
}

struct Node {
    value: u64,
    a: Option<Arc<Node>>,
    b: Option<Arc<Node>>,
}

fn tree(depth: u64) -> Arc<Node> {
    let a = if depth > 0 { Some(tree(depth - 1)) } else { None };
    let b = if depth > 0 { Some(tree(depth - 1)) } else { None };
    Arc::new(Node { value: 1, a, b })
}

fn count(n: &Node) -> u64 {
    n.value + n.a.as_ref().map_or(0, |c| count(c)) + n.b.as_ref().map_or(0, |c| count(c))
}

fn trees(n: u64, depth: u64) -> Done {
    pin(0);
    let (start, cpu) = (Instant::now(), clock(PROCESS_CPU));
    let stays = tree(depth);
    let mut checksum = 0;
    for _ in 0..n {
        checksum += count(&tree(depth));
    }
    checksum += count(&stays);
    drop(stays);
    Done { operations: checksum, ns: start.elapsed().as_nanos() as u64, cpu_ns: clock(PROCESS_CPU) - cpu, checksum, extra: String::new() }
}

fn dropped(held: Arc<Node>, nodes: u64) -> Done {
    let (start, cpu) = (Instant::now(), clock(PROCESS_CPU));
    drop(held);
    let ns = start.elapsed().as_nanos() as u64;
    let extra = format!(", \"call_ns\": {}, \"back_ns\": {}", ns, ns);
    Done { operations: nodes, ns, cpu_ns: clock(PROCESS_CPU) - cpu, checksum: nodes, extra }
}

fn drop_list(n: u64) -> Done {
    let mut head = None;
    for _ in 0..n {
        head = Some(Arc::new(Node { value: 1, a: head, b: None }));
    }
    dropped(head.unwrap(), n)
}

fn drop_tree(depth: u64) -> Done {
    let t = tree(depth);
    let nodes = count(&t);
    dropped(t, nodes)
}

const QUEUE: usize = 256;
const AROUND: usize = 128;

#[repr(align(64))]
struct Line(AtomicU64);

struct Queue {
    head: Line,
    tail: Line,
    item: [AtomicPtr<AtomicU64>; QUEUE],
}

impl Queue {
    fn new() -> Queue {
        let item = std::array::from_fn(|_| AtomicPtr::default());
        Queue { head: Line(AtomicU64::new(0)), tail: Line(AtomicU64::new(0)), item }
    }

    fn push(&self, o: Arc<AtomicU64>) {
        let tail = self.tail.0.load(Ordering::Relaxed);
        self.item[tail as usize % QUEUE].store(Arc::into_raw(o) as *mut AtomicU64, Ordering::Relaxed);
        self.tail.0.store(tail + 1, Ordering::Release);
    }

    fn empty(&self) -> bool {
        self.tail.0.load(Ordering::Acquire) == self.head.0.load(Ordering::Relaxed)
    }

    fn pop(&self) -> Arc<AtomicU64> {
        let head = self.head.0.load(Ordering::Relaxed);
        while self.empty() {
            std::thread::yield_now();
        }
        let o = unsafe { Arc::from_raw(self.item[head as usize % QUEUE].load(Ordering::Relaxed)) };
        self.head.0.store(head + 1, Ordering::Release);
        o
    }
}

fn pipeline(threads: usize, n: u64) -> Done {
    let queues: Vec<Queue> = (0..threads).map(|_| Queue::new()).collect();
    for _ in 0..AROUND {
        queues[0].push(Arc::new(AtomicU64::new(0)));
    }
    let mut done = workers(threads, n, |w| {
        w.begin();
        for _ in 0..n {
            let o = queues[w.id].pop();
            o.store(o.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
            queues[(w.id + 1) % w.threads].push(o);
        }
        w.end();
    });
    for q in &queues {
        while !q.empty() {
            done.checksum += q.pop().load(Ordering::Relaxed);
        }
    }
    done
}

fn main() {
    let args: Vec<String> = std::env::args().collect();
    let number = |i: usize| args.get(i).and_then(|a| a.parse::<u64>().ok()).unwrap_or(0);
    let (threads, n, size) = (number(2) as usize, number(3), number(4));
    let done = match args.get(1).map_or("", |a| a.as_str()) {
        "own-one" => own(threads, n, 0),
        "own-many" => own(threads, n, OBJECTS - 1),
        "foreign" | "hot" => hot(threads, n),
        "weak" => weak(threads, n),
        "swap-read" => swap(threads, n, 0, false),
        "swap-mixed1" => swap(threads, n, 100, false),
        "swap-mixed10" => swap(threads, n, 10, false),
        "swap-owned" => swap(threads, n, 0, true),
        "churn" => churn(threads, n),
        "trees" => trees(n, size),
        "drop-list" => drop_list(n),
        "drop-tree" => drop_tree(size),
        "pipeline" => pipeline(threads, n),
        _ => std::process::exit(3),
    };
    println!(
        "{{\"operations\": {}, \"ns\": {}, \"cpu_ns\": {}, \"checksum\": {}, \"rss_kb\": {}{}}}",
        done.operations, done.ns, done.cpu_ns, done.checksum, most_kb(), done.extra
    );
}
