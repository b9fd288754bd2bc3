//! The local socket: connections, frames, rights. What a client does wrong costs a bounded time
//! and a bounded memory, changes nothing, and is answered with the reason where it still listens.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::frame::{FrameError, receive, send};
use crate::plane::Plane;
use crate::protocol::{Refusal, RefusalKind, Reply, Request};
use crate::rights::{Peer, Rights};

/// Connections at a time.
const MOST_CONNECTIONS: usize = 64;
/// A connection on which nothing comes is closed after this time.
const IDLE: Duration = Duration::from_secs(60);
/// How often threads look whether the daemon stops.
const LOOK: Duration = Duration::from_millis(100);

/// The server, until it is dropped.
pub struct Server {
    path: PathBuf,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    /// Listens on a socket.
    ///
    /// # Errors
    /// When another daemon listens there, or the system refuses.
    pub fn start(path: &Path, plane: Arc<Plane>, rights: Rights) -> io::Result<Self> {
        let listener = listen(path)?;
        let stop = Arc::new(AtomicBool::new(false));
        let shared = Shared { plane, rights: Arc::new(rights), stop: stop.clone() };
        let builder = std::thread::Builder::new().name("rmt-control".into());
        let thread = Some(builder.spawn(move || shared.accept_all(&listener))?);
        Ok(Self { path: path.to_owned(), stop, thread })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            _ = thread.join();
        }
        _ = fs::remove_file(&self.path);
    }
}

/// Binds the socket; one that is left of a daemon that died is taken over.
pub(crate) fn listen(path: &Path) -> io::Result<UnixListener> {
    if let Some(folder) = path.parent().filter(|folder| *folder != Path::new("")) {
        fs::create_dir_all(folder)?;
    }
    let listener = match UnixListener::bind(path) {
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
            if UnixStream::connect(path).is_ok() {
                let reason = format!(
                    "a daemon listens on {} already; stop it, or give another path with --socket",
                    path.display()
                );
                return Err(io::Error::new(io::ErrorKind::AddrInUse, reason));
            }
            fs::remove_file(path)?;
            UnixListener::bind(path)?
        }
        other => other?,
    };
    // Everybody may connect and read; who may change is decided for each request.
    fs::set_permissions(path, fs::Permissions::from_mode(0o666))?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

/// Waits until there is a connection or data, at most [`LOOK`].
pub(crate) fn wait_readable(socket: &impl std::os::fd::AsFd) -> bool {
    let limit = Timespec { tv_sec: 0, tv_nsec: LOOK.as_nanos() as i64 };
    let mut polled = [PollFd::new(socket, PollFlags::IN)];
    poll(&mut polled, Some(&limit)).is_ok_and(|ready| ready > 0)
}

#[derive(Clone)]
struct Shared {
    plane: Arc<Plane>,
    rights: Arc<Rights>,
    stop: Arc<AtomicBool>,
}

impl Shared {
    fn stops(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    fn accept_all(&self, listener: &UnixListener) {
        let connections = Arc::new(AtomicUsize::new(0));
        while !self.stops() {
            if !wait_readable(listener) {
                continue;
            }
            let Ok((stream, _)) = listener.accept() else { continue };
            if connections.load(Ordering::Relaxed) >= MOST_CONNECTIONS {
                refuse_connection(stream);
                continue;
            }
            connections.fetch_add(1, Ordering::Relaxed);
            let (shared, count) = (self.clone(), connections.clone());
            let builder = std::thread::Builder::new().name("rmt-client".into());
            let spawned = builder.spawn(move || {
                let _one = Counted(count);
                // What goes wrong with one client is that client's.
                _ = shared.serve(stream);
            });
            if spawned.is_err() {
                connections.fetch_sub(1, Ordering::Relaxed);
            }
        }
        // Bounded: each connection looks at `stop`, or is inside a bounded frame or request.
        while connections.load(Ordering::Relaxed) > 0 {
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    fn serve(&self, mut stream: UnixStream) -> Result<(), FrameError> {
        stream.set_nonblocking(false)?;
        let peer = Peer::of(&stream)?;
        loop {
            let mut idle = Duration::ZERO;
            while !wait_readable(&stream) {
                idle += LOOK;
                if self.stops() || idle >= IDLE {
                    return Ok(());
                }
            }
            if self.stops() {
                return Ok(());
            }
            let reply = match receive::<Request>(&mut stream, LOOK) {
                Ok(request) => self.reply(peer, request),
                Err(FrameError::Closed) => return Ok(()),
                Err(error) => {
                    // Behind a frame that cannot be read nobody knows where the next begins.
                    let reason = error.to_string();
                    let remedy = "the connection is closed; nothing was done";
                    let refusal = Refusal::new(RefusalKind::BadRequest, reason, remedy);
                    return send(&mut stream, &Reply::Err(refusal));
                }
            };
            match send(&mut stream, &reply) {
                Err(FrameError::TooLong(bytes)) => {
                    let reason = format!("the answer has {bytes} bytes, which no message can hold");
                    let remedy = "ask for less: one key, one table";
                    let refusal = Refusal::new(RefusalKind::Unavailable, reason, remedy);
                    send(&mut stream, &Reply::Err(refusal))?;
                }
                sent => sent?,
            }
        }
    }

    fn reply(&self, peer: Peer, request: Request) -> Reply {
        if request.changes() {
            self.rights.check(peer)?;
        }
        self.plane.handle(request)
    }
}

/// Tells a client that there is no room, if it listens at once.
fn refuse_connection(mut stream: UnixStream) {
    let reason = format!("{MOST_CONNECTIONS} clients are connected, which is the most");
    let refusal = Refusal::new(RefusalKind::Unavailable, reason, "try again when one has left");
    // The answer fits the socket's buffer: this does not wait.
    _ = send(&mut stream, &Reply::Err(refusal));
}

struct Counted(Arc<AtomicUsize>);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
