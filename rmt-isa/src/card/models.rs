//! Puts the models of a program into the memories of a card's ML engine.
//!
//! Weights are cut into N × N tiles for the array, biases and rows of tensors into words of N
//! values, scales are repeated until their channels meet the lanes again, and the nodes of
//! forests are placed in pairs of siblings, so that one read brings both children.
//! The result is a list of host writes; see [`super::engine`] for the memories.
//!
//! Only what an instruction uses is stored, in the form in which it is used.

use super::HostWrite;
use super::engine::*;
use super::models_error::ModelLowerError;
use crate::instruction::{Class, Instruction};
use crate::operand::Bias;
use crate::program::{Forest, ForestMode, Program, Scale, Tensor, TreeNode};

/// The host writes that install the models of a program: all descriptors of the engine (those
/// that are not used are cleared) and the contents that they point at. Addresses count from the base of the
/// engine's window.
///
/// The program must be verified.
///
/// # Errors
/// [`ModelLowerError`] when the engine is too small or lacks an instruction.
pub fn lower_models(
    program: &Program,
    shape: &EngineShape,
) -> Result<Vec<HostWrite>, ModelLowerError> {
    let mut image = Image { shape, writes: Vec::new(), used: [0; EngineRegion::ALL.len()] };
    let uses = Uses::of(program, shape)?;
    image.check_descriptors("tensors", program.tensors.len(), shape.tensors)?;
    image.check_descriptors("scales", program.scales.len(), shape.scales)?;
    image.check_descriptors("forests", program.forests.len(), shape.forests)?;
    for number in 0..shape.tensors {
        let descriptor = match program.tensors.get(number as usize) {
            Some(tensor) => image.tensor(tensor, uses.tensors[number as usize])?,
            None => 0,
        };
        image.write(EngineRegion::TensorDescriptors, number, 0, descriptor);
    }
    for number in 0..shape.scales {
        let descriptor = match program.scales.get(number as usize) {
            Some(scale) if uses.scales[number as usize] => image.scale(scale)?,
            _ => 0,
        };
        image.write(EngineRegion::ScaleDescriptors, number, 0, descriptor);
    }
    for number in 0..shape.forests {
        let descriptor = match program.forests.get(number as usize) {
            Some(forest) if uses.forests[number as usize] => image.forest(forest)?,
            _ => 0,
        };
        image.write(EngineRegion::ForestDescriptors, number, 0, descriptor);
    }
    Ok(image.writes)
}

/// In which forms a tensor is needed.
#[derive(Clone, Copy, Default)]
struct TensorUse {
    /// As weights of a product.
    tiles: bool,
    /// As a bias, or as rows that are loaded.
    rows: bool,
}

/// What the instructions of a program use.
struct Uses {
    tensors: Vec<TensorUse>,
    scales: Vec<bool>,
    forests: Vec<bool>,
}

impl Uses {
    fn of(program: &Program, shape: &EngineShape) -> Result<Self, ModelLowerError> {
        let mut uses = Self {
            tensors: vec![TensorUse::default(); program.tensors.len()],
            scales: vec![false; program.scales.len()],
            forests: vec![false; program.forests.len()],
        };
        for action in &program.actions {
            for (index, &instruction) in action.code.iter().enumerate() {
                uses.add(instruction).map_err(|object| ModelLowerError::NoSuchObject {
                    action: action.name.clone(),
                    instruction: index,
                    object,
                })?;
                let unsupported = |what: String, remedy| ModelLowerError::Unsupported {
                    action: action.name.clone(),
                    instruction: index,
                    what,
                    remedy,
                };
                if let Some(mnemonic) = missing_unit(instruction) {
                    let remedy = "run this program in software".to_owned();
                    return Err(unsupported(
                        format!("`{mnemonic}` has no unit on this card"),
                        remedy,
                    ));
                }
                let lanes = lanes_of(program, instruction);
                if lanes > shape.vector_lanes as usize {
                    let what = format!(
                        "`{instruction}` makes {lanes} lanes, a vector register has {}",
                        shape.vector_lanes
                    );
                    let needed = lanes.next_power_of_two();
                    return Err(unsupported(what, format!("raise `vector_lanes` to {needed}")));
                }
            }
        }
        Ok(uses)
    }

    fn add(&mut self, instruction: Instruction) -> Result<(), String> {
        let missing = |what: &str, number: usize| format!("{what} {number}");
        let mut tensor = |number: usize, change: fn(&mut TensorUse)| {
            self.tensors.get_mut(number).map(change).ok_or_else(|| missing("tensor", number))
        };
        match instruction {
            Instruction::VectorLoadTensor { tensor: number, .. } => {
                tensor(number.index(), |u| u.rows = true)
            }
            Instruction::MatMul { weights, bias, .. } => {
                tensor(weights.index(), |u| u.tiles = true)?;
                match bias {
                    Bias(Some(bias)) => tensor(bias.index(), |u| u.rows = true),
                    Bias(None) => Ok(()),
                }
            }
            Instruction::Requantise { scale, .. } => {
                let used = self.scales.get_mut(scale.index());
                used.map(|used| *used = true).ok_or_else(|| missing("scale", scale.index()))
            }
            Instruction::ForestEval { forest, .. } => {
                let used = self.forests.get_mut(forest.index());
                used.map(|used| *used = true).ok_or_else(|| missing("forest", forest.index()))
            }
            _ => Ok(()),
        }
    }
}

/// The mnemonic of an instruction that only the engine could execute, and does not.
fn missing_unit(instruction: Instruction) -> Option<&'static str> {
    let info = instruction.info();
    let by_context_unit = matches!(
        instruction,
        Instruction::VectorLoadContext { .. } | Instruction::VectorStoreContext { .. }
    );
    let mine = matches!(info.class, Class::Vector | Class::Model) && !by_context_unit;
    (mine && !OPCODES.contains(&info.opcode)).then_some(info.mnemonic)
}

/// Lanes of the vector that an instruction makes from something other than a vector.
fn lanes_of(program: &Program, instruction: Instruction) -> usize {
    let tensor = |number: usize| program.tensors.get(number);
    let dimension = |number: usize, index: usize| {
        tensor(number).and_then(|tensor| tensor.shape.get(index)).map_or(0, |&n| n as usize)
    };
    match instruction {
        Instruction::VectorFill { lanes, .. }
        | Instruction::VectorLoadEvent { lanes, .. }
        | Instruction::VectorLoadContext { lanes, .. } => lanes.count(),
        Instruction::VectorLoadTensor { tensor, .. } => dimension(tensor.index(), 1),
        Instruction::MatMul { weights, .. } => {
            dimension(weights.index(), 0).max(dimension(weights.index(), 1))
        }
        _ => 0,
    }
}

/// The memories while they are being filled.
struct Image<'a> {
    shape: &'a EngineShape,
    writes: Vec<HostWrite>,
    /// Words taken in each region.
    used: [u32; EngineRegion::ALL.len()],
}

impl Image<'_> {
    fn write(&mut self, region: EngineRegion, word: u32, part: u32, value: u64) {
        let address = self.shape.host_address(region, word, part);
        self.writes.push(HostWrite { address, value });
    }

    fn check_descriptors(
        &self,
        parameter: &'static str,
        needed: usize,
        available: u32,
    ) -> Result<(), ModelLowerError> {
        if needed > available as usize {
            return Err(ModelLowerError::Descriptors { parameter, needed, available });
        }
        Ok(())
    }

    /// Takes words of a region; gives the first one.
    fn allocate(
        &mut self,
        object: String,
        region: EngineRegion,
        words: usize,
    ) -> Result<u32, ModelLowerError> {
        let available = self.shape.extent(region).words;
        let first = self.used[region as usize];
        let end = first as usize + words;
        if end > available as usize {
            let parameter = match region {
                EngineRegion::Weights => "weight_tiles",
                EngineRegion::Constants => "constant_words",
                EngineRegion::Scales => "scale_words",
                _ => "tree_pairs",
            };
            let unit = if region == EngineRegion::Weights { self.shape.array } else { 1 };
            let (needed, available) = (end.div_ceil(unit as usize), available / unit);
            return Err(ModelLowerError::Memory { object, parameter, needed, available });
        }
        self.used[region as usize] = end as u32;
        Ok(first)
    }

    fn tensor(&mut self, tensor: &Tensor, uses: TensorUse) -> Result<u64, ModelLowerError> {
        if !uses.tiles && !uses.rows {
            return Ok(0);
        }
        // Weights and tables have rows; a bias is one row.
        let (rows, columns) = match *tensor.shape.as_slice() {
            [columns] => (1, columns as usize),
            [rows, columns] => (rows as usize, columns as usize),
            _ => return Err(self.bad_tensor(tensor, "it needs one or two dimensions here")),
        };
        let most_rows = if uses.tiles { self.shape.vector_lanes as usize } else { 65535 };
        if rows > most_rows || columns > self.shape.vector_lanes as usize || columns == 0 {
            let reason = format!(
                "{rows} × {columns} exceeds {most_rows} rows of {} lanes",
                self.shape.vector_lanes
            );
            return Err(self.bad_tensor(tensor, &reason));
        }
        if tensor.values.len() != rows * columns {
            return Err(self.bad_tensor(tensor, "the shape has another number of values"));
        }
        let mut descriptor = TENSOR_VALID.insert(1)
            | TENSOR_ELEMENT.insert(tensor.element as u64)
            | TENSOR_COLUMNS.insert(columns as u64)
            | TENSOR_ROWS.insert(rows as u64);
        if uses.tiles {
            let base = self.tiles(tensor, rows, columns)?;
            descriptor |= TENSOR_TILED.insert(1) | TENSOR_TILE_BASE.insert(base.into());
        }
        if uses.rows {
            let base = self.rows(tensor, rows, columns)?;
            descriptor |= TENSOR_IN_ROWS.insert(1) | TENSOR_ROW_BASE.insert(base.into());
        }
        Ok(descriptor)
    }

    fn bad_tensor(&self, tensor: &Tensor, reason: &str) -> ModelLowerError {
        ModelLowerError::Tensor { tensor: tensor.name.clone(), reason: reason.to_owned() }
    }

    /// Weights as tiles, zero where a tile reaches past the tensor; gives the first tile.
    fn tiles(
        &mut self,
        tensor: &Tensor,
        outputs: usize,
        inputs: usize,
    ) -> Result<u32, ModelLowerError> {
        let n = self.shape.array as usize;
        let (tiles_down, tiles_across) = (outputs.div_ceil(n), inputs.div_ceil(n));
        let words = tiles_down * tiles_across * n;
        let first =
            self.allocate(format!("tensor `{}`", tensor.name), EngineRegion::Weights, words)?;
        let weight = |output: usize, input: usize| {
            let inside = output < outputs && input < inputs;
            if inside { tensor.values[output * inputs + input] as u8 } else { 0 }
        };
        for word in 0..words {
            let (tile, row) = (word / n, word % n);
            let (first_output, input) = (tile / tiles_across * n, tile % tiles_across * n + row);
            let values: Vec<u64> =
                (0..n).map(|column| weight(first_output + column, input).into()).collect();
            self.packed(EngineRegion::Weights, first + word as u32, &values, 8);
        }
        Ok(first / self.shape.array)
    }

    /// Rows of 32-bit values, each beginning in a new word; gives the first word.
    fn rows(
        &mut self,
        tensor: &Tensor,
        rows: usize,
        columns: usize,
    ) -> Result<u32, ModelLowerError> {
        let n = self.shape.array as usize;
        let words_per_row = columns.div_ceil(n);
        let object = format!("tensor `{}`", tensor.name);
        let first = self.allocate(object, EngineRegion::Constants, rows * words_per_row)?;
        for (row, values) in tensor.values.chunks(columns).enumerate() {
            for word in 0..words_per_row {
                let value = |lane| values.get(word * n + lane).map_or(0, |&v| u64::from(v as u32));
                let values: Vec<u64> = (0..n).map(value).collect();
                let place = first + (row * words_per_row + word) as u32;
                self.packed(EngineRegion::Constants, place, &values, 32);
            }
        }
        Ok(first)
    }

    /// Writes values of `bits` bits side by side, the first one lowest.
    fn packed(&mut self, region: EngineRegion, word: u32, values: &[u64], bits: u32) {
        let per_part = (64 / bits) as usize;
        for (part, values) in values.chunks(per_part).enumerate() {
            let joined = values
                .iter()
                .enumerate()
                .fold(0, |all, (i, value)| all | value << (bits * i as u32));
            self.write(region, word, part as u32, joined);
        }
    }

    /// Channels in words of as many lanes as the requantiser takes, repeated until a word
    /// begins with channel 0 again, or until the longest vector has its scales.
    fn scale(&mut self, scale: &Scale) -> Result<u64, ModelLowerError> {
        let lanes = self.shape.requantise_lanes as usize;
        let channels = scale.channels.len();
        let object = format!("scale `{}`", scale.name);
        if channels == 0 {
            return Err(ModelLowerError::EmptyScale { scale: scale.name.clone() });
        }
        let whole_vector = self.shape.vector_lanes as usize / lanes;
        let period = (1..whole_vector).find(|words| (words * lanes).is_multiple_of(channels));
        let words = period.unwrap_or(whole_vector);
        let base = self.allocate(object, EngineRegion::Scales, words)?;
        for lane in 0..words * lanes {
            let channel = scale.channels[lane % channels];
            let value = CHANNEL_MULTIPLIER.insert(channel.multiplier as u64)
                | CHANNEL_SHIFT.insert(channel.shift.into());
            self.write(
                EngineRegion::Scales,
                base + (lane / lanes) as u32,
                (lane % lanes) as u32,
                value,
            );
        }
        Ok(SCALE_VALID.insert(1)
            | SCALE_BASE.insert(base.into())
            | SCALE_LAST_WORD.insert(words as u64 - 1)
            | SCALE_ZERO_POINT.insert(scale.zero_point as u64))
    }

    /// Nodes in pairs: first the roots, two a pair, then the children of each branch.
    fn forest(&mut self, forest: &Forest) -> Result<u64, ModelLowerError> {
        let bad = |reason: &str| ModelLowerError::Forest {
            forest: forest.name.clone(),
            reason: reason.to_owned(),
        };
        if forest.roots.is_empty() {
            return Err(bad("it has no tree"));
        }
        let node = |number: usize| {
            forest
                .nodes
                .get(number)
                .copied()
                .ok_or_else(|| bad("a branch leads to a node that does not exist"))
        };
        let roots: Vec<TreeNode> =
            forest.roots.iter().map(|&root| node(root.into())).collect::<Result<_, _>>()?;
        let mut pairs: Vec<[TreeNode; 2]> =
            roots.chunks(2).map(|pair| [pair[0], *pair.last().unwrap_or(&pair[0])]).collect();
        // The pair of a branch's children, by its place; pairs grow as branches are met.
        let mut children = Vec::new();
        let mut place = 0;
        while place < pairs.len() {
            for (side, &current) in pairs[place].clone().iter().enumerate() {
                // The second half of a last odd pair of roots repeats the first: no walk gets there.
                let repeated = roots.len() % 2 == 1 && place * 2 + side == roots.len();
                if let TreeNode::Branch { left, .. } = current
                    && !repeated
                {
                    if pairs.len() > forest.nodes.len() {
                        return Err(bad("a node is reached twice"));
                    }
                    children.push(((place, side), pairs.len() as u32));
                    pairs.push([node(left.into())?, node(usize::from(left) + 1)?]);
                }
            }
            place += 1;
        }
        let object = format!("forest `{}`", forest.name);
        let base = self.allocate(object, EngineRegion::TreePairs, pairs.len())?;
        let mut children = children.into_iter().peekable();
        for (place, pair) in pairs.iter().enumerate() {
            for (side, node) in pair.iter().enumerate() {
                let target = children.next_if(|&(at, _)| at == (place, side));
                let target = base + target.map_or(0, |(_, pair)| pair);
                let word = match node {
                    TreeNode::Leaf { .. } => node.to_word(),
                    TreeNode::Branch { feature, threshold, .. } => {
                        NODE_VALUE.insert(*threshold as u64)
                            | NODE_FEATURE.insert((*feature).into())
                            | NODE_CHILDREN.insert(target.into())
                    }
                };
                self.write(EngineRegion::TreePairs, base + place as u32, side as u32, word);
            }
        }
        Ok(FOREST_VALID.insert(1)
            | FOREST_VOTE.insert((forest.mode == ForestMode::Vote).into())
            | FOREST_FEATURES.insert(forest.features.into())
            | FOREST_LAST_TREE.insert(forest.roots.len() as u64 - 1)
            | FOREST_BASE.insert(base.into()))
    }
}

#[cfg(test)]
mod tests;
