//! One HTTP request to a target, as a load balancer sends it.

use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::time::Duration;

use http_body_util::{BodyExt, Empty};
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper::header::{CONNECTION, HOST, HeaderMap, USER_AGENT};
use hyper::{Request, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use crate::control_plane::real_http::HttpOutcome;

/// What is asked of whom.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// Where the target listens.
    pub target: SocketAddr,
    /// Path, with its query if it has one; `None` when a connection is all that is wanted.
    pub path: Option<String>,
    /// Who asks, as `User-Agent`: load balancers' probes name themselves.
    pub agent: &'static str,
}

/// Sends a `GET` over a connection of its own and reads the answer to its end, which is thrown away.
///
/// Gives up after `patience`. An answer that breaks off is none, whatever its status was.
pub async fn get(call: &Call, patience: Duration) -> HttpOutcome {
    if patience.is_zero() {
        return HttpOutcome::TimedOut;
    }
    match tokio::time::timeout(patience, exchange(call)).await {
        Err(_) => HttpOutcome::TimedOut,
        Ok(outcome) => outcome,
    }
}

async fn exchange(call: &Call) -> HttpOutcome {
    let stream = match TcpStream::connect(call.target).await {
        Ok(stream) => stream,
        Err(error) if error.kind() == io::ErrorKind::TimedOut => return HttpOutcome::TimedOut,
        Err(_) => return HttpOutcome::Refused,
    };
    // An answer must not wait for a packet to fill up; without the option it is only later.
    let _ = stream.set_nodelay(true);
    let Some(path) = &call.path else { return HttpOutcome::Answered { status: 200, cpu_s: None } };
    let Ok((status, headers)) = answer(stream, call, path).await else { return HttpOutcome::Broken };
    HttpOutcome::Answered { status: status.as_u16(), cpu_s: cpu_of(&headers) }
}

async fn answer(stream: TcpStream, call: &Call, path: &str) -> Result<(StatusCode, HeaderMap), hyper::Error> {
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    let asked = Request::get(path)
        .header(HOST, call.target.to_string())
        .header(USER_AGENT, call.agent)
        .header(CONNECTION, "close")
        .body(Empty::<Bytes>::new());
    let mut exchange = pin!(async move {
        // A path that is no path is refused by the target, not by a panic here.
        let request = asked.unwrap_or_else(|_| Request::new(Empty::new()));
        let response = sender.send_request(request).await?;
        let (status, headers) = (response.status(), response.headers().clone());
        let mut body = response.into_body();
        while let Some(frame) = body.frame().await {
            frame?;
        }
        Ok((status, headers))
    });
    let mut connection = pin!(connection);
    tokio::select! {
        answer = &mut exchange => answer,
        // What has come before the end of the connection is still to be read.
        _ = &mut connection => exchange.await,
    }
}

/// The CPU time that a server says the answer took it, in seconds: `Server-Timing: cpu;dur=12.5`, in milliseconds (W3C,
/// "Server Timing").
fn cpu_of(headers: &HeaderMap) -> Option<f64> {
    let entries = headers.get_all("server-timing").iter().filter_map(|value| value.to_str().ok());
    let cpu = entries.flat_map(|value| value.split(',')).find_map(|metric| {
        let mut parts = metric.split(';').map(str::trim);
        (parts.next() == Some("cpu")).then(|| parts.find_map(|part| part.strip_prefix("dur=")))?
    })?;
    let millis: f64 = cpu.trim_matches('"').parse().ok()?;
    (millis.is_finite() && millis >= 0.0).then_some(millis / 1e3)
}

#[cfg(test)]
pub(super) mod tests {
    use std::io::{Read, Write};
    use std::net::TcpListener;
    use std::thread;

    use super::*;

    /// A server on 127.0.0.1 that does the same with every connection, on a thread each, until the test ends.
    pub(in crate::adapters::http) fn server(serve: fn(std::net::TcpStream)) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                thread::spawn(move || serve(stream));
            }
        });
        address
    }

    /// Reads a request up to its empty line.
    pub(in crate::adapters::http) fn head(stream: &mut std::net::TcpStream) -> String {
        let mut text = Vec::new();
        let mut byte = [0];
        while !text.ends_with(b"\r\n\r\n") && stream.read(&mut byte).is_ok_and(|read| read == 1) {
            text.push(byte[0]);
        }
        String::from_utf8(text).unwrap()
    }

    fn asked(target: SocketAddr, patience: Duration) -> HttpOutcome {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let call = Call { target, path: Some("/burn?n=1".to_owned()), agent: "test" };
        runtime.block_on(get(&call, patience))
    }

    const LONG: Duration = Duration::from_secs(20);

    #[test]
    fn an_answer_has_a_status_and_what_it_cost() {
        let target = server(|mut stream| {
            let head = head(&mut stream);
            let status = if head.starts_with("GET /burn?n=1 HTTP/1.1\r\n") { "200 OK" } else { "404 Not Found" };
            let text = format!(
                "HTTP/1.1 {status}\r\nServer-Timing: db;dur=3, cpu;desc=\"own\";dur=12.5\r\nContent-Length: 2\r\n\r\nok"
            );
            stream.write_all(text.as_bytes()).unwrap();
        });
        assert_eq!(asked(target, LONG), HttpOutcome::Answered { status: 200, cpu_s: Some(0.0125) });
    }

    #[test]
    fn an_error_is_an_answer_too() {
        let target = server(|mut stream| {
            head(&mut stream);
            stream.write_all(b"HTTP/1.0 503 Busy\r\n\r\nuntil the connection ends").unwrap();
        });
        assert_eq!(asked(target, LONG), HttpOutcome::Answered { status: 503, cpu_s: None });
    }

    #[test]
    fn where_nothing_listens_the_connection_is_refused() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let target = listener.local_addr().unwrap();
        drop(listener);
        assert_eq!(asked(target, LONG), HttpOutcome::Refused);
    }

    #[test]
    fn a_connection_may_be_all_that_is_wanted() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let call = Call { target: server(drop), path: None, agent: "test" };
        let connected = HttpOutcome::Answered { status: 200, cpu_s: None };
        assert_eq!(runtime.block_on(get(&call, LONG)), connected);
    }

    #[test]
    fn an_answer_that_breaks_off_is_none() {
        let silent = server(|mut stream| drop(head(&mut stream)));
        assert_eq!(asked(silent, LONG), HttpOutcome::Broken);
        let half = server(|mut stream| {
            head(&mut stream);
            stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf").unwrap();
        });
        assert_eq!(asked(half, LONG), HttpOutcome::Broken);
        let babble = server(|mut stream| {
            head(&mut stream);
            stream.write_all(b"no HTTP at all\r\n\r\n").unwrap();
        });
        assert_eq!(asked(babble, LONG), HttpOutcome::Broken);
    }

    #[test]
    fn patience_ends() {
        let target = server(|mut stream| {
            head(&mut stream);
            thread::sleep(LONG);
        });
        assert_eq!(asked(target, Duration::from_millis(30)), HttpOutcome::TimedOut);
    }

    #[test]
    fn a_cost_that_is_none_is_left_out() {
        for (value, expected) in [
            ("cpu;dur=4", Some(0.004)),
            ("cpu; dur=\"4\"", Some(0.004)),
            ("total;dur=9", None),
            ("cpu", None),
            ("cpu;dur=-1", None),
            ("cpu;dur=inf", None),
        ] {
            let headers = HeaderMap::from_iter([("server-timing".parse().unwrap(), value.parse().unwrap())]);
            assert_eq!(cpu_of(&headers), expected, "{value}");
        }
    }
}
