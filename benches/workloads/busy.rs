// Ordinary Rust for `busy SECONDS`: hashing, sorting, calls of trait objects, in two threads.
use std::collections::{BTreeMap, HashMap};
use std::hint::black_box;
use std::thread;
use std::time::{Duration, Instant};

trait Shape {
    fn area(&self, depth: u32) -> f64;
}

struct Square(f64);
struct Nested(Vec<Box<dyn Shape>>);

impl Shape for Square {
    fn area(&self, _depth: u32) -> f64 {
        black_box(self.0 * self.0)
    }
}

impl Shape for Nested {
    fn area(&self, depth: u32) -> f64 {
        self.0.iter().map(|shape| shape.area(depth + 1)).sum()
    }
}

fn nested(depth: u32) -> Box<dyn Shape> {
    if depth == 0 {
        return Box::new(Square(1.5));
    }
    Box::new(Nested((0..3).map(|_| nested(depth - 1)).collect()))
}

fn work(shape: &dyn Shape) -> usize {
    let mut counts: HashMap<String, usize> = HashMap::new();
    for i in 0..2000usize {
        *counts.entry(format!("{}", i * 7919 % 500)).or_default() += i;
    }
    let mut sorted: Vec<_> = counts.iter().collect();
    sorted.sort_by(|a, b| b.1.cmp(a.1).then_with(|| a.0.cmp(b.0)));
    let tree: BTreeMap<_, _> = sorted.iter().map(|(k, v)| (k.len(), *v)).collect();
    tree.len() + shape.area(0) as usize
}

fn main() {
    let seconds: f64 = std::env::args().nth(1).and_then(|s| s.parse().ok()).unwrap_or(1.0);
    let until = Instant::now() + Duration::from_secs_f64(seconds);
    let run = move || {
        let shape = nested(6);
        while Instant::now() < until {
            black_box(work(shape.as_ref()));
        }
    };
    let other = thread::spawn(run);
    run();
    other.join().unwrap();
}
