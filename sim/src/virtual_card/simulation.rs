//! The simulated card on a thread of its own.
//!
//! Reads wait for their answer; writes are posted, as on the bus. While the card has something to do
//! its clock runs; when nothing has happened for [`QUIET_CYCLES`] and the card says that it is
//! idle, the thread sleeps until the next access: the clock of an idle card stands still.

use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TryRecvError, sync_channel};
use std::thread::JoinHandle;
use std::time::Duration;

use rmt_isa::device::fields::device_status;
use rmt_isa::device::registers::STATUS;

use super::guest_memory::SharedMemory;
use crate::root_complex::{CardBus, ConfigState};

/// Cycles between two looks at the queue of accesses.
const STEP_CYCLES: u64 = 64;
/// Cycles without any access of host or card, after which the card is asked whether it is idle.
const QUIET_CYCLES: u64 = 8192;
/// Accesses that may wait; a client that is faster is held up.
const WAITING_ACCESSES: usize = 1024;
/// A sleeping card looks this often whether the server is still there.
const SLEEP: Duration = Duration::from_millis(500);

/// What the server asks of the card.
enum Access {
    Read { bar: u8, offset: u64, bytes: usize, answer: SyncSender<Vec<u8>> },
    Write { bar: u8, offset: u64, bytes: Vec<u8> },
    State(ConfigState),
    Reset { state: ConfigState, done: SyncSender<()> },
}

/// The server's end.
pub struct Simulation {
    accesses: Option<SyncSender<Access>>,
    thread: Option<JoinHandle<Result<(), String>>>,
}

impl Simulation {
    /// Starts the thread; `make` builds the card there.
    pub fn start<B: CardBus, E: std::fmt::Display>(
        memory: SharedMemory,
        make: impl FnOnce(SharedMemory) -> Result<B, E> + Send + 'static,
    ) -> Self {
        let (accesses, received) = sync_channel(WAITING_ACCESSES);
        let thread = std::thread::spawn(move || {
            let simulate = || {
                let mut bus = make(memory.clone()).map_err(|error| error.to_string())?;
                run(&mut bus, &memory, &received).map_err(|error| error.to_string())
            };
            // The client only sees a card that is gone, and may never leave the server time to say why.
            simulate().inspect_err(|error| eprintln!("virtual card: it failed: {error}"))
        });
        Self { accesses: Some(accesses), thread: Some(thread) }
    }

    /// Reads bytes of a BAR: all ones when the card is gone.
    pub fn read(&self, bar: u8, offset: u64, data: &mut [u8]) {
        let (answer, wait) = sync_channel(1);
        self.send(Access::Read { bar, offset, bytes: data.len(), answer });
        match wait.recv() {
            Ok(bytes) => data.copy_from_slice(&bytes),
            Err(_) => data.fill(0xff),
        }
    }

    /// Writes bytes of a BAR.
    pub fn write(&self, bar: u8, offset: u64, bytes: &[u8]) {
        self.send(Access::Write { bar, offset, bytes: bytes.to_vec() });
    }

    /// Changes the state of configuration space.
    pub fn set_state(&self, state: ConfigState) {
        self.send(Access::State(state));
    }

    /// Resets the function and waits for its end.
    pub fn reset(&self, state: ConfigState) {
        let (done, wait) = sync_channel(1);
        self.send(Access::Reset { state, done });
        // An error means that the card is gone, which the next read shows.
        let _ = wait.recv();
    }

    /// Whether the thread has ended by itself.
    pub fn has_ended(&self) -> bool {
        self.thread.as_ref().is_none_or(JoinHandle::is_finished)
    }

    /// Ends the thread; says why if it had ended by itself.
    ///
    /// # Errors
    /// What the simulation failed with.
    pub fn stop(mut self) -> Result<(), String> {
        self.accesses = None;
        match self.thread.take().map(JoinHandle::join) {
            Some(Ok(result)) => result,
            Some(Err(_)) => Err("the thread of the simulation panicked".to_owned()),
            None => Ok(()),
        }
    }

    fn send(&self, access: Access) {
        if let Some(accesses) = &self.accesses {
            // As for `reset`.
            let _ = accesses.send(access);
        }
    }
}

/// Serves accesses until the server's end is gone.
fn run<B: CardBus>(
    bus: &mut B,
    memory: &SharedMemory,
    accesses: &Receiver<Access>,
) -> Result<(), B::Error> {
    let mut quiet = 0;
    let mut seen = 0;
    loop {
        let access = if quiet < QUIET_CYCLES || !is_idle(bus)? {
            accesses.try_recv().map_err(|error| error == TryRecvError::Disconnected)
        } else {
            accesses.recv_timeout(SLEEP).map_err(|error| error == RecvTimeoutError::Disconnected)
        };
        match access {
            Ok(access) => {
                quiet = 0;
                serve(bus, access)?;
            }
            Err(true) => return Ok(()),
            Err(false) if quiet < QUIET_CYCLES => {}
            // Still asleep.
            Err(false) => continue,
        }
        bus.advance(STEP_CYCLES)?;
        quiet = if memory.accesses() == seen { quiet + STEP_CYCLES } else { 0 };
        seen = memory.accesses();
    }
}

fn serve<B: CardBus>(bus: &mut B, access: Access) -> Result<(), B::Error> {
    match access {
        Access::Read { bar, offset, bytes, answer } => {
            let mut data = vec![0; bytes];
            bus.bar_read(bar, offset, &mut data)?;
            // Who asked may be gone.
            let _ = answer.send(data);
        }
        Access::Write { bar, offset, bytes } => bus.bar_write(bar, offset, &bytes)?,
        Access::State(state) => bus.set_config(state),
        Access::Reset { state, done } => {
            bus.function_reset()?;
            bus.set_config(state);
            let _ = done.send(());
        }
    }
    Ok(())
}

/// Whether the card says that nothing is under way in it.
fn is_idle<B: CardBus>(bus: &mut B) -> Result<bool, B::Error> {
    let mut status = [0; 4];
    bus.bar_read(STATUS.block.bar, STATUS.at(0).into(), &mut status)?;
    let status = u64::from(u32::from_le_bytes(status));
    Ok(device_status::IDLE.extract(status) == 1)
}
