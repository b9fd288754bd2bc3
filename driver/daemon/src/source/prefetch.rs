//! Pages that processes will need: predicted by a program, read by the kernel ahead of time.
//!
//! A thread of its own asks the kernel (`process_madvise`), because that may have to wait for
//! memory. What comes faster than it can work is dropped and counted: a late prefetch is of no use.

use std::collections::{HashMap, VecDeque};
use std::io;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
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
/// Pages of a process that are remembered as asked for. A prediction at every fault names most pages
/// several times; a page that is asked for again later may have been swapped out again.
const REMEMBERED: usize = 64;

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
    repeated: AtomicU64,
}

/// A process that is advised.
struct Advised {
    descriptor: OwnedFd,
    /// The last pages asked for, newest first.
    asked: VecDeque<u64>,
}

impl Advised {
    fn new(process: u64) -> io::Result<Self> {
        let number = i32::try_from(process).ok().and_then(Pid::from_raw);
        let number = number.ok_or(io::ErrorKind::InvalidInput)?;
        let descriptor = pidfd_open(number, PidfdFlags::empty())?;
        Ok(Self { descriptor, asked: VecDeque::with_capacity(REMEMBERED) })
    }

    /// Those of the pages that were not asked for lately, in order; they are from now on. While they
    /// are less than half of what is predicted they can wait: a few pages together are read in
    /// fewer requests.
    fn new_pages(&mut self, pages: &[u64]) -> Vec<u64> {
        let mut new = pages.to_vec();
        new.retain(|page| !self.asked.contains(page));
        new.sort_unstable();
        new.dedup();
        if 2 * new.len() < pages.len() {
            return Vec::new();
        }
        self.asked.truncate(REMEMBERED.saturating_sub(new.len()));
        new.iter().for_each(|page| self.asked.push_front(*page));
        new
    }
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

    /// Pages asked for, taken on by the kernel, refused by it, dropped, and left out because they
    /// were asked for just before.
    pub fn counters(&self) -> [(&'static str, u64); 5] {
        let load = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let Counts { asked, taken_on, failed, dropped, repeated } = &*self.counts;
        [
            ("pages_asked", load(asked)),
            ("pages_taken_on", load(taken_on)),
            ("pages_failed", load(failed)),
            ("pages_dropped", load(dropped)),
            ("pages_repeated", load(repeated)),
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
    let mut processes: HashMap<u64, Advised> = HashMap::new();
    while let Ok(asked) = inbox.recv() {
        let pages = &asked.pages[..asked.count];
        let done = advise(&mut processes, asked.process, pages);
        if done.is_err() {
            // Its number may be another process's soon.
            processes.remove(&asked.process);
        }
        let (taken_on, repeated) = done.unwrap_or((0, 0));
        let failed = pages.len() - taken_on - repeated;
        counts.taken_on.fetch_add(taken_on as u64, Ordering::Relaxed);
        counts.repeated.fetch_add(repeated as u64, Ordering::Relaxed);
        counts.failed.fetch_add(failed as u64, Ordering::Relaxed);
    }
}

/// How many of the pages the kernel takes on, and how many were asked for just before.
fn advise(
    processes: &mut HashMap<u64, Advised>,
    process: u64,
    pages: &[u64],
) -> io::Result<(usize, usize)> {
    if processes.len() >= PROCESSES && !processes.contains_key(&process) {
        processes.clear();
    }
    let advised = match processes.entry(process) {
        std::collections::hash_map::Entry::Occupied(entry) => entry.into_mut(),
        std::collections::hash_map::Entry::Vacant(entry) => entry.insert(Advised::new(process)?),
    };
    let new = advised.new_pages(pages);
    if new.is_empty() {
        return Ok((0, pages.len()));
    }
    let taken_on = advise_pages(advised.descriptor.as_fd(), &new)?;
    Ok((taken_on, pages.len() - new.len()))
}

/// How many of some pages, in order, the kernel takes on.
fn advise_pages(process: BorrowedFd<'_>, pages: &[u64]) -> io::Result<usize> {
    let bytes = page_size();
    let range = |page: u64, count: usize| (page.wrapping_mul(bytes as u64), count * bytes);
    let neighbours = pages.chunk_by(|page, next| page.wrapping_add(1) == *next);
    let ranges: Vec<_> = neighbours.map(|pages| range(pages[0], pages.len())).collect();
    let done = advise_will_need(process, &ranges);
    if done.as_ref().is_ok_and(|count| *count == pages.len() * bytes) || pages.len() == 1 {
        return done.map(|count| count / bytes);
    }
    // A hole in the process's memory ends the list: page by page.
    let mut taken_on = 0;
    let mut last = Ok(());
    for page in pages {
        match advise_will_need(process, &[range(*page, 1)]) {
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
        prefetcher.ask(own, [page + 1, page].into_iter());
        prefetcher.ask(own, [1].into_iter());
        prefetcher.ask(u64::MAX, [page].into_iter());
        prefetcher.ask(own, std::iter::empty());
        let counts = prefetcher.counts.clone();
        drop(prefetcher);
        let load = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        assert_eq!((load(&counts.asked), load(&counts.dropped)), (4, 0));
        let (taken_on, failed) = (load(&counts.taken_on), load(&counts.failed));
        assert_eq!(taken_on + failed, 4);
        if taken_on == 0 {
            println!("this kernel does not let this user advise a process: only failures tested");
        } else {
            assert_eq!((taken_on, failed), (2, 2));
        }
    }

    #[test]
    fn a_page_is_asked_for_once_until_others_have_followed() {
        let mut advised = Advised::new(std::process::id().into()).unwrap();
        assert_eq!(advised.new_pages(&[9, 7, 8, 7]), [7, 8, 9]);
        assert!(advised.new_pages(&[7, 8, 9]).is_empty());
        // One new page of four waits for a second one.
        assert!(advised.new_pages(&[7, 8, 9, 10]).is_empty());
        assert_eq!(advised.new_pages(&[8, 9, 10, 11]), [10, 11]);
        for page in 12..12 + REMEMBERED as u64 {
            assert_eq!(advised.new_pages(&[page]), [page]);
            assert!(advised.asked.len() <= REMEMBERED);
        }
        assert_eq!(advised.new_pages(&[7]), [7]);
    }
}
