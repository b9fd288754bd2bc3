//! Writing model files: the JSON that a `.rmt` program names, read by `rmt-lang`.
//!
//! The layout (format `rmt-model`, version 1) has lists of tensors, scales, windows and forests with the
//! field names of [`rmt_isa::program`], and free notes for people. The text is written here rather
//! than by a pretty-printer, so that it can be read and compared: one tensor row or tree node a
//! line, always in the same order.

use std::fmt::Write as _;
use std::path::Path;

use rmt_isa::program::{Forest, ForestMode, Scale, Tensor, TreeNode, Window};

use crate::error::{LearnError, Result};

/// The objects of one model, and what people should know about it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ModelFile {
    /// Headed notes, in order: origin, meaning of inputs and outputs, the command that made the
    /// file.
    pub notes: Vec<(String, String)>,
    /// Constant arrays.
    pub tensors: Vec<Tensor>,
    /// Requantisation scales.
    pub scales: Vec<Scale>,
    /// Geometries of convolutions and pooling.
    pub windows: Vec<Window>,
    /// Decision trees and forests.
    pub forests: Vec<Forest>,
}

impl ModelFile {
    /// The file's text: equal objects give equal bytes.
    pub fn to_json(&self) -> String {
        let notes =
            self.notes.iter().map(|(name, text)| format!("    {}: {}", quoted(name), quoted(text)));
        let mut json = format!(
            "{{\n  \"format\": \"rmt-model\",\n  \"version\": 1,\n  \"notes\": {{\n{}\n  }}",
            notes.collect::<Vec<_>>().join(",\n")
        );
        write_list(&mut json, "tensors", self.tensors.iter().map(tensor_text));
        write_list(&mut json, "scales", self.scales.iter().map(scale_text));
        write_list(&mut json, "windows", self.windows.iter().map(window_text));
        write_list(&mut json, "forests", self.forests.iter().map(forest_text));
        json.push_str("\n}\n");
        json
    }

    /// Writes the file: first beside it, then over it, so that a reader never sees half of one.
    ///
    /// # Errors
    /// [`LearnError::Io`] if the folder is missing or not writable.
    pub fn write(&self, path: &Path) -> Result<()> {
        let unfinished = path.with_extension("json.unfinished");
        std::fs::write(&unfinished, self.to_json())
            .and_then(|()| std::fs::rename(&unfinished, path))
            .map_err(|source| LearnError::Io { path: path.to_owned(), source })
    }
}

/// Adds a member whose value is a list with one object an item; nothing for an empty list.
fn write_list(json: &mut String, name: &str, items: impl Iterator<Item = String>) {
    let items: Vec<String> = items.collect();
    if !items.is_empty() {
        // Writing to a string cannot fail.
        let _ = write!(json, ",\n  \"{name}\": [\n{}\n  ]", items.join(",\n"));
    }
}

fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

fn joined<T: ToString>(values: &[T]) -> String {
    values.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

fn tensor_text(tensor: &Tensor) -> String {
    let row_length = tensor.shape.last().map_or(1, |length| (*length).max(1) as usize);
    let rows: Vec<String> =
        tensor.values.chunks(row_length).map(|row| format!("      {}", joined(row))).collect();
    format!(
        "    {{ \"name\": {}, \"element\": \"{}\", \"shape\": [{}], \"values\": [\n{}\n    ] }}",
        quoted(&tensor.name),
        tensor.element,
        joined(&tensor.shape),
        rows.join(",\n")
    )
}

fn scale_text(scale: &Scale) -> String {
    let channels: Vec<String> = scale
        .channels
        .iter()
        .map(|channel| {
            format!(
                "      {{ \"multiplier\": {}, \"shift\": {} }}",
                channel.multiplier, channel.shift
            )
        })
        .collect();
    format!(
        "    {{ \"name\": {}, \"zero_point\": {}, \"channels\": [\n{}\n    ] }}",
        quoted(&scale.name),
        scale.zero_point,
        channels.join(",\n")
    )
}

fn window_text(window: &Window) -> String {
    let sizes = [
        ("in_height", window.in_height),
        ("in_width", window.in_width),
        ("channels", window.channels),
        ("height", window.height),
        ("width", window.width),
        ("stride_y", window.stride_y),
        ("stride_x", window.stride_x),
        ("pad_top", window.pad_top),
        ("pad_left", window.pad_left),
        ("out_height", window.out_height),
        ("out_width", window.out_width),
    ];
    let members = sizes.map(|(name, size)| format!(", \"{name}\": {size}")).concat();
    format!("    {{ \"name\": {}{members} }}", quoted(&window.name))
}

fn forest_text(forest: &Forest) -> String {
    let mode = match forest.mode {
        ForestMode::Sum => "sum",
        ForestMode::Vote => "vote",
    };
    let nodes: Vec<String> = forest
        .nodes
        .iter()
        .map(|node| match node {
            TreeNode::Branch { feature, threshold, left } => {
                format!("      {{ \"feature\": {feature}, \"threshold\": {threshold}, \"left\": {left} }}")
            }
            TreeNode::Leaf { value } => format!("      {{ \"value\": {value} }}"),
        })
        .collect();
    format!(
        "    {{ \"name\": {}, \"mode\": \"{mode}\", \"features\": {}, \"roots\": [{}], \"nodes\": [\n{}\n    ] }}",
        quoted(&forest.name),
        forest.features,
        joined(&forest.roots),
        nodes.join(",\n")
    )
}

#[cfg(test)]
mod tests {
    use rmt_isa::operand::Element;
    use rmt_isa::program::ChannelScale;

    use super::*;

    #[test]
    fn text_is_json_with_every_object() {
        let file = ModelFile {
            notes: vec![("about".into(), "a \"quoted\" word".into())],
            tensors: vec![Tensor {
                name: "w".into(),
                model: 0,
                element: Element::I8,
                shape: vec![2, 3],
                values: vec![1, -2, 3, 4, 5, 6],
            }],
            scales: vec![Scale {
                name: "s".into(),
                model: 0,
                channels: vec![ChannelScale { multiplier: 9, shift: 4 }],
                zero_point: -1,
            }],
            windows: Vec::new(),
            forests: vec![Forest {
                name: "f".into(),
                model: 0,
                mode: ForestMode::Vote,
                features: 2,
                roots: vec![0],
                nodes: vec![
                    TreeNode::Branch { feature: 1, threshold: -5, left: 1 },
                    TreeNode::Leaf { value: 0 },
                    TreeNode::Leaf { value: 7 },
                ],
            }],
        };
        let json: serde_json::Value = serde_json::from_str(&file.to_json()).unwrap();
        assert_eq!(json["format"], "rmt-model");
        assert_eq!(json["notes"]["about"], "a \"quoted\" word");
        assert_eq!(json["tensors"][0]["element"], "i8");
        assert_eq!(json["tensors"][0]["values"], serde_json::json!([1, -2, 3, 4, 5, 6]));
        assert_eq!(json["scales"][0]["channels"][0]["shift"], 4);
        assert_eq!(json["forests"][0]["nodes"][0]["threshold"], -5);
        assert_eq!(json["forests"][0]["nodes"][2]["value"], 7);
    }

    #[test]
    fn empty_lists_are_left_out() {
        let json: serde_json::Value =
            serde_json::from_str(&ModelFile::default().to_json()).unwrap();
        assert!(json.get("tensors").is_none() && json["version"] == 1);
    }
}
