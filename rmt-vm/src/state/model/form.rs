//! How model objects are written as JSON: with their values.
//!
//! The types of `rmt_isa` leave values and nodes out, because an image keeps them in
//! sections of their own.

use rmt_isa::operand::Element;
use rmt_isa::program::{Forest, ForestMode, Scale, Tensor, TreeNode};
use serde::{Deserialize, Serialize};

use super::ModelObjects;

/// A tensor with its values.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct TensorForm {
    name: String,
    element: Element,
    shape: Vec<u32>,
    values: Vec<i32>,
}

/// A forest with its nodes.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct ForestForm {
    name: String,
    mode: ForestMode,
    features: u16,
    roots: Vec<u16>,
    nodes: Vec<TreeNode>,
}

/// All objects of a model. Whose they are is said by who names the model.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct ObjectsForm {
    #[serde(default)]
    tensors: Vec<TensorForm>,
    #[serde(default)]
    scales: Vec<Scale>,
    #[serde(default)]
    forests: Vec<ForestForm>,
}

impl From<TensorForm> for Tensor {
    fn from(form: TensorForm) -> Self {
        let TensorForm { name, element, shape, values } = form;
        Self { name, model: 0, element, shape, values }
    }
}

impl From<Tensor> for TensorForm {
    fn from(tensor: Tensor) -> Self {
        let Tensor { name, element, shape, values, .. } = tensor;
        Self { name, element, shape, values }
    }
}

impl From<ForestForm> for Forest {
    fn from(form: ForestForm) -> Self {
        let ForestForm { name, mode, features, roots, nodes } = form;
        Self { name, model: 0, mode, features, roots, nodes }
    }
}

impl From<Forest> for ForestForm {
    fn from(forest: Forest) -> Self {
        let Forest { name, mode, features, roots, nodes, .. } = forest;
        Self { name, mode, features, roots, nodes }
    }
}

impl From<ObjectsForm> for ModelObjects {
    fn from(form: ObjectsForm) -> Self {
        Self {
            tensors: form.tensors.into_iter().map(Tensor::from).collect(),
            scales: form.scales,
            forests: form.forests.into_iter().map(Forest::from).collect(),
        }
    }
}

impl From<ModelObjects> for ObjectsForm {
    fn from(objects: ModelObjects) -> Self {
        Self {
            tensors: objects.tensors.into_iter().map(TensorForm::from).collect(),
            scales: objects.scales,
            forests: objects.forests.into_iter().map(ForestForm::from).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn model_objects_survive_json() {
        let objects = ModelObjects {
            tensors: vec![Tensor {
                name: "w".into(),
                model: 0,
                element: Element::I8,
                shape: vec![1, 2],
                values: vec![-3, 4],
            }],
            scales: vec![Scale {
                name: "s".into(),
                model: 0,
                channels: vec![rmt_isa::program::ChannelScale { multiplier: 5, shift: 6 }],
                zero_point: -1,
            }],
            forests: vec![Forest {
                name: "f".into(),
                model: 0,
                mode: ForestMode::Vote,
                features: 3,
                roots: vec![0],
                nodes: vec![TreeNode::Leaf { value: 9 }],
            }],
        };
        let text = serde_json::to_string(&objects).unwrap();
        assert_eq!(serde_json::from_str::<ModelObjects>(&text).unwrap(), objects);
    }
}
