//! Open-loop sending: each request leaves at its own instant, whatever became of those before.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::runtime::Handle;
use tokio::task::AbortHandle;

use super::client::{Call, get};
use crate::control_plane::real_http::{HttpId, HttpOutcome};

/// What became of a request or a probe.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Answered {
    /// Which.
    pub id: HttpId,
    /// From the instant at which it was meant to be sent to the end of the answer: what the sender itself was late by is
    /// part of it, so that a burst that holds up the sender is not left out of the latencies (Tene, "How NOT to Measure
    /// Latency", 2013).
    pub took: Duration,
    /// What came.
    pub outcome: HttpOutcome,
}

/// Requests and probes on their way.
pub struct HttpLoad {
    runtime: Handle,
    tell: Arc<dyn Fn(Answered) + Send + Sync>,
    on_their_way: BTreeMap<HttpId, AbortHandle>,
}

impl HttpLoad {
    /// Sends by `runtime`; `tell` is called from its threads with every answer, once each.
    pub fn new(runtime: Handle, tell: impl Fn(Answered) + Send + Sync + 'static) -> Self {
        Self { runtime, tell: Arc::new(tell), on_their_way: BTreeMap::new() }
    }

    /// Sends a request that was meant to leave at `intended`; its answer is waited for until `timeout` after that.
    pub fn send(&mut self, id: HttpId, call: Call, intended: Instant, timeout: Duration) {
        let tell = Arc::clone(&self.tell);
        let sent = self.runtime.spawn(async move {
            tokio::time::sleep_until(intended.into()).await;
            let outcome = get(&call, timeout.saturating_sub(intended.elapsed())).await;
            tell(Answered { id, took: intended.elapsed(), outcome });
        });
        if let Some(before) = self.on_their_way.insert(id, sent.abort_handle()) {
            before.abort();
        }
    }

    /// Its answer has been heard.
    pub fn heard(&mut self, id: HttpId) {
        self.on_their_way.remove(&id);
    }

    /// Cuts the connection of a request: nothing more is told of it, unless its answer has just come.
    pub fn cut(&mut self, id: HttpId) {
        if let Some(request) = self.on_their_way.remove(&id) {
            request.abort();
        }
    }

    /// Requests and probes that have not been heard of.
    pub fn in_flight(&self) -> usize {
        self.on_their_way.len()
    }
}

impl Drop for HttpLoad {
    fn drop(&mut self) {
        for request in self.on_their_way.values() {
            request.abort();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::sync::mpsc::{Receiver, channel};
    use std::thread;

    use slotmap::SlotMap;

    use super::super::client::tests::{head, server};
    use super::*;
    use crate::ecs::ids::TaskKey;

    const LONG: Duration = Duration::from_secs(20);

    struct Bench {
        runtime: tokio::runtime::Runtime,
        load: HttpLoad,
        answers: Receiver<Answered>,
    }

    impl Bench {
        fn new() -> Self {
            let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
            let (tell, answers) = channel();
            let load = HttpLoad::new(runtime.handle().clone(), move |answer| {
                let _ = tell.send(answer);
            });
            Self { runtime, load, answers }
        }

        fn next(&mut self) -> Answered {
            let answer = self.answers.recv_timeout(LONG).unwrap();
            self.load.heard(answer.id);
            answer
        }
    }

    fn probe(number: u32) -> HttpId {
        let task = SlotMap::<TaskKey, ()>::with_key().insert(());
        HttpId::Probe { task, group: 0, number }
    }

    fn call(target: std::net::SocketAddr) -> Call {
        Call { target, path: Some("/".to_owned()), agent: "test" }
    }

    #[test]
    fn a_slow_answer_holds_up_nobody_and_latency_counts_from_the_instant_meant() {
        let slow = server(|mut stream| {
            head(&mut stream);
            thread::sleep(Duration::from_secs(2));
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
        });
        let quick = server(|mut stream| {
            head(&mut stream);
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
        });
        let mut bench = Bench::new();
        let now = Instant::now();
        bench.load.send(probe(0), call(slow), now, LONG);
        // Three seconds late before it is even sent.
        let meant = now.checked_sub(Duration::from_secs(3)).unwrap();
        bench.load.send(probe(1), call(quick), meant, LONG);
        assert_eq!(bench.load.in_flight(), 2);
        let first = bench.next();
        assert_eq!((first.id, first.outcome), (probe(1), HttpOutcome::Answered { status: 200, cpu_s: None }));
        assert!(first.took >= Duration::from_secs(3), "{first:?}");
        let second = bench.next();
        assert_eq!(second.id, probe(0));
        assert!(second.took >= Duration::from_secs(2), "{second:?}");
        assert_eq!(bench.load.in_flight(), 0);
    }

    #[test]
    fn a_request_that_is_too_late_to_be_sent_has_timed_out() {
        let target = server(|mut stream| drop(head(&mut stream)));
        let mut bench = Bench::new();
        let meant = Instant::now().checked_sub(Duration::from_secs(3)).unwrap();
        bench.load.send(probe(0), call(target), meant, Duration::from_secs(2));
        assert_eq!(bench.next().outcome, HttpOutcome::TimedOut);
    }

    #[test]
    fn of_a_request_that_was_cut_nothing_is_heard() {
        let target = server(|mut stream| {
            head(&mut stream);
            thread::sleep(LONG);
        });
        let mut bench = Bench::new();
        bench.load.send(probe(0), call(target), Instant::now(), LONG);
        bench.load.cut(probe(0));
        let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        bench.load.send(probe(1), call(nobody), Instant::now(), LONG);
        let heard = bench.next();
        assert_eq!((heard.id, heard.outcome), (probe(1), HttpOutcome::Refused));
        drop(bench.load);
        bench.runtime.shutdown_background();
        assert!(bench.answers.try_recv().is_err());
    }
}
