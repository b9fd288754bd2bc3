//! The hierarchy laid out flat: every node of every instance has a number, and nets are followed to what drives them.

use super::compile::Program;
use super::{Handle, SimError};
use crate::domain::DomainInfo;
use crate::ir::{Kind, Module, Node, NodeId, UnaryOp};

/// One instance of a module.
#[derive(Debug, Clone)]
pub(super) struct Place {
    pub module: usize,
    /// Number of its first node.
    pub base: u32,
    /// Number of its first memory.
    pub memory_base: usize,
    /// The instance that holds it and its index there.
    pub parent: Option<(usize, usize)>,
    pub children: Vec<usize>,
}

/// All instances of a design; 0 is the top.
#[derive(Debug, Clone, Default)]
pub(super) struct Flat {
    pub places: Vec<Place>,
    /// The place of each node.
    pub owner: Vec<u32>,
}

impl Flat {
    pub(super) fn new(modules: &[Module]) -> Self {
        let mut flat = Self::default();
        let mut memories = 0;
        if !modules.is_empty() {
            flat.add(modules, modules.len() - 1, None, &mut memories);
        }
        flat
    }

    fn add(
        &mut self,
        modules: &[Module],
        module: usize,
        parent: Option<(usize, usize)>,
        memories: &mut usize,
    ) -> usize {
        let index = self.places.len();
        let base = self.owner.len() as u32;
        self.owner.extend(std::iter::repeat_n(index as u32, modules[module].nodes.len()));
        self.places.push(Place {
            module,
            base,
            memory_base: *memories,
            parent,
            children: Vec::new(),
        });
        *memories += modules[module].memories.len();
        for (i, instance) in modules[module].instances.iter().enumerate() {
            let child = self.add(modules, instance.module, Some((index, i)), memories);
            self.places[index].children.push(child);
        }
        index
    }

    pub(super) fn place(&self, id: u32) -> &Place {
        &self.places[self.owner[id as usize] as usize]
    }

    pub(super) fn node<'m>(&self, modules: &'m [Module], id: u32) -> &'m Node {
        let place = self.place(id);
        &modules[place.module].nodes[(id - place.base) as usize]
    }

    /// The node that resets registers of a domain in a place; none if it is the domain's own reset.
    pub(super) fn local_reset(
        &self,
        modules: &[Module],
        place: usize,
        domain: DomainInfo,
    ) -> Option<u32> {
        let mut place = &self.places[place];
        while let Some((parent, instance)) = place.parent {
            let holder = &self.places[parent];
            let module = &modules[holder.module];
            if let Some(wire) = module.instances[instance].local_reset(module, domain) {
                return Some(holder.base + wire);
            }
            place = holder;
        }
        None
    }

    /// Follows nets and changes of sign to the node that makes the bits.
    pub(super) fn origin(&self, modules: &[Module], id: u32) -> u32 {
        let mut id = id;
        loop {
            let place = self.place(id);
            let module = &modules[place.module];
            let local = id - place.base;
            let driver = |local: u32| module.drivers.get(local as usize).copied().flatten();
            let next = match &module.nodes[local as usize].kind {
                Kind::Wire | Kind::Output(_) | Kind::InstInput { .. } => {
                    driver(local).map(|node| place.base + node)
                }
                Kind::Unary(UnaryOp::Cast | UnaryOp::Cross, of) => Some(place.base + of),
                Kind::Input(port) => place.parent.map(|(parent, instance)| {
                    let parent = &self.places[parent];
                    parent.base + modules[parent.module].instances[instance].ports[*port]
                }),
                Kind::InstOutput { instance, port } => {
                    let child = &self.places[place.children[*instance]];
                    Some(child.base + modules[child.module].ports[*port].node)
                }
                Kind::Reset => module.nodes[local as usize].domain.and_then(|domain| {
                    self.local_reset(modules, self.owner[id as usize] as usize, domain)
                }),
                _ => None,
            };
            match next {
                Some(next) => id = next,
                None => return id,
            }
        }
    }
}

/// The place that the instances of a path lead to, and what remains of the path.
fn descend<'p>(modules: &[Module], flat: &Flat, path: &'p str) -> (usize, &'p str) {
    let (mut place, mut rest) = (0, path);
    while let Some((head, tail)) = rest.split_once('.') {
        let module = &modules[flat.places[place].module];
        let Some(index) = module.instances.iter().position(|instance| instance.name == head) else {
            break;
        };
        place = flat.places[place].children[index];
        rest = tail;
    }
    (place, rest)
}

pub(super) fn find(modules: &[Module], program: &Program, path: &str) -> Result<Handle, SimError> {
    let (index, name) = descend(modules, &program.flat, path);
    let unknown = || {
        let module = program.flat.places.get(index).map(|place| &modules[place.module]);
        let mut known: Vec<&str> = module
            .iter()
            .flat_map(|module| module.nodes.iter().filter_map(|node| node.name.as_deref()))
            .collect();
        known.sort_unstable();
        known.dedup();
        let scope = module.map_or(String::new(), |module| module.name.clone());
        SimError::UnknownSignal { path: path.to_owned(), scope, known: known.join(", ") }
    };
    let place = program.flat.places.get(index).ok_or_else(unknown)?;
    let module = &modules[place.module];
    if let Some((_, slot)) = program.resets.iter().find(|(domain, _)| domain.reset == name) {
        return Ok(Handle { slot: *slot, width: 1, driven: true });
    }
    let matches = |node: &Node| node.name.as_deref() == Some(name);
    let local = module.nodes.iter().position(matches).ok_or_else(unknown)?;
    let id = place.base + local as NodeId;
    let node = &module.nodes[local];
    let slot = program.slots[program.flat.origin(modules, id) as usize].ok_or_else(unknown)?;
    Ok(Handle {
        slot,
        width: node.width,
        driven: index == 0 && matches!(node.kind, Kind::Input(_)),
    })
}

pub(super) fn find_memory(modules: &[Module], program: &Program, path: &str) -> Option<usize> {
    let (index, name) = descend(modules, &program.flat, path);
    let place = program.flat.places.get(index)?;
    let local = modules[place.module].memories.iter().position(|memory| memory.name == name)?;
    Some(place.memory_base + local)
}
