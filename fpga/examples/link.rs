//! Whether what runs at the PCIe block's clock keeps up with it: places and routes the realigner alone, between registers.
//!
//! `cargo run --release -p rmt-fpga --example link -- acorn-serial=125`: a board whose tools run here, and the clock to
//! ask for in MHz.

use std::error::Error;
use std::time::Duration;

use rmt_core::tlp::realign::Realign;
use rmt_fpga::Board;
use rmt_fpga::flow::Builder;
use rmt_fpga::flow::unit::Request;
use rtl_builder::prelude::elaborate;

const LIMIT: Duration = Duration::from_secs(3600);

fn main() -> Result<(), Box<dyn Error>> {
    let argument = std::env::args().nth(1);
    let (board, mhz) =
        argument.as_deref().and_then(|text| text.split_once('=')).ok_or("usage: link BOARD=MHZ")?;
    let (board, mhz) = (Board::find(board)?, mhz.parse()?);
    let design = elaborate(Realign)?;
    let request = Request { board, design: &design, mhz, seed: 1, limit: LIMIT };
    let found = Builder::from_environment(&mut |_| {}).measure(&request)?;
    let (part, reached) = (board.part.name, found.mhz());
    println!("{part}, realigner: {reached:.1} MHz of {mhz} asked, {:?}", found.used);
    Ok(())
}
