//! What compiled code runs on: its frame, the functions that it calls, and the memory that
//! its pointers lead to. With `kernels`, the only unsafe code of the crate.
//!
//! Compiled code is `fn(frame, event) -> end`. It trusts what the verifier proved (offsets,
//! types, open records) and what [`Runtime`] keeps true: every pointer in the [`Frame`] leads
//! into the [`State`] that the code was compiled for, and nothing else touches that state
//! while an action runs.

#[cfg(target_arch = "x86_64")]
use std::arch::x86_64::__m128i;
use std::ptr::NonNull;

use cranelift_jit::JITModule;
use rmt_isa::event::EVENT_BYTES;
use rmt_isa::limits::{MAX_ARGUMENTS, MAX_CONTEXTS, MAX_OUTPUTS, MAX_PARAMETERS};
use rmt_isa::{Event, Helper};

use super::kernels;
#[cfg(target_arch = "x86_64")]
use super::kernels::chain::CHAIN_LANES;
use super::kernels::chain::Chain;
#[cfg(target_arch = "x86_64")]
use super::kernels::chain_x86::run_chain;
use super::operation::{Operation, VectorFile};
use crate::state::{
    Applied, Change, CommitError, Contents, ContextStore, MapStore, SnapshotError, State,
};

/// What an action works on, at fixed offsets.
#[repr(C)]
pub(super) struct Frame {
    /// `r1` to `r4` that a tail call hands over.
    pub(super) arguments: [u64; MAX_ARGUMENTS],
    /// Action data of the matched entry.
    pub(super) parameters: [u64; MAX_PARAMETERS],
    /// Output words.
    pub(super) outputs: [u64; MAX_OUTPUTS],
    /// Context stores, by number.
    pub(super) contexts: [ContextView; MAX_CONTEXTS],
    /// The first map.
    pub(super) maps: *mut MapStore,
    /// Vectors that are not in machine registers.
    pub(super) vectors: VectorFile,
}

/// One context store.
#[repr(C)]
#[derive(Clone, Copy)]
pub(super) struct ContextView {
    /// The key that was matched last, and the record that it has; null after a change from
    /// outside. While they hold, to match the key again changes nothing: it is there, and the
    /// most recently matched one of its set.
    pub(super) last_key: u64,
    pub(super) last_record: *mut u64,
    /// The store, to look up records.
    pub(super) store: *mut ContextStore,
    /// The words of all records.
    pub(super) records: *mut u64,
    /// A record of zeros: what is read of a record that was not found.
    pub(super) absent: *const u64,
    /// A record that nobody reads: where writes to a record that was not found go.
    pub(super) discarded: *mut u64,
}

/// An action in machine code. The result is an [`super::action::End`] as a word.
pub(super) type ActionCode = unsafe extern "C" fn(*mut Frame, *const u8) -> u64;

/// Machine code of all actions, with the constants that it points to.
pub(super) struct Code {
    module: Option<JITModule>,
    actions: Vec<ActionCode>,
    /// What the code refers to by address; boxed, so that it stays in its place.
    _constants: Constants,
}

/// Constants that code refers to by address.
#[derive(Default)]
#[expect(clippy::vec_box, reason = "their addresses are in the code: they must not move")]
pub(super) struct Constants {
    operations: Vec<Box<Operation>>,
    chains: Vec<Box<Chain>>,
    tables: Vec<Box<[Line]>>,
}

/// 16 bytes, aligned for vector loads.
#[derive(Clone, Copy)]
#[repr(align(16))]
struct Line {
    _bytes: [u8; 16],
}

impl Constants {
    /// Keeps an operation; its address.
    pub(super) fn operation(&mut self, operation: Operation) -> usize {
        let operation = Box::new(operation);
        let address = &raw const *operation as usize;
        self.operations.push(operation);
        address
    }

    /// Keeps a chain of layers; its address.
    pub(super) fn chain(&mut self, chain: Chain) -> usize {
        let chain = Box::new(chain);
        let address = &raw const *chain as usize;
        self.chains.push(chain);
        address
    }

    /// Keeps a table of 16-byte lines; its address.
    pub(super) fn table(&mut self, lines: &[[u8; 16]]) -> usize {
        let lines: Box<[Line]> = lines.iter().map(|&bytes| Line { _bytes: bytes }).collect();
        let address = lines.as_ptr() as usize;
        self.tables.push(lines);
        address
    }
}

impl Code {
    /// Takes over finished code: `actions` are addresses of functions in `module`, one for
    /// each action, that the code generator made to be called as [`ActionCode`].
    pub(super) fn new(module: JITModule, actions: &[*const u8], constants: Constants) -> Self {
        // SAFETY: the code generator gives every function the signature of ActionCode, and the
        // module that holds them lives as long as the pointers.
        let function = |&address| unsafe { std::mem::transmute::<*const u8, ActionCode>(address) };
        let actions = actions.iter().map(function).collect();
        Self { module: Some(module), actions, _constants: constants }
    }

    /// The code of an action.
    pub(super) fn action(&self, action: usize) -> Option<ActionCode> {
        self.actions.get(action).copied()
    }
}

impl Drop for Code {
    fn drop(&mut self) {
        if let Some(module) = self.module.take() {
            // SAFETY: code runs only inside `Runtime::run`, which borrows the `Code`; the
            // function pointers go with it.
            unsafe { module.free_memory() };
        }
    }
}

/// State and frame, and the promise that the frame's pointers are good.
pub(super) struct Runtime {
    /// Owned; a pointer, since the frame's pointers lead into it.
    state: NonNull<State>,
    frame: NonNull<Frame>,
    /// Two records for each context store, see [`ContextView`].
    _spare_records: Vec<Box<[u64]>>,
}

// SAFETY: all pointers lead to memory that the value owns.
unsafe impl Send for Runtime {}

impl Runtime {
    /// A runtime for a state; code must be compiled for the same state.
    pub(super) fn new(state: State) -> Self {
        let state = NonNull::from(Box::leak(Box::new(state)));
        let nothing = ContextView {
            last_key: 0,
            last_record: std::ptr::null_mut(),
            store: std::ptr::null_mut(),
            records: std::ptr::null_mut(),
            absent: std::ptr::null(),
            discarded: std::ptr::null_mut(),
        };
        let mut frame = Box::new(Frame {
            arguments: [0; MAX_ARGUMENTS],
            parameters: [0; MAX_PARAMETERS],
            outputs: [0; MAX_OUTPUTS],
            contexts: [nothing; MAX_CONTEXTS],
            maps: std::ptr::null_mut(),
            vectors: VectorFile::new(),
        });
        let mut spare_records = Vec::new();
        // SAFETY: `state` was leaked above and is not shared.
        let owned = unsafe { &mut *state.as_ptr() };
        frame.maps = owned.maps.as_mut_ptr();
        let stores = owned.contexts.as_mut_ptr();
        for (number, view) in frame.contexts.iter_mut().take(owned.contexts.len()).enumerate() {
            // SAFETY: `number` is below the length of the list.
            let store = unsafe { stores.add(number) };
            // SAFETY: as above; nothing else refers to the store.
            let records = unsafe { &mut *store };
            let mut spare = vec![0; 2 * records.record_words()].into_boxed_slice();
            let absent = spare.as_mut_ptr();
            *view = ContextView {
                store,
                records: records.words_mut().as_mut_ptr(),
                absent,
                // SAFETY: the box holds two records.
                discarded: unsafe { absent.add(records.record_words()) },
                ..nothing
            };
            spare_records.push(spare);
        }
        let frame = NonNull::from(Box::leak(frame));
        Self { state, frame, _spare_records: spare_records }
    }

    pub(super) fn state(&self) -> &State {
        // SAFETY: the state is owned, and no action runs while `self` is borrowed.
        unsafe { self.state.as_ref() }
    }

    /// Commits to the state. No commit moves records or the list of maps: the frame's
    /// pointers stay good.
    pub(super) fn commit(&mut self, changes: &[Change]) -> Result<Vec<Applied>, CommitError> {
        self.forget_matches();
        // SAFETY: the state is owned, and no action runs while `self` is borrowed.
        unsafe { self.state.as_mut() }.commit(changes)
    }

    /// Replaces the contents of contexts and maps, in place: the frame's pointers stay good.
    pub(super) fn replace_contents(&mut self, contents: &Contents) -> Result<(), SnapshotError> {
        self.forget_matches();
        // SAFETY: the state is owned, and no action runs while `self` is borrowed.
        unsafe { self.state.as_mut() }.replace_contents(contents)
    }

    /// Before records may change by other hands than those of code.
    fn forget_matches(&mut self) {
        for view in &mut self.frame_mut().contexts {
            view.last_record = std::ptr::null_mut();
        }
    }

    #[inline]
    pub(super) fn frame(&self) -> &Frame {
        // SAFETY: the frame is owned, and no action runs while `self` is borrowed.
        unsafe { self.frame.as_ref() }
    }

    #[inline]
    pub(super) fn frame_mut(&mut self) -> &mut Frame {
        // SAFETY: the frame is owned, and no action runs while `self` is borrowed.
        unsafe { self.frame.as_mut() }
    }

    /// The output words. They are read one by one: a wider load would wait until the stores
    /// of the code have left the processor's store buffer.
    #[inline]
    pub(super) fn outputs(&self) -> [u64; MAX_OUTPUTS] {
        let words = self.frame().outputs.each_ref();
        // SAFETY: references are good to read from; volatile, so that loads stay apart.
        words.map(|word| unsafe { std::ptr::from_ref(word).read_volatile() })
    }

    /// Runs an action of `code` for an event.
    ///
    /// # Safety
    /// `action` is of a [`Code`] that is alive and was compiled from the program of this
    /// runtime's state, which the verifier accepted.
    #[inline]
    pub(super) unsafe fn run(&mut self, action: ActionCode, event: &Event) -> u64 {
        // SAFETY: by the caller's promise the code touches only what the frame leads to, and
        // the borrow of `self` keeps everyone else away.
        unsafe { action(self.frame.as_ptr(), event.bytes.as_ptr()) }
    }
}

impl Drop for Runtime {
    fn drop(&mut self) {
        // SAFETY: both were leaked from boxes in `new` and are given back once.
        unsafe {
            drop(Box::from_raw(self.state.as_ptr()));
            drop(Box::from_raw(self.frame.as_ptr()));
        }
    }
}

/// The address of a function that compiled code calls.
macro_rules! address {
    ($function:path as fn($($argument:ty),* $(,)?) $(-> $result:ty)?) => {
        ($function as unsafe extern "C" fn($($argument),*) $(-> $result)?) as usize
    };
}

/// `RMT_MATCH_CTXT` of another key than the last one: whether the record was there. The view
/// leads to it afterwards.
///
/// # Safety
/// `view` is a view of the running action's frame, made for a store of the runtime's state.
unsafe extern "C" fn match_record(view: *mut ContextView, key: u64) -> u64 {
    // SAFETY: the caller's promise; compiled code holds no reference into the frame.
    unsafe { match_in(&mut *view, key, kernels::hash_key(key)) }
}

/// [`match_record`] with the hash computed in line.
///
/// # Safety
/// As [`match_record`], and the machine has SSE4.2.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "sse4.2")]
unsafe extern "C" fn match_record_sse42(view: *mut ContextView, key: u64) -> u64 {
    let hash = std::arch::x86_64::_mm_crc32_u64(u32::MAX.into(), key) as u32;
    // SAFETY: the caller's promise; compiled code holds no reference into the frame.
    unsafe { match_in(&mut *view, key, hash) }
}

/// # Safety
/// The view leads to a store of the runtime's state.
#[inline(always)]
unsafe fn match_in(view: &mut ContextView, key: u64, hash: u32) -> u64 {
    // SAFETY: the caller's promise; compiled code holds no reference into the store.
    let store = unsafe { &mut *view.store };
    let (slot, was_there) = store.match_hashed(key, hash);
    let words = store.record_words() * slot;
    view.last_key = key;
    // SAFETY: slots are those of the store's records.
    view.last_record = unsafe { view.records.add(words) };
    was_there.into()
}

/// `RMT_FIND_CTXT`: the slot, all ones when the key is absent.
///
/// # Safety
/// As [`match_record`].
unsafe extern "C" fn find_record(store: *mut ContextStore, key: u64) -> u64 {
    // SAFETY: the caller's promise.
    let store = unsafe { &*store };
    store.sets().find_hashed(key, kernels::hash_key(key)).map_or(u64::MAX, |slot| slot as u64)
}

macro_rules! map_functions {
    ($($(#[$doc:meta])* $name:ident($map:ident $(, $argument:ident)*) $body:block)*) => {
        $(
            $(#[$doc])*
            ///
            /// # Safety
            /// `map` is a map of the runtime's state.
            unsafe extern "C" fn $name($map: *mut MapStore $(, $argument: u64)*) -> u64 {
                // SAFETY: the caller's promise; compiled code holds no reference into the map.
                let $map = unsafe { &mut *$map };
                $body
            }
        )*
    };
}

map_functions! {
    /// `map_ld`.
    map_load(map, key) { map.load(key).unwrap_or(0) }
    /// `map_has`.
    map_contains(map, key) { map.contains(key).into() }
    /// `map_st`.
    map_store(map, key, value) { map.store(key, value).into() }
    /// `map_add`.
    map_add(map, key, value) { map.add(key, value).unwrap_or(0) }
    /// `map_del`.
    map_delete(map, key) { map.remove(key).into() }
    /// `map_push`.
    map_push(map, value) { map.push(value).into() }
}

/// Runs a vector operation in memory.
///
/// # Safety
/// `operation` is kept by the running [`Code`], `frame` and `event` are those of the running
/// action, and `ring` leads to `ring_words` words that nothing else refers to.
unsafe extern "C" fn run_operation(
    operation: *const Operation,
    frame: *mut Frame,
    event: *const [u8; EVENT_BYTES],
    scalar: u64,
    ring: *mut u64,
    ring_words: usize,
) -> u64 {
    // SAFETY: the caller's promise.
    let (operation, file, event) = unsafe { (&*operation, &mut (*frame).vectors, &*event) };
    let ring = if ring_words == 0 {
        &mut []
    } else {
        // SAFETY: the caller's promise.
        unsafe { std::slice::from_raw_parts_mut(ring, ring_words) }
    };
    operation.run(file, event, scalar, ring)
}

/// # Safety
/// None needed; the form is that of all functions that code calls.
unsafe extern "C" fn helper_crc32c(a: u64, b: u64) -> u64 {
    kernels::crc32c(b as u32, a).into()
}

/// # Safety
/// None needed.
unsafe extern "C" fn helper_square_root(a: u64, b: u64) -> u64 {
    Helper::SquareRoot.evaluate(a, b)
}

/// # Safety
/// None needed.
unsafe extern "C" fn helper_ratio(a: u64, b: u64) -> u64 {
    match u32::try_from(b) {
        // The common case fits one 64-bit division.
        Ok(b) if b != 0 && a >> 48 == 0 => (a << 16) / u64::from(b),
        _ => Helper::Ratio.evaluate(a, b),
    }
}

/// The functions that compiled code calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Function {
    MatchRecord,
    FindRecord,
    MapLoad,
    MapContains,
    MapStore,
    MapAdd,
    MapDelete,
    MapPush,
    RunOperation,
    /// Called with lanes in vector registers; only where [`Chain::is_possible`].
    RunChain,
    Crc32c,
    SquareRoot,
    Ratio,
}

impl Function {
    /// Its address.
    pub(super) fn address(self) -> usize {
        match self {
            #[cfg(target_arch = "x86_64")]
            Self::MatchRecord if std::arch::is_x86_feature_detected!("sse4.2") => {
                address!(match_record_sse42 as fn(*mut ContextView, u64) -> u64)
            }
            Self::MatchRecord => address!(match_record as fn(*mut ContextView, u64) -> u64),
            Self::FindRecord => address!(find_record as fn(*mut ContextStore, u64) -> u64),
            Self::MapLoad => address!(map_load as fn(*mut MapStore, u64) -> u64),
            Self::MapContains => address!(map_contains as fn(*mut MapStore, u64) -> u64),
            Self::MapStore => address!(map_store as fn(*mut MapStore, u64, u64) -> u64),
            Self::MapAdd => address!(map_add as fn(*mut MapStore, u64, u64) -> u64),
            Self::MapDelete => address!(map_delete as fn(*mut MapStore, u64) -> u64),
            Self::MapPush => address!(map_push as fn(*mut MapStore, u64) -> u64),
            Self::RunOperation => address!(
                run_operation
                    as fn(
                        *const Operation,
                        *mut Frame,
                        *const [u8; EVENT_BYTES],
                        u64,
                        *mut u64,
                        usize,
                    ) -> u64
            ),
            #[cfg(target_arch = "x86_64")]
            Self::RunChain => address!(
                run_chain
                    as fn(
                        *const Chain,
                        *mut [i32; CHAIN_LANES],
                        __m128i,
                        __m128i,
                        __m128i,
                        __m128i,
                    ) -> __m128i
            ),
            #[cfg(not(target_arch = "x86_64"))]
            Self::RunChain => unreachable!("no chain is possible on this machine"),
            Self::Crc32c => address!(helper_crc32c as fn(u64, u64) -> u64),
            Self::SquareRoot => address!(helper_square_root as fn(u64, u64) -> u64),
            Self::Ratio => address!(helper_ratio as fn(u64, u64) -> u64),
        }
    }
}
