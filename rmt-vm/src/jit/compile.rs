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
fn flags() -> Result<settings::Flags, JitError> {
    let mut flags = settings::builder();
    let verify = if cfg!(debug_assertions) { "true" } else { "false" };
    for (name, value) in [("opt_level", "speed"), ("enable_verifier", verify)] {
        flags.set(name, value).map_err(backend)?;
    }
    Ok(settings::Flags::new(flags))
}

/// This machine.
pub(super) fn native() -> Result<OwnedTargetIsa, JitError> {
    let isa = cranelift_native::builder().map_err(backend)?;
    isa.finish(flags()?).map_err(backend)
}

/// A machine by its name, such as `aarch64-unknown-linux-gnu`.
pub(super) fn foreign(triple: &str) -> Result<OwnedTargetIsa, JitError> {
    let triple = triple.parse().map_err(backend)?;
    isa::lookup(triple).map_err(backend)?.finish(flags()?).map_err(backend)
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
