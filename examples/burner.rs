//! A small HTTP service that really burns CPU for every request: what scenarios/real/web-scale-out.yaml runs in containers.
//!
//! Standard library alone, so that one static binary is the whole image:
//!
//!   rustc --edition 2024 -O -C target-feature=+crt-static --out-dir image examples/burner.rs
//!   tar -C image -c burner | docker import - ecsim/burner:1
//!
//! `GET /burn?ms=100` computes for about 100 ms of one CPU, exponentially distributed with `&spread=exponential`;
//! `GET /health` answers at once. The answer says in `Server-Timing` what it took. `PORT` is where it listens, 8080 unless
//! said; SIGTERM needs no handling but PID 1 ignores it by default, so `docker stop` waits for its timeout: `GET /quit` ends
//! the process.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use std::{env, fs, hint, io, process, thread};

/// Rounds of [`grind`] in a millisecond of CPU, as measured at the start.
static ROUNDS_PER_MS: AtomicU64 = AtomicU64::new(0);
/// Requests so far: the seed of the next one's size.
static REQUESTS: AtomicU64 = AtomicU64::new(0);

fn main() -> io::Result<()> {
    let port = env::var("PORT").ok().and_then(|port| port.parse().ok()).unwrap_or(8080);
    ROUNDS_PER_MS.store(calibrate(), Ordering::Relaxed);
    let listener = TcpListener::bind(("0.0.0.0", port))?;
    println!("burner listens on port {port}, {} rounds in a millisecond", ROUNDS_PER_MS.load(Ordering::Relaxed));
    for stream in listener.incoming() {
        let Ok(stream) = stream else { continue };
        // A client that hangs up has had its answer, or wants none.
        thread::spawn(move || drop(serve(stream)));
    }
    Ok(())
}

/// Reads a request and answers it.
fn serve(mut stream: TcpStream) -> io::Result<()> {
    stream.set_read_timeout(Some(Duration::from_secs(30)))?;
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut first = String::new();
    reader.read_line(&mut first)?;
    let mut line = String::new();
    while reader.read_line(&mut line)? > 2 {
        line.clear();
    }
    let target = first.split(' ').nth(1).unwrap_or("/");
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let value = |name: &str| query.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='));
    let (status, took) = match path {
        "/" | "/health" => ("200 OK", 0.0),
        "/burn" => {
            let ms: f64 = value("ms").and_then(|ms| ms.parse().ok()).unwrap_or(100.0);
            let size = if value("spread") == Some("exponential") { exponential() } else { 1.0 };
            ("200 OK", burn(ms.clamp(0.0, 60_000.0) * size))
        }
        "/quit" => process::exit(0),
        _ => ("404 Not Found", 0.0),
    };
    write!(
        stream,
        "HTTP/1.1 {status}\r\nServer-Timing: cpu;dur={took:.3}\r\nContent-Length: 3\r\nConnection: close\r\n\r\nok\n"
    )?;
    stream.flush()
}

/// Computes for about `ms` milliseconds of CPU, and says what it took.
///
/// The work is a number of rounds rather than a span of time: a throttled thread must not take the wait for work.
fn burn(ms: f64) -> f64 {
    let rounds = ms * ROUNDS_PER_MS.load(Ordering::Relaxed) as f64;
    let before = cpu_ms();
    hint::black_box(grind(rounds as u64));
    match (before, cpu_ms()) {
        (Some(before), Some(after)) => after - before,
        _ => ms,
    }
}

/// Exponentially distributed with mean 1, by SplitMix64 of the number of the request: no two runs differ.
fn exponential() -> f64 {
    let mut z = REQUESTS.fetch_add(1, Ordering::Relaxed).wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    let uniform = ((z ^ (z >> 31)) >> 11) as f64 / (1_u64 << 53) as f64;
    -(1.0 - uniform).ln()
}

/// `rounds` rounds of xorshift: integers only, so that every machine does the same.
fn grind(rounds: u64) -> u64 {
    let mut x = 0x2545_f491_4f6c_dd1d_u64;
    for _ in 0..rounds {
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
    }
    x
}

/// How many rounds take a millisecond of CPU: the best of a few tries, each too short to be throttled or preempted often.
fn calibrate() -> u64 {
    const ROUNDS: u64 = 500_000;
    let best = (0..15)
        .map(|_| {
            let begin = Instant::now();
            hint::black_box(grind(hint::black_box(ROUNDS)));
            begin.elapsed()
        })
        .min()
        .unwrap_or(Duration::from_millis(1));
    (ROUNDS as f64 / (best.as_secs_f64() * 1e3).max(1e-3)) as u64
}

/// CPU that the calling thread has used [ms]; `None` where the kernel does not tell.
fn cpu_ms() -> Option<f64> {
    let text = fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    let nanos: f64 = text.split(' ').next()?.parse().ok()?;
    Some(nanos / 1e6)
}
