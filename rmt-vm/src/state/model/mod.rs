//! Models: tensors, scales and forests, swapped a whole model at a time.

pub(crate) mod form;

use rmt_isa::limits::{MAX_FOREST_NODES, VECTOR_LANES};
use rmt_isa::program::{Forest, ForestMode, Program, Scale, Tensor, TreeNode};

/// The models' objects, by their numbers in the program.
#[derive(Clone, Debug, PartialEq)]
pub struct Models {
    tensors: Vec<Tensor>,
    scales: Vec<Scale>,
    forests: Vec<Forest>,
    /// How often each model was swapped; engines repack a model's objects when it changes.
    generations: Vec<u64>,
    /// Nodes that each forest may have: as many as the program came with.
    node_capacity: Vec<usize>,
}

/// All objects of one model, to take the place of those that run. Objects are found by name.
#[derive(Clone, Debug, Default, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(from = "form::ObjectsForm", into = "form::ObjectsForm")]
pub struct ModelObjects {
    /// Tensors of the same element type and shape.
    pub tensors: Vec<Tensor>,
    /// Scales of as many channels.
    pub scales: Vec<Scale>,
    /// Forests of the same mode and features, with no more nodes than the program declares.
    pub forests: Vec<Forest>,
}

/// Why a model is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ModelError {
    /// The program has no such model.
    #[error("there is no model `{model}`; the program has: {}", known.join(", "))]
    NoSuchModel {
        /// The name that was asked for.
        model: String,
        /// Names of the program's models.
        known: Vec<String>,
    },
    /// The objects are not those of the model.
    #[error(
        "model `{model}`: {what}s are {found:?}, expected {expected:?}; give every object of the model once, in the program's order"
    )]
    Objects {
        /// Name of the model.
        model: String,
        /// Tensor, scale or forest.
        what: &'static str,
        /// Names that the program has.
        expected: Vec<String>,
        /// Names that were given.
        found: Vec<String>,
    },
    /// An object differs in shape.
    #[error(
        "model `{model}`: {what} `{name}`: expected {expected}, found {found}; train and quantise for the shapes of the program, or load a new program"
    )]
    Shape {
        /// Name of the model.
        model: String,
        /// Tensor, scale or forest.
        what: &'static str,
        /// Name of the object.
        name: String,
        /// What the program has.
        expected: String,
        /// What was given.
        found: String,
    },
    /// An object is malformed in itself.
    #[error("{what} `{name}`: {reason}")]
    Malformed {
        /// Tensor, scale or forest.
        what: &'static str,
        /// Name of the object.
        name: String,
        /// What is wrong and what would be right.
        reason: String,
    },
}

impl Models {
    /// The models as the program comes with them.
    ///
    /// # Errors
    /// [`ModelError::Malformed`] when an object breaks its own rules.
    pub fn new(program: &Program) -> Result<Self, ModelError> {
        program.tensors.iter().try_for_each(check_tensor)?;
        program.scales.iter().try_for_each(check_scale)?;
        program.forests.iter().try_for_each(check_forest)?;
        Ok(Self {
            tensors: program.tensors.clone(),
            scales: program.scales.clone(),
            forests: program.forests.clone(),
            generations: vec![0; program.models.len()],
            node_capacity: program.forests.iter().map(|forest| forest.nodes.len()).collect(),
        })
    }

    /// All tensors, by number.
    pub fn tensors(&self) -> &[Tensor] {
        &self.tensors
    }

    /// All scales, by number.
    pub fn scales(&self) -> &[Scale] {
        &self.scales
    }

    /// All forests, by number.
    pub fn forests(&self) -> &[Forest] {
        &self.forests
    }

    /// Puts the objects of the models into a program in place of those that it came with.
    pub fn put_into(&self, program: &mut Program) {
        program.tensors = self.tensors.clone();
        program.scales = self.scales.clone();
        program.forests = self.forests.clone();
    }

    /// How often each model was swapped, by number.
    pub fn generations(&self) -> &[u64] {
        &self.generations
    }

    /// Puts new objects in place of all objects of a model; the old ones are returned.
    ///
    /// Values may differ, shapes may not: so every check of the verifier holds but those on
    /// values (overflow of accumulators, depth of trees). Verify
    /// [`ModelObjects::applied_to`] the program before the swap.
    ///
    /// # Errors
    /// [`ModelError`], and nothing is changed.
    pub fn swap(
        &mut self,
        names: &[String],
        model: &str,
        objects: ModelObjects,
    ) -> Result<ModelObjects, ModelError> {
        let number = names.iter().position(|name| name == model).ok_or_else(|| {
            ModelError::NoSuchModel { model: model.to_owned(), known: names.to_vec() }
        })?;
        self.check_swap(number, model, &objects)?;
        self.generations[number] += 1;
        let owner = number as u16;
        Ok(ModelObjects {
            tensors: exchange(
                &mut self.tensors,
                objects.tensors,
                |t| t.model == owner,
                |t| t.model = owner,
            ),
            scales: exchange(
                &mut self.scales,
                objects.scales,
                |s| s.model == owner,
                |s| s.model = owner,
            ),
            forests: exchange(
                &mut self.forests,
                objects.forests,
                |f| f.model == owner,
                |f| f.model = owner,
            ),
        })
    }

    /// Undoes [`Self::swap`] with the objects that it returned.
    pub(crate) fn undo_swap(&mut self, names: &[String], model: &str, old: ModelObjects) {
        if self.swap(names, model, old).is_ok()
            && let Some(number) = names.iter().position(|name| name == model)
        {
            self.generations[number] -= 2;
        }
    }

    fn check_swap(&self, number: usize, model: &str, new: &ModelObjects) -> Result<(), ModelError> {
        let mine = |owner: u16| usize::from(owner) == number;
        let tensors =
            pairs(model, "tensor", &self.tensors, &new.tensors, |t| mine(t.model), |t| &t.name)?;
        for (old, new) in tensors {
            check_tensor(new)?;
            let shape = |tensor: &Tensor| format!("{} {:?}", tensor.element, tensor.shape);
            same(model, "tensor", &old.name, shape(old), shape(new))?;
        }
        let scales =
            pairs(model, "scale", &self.scales, &new.scales, |s| mine(s.model), |s| &s.name)?;
        for (old, new) in scales {
            check_scale(new)?;
            let shape = |scale: &Scale| format!("{} channels", scale.channels.len());
            same(model, "scale", &old.name, shape(old), shape(new))?;
        }
        let forests =
            pairs(model, "forest", &self.forests, &new.forests, |f| mine(f.model), |f| &f.name)?;
        for (old, new) in forests {
            check_forest(new)?;
            let shape =
                |forest: &Forest| format!("{:?} of {} features", forest.mode, forest.features);
            same(model, "forest", &old.name, shape(old), shape(new))?;
        }
        for (place, name, capacity) in self.forest_capacities(number) {
            let found = new.forests[place].nodes.len();
            if found > capacity {
                let (expected, found) = (format!("at most {capacity} nodes"), found.to_string());
                same(model, "forest", name, expected, found)?;
            }
        }
        Ok(())
    }

    /// Place in the model, name and node capacity of the model's forests.
    fn forest_capacities(&self, number: usize) -> impl Iterator<Item = (usize, &str, usize)> {
        let mine = move |(forest, _): &(&Forest, _)| usize::from(forest.model) == number;
        let forests = self.forests.iter().zip(&self.node_capacity).filter(mine);
        forests.enumerate().map(|(place, (forest, &nodes))| (place, forest.name.as_str(), nodes))
    }
}

impl ModelObjects {
    /// The objects of a model as a program holds them.
    pub fn of_program(program: &Program, model: &str) -> Self {
        let owner = program.models.iter().position(|name| name == model);
        let mine = |number: u16| Some(usize::from(number)) == owner;
        Self {
            tensors: program.tensors.iter().filter(|t| mine(t.model)).cloned().collect(),
            scales: program.scales.iter().filter(|s| mine(s.model)).cloned().collect(),
            forests: program.forests.iter().filter(|f| mine(f.model)).cloned().collect(),
        }
    }

    /// The program with these objects in place of the model's own, for the verifier.
    ///
    /// # Errors
    /// [`ModelError`] when they do not fit.
    pub fn applied_to(&self, program: &Program, model: &str) -> Result<Program, ModelError> {
        let mut models = Models::new(program)?;
        models.swap(&program.models, model, self.clone())?;
        let Models { tensors, scales, forests, .. } = models;
        Ok(Program { tensors, scales, forests, ..program.clone() })
    }
}

/// Exchanges the items that are `mine` for `new`, which has as many, each made `mine` by `own`.
fn exchange<T>(
    items: &mut [T],
    new: Vec<T>,
    mine: impl Fn(&T) -> bool,
    own: impl Fn(&mut T),
) -> Vec<T> {
    let places = items.iter_mut().filter(|item| mine(item));
    places
        .zip(new)
        .map(|(place, mut item)| {
            own(&mut item);
            std::mem::replace(place, item)
        })
        .collect()
}

/// The objects that run beside those that shall take their places, which have the same names.
fn pairs<'a, T>(
    model: &str,
    what: &'static str,
    old: &'a [T],
    new: &'a [T],
    mine: impl Fn(&T) -> bool,
    name: impl Fn(&T) -> &str,
) -> Result<Vec<(&'a T, &'a T)>, ModelError> {
    let old: Vec<&T> = old.iter().filter(|item| mine(item)).collect();
    let expected: Vec<_> = old.iter().map(|item| name(item).to_owned()).collect();
    let found: Vec<_> = new.iter().map(|item| name(item).to_owned()).collect();
    if expected != found {
        return Err(ModelError::Objects { model: model.to_owned(), what, expected, found });
    }
    Ok(old.into_iter().zip(new).collect())
}

fn same(
    model: &str,
    what: &'static str,
    name: &str,
    expected: String,
    found: String,
) -> Result<(), ModelError> {
    if expected != found {
        let (model, name) = (model.to_owned(), name.to_owned());
        return Err(ModelError::Shape { model, what, name, expected, found });
    }
    Ok(())
}

fn malformed(what: &'static str, name: &str, reason: String) -> ModelError {
    ModelError::Malformed { what, name: name.to_owned(), reason }
}

/// Whether a tensor has as many values as its shape says, all in the range of its type.
///
/// # Errors
/// [`ModelError::Malformed`].
pub fn check_tensor(tensor: &Tensor) -> Result<(), ModelError> {
    let expected = tensor.shape.iter().try_fold(1_usize, |n, &d| n.checked_mul(d as usize));
    if expected != Some(tensor.values.len()) {
        let reason = format!(
            "the shape {:?} has another number of values than the {} given; give as many as the shape says",
            tensor.shape,
            tensor.values.len()
        );
        return Err(malformed("tensor", &tensor.name, reason));
    }
    let range = tensor.element.min()..=tensor.element.max();
    match tensor.values.iter().position(|value| !range.contains(value)) {
        None => Ok(()),
        Some(place) => {
            let value = tensor.values[place];
            let reason =
                format!("value {place} is {value}, which is no {}; saturate it", tensor.element);
            Err(malformed("tensor", &tensor.name, reason))
        }
    }
}

/// Whether a scale's multipliers and shifts are in range.
///
/// # Errors
/// [`ModelError::Malformed`].
pub fn check_scale(scale: &Scale) -> Result<(), ModelError> {
    if scale.channels.is_empty() {
        return Err(malformed("scale", &scale.name, "it has no channel; give at least one".into()));
    }
    let bad =
        |c: &&rmt_isa::program::ChannelScale| c.multiplier < 0 || !(1..=62).contains(&c.shift);
    match scale.channels.iter().find(bad) {
        None => Ok(()),
        Some(channel) => {
            let reason =
                format!("{channel:?}: the multiplier must be at least 0, the shift 1 to 62");
            Err(malformed("scale", &scale.name, reason))
        }
    }
}

/// Whether every walk through a forest ends in a leaf and reads only features that it has.
///
/// # Errors
/// [`ModelError::Malformed`].
pub fn check_forest(forest: &Forest) -> Result<(), ModelError> {
    let nodes = forest.nodes.len();
    let error = |reason: String| malformed("forest", &forest.name, reason);
    if nodes > MAX_FOREST_NODES {
        return Err(error(format!("{nodes} nodes are more than {MAX_FOREST_NODES}; prune it")));
    }
    if usize::from(forest.features) > VECTOR_LANES {
        return Err(error(format!("{} features are more than {VECTOR_LANES}", forest.features)));
    }
    if let Some(root) = forest.roots.iter().find(|&&root| usize::from(root) >= nodes) {
        return Err(error(format!(
            "root {root} is none of the {nodes} nodes; give the first node of each tree"
        )));
    }
    for (place, node) in forest.nodes.iter().enumerate() {
        match *node {
            TreeNode::Branch { feature, left, .. } => {
                let left = usize::from(left);
                if left <= place || left + 1 >= nodes {
                    return Err(error(format!(
                        "node {place} leads to nodes {left} and {}; children stand behind their parent, before node {nodes}",
                        left + 1
                    )));
                }
                if u16::from(feature) >= forest.features {
                    return Err(error(format!(
                        "node {place} reads feature {feature}; there are {}",
                        forest.features
                    )));
                }
            }
            TreeNode::Leaf { value } => {
                if forest.mode == ForestMode::Vote && !(0..=255).contains(&value) {
                    return Err(error(format!(
                        "node {place} votes for class {value}; classes are 0 to 255"
                    )));
                }
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use rmt_isa::operand::Element;

    fn tensor(name: &str, model: u16, values: Vec<i32>) -> Tensor {
        let shape = vec![values.len() as u32];
        Tensor { name: name.into(), model, element: Element::I8, shape, values }
    }

    fn leaf_forest(model: u16, nodes: usize) -> Forest {
        Forest {
            name: "f".into(),
            model,
            mode: ForestMode::Sum,
            features: 2,
            roots: vec![0],
            nodes: vec![TreeNode::Leaf { value: 3 }; nodes],
        }
    }

    fn program() -> Program {
        Program {
            models: vec!["a".into(), "b".into()],
            tensors: vec![
                tensor("w", 0, vec![1, 2]),
                tensor("x", 1, vec![3]),
                tensor("y", 0, vec![4]),
            ],
            forests: vec![leaf_forest(1, 3)],
            ..Program::default()
        }
    }

    #[test]
    fn a_swap_replaces_all_objects_of_one_model_and_no_other() {
        let program = program();
        let mut models = Models::new(&program).unwrap();
        let before = models.clone();
        let new = ModelObjects {
            tensors: vec![tensor("w", 9, vec![7, 8]), tensor("y", 9, vec![9])],
            ..ModelObjects::default()
        };
        let old = models.swap(&program.models, "a", new.clone()).unwrap();
        assert_eq!(old, ModelObjects::of_program(&program, "a"));
        let values: Vec<_> = models.tensors().iter().map(|t| (t.values.clone(), t.model)).collect();
        assert_eq!(values, [(vec![7, 8], 0), (vec![3], 1), (vec![9], 0)]);
        assert_eq!(models.generations(), [1, 0]);
        assert_eq!(new.applied_to(&program, "a").unwrap().tensors, models.tensors());
        models.undo_swap(&program.models, "a", old);
        assert_eq!(models, before);
    }

    #[test]
    fn a_swap_of_another_shape_is_refused_and_changes_nothing() {
        let program = program();
        let mut models = Models::new(&program).unwrap();
        let before = models.clone();
        let mut refuse = |model: &str, tensors: Vec<Tensor>, forests: Vec<Forest>| {
            let objects = ModelObjects { tensors, forests, scales: vec![] };
            let error = models.swap(&program.models, model, objects).unwrap_err();
            assert_eq!(models, before);
            error.to_string()
        };
        let y = || tensor("y", 0, vec![4]);
        let message = refuse("a", vec![tensor("w", 0, vec![1, 2, 3]), y()], vec![]);
        assert!(message.contains("expected i8 [2], found i8 [3]"), "{message}");
        let message = refuse("a", vec![y()], vec![]);
        assert!(message.contains("every object of the model once"), "{message}");
        let message = refuse("c", vec![], vec![]);
        assert!(message.contains("the program has: a, b"), "{message}");
        let message = refuse("b", vec![tensor("x", 1, vec![0])], vec![leaf_forest(1, 4)]);
        assert!(message.contains("at most 3 nodes"), "{message}");
        let message = refuse("a", vec![tensor("w", 0, vec![1, 200]), y()], vec![]);
        assert!(message.contains("value 1 is 200"), "{message}");
    }

    #[test]
    fn forests_that_could_loop_or_read_elsewhere_are_refused() {
        let branch = |feature, left| TreeNode::Branch { feature, threshold: 0, left };
        let leaf = TreeNode::Leaf { value: 256 };
        let check = |mode, roots: Vec<u16>, nodes: Vec<TreeNode>| {
            check_forest(&Forest { mode, roots, nodes, ..leaf_forest(0, 1) })
        };
        assert_eq!(check(ForestMode::Sum, vec![0], vec![branch(1, 1), leaf, leaf]), Ok(()));
        for (mode, roots, nodes) in [
            (ForestMode::Sum, vec![0], vec![branch(1, 0), leaf, leaf]),
            (ForestMode::Sum, vec![0], vec![branch(1, 2), leaf, leaf]),
            (ForestMode::Sum, vec![0], vec![branch(2, 1), leaf, leaf]),
            (ForestMode::Sum, vec![3], vec![branch(1, 1), leaf, leaf]),
            (ForestMode::Vote, vec![0], vec![branch(1, 1), leaf, leaf]),
        ] {
            assert!(
                check(mode, roots.clone(), nodes.clone()).is_err(),
                "{mode:?} {roots:?} {nodes:?}"
            );
        }
    }
}
