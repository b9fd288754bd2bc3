//! A Verilated card of 64 bits: its words fit a machine word, which Verilator keeps in another form.

use rmt_core::CoreConfig;
use rmt_isa::device::registers::{MAGIC, VERSION};
use rmt_sim::root_complex::{CardBus as _, LinkedCard, PagedMemory, VerilatedLink};
use rmt_sim::verilated::{Toolchain, Trace};

#[test]
fn a_narrow_verilated_card_says_what_it_is() {
    let toolchain = match Toolchain::locate() {
        Ok(toolchain) => toolchain,
        Err(error) => {
            eprintln!("skipped: {error}");
            return;
        }
    };
    let config = CoreConfig::preset("tiny").unwrap();
    let bits = config.shape().stream_bits;
    assert_eq!(bits, 64);
    let design = rmt_core::elaborate_card(&config).unwrap();
    let model = VerilatedLink::model(&design, bits, Trace::None, &toolchain).unwrap();
    let pins = VerilatedLink::new(&model, bits).unwrap();
    let mut link = LinkedCard::new(pins, PagedMemory::default()).unwrap();
    // Registers read as zero until the reset is over.
    link.advance(64).unwrap();
    for round in 0..3 {
        for (register, expected) in
            [(MAGIC, rmt_isa::card::shape::MAGIC), (VERSION, rmt_isa::device::VERSION.into())]
        {
            let mut bytes = [0; 8];
            for at in (0..register.bytes as usize).step_by(4) {
                let place = u64::from(register.at(0)) + at as u64;
                link.bar_read(register.block.bar, place, &mut bytes[at..at + 4]).unwrap();
            }
            let found = u64::from_le_bytes(bytes);
            assert_eq!(found, expected, "{} in round {round}", register.name);
        }
    }
}
