//! The swap device: how long reads take.

use std::fmt;

/// A swap device and the processor beside it, in nanoseconds.
///
/// Reads of slots that follow each other, asked for together, become one request, as the block
/// layer merges them; `channels` requests run at once, more wait in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SwapDevice {
    /// Name for tables.
    pub name: &'static str,
    /// One random read of a 4096-byte page, from the fault's entry to its return.
    pub read_ns: u64,
    /// Each further page of a request.
    pub next_page_ns: u64,
    /// Requests that run at the same time, at least 1.
    pub channels: usize,
    /// Work of the program between two faults.
    pub compute_ns: u64,
    /// A fault whose page is in the swap cache.
    pub minor_fault_ns: u64,
    /// Where the figures come from.
    pub source: &'static str,
}

impl SwapDevice {
    /// The virtual disk of the machine that recorded the traces, fitted to its two measured run
    /// times of `resize` (66.4 s without read-ahead, 27.6 s with Linux's); the other programs'
    /// run times check the fit.
    pub const fn recording_guest() -> Self {
        Self {
            name: "recording guest",
            read_ns: 390_000,
            next_page_ns: 8_000,
            channels: 4,
            compute_ns: 100_000,
            minor_fault_ns: 48_000,
            source: "fitted to the run times of resize at page-cluster 0 and 3",
        }
    }

    /// A flash drive on NVMe.
    pub const fn flash() -> Self {
        Self {
            name: "NVMe flash",
            read_ns: 80_000,
            next_page_ns: 1_300,
            channels: 32,
            compute_ns: 10_000,
            minor_fault_ns: 1_000,
            source: "80 us: flash drives at queue depth 1 in AnandTech's review of the Optane P4800X (an eighth of its 10 us); 3.2 GB/s sequential; compute and minor fault assumed",
        }
    }

    /// Memory of another machine over RDMA, as in the study of Leap.
    pub const fn remote_memory() -> Self {
        Self {
            name: "remote memory",
            read_ns: 5_000,
            next_page_ns: 400,
            channels: 32,
            compute_ns: 10_000,
            minor_fault_ns: 1_000,
            source: "4.3 us a 4 KB RDMA read (Leap, ATC'20) and 0.7 us of fault path, assumed; 10 GB/s; compute and minor fault assumed",
        }
    }

    /// All of them.
    pub const fn all() -> [Self; 3] {
        [Self::recording_guest(), Self::flash(), Self::remote_memory()]
    }
}

impl fmt::Display for SwapDevice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let us = |ns: u64| ns as f64 / 1000.0;
        write!(
            f,
            "{}: {} us a random read, {} us each further page, {} requests at once, {} us of work between faults, {} us a fault served from the swap cache ({})",
            self.name,
            us(self.read_ns),
            us(self.next_page_ns),
            self.channels,
            us(self.compute_ns),
            us(self.minor_fault_ns),
            self.source
        )
    }
}

/// A device at work.
#[derive(Clone, Debug)]
pub(super) struct Running<'a> {
    pub(super) device: &'a SwapDevice,
    /// When each channel is free again.
    free_ns: Vec<u64>,
    /// The program's clock.
    pub(super) now_ns: u64,
    /// Time that the program waited for reads.
    pub(super) stalled_ns: u64,
    /// Time spent on decisions.
    pub(super) decision_ns: u64,
}

impl<'a> Running<'a> {
    pub(super) fn new(device: &'a SwapDevice) -> Self {
        let free_ns = vec![0; device.channels.max(1)];
        Self { device, free_ns, now_ns: 0, stalled_ns: 0, decision_ns: 0 }
    }

    /// Issues one request of `pages` pages in a row; gives the time when it is done.
    pub(super) fn read(&mut self, pages: u64) -> u64 {
        let now = self.now_ns;
        let cost = self.device.read_ns + pages.saturating_sub(1) * self.device.next_page_ns;
        // There is always a channel.
        let Some(free) = self.free_ns.iter_mut().min() else { return now + cost };
        *free = (*free).max(now) + cost;
        *free
    }

    /// The program waits until `ready_ns`.
    pub(super) fn wait_until(&mut self, ready_ns: u64) {
        let wait = ready_ns.saturating_sub(self.now_ns);
        self.stalled_ns += wait;
        self.now_ns += wait;
    }
}
