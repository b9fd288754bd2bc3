//! The module's device: calls, and the shared memory of the daemon.

use std::fs::File;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rmt_isa::shim::control::{Counter, Demotion, Ioctl, Mode, Settings, counters_layout};
use rmt_isa::shim::layout::PAGE_BYTES;
use rmt_isa::shim::{self, KernelHook};

use super::ShimError;
use super::rings::{CpuRings, Geometry};
use crate::memory::{DmaMemory, ioctl_record, wait_readable};

/// The module's device, for an operator: modes, settings, counters, the kill switch.
#[derive(Debug)]
pub struct ShimControl {
    file: File,
}

impl ShimControl {
    /// Opens the device.
    ///
    /// # Errors
    /// When the module is not loaded or the caller is not root.
    pub fn open() -> Result<Self, ShimError> {
        Self::open_at(Path::new(shim::DEVICE_PATH))
    }

    fn open_at(path: &Path) -> Result<Self, ShimError> {
        let file = File::options().read(true).write(true).open(path);
        Ok(Self { file: file.map_err(|source| ShimError::of_file("cannot open", source))? })
    }

    /// Makes this process the daemon, with the rings of all processors. All hooks are put off
    /// when the result is dropped, or the process ends.
    ///
    /// # Errors
    /// [`ShimError::Busy`] while there is another daemon, [`ShimError::OtherVersion`].
    pub fn attach(self) -> Result<(Shim, Vec<CpuRings>), ShimError> {
        self.call(Ioctl::Attach, 0, &mut [])?;
        let map = |bytes| {
            DmaMemory::of_file(&self.file, bytes)
                .map_err(|source| ShimError::of_file("cannot map", source))
        };
        let geometry =
            Geometry::read(&map(PAGE_BYTES)?).map_err(|found| ShimError::OtherVersion { found })?;
        let memory = Arc::new(map(geometry.bytes)?);
        let rings = (0..geometry.cpus)
            .map(|cpu| CpuRings::new(Arc::clone(&memory), geometry, cpu))
            .collect();
        Ok((Shim { control: self }, rings))
    }

    /// Changes a hook's settings.
    ///
    /// # Errors
    /// Those that say what the module refuses.
    pub fn set(&self, settings: &Settings) -> Result<(), ShimError> {
        let mut record = settings.to_bytes();
        self.call_for(Ioctl::SetHook, settings.hook, settings.mode, &mut record)
    }

    /// A hook's settings.
    ///
    /// # Errors
    /// When there is no such hook.
    pub fn settings(&self, hook: u16) -> Result<Settings, ShimError> {
        let mut record = Settings::unwatched(hook, Mode::Off).to_bytes();
        self.call(Ioctl::GetHook, hook, &mut record)?;
        Settings::from_bytes(&record).ok_or_else(|| ShimError::OtherVersion {
            found: format!("says mode {} and reason {}", record[2], record[3]),
        })
    }

    /// A hook's counters, indexed by [`Counter`].
    ///
    /// # Errors
    /// When there is no such hook.
    pub fn counters(&self, hook: u16) -> Result<[u64; Counter::ALL.len()], ShimError> {
        let mut record = [0; counters_layout::COUNTERS_BYTES];
        record[counters_layout::HOOK_OFFSET..][..2].copy_from_slice(&hook.to_le_bytes());
        self.call(Ioctl::GetCounters, hook, &mut record)?;
        let mut counters = [0; Counter::ALL.len()];
        let words = record[counters_layout::COUNTERS_OFFSET..].chunks_exact(8);
        for (counter, word) in counters.iter_mut().zip(words) {
            *counter = word.iter().rev().fold(0, |value, &byte| value << 8 | u64::from(byte));
        }
        Ok(counters)
    }

    /// Puts all hooks off.
    ///
    /// # Errors
    /// When the caller is not root.
    pub fn kill(&self) -> Result<(), ShimError> {
        self.call(Ioctl::Kill, 0, &mut [])
    }

    /// All hooks that are put off by the module itself, with the reason.
    ///
    /// # Errors
    /// Those of [`Self::settings`].
    pub fn demoted(&self) -> Result<Vec<(&'static KernelHook, Demotion)>, ShimError> {
        let mut demoted = Vec::new();
        for hook in shim::HOOKS {
            match self.settings(hook.number)?.demotion {
                Demotion::None => {}
                why => demoted.push((hook, why)),
            }
        }
        Ok(demoted)
    }

    fn call(&self, call: Ioctl, hook: u16, record: &mut [u8]) -> Result<(), ShimError> {
        self.call_for(call, hook, Mode::Off, record)
    }

    fn call_for(
        &self,
        call: Ioctl,
        hook: u16,
        mode: Mode,
        record: &mut [u8],
    ) -> Result<(), ShimError> {
        ioctl_record(&self.file, call.number(), record)
            .map_err(|source| ShimError::of_call(call, hook, mode, source))
    }
}

/// The device of the daemon. Dropping it puts all hooks off.
#[derive(Debug)]
pub struct Shim {
    control: ShimControl,
}

impl std::ops::Deref for Shim {
    type Target = ShimControl;

    fn deref(&self) -> &ShimControl {
        &self.control
    }
}

impl Shim {
    /// Sleeps until a hook fires, at most for a time; true when there is something to take.
    ///
    /// # Errors
    /// Those of the system's `poll`.
    pub fn sleep(&self, rings: &[CpuRings], limit: Duration) -> Result<bool, ShimError> {
        rings.iter().for_each(|ring| ring.set_sleeping(true));
        // Whoever sends from here on wakes this process; what was sent before is seen now.
        std::sync::atomic::fence(std::sync::atomic::Ordering::SeqCst);
        let found = rings.iter().any(CpuRings::has_more) || {
            wait_readable(&self.control.file, limit)
                .map_err(|source| ShimError::of_file("cannot poll", source))?
        };
        rings.iter().for_each(|ring| ring.set_sleeping(false));
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_module_the_message_says_how_to_get_it() {
        let error = ShimControl::open_at(Path::new("/dev/there-is-no-such-device")).unwrap_err();
        assert!(error.to_string().contains("rmt kernel build"), "{error}");
    }

    #[test]
    fn calls_on_another_file_fail_with_the_systems_word() {
        let control = ShimControl::open_at(Path::new("/dev/null")).unwrap();
        assert!(matches!(control.kill(), Err(ShimError::System { doing: "Kill", .. })));
        assert!(control.set(&Settings::unwatched(1, Mode::Act)).is_err());
        assert!(control.counters(1).is_err() && control.demoted().is_err());
        assert!(control.attach().is_err());
    }
}
