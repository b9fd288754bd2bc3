//! Every line of `unsafe` of this folder: loads a model's library, owns its C++ object, reads and
//! writes its ports.
//!
//! The contract with the library is the table `Abi` of shim.cpp. That it is ours is known by three
//! facts: the library comes from a cache entry whose hash was checked, it exports our symbol, and
//! the table carries our version number.

use std::ffi::{CStr, CString, c_char, c_void};
use std::path::Path;
use std::ptr::NonNull;
use std::sync::Arc;

use super::error::Error;
use super::spec::Port;

/// Raised whenever the table of functions changes.
pub(super) const ABI_VERSION: u32 = 1;

/// The table of functions: `struct Abi` in shim.cpp, field by field.
#[repr(C)]
struct Abi {
    version: u32,
    port_count: u32,
    create: unsafe extern "C" fn(random: u32, seed: u32) -> *mut c_void,
    construct_error: unsafe extern "C" fn() -> *const c_char,
    destroy: unsafe extern "C" fn(*mut c_void),
    addresses: unsafe extern "C" fn(*mut c_void, out: *mut *mut u8),
    eval: unsafe extern "C" fn(*mut c_void) -> u32,
    cycles: unsafe extern "C" fn(*mut c_void, clock: *mut u8, count: u64) -> u32,
    advance: unsafe extern "C" fn(*mut c_void, ticks: u64) -> u32,
    time: unsafe extern "C" fn(*const c_void) -> u64,
    message: unsafe extern "C" fn(*const c_void) -> *const c_char,
    trace_open: unsafe extern "C" fn(*mut c_void, path: *const c_char) -> u32,
    trace_close: unsafe extern "C" fn(*mut c_void),
}

/// How an evaluation ended: `enum Status` in shim.cpp.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Status {
    /// The design goes on.
    Running,
    /// It executed `$finish`.
    Finished,
    /// It executed `$stop` or `$fatal`, or did not settle.
    Stopped,
}

impl Status {
    #[inline]
    fn from_code(code: u32) -> Self {
        match code {
            0 => Status::Running,
            1 => Status::Finished,
            _ => Status::Stopped,
        }
    }
}

/// A loaded library. It is unloaded when the last instance is gone.
pub(super) struct Library {
    abi: NonNull<Abi>,
    /// Keeps `abi` valid.
    _library: libloading::Library,
}

// SAFETY: the table behind `abi` is constant data of the library. `create` and `construct_error`
// use only objects of their own and thread-local ones; Verilator's runtime guards what its contexts
// share with mutexes. All other functions take an instance, and `RawInstance` hands each to one
// thread at a time.
unsafe impl Send for Library {}
// SAFETY: as above.
unsafe impl Sync for Library {}

impl Library {
    /// Loads the library of a checked cache entry that was built for these ports.
    pub(super) fn load(path: &Path, ports: &[Port]) -> Result<Self, Error> {
        let failure = |reason: String| Error::Load { path: path.to_owned(), reason };
        // SAFETY: the library's initialisers are those of the C++ runtime and of Verilator's, which
        // only set up their own objects; its content was checked against its hash.
        let library = unsafe { libloading::Library::new(path) }
            .map_err(|error| failure(error.to_string()))?;
        // SAFETY: the symbol has this type in shim.cpp, and no other file defines a symbol of this
        // name.
        let abi = unsafe {
            let table = library
                .get::<unsafe extern "C" fn() -> *const Abi>(b"rmt_verilated_abi\0")
                .map_err(|error| failure(error.to_string()))?;
            table()
        };
        let abi = NonNull::new(abi.cast_mut())
            .ok_or_else(|| failure("it has no table of functions".to_owned()))?;
        // SAFETY: the pointer leads to a constant of the library, whose first two fields are the
        // same in all versions.
        let (version, port_count) =
            unsafe { ((*abi.as_ptr()).version, (*abi.as_ptr()).port_count) };
        if version != ABI_VERSION || port_count as usize != ports.len() {
            return Err(failure(format!("its table has version {version} and {port_count} ports")));
        }
        Ok(Library { abi, _library: library })
    }

    fn abi(&self) -> &Abi {
        // SAFETY: `load` checked the pointer, the version and so the layout; the library stays
        // loaded as long as `self`.
        unsafe { self.abi.as_ref() }
    }
}

/// The storage of a port in the C++ object; Verilator picks the type by the width.
#[derive(Clone, Copy)]
enum Storage {
    Bits8(NonNull<u8>),
    Bits16(NonNull<u16>),
    Bits32(NonNull<u32>),
    Bits64(NonNull<u64>),
    /// Words of 32 bits, the lowest first.
    Words(NonNull<u32>, usize),
}

/// A C++ object: one instance of the design.
pub(super) struct RawInstance {
    handle: NonNull<c_void>,
    ports: Box<[Storage]>,
    /// The library's table: a call in every cycle should not go through two pointers to find it.
    abi: NonNull<Abi>,
    /// Keeps `abi` valid. Last, so that the object goes before its code.
    _library: Arc<Library>,
}

// SAFETY: the object has no tie to the thread that made it: the shim points Verilator's thread-local
// context at the instance's own before each evaluation. It is not `Sync`: pointers make it so.
unsafe impl Send for RawInstance {}

impl Drop for RawInstance {
    fn drop(&mut self) {
        // SAFETY: `handle` came from `create` of this library and is destroyed once; nothing
        // borrows from it any more.
        unsafe { (self.abi().destroy)(self.handle.as_ptr()) }
    }
}

impl RawInstance {
    #[inline]
    fn abi(&self) -> &Abi {
        // SAFETY: as in `Library::abi`; `_library` stays as long as `self`.
        unsafe { self.abi.as_ref() }
    }

    /// Constructs an instance; with a seed, everything without an initial value starts at random.
    /// The error is the C++ side's reason.
    pub(super) fn create(
        library: &Arc<Library>,
        ports: &[Port],
        seed: Option<u32>,
    ) -> Result<Self, String> {
        let table = library.abi();
        // SAFETY: any arguments will do; a null result means that the thread's error text is set.
        let handle = unsafe { (table.create)(u32::from(seed.is_some()), seed.unwrap_or(0)) };
        let Some(handle) = NonNull::new(handle) else {
            // SAFETY: the function returns a string that lives until this thread's next `create`.
            return Err(unsafe { text((table.construct_error)()) });
        };
        // From here on `instance` frees the object, also on an error.
        let (ports_later, abi) = (Box::default(), library.abi);
        let mut instance =
            RawInstance { handle, ports: ports_later, abi, _library: library.clone() };
        let mut addresses = vec![std::ptr::null_mut::<u8>(); ports.len()];
        // SAFETY: the function writes `port_count` pointers, and `load` checked that this is the
        // length of `ports`.
        unsafe { (table.addresses)(handle.as_ptr(), addresses.as_mut_ptr()) };
        let storage = |(port, address): (&Port, &*mut u8)| {
            let address = NonNull::new(*address)
                .ok_or_else(|| format!("port `{}` has no storage", port.name))?;
            Ok(match port.width {
                0..=8 => Storage::Bits8(address),
                9..=16 => Storage::Bits16(address.cast()),
                17..=32 => Storage::Bits32(address.cast()),
                33..=64 => Storage::Bits64(address.cast()),
                _ => Storage::Words(address.cast(), port.words()),
            })
        };
        instance.ports =
            ports.iter().zip(&addresses).map(storage).collect::<Result<_, String>>()?;
        Ok(instance)
    }

    /// The port's value if it has at most 64 bits; `None` for a wider one.
    ///
    /// # Panics
    /// If `port` is not an index of the port list.
    #[inline]
    pub(super) fn read(&self, port: usize) -> Option<u64> {
        // SAFETY: the pointers lead to members of the living C++ object, of these very types:
        // ports.rs compared the widths with Verilator's declaration. Nothing else accesses them
        // while `self` is borrowed.
        unsafe {
            Some(match self.ports[port] {
                Storage::Bits8(at) => at.read().into(),
                Storage::Bits16(at) => at.read().into(),
                Storage::Bits32(at) => at.read().into(),
                Storage::Bits64(at) => at.read(),
                Storage::Words(..) => return None,
            })
        }
    }

    /// Sets a port of at most 64 bits; false, and nothing is set, for a wider one. The caller has
    /// checked that `value` fits: Verilated code takes the bits above the width for zero, also
    /// where it computes addresses.
    ///
    /// # Panics
    /// If `port` is not an index of the port list.
    #[inline]
    pub(super) fn write(&mut self, port: usize, value: u64) -> bool {
        // SAFETY: as in `read`; `self` is borrowed for writing. The casts drop only bits that the
        // caller knows to be zero.
        unsafe {
            match self.ports[port] {
                Storage::Bits8(at) => at.write(value as u8),
                Storage::Bits16(at) => at.write(value as u16),
                Storage::Bits32(at) => at.write(value as u32),
                Storage::Bits64(at) => at.write(value),
                Storage::Words(..) => return false,
            }
        }
        true
    }

    /// The words of a port of more than 64 bits; `None` for a narrower one.
    ///
    /// # Panics
    /// If `port` is not an index of the port list.
    #[inline]
    pub(super) fn words(&self, port: usize) -> Option<&[u32]> {
        let Storage::Words(at, count) = self.ports[port] else { return None };
        // SAFETY: as in `read`. The slice borrows `self`, and all that changes the words needs
        // `self` for writing.
        Some(unsafe { std::slice::from_raw_parts(at.as_ptr(), count) })
    }

    /// Sets the words of a port of more than 64 bits; false for a narrower one. The caller has
    /// checked the length and that the bits above the width are zero, as for
    /// [`RawInstance::write`].
    ///
    /// # Panics
    /// If `port` is not an index of the port list, or the length differs.
    #[inline]
    pub(super) fn write_words(&mut self, port: usize, words: &[u32]) -> bool {
        let Storage::Words(at, count) = self.ports[port] else { return false };
        assert_eq!(words.len(), count, "the caller checks the length");
        // SAFETY: as in `words`, with `self` borrowed for writing.
        let storage = unsafe { std::slice::from_raw_parts_mut(at.as_ptr(), count) };
        // Ports are short: a loop takes less time than the call of `memcpy` that `copy_from_slice` is.
        for (storage, word) in storage.iter_mut().zip(words) {
            *storage = *word;
        }
        true
    }

    /// Lets the design settle.
    #[inline]
    pub(super) fn eval(&mut self) -> Status {
        // SAFETY: `handle` is alive, and `self` is borrowed for writing.
        Status::from_code(unsafe { (self.abi().eval)(self.handle.as_ptr()) })
    }

    /// Gives `count` rising and falling edges to the clock at index `clock`.
    ///
    /// # Panics
    /// If `clock` is not the index of a port of at most 8 bits.
    #[inline]
    pub(super) fn cycles(&mut self, clock: usize, count: u64) -> Status {
        let Storage::Bits8(clock) = self.ports[clock] else { panic!("a clock has one bit") };
        // SAFETY: as in `eval`; `clock` is a member of the same object.
        Status::from_code(unsafe {
            (self.abi().cycles)(self.handle.as_ptr(), clock.as_ptr(), count)
        })
    }

    /// Lets time pass, then lets the design settle.
    pub(super) fn advance(&mut self, ticks: u64) -> Status {
        // SAFETY: as in `eval`.
        Status::from_code(unsafe { (self.abi().advance)(self.handle.as_ptr(), ticks) })
    }

    /// The present time in ticks.
    pub(super) fn time(&self) -> u64 {
        // SAFETY: `handle` is alive; the function only reads.
        unsafe { (self.abi().time)(self.handle.as_ptr()) }
    }

    /// Why the design finished or stopped; empty while it runs.
    pub(super) fn message(&self) -> String {
        // SAFETY: the string is a member of the living object, and is copied before anything can
        // change it.
        unsafe { text((self.abi().message)(self.handle.as_ptr())) }
    }

    /// Opens a waveform; false if the model was built without. No other one is open.
    pub(super) fn trace_open(&mut self, path: &CString) -> bool {
        // SAFETY: as in `eval`; the string lives for the call, and the C++ side copies it.
        unsafe { (self.abi().trace_open)(self.handle.as_ptr(), path.as_ptr()) != 0 }
    }

    /// Completes and closes the waveform, if one is open.
    pub(super) fn trace_close(&mut self) {
        // SAFETY: as in `eval`.
        unsafe { (self.abi().trace_close)(self.handle.as_ptr()) }
    }
}

/// Copies a C string.
///
/// # Safety
/// `string` ends with a zero byte and does not change during the call.
unsafe fn text(string: *const c_char) -> String {
    // SAFETY: the caller's promise.
    unsafe { CStr::from_ptr(string) }.to_string_lossy().into_owned()
}
