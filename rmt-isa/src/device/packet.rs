//! Transaction layer packets, as values and as the DWs of the boundary.
//!
//! Header DWs are numbers; in payload DWs the byte of the lowest address stands in bits 31..24,
//! as the 7-series block delivers them. The other end of a simulated link and the driver of a serial
//! link speak it.

/// A packet, as far as this model makes or understands it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Packet {
    /// A memory read.
    Read(Request),
    /// A memory write, with as many bytes as its DWs have.
    Write {
        /// Where to.
        request: Request,
        /// The bytes of all DWs.
        data: Vec<u8>,
        /// The poisoned bit.
        poisoned: bool,
    },
    /// The answer to a request.
    Completion(Completion),
}

/// The header of a memory request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Request {
    /// Address of the first DW.
    pub address: u64,
    /// DWs, 1 to 1024.
    pub dws: u32,
    /// Bytes of the first DW.
    pub first_enables: u8,
    /// Bytes of the last DW; 0 if there is only one.
    pub last_enables: u8,
    /// Requester.
    pub requester: u16,
    /// Tag.
    pub tag: u8,
}

impl Request {
    /// The request for some bytes at an address.
    pub fn for_bytes(address: u64, bytes: usize, requester: u16, tag: u8) -> Self {
        let skip = (address & 3) as usize;
        let end = skip + bytes;
        let dws = end.div_ceil(4).max(1);
        let first = 0xf_u8 << skip & 0xf;
        let last = 0xf_u8 >> (4 * dws - end).min(4);
        let (first_enables, last_enables) =
            if dws == 1 { (first & last, 0) } else { (first, last) };
        let dws = dws as u32;
        Self { address: address & !3, dws, first_enables, last_enables, requester, tag }
    }

    /// Bytes from the first enabled one to the last one.
    pub fn byte_count(&self) -> usize {
        let last = if self.dws == 1 { self.first_enables } else { self.last_enables };
        if last == 0 {
            return 1;
        }
        let front = self.first_enables.trailing_zeros() as usize;
        let behind = (last << 4).leading_zeros() as usize;
        4 * self.dws as usize - front - behind
    }

    /// Address of the first enabled byte.
    pub fn first_byte(&self) -> u64 {
        let skipped = if self.first_enables == 0 { 0 } else { self.first_enables.trailing_zeros() };
        self.address + u64::from(skipped)
    }
}

/// How a request ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CompletionStatus {
    /// Success.
    Success,
    /// Nothing is there that answers.
    UnsupportedRequest,
    /// The completer gave up.
    CompleterAbort,
}

impl CompletionStatus {
    const fn code(self) -> u32 {
        match self {
            Self::Success => 0,
            Self::UnsupportedRequest => 1,
            Self::CompleterAbort => 4,
        }
    }
}

/// A completion.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Completion {
    /// Who completes.
    pub completer: u16,
    /// How the request ended.
    pub status: CompletionStatus,
    /// Bytes that remain, these included.
    pub byte_count: u32,
    /// Lowest seven bits of the first byte's address.
    pub lower_address: u8,
    /// Requester.
    pub requester: u16,
    /// Tag of the request.
    pub tag: u8,
    /// The data is poisoned.
    pub poisoned: bool,
    /// The bytes of all DWs; empty without data.
    pub data: Vec<u8>,
}

impl Completion {
    /// The only or first one that answers a request, still without data.
    pub fn of(request: &Request, completer: u16, status: CompletionStatus) -> Self {
        Self {
            completer,
            status,
            byte_count: request.byte_count() as u32,
            lower_address: (request.first_byte() & 0x7f) as u8,
            requester: request.requester,
            tag: request.tag,
            poisoned: false,
            data: Vec::new(),
        }
    }
}

/// Why DWs are no packet that this model understands.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{problem}: {dws:08x?}")]
pub struct BadPacket {
    /// What is wrong.
    pub problem: &'static str,
    /// The DWs.
    pub dws: Vec<u32>,
}

const POISONED: u32 = 1 << 14;
const LONG: u32 = 1 << 29;
const DATA: u32 = 1 << 30;
const COMPLETION: u32 = 0b01010 << 24;

fn push_payload(dws: &mut Vec<u32>, data: &[u8]) {
    dws.extend(data.chunks(4).map(|bytes| {
        let mut word = [0; 4];
        word[..bytes.len()].copy_from_slice(bytes);
        u32::from_be_bytes(word)
    }));
}

impl Packet {
    /// The DWs of the packet. Addresses of 4 GiB and more take the long header.
    pub fn to_dws(&self) -> Vec<u32> {
        match self {
            Self::Read(request) => request_dws(request, 0),
            Self::Write { request, data, poisoned } => {
                let mut dws = request_dws(request, DATA | if *poisoned { POISONED } else { 0 });
                push_payload(&mut dws, data);
                dws
            }
            Self::Completion(completion) => {
                let length = (completion.data.len() / 4) as u32;
                let data = if length > 0 { DATA } else { 0 };
                let poisoned = if completion.poisoned { POISONED } else { 0 };
                let mut dws = vec![
                    COMPLETION | data | poisoned | length & 0x3ff,
                    u32::from(completion.completer) << 16
                        | completion.status.code() << 13
                        | completion.byte_count & 0xfff,
                    u32::from(completion.requester) << 16
                        | u32::from(completion.tag) << 8
                        | u32::from(completion.lower_address & 0x7f),
                ];
                push_payload(&mut dws, &completion.data);
                dws
            }
        }
    }

    /// The packet of some DWs.
    ///
    /// # Errors
    /// [`BadPacket`] when a rule of the specification is broken.
    pub fn from_dws(dws: &[u32]) -> Result<Self, BadPacket> {
        let bad = |problem| BadPacket { problem, dws: dws.to_vec() };
        let [first, second, third, ..] = *dws else { return Err(bad("a header needs 3 DWs")) };
        let (long, has_data) = (first & LONG != 0, first & DATA != 0);
        let length = match first & 0x3ff {
            0 => 1024,
            length => length,
        };
        let header = if long { 4 } else { 3 };
        let payload = dws.get(header..).ok_or_else(|| bad("a long header needs 4 DWs"))?;
        if payload.len() != if has_data { length as usize } else { 0 } {
            return Err(bad("the payload is not as long as the header says"));
        }
        let data: Vec<u8> = payload.iter().flat_map(|dw| dw.to_be_bytes()).collect();
        let poisoned = first & POISONED != 0;
        if first & (1 << 31 | 3 << 10 | 0x70_0000 | 1 << 15) != 0 {
            return Err(bad("prefix, address type, class or digest is set"));
        }
        match first >> 24 & 0x1f {
            0 => {
                let address =
                    if long { u64::from(third) << 32 | u64::from(dws[3]) } else { third.into() };
                let request = Request {
                    address,
                    dws: length,
                    first_enables: (second & 15) as u8,
                    last_enables: (second >> 4 & 15) as u8,
                    requester: (second >> 16) as u16,
                    tag: (second >> 8) as u8,
                };
                if long && third == 0 {
                    return Err(bad("an address below 4 GiB has the short header"));
                }
                if first & 0x3000 != 0 {
                    return Err(bad("relaxed ordering or no-snoop is set"));
                }
                if address & 3 != 0 || (address & 0xfff) + u64::from(4 * length) > 4096 {
                    return Err(bad("the request is not aligned or crosses 4 KiB"));
                }
                if (length == 1) != (request.last_enables == 0) {
                    return Err(bad("byte enables do not fit the length"));
                }
                Ok(if has_data {
                    Self::Write { request, data, poisoned }
                } else {
                    Self::Read(request)
                })
            }
            0b01010 if !long => {
                let status = match second >> 13 & 7 {
                    0 => CompletionStatus::Success,
                    1 => CompletionStatus::UnsupportedRequest,
                    4 => CompletionStatus::CompleterAbort,
                    _ => return Err(bad("unknown completion status")),
                };
                Ok(Self::Completion(Completion {
                    completer: (second >> 16) as u16,
                    status,
                    byte_count: second & 0xfff,
                    lower_address: (third & 0x7f) as u8,
                    requester: (third >> 16) as u16,
                    tag: (third >> 8) as u8,
                    poisoned,
                    data,
                }))
            }
            _ => Err(bad("the card may send memory requests and completions only")),
        }
    }
}

fn request_dws(request: &Request, flags: u32) -> Vec<u32> {
    let long = request.address >> 32 != 0;
    let mut dws = vec![
        flags | if long { LONG } else { 0 } | request.dws & 0x3ff,
        u32::from(request.requester) << 16
            | u32::from(request.tag) << 8
            | u32::from(request.last_enables) << 4
            | u32::from(request.first_enables),
    ];
    if long {
        dws.push((request.address >> 32) as u32);
    }
    dws.push(request.address as u32 & !3);
    dws
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packets_survive_their_dws() {
        let mut packets = Vec::new();
        for address in [0x1000, 0x12_0000_1000_u64] {
            for (skip, bytes) in [(0, 4), (1, 1), (3, 2), (0, 64), (2, 13)] {
                let request = Request::for_bytes(address + skip, bytes, 0x100, 7);
                assert_eq!(request.byte_count(), bytes);
                assert_eq!(request.first_byte(), address + skip);
                packets.push(Packet::Read(request));
                let data = (0..4 * request.dws as u8).collect();
                packets.push(Packet::Write { request, data, poisoned: bytes == 13 });
            }
        }
        packets.push(Packet::Completion(Completion {
            completer: 0,
            status: CompletionStatus::CompleterAbort,
            byte_count: 64,
            lower_address: 0x40,
            requester: 0x100,
            tag: 3,
            poisoned: false,
            data: Vec::new(),
        }));
        for packet in packets {
            assert_eq!(Packet::from_dws(&packet.to_dws()), Ok(packet));
        }
    }

    #[test]
    fn broken_rules_are_named() {
        let request = Request::for_bytes(0xffc, 8, 0, 0);
        let error = Packet::from_dws(&Packet::Read(request).to_dws()).unwrap_err();
        assert!(error.to_string().contains("crosses 4 KiB"), "{error}");
    }
}
