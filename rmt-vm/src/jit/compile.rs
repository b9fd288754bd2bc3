//! From a verified program to machine code: one function for each action.

use std::sync::Arc;

use cranelift_codegen::ir::{AbiParam, Function as IrFunction, Signature, types::I64};
use cranelift_codegen::isa::{OwnedTargetIsa, TargetIsa};
use cranelift_codegen::settings::{self, Configurable};
use cranelift_codegen::{Context, isa};
use cranelift_frontend::FunctionBuilderContext;
use cranelift_jit::{JITBuilder, JITModule};
use cranelift_module::{FuncId, Module, default_libcall_names};
use rmt_isa::Program;
use rmt_isa::operand::Operand;

use super::JitError;
use super::action::compile_action;
use super::runtime::{Code, Constants};
use crate::state::{ContextStore, Models};
use crate::verifier;

/// What code is specialised for.
#[derive(Clone, Copy)]
pub(super) struct Objects<'a> {
    pub(super) program: &'a Program,
    /// Layouts of records.
    pub(super) contexts: &'a [ContextStore],
    /// Weights, scales and trees are constants of the code.
    pub(super) models: &'a Models,
}

fn backend(error: impl std::fmt::Display) -> JitError {
    JitError::Backend { reason: error.to_string() }
}

/// Settings of the code generator.
///
/// What it calls optimisation finds what vector instructions have in common. It also moves a
/// computation to each of its uses, and so repeats it behind every branch: code of scalars only
/// is faster as it was written.
fn flags(program: &Program) -> Result<settings::Flags, JitError> {
    let level = if has_vectors(program) { "speed" } else { "none" };
    let mut flags = settings::builder();
    let verify = if cfg!(debug_assertions) { "true" } else { "false" };
    for (name, value) in [("opt_level", level), ("enable_verifier", verify)] {
        flags.set(name, value).map_err(backend)?;
    }
    Ok(settings::Flags::new(flags))
}

fn has_vectors(program: &Program) -> bool {
    let instructions = program.actions.iter().flat_map(|action| &action.code);
    instructions
        .flat_map(|instruction| instruction.operands())
        .any(|operand| matches!(operand.value, Operand::Vector(_)))
}

/// This machine.
pub(super) fn native(program: &Program) -> Result<OwnedTargetIsa, JitError> {
    let isa = cranelift_native::builder().map_err(backend)?;
    let isa = isa.finish(flags(program)?).map_err(backend)?;
    match missing_feature(&*isa) {
        Some(feature) => Err(too_old(feature)),
        None => Ok(isa),
    }
}

fn too_old(feature: &str) -> JitError {
    backend(format!("this processor has no {feature}, which code needs"))
}

/// What a machine lacks that code needs. Without SSSE3 the code generator calls functions of an
/// embedder for shuffles, and only Wasmtime has them.
fn missing_feature(isa: &dyn TargetIsa) -> Option<&'static str> {
    let has = |name: &str| {
        isa.isa_flags().iter().any(|flag| flag.name == name && flag.as_bool() == Some(true))
    };
    (isa.name() == "x64" && !has("has_ssse3")).then_some("SSSE3")
}

/// A machine by its name, such as `aarch64-unknown-linux-gnu`.
pub(super) fn foreign(triple: &str, program: &Program) -> Result<OwnedTargetIsa, JitError> {
    let triple = triple.parse().map_err(backend)?;
    isa::lookup(triple).map_err(backend)?.finish(flags(program)?).map_err(backend)
}

/// Code for this machine, ready to run.
pub(super) fn compile(objects: Objects<'_>, isa: &OwnedTargetIsa) -> Result<Code, JitError> {
    let builder = JITBuilder::with_isa(Arc::clone(isa), default_libcall_names());
    let mut module = JITModule::new(builder);
    let mut constants = Constants::default();
    let mut ids: Vec<FuncId> = Vec::new();
    let result = each_action(objects, &**isa, &mut constants, |context| {
        let id = module.declare_anonymous_function(&context.func.signature).map_err(backend)?;
        module.define_function(id, context).map_err(|error| match error {
            cranelift_module::ModuleError::Compilation(error) => backend(format!("{error:?}")),
            error => backend(error),
        })?;
        ids.push(id);
        Ok(())
    });
    let result = result.and_then(|()| module.finalize_definitions().map_err(backend));
    let actions: Vec<_> = match &result {
        Ok(()) => ids.iter().map(|&id| module.get_finalized_function(id)).collect(),
        Err(_) => Vec::new(),
    };
    // Also when it failed: the code owns the module's memory and frees it.
    let code = Code::new(module, &actions, constants);
    result.map(|()| code)
}

/// Machine code of each action for any machine, as bytes, to look at.
pub(super) fn compile_bytes(
    objects: Objects<'_>,
    isa: &dyn TargetIsa,
) -> Result<Vec<Vec<u8>>, JitError> {
    let mut actions = Vec::new();
    each_action(objects, isa, &mut Constants::default(), |context| {
        let compiled = context
            .compile(isa, &mut Default::default())
            .map_err(|error| backend(format!("{:?}", error.inner)))?;
        actions.push(compiled.code_buffer().to_vec());
        Ok(())
    })?;
    Ok(actions)
}

/// Builds each action's function and gives it to `finish`.
fn each_action(
    objects: Objects<'_>,
    isa: &dyn TargetIsa,
    constants: &mut Constants,
    mut finish: impl FnMut(&mut Context) -> Result<(), JitError>,
) -> Result<(), JitError> {
    let mut builder_context = FunctionBuilderContext::new();
    let mut context = Context::new();
    for action in 0..objects.program.actions.len() {
        let typings = verifier::vector_types(objects.program, action)
            .ok_or_else(|| backend(format!("action {action} was not verified")))?;
        let mut signature = Signature::new(isa.default_call_conv());
        signature.params = vec![AbiParam::new(I64), AbiParam::new(I64)];
        signature.returns = vec![AbiParam::new(I64)];
        context.func = IrFunction::with_name_signature(Default::default(), signature);
        compile_action(
            &mut context.func,
            &mut builder_context,
            isa,
            objects,
            constants,
            action,
            &typings,
        );
        finish(&mut context)?;
        context.clear();
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The oldest x86-64 processor, as QEMU makes one by default, and one with SSSE3.
    #[test]
    fn a_processor_without_ssse3_is_refused() {
        let machine = |triple: &str, features: &[&str]| {
            let mut builder = isa::lookup(triple.parse().unwrap()).unwrap();
            for feature in features {
                builder.enable(feature).unwrap();
            }
            let isa = builder.finish(flags(&Program::default()).unwrap()).unwrap();
            missing_feature(&*isa)
        };
        assert_eq!(machine("x86_64-unknown-linux-gnu", &[]), Some("SSSE3"));
        assert_eq!(machine("x86_64-unknown-linux-gnu", &["has_sse3"]), Some("SSSE3"));
        assert_eq!(machine("x86_64-unknown-linux-gnu", &["has_sse3", "has_ssse3"]), None);
        assert_eq!(machine("aarch64-unknown-linux-gnu", &[]), None);
        assert_eq!(
            too_old("SSSE3").to_string(),
            "there is no machine code for the program: this processor has no SSSE3, which code \
             needs; run it in the interpreter (--engine interpreter)"
        );
    }
}
