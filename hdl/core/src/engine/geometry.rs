//! Descriptors of windows in the window unit.

use super::lanes::field;
use super::memory::{Banks, written_part};
use super::ports::HostRequest;
use rmt_isa::card::engine::*;
use rmt_isa::card::fields::BitField;
use rtl_builder::prelude::*;

/// What address generation needs of a window; each number as in its descriptor field.
#[derive(Clone, Copy, Debug, Bundle)]
pub struct Geometry {
    /// Columns of the output, less 1
    pub out_width: UInt,
    /// Rows of the input
    pub in_height: UInt,
    /// Lanes of a row of the input
    pub row_lanes: UInt,
    /// Channels, less 1
    pub channels: UInt,
    /// Rows of the window, less 1
    pub height: UInt,
    /// Columns of the window, less 1
    pub width: UInt,
    /// Tiles that a row of the window takes, less 1
    pub segments: UInt,
    /// Rows from one place to the next
    pub stride_rows: UInt,
    /// Lanes of these rows, modulo 256
    pub stride_row_lanes: UInt,
    /// Lanes from one place to the next in a row
    pub stride_lanes: UInt,
    /// Rows of padding above the input
    pub pad_rows: UInt,
    /// Lanes of these rows, modulo 256
    pub pad_row_lanes: UInt,
    /// Lanes of padding left of the input
    pub pad_lanes: UInt,
    /// Places of the output, less 1
    pub last_place: UInt,
}

impl Geometry {
    /// The shape, the same for all engines.
    pub fn shape() -> Self {
        let of = |field: BitField| uint(field.bits);
        Self {
            out_width: of(WINDOW_OUT_WIDTH),
            in_height: of(WINDOW_IN_HEIGHT),
            row_lanes: of(WINDOW_ROW_LANES),
            channels: of(WINDOW_CHANNELS),
            height: of(WINDOW_HEIGHT),
            width: of(WINDOW_WIDTH),
            segments: of(WINDOW_SEGMENTS),
            stride_rows: of(WINDOW_STRIDE_ROWS),
            stride_row_lanes: of(WINDOW_STRIDE_ROW_LANES),
            stride_lanes: of(WINDOW_STRIDE_LANES),
            pad_rows: of(WINDOW_PAD_ROWS),
            pad_row_lanes: of(WINDOW_PAD_ROW_LANES),
            pad_lanes: of(WINDOW_PAD_LANES),
            last_place: of(WINDOW_LAST_PLACE),
        }
    }

    /// The fields of the words 1 to 3 of a descriptor.
    fn of(words: [UInt; 3]) -> Self {
        let [sizes, steps, rest] = words;
        Self {
            out_width: field(sizes, WINDOW_OUT_WIDTH),
            in_height: field(sizes, WINDOW_IN_HEIGHT),
            row_lanes: field(sizes, WINDOW_ROW_LANES),
            channels: field(sizes, WINDOW_CHANNELS),
            height: field(sizes, WINDOW_HEIGHT),
            width: field(sizes, WINDOW_WIDTH),
            segments: field(sizes, WINDOW_SEGMENTS),
            stride_rows: field(steps, WINDOW_STRIDE_ROWS),
            stride_row_lanes: field(steps, WINDOW_STRIDE_ROW_LANES),
            stride_lanes: field(steps, WINDOW_STRIDE_LANES),
            pad_rows: field(steps, WINDOW_PAD_ROWS),
            pad_row_lanes: field(steps, WINDOW_PAD_ROW_LANES),
            pad_lanes: field(rest, WINDOW_PAD_LANES),
            last_place: field(rest, WINDOW_LAST_PLACE),
        }
    }

    /// The geometry of window `number` when `enable` is set, from the next cycle on until the next one.
    #[track_caller]
    pub fn read(shape: &EngineShape, host: HostRequest, enable: Bool, number: UInt) -> Self {
        let region = EngineRegion::WindowDescriptors;
        // Only the bits that are in use are kept.
        let used = [(1, "sizes", 64), (2, "steps", 50), (3, "rest", 24)];
        let words = used.map(|(part, name, bits)| {
            let banks = Banks::of(region, shape, &host);
            let memory = AsyncMem::new(format!("window_{name}"), uint(bits), banks.words());
            let (write, word) = written_part(region, part, shape, &host);
            memory.write(write, banks.of_host(&host, word), host.wdata.trunc(bits));
            let held = reg_uninit(format!("held_{name}"), uint(bits));
            when(enable, || held.next(memory.read(banks.active(number))));
            held.value()
        });
        Self::of(words)
    }
}
