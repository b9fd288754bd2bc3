//! Counters for Prometheus: its text format over HTTP, on a local TCP port or Unix socket.
//!
//! A page of text in answer to any `GET` needs no HTTP library; requests are read up to a bound
//! in size and time, and connections are served one after the other.

use std::fmt::Write as _;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::os::fd::AsFd;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rustix::net::sockopt::{Timeout, set_socket_timeout};

use crate::plane::Plane;
use crate::protocol::{Answer, CountersView, Request};
use crate::server::{listen, wait_readable};

/// Longest request.
const MOST_BYTES: usize = 8192;
/// Longest time of one connection.
const TIME: Duration = Duration::from_secs(2);

/// Where metrics are shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Endpoint {
    /// A TCP address; only local ones are sensible.
    Tcp(SocketAddr),
    /// A Unix socket.
    Unix(PathBuf),
}

impl std::str::FromStr for Endpoint {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.parse() {
            Ok(address) => Ok(Self::Tcp(address)),
            Err(_) if text.contains('/') => Ok(Self::Unix(text.into())),
            Err(_) => {
                Err(format!("`{text}` is neither an address such as 127.0.0.1:9464 nor a path"))
            }
        }
    }
}

/// The endpoint, until it is dropped.
pub struct Metrics {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
    path: Option<PathBuf>,
    address: Option<SocketAddr>,
}

impl Metrics {
    /// Starts it.
    ///
    /// # Errors
    /// The system's.
    pub fn start(endpoint: &Endpoint, plane: Arc<Plane>) -> io::Result<Self> {
        let stop = Arc::new(AtomicBool::new(false));
        let builder = std::thread::Builder::new().name("rmt-metrics".into());
        let stopped = stop.clone();
        let (thread, path, address) = match endpoint {
            Endpoint::Tcp(address) => {
                let listener = TcpListener::bind(address)?;
                let address = listener.local_addr()?;
                listener.set_nonblocking(true)?;
                let accept = |listener: &TcpListener| Ok(listener.accept()?.0);
                let thread = builder.spawn(move || serve(&listener, accept, &plane, &stopped))?;
                (thread, None, Some(address))
            }
            Endpoint::Unix(path) => {
                let listener = listen(path)?;
                let accept = |listener: &UnixListener| Ok(listener.accept()?.0);
                let thread = builder.spawn(move || serve(&listener, accept, &plane, &stopped))?;
                (thread, Some(path.clone()), None)
            }
        };
        Ok(Self { stop, thread: Some(thread), path, address })
    }

    /// The TCP address that it listens on.
    pub fn address(&self) -> Option<SocketAddr> {
        self.address
    }

    /// The Unix socket that it listens on.
    pub fn path(&self) -> Option<&Path> {
        self.path.as_deref()
    }
}

impl Drop for Metrics {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            _ = thread.join();
        }
        if let Some(path) = &self.path {
            _ = std::fs::remove_file(path);
        }
    }
}

fn serve<L: AsFd, S: Read + Write + AsFd>(
    listener: &L,
    accept: impl Fn(&L) -> io::Result<S>,
    plane: &Plane,
    stop: &AtomicBool,
) {
    while !stop.load(Ordering::Relaxed) {
        if wait_readable(listener)
            && let Ok(mut stream) = accept(listener)
            && bound(&stream).is_ok()
        {
            // What goes wrong with one scrape is the scraper's.
            _ = answer(&mut stream, plane);
        }
    }
}

/// Lets reads and writes of a connection wait, but not for long.
fn bound(stream: &impl AsFd) -> io::Result<()> {
    rustix::io::ioctl_fionbio(stream, false)?;
    set_socket_timeout(stream, Timeout::Recv, Some(TIME))?;
    set_socket_timeout(stream, Timeout::Send, Some(TIME))?;
    Ok(())
}

fn answer(stream: &mut (impl Read + Write), plane: &Plane) -> io::Result<()> {
    let (mut request, begun) = (Vec::new(), Instant::now());
    let mut bytes = [0; 1024];
    while !request.windows(4).any(|end| end == b"\r\n\r\n") {
        let count = stream.read(&mut bytes)?;
        request.extend_from_slice(&bytes[..count]);
        if count == 0 || request.len() > MOST_BYTES || begun.elapsed() > TIME {
            break;
        }
    }
    let (status, body) = match (request.starts_with(b"GET "), plane.handle(Request::Counters)) {
        (false, _) => ("405 Method Not Allowed", "only GET is answered\n".to_owned()),
        (true, Ok(Answer::Counters(view))) => ("200 OK", text(&view)),
        (true, _) => ("503 Service Unavailable", "the daemon is stopping\n".to_owned()),
    };
    let length = body.len();
    write!(
        stream,
        "HTTP/1.1 {status}\r\nContent-Type: text/plain; version=0.0.4\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}"
    )?;
    stream.flush()
}

/// Quotes, backslashes and line ends cannot stand in a label.
fn label(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

/// The page.
pub fn text(view: &CountersView) -> String {
    let mut page = String::new();
    // Writing to a string does not fail.
    let mut metric = |name: &str, kind: &str, help: &str, lines: Vec<(String, f64)>| {
        _ = writeln!(page, "# HELP rmt_{name} {help}\n# TYPE rmt_{name} {kind}");
        for (labels, value) in lines {
            _ = writeln!(page, "rmt_{name}{labels} {value}");
        }
    };
    let one = |value: f64| vec![(String::new(), value)];
    metric("uptime_seconds", "gauge", "Seconds since the daemon began.", one(view.uptime_seconds));
    metric(
        "requests_done_total",
        "counter",
        "Requests that were done.",
        one(view.requests.0 as f64),
    );
    metric(
        "requests_refused_total",
        "counter",
        "Requests that were refused.",
        one(view.requests.1 as f64),
    );
    metric("journal_bytes", "gauge", "Size of the journal.", one(view.journal_bytes as f64));
    metric(
        "card_works",
        "gauge",
        "1 when there is a card and it works.",
        one(view.card_works.into()),
    );
    let without = one(view.events_without_program as f64);
    metric("events_without_program_total", "counter", "Events of hooks without program.", without);
    let first = view.programs.values().next().map(|program| program.counters.list());
    for (index, (name, help, _)) in first.unwrap_or_default().into_iter().enumerate() {
        let lines = view.programs.iter().map(|(program, counters)| {
            let value = counters.counters.list()[index].2;
            (format!("{{program=\"{}\"}}", label(program)), value as f64)
        });
        metric(&format!("program_{name}_total"), "counter", help, lines.collect());
    }
    let quantiles = ["0.5", "0.99", "0.999", "1"];
    let times = view.programs.iter().flat_map(|(program, counters)| {
        let program = label(program);
        quantiles.iter().zip(counters.nanoseconds).map(move |(quantile, nanoseconds)| {
            let labels = format!("{{program=\"{program}\",quantile=\"{quantile}\"}}");
            (labels, nanoseconds as f64 / 1e9)
        })
    });
    metric("event_seconds", "summary", "Time of an event in its engine.", times.collect());
    let accuracy = view.programs.iter().filter_map(|(program, counters)| {
        Some((format!("{{program=\"{}\"}}", label(program)), counters.accuracy?))
    });
    let help = "Share of predicted pages that were asked for.";
    metric("program_accuracy", "gauge", help, accuracy.collect());
    let engines = view.programs.iter().map(|(program, counters)| {
        (format!("{{program=\"{}\",engine=\"{}\"}}", label(program), counters.engine), 1.0)
    });
    metric("program_engine", "gauge", "Where a program runs.", engines.collect());
    let sources = view.sources.iter().flat_map(|(source, counters)| {
        counters.iter().map(move |(name, value)| {
            (format!("{{source=\"{}\",what=\"{name}\"}}", label(source)), *value as f64)
        })
    });
    metric("source_total", "counter", "What event sources counted.", sources.collect());
    let card =
        view.card.iter().map(|(name, value)| (format!("{{what=\"{name}\"}}"), *value as f64));
    metric("card_total", "counter", "Counters of the card; they wrap.", card.collect());
    page
}
