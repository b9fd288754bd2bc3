//! Model files: JSON with tensors, scales, windows and forests, as training writes them.
//!
//! `docs/language.md` describes the format. The names are those of [`rmt_isa::program`].

use std::collections::HashSet;

use rmt_isa::arithmetic::MAX_REQUANTISE_SHIFT;
use rmt_isa::limits::{MAX_DIMENSIONS, MAX_FOREST_NODES, VECTOR_LANES};
use rmt_isa::operand::Element;
use rmt_isa::program::{ChannelScale, Forest, ForestMode, Scale, Tensor, TreeNode, Window};
use serde::Deserialize;

/// Word at the head of every model file.
const FORMAT: &str = "rmt-model";
/// Version of the format.
const VERSION: u32 = 1;

/// The objects of one model; `model` is the index in [`rmt_isa::Program::models`].
#[derive(Debug, Default, PartialEq)]
pub(crate) struct ModelObjects {
    pub(crate) tensors: Vec<Tensor>,
    pub(crate) scales: Vec<Scale>,
    pub(crate) windows: Vec<Window>,
    pub(crate) forests: Vec<Forest>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ModelFile {
    format: String,
    version: u32,
    // Where the model comes from and how good it is: for people.
    #[serde(default, rename = "notes")]
    _notes: serde::de::IgnoredAny,
    #[serde(default)]
    tensors: Vec<TensorFile>,
    #[serde(default)]
    scales: Vec<ScaleFile>,
    #[serde(default)]
    windows: Vec<Window>,
    #[serde(default)]
    forests: Vec<ForestFile>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TensorFile {
    name: String,
    element: ElementName,
    shape: Vec<u32>,
    values: Vec<i32>,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum ElementName {
    I8,
    I16,
    I32,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ScaleFile {
    name: String,
    channels: Vec<ChannelScale>,
    #[serde(default)]
    zero_point: i32,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ForestFile {
    name: String,
    mode: ModeName,
    features: u16,
    roots: Vec<u16>,
    nodes: Vec<NodeFile>,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum ModeName {
    Sum,
    Vote,
}

#[derive(Deserialize)]
#[serde(
    untagged,
    deny_unknown_fields,
    expecting = "a branch with `feature`, `threshold`, `left` or a leaf with `value`"
)]
enum NodeFile {
    Branch { feature: u8, threshold: i32, left: u16 },
    Leaf { value: i32 },
}

/// Reads a model file.
///
/// # Errors
/// One line that says which object is wrong and why.
pub(crate) fn parse(text: &str, model: u16) -> Result<ModelObjects, String> {
    let file: ModelFile = serde_json::from_str(text).map_err(|error| error.to_string())?;
    if file.format != FORMAT || file.version != VERSION {
        return Err(format!(
            "`format` must be \"{FORMAT}\" and `version` {VERSION}, found \"{}\" and {}",
            file.format, file.version
        ));
    }
    let mut names = HashSet::new();
    let mut objects = ModelObjects::default();
    for tensor in file.tensors {
        check_name(&tensor.name, &mut names)?;
        objects.tensors.push(read_tensor(tensor, model)?);
    }
    for scale in file.scales {
        check_name(&scale.name, &mut names)?;
        objects.scales.push(read_scale(scale, model)?);
    }
    for window in file.windows {
        check_name(&window.name, &mut names)?;
        check_window(&window)?;
        objects.windows.push(window);
    }
    for forest in file.forests {
        check_name(&forest.name, &mut names)?;
        objects.forests.push(read_forest(forest, model)?);
    }
    Ok(objects)
}

fn check_name(name: &str, names: &mut HashSet<String>) -> Result<(), String> {
    let mut characters = name.chars();
    let begins = characters.next().is_some_and(|c| c.is_ascii_alphabetic() || c == '_');
    if !begins || !characters.all(|c| c.is_ascii_alphanumeric() || c == '_') {
        return Err(format!("\"{name}\" is no name: it needs letters, digits and `_`"));
    }
    if !names.insert(name.to_owned()) {
        return Err(format!("there are two objects of the name `{name}`"));
    }
    Ok(())
}

fn read_tensor(file: TensorFile, model: u16) -> Result<Tensor, String> {
    let name = file.name;
    let element = match file.element {
        ElementName::I8 => Element::I8,
        ElementName::I16 => Element::I16,
        ElementName::I32 => Element::I32,
    };
    if file.shape.is_empty() || file.shape.len() > MAX_DIMENSIONS || file.shape.contains(&0) {
        return Err(format!(
            "tensor `{name}`: the shape {:?} must have 1 to {MAX_DIMENSIONS} dimensions, none of them 0",
            file.shape
        ));
    }
    let needed = file.shape.iter().try_fold(1_u64, |n, &d| n.checked_mul(d.into()));
    if needed != Some(file.values.len() as u64) {
        return Err(format!(
            "tensor `{name}`: the shape {:?} needs {} values, found {}",
            file.shape,
            needed.map_or("too many".to_owned(), |n| n.to_string()),
            file.values.len()
        ));
    }
    let range = element.min()..=element.max();
    if let Some(index) = file.values.iter().position(|value| !range.contains(value)) {
        return Err(format!(
            "tensor `{name}`: value {index} is {}, outside {element}",
            file.values[index]
        ));
    }
    Ok(Tensor { name, model, element, shape: file.shape, values: file.values })
}

fn read_scale(file: ScaleFile, model: u16) -> Result<Scale, String> {
    let name = file.name;
    if file.channels.is_empty() || file.channels.len() > VECTOR_LANES {
        return Err(format!("scale `{name}` needs 1 to {VECTOR_LANES} channels"));
    }
    for (index, channel) in file.channels.iter().enumerate() {
        if channel.multiplier < 0 || !(1..=MAX_REQUANTISE_SHIFT).contains(&channel.shift) {
            return Err(format!(
                "scale `{name}`, channel {index}: the multiplier {} must be at least 0 and the shift {} from 1 to {MAX_REQUANTISE_SHIFT}",
                channel.multiplier, channel.shift
            ));
        }
    }
    Ok(Scale { name, model, channels: file.channels, zero_point: file.zero_point })
}

fn check_window(window: &Window) -> Result<(), String> {
    let sizes = [
        window.in_height,
        window.in_width,
        window.channels,
        window.height,
        window.width,
        window.stride_y,
        window.stride_x,
        window.out_height,
        window.out_width,
    ];
    if sizes.contains(&0) {
        return Err(format!("window `{}`: only `pad_top` and `pad_left` may be 0", window.name));
    }
    Ok(())
}

fn read_forest(file: ForestFile, model: u16) -> Result<Forest, String> {
    let name = file.name;
    let count = file.nodes.len();
    let error = |what: String| Err(format!("forest `{name}`: {what}"));
    if count == 0 || count > MAX_FOREST_NODES || file.roots.is_empty() {
        return error(format!("it needs a root and 1 to {MAX_FOREST_NODES} nodes"));
    }
    if file.features == 0 || usize::from(file.features) > VECTOR_LANES {
        return error(format!("`features` must be 1 to {VECTOR_LANES}"));
    }
    if let Some(root) = file.roots.iter().find(|&&root| usize::from(root) >= count) {
        return error(format!("root {root} is not among the {count} nodes"));
    }
    let mut nodes = Vec::with_capacity(count);
    for (index, node) in file.nodes.into_iter().enumerate() {
        nodes.push(match node {
            NodeFile::Branch { feature, .. } if u16::from(feature) >= file.features => {
                return error(format!("node {index} reads feature {feature} of {}", file.features));
            }
            NodeFile::Branch { left, .. }
                if usize::from(left) <= index || usize::from(left) + 1 >= count =>
            {
                return error(format!(
                    "node {index} has its children at {left}: they must stand behind it, side by side, below {count}"
                ));
            }
            NodeFile::Leaf { value }
                if matches!(file.mode, ModeName::Vote) && !(0..=255).contains(&value) =>
            {
                return error(format!("node {index} votes {value}: votes are 0 to 255"));
            }
            NodeFile::Branch { feature, threshold, left } => {
                TreeNode::Branch { feature, threshold, left }
            }
            NodeFile::Leaf { value } => TreeNode::Leaf { value },
        });
    }
    let mode = match file.mode {
        ModeName::Sum => ForestMode::Sum,
        ModeName::Vote => ForestMode::Vote,
    };
    Ok(Forest { name, model, mode, features: file.features, roots: file.roots, nodes })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(body: &str) -> Result<ModelObjects, String> {
        parse(&format!(r#"{{ "format": "rmt-model", "version": 1, {body} }}"#), 3)
    }

    #[test]
    fn a_model_is_read_as_written() {
        let objects = with(
            r#""notes": { "any": [1, 2] },
            "tensors": [{ "name": "w", "element": "i8", "shape": [2, 2], "values": [1, -2, 3, -128] }],
            "scales": [{ "name": "s", "channels": [{ "multiplier": 5, "shift": 9 }] }],
            "forests": [{ "name": "f", "mode": "vote", "features": 2, "roots": [0],
                "nodes": [{ "feature": 1, "threshold": -4, "left": 1 }, { "value": 0 }, { "value": 7 }] }]"#,
        )
        .unwrap();
        assert_eq!(objects.tensors[0].values, [1, -2, 3, -128]);
        assert_eq!(objects.tensors[0].model, 3);
        assert_eq!(objects.scales[0].channels[0].shift, 9);
        let branch = TreeNode::Branch { feature: 1, threshold: -4, left: 1 };
        assert_eq!(objects.forests[0].nodes[0], branch);
    }

    #[test]
    fn every_broken_object_is_named_with_its_reason() {
        let tensor = |rest: &str| with(&format!(r#""tensors": [{{ "name": "w", {rest} }}]"#));
        let forest = |nodes: &str| {
            with(&format!(
                r#""forests": [{{ "name": "f", "mode": "vote", "features": 2, "roots": [0], "nodes": [{nodes}] }}]"#
            ))
        };
        let cases = [
            (tensor(r#""element": "i8", "shape": [2], "values": [1]"#), "needs 2 values, found 1"),
            (tensor(r#""element": "i8", "shape": [1], "values": [128]"#), "outside i8"),
            (tensor(r#""element": "u8", "shape": [1], "values": [1]"#), "unknown variant"),
            (tensor(r#""element": "i8", "shape": [0], "values": []"#), "none of them 0"),
            (forest(r#"{ "feature": 2, "threshold": 0, "left": 1 }"#), "reads feature 2 of 2"),
            (forest(r#"{ "feature": 1, "threshold": 0, "left": 0 }"#), "behind it"),
            (forest(r#"{ "value": 256 }"#), "votes are 0 to 255"),
            (forest(r#"{ "values": 256 }"#), "a branch with"),
            (
                with(
                    r#""scales": [{ "name": "s", "channels": [{ "multiplier": 1, "shift": 63 }] }]"#,
                ),
                "shift 63",
            ),
            (with(r#""scales": [{ "name": "1s", "channels": [] }]"#), "is no name"),
            (with(r#""tensor": []"#), "unknown field"),
            (parse(r#"{ "format": "onnx", "version": 1 }"#, 0), "\"onnx\""),
        ];
        for (result, reason) in cases {
            let error = result.expect_err(reason);
            assert!(error.contains(reason), "{error} does not say: {reason}");
        }
    }
}
