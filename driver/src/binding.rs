//! Gives a card to vfio-pci and takes it back, one step at a time, each said before it is done.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::discovery::{PciBus, PciCard};
use crate::error::DriverError;

/// The kernel's driver that hands devices to processes.
pub const VFIO_DRIVER: &str = "vfio-pci";
/// Kernel modules that this needs; they may be built in.
const MODULES: &[&str] = &["vfio-pci", "vfio_iommu_type1"];

/// Binds a card to vfio-pci; `say` hears each step as a shell command that does the same.
///
/// # Errors
/// When the card is in no IOMMU group, before anything is done; when sysfs refuses, mostly because
/// the caller is not root.
pub fn bind(bus: &PciBus, card: &PciCard, mut say: impl FnMut(&str)) -> Result<(), DriverError> {
    if card.iommu_group.is_none() {
        return Err(DriverError::NoIommu { address: card.address.clone() });
    }
    for module in MODULES {
        say(&format!("modprobe {module}"));
        // Where the module is built in or there is no modprobe, the next steps show it.
        let _ = Command::new("modprobe").arg(module).status();
    }
    write(&card.folder.join("driver_override"), VFIO_DRIVER, &mut say)?;
    release(card, &mut say)?;
    write(&bus.root().join("drivers_probe"), &card.address, &mut say)
}

/// Takes a card from its driver and lets the kernel choose one again.
///
/// # Errors
/// As for [`bind`].
pub fn unbind(bus: &PciBus, card: &PciCard, mut say: impl FnMut(&str)) -> Result<(), DriverError> {
    // An empty line takes the override back.
    write(&card.folder.join("driver_override"), "\n", &mut say)?;
    release(card, &mut say)?;
    write(&bus.root().join("drivers_probe"), &card.address, &mut say)
}

/// Takes the card from the driver that has it, if one has.
fn release(card: &PciCard, say: &mut impl FnMut(&str)) -> Result<(), DriverError> {
    let driver = card.folder.join("driver");
    match card.driver {
        Some(_) => write(&driver.join("unbind"), &card.address, say),
        None => Ok(()),
    }
}

fn write(path: &Path, text: &str, say: &mut impl FnMut(&str)) -> Result<(), DriverError> {
    say(&format!("echo {} > {}", text.trim_end(), path.display()));
    fs::write(path, text).map_err(|source| match source.kind() {
        std::io::ErrorKind::PermissionDenied => DriverError::NoPermission { path: path.to_owned() },
        _ => DriverError::file("cannot write", path)(source),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::discovery::tests::bus_with_card;

    #[test]
    fn binding_says_and_does_each_step() {
        let (folder, bus) = bus_with_card("0000:01:00.0", Some("other"), Some(1));
        let card = bus.find(None).unwrap();
        let mut steps = Vec::new();
        bind(&bus, &card, |step| steps.push(step.to_owned())).unwrap();
        let read = |path: &str| fs::read_to_string(folder.path().join(path)).unwrap();
        assert_eq!(read("devices/0000:01:00.0/driver_override"), "vfio-pci");
        assert_eq!(read("drivers/other/unbind"), "0000:01:00.0");
        assert_eq!(read("drivers_probe"), "0000:01:00.0");
        assert_eq!(steps.len(), 5);
        assert!(steps[2].starts_with("echo vfio-pci > "), "{steps:?}");
        unbind(&bus, &card, |_| {}).unwrap();
        assert_eq!(read("devices/0000:01:00.0/driver_override"), "\n");
    }

    #[test]
    fn without_an_iommu_nothing_is_done() {
        let (_folder, bus) = bus_with_card("0000:01:00.0", None, None);
        let card = bus.find(None).unwrap();
        let mut steps = 0;
        let refused = bind(&bus, &card, |_| steps += 1).unwrap_err();
        assert!(matches!(refused, DriverError::NoIommu { .. }), "{refused}");
        assert_eq!(steps, 0);
    }
}
