//! Products, convolutions, pooling, requantisation and forests.

use rmt_isa::limits::VECTOR_LANES;
use rmt_isa::operand::{Bias, Element, ForestId, ScaleId, TensorId, Vector, WindowId};
use rmt_isa::program::{Tensor, Window};

use super::lanewise::check_narrow;
use super::{Fault, Scope, Shape, fault};
use crate::verifier::findings::{group_digits, plural, quote};
use crate::verifier::rules::Rule;
use crate::verifier::structure::shape_text;
use crate::verifier::types::VectorType;

/// `d[M] = bias[M] + weights[M, N] · a[N]`.
pub(super) fn check_mat_mul(scope: &Scope<'_>, a: Vector, weights: TensorId, bias: Bias) -> Shape {
    let input = scope.vector(a)?;
    check_narrow(a, input)?;
    let weights = check_weights(scope, weights)?;
    let &[outputs, inputs] = weights.shape.as_slice() else {
        return fault(
            Rule::TensorFit,
            format!(
                "weights `{}` have the shape {}, a product takes outputs × inputs",
                quote(&weights.name),
                shape_text(&weights.shape)
            ),
            "give the tensor two dimensions",
        );
    };
    if inputs != u32::from(input.lanes) {
        return fault(
            Rule::TensorFit,
            format!(
                "weights `{}` have the shape {outputs} × {inputs} and take {}, {a} has {}",
                quote(&weights.name),
                plural(inputs.into(), "input"),
                plural(input.lanes.into(), "lane")
            ),
            format!(
                "give the vector {inputs} lanes, or use weights of {outputs} × {}",
                input.lanes
            ),
        );
    }
    check_bias(scope, bias, outputs)?;
    accumulators(outputs.into())
}

/// `d[y, x, M] = bias[M] + Σ weights[M, height, width, channels] · a[...]`.
pub(super) fn check_conv_2d(
    scope: &Scope<'_>,
    a: Vector,
    window: WindowId,
    weights: TensorId,
    bias: Bias,
) -> Shape {
    let input = scope.vector(a)?;
    check_narrow(a, input)?;
    let window = check_window(scope, a, input, window)?;
    let weights = check_weights(scope, weights)?;
    let taps = [window.height, window.width, window.channels].map(u32::from);
    let &[outputs, ref rest @ ..] = weights.shape.as_slice() else { return Err(None) };
    if *rest != taps {
        return fault(
            Rule::TensorFit,
            format!(
                "weights `{}` have the shape {}, window `{}` takes outputs × {}",
                quote(&weights.name),
                shape_text(&weights.shape),
                quote(&window.name),
                shape_text(&taps)
            ),
            "order weights as outputs × height × width × channels, as large as the window",
        );
    }
    check_bias(scope, bias, outputs)?;
    accumulators(places(window).saturating_mul(outputs.into()))
}

/// `d[y, x, c]` from the window at each place; a sum has i32 lanes.
pub(super) fn check_pool(scope: &Scope<'_>, a: Vector, window: WindowId, sum: bool) -> Shape {
    let input = scope.vector(a)?;
    let window = check_window(scope, a, input, window)?;
    let result = accumulators(places(window).saturating_mul(window.channels.into()))?;
    Ok(result
        .map(|result| if sum { result } else { VectorType { element: input.element, ..result } }))
}

/// i32 lanes, one scale for all or for each of a divisor of them.
pub(super) fn check_requantise(
    scope: &Scope<'_>,
    a: Vector,
    element: Element,
    scale: ScaleId,
) -> Shape {
    let input = scope.vector(a)?;
    if input.element != Element::I32 {
        return fault(
            Rule::ElementType,
            format!("{a} is {input}; only i32 accumulators are requantised"),
            "convert with `RMT_VECTOR_CVT` to i32 first, or leave it as it is",
        );
    }
    let scale = scope.program.scales.get(scale.index()).ok_or(None)?;
    let channels = scale.channels.len();
    if channels == 0 || !usize::from(input.lanes).is_multiple_of(channels) {
        return fault(
            Rule::ScaleFit,
            format!(
                "scale `{}` has {}, {a} has {}",
                quote(&scale.name),
                plural(channels as u64, "channel"),
                plural(input.lanes.into(), "lane")
            ),
            "use one scale, or as many as the layer has outputs; the lanes must be a multiple of it",
        );
    }
    Ok(Some(VectorType { element, ..input }))
}

/// As many lanes as the forest has features.
pub(super) fn check_forest_eval(scope: &Scope<'_>, a: Vector, forest: ForestId) -> Shape {
    let input = scope.vector(a)?;
    let forest = scope.program.forests.get(forest.index()).ok_or(None)?;
    if input.lanes != forest.features {
        return fault(
            Rule::ForestFit,
            format!(
                "forest `{}` has {}, {a} has {}",
                quote(&forest.name),
                plural(forest.features.into(), "feature"),
                plural(input.lanes.into(), "lane")
            ),
            format!("give the vector {} lanes, in the order of training", forest.features),
        );
    }
    Ok(None)
}

fn check_weights<'a>(scope: &Scope<'a>, weights: TensorId) -> Result<&'a Tensor, Option<Fault>> {
    let tensor = scope.program.tensors.get(weights.index()).ok_or(None)?;
    if tensor.element != Element::I8 {
        return fault(
            Rule::TensorElement,
            format!(
                "weights `{}` are {}, the multipliers take i8",
                quote(&tensor.name),
                tensor.element
            ),
            "quantise the weights to i8",
        );
    }
    Ok(tensor)
}

fn check_bias(scope: &Scope<'_>, bias: Bias, outputs: u32) -> Result<(), Option<Fault>> {
    let Some(id) = bias.0 else { return Ok(()) };
    let tensor = scope.program.tensors.get(id.index()).ok_or(None)?;
    let name = quote(&tensor.name);
    if tensor.element != Element::I32 {
        return fault(
            Rule::TensorElement,
            format!("bias `{name}` is {}, accumulators are i32", tensor.element),
            "store the bias as i32, in the scale of the accumulator",
        );
    }
    if tensor.shape != [outputs] {
        return fault(
            Rule::TensorFit,
            format!(
                "bias `{name}` has the shape {}, the layer has {}",
                shape_text(&tensor.shape),
                plural(outputs.into(), "output")
            ),
            format!("give the bias the shape {outputs}"),
        );
    }
    Ok(())
}

/// The vector has the lanes of the window's input.
fn check_window<'a>(
    scope: &Scope<'a>,
    a: Vector,
    input: VectorType,
    window: WindowId,
) -> Result<&'a Window, Option<Fault>> {
    let window = scope.program.windows.get(window.index()).ok_or(None)?;
    let sides = [window.in_height, window.in_width, window.channels].map(u32::from);
    let lanes = sides.iter().try_fold(1_u32, |lanes, &side| lanes.checked_mul(side));
    if lanes != Some(input.lanes.into()) {
        return fault(
            Rule::WindowFit,
            format!(
                "the input of window `{}` is {}, {a} has {}",
                quote(&window.name),
                shape_text(&sides),
                plural(input.lanes.into(), "lane")
            ),
            "give the vector height × width × channels lanes, the channel running fastest",
        );
    }
    Ok(window)
}

/// Places of the window in the output.
fn places(window: &Window) -> u64 {
    u64::from(window.out_height) * u64::from(window.out_width)
}

/// A result of that many i32 lanes.
fn accumulators(lanes: u64) -> Shape {
    match u16::try_from(lanes) {
        Ok(lanes @ 1..=256) => Ok(Some(VectorType { element: Element::I32, lanes })),
        _ => fault(
            Rule::TooManyLanes,
            format!("the result has {} lanes, a vector 1 to {VECTOR_LANES}", group_digits(lanes)),
            "split the layer, or make it smaller",
        ),
    }
}

#[cfg(test)]
mod tests {
    use rmt_isa::operand::Element;

    use crate::verifier::rules::Rule;
    use crate::verifier::testing::{Fixture, refused_by};

    fn with(code: &str) -> Fixture {
        Fixture::new(&format!("{code}\nexit decided"))
    }

    const FILL: &str = "RMT_VECTOR_FILL v0, x8, i16, 1\n";

    #[test]
    fn a_layer_that_fits_is_accepted() {
        let code = "RMT_MAT_MUL v1, v0, tensor0, tensor1\nRMT_REQUANT v2, v1, i8, scale0\n\
                    RMT_VECTOR_RELU v2, v2\nRMT_ARGMAX r1, v2";
        with(&format!("{FILL}{code}")).accepted();
        with(&format!("{FILL}RMT_MAT_MUL v1, v0, tensor0, none")).accepted();
    }

    #[test]
    fn products_take_weights_that_fit() {
        let product = "RMT_MAT_MUL v1, v0, tensor0, tensor1";
        let code = format!("RMT_VECTOR_FILL v0, x7, i16, 1\n{product}");
        refused_by(&with(&code), Rule::TensorFit, "4 × 8 and take 8 inputs, v0 has 7 lanes");
        let code = format!("RMT_VECTOR_FILL v0, x8, i32, 1\n{product}");
        refused_by(&with(&code), Rule::ElementType, "v0 is i32 x8");
        let code = format!("{FILL}RMT_MAT_MUL v1, v0, tensor2, none");
        refused_by(&with(&code), Rule::TensorElement, "weights `emb` are i16");
        let code = format!("{FILL}RMT_MAT_MUL v1, v0, tensor0, tensor0");
        refused_by(&with(&code), Rule::TensorElement, "bias `w1` is i8");
        let mut fixture = with(&format!("{FILL}{product}"));
        fixture.program.tensors[1].shape = vec![2, 2];
        refused_by(
            &fixture,
            Rule::TensorFit,
            "bias `b1` has the shape 2 × 2, the layer has 4 outputs",
        );
        fixture.program.tensors[0].shape = vec![2, 2, 8];
        refused_by(&fixture, Rule::TensorFit, "weights `w1` have the shape 2 × 2 × 8");
        let mut fixture = with(&format!("{FILL}RMT_MAT_MUL v1, v0, tensor0, none"));
        fixture.program.tensors[0].shape = vec![300, 8];
        fixture.program.tensors[0].values = vec![1; 2400];
        refused_by(&fixture, Rule::TooManyLanes, "the result has 300 lanes");
    }

    #[test]
    fn convolutions_take_windows_and_weights_that_fit() {
        // The fixture's window: 4 × 4 × 2, window 3 × 3, output 4 × 4; tensor 3: 3 × 3 × 3 × 2.
        let code = |lanes: u16, kind: &str| {
            format!(
                "RMT_VECTOR_FILL v0, x{lanes}, {kind}, 1\n\
                 RMT_CONV_2D v1, v0, window0, tensor3, none"
            )
        };
        with(&code(32, "i8")).accepted();
        refused_by(&with(&code(31, "i8")), Rule::WindowFit, "is 4 × 4 × 2, v0 has 31 lanes");
        refused_by(&with(&code(32, "i32")), Rule::ElementType, "v0 is i32 x32");
        let mut fixture = with(&code(32, "i8"));
        fixture.program.tensors[3].shape = vec![3, 2, 3, 3];
        refused_by(&fixture, Rule::TensorFit, "takes outputs × 3 × 3 × 2");
        let mut fixture = with(&code(32, "i8"));
        fixture.program.tensors[3].shape = vec![17, 3, 3, 2];
        fixture.program.tensors[3].values = vec![0; 17 * 18];
        refused_by(&fixture, Rule::TooManyLanes, "the result has 272 lanes");
        let mut fixture =
            with("RMT_VECTOR_FILL v0, x32, i8, 1\nRMT_CONV_2D v1, v0, window0, tensor3, tensor1");
        refused_by(&fixture, Rule::TensorFit, "bias `b1` has the shape 4, the layer has 3 outputs");
        fixture.program.tensors[3].element = Element::I16;
        refused_by(&fixture, Rule::TensorElement, "weights `k1` are i16");
    }

    #[test]
    fn pools_take_windows_that_fit() {
        for operation in ["RMT_POOL_MAX", "RMT_POOL_SUM"] {
            let code =
                |lanes| format!("RMT_VECTOR_FILL v0, x{lanes}, i8, 1\n{operation} v1, v0, window0");
            with(&code(32)).accepted();
            refused_by(&with(&code(16)), Rule::WindowFit, "v0 has 16 lanes");
        }
        // The largest keeps the element type, the sum is an accumulator.
        let max = "RMT_VECTOR_FILL v0, x32, i8, 1\nRMT_POOL_MAX v1, v0, window0\nRMT_VECTOR_MUL v2, v1, v1";
        with(max).accepted();
        let fixture = with(&max.replace("POOL_MAX", "POOL_SUM"));
        refused_by(&fixture, Rule::ElementType, "v1 is i32 x32");
    }

    #[test]
    fn requantisation_takes_accumulators_and_fitting_scales() {
        let code = "RMT_VECTOR_FILL v0, x8, i32, 1\nRMT_REQUANT v1, v0, i16, scale1";
        with(code).accepted();
        refused_by(&with(&code.replace("i32", "i16")), Rule::ElementType, "v0 is i16 x8");
        let fixture = with(&code.replace("x8", "x6"));
        refused_by(&fixture, Rule::ScaleFit, "scale `s4` has 4 channels, v0 has 6 lanes");
    }

    #[test]
    fn forests_take_their_features() {
        with(&format!("{FILL}RMT_TREE_EVAL r1, v0, forest0")).accepted();
        let code = "RMT_VECTOR_FILL v0, x9, i16, 1\nRMT_TREE_EVAL r1, v0, forest0";
        refused_by(&with(code), Rule::ForestFit, "forest `trees` has 8 features, v0 has 9 lanes");
    }
}
