//! One instance of a design: poke its inputs, give it clock cycles, peek at its outputs.

use std::ffi::CString;
use std::fs::File;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::error::Error;
use super::ffi::{RawInstance, Status};
use super::model::{Clock, Handle, Input, Output, Shared};
use super::spec::{Port, Trace};

/// One instance of a design. Any thread may use it, one at a time:
///
/// ```compile_fail
/// fn shared_between_threads<T: Sync>() {}
/// shared_between_threads::<rmt_sim::verilated::Instance>();
/// ```
///
/// A port access is a plain memory access after two comparisons; a clock cycle is one call into
/// C++. Time counts in ticks of one nanosecond and matters to waveforms and `$time` only:
/// [`Instance::cycle`] puts the n-th rising edge at 10 n.
pub struct Instance {
    raw: RawInstance,
    shared: Arc<Shared>,
    waveform: Option<PathBuf>,
}

impl Instance {
    pub(super) fn new(raw: RawInstance, shared: Arc<Shared>) -> Self {
        Instance { raw, shared, waveform: None }
    }

    /// Sets an input of at most 64 bits. The design sees it at the next evaluation.
    ///
    /// # Errors
    /// [`Error::ValueTooWide`] if `value`, or the port, has too many bits;
    /// [`Error::ForeignHandle`].
    #[inline]
    pub fn poke(&mut self, input: Input, value: u64) -> Result<(), Error> {
        let index = self.index(input.0)?;
        let width = self.shared.ports[index].width;
        if (width < 64 && value >> width != 0) || !self.raw.write(index, value) {
            return Err(self.too_wide(index, format!("{value:#x}")));
        }
        Ok(())
    }

    /// Sets an input of at most 64 bits to a number in two's complement.
    ///
    /// # Errors
    /// [`Error::ValueTooWide`] if the number is outside -2^(width-1) .. 2^(width-1);
    /// [`Error::ForeignHandle`].
    #[inline]
    pub fn poke_signed(&mut self, input: Input, value: i64) -> Result<(), Error> {
        let index = self.index(input.0)?;
        let unused = 64u32.saturating_sub(self.shared.ports[index].width);
        let fits = (value << unused) >> unused == value;
        if !fits || !self.raw.write(index, (value << unused) as u64 >> unused) {
            return Err(self.too_wide(index, value.to_string()));
        }
        Ok(())
    }

    /// Sets an input of any width from words of 32 bits, the lowest first. Bits above the width
    /// must be zero.
    ///
    /// # Errors
    /// [`Error::WordCount`], [`Error::ValueTooWide`], [`Error::ForeignHandle`].
    pub fn poke_words(&mut self, input: Input, words: &[u32]) -> Result<(), Error> {
        let index = self.index(input.0)?;
        let port = &self.shared.ports[index];
        check_word_count(port, words.len())?;
        if top_word_has_spare_bits(port, words) {
            return Err(self.too_wide(index, format!("{words:x?}")));
        }
        if !self.raw.write_words(index, words) {
            let low = u64::from(words[0]);
            let high = words.get(1).map_or(0, |word| u64::from(*word));
            self.raw.write(index, high << 32 | low);
        }
        Ok(())
    }

    /// An output of at most 64 bits, as of the last evaluation.
    ///
    /// # Errors
    /// [`Error::ValueTooWide`] if the port has more than 64 bits; [`Error::ForeignHandle`].
    #[inline]
    pub fn peek(&self, output: Output) -> Result<u64, Error> {
        let index = self.index(output.0)?;
        self.raw.read(index).ok_or_else(|| self.too_wide(index, "of 64 bits".to_owned()))
    }

    /// An output of at most 64 bits, read as two's complement.
    ///
    /// # Errors
    /// As [`Instance::peek`].
    #[inline]
    pub fn peek_signed(&self, output: Output) -> Result<i64, Error> {
        let unused = 64u32.saturating_sub(self.shared.ports[self.index(output.0)?].width);
        Ok((self.peek(output)? << unused) as i64 >> unused)
    }

    /// Copies an output of any width into words of 32 bits, the lowest first.
    ///
    /// # Errors
    /// [`Error::WordCount`], [`Error::ForeignHandle`].
    pub fn peek_words(&self, output: Output, words: &mut [u32]) -> Result<(), Error> {
        let index = self.index(output.0)?;
        check_word_count(&self.shared.ports[index], words.len())?;
        if let Some(value) = self.raw.read(index) {
            for (position, word) in words.iter_mut().enumerate() {
                *word = (value >> (32 * position)) as u32;
            }
        } else if let Some(value) = self.raw.words(index) {
            words.copy_from_slice(value);
        }
        Ok(())
    }

    /// The words of an output of more than 64 bits, in place, the lowest first.
    ///
    /// # Errors
    /// [`Error::WordCount`] if the port has at most 64 bits (use [`Instance::peek`]);
    /// [`Error::ForeignHandle`].
    #[inline]
    pub fn words(&self, output: Output) -> Result<&[u32], Error> {
        let index = self.index(output.0)?;
        let port = &self.shared.ports[index];
        self.raw.words(index).ok_or_else(|| Error::WordCount {
            port: port.name.clone(),
            width: port.width,
            expected: port.words(),
            found: 0,
        })
    }

    /// Lets the design settle after inputs changed, without a clock edge and without time passing.
    ///
    /// # Errors
    /// [`Error::Stopped`] or [`Error::Finished`] if the design ends here or ended before.
    #[inline]
    pub fn eval(&mut self) -> Result<(), Error> {
        let status = self.raw.eval();
        self.check(status)
    }

    /// One clock cycle: a rising edge that sees the inputs as they are now, then a falling edge.
    ///
    /// # Errors
    /// As [`Instance::eval`], and [`Error::ForeignHandle`].
    #[inline]
    pub fn cycle(&mut self, clock: Clock) -> Result<(), Error> {
        self.cycles(clock, 1)
    }

    /// `count` clock cycles with the inputs as they are.
    ///
    /// # Errors
    /// As [`Instance::cycle`]; the cycles before the design's end have happened.
    #[inline]
    pub fn cycles(&mut self, clock: Clock, count: u64) -> Result<(), Error> {
        let index = self.index(clock.0)?;
        let status = self.raw.cycles(index, count);
        self.check(status)
    }

    /// For several clocks: after the caller has poked clocks and inputs, lets `ticks` pass,
    /// evaluates, and adds the result to the waveform.
    ///
    /// # Errors
    /// As [`Instance::eval`].
    pub fn advance(&mut self, ticks: u64) -> Result<(), Error> {
        let status = self.raw.advance(ticks);
        self.check(status)
    }

    /// The present time in ticks of one nanosecond.
    pub fn time(&self) -> u64 {
        self.raw.time()
    }

    /// Starts to write all signals to an FST file; an existing file is replaced. Only a model built
    /// with [`Trace::Fst`] can. The file can be read once [`Instance::close_waveform`] was called
    /// or the instance dropped, not before.
    ///
    /// # Errors
    /// [`Error::TraceNotBuilt`], [`Error::TraceAlreadyOpen`], or [`Error::Io`] if the file cannot
    /// be created.
    pub fn open_waveform(&mut self, path: &Path) -> Result<(), Error> {
        if self.shared.trace != Trace::Fst {
            return Err(Error::TraceNotBuilt { top: self.shared.top.clone() });
        }
        if self.waveform.is_some() {
            return Err(Error::TraceAlreadyOpen { path: path.to_owned() });
        }
        // The C++ writer does not say when a file cannot be created.
        File::create(path).map_err(Error::io("create", path))?;
        let name = CString::new(path.as_os_str().as_bytes())
            .map_err(|error| Error::io("create", path)(std::io::Error::other(error)))?;
        if !self.raw.trace_open(&name) {
            return Err(Error::TraceNotBuilt { top: self.shared.top.clone() });
        }
        self.waveform = Some(path.to_owned());
        Ok(())
    }

    /// Completes the waveform. Does nothing if none is open.
    pub fn close_waveform(&mut self) {
        self.raw.trace_close();
        self.waveform = None;
    }

    /// The port's index, if the handle is of this instance's model.
    #[inline]
    fn index(&self, handle: Handle) -> Result<usize, Error> {
        if handle.model == self.shared.number {
            return Ok(handle.index as usize);
        }
        Err(Error::ForeignHandle { top: self.shared.top.clone() })
    }

    #[inline]
    fn check(&self, status: Status) -> Result<(), Error> {
        match status {
            Status::Running => Ok(()),
            Status::Finished => Err(Error::Finished { message: self.raw.message() }),
            Status::Stopped => Err(Error::Stopped { message: self.raw.message() }),
        }
    }

    #[cold]
    fn too_wide(&self, index: usize, value: String) -> Error {
        let port = &self.shared.ports[index];
        Error::ValueTooWide {
            port: port.name.clone(),
            direction: port.direction,
            width: port.width,
            value,
        }
    }
}

impl std::fmt::Debug for Instance {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Instance")
            .field("top", &self.shared.top)
            .field("time", &self.time())
            .finish()
    }
}

fn check_word_count(port: &Port, found: usize) -> Result<(), Error> {
    let expected = port.words();
    if found == expected {
        return Ok(());
    }
    Err(Error::WordCount { port: port.name.clone(), width: port.width, expected, found })
}

/// True if bits above the port's width are set; `words` has the port's length.
fn top_word_has_spare_bits(port: &Port, words: &[u32]) -> bool {
    let used = port.width % 32;
    used != 0 && words.last().is_some_and(|top| top >> used != 0)
}
