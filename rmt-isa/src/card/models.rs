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
use crate::program::{Forest, ForestMode, Program, Scale, Tensor, TreeNode};

mod activations;
mod uses;
mod windows;

use uses::{TensorUse, Uses};

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
    image.check_descriptors("windows", program.windows.len(), shape.windows)?;
    for number in 0..shape.tensors {
        let descriptor = match program.tensors.get(number as usize) {
            Some(tensor) => image.tensor(program, tensor, uses.tensors[number as usize])?,
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
    for number in 0..shape.windows {
        let descriptor = match program.windows.get(number as usize) {
            Some(window) if uses.windows[number as usize] => {
                windows::descriptor(program, window, shape)?
            }
            _ => [0; WINDOW_WORDS as usize],
        };
        for (part, word) in descriptor.into_iter().enumerate() {
            image.write(EngineRegion::WindowDescriptors, number, part as u32, word);
        }
    }
    Ok(image.writes)
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

    fn tensor(
        &mut self,
        program: &Program,
        tensor: &Tensor,
        uses: TensorUse,
    ) -> Result<u64, ModelLowerError> {
        if uses.convolved {
            return self.kernel(program, tensor);
        }
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
            let base = self.tiles(tensor, rows, 1, columns)?;
            descriptor |= TENSOR_TILED.insert(1) | TENSOR_TILE_BASE.insert(base.into());
        }
        if uses.rows {
            let base = self.rows(tensor, rows, columns)?;
            descriptor |= TENSOR_IN_ROWS.insert(1) | TENSOR_ROW_BASE.insert(base.into());
        }
        Ok(descriptor)
    }

    /// Weights of a convolution: outputs × height × width × channels, no row of whose windows
    /// shares a tile with another.
    fn kernel(&mut self, program: &Program, tensor: &Tensor) -> Result<u64, ModelLowerError> {
        let &[outputs, height, width, channels] = tensor.shape.as_slice() else {
            return Err(self.bad_tensor(tensor, "a convolution needs four dimensions"));
        };
        let Some(kernel) = windows::kernel_number(program, [height, width, channels]) else {
            return Err(self.bad_tensor(tensor, "no window of the program is as large"));
        };
        let (rows, inputs) = (height as usize, width as usize * channels as usize);
        let outputs = outputs as usize;
        if outputs == 0 || outputs > self.shape.vector_lanes as usize || rows * inputs == 0 {
            let reason = format!("{outputs} outputs exceed {} lanes", self.shape.vector_lanes);
            return Err(self.bad_tensor(tensor, &reason));
        }
        if tensor.values.len() != outputs * rows * inputs {
            return Err(self.bad_tensor(tensor, "the shape has another number of values"));
        }
        let base = self.tiles(tensor, outputs, rows, inputs)?;
        Ok(TENSOR_VALID.insert(1)
            | TENSOR_ELEMENT.insert(tensor.element as u64)
            | TENSOR_ROWS.insert(outputs as u64)
            | TENSOR_CONVOLVED.insert(1)
            | TENSOR_TILE_BASE.insert(base.into())
            | TENSOR_KERNEL.insert(kernel.into()))
    }

    fn bad_tensor(&self, tensor: &Tensor, reason: &str) -> ModelLowerError {
        ModelLowerError::Tensor { tensor: tensor.name.clone(), reason: reason.to_owned() }
    }

    /// Weights as tiles, zero where a tile reaches past its part; gives the first tile. Each output
    /// has `parts` parts of `inputs` weights, which begin in a new tile.
    fn tiles(
        &mut self,
        tensor: &Tensor,
        outputs: usize,
        parts: usize,
        inputs: usize,
    ) -> Result<u32, ModelLowerError> {
        let n = self.shape.array as usize;
        let tiles_of_part = inputs.div_ceil(n);
        let tiles_across = parts * tiles_of_part;
        let words = outputs.div_ceil(n) * tiles_across * n;
        let first =
            self.allocate(format!("tensor `{}`", tensor.name), EngineRegion::Weights, words)?;
        let weight = |output: usize, part: usize, input: usize| {
            let inside = output < outputs && input < inputs;
            if inside { tensor.values[(output * parts + part) * inputs + input] as u8 } else { 0 }
        };
        for word in 0..words {
            let (tile, row) = (word / n, word % n);
            let (first_output, across) = (tile / tiles_across * n, tile % tiles_across);
            let (part, input) = (across / tiles_of_part, across % tiles_of_part * n + row);
            let values: Vec<u64> =
                (0..n).map(|column| weight(first_output + column, part, input).into()).collect();
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
