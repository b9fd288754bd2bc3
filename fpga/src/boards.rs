//! The boards that are known: one table, from which everything else is taken.

use rmt_core::CoreConfig;
use rmt_isa::card::CardShape;
use serde::Serialize;

use crate::error::FpgaError;
use crate::resources::Resources;

/// A part, as sold.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Part {
    /// Its number.
    pub name: &'static str,
    /// What nextpnr or Vivado is told.
    pub tool_name: &'static str,
    /// Package as the tool calls it.
    pub package: &'static str,
    /// Speed grade.
    pub speed: u32,
    /// What it has.
    pub resources: Resources,
}

/// What builds a bitstream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Flow {
    /// yosys, nextpnr and Project Trellis for the ECP5: runs here.
    Trellis,
    /// yosys, nextpnr and Project X-Ray for the 7-series: runs here where Debian sid's tools are.
    Xray,
    /// Vivado: this command writes its project.
    Vivado,
}

/// How the host reaches the card.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Link {
    /// The bring-up link: a UART.
    Serial {
        /// Bits a second.
        baud: u32,
    },
    /// PCIe.
    Pcie {
        /// Generation.
        generation: u32,
        /// Lanes.
        lanes: u32,
        /// Width of the streams at the card, bits.
        stream_bits: u32,
    },
}

impl Link {
    /// In words, for a table.
    pub fn describe(self) -> String {
        match self {
            Self::Serial { baud } => format!("UART, {baud} baud"),
            Self::Pcie { generation, lanes, .. } => format!("PCIe Gen{generation} x{lanes}"),
        }
    }
}

/// A file that belongs to a board: its name and its text.
pub type SourceFile = (&'static str, &'static str);

/// A board.
#[derive(Clone, Copy)]
pub struct Board {
    /// What the command calls it.
    pub name: &'static str,
    /// What people call it.
    pub title: &'static str,
    /// Its FPGA.
    pub part: Part,
    /// Its oscillator, MHz; with PCIe, the clock of the block.
    pub input_mhz: f64,
    /// Clock of the card unless another is asked for, MHz.
    pub card_mhz: f64,
    /// How the host reaches it.
    pub link: Link,
    /// Its lights are on while their pins are low.
    pub lights_low: bool,
    /// What builds it.
    pub flow: Flow,
    /// Arguments of openFPGALoader that name it.
    pub loader: &'static [&'static str],
    /// Verilog of the top; the module is [`TOP`].
    pub top: &'static [SourceFile],
    /// Pins and timing.
    pub constraints: SourceFile,
    /// What the card is built with unless another configuration is asked for.
    pub configuration: fn() -> CoreConfig,
    /// What has been shown of it.
    pub state: &'static str,
}

/// Name of the top module of every board.
pub const TOP: &str = "rmt_board";

const ECP5_85: Resources =
    Resources { luts: 83_640, flip_flops: 83_640, multipliers: 156, block_rams: 208 };
const XC7A100T: Resources =
    Resources { luts: 63_400, flip_flops: 126_800, multipliers: 240, block_rams: 270 };
const XC7A200T: Resources =
    Resources { luts: 134_600, flip_flops: 269_200, multipliers: 740, block_rams: 730 };

macro_rules! file {
    ($path:literal) => {
        ($path, include_str!(concat!("../", $path)))
    };
}

const XC7_TOP: &[SourceFile] = &[file!("tops/xc7_serial.v")];
const ECP5_TOP: &[SourceFile] = &[file!("tops/ecp5_serial.v")];
const ACORN_CLOCKS: SourceFile = file!("tops/acorn_clocks.v");

/// The default card at the width of the PCIe block.
fn large_card() -> CoreConfig {
    CoreConfig::new(CardShape::default_card())
}

/// The card for the open PCIe core: the default one with streams of 64 bits.
fn large_card_64() -> CoreConfig {
    CoreConfig::new(CardShape { stream_bits: 64, ..CardShape::default_card() })
}

const ACORN_LOADER: &[&str] = &["-b", "acornCle215"];
/// Of the Acorn CLE-215 and the NiteFury.
const ACORN_CLE215: Part = Part {
    name: "XC7A200T-2FBG484",
    tool_name: "xc7a200tfbg484-2",
    package: "fbg484",
    speed: 2,
    resources: XC7A200T,
};
/// The card's clock beside that of the PCIe block: less than the smallest card reaches with open tools.
const PCIE_CARD_MHZ: f64 = 40.0;
const UNTRIED: &str = "lint and port check only; never built with Vivado, never on a board";

/// All boards.
pub const BOARDS: &[Board] = &[
    Board {
        name: "ecpix5",
        title: "LambdaConcept ECPIX-5 85F",
        part: Part {
            name: "LFE5UM5G-85F-8BG554I",
            tool_name: "--um5g-85k",
            package: "CABGA554",
            speed: 8,
            resources: ECP5_85,
        },
        input_mhz: 100.0,
        card_mhz: 25.0,
        link: Link::Serial { baud: 1_000_000 },
        lights_low: true,
        flow: Flow::Trellis,
        loader: &["-b", "ecpix5"],
        top: ECP5_TOP,
        constraints: file!("constraints/ecpix5.lpf"),
        configuration: CoreConfig::smallest,
        state: "simulated, bitstream of a whole card; never on a board",
    },
    Board {
        name: "ulx3s",
        title: "Radiona ULX3S 85F",
        part: Part {
            name: "LFE5U-85F-6BG381C",
            tool_name: "--85k",
            package: "CABGA381",
            speed: 6,
            resources: ECP5_85,
        },
        input_mhz: 25.0,
        card_mhz: 25.0,
        link: Link::Serial { baud: 1_000_000 },
        lights_low: false,
        flow: Flow::Trellis,
        loader: &["-b", "ulx3s"],
        top: ECP5_TOP,
        constraints: file!("constraints/ulx3s.lpf"),
        configuration: CoreConfig::smallest,
        state: "simulated, bitstream of a whole card; never on a board",
    },
    Board {
        name: "acorn-serial",
        title: "SQRL Acorn CLE-215, NiteFury without PCIe: a serial adapter on P2",
        part: ACORN_CLE215,
        input_mhz: 200.0,
        card_mhz: 20.0,
        link: Link::Serial { baud: 1_000_000 },
        lights_low: true,
        flow: Flow::Xray,
        loader: ACORN_LOADER,
        top: XC7_TOP,
        constraints: file!("constraints/acorn_serial.xdc"),
        configuration: CoreConfig::smallest,
        state: "bitstream of a whole card; never on a board",
    },
    Board {
        name: "acorn-cle215",
        title: "SQRL Acorn CLE-215, NiteFury (CLE-215+: the same with speed grade 3)",
        part: ACORN_CLE215,
        input_mhz: 125.0,
        card_mhz: PCIE_CARD_MHZ,
        link: Link::Pcie { generation: 2, lanes: 4, stream_bits: 128 },
        lights_low: true,
        flow: Flow::Vivado,
        loader: ACORN_LOADER,
        top: &[file!("tops/acorn_x4.v"), ACORN_CLOCKS],
        constraints: file!("constraints/acorn_x4.xdc"),
        configuration: large_card,
        state: UNTRIED,
    },
    Board {
        name: "acorn-cle101",
        title: "SQRL Acorn CLE-101, LiteFury",
        part: Part {
            name: "XC7A100T-2FGG484",
            tool_name: "xc7a100tfgg484-2",
            package: "fgg484",
            speed: 2,
            resources: XC7A100T,
        },
        input_mhz: 125.0,
        card_mhz: PCIE_CARD_MHZ,
        link: Link::Pcie { generation: 2, lanes: 4, stream_bits: 128 },
        lights_low: true,
        flow: Flow::Vivado,
        loader: ACORN_LOADER,
        top: &[file!("tops/acorn_x4.v"), ACORN_CLOCKS],
        constraints: file!("constraints/acorn_x4.xdc"),
        configuration: || CoreConfig::new(CardShape { stream_bits: 128, ..CardShape::small() }),
        state: UNTRIED,
    },
    Board {
        name: "acorn-open",
        title: "SQRL Acorn CLE-215 with the open core regymm/pcie_7x",
        part: ACORN_CLE215,
        input_mhz: 125.0,
        card_mhz: PCIE_CARD_MHZ,
        link: Link::Pcie { generation: 2, lanes: 1, stream_bits: 64 },
        lights_low: true,
        flow: Flow::Vivado,
        loader: ACORN_LOADER,
        top: &[file!("tops/acorn_open_x1.v"), ACORN_CLOCKS],
        constraints: file!("constraints/acorn_open_x1.xdc"),
        configuration: large_card_64,
        state: UNTRIED,
    },
];

impl Board {
    /// The board of a name.
    ///
    /// # Errors
    /// [`FpgaError::NoSuchBoard`] with those that there are.
    pub fn find(name: &str) -> Result<&'static Self, FpgaError> {
        BOARDS.iter().find(|board| board.name == name).ok_or_else(|| FpgaError::NoSuchBoard {
            name: name.to_owned(),
            known: BOARDS.iter().map(|board| board.name).collect::<Vec<_>>().join(", "),
        })
    }

    /// The configuration that its top needs of one: the width of the streams is the link's.
    pub fn adapt(&self, config: &CoreConfig) -> CoreConfig {
        match self.link {
            Link::Serial { .. } => config.clone(),
            Link::Pcie { stream_bits, .. } => {
                CoreConfig::new(CardShape { stream_bits, ..config.shape().clone() })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_every_default_can_be_built() {
        for (index, board) in BOARDS.iter().enumerate() {
            assert!(BOARDS[..index].iter().all(|other| other.name != board.name));
            let config = (board.configuration)();
            assert_eq!(config.check(), Ok(()), "{}", board.name);
            assert_eq!(board.adapt(&config), config, "{}", board.name);
        }
        let error = Board::find("zx81").err().unwrap().to_string();
        assert!(error.contains("ecpix5, ulx3s"), "{error}");
    }

    #[test]
    fn a_pin_has_one_signal() {
        for board in BOARDS {
            let (name, text) = board.constraints;
            let keyword = if name.ends_with(".lpf") { "SITE" } else { "PACKAGE_PIN" };
            let mut pins: Vec<&str> = text
                .lines()
                .filter(|line| !line.trim_start().starts_with('#'))
                .filter_map(|line| line.split_once(keyword))
                .filter_map(|(_, rest)| rest.split_whitespace().next())
                .collect();
            assert!(pins.len() >= 7, "{name}: {pins:?}");
            pins.sort_unstable();
            let count = pins.len();
            pins.dedup();
            assert_eq!(pins.len(), count, "{name} uses a pin twice");
        }
    }
}
