//! Pages that processes will need: predicted by a program, read by the kernel ahead of time.
//!
//! A thread of its own asks the kernel (`process_madvise`), because that may have to wait for
//! memory. What comes faster than it can work is dropped and counted: a late prefetch is of no use.

use std::collections::HashMap;
use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::thread::JoinHandle;

use rmt_driver::memory::advise_will_need;
use rmt_isa::limits::MAX_OUTPUTS;
use rustix::param::page_size;
use rustix::process::{Pid, PidfdFlags, pidfd_open};

/// Requests that wait.
const WAITING: usize = 1024;
/// Processes whose descriptors are kept.
const PROCESSES: usize = 256;
/// Pages that one decision predicts at most: two in each output word.
const PAGES: usize = 2 * MAX_OUTPUTS;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Asked {
    process: u64,
    pages: [u64; PAGES],
    count: usize,
}

/// What was counted.
#[derive(Debug, Default)]
struct Counts {
    asked: AtomicU64,
    taken_on: AtomicU64,
    failed: AtomicU64,
    dropped: AtomicU64,
}

/// The thread, until it is dropped.
pub struct Prefetcher {
    requests: Option<SyncSender<Asked>>,
    counts: Arc<Counts>,
    thread: Option<JoinHandle<()>>,
}

impl Prefetcher {
    /// Starts the thread.
    ///
    /// # Errors
    /// The system's.
    pub fn start() -> io::Result<Self> {
        let (requests, inbox) = sync_channel(WAITING);
        let counts = Arc::new(Counts::default());
        let shared = counts.clone();
        let builder = std::thread::Builder::new().name("rmt-prefetch".into());
        let thread = builder.spawn(move || run(&inbox, &shared))?;
        Ok(Self { requests: Some(requests), counts, thread: Some(thread) })
    }

    /// Asks for pages of a process, by page number. It does not wait.
    pub fn ask(&self, process: u64, pages: impl Iterator<Item = u64>) {
        let mut asked = Asked { process, pages: [0; PAGES], count: 0 };
        for (place, page) in asked.pages.iter_mut().zip(pages) {
            *place = page;
            asked.count += 1;
        }
        if asked.count == 0 {
            return;
        }
        let sent = self.requests.as_ref().map(|requests| requests.try_send(asked));
        let counter = match sent {
            Some(Ok(())) => &self.counts.asked,
            Some(Err(TrySendError::Full(_) | TrySendError::Disconnected(_))) | None => {
                &self.counts.dropped
            }
        };
        counter.fetch_add(asked.count as u64, Ordering::Relaxed);
    }

    /// Pages asked for, taken on by the kernel, refused by it, and dropped.
    pub fn counters(&self) -> [(&'static str, u64); 4] {
        let load = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let Counts { asked, taken_on, failed, dropped } = &*self.counts;
        [
            ("pages_asked", load(asked)),
            ("pages_taken_on", load(taken_on)),
            ("pages_failed", load(failed)),
            ("pages_dropped", load(dropped)),
        ]
    }
}

impl Drop for Prefetcher {
    fn drop(&mut self) {
        // Without a sender the thread ends.
        self.requests = None;
        if let Some(thread) = self.thread.take() {
            _ = thread.join();
        }
    }
}

fn run(inbox: &Receiver<Asked>, counts: &Counts) {
    let mut processes: HashMap<u64, OwnedFd> = HashMap::new();
    while let Ok(asked) = inbox.recv() {
        let pages = &asked.pages[..asked.count];
        let done = advise(&mut processes, asked.process, pages);
        if done.is_err() {
            // Its number may be another process's soon.
            processes.remove(&asked.process);
        }
        let taken_on = done.unwrap_or(0) as u64;
        counts.taken_on.fetch_add(taken_on, Ordering::Relaxed);
        counts.failed.fetch_add(pages.len() as u64 - taken_on, Ordering::Relaxed);
    }
}

/// How many of the pages the kernel takes on.
fn advise(processes: &mut HashMap<u64, OwnedFd>, process: u64, pages: &[u64]) -> io::Result<usize> {
    if processes.len() >= PROCESSES && !processes.contains_key(&process) {
        processes.clear();
    }
    let descriptor = match processes.entry(process) {
        std::collections::hash_map::Entry::Occupied(entry) => entry.into_mut(),
        std::collections::hash_map::Entry::Vacant(entry) => {
            let number = i32::try_from(process).ok().and_then(Pid::from_raw);
            let number = number.ok_or(io::ErrorKind::InvalidInput)?;
            entry.insert(pidfd_open(number, PidfdFlags::empty())?)
        }
    };
    let bytes = page_size();
    // Page by page: a hole in the process's memory would end a longer list.
    let mut taken_on = 0;
    let mut last = Ok(());
    for &page in pages {
        let range = (page.wrapping_mul(bytes as u64), bytes);
        match advise_will_need(descriptor.as_fd(), &[range]) {
            Ok(count) => taken_on += count / bytes,
            Err(error) => last = Err(error),
        }
    }
    if taken_on == 0 { last.map(|()| 0) } else { Ok(taken_on) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Pages of this process, which are there: the kernel takes the advice and does nothing.
    #[test]
    fn the_kernel_takes_advice_for_pages_that_are_there_and_not_for_holes() {
        let here = Box::new([1_u8; 16384]);
        let page = (here.as_ptr() as u64 + 4096) / page_size() as u64;
        let prefetcher = Prefetcher::start().unwrap();
        let own = u64::from(std::process::id());
        prefetcher.ask(own, [page].into_iter());
        prefetcher.ask(own, [1].into_iter());
        prefetcher.ask(u64::MAX, [page].into_iter());
        prefetcher.ask(own, std::iter::empty());
        let counts = prefetcher.counts.clone();
        drop(prefetcher);
        let load = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        assert_eq!((load(&counts.asked), load(&counts.dropped)), (3, 0));
        let (taken_on, failed) = (load(&counts.taken_on), load(&counts.failed));
        assert_eq!(taken_on + failed, 3);
        if taken_on == 0 {
            println!("this kernel does not let this user advise a process: only failures tested");
        } else {
            assert_eq!((taken_on, failed), (1, 2));
        }
    }
}
