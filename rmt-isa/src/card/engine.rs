//! The ML engine of a card as software sees it: what it was built with, where its memories
//! stand in its host window, and the bits of its descriptors.
//!
//! The RTL (crate `rmt-core`) decodes addresses and descriptors with these constants, the
//! loader ([`super::models`]) writes with them: there is no second copy.

use serde::{Deserialize, Serialize};

use super::fields::BitField;
use crate::limits::VECTOR_LANES;

/// Parameters of the ML engine. All are fixed when the RTL is generated.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EngineShape {
    /// Threads of all stages that the engine serves: 2 to 64, a power of two. Each has its own eight vector
    /// registers and its own copy of the event. As many as `array` keep all multipliers busy.
    pub threads: u32,
    /// Banks of all descriptors, weights, constants, scales and trees, and of program, tables
    /// and match memories outside the engine: 1 or 2. With 2 a commit swaps them between two
    /// events while the host fills the other; these memories cost twice as much. With 1 a
    /// commit holds events while its words are written.
    pub banks: u32,
    /// Rows and columns of the multiplier array, N: 4 to 32, a power of two. Costs N × N
    /// multipliers; a word of all vector memories has N lanes.
    pub array: u32,
    /// Columns that share one activation register: a power of two, at most `array`. A wave
    /// takes `array / hop_columns - 1` cycles to cross the array; fewer columns, less fan-out.
    pub hop_columns: u32,
    /// Products that a multiplier of the array makes at a time: 1, or 2 for an array of half as many multipliers, which
    /// takes activations of 8 bits in place of 16. Two columns then share a multiplier of 25 × 18 bits (a DSP block of
    /// the 7-series; on others it takes more than one), and their sums are added beside it.
    #[serde(default = "one")]
    pub multiplier_products: u32,
    /// Cycles of the array's clock in one of the card's: 1, or 2 or 4 for an array of as many times fewer multipliers. Each
    /// then serves so many neighbouring columns in turn, at a clock of its own (`array_clk`) whose edges are those of the card's and
    /// 1 or 3 between them. Results and cycles are the same, so the capability words do not tell it.
    #[serde(default = "one")]
    pub array_clock_ratio: u32,
    /// Lanes of a vector register: a power of two from `array` to 256.
    pub vector_lanes: u32,
    /// Lanes that the requantiser takes each cycle: a power of two, at most `array`. Costs
    /// one 32 × 32 bit multiplier each.
    pub requantise_lanes: u32,
    /// N × N tiles of int8 weights: 1 to 4096.
    pub weight_tiles: u32,
    /// Words of N × 32 bits for biases and rows of tensors: 1 to 65536.
    pub constant_words: u32,
    /// Words of `requantise_lanes` channel scales: 1 to 65536.
    pub scale_words: u32,
    /// Pairs of tree nodes: 1 to 65536.
    pub tree_pairs: u32,
    /// Tensor descriptors: 1 to 1024.
    pub tensors: u32,
    /// Scale descriptors: 1 to 1024.
    pub scales: u32,
    /// Forest descriptors: 1 to 1024.
    pub forests: u32,
    /// Window descriptors: 1 to 1024, or 0 for an engine without a window unit.
    pub windows: u32,
}

/// What a configuration without a parameter means that came later.
const fn one() -> u32 {
    1
}

/// Bits of an activation whose multiplier makes so many products at a time.
pub const fn activation_bits(multiplier_products: u32) -> u32 {
    if multiplier_products == 1 { 16 } else { 8 }
}

/// A parameter of [`EngineShape`] that cannot be built.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("engine parameter `{parameter}` is {found}; it must be {rule}")]
pub struct EngineShapeError {
    /// Name of the parameter.
    pub parameter: &'static str,
    /// Its value.
    pub found: u32,
    /// What it must be.
    pub rule: String,
}

impl EngineShape {
    /// The smallest engine that is useful: a 4 × 4 array.
    pub const fn tiny() -> Self {
        Self {
            threads: 2,
            banks: 1,
            array: 4,
            hop_columns: 4,
            multiplier_products: 1,
            array_clock_ratio: 1,
            vector_lanes: 32,
            requantise_lanes: 2,
            weight_tiles: 64,
            constant_words: 128,
            scale_words: 64,
            tree_pairs: 512,
            tensors: 16,
            scales: 16,
            forests: 4,
            windows: 4,
        }
    }

    /// An 8 × 8 array, for small FPGAs.
    pub const fn small() -> Self {
        Self {
            threads: 8,
            banks: 2,
            array: 8,
            hop_columns: 8,
            multiplier_products: 1,
            array_clock_ratio: 1,
            vector_lanes: 64,
            requantise_lanes: 8,
            weight_tiles: 128,
            constant_words: 256,
            scale_words: 128,
            tree_pairs: 2048,
            tensors: 64,
            scales: 64,
            forests: 16,
            windows: 8,
        }
    }

    /// The default: a 16 × 16 array and vectors of 256 lanes.
    pub const fn default_card() -> Self {
        Self {
            threads: 32,
            banks: 2,
            array: 16,
            hop_columns: 8,
            multiplier_products: 1,
            array_clock_ratio: 1,
            vector_lanes: 256,
            requantise_lanes: 16,
            weight_tiles: 256,
            constant_words: 512,
            scale_words: 256,
            tree_pairs: 4096,
            tensors: 64,
            scales: 64,
            forests: 16,
            windows: 16,
        }
    }

    /// Whether an engine of this shape can be built.
    ///
    /// # Errors
    /// [`EngineShapeError`] with the first rule that is broken.
    pub fn check(&self) -> Result<(), EngineShapeError> {
        let powers = [
            ("threads", self.threads, 2, 64),
            ("banks", self.banks, 1, 2),
            ("array", self.array, 4, 32),
            ("multiplier_products", self.multiplier_products, 1, 2),
            ("array_clock_ratio", self.array_clock_ratio, 1, 4),
            ("hop_columns", self.hop_columns, self.columns_per_multiplier(), self.array),
            ("vector_lanes", self.vector_lanes, self.array, VECTOR_LANES as u32),
            ("requantise_lanes", self.requantise_lanes, 1, self.array),
        ];
        for (parameter, found, low, high) in powers {
            if !found.is_power_of_two() || !(low..=high).contains(&found) {
                let rule = format!("a power of two from {low} to {high}");
                return Err(EngineShapeError { parameter, found, rule });
            }
        }
        if self.multiplier_products > 1 && self.array_clock_ratio > 1 {
            let rule = "1 where `multiplier_products` is 2".to_owned();
            let (parameter, found) = ("array_clock_ratio", self.array_clock_ratio);
            return Err(EngineShapeError { parameter, found, rule });
        }
        let ranges = [
            ("weight_tiles", self.weight_tiles, 4096),
            ("constant_words", self.constant_words, 65536),
            ("scale_words", self.scale_words, 65536),
            ("tree_pairs", self.tree_pairs, 65536),
            ("tensors", self.tensors, 1024),
            ("scales", self.scales, 1024),
            ("forests", self.forests, 1024),
            ("windows", self.windows, 1024),
        ];
        for (parameter, found, high) in ranges {
            let low = u32::from(parameter != "windows");
            if !(low..=high).contains(&found) {
                let rule = format!("from {low} to {high}");
                return Err(EngineShapeError { parameter, found, rule });
            }
        }
        Ok(())
    }

    /// Sums of N outputs that wait for their next tile: one for each product of a batch.
    pub const fn partial_sums(&self) -> u32 {
        if self.threads > self.array { self.threads } else { self.array }
    }

    /// Columns of the array that share a multiplier: at the same time, or one after the other.
    pub const fn columns_per_multiplier(&self) -> u32 {
        self.multiplier_products * self.array_clock_ratio
    }

    /// DSP blocks: one for each cell of the array, or for as many as share one, and each lane of the vector unit, four for a lane of
    /// the requantiser, two for addresses in the decoder.
    pub const fn dsp_blocks(&self) -> u32 {
        let array = self.array * self.array / self.columns_per_multiplier();
        array + self.array + 4 * self.requantise_lanes + 2
    }

    /// Bits of an activation in the array.
    pub const fn activation_bits(&self) -> u32 {
        activation_bits(self.multiplier_products)
    }

    /// Words of N lanes that one vector register has.
    pub const fn words_per_register(&self) -> u32 {
        self.vector_lanes / self.array
    }

    /// Words of N lanes that `lanes` lanes take.
    pub const fn words_for(&self, lanes: u32) -> u32 {
        lanes.div_ceil(self.array)
    }

    /// What a region holds on this engine.
    pub const fn extent(&self, region: EngineRegion) -> RegionExtent {
        let (words, stride) = match region {
            EngineRegion::Counters => (ENGINE_COUNTERS.len() as u32, 1),
            EngineRegion::TensorDescriptors => (self.tensors, 1),
            EngineRegion::ScaleDescriptors => (self.scales, 1),
            EngineRegion::ForestDescriptors => (self.forests, 1),
            EngineRegion::WindowDescriptors => (self.windows, WINDOW_WORDS),
            EngineRegion::Weights => {
                (self.weight_tiles * self.array, (self.array * 8).div_ceil(64))
            }
            EngineRegion::Constants => (self.constant_words, self.array / 2),
            EngineRegion::Scales => (self.scale_words, self.requantise_lanes),
            EngineRegion::TreePairs => (self.tree_pairs, 2),
        };
        RegionExtent { words, stride }
    }

    /// Bits of an offset inside a region: enough for the largest one.
    pub fn offset_bits(&self) -> u32 {
        let host_words = |region: &EngineRegion| {
            let extent = self.extent(*region);
            extent.words * extent.stride
        };
        let largest = EngineRegion::ALL.iter().map(host_words).max().unwrap_or(1);
        largest.next_power_of_two().trailing_zeros()
    }

    /// Bits of an address in the engine's host window, which counts words of 64 bits.
    pub fn host_address_bits(&self) -> u32 {
        self.offset_bits() + REGION_BITS
    }

    /// Host address of part `part` (64 bits each) of word `word` of a region.
    pub fn host_address(&self, region: EngineRegion, word: u32, part: u32) -> u32 {
        ((region as u32) << self.offset_bits()) + word * self.extent(region).stride + part
    }
}

impl Default for EngineShape {
    fn default() -> Self {
        Self::default_card()
    }
}

/// Bits of an address that choose the region, above the offset.
pub const REGION_BITS: u32 = 4;

/// How many words a region has and how many host words (64 bits) each takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RegionExtent {
    /// Words of the memory.
    pub words: u32,
    /// Host words that one word of the memory takes, a power of two.
    pub stride: u32,
}

macro_rules! regions {
    ($($(#[doc = $doc:literal])* $name:ident = $number:literal;)*) => {
        /// A memory of the engine, by the top bits of its host address.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum EngineRegion {
            $($(#[doc = $doc])* $name = $number,)*
        }

        impl EngineRegion {
            /// All regions, by number.
            pub const ALL: &[Self] = &[$(Self::$name),*];

            /// Name, for the reference page.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$name => stringify!($name),)* }
            }

            /// Layout, for the reference page.
            pub const fn doc(self) -> &'static str {
                match self { $(Self::$name => concat!($($doc),*),)* }
            }
        }
    };
}

regions! {
    /// Read only: one counter a word, in the order of `ENGINE_COUNTERS`.
    Counters = 0;
    /// Write only: one tensor descriptor a word.
    TensorDescriptors = 1;
    /// Write only: one scale descriptor a word.
    ScaleDescriptors = 2;
    /// Write only: one forest descriptor a word.
    ForestDescriptors = 3;
    /// Write only: word `tile × N + input` holds the weights of one input, output i of the tile in bits 8i+7..8i.
    Weights = 4;
    /// Write only: N values of 32 bits a word, value i in bits 32i+31..32i.
    Constants = 5;
    /// Write only: the scales of `requantise_lanes` lanes a word, one 64-bit part each (`CHANNEL_*` fields).
    Scales = 6;
    /// Write only: two tree nodes a word, in part 0 the one for ≤, in part 1 the one for >; nodes as `TreeNode::to_word`
    /// says, with the pair's address in place of the left child.
    TreePairs = 7;
    /// Write only: four words for each window: what is checked, sizes, steps, the rest.
    WindowDescriptors = 8;
}

/// Host words of a window descriptor.
pub const WINDOW_WORDS: u32 = 4;

macro_rules! counters {
    ($($(#[doc = $doc:literal])* $name:ident = $number:literal;)*) => {
        $($(#[doc = $doc])* pub const $name: usize = $number;)*
        /// Names of the engine's counters by number; 48 bits each, counting up from reset, wrapping.
        pub const ENGINE_COUNTERS: &[&str] = &[$(stringify!($name)),*];
    };
}

counters! {
    /// Cycles in which a wave of activations enters the array.
    ARRAY_WAVES = 0;
    /// Cycles in which a row of weights is loaded into the array.
    WEIGHT_LOADS = 1;
    /// Commands of the vector unit.
    VECTOR_COMMANDS = 2;
    /// Requantisations.
    REQUANTISE_COMMANDS = 3;
    /// Products.
    PRODUCT_COMMANDS = 4;
    /// Tree and forest evaluations.
    TREE_COMMANDS = 5;
    /// Commands refused with a status.
    REFUSED_COMMANDS = 6;
    /// Cycles in which a command that had passed its checks waited for its unit.
    ISSUE_STALLS = 7;
    /// Cycles in which a product is under way: `ARRAY_WAVES` divided by it is the use of the multipliers.
    ARRAY_CYCLES = 8;
    /// Products that joined others of their layer on the array.
    JOINED_PRODUCTS = 9;
    /// Convolutions and poolings.
    WINDOW_COMMANDS = 10;
}

macro_rules! descriptor_fields {
    ($($(#[doc = $doc:literal])* $name:ident = $low:literal, $bits:literal;)*) => {
        $($(#[doc = $doc])* pub const $name: BitField = BitField {
            name: stringify!($name), low: $low, bits: $bits, doc: concat!($($doc),*),
        };)*
        /// All fields of the engine's descriptors, for the reference page.
        pub const ENGINE_FIELDS: &[BitField] = &[$($name),*];
    };
}

descriptor_fields! {
    /// Tensor: 1 if the descriptor is in use.
    TENSOR_VALID = 0, 1;
    /// Tensor: element type.
    TENSOR_ELEMENT = 1, 2;
    /// Tensor: lanes of a row, 1 to 256; of weights: the inputs.
    TENSOR_COLUMNS = 3, 9;
    /// Tensor: rows; of weights: the outputs, 1 to 256; of a bias: 1.
    TENSOR_ROWS = 12, 16;
    /// Tensor: 1 if it stands in `Weights` as tiles.
    TENSOR_TILED = 28, 1;
    /// Tensor: its first tile; tile (m, k) is number m × ceil(inputs / N) + k after it.
    TENSOR_TILE_BASE = 29, 12;
    /// Tensor: 1 if it stands in `Constants` as rows.
    TENSOR_IN_ROWS = 41, 1;
    /// Tensor: first word of row 0; a row takes ceil(columns / N) words.
    TENSOR_ROW_BASE = 42, 16;
    /// Tensor: 1 if it stands in `Weights` as tiles of a convolution: as those of a product, the inputs of each row of the window rounded up to N.
    TENSOR_CONVOLVED = 58, 1;
    /// Tensor of a convolution, in place of the rows: number of its kernel shape.
    TENSOR_KERNEL = 42, 10;

    /// Scale: 1 if the descriptor is in use.
    SCALE_VALID = 0, 1;
    /// Scale: its first word in `Scales`.
    SCALE_BASE = 1, 16;
    /// Scale: number of words less 1, after which the channels repeat.
    SCALE_LAST_WORD = 17, 8;
    /// Scale: zero point, signed.
    SCALE_ZERO_POINT = 32, 32;

    /// Window, word 0: 1 if the descriptor is in use.
    WINDOW_VALID = 0, 1;
    /// Window, word 0: number of its kernel shape (height, width, channels): equal to that of weights that fit.
    WINDOW_KERNEL = 1, 10;
    /// Window, word 0: lanes of the input.
    WINDOW_INPUTS = 11, 9;
    /// Window, word 0: places of the output.
    WINDOW_PLACES = 20, 9;
    /// Window, word 0: the most outputs of a convolution whose result fits a register.
    WINDOW_MOST_OUTPUTS = 29, 9;
    /// Window, word 0: 1 if the result of pooling fits a register.
    WINDOW_POOLS = 38, 1;
    /// Window, word 0: lanes of the result of pooling.
    WINDOW_POOLED = 39, 9;
    /// Window, word 1: columns of the output, less 1.
    WINDOW_OUT_WIDTH = 0, 8;
    /// Window, word 1: rows of the input.
    WINDOW_IN_HEIGHT = 8, 9;
    /// Window, word 1: lanes of a row of the input.
    WINDOW_ROW_LANES = 17, 9;
    /// Window, word 1: channels, less 1.
    WINDOW_CHANNELS = 26, 8;
    /// Window, word 1: rows of the window, less 1.
    WINDOW_HEIGHT = 34, 8;
    /// Window, word 1: columns of the window, less 1.
    WINDOW_WIDTH = 42, 8;
    /// Window, word 1: tiles that a row of the window takes, less 1.
    WINDOW_SEGMENTS = 50, 14;
    /// Window, word 2: rows from one place to the next.
    WINDOW_STRIDE_ROWS = 0, 9;
    /// Window, word 2: lanes of these rows, modulo 256.
    WINDOW_STRIDE_ROW_LANES = 9, 8;
    /// Window, word 2: lanes from one place to the next in a row.
    WINDOW_STRIDE_LANES = 17, 17;
    /// Window, word 2: rows of padding above the input.
    WINDOW_PAD_ROWS = 34, 8;
    /// Window, word 2: lanes of these rows, modulo 256.
    WINDOW_PAD_ROW_LANES = 42, 8;
    /// Window, word 3: lanes of padding left of the input.
    WINDOW_PAD_LANES = 0, 16;
    /// Window, word 3: places of the output, less 1.
    WINDOW_LAST_PLACE = 16, 8;

    /// Channel of a scale: multiplier.
    CHANNEL_MULTIPLIER = 0, 31;
    /// Channel of a scale: shift, 1 to 62.
    CHANNEL_SHIFT = 31, 6;

    /// Forest: 1 if the descriptor is in use.
    FOREST_VALID = 0, 1;
    /// Forest: 0 sum, 1 vote.
    FOREST_VOTE = 1, 1;
    /// Forest: lanes that the features must have.
    FOREST_FEATURES = 2, 9;
    /// Forest: number of trees less 1.
    FOREST_LAST_TREE = 11, 16;
    /// Forest: its first pair in `TreePairs`; the roots stand two a pair from there.
    FOREST_BASE = 32, 16;

    /// Tree node: threshold of a branch or value of a leaf.
    NODE_VALUE = 0, 32;
    /// Tree node: feature that a branch compares.
    NODE_FEATURE = 32, 8;
    /// Tree node: 1 for a leaf.
    NODE_LEAF = 40, 1;
    /// Tree node: the pair that holds the children of a branch.
    NODE_CHILDREN = 48, 16;
}

/// Opcodes that the engine executes. `RMT_VECTOR_LD_CTXT` and `RMT_VECTOR_ST_CTXT` are not
/// among them: the context unit executes these and moves lanes to and from the engine.
pub const OPCODES: &[u8] = &[
    0xa0, 0xa1, 0xa4, 0xa5, 0xa6, 0xa7, 0xa8, 0xa9, 0xaa, 0xab, 0xac, 0xad, 0xae, 0xaf, 0xb0, 0xc0,
    0xc1, 0xc2, 0xc3, 0xc4, 0xc5,
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_presets_can_be_built() {
        for shape in [EngineShape::tiny(), EngineShape::small(), EngineShape::default_card()] {
            assert_eq!(shape.check(), Ok(()));
        }
    }

    #[test]
    fn a_broken_rule_is_named() {
        let error = |shape: EngineShape| shape.check().unwrap_err().to_string();
        assert_eq!(
            error(EngineShape { array: 12, ..EngineShape::tiny() }),
            "engine parameter `array` is 12; it must be a power of two from 4 to 32"
        );
        assert_eq!(
            error(EngineShape { multiplier_products: 2, hop_columns: 1, ..EngineShape::tiny() }),
            "engine parameter `hop_columns` is 1; it must be a power of two from 2 to 4"
        );
        assert_eq!(
            error(EngineShape { array_clock_ratio: 4, hop_columns: 2, ..EngineShape::tiny() }),
            "engine parameter `hop_columns` is 2; it must be a power of two from 4 to 4"
        );
        assert_eq!(
            error(EngineShape {
                multiplier_products: 2,
                array_clock_ratio: 2,
                ..EngineShape::tiny()
            }),
            "engine parameter `array_clock_ratio` is 2; it must be 1 where `multiplier_products` is 2"
        );
        assert_eq!(
            error(EngineShape { tree_pairs: 0, ..EngineShape::tiny() }),
            "engine parameter `tree_pairs` is 0; it must be from 1 to 65536"
        );
    }

    #[test]
    fn the_opcodes_are_vector_and_model_instructions() {
        use crate::instruction::{Class, Instruction};
        for &opcode in OPCODES {
            let class = Instruction::info_of_opcode(opcode).map(|info| info.class);
            assert!(matches!(class, Some(Class::Vector | Class::Model)), "{opcode:#x}");
        }
    }

    #[test]
    fn regions_do_not_overlap_and_strides_are_powers_of_two() {
        for shape in [EngineShape::tiny(), EngineShape::small(), EngineShape::default_card()] {
            for &region in EngineRegion::ALL {
                let extent = shape.extent(region);
                assert!(extent.stride.is_power_of_two(), "{region:?}");
                assert!(extent.words * extent.stride <= 1 << shape.offset_bits(), "{region:?}");
                let last = shape.host_address(region, extent.words - 1, extent.stride - 1);
                assert_eq!(last >> shape.offset_bits(), region as u32);
                assert!(last >> shape.host_address_bits() == 0);
            }
        }
    }
}
