//! Which cards this machine has, from sysfs.

use std::fs;
use std::path::{Path, PathBuf};

use rmt_isa::device::pci::{DEVICE_ID, VENDOR_ID};

use crate::error::DriverError;

/// PCI devices of a machine: sysfs, or a folder that looks like it in tests.
#[derive(Clone, Debug)]
pub struct PciBus {
    root: PathBuf,
}

impl Default for PciBus {
    fn default() -> Self {
        Self { root: "/sys/bus/pci".into() }
    }
}

/// A card in a slot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PciCard {
    /// Its address, for example `0000:01:00.0`.
    pub address: String,
    /// Its folder in sysfs.
    pub folder: PathBuf,
    /// The driver that has it.
    pub driver: Option<String>,
    /// Number of its IOMMU group.
    pub iommu_group: Option<u32>,
    /// Its revision: the version of the register contract.
    pub revision: u8,
}

impl PciBus {
    /// A bus in another folder.
    pub fn at(root: &Path) -> Self {
        Self { root: root.to_owned() }
    }

    /// The folder.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// All cards, by address.
    ///
    /// # Errors
    /// When sysfs cannot be read.
    pub fn cards(&self) -> Result<Vec<PciCard>, DriverError> {
        let folder = self.root.join("devices");
        let entries =
            fs::read_dir(&folder).map_err(DriverError::file("cannot read", folder.clone()))?;
        let mut cards: Vec<PciCard> =
            entries.filter_map(|entry| card_in(&entry.ok()?.path())).collect();
        cards.sort_by(|one, other| one.address.cmp(&other.address));
        Ok(cards)
    }

    /// The card at an address; without one, the first.
    ///
    /// # Errors
    /// [`DriverError::NoSuchCard`] or [`DriverError::NoCard`].
    pub fn find(&self, address: Option<&str>) -> Result<PciCard, DriverError> {
        let cards = self.cards()?;
        let wanted = |card: &PciCard| address.is_none_or(|address| same_address(address, card));
        cards.into_iter().find(wanted).ok_or_else(|| match address {
            Some(address) => DriverError::NoSuchCard { address: address.to_owned() },
            None => DriverError::NoCard { vendor: VENDOR_ID, device: DEVICE_ID },
        })
    }
}

/// People leave the domain out where it is zero.
fn same_address(asked: &str, card: &PciCard) -> bool {
    card.address == asked || card.address.strip_prefix("0000:") == Some(asked)
}

/// The card in a folder of sysfs, if it is one.
fn card_in(folder: &Path) -> Option<PciCard> {
    let number = |name: &str| {
        let text = fs::read_to_string(folder.join(name)).ok()?;
        u32::from_str_radix(text.trim().trim_start_matches("0x"), 16).ok()
    };
    let is_card =
        number("vendor") == Some(VENDOR_ID.into()) && number("device") == Some(DEVICE_ID.into());
    let link = |name: &str| {
        let target = fs::read_link(folder.join(name)).ok()?;
        Some(target.file_name()?.to_string_lossy().into_owned())
    };
    is_card.then(|| PciCard {
        address: folder.file_name().unwrap_or_default().to_string_lossy().into_owned(),
        folder: folder.to_owned(),
        driver: link("driver"),
        iommu_group: link("iommu_group").and_then(|group| group.parse().ok()),
        revision: number("revision").unwrap_or(0) as u8,
    })
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    /// A bus with a card, in a folder.
    pub(crate) fn bus_with_card(
        address: &str,
        driver: Option<&str>,
        group: Option<u32>,
    ) -> (tempfile::TempDir, PciBus) {
        let folder = tempfile::tempdir().unwrap();
        let device = folder.path().join("devices").join(address);
        fs::create_dir_all(&device).unwrap();
        fs::write(device.join("vendor"), format!("{VENDOR_ID:#06x}\n")).unwrap();
        fs::write(device.join("device"), format!("{DEVICE_ID:#06x}\n")).unwrap();
        fs::write(device.join("revision"), "0x01\n").unwrap();
        fs::write(device.join("driver_override"), "").unwrap();
        fs::write(folder.path().join("drivers_probe"), "").unwrap();
        if let Some(driver) = driver {
            let target = folder.path().join("drivers").join(driver);
            fs::create_dir_all(&target).unwrap();
            fs::write(target.join("unbind"), "").unwrap();
            symlink(&target, device.join("driver")).unwrap();
        }
        if let Some(group) = group {
            symlink(format!("groups/{group}"), device.join("iommu_group")).unwrap();
        }
        let bus = PciBus::at(folder.path());
        (folder, bus)
    }

    #[test]
    fn a_card_is_found_with_and_without_its_domain() {
        let (_folder, bus) = bus_with_card("0000:01:00.0", Some("vfio-pci"), Some(7));
        for asked in [None, Some("0000:01:00.0"), Some("01:00.0")] {
            let card = bus.find(asked).unwrap();
            assert_eq!(card.driver.as_deref(), Some("vfio-pci"));
            assert_eq!((card.iommu_group, card.revision), (Some(7), 1));
        }
        let message = bus.find(Some("02:00.0")).unwrap_err().to_string();
        assert!(message.contains("02:00.0") && message.contains("rmt card list"), "{message}");
    }

    #[test]
    fn other_devices_are_no_cards() {
        let (folder, bus) = bus_with_card("0000:01:00.0", None, None);
        fs::write(folder.path().join("devices/0000:01:00.0/device"), "0x1000").unwrap();
        assert_eq!(bus.cards().unwrap(), []);
        assert!(bus.find(None).unwrap_err().to_string().contains("no RMT card"));
    }
}
