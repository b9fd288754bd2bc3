//! The two sides of the link, as traits.

/// Why the host refused a memory request of the card.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DmaFault {
    /// No memory is mapped there: the IOMMU or the root complex answers `unsupported request`.
    #[error("bus address {address:#x} is not mapped")]
    Unmapped {
        /// The first address that is not.
        address: u64,
    },
    /// The memory is there but may not be written.
    #[error("bus address {address:#x} is mapped read-only")]
    ReadOnly {
        /// The address.
        address: u64,
    },
}

/// What the card reaches by its own requests.
pub trait HostMemory {
    /// Reads `bytes.len()` bytes at a bus address.
    ///
    /// # Errors
    /// [`DmaFault`]; the card then gets a completion with `unsupported request`.
    fn read(&mut self, address: u64, bytes: &mut [u8]) -> Result<(), DmaFault>;

    /// Writes bytes at a bus address.
    ///
    /// # Errors
    /// [`DmaFault`]; writes are posted, so the card does not learn of it, and the model counts it.
    fn write(&mut self, address: u64, bytes: &[u8]) -> Result<(), DmaFault>;

    /// The card wrote `data` into the range of interrupt messages (0xfee0_0000 to 0xfeef_ffff).
    fn interrupt(&mut self, address: u64, data: u32);
}

/// The part of configuration space that reaches the card as signals. The owner of the card's
/// configuration space keeps it up to date.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConfigState {
    /// Bus, device and function number of the card.
    pub completer_id: u16,
    /// Largest payload of a packet, bytes: 128 to 4096, a power of two.
    pub max_payload: u32,
    /// Largest read request of the card, bytes: 128 to 4096, a power of two.
    pub max_read_request: u32,
    /// Bus master enable of the command register.
    pub bus_master: bool,
    /// MSI-X enable.
    pub msix_enable: bool,
    /// MSI-X function mask.
    pub msix_function_mask: bool,
}

impl Default for ConfigState {
    /// As after a reset.
    fn default() -> Self {
        Self {
            completer_id: 0x0100,
            max_payload: 128,
            max_read_request: 512,
            bus_master: false,
            msix_enable: false,
            msix_function_mask: false,
        }
    }
}

/// A card behind a link, as a driver in this process or a vfio-user server reaches it.
///
/// Simulated time passes in the calls: a read takes as long as its answer does. A write is posted
/// and takes none, until too many wait; [`CardBus::advance`] lets time pass without a request.
pub trait CardBus {
    /// Why the card cannot be used any further.
    type Error: std::error::Error + Send + Sync + 'static;

    /// Reads bytes of a BAR. The answer of a card that refuses is all ones, as on real hosts.
    ///
    /// # Errors
    /// When the simulation failed or the card does not answer within its bound.
    fn bar_read(&mut self, bar: u8, offset: u64, bytes: &mut [u8]) -> Result<(), Self::Error>;

    /// Writes bytes of a BAR as one posted packet, cut only at 4 KiB and at the largest payload.
    ///
    /// # Errors
    /// When the simulation failed.
    fn bar_write(&mut self, bar: u8, offset: u64, bytes: &[u8]) -> Result<(), Self::Error>;

    /// Lets clock cycles of the card pass; its requests are served meanwhile.
    ///
    /// # Errors
    /// When the simulation failed.
    fn advance(&mut self, cycles: u64) -> Result<(), Self::Error>;

    /// The configuration state as the card sees it now.
    fn config(&self) -> ConfigState;

    /// Changes the configuration state, from the next cycle on.
    fn set_config(&mut self, config: ConfigState);

    /// Resets the function (FLR): requests under way end, all registers return to their reset
    /// values. The configuration state is the caller's to reset.
    ///
    /// # Errors
    /// When the simulation failed.
    fn function_reset(&mut self) -> Result<(), Self::Error>;
}
