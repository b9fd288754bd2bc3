//! Layers that follow each other on one vector register, as one call ([`Chain`]).

use cranelift_codegen::ir::types::{I8X16, I32X4, I64};
use cranelift_codegen::ir::{AbiParam, InstBuilder, Signature};
use cranelift_codegen::isa::CallConv;
use rmt_isa::Instruction;
use rmt_isa::operand::{Element, Vector};

use super::action::ActionCompiler;
use super::flow::Flow;
use super::kernels::chain::{CHAIN_LANES, Chain};
use super::runtime::Function;
use super::vectors::{CHUNK_BYTES, Small, chunk_count};
use crate::verifier::VectorType;

impl ActionCompiler<'_, '_> {
    /// Translates the layers that begin at `pc` if they are worth a call; how many
    /// instructions these are, 0 when it does not.
    pub(super) fn chain(&mut self, code: &[Instruction], pc: usize, flow: &Flow) -> usize {
        let length = self.chain_length(code, pc, flow);
        let layers = &code[pc..pc + length];
        let heavy = |layer: &Instruction| {
            matches!(layer, Instruction::MatMul { .. } | Instruction::Requantise { .. })
        };
        if !layers.iter().any(heavy) || !self.chains_are_possible() {
            return 0;
        }
        let Some((d, a)) = self.layer(pc, layers[0]) else { return 0 };
        let mut chain = Chain::new(self.type_before(pc, a).element);
        for (number, &layer) in layers.iter().enumerate() {
            self.add_layer(&mut chain, pc + number, layer);
        }
        let Some(x) = self.small(pc, a) else { return 0 };
        let result = self.call_chain(chain, &x, self.type_after(pc + length - 1));
        self.set_vector(d, &result);
        length
    }

    fn chains_are_possible(&self) -> bool {
        // The registers in which lanes are handed over are those of this convention.
        let convention = self.isa.default_call_conv() == CallConv::SystemV;
        self.on_x86_64() && convention && Chain::is_possible()
    }

    /// Layers from `pc` on in one block, each of which takes and replaces what the one before
    /// has left: so nobody else sees what is between them.
    fn chain_length(&self, code: &[Instruction], pc: usize, flow: &Flow) -> usize {
        let Some((register, _)) = self.layer(pc, code[pc]) else { return 0 };
        let follows = |&place: &usize| {
            !flow.starts_block(place)
                && self.layer(place, code[place]) == Some((register, register))
        };
        1 + (pc + 1..code.len()).take_while(follows).count()
    }

    /// Result and operand of an instruction that can be part of a chain.
    fn layer(&self, pc: usize, instruction: Instruction) -> Option<(Vector, Vector)> {
        use Instruction::*;
        let (d, a) = match instruction {
            VectorConvert { d, a, .. } | VectorRelu { d, a } | MatMul { d, a, .. } => (d, a),
            // Results of 32 bits saturate where 64 are needed to see it.
            Requantise { d, a, element, .. } if element != Element::I32 => (d, a),
            _ => return None,
        };
        let most = self.type_before(pc, a).lanes.max(self.type_after(pc).lanes);
        (usize::from(most) <= CHAIN_LANES).then_some((d, a))
    }

    fn add_layer(&self, chain: &mut Chain, pc: usize, instruction: Instruction) {
        use Instruction::*;
        match instruction {
            VectorConvert { element, .. } => chain.clamp(element.min(), element.max()),
            VectorRelu { .. } => chain.clamp(0, i32::MAX),
            Requantise { element, scale, .. } => {
                let Some(scale) = self.objects.models.scales().get(scale.index()) else { return };
                let (channels, zero_point) = (&scale.channels, scale.zero_point);
                let scale = |lane: usize| channels[lane % channels.len()];
                chain.requantise(scale, zero_point, element);
            }
            MatMul { weights, bias, .. } => {
                let rows = usize::from(self.type_after(pc).lanes);
                let bias = self.bias(bias, rows);
                if let Some(tensor) = self.tensor(weights) {
                    chain.product(rows, &tensor.values, &bias);
                }
            }
            _ => {}
        }
    }

    /// Calls a chain; its result, of this type.
    fn call_chain(&mut self, chain: Chain, x: &Small, kind: VectorType) -> Small {
        let mut signature = Signature::new(self.isa.default_call_conv());
        signature.params = vec![AbiParam::new(I64); 2];
        signature.returns = vec![AbiParam::new(I8X16)];
        let chain = self.constants.chain(chain);
        let place = Self::scratch_offset();
        let mut arguments = vec![self.constant(chain as i64), self.add(self.frame, place as i64)];
        // What is in the registers of the other chunks does not matter.
        for &chunk in &x.chunks {
            signature.params.push(AbiParam::new(I8X16));
            arguments.push(self.bitcast(I8X16, chunk));
        }
        let signature = self.builder.import_signature(signature);
        let function = self.constant(Function::RunChain.address() as i64);
        let call = self.builder.ins().call_indirect(signature, function, &arguments);
        let first = self.builder.inst_results(call)[0];
        let lanes = usize::from(kind.lanes);
        let chunks = (0..chunk_count(Element::I32, lanes))
            .map(|chunk| match chunk {
                0 => self.bitcast(I32X4, first),
                _ => self.load(I32X4, self.frame, place + CHUNK_BYTES * chunk),
            })
            .collect();
        self.convert(&Small { element: Element::I32, lanes, chunks }, kind.element)
    }
}
