//! The vfio-user protocol, by crate `vfio_user`.
//!
//! The crate carries messages one after the other on one thread. It answers a failed command as if
//! it had succeeded, so nothing here fails: what a card cannot do shows in its registers.

use std::convert::Infallible;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use rmt_isa::device::pci::BARS;
use vfio_bindings::bindings::vfio::{
    VFIO_IRQ_INFO_EVENTFD, VFIO_IRQ_INFO_NORESIZE, VFIO_IRQ_SET_ACTION_TRIGGER,
    VFIO_IRQ_SET_DATA_EVENTFD, VFIO_IRQ_SET_DATA_NONE, VFIO_PCI_BAR0_REGION_INDEX,
    VFIO_PCI_BAR5_REGION_INDEX, VFIO_PCI_CONFIG_REGION_INDEX, VFIO_PCI_MSIX_IRQ_INDEX,
    VFIO_PCI_NUM_IRQS, VFIO_PCI_NUM_REGIONS, VFIO_REGION_INFO_FLAG_READ,
    VFIO_REGION_INFO_FLAG_WRITE, vfio_region_info,
};
use vfio_user::{DmaMapFlags, DmaUnmapFlags, IrqInfo, Server, ServerBackend, ServerRegion};

use super::configuration::CONFIGURATION_BYTES;
use super::function::{VirtualCard, VirtualFunction};

/// Why the virtual card ended.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The socket cannot be made.
    #[error("cannot listen on {}: {source}", path.display())]
    Socket {
        /// The socket.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The protocol failed.
    #[error("vfio-user on {}: {reason}", path.display())]
    Protocol {
        /// The socket.
        path: PathBuf,
        /// What the crate said.
        reason: String,
    },
    /// The simulated card failed.
    #[error("the simulated card failed: {0}")]
    Simulation(String),
}

/// Serves clients on a socket, one after the other, until the process is ended. Whatever a client
/// leaves behind, the next one finds a card as after power-on.
///
/// # Errors
/// When the socket cannot be made or the simulation failed.
pub fn serve(socket: &Path, card: VirtualCard) -> Result<Infallible, ServeError> {
    let socket_error = |source| ServeError::Socket { path: socket.to_owned(), source };
    // Between its creation and `listen` a socket refuses who connects, and who waits for the card
    // waits for the file: so it gets its name when it listens. That also replaces the socket that
    // a killed server has left behind.
    let mut unready = socket.as_os_str().to_owned();
    unready.push(".new");
    let unready = PathBuf::from(unready);
    match fs::remove_file(&unready) {
        Err(source) if source.kind() != io::ErrorKind::NotFound => {
            return Err(socket_error(source));
        }
        _ => {}
    }
    let protocol = |error: vfio_user::Error| ServeError::Protocol {
        path: socket.to_owned(),
        reason: error.to_string(),
    };
    let server =
        Server::new(&unready, true, interrupts(card.vectors()), regions()).map_err(protocol)?;
    fs::rename(&unready, socket).map_err(socket_error)?;
    let mut backend = Backend { card };
    loop {
        let result = server.run(&mut backend);
        if backend.card.has_failed() {
            backend.card.stop().map_err(ServeError::Simulation)?;
            // It has ended by itself without a reason: so has its server.
            return Err(ServeError::Simulation("it ended".to_owned()));
        }
        match result {
            Ok(()) => {}
            Err(error @ vfio_user::Error::SocketAccept(_)) => return Err(protocol(error)),
            // A client that was killed in the middle of a message.
            Err(error) => eprintln!("virtual card: the client is gone: {error}"),
        }
        backend.card.client_left();
    }
}

fn regions() -> Vec<ServerRegion> {
    let size = |index: u32| match index {
        VFIO_PCI_CONFIG_REGION_INDEX => CONFIGURATION_BYTES as u64,
        _ => {
            BARS.iter().find(|bar| u32::from(bar.number) == index).map_or(0, |bar| bar.bytes.into())
        }
    };
    let region = |index: u32| ServerRegion {
        region_info: vfio_region_info {
            argsz: size_of::<vfio_region_info>() as u32,
            flags: match size(index) {
                0 => 0,
                _ => VFIO_REGION_INFO_FLAG_READ | VFIO_REGION_INFO_FLAG_WRITE,
            },
            index,
            cap_offset: 0,
            size: size(index),
            offset: 0,
        },
        sparse_areas: Vec::new(),
        mmap_fd: None,
    };
    (0..VFIO_PCI_NUM_REGIONS).map(region).collect()
}

fn interrupts(vectors: u32) -> Vec<IrqInfo> {
    let information = |index| match index {
        VFIO_PCI_MSIX_IRQ_INDEX => {
            IrqInfo { index, flags: VFIO_IRQ_INFO_EVENTFD | VFIO_IRQ_INFO_NORESIZE, count: vectors }
        }
        _ => IrqInfo { index, flags: VFIO_IRQ_INFO_EVENTFD, count: 0 },
    };
    (0..VFIO_PCI_NUM_IRQS).map(information).collect()
}

struct Backend {
    card: VirtualCard,
}

/// The BAR of a region, if it is one.
fn bar(region: u32) -> Option<u8> {
    (VFIO_PCI_BAR0_REGION_INDEX..=VFIO_PCI_BAR5_REGION_INDEX)
        .contains(&region)
        .then_some(region as u8)
}

impl ServerBackend for Backend {
    fn region_read(&mut self, region: u32, offset: u64, data: &mut [u8]) -> io::Result<()> {
        match bar(region) {
            Some(bar) => self.card.read_bar(bar, offset, data),
            None if region == VFIO_PCI_CONFIG_REGION_INDEX => {
                self.card.read_configuration(offset, data);
            }
            None => data.fill(0),
        }
        Ok(())
    }

    fn region_write(&mut self, region: u32, offset: u64, data: &[u8]) -> io::Result<()> {
        match bar(region) {
            Some(bar) => self.card.write_bar(bar, offset, data),
            None if region == VFIO_PCI_CONFIG_REGION_INDEX => {
                self.card.write_configuration(offset, data);
            }
            None => {}
        }
        Ok(())
    }

    fn dma_map(
        &mut self,
        flags: DmaMapFlags,
        offset: u64,
        address: u64,
        size: u64,
        file: Option<File>,
    ) -> io::Result<()> {
        // Without a file it is the client's ROM, or another card: not for this one.
        if let Some(file) = file {
            self.card.map(address, size, &file, offset, flags.contains(DmaMapFlags::WRITE));
        }
        Ok(())
    }

    fn dma_unmap(&mut self, _flags: DmaUnmapFlags, address: u64, size: u64) -> io::Result<()> {
        self.card.unmap(address, size);
        Ok(())
    }

    fn reset(&mut self) -> io::Result<()> {
        self.card.reset();
        Ok(())
    }

    fn set_irqs(
        &mut self,
        index: u32,
        flags: u32,
        start: u32,
        count: u32,
        events: Vec<File>,
    ) -> io::Result<()> {
        if index != VFIO_PCI_MSIX_IRQ_INDEX || flags & VFIO_IRQ_SET_ACTION_TRIGGER == 0 {
            return Ok(());
        }
        match (count, flags) {
            (0, _) => self.card.clear_vectors(),
            (_, flags) if flags & VFIO_IRQ_SET_DATA_EVENTFD != 0 => {
                // Fewer files than vectors: the others have none.
                let mut events: Vec<_> = events.into_iter().map(Some).collect();
                events.resize_with((count as usize).min(self.card.vectors() as usize), || None);
                self.card.set_vectors(start, events);
            }
            (_, flags) if flags & VFIO_IRQ_SET_DATA_NONE != 0 => {
                self.card.raise_vectors(start, count);
            }
            _ => {}
        }
        Ok(())
    }
}
