//! Clients that do wrong: the daemon goes on, nothing changes, and the reason is said.

mod common;

use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use common::{Daemon, small_program};
use rmt_daemon::frame::receive;
use rmt_daemon::protocol::{Answer, Reply, Request, Wish};

const SOON: Duration = Duration::from_secs(3);
/// All clients that have left are forgotten within this.
const LEFT: Duration = Duration::from_secs(30);

fn said(stream: &mut UnixStream) -> String {
    match receive::<Reply>(stream, SOON) {
        Ok(Err(refusal)) => refusal.to_string(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn garbage_oversized_and_broken_frames_cost_the_client_its_connection_only() {
    let folder = tempfile::tempdir().unwrap();
    let daemon = Daemon::start(folder.path());
    daemon.install(&small_program(), Wish::Auto);
    let before = daemon.state("small");
    let connect = || UnixStream::connect(&daemon.socket).unwrap();

    let mut http = connect();
    http.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
    assert!(said(&mut http).contains("no message of the RMT control plane"));
    assert_eq!(http.read(&mut [0; 8]).unwrap_or(0), 0, "the connection is closed");

    let mut header = Vec::from(*b"RMTC\x01\0\0\0");
    header.extend(u32::MAX.to_le_bytes());
    let mut oversized = connect();
    oversized.write_all(&header).unwrap();
    assert!(said(&mut oversized).contains("at most"));

    let mut version = connect();
    version.write_all(b"RMTC\x09\0\0\0\x01\0\0\0\0").unwrap();
    assert!(said(&mut version).contains("version 9"));

    // A request that promises a list of 2^60 changes.
    let mut lying = connect();
    let mut message = vec![4, 1, b's'];
    message.extend([0xff; 8]);
    message.push(0x0f);
    let mut frame = Vec::from(*b"RMTC\x01\0\0\0");
    frame.extend((message.len() as u32).to_le_bytes());
    frame.extend(message);
    lying.write_all(&frame).unwrap();
    assert!(said(&mut lying).contains("cannot be read"));

    // Many that leave inside a frame, at every place of a good request.
    for length in 0..frame.len() {
        connect().write_all(&frame[..length]).unwrap();
    }
    // Bytes by a generator: some begin like a frame.
    for seed in 0..200_u64 {
        let mut bytes: Vec<u8> = (0..64)
            .map(|place| rmt_isa::arithmetic::split_mix_64(seed * 64 + place) as u8)
            .collect();
        if seed % 2 == 0 {
            bytes[..8].copy_from_slice(b"RMTC\x01\0\0\0");
            bytes[8..12].copy_from_slice(&40_u32.to_le_bytes());
        }
        let mut stream = connect();
        _ = stream.write_all(&bytes);
    }
    // They came faster than the daemon can see that they are gone: until then it is full, and
    // says so.
    let begun = Instant::now();
    while let Err(error) = daemon.client().ask(&Request::List) {
        assert!(begun.elapsed() < LEFT, "{error}");
        std::thread::sleep(Duration::from_millis(10));
    }
    assert_eq!(before.first_difference(&daemon.state("small")), None);
    let Answer::Programs(list) = daemon.client().ask(&Request::List).unwrap() else { panic!() };
    assert_eq!(list.len(), 1);
}

#[test]
fn a_slow_client_holds_up_nobody_and_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let daemon = Daemon::start(folder.path());
    let mut slow = UnixStream::connect(&daemon.socket).unwrap();
    slow.write_all(b"RMTC").unwrap();
    let begun = Instant::now();
    for _ in 0..20 {
        daemon.client().ask(&Request::List).unwrap();
    }
    assert!(begun.elapsed() < SOON, "others wait");
    match receive::<Reply>(&mut slow, Duration::from_secs(20)) {
        Ok(Err(refusal)) => assert!(refusal.reason.contains("did not come within"), "{refusal}"),
        other => panic!("{other:?}"),
    }
}

#[test]
fn clients_above_the_limit_are_told_and_the_daemon_stops_with_all_of_them() {
    let folder = tempfile::tempdir().unwrap();
    let mut daemon = Daemon::start(folder.path());
    let connect = || UnixStream::connect(&daemon.socket).unwrap();
    let mut all: Vec<UnixStream> = (0..80).map(|_| connect()).collect();
    let last = all.last_mut().unwrap();
    let message = said(last);
    assert!(message.contains("clients are connected"), "{message}");
    let begun = Instant::now();
    drop(daemon.server.take());
    assert!(begun.elapsed() < SOON, "idle connections do not keep it");
    assert!(!daemon.socket.exists());
}
