//! A checked design: to be printed as Verilog or run by the evaluator.

use crate::eval::Simulator;
use crate::ir::{Direction, Module, PropertyKind};
use crate::verilog;
use std::path::Path;
use std::rc::Rc;

/// A design that has passed all checks.
#[derive(Clone, Debug)]
pub struct Design {
    /// Children before parents; the last one is the top.
    modules: Rc<Vec<Module>>,
}

/// A port of the top module.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PortInfo {
    /// Its name.
    pub name: String,
    /// Which way it points.
    pub direction: Direction,
    /// Its width in bits.
    pub width: u32,
    /// Whether it is a two's complement number.
    pub signed: bool,
    /// Name of its clock domain.
    pub domain: &'static str,
}

impl Design {
    pub(crate) fn new(modules: Vec<Module>) -> Self {
        Self { modules: Rc::new(modules) }
    }

    pub(crate) fn modules(&self) -> &Rc<Vec<Module>> {
        &self.modules
    }

    fn top(&self) -> Option<&Module> {
        self.modules.last()
    }

    /// Name of the top module.
    pub fn top_name(&self) -> &str {
        self.top().map_or("", |top| &top.name)
    }

    /// Names of all modules, children before parents.
    pub fn module_names(&self) -> Vec<&str> {
        self.modules.iter().map(|module| module.name.as_str()).collect()
    }

    /// The top module's ports, without clocks and resets.
    pub fn ports(&self) -> Vec<PortInfo> {
        let ports = self.top().map_or(&[][..], |top| &top.ports);
        (ports.iter())
            .map(|port| PortInfo {
                name: port.name.clone(),
                direction: port.direction,
                width: port.width,
                signed: port.signed,
                domain: port.domain.name,
            })
            .collect()
    }

    /// Clock ports of the top module, in the order of its port list, each with its reset port if it has one.
    pub fn clocks(&self) -> Vec<(&'static str, Option<&'static str>)> {
        let domains = self.top().map_or(&[][..], |top| &top.domains);
        domains
            .iter()
            .map(|(domain, reset)| (domain.clock, reset.then_some(domain.reset)))
            .collect()
    }

    /// Clock ports of the top module that are multiples of the main clock, with how many cycles they have in one of it
    /// ([`Domain::MULTIPLE`](crate::domain::Domain::MULTIPLE)).
    pub fn multiples(&self) -> Vec<(&'static str, u32)> {
        let domains = self.top().map_or(&[][..], |top| &top.domains);
        let multiples = domains.iter().map(|(domain, _)| (domain.clock, domain.multiple));
        multiples.filter(|(_, multiple)| *multiple > 1).collect()
    }

    /// The Verilog of each module with its file name, children before parents.
    pub fn files(&self) -> Vec<(String, String)> {
        self.print_all(false)
    }

    /// The same with the properties of the modules.
    pub(crate) fn files_with_properties(&self) -> Vec<(String, String)> {
        self.print_all(true)
    }

    fn print_all(&self, properties: bool) -> Vec<(String, String)> {
        let print = |index: usize| {
            let name = format!("{}.sv", self.modules[index].name);
            (name, verilog::print(&self.modules, index, properties))
        };
        (0..self.modules.len()).map(print).collect()
    }

    /// Whether some module states a property of this kind.
    pub(crate) fn has_property(&self, kind: PropertyKind) -> bool {
        self.modules.iter().flat_map(|module| &module.properties).any(|each| each.kind == kind)
    }

    /// The Verilog of all modules in one text.
    pub fn verilog(&self) -> String {
        self.files().into_iter().map(|(_, text)| text).collect::<Vec<_>>().join("\n")
    }

    /// Writes one file a module into `folder`, which is made if it is missing; gives the file names.
    ///
    /// # Errors
    /// What the file system says.
    pub fn write_to(&self, folder: &Path) -> std::io::Result<Vec<String>> {
        std::fs::create_dir_all(folder)?;
        let mut names = Vec::new();
        for (name, text) in self.files() {
            std::fs::write(folder.join(&name), text)?;
            names.push(name);
        }
        Ok(names)
    }

    /// An evaluator of the design, in the state after reset.
    pub fn simulator(&self) -> Simulator {
        Simulator::new(self)
    }
}
