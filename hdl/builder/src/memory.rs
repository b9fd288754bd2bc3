//! Memories: synchronous ones that become block RAM, and small ones that are read in the same cycle.
//!
//! | type | read | read and write of one address in one cycle | becomes |
//! | --- | --- | --- | --- |
//! | [`SyncMem`] | data one cycle after the address | the old word, unless [`SyncMem::collisions_unused`] | block RAM |
//! | [`AsyncMem`] | data in the cycle of the address | the old word | distributed RAM or registers |
//!
//! Addresses at or beyond the depth (when it is not a power of two): writes are lost, the data read is not specified
//! (the evaluator gives zero).

use crate::bits::Bits;
use crate::bundle::{self, Bundle};
use crate::control::guarded;
use crate::domain::{Domain, DomainInfo, Main};
use crate::error::{ErrorKind, Place};
use crate::ir::{self, Kind, Node, NodeId};
use crate::session::{self, Raw, Session};
use crate::signal::{Bool, Source, UInt, bits_for};
use std::marker::PhantomData;
use std::panic::Location;
use std::rc::Rc;

/// A memory with one or more synchronous read ports and, as a rule, one write port, all on the clock of `D`.
#[derive(Clone, Debug)]
pub struct SyncMem<T: Bundle, D: Domain = Main> {
    memory: Memory<T>,
    domain: PhantomData<D>,
}

/// A small memory with combinational read ports; writes happen at the clock edge of `D`.
#[derive(Clone, Debug)]
pub struct AsyncMem<T: Bundle, D: Domain = Main> {
    memory: Memory<T>,
    domain: PhantomData<D>,
}

#[derive(Clone, Debug)]
struct Memory<T> {
    /// None after an error.
    index: Option<usize>,
    /// The elaboration and the component under construction that it belongs to.
    owner: (u32, u32),
    shape: T,
    depth: u64,
    name: String,
}

macro_rules! memory_common {
    ($name:ident) => {
        impl<T: Bundle, D: Domain> $name<T, D> {
            /// A memory of `depth` words of a shape, at least one.
            #[track_caller]
            pub fn new(name: impl AsRef<str>, shape: T, depth: u64) -> Self {
                Self {
                    memory: Memory::new(name.as_ref(), shape, depth, Location::caller()),
                    domain: PhantomData,
                }
            }

            /// The same with contents at power-up, from word 0 on; words that are not given are zero.
            ///
            /// Each word is the packed bundle: see [`crate::bundle::pack`].
            #[track_caller]
            #[must_use]
            pub fn with_initial(self, words: Vec<Bits>) -> Self {
                self.memory.set_initial(words, Location::caller());
                self
            }

            /// A comment at the declaration in the Verilog.
            #[track_caller]
            #[must_use]
            pub fn doc(self, text: &str) -> Self {
                self.memory.edit(Location::caller(), |memory| memory.doc = text.to_owned());
                self
            }

            /// A Verilog attribute, such as `ram_style = "block"`.
            #[track_caller]
            #[must_use]
            pub fn attribute(self, text: &str) -> Self {
                self.memory
                    .edit(Location::caller(), |memory| memory.attribute = Some(text.to_owned()));
                self
            }

            /// Width of an address, bits: at least 1.
            pub fn address_width(&self) -> u32 {
                bits_for(self.memory.depth).max(1)
            }

            /// Number of words.
            pub fn depth(&self) -> u64 {
                self.memory.depth
            }

            /// Writes `data` at `address` at the clock edge when `enable` is true, and so are the `when`s around.
            #[track_caller]
            pub fn write(
                &self,
                enable: impl Source<Bool<D>>,
                address: impl Source<UInt<D>>,
                data: impl Source<T>,
            ) {
                let data = data.source(Some(&self.memory.shape));
                let (enable, address) =
                    (guarded(enable.source(None)), self.memory.address(address));
                self.memory.write::<D>(enable.raw, address.raw, &data, None, Location::caller());
            }

            /// Writes only the lanes of the word whose bit in `lanes` is set: with 4 lanes, bit 0 is the lowest quarter.
            #[track_caller]
            pub fn write_lanes(
                &self,
                enable: impl Source<Bool<D>>,
                address: impl Source<UInt<D>>,
                data: impl Source<T>,
                lanes: impl Source<UInt<D>>,
            ) {
                let data = data.source(Some(&self.memory.shape));
                let (enable, address) =
                    (guarded(enable.source(None)), self.memory.address(address));
                let lanes = lanes.source(None).raw;
                self.memory.write::<D>(
                    enable.raw,
                    address.raw,
                    &data,
                    Some(lanes),
                    Location::caller(),
                );
            }
        }
    };
}

memory_common!(SyncMem);
memory_common!(AsyncMem);

impl<T: Bundle, D: Domain> SyncMem<T, D> {
    /// Says that nobody uses what is read of a word in the cycle in which it is written.
    ///
    /// Block RAMs with two ports do not promise the old word then; where somebody uses it, synthesis adds registers,
    /// a comparison of the addresses and a choice of each bit. The evaluator gives the complement of the old word,
    /// so that tests find whoever uses it; the Verilog has the attribute `no_rw_check`, and reads the old word when simulated.
    #[track_caller]
    #[must_use]
    pub fn collisions_unused(self) -> Self {
        self.memory.edit(Location::caller(), |memory| memory.collisions_unused = true);
        self
    }

    /// A read port: the word at `address`, one cycle after `enable`; the data stays until the next enabled read.
    ///
    /// Inside a `when` the read is enabled only when its condition is true, too.
    #[track_caller]
    pub fn read(&self, enable: impl Source<Bool<D>>, address: impl Source<UInt<D>>) -> T {
        let (enable, address) = (guarded(enable.source(None)), self.memory.address(address));
        self.memory.read::<D>(Some(enable.raw), address.raw, Location::caller())
    }
}

impl<T: Bundle, D: Domain> AsyncMem<T, D> {
    /// A read port: the word at `address`, in the same cycle.
    #[track_caller]
    pub fn read(&self, address: impl Source<UInt<D>>) -> T {
        self.memory.read::<D>(None, self.memory.address(address).raw, Location::caller())
    }
}

impl<W: Domain> AsyncMem<UInt<W>, W> {
    /// A read port in another domain, for dual-clock queues, which see to it that the word is stable.
    #[track_caller]
    pub(crate) fn read_across<R: Domain>(&self, address: UInt<R>) -> UInt<R> {
        let place = Location::caller();
        let word: UInt<W> = self.memory.read::<R>(None, address.raw, place);
        UInt::from_raw(word.raw)
    }
}

impl<T: Bundle> Memory<T> {
    fn new(name: &str, shape: T, depth: u64, place: Place) -> Self {
        let width = bundle::width(&shape);
        let made = session::with(|s| {
            s.check_width(&format!("memory `{name}`"), u64::from(width), place)?;
            if depth == 0 || depth > 1 << 24 {
                let problem = format!("{depth} words; 1 to 2^24 are possible");
                s.fail(ErrorKind::InvalidMemory { memory: name.to_owned(), problem }, place);
                return None;
            }
            let name = s.claim_name(name, place)?;
            let frame = s.stack.last_mut()?;
            let owner = (s.id, frame.id);
            let memories = &mut frame.module.memories;
            memories.push(ir::Memory {
                name,
                doc: String::new(),
                depth,
                width,
                initial: None,
                attribute: None,
                collisions_unused: false,
                writes: Vec::new(),
                reads: Vec::new(),
            });
            Some((memories.len() - 1, owner))
        });
        let (index, owner) = made.flatten().unzip();
        Self { index, owner: owner.unwrap_or((0, 0)), shape, depth, name: name.to_owned() }
    }

    /// Its index in the component under construction, to which it must belong.
    fn index_in(&self, s: &mut Session, place: Place) -> Option<usize> {
        let index = self.index?;
        if s.stack.last().map(|frame| (s.id, frame.id)) == Some(self.owner) {
            return Some(index);
        }
        let owner = match self.owner.0 == s.id {
            true => s.frame_names.get(self.owner.1 as usize).cloned().unwrap_or_default(),
            false => "an earlier elaboration".to_owned(),
        };
        s.fail(ErrorKind::ForeignSignal { signal: self.name.clone(), owner }, place);
        None
    }

    fn edit(&self, place: Place, change: impl FnOnce(&mut ir::Memory)) {
        session::with(|s| {
            let index = self.index_in(s, place)?;
            s.stack.last_mut()?.module.memories.get_mut(index).map(change)
        });
    }

    fn set_initial(&self, words: Vec<Bits>, place: Place) {
        let width = bundle::width(&self.shape);
        let invalid = |problem| ErrorKind::InvalidMemory { memory: self.name.clone(), problem };
        if words.len() as u64 > self.depth {
            let problem = format!("{} initial words for a depth of {}", words.len(), self.depth);
            session::fail(invalid(problem), place);
        } else if let Some((i, word)) =
            words.iter().enumerate().find(|(_, word)| word.width() != width)
        {
            let problem = format!("initial word {i} has {} bits, not {width}", word.width());
            session::fail(invalid(problem), place);
        } else {
            self.edit(place, |memory| memory.initial = Some(Rc::new(words)));
        }
    }

    #[track_caller]
    fn address<D: Domain>(&self, address: impl Source<UInt<D>>) -> UInt<D> {
        let expected = bits_for(self.depth).max(1);
        let address = address.source(Some(&UInt::of(expected)));
        if address.width() != expected {
            let kind = ErrorKind::AddressWidth {
                memory: self.name.clone(),
                depth: self.depth,
                expected,
                found: address.width(),
            };
            session::fail(kind, Location::caller());
        }
        address
    }

    fn write<D: Domain>(
        &self,
        enable: Raw,
        address: Raw,
        data: &T,
        lanes: Option<Raw>,
        place: Place,
    ) {
        let width = bundle::width(&self.shape);
        let data: UInt<D> = bundle::pack(data.clone());
        if data.width() != width {
            let what = format!("data written to memory `{}`", self.name);
            session::fail(
                ErrorKind::WidthMismatch { what, expected: width, found: data.width() },
                place,
            );
            return;
        }
        if let Some(lanes) = lanes
            && !width.is_multiple_of(lanes.width)
        {
            let problem = format!("{width} bits do not divide into {} lanes", lanes.width);
            session::fail(ErrorKind::InvalidMemory { memory: self.name.clone(), problem }, place);
            return;
        }
        session::with(|s| {
            let index = self.index_in(s, place)?;
            let what = format!("write to memory `{}`", self.name);
            let mut ids = Vec::new();
            for raw in [Some(enable), Some(address), Some(data.raw), lanes].into_iter().flatten() {
                ids.push(s.resolve(raw, place)?);
            }
            check_domain::<D>(s, &what, &ids, place)?;
            let domain = DomainInfo::of::<D>();
            let module = &mut s.stack.last_mut()?.module;
            module.use_domain(domain, false);
            let write = ir::WritePort {
                domain,
                enable: ids[0],
                address: ids[1],
                data: ids[2],
                lanes: ids.get(3).copied(),
            };
            module.memories.get_mut(index)?.writes.push(write);
            Some(())
        });
    }

    fn read<D: Domain>(&self, enable: Option<Raw>, address: Raw, place: Place) -> T {
        let word = session::with(|s| {
            let index = self.index_in(s, place)?;
            let address = s.resolve(address, place)?;
            let enable = match enable {
                Some(raw) => Some(s.resolve(raw, place)?),
                None => None,
            };
            let ids: Vec<NodeId> = enable.into_iter().chain([address]).collect();
            check_domain::<D>(s, &format!("read of memory `{}`", self.name), &ids, place)?;
            let domain = DomainInfo::of::<D>();
            let memory = s.stack.last()?.module.memories.get(index)?;
            let (port, width) = (memory.reads.len(), memory.width);
            let raw = s.add(Node {
                kind: Kind::MemRead { memory: index, port },
                width,
                signed: false,
                boolean: false,
                domain: Some(domain),
                name: Some(format!("{}.read{port}", self.name)),
                doc: String::new(),
                place,
            })?;
            let module = &mut s.stack.last_mut()?.module;
            let node = (module.nodes.len() - 1) as NodeId;
            let clock = enable.map(|_| domain);
            if clock.is_some() {
                module.use_domain(domain, false);
            }
            module.memories.get_mut(index)?.reads.push(ir::ReadPort {
                domain: clock,
                enable,
                address,
                node,
            });
            Some(raw)
        });
        match word.flatten() {
            Some(raw) => bundle::unpack(&self.shape, UInt::<D>::from_raw(raw)),
            None => bundle::map(&self.shape, &mut |leaf| leaf.with(Raw::poison(leaf.raw.width))),
        }
    }
}

fn check_domain<D: Domain>(
    s: &mut Session,
    what: &str,
    ids: &[NodeId],
    place: Place,
) -> Option<()> {
    let found = s.join_domains(what, ids, place)?;
    let own = DomainInfo::of::<D>();
    if let Some(found) = found
        && found != own
    {
        let (expected, found) = (own.name.to_owned(), found.name.to_owned());
        s.fail(ErrorKind::DomainMismatch { what: what.to_owned(), expected, found }, place);
        return None;
    }
    Some(())
}
